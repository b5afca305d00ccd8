//! A browser without a screen: Debian's chromium-headless-shell, driven by the DevTools protocol
//! (<https://chromedevtools.github.io/devtools-protocol/>) over a pair of pipes.

#![allow(clippy::indexing_slicing, reason = "of JSON: what a value lacks is null")]

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::process::Child;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use base64ct::{Base64, Encoding};
use serde_json::{Value, json};

use crate::command::output;
use crate::namespace::Namespace;
use crate::peer::Peer;

/// How long the browser may take for anything, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// The browser and the libraries and fonts that apt itself does not need.
const PACKAGES: &[&str] = &[
    "chromium-headless-shell",
    "chromium-common",
    "fonts-dejavu-core",
    "libasound2",
    "libasyncns0",
    "libatk1.0-0",
    "libatspi2.0-0",
    "libbrotli1",
    "libbsd0",
    "libdav1d6",
    "libdbus-1-3",
    "libdouble-conversion3",
    "libdrm2",
    "libexpat1",
    "libffi8",
    "libflac12",
    "libfontconfig1",
    "libfreetype6",
    "libgbm1",
    "libglib2.0-0",
    "libgraphite2-3",
    "libharfbuzz-subset0",
    "libharfbuzz0b",
    "libjpeg62-turbo",
    "liblcms2-2",
    "libmd0",
    "libminizip1",
    "libmp3lame0",
    "libmpg123-0",
    "libnspr4",
    "libnss3",
    "libogg0",
    "libopenh264-7",
    "libopenjp2-7",
    "libopus0",
    "libpng16-16",
    "libpulse0",
    "libsndfile1",
    "libsqlite3-0",
    "libvorbis0a",
    "libvorbisenc2",
    "libwayland-server0",
    "libx11-6",
    "libx11-xcb1",
    "libxau6",
    "libxcb1",
    "libxcomposite1",
    "libxdamage1",
    "libxdmcp6",
    "libxext6",
    "libxfixes3",
    "libxi6",
    "libxkbcommon0",
    "libxnvctrl0",
    "libxrandr2",
    "libxrender1",
];

/// Without a sandbox, because that refuses to work for root, and without everything that asks somebody outside.
const OPTIONS: &[&str] = &[
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--no-proxy-server",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
];

/// A browser with one page. It ends when this is dropped, and with the thread of the namespace that it was started in.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    orders: File,
    /// Our own end of the browser's pipe, to tell the thread that the end has come.
    farewell: File,
    told: Receiver<Value>,
    reader: Option<JoinHandle<()>>,
    seen: VecDeque<Value>,
    requests: Vec<String>,
    complaints: Vec<String>,
    session: Option<String>,
    number: u64,
    _folder: tempfile::TempDir,
}

impl Browser {
    /// Starts one in `namespace`, fetching it before if need be.
    ///
    /// # Errors
    /// Debian's archive cannot be reached, or the browser does not start.
    pub fn start(namespace: &Namespace) -> Result<Browser> {
        let peer = Peer::fetch(PACKAGES)?;
        let folder = tempfile::tempdir().context("making a folder")?;
        let at = |name: &str| folder.path().join(name);
        let (orders, answers) = (at("orders"), at("answers"));
        output("mkfifo", &[&orders, &answers])?;
        // For reading and writing: so neither side waits for the other to open its end.
        let open = |path| OpenOptions::new().read(true).write(true).open(path).context("opening a pipe");
        let (writer, reader) = (open(&orders)?, open(&answers)?);
        fs::write(
            at("fonts.conf"),
            format!(
                "<?xml version=\"1.0\"?><fontconfig><dir>{}</dir><cachedir>{}</cachedir></fontconfig>\n",
                peer.path("usr/share/fonts").display(),
                at("fonts").display()
            ),
        )?;
        let log = File::create(at("log"))?;
        let mut command =
            peer.command_by_shell("usr/lib/chromium/chromium-headless-shell", "3<\"$ORDERS\" 4>\"$ANSWERS\"");
        command.args(OPTIONS).arg(format!("--user-data-dir={}", at("profile").display()));
        command.env("ORDERS", &orders).env("ANSWERS", &answers).env("FONTCONFIG_FILE", at("fonts.conf"));
        command
            .env("HOME", folder.path())
            .env("XDG_CACHE_HOME", at("cache"))
            .env("XDG_CONFIG_HOME", at("config"));
        command.stdout(log.try_clone()?).stderr(log);
        let child = namespace.run(move || command.spawn())?.context("starting a browser")?;
        let (tell, told) = channel();
        let farewell = reader.try_clone()?;
        let reader = std::thread::Builder::new().name("browser".to_owned()).spawn(move || {
            let parts = BufReader::new(reader).split(0).map_while(Result::ok);
            // What is no JSON is the farewell.
            let messages = parts.map_while(|part| serde_json::from_slice(&part).ok());
            for message in messages {
                if tell.send(message).is_err() {
                    return;
                }
            }
        })?;
        let mut browser = Browser {
            child,
            orders: writer,
            farewell,
            told,
            reader: Some(reader),
            seen: VecDeque::new(),
            requests: Vec::new(),
            complaints: Vec::new(),
            session: None,
            number: 0,
            _folder: folder,
        };
        browser.attach()?;
        Ok(browser)
    }

    /// Opens the one page that there is.
    fn attach(&mut self) -> Result<()> {
        let target = self.order("Target.createTarget", json!({"url": "about:blank"}))?;
        let id = target["targetId"].clone();
        let attached = self.order("Target.attachToTarget", json!({"targetId": id, "flatten": true}))?;
        self.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.order(&format!("{domain}.enable"), json!({}))?;
        }
        Ok(())
    }

    /// Opens `url` and waits until it is loaded.
    ///
    /// # Errors
    /// Nobody answers there, or not in time.
    pub fn open(&mut self, url: &str) -> Result<()> {
        self.seen.clear();
        let done = self.order("Page.navigate", json!({"url": url}))?;
        if let Some(why) = done["errorText"].as_str() {
            bail!("opening {url}: {why}");
        }
        self.await_load()
    }

    /// Waits until a page is loaded: the one that was opened, or the next time that it renews itself.
    ///
    /// # Errors
    /// It is not, in time.
    pub fn await_load(&mut self) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.seen.iter().position(|event| event["method"] == "Page.loadEventFired") {
                self.seen.drain(..=at);
                return Ok(());
            }
            let event = self.next(end)?;
            self.seen.push_back(event);
        }
    }

    /// The value of a JavaScript expression in the page.
    ///
    /// # Errors
    /// It throws, or gives what is no JSON.
    pub fn evaluate(&mut self, expression: &str) -> Result<Value> {
        let wanted = json!({"expression": expression, "returnByValue": true});
        let mut done = self.order("Runtime.evaluate", wanted.clone());
        if done.is_err() {
            // The page has renewed itself in between.
            done = self.order("Runtime.evaluate", wanted);
        }
        let mut done = done?;
        if let Some(thrown) = done.get("exceptionDetails") {
            bail!("evaluating {expression}: {thrown}");
        }
        Ok(done["result"]["value"].take())
    }

    /// Makes the window so large; `phone`: with a touch screen, which heeds what the page says about its width.
    ///
    /// # Errors
    /// The browser refuses.
    pub fn resize(&mut self, width: u32, height: u32, phone: bool) -> Result<()> {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone});
        self.order("Emulation.setDeviceMetricsOverride", size).map(drop)
    }

    /// Whether the user prefers dark pages.
    ///
    /// # Errors
    /// The browser refuses.
    pub fn prefer_dark(&mut self, dark: bool) -> Result<()> {
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.order("Emulation.setEmulatedMedia", features).map(drop)
    }

    /// What is to be seen, as PNG.
    ///
    /// # Errors
    /// The browser refuses.
    pub fn picture(&mut self) -> Result<Vec<u8>> {
        let picture = self.order("Page.captureScreenshot", json!({"format": "png"}))?;
        let text = picture["data"].as_str().context("a picture without data")?;
        Base64::decode_vec(text).map_err(|error| anyhow::anyhow!("a picture that is no Base64: {error}"))
    }

    /// Every address that the page has asked for, in order.
    pub fn requests(&self) -> &[String] {
        &self.requests
    }

    /// What the console shows as warning or error, in order.
    pub fn complaints(&self) -> &[String] {
        &self.complaints
    }

    fn order(&mut self, method: &str, parameters: Value) -> Result<Value> {
        self.number += 1;
        let number = self.number;
        let mut order = json!({"id": number, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            order["sessionId"] = json!(session);
        }
        let mut text = serde_json::to_vec(&order)?;
        text.push(0);
        self.orders.write_all(&text).context("writing to the browser")?;
        let end = Instant::now() + PATIENCE;
        loop {
            let mut message = self.next(end).with_context(|| format!("waiting for {method}"))?;
            if message["id"] == number {
                if let Some(error) = message.get("error") {
                    bail!("{method}: {error}");
                }
                return Ok(message["result"].take());
            }
            self.seen.push_back(message);
        }
    }

    fn next(&mut self, end: Instant) -> Result<Value> {
        let message = match self.told.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                let log = fs::read_to_string(self._folder.path().join("log")).unwrap_or_default();
                bail!("the browser does not answer within {PATIENCE:?}: {log}");
            }
        };
        self.note(&message);
        Ok(message)
    }

    fn note(&mut self, message: &Value) {
        let parameters = &message["params"];
        match message["method"].as_str().unwrap_or_default() {
            "Network.requestWillBeSent" => {
                self.requests.extend(parameters["request"]["url"].as_str().map(str::to_owned));
            }
            "Log.entryAdded" => self.complaints.push(parameters["entry"].to_string()),
            "Runtime.consoleAPICalled" | "Runtime.exceptionThrown" => {
                self.complaints.push(parameters.to_string());
            }
            _ => {}
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.farewell.write_all(b"the end\0");
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}
