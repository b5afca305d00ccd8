//! A keepalived in a host of the lab, with /tmp and /run of its own.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use director_lab::segment::Host;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::log::Log;

pub struct Keepalived {
    pub host: Host,
    pub log: Log,
    dir: TempDir,
    child: Option<Child>,
}

impl Keepalived {
    /// Has a configuration, and does not run yet.
    pub fn new(host: &Host, config: &str) -> Self {
        // Not below /tmp, which is hidden from it.
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        std::fs::write(dir.path().join("keepalived.conf"), config).unwrap();
        Self { host: host.clone(), log: Log::default(), dir, child: None }
    }

    pub fn start(&mut self) {
        let mark = self.log.mark();
        let script = format!(
            "mount -t tmpfs tmpfs /tmp && mount -t tmpfs tmpfs /run && exec keepalived -n -l -D -P -f {}/keepalived.conf",
            self.dir.path().display()
        );
        let mut command = director_lab::command::bound("unshare");
        command.args(["--mount", "sh", "-c", &script]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = self.host.namespace().run(move || command.spawn()).unwrap().unwrap();
        self.log.follow(child.stderr.take().unwrap());
        self.child = Some(child);
        self.log.wait("Entering BACKUP STATE", mark, Duration::from_secs(10));
    }

    fn parent(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.as_ref().unwrap().id()).unwrap())
    }

    fn children(&self) -> Vec<Pid> {
        let parent = self.parent();
        let text = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
        text.split_whitespace().map(|pid| Pid::from_raw(pid.parse().unwrap())).collect()
    }

    /// Told to end.
    pub fn stop(&mut self) {
        kill(self.parent(), Signal::SIGTERM).unwrap();
        self.child.take().unwrap().wait().unwrap();
    }

    /// Dies, all of it at once: the child first, so that it cannot notice.
    pub fn kill(&mut self) {
        let parent = self.parent();
        kill(parent, Signal::SIGSTOP).unwrap();
        for pid in self.children().into_iter().chain([parent]) {
            kill(pid, Signal::SIGKILL).unwrap();
        }
        self.child.take().unwrap().wait().unwrap();
    }

    pub fn wait_for(&self, state: &str, mark: usize, within: Duration) -> Instant {
        self.log.wait(&format!("Entering {state} STATE"), mark, within)
    }

    pub fn has(&self, address: &str) -> bool {
        self.host.namespace().ip("-o address show dev eth0").unwrap().contains(&format!(" {address}/"))
    }

    /// Its statistics, as it writes them on demand.
    pub fn statistics(&self) -> String {
        let path = PathBuf::from(format!("/proc/{}/root/tmp/keepalived.stats", self.parent()));
        let _ = std::fs::remove_file(&path);
        kill(self.parent(), Signal::SIGUSR2).unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            // The last paragraph of the last instance.
            if let Ok(text) = std::fs::read_to_string(&path)
                && text.contains("Priority Zero")
                && text.trim_end().ends_with(|c: char| c.is_ascii_digit())
                && text.matches("Sent:").count() >= 2
            {
                return text;
            }
            assert!(Instant::now() < deadline, "no statistics from keepalived:\n{}", self.log.text());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// It has rejected nothing, and has complained of nothing.
    pub fn assert_content(&self) {
        let statistics = self.statistics();
        let errors = statistics.split("Packet Errors:").nth(1).unwrap_or_else(|| panic!("{statistics}"));
        let errors = errors.split("Priority Zero").next().unwrap();
        for line in errors.lines().filter(|line| line.contains(": ")) {
            assert!(line.trim().ends_with(": 0"), "keepalived counts {line}:\n{}", self.log.text());
        }
        for word in ["invalid", "mismatch", "expected", "incorrect", "ignoring", "bad ", "bogus", "dropped"] {
            let said = self.log.text().to_lowercase();
            assert!(!said.contains(word), "keepalived says {word:?}:\n{said}");
        }
    }
}

impl Drop for Keepalived {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
        if std::thread::panicking() {
            eprintln!("--- keepalived on {} said:\n{}", self.host.name(), self.log.text());
        }
    }
}
