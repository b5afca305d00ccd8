//! A keepalived in a host of the lab, with /tmp and /run of its own.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use director_lab::router::{Program, Router};
use director_lab::segment::Host;
use nix::sys::signal::Signal;

use super::log::Log;

pub struct Keepalived {
    pub host: Host,
    pub log: Log,
    router: Router,
}

impl Keepalived {
    /// Has a configuration, and does not run yet.
    pub fn new(host: &Host, config: &str) -> Self {
        let router = Router::new(host, Program::Keepalived, config).unwrap();
        Self { host: host.clone(), log: router.log().clone().into(), router }
    }

    pub fn start(&mut self) {
        self.router.start().unwrap();
    }

    /// Reads another configuration, as its manual tells operators to have it do.
    pub fn reload(&self, config: &str) {
        self.router.configure(config).unwrap();
        self.router.signal(Signal::SIGHUP).unwrap();
    }

    /// Told to end.
    pub fn stop(&mut self) {
        self.router.stop().unwrap();
    }

    /// Dies, all of it at once.
    pub fn kill(&mut self) {
        self.router.kill().unwrap();
    }

    pub fn wait_for(&self, state: &str, mark: usize, within: Duration) -> Instant {
        self.log.wait(&format!("Entering {state} STATE"), mark, within)
    }

    pub fn has(&self, address: &str) -> bool {
        self.host.namespace().ip("-o address show dev eth0").unwrap().contains(&format!(" {address}/"))
    }

    /// Its statistics, as it writes them on demand.
    pub fn statistics(&self) -> String {
        let path = PathBuf::from(format!("/proc/{}/root/tmp/keepalived.stats", self.router.process()));
        let _ = std::fs::remove_file(&path);
        self.router.signal(Signal::SIGUSR2).unwrap();
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
        if std::thread::panicking() {
            eprintln!("--- keepalived on {} said:\n{}", self.host.name(), self.log.text());
        }
    }
}
