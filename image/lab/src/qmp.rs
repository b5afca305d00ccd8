//! QEMU's control channel: reset, power button, keys, screen.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// A QMP session: one JSON document a line, each request answered by `return` or `error`, events in between.
#[derive(Debug)]
pub struct Qmp {
    stream: BufReader<UnixStream>,
}

impl Qmp {
    /// Greets QEMU on the other end of `stream`.
    ///
    /// # Errors
    /// When it does not answer within ten seconds.
    pub fn new(stream: UnixStream) -> Result<Qmp> {
        stream.set_read_timeout(Some(Duration::from_secs(10))).context("control channel")?;
        let mut qmp = Qmp { stream: BufReader::new(stream) };
        qmp.line().context("control channel: no greeting")?;
        qmp.command("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Sends a command and returns its answer.
    ///
    /// # Errors
    /// QEMU's own words, or that it has ended.
    pub fn command(&mut self, name: &str, arguments: Value) -> Result<Value> {
        let request = json!({ "execute": name, "arguments": arguments });
        let mut ask = || -> Result<Value> {
            writeln!(self.stream.get_mut(), "{request}")?;
            loop {
                let mut answer: Value = serde_json::from_str(&self.line()?)?;
                if let Some(error) = answer.get("error") {
                    bail!("{error}");
                }
                if let Some(value) = answer.get_mut("return") {
                    return Ok(value.take());
                }
            }
        };
        ask().with_context(|| format!("QEMU's {name}"))
    }

    /// Presses keys together, by QEMU's names, such as `["ctrl", "alt", "delete"]`.
    ///
    /// # Errors
    /// As [`Qmp::command`].
    pub fn press(&mut self, keys: &[&str]) -> Result<()> {
        let keys: Vec<Value> = keys.iter().map(|key| json!({ "type": "qcode", "data": key })).collect();
        self.command("send-key", json!({ "keys": keys })).map(drop)
    }

    /// Plugs a USB stick in; `lock`: it cannot be written. `name` is for [`Qmp::pull_out`].
    ///
    /// # Errors
    /// As [`Qmp::command`]; the machine needs a [`usb_socket`](crate::machine::Machine::usb_socket).
    pub fn plug_in(&mut self, name: &str, stick: &Path, lock: bool) -> Result<()> {
        let file = json!({ "driver": "file", "filename": stick, "read-only": lock });
        let node = json!({ "driver": "raw", "node-name": name, "read-only": lock, "file": file });
        self.command("blockdev-add", node)?;
        let device = json!({ "driver": "usb-storage", "id": format!("{name}-stick"), "drive": name, "removable": true });
        self.command("device_add", device).map(drop)
    }

    /// Pulls a USB stick out that [`Qmp::plug_in`] plugged in.
    ///
    /// # Errors
    /// As [`Qmp::command`].
    pub fn pull_out(&mut self, name: &str) -> Result<()> {
        self.command("device_del", json!({ "id": format!("{name}-stick") }))?;
        // QEMU lets go of it a little later.
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            match self.command("blockdev-del", json!({ "node-name": name })) {
                Err(error) if Instant::now() > end => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
                Ok(_) => return Ok(()),
            }
        }
    }

    /// Pulls the cable of a network card, counted from 0, or puts it back.
    ///
    /// # Errors
    /// As [`Qmp::command`].
    pub fn cable(&mut self, nic: usize, plugged: bool) -> Result<()> {
        self.command("set_link", json!({ "name": format!("n{nic}"), "up": plugged })).map(drop)
    }

    /// Writes the screen as a picture (PPM).
    ///
    /// # Errors
    /// As [`Qmp::command`].
    pub fn screen(&mut self, file: &Path) -> Result<()> {
        self.command("screendump", json!({ "filename": file })).map(drop)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            bail!("QEMU has ended");
        }
        Ok(line)
    }
}
