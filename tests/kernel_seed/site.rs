//! A box in a namespace, with its real servers on one segment, and what balances there.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use director_lab::command::{bound, output};
use director_lab::namespace::Namespace;
use director_lab::segment::Segment;

use super::common::binary;
use super::{Case, Tool};
use crate::farm::Farm;

/// How long a test may wait in all. Much, for an emulated machine: keepalived takes 12 s to become master of a group, and half a
/// minute to give up a server.
pub const PATIENCE: Duration = Duration::from_secs(150);

/// A box.
pub struct Site {
    pub what: &'static str,
    namespace: Arc<Namespace>,
    pub farm: Farm,
    log: PathBuf,
    runs: Option<Child>,
    _segment: Segment,
    folder: tempfile::TempDir,
}

impl Site {
    /// A box with the links and real servers of `case`; without addresses of its own.
    fn new(what: &'static str, case: &Case) -> Site {
        let segment = Segment::new().unwrap();
        let farm = Farm::start(&segment, case.farm);
        let namespace = Arc::new(Namespace::new(what).unwrap());
        for (at, link) in (0..).zip(case.links) {
            let path = namespace.path();
            let plug = format!("link add box{at} type veth peer name {link} netns {path}");
            segment.namespace().ip(&plug).unwrap();
            segment.namespace().ip(&format!("link set box{at} master br0 up")).unwrap();
            if let Some(mac) = case.mac.filter(|_| at == 0) {
                namespace.ip(&format!("link set {link} address {mac}")).unwrap();
            }
            namespace.ip(&format!("link set {link} up")).unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        Site { what, namespace, farm, log, runs: None, _segment: segment, folder }
    }

    /// The original tool with its original file. What is not the tool's business stands already: the box's own addresses.
    pub fn original(case: &Case) -> Site {
        let mut site = Site::new("original", case);
        for (link, address) in case.own {
            site.namespace.ip(&format!("address add {address} dev {link}")).unwrap();
        }
        let file = site.write(case.original.0, case.original.1);
        let place = |name: &str| site.folder.path().join(name).display().to_string();
        let command = match case.tool {
            Tool::Keepalived => {
                let mut command = bound("keepalived");
                command.args(["-n", "-l", "-D", "-f"]).arg(&file);
                command.args(["-p", &place("pid"), "-r", &place("vrrp"), "-c", &place("checkers")]);
                command
            }
            Tool::Ldirectord => {
                std::fs::create_dir_all("/var/run").unwrap();
                let mut command = bound("perl");
                command.args(["/usr/sbin/ldirectord", "-d"]).arg(&file).arg("start");
                command
            }
            Tool::Ipvsadm => {
                let mut command = bound("ipvsadm");
                command.arg("-R").stdin(File::open(&file).unwrap());
                command
            }
        };
        site.start(command);
        site
    }

    /// Director with the file that a person has written for it.
    pub fn written(case: &Case) -> Site {
        Site::new("written", case).directed(case, case.written.0, case.written.1)
    }

    /// Director with what `director import` makes of the original. The box's own addresses are put where its comments say.
    pub fn imported(case: &Case) -> Site {
        let site = Site::new("imported", case);
        let file = site.write(case.original.0, case.original.1);
        let words = ["import".as_ref(), case.tool.name().as_ref(), file.as_os_str()];
        let mut made = output(&binary(), &words).unwrap();
        for (link, address) in case.own {
            if made.contains(&format!("\"{address}\"")) {
                continue;
            }
            let head = format!("name = \"{link}\"\n");
            let (before, after) = made.split_once(&head).unwrap();
            let (line, rest) = after.split_once('\n').unwrap();
            let others = line.strip_prefix("addresses = [").map_or("]", |others| others);
            let comma = if others == "]" { "" } else { ", " };
            made = format!("{before}{head}addresses = [\"{address}\"{comma}{others}\n{rest}");
        }
        site.directed(case, "imported.toml", &made)
    }

    fn directed(mut self, case: &Case, name: &str, text: &str) -> Site {
        let (file, run) = (self.write(name, text), self.folder.path().join("run"));
        std::fs::create_dir(&run).unwrap();
        // One file serves several boxes, which are told apart by their names.
        let mut command = bound("unshare");
        command.args(["--uts", "--", "sh", "-c", "hostname $0; exec \"$@\"", case.hostname]);
        command.arg(binary()).args(["run", "--config"]).arg(&file).arg("--run-dir").arg(&run);
        self.start(command);
        self
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    }

    fn start(&mut self, mut command: Command) {
        let log = File::create(&self.log).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        if self.what != "original" {
            command.stdin(Stdio::null());
        }
        self.runs = Some(self.namespace.run(move || command.spawn()).unwrap().unwrap());
    }

    /// The table in `ipvsadm`'s words.
    fn table(&self) -> BTreeSet<String> {
        let text = self.namespace.run(|| output("ipvsadm", &["-S", "-n"])).unwrap().unwrap();
        text.lines().map(|line| line.trim().to_owned()).collect()
    }

    /// Which of `vips` are on the box.
    fn carries(&self, vips: &[&str]) -> bool {
        let shown = self.namespace.ip("-o -4 address show").unwrap();
        // `3: eth0    inet 10.0.0.1/24 …`
        let words: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
        let found: Vec<String> =
            words.iter().filter_map(|words| Some(format!("{} {}", words.get(1)?, words.get(3)?))).collect();
        vips.iter().all(|vip| found.iter().any(|found| found == vip))
    }

    /// Waits until the table is `expected`, every real server has been asked `asked` times, and the box carries `vips`.
    pub fn settle(&self, expected: &BTreeSet<String>, asked: u64, vips: &[&str], end: Instant) {
        loop {
            let (table, counts) = (self.table(), self.farm.asked());
            if table == *expected && counts.values().all(|count| *count >= asked) && self.carries(vips) {
                return;
            }
            assert!(
                Instant::now() < end,
                "{}: {table:#?}\nexpected: {expected:#?}\nasked: {counts:?}\nvips: {vips:?}\n{}\nprocesses:\n{}\nlog:\n{}",
                self.what,
                self.namespace.ip("-o -4 address show").unwrap(),
                output::<&str>("ps", &[]).unwrap(),
                tail(&self.log)
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(mut child) = self.runs.take() {
            // SIGKILL would leave its children behind.
            let _ = output("kill", &["-TERM".to_owned(), child.id().to_string()]);
            let _ = child.wait();
        }
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(80)..].join("\n")
}
