//! The clock of a guest, set by the worker `time`. Nothing here runs outside of one.

// A test that finds nothing to hold on to is to end there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::net::UdpSocket;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use common::worker::Worker;
use common::{binary, until};
use director::ipc::client;
use director::ipc::message::{Reply, Request, Status, TimeStatus};
use director::paths::RunDir;
use director::role::Role;
use director_lab::command::bound;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};

/// Seconds from 1900 to 1970 (RFC 5905 section 6).
const ERA: u64 = 2_208_988_800;
const AHEAD: u64 = 3600;

/// The right time, which no step touches; the guest has its own back when it is dropped.
struct Truth {
    began: Instant,
    clock: Duration,
    ahead: AtomicU64,
}

impl Truth {
    fn guest(&self) -> Duration {
        self.clock + self.began.elapsed()
    }

    fn now(&self) -> Duration {
        self.guest() + Duration::from_secs(self.ahead.load(Ordering::Relaxed))
    }

    /// By how much `other` differs, seconds.
    fn off(&self, other: Duration) -> f64 {
        (other.as_secs_f64() - self.now().as_secs_f64()).abs()
    }

    fn stamp(&self) -> [u8; 8] {
        let now = self.now();
        let fraction = (u64::from(now.subsec_nanos()) << 32) / 1_000_000_000;
        (((now.as_secs() + ERA) << 32) | fraction).to_be_bytes()
    }
}

/// Sets the guest's clock back for the tests that follow.
struct Restore(Arc<Truth>);

impl Drop for Restore {
    fn drop(&mut self) {
        clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::from(self.0.guest())).unwrap();
    }
}

/// A server that knows the truth.
fn serve(truth: Arc<Truth>) {
    let socket = UdpSocket::bind("127.0.0.1:123").unwrap();
    std::thread::spawn(move || {
        let mut asked = [0; 512];
        while let Ok((48.., from)) = socket.recv_from(&mut asked) {
            let mut said = [0; 48];
            said[..4].copy_from_slice(&[4 << 3 | 4, 1, 0, 0xec]);
            said[24..32].copy_from_slice(&asked[40..48]);
            said[32..40].copy_from_slice(&truth.stamp());
            said[40..48].copy_from_slice(&truth.stamp());
            socket.send_to(&said, from).unwrap();
        }
    });
}

fn clock() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap()
}

fn start(run: &RunDir) -> Child {
    let mut command = bound(&binary());
    command.args(["worker", "time", "--set-clock", "--run-dir"]).arg(run.path());
    command.spawn().unwrap()
}

fn status(run: &RunDir) -> Option<TimeStatus> {
    let Ok(Reply::Status { status }) = client::ask(run, Role::Time, &Request::Status, Duration::from_secs(5))
    else {
        return None;
    };
    if let Status::Time(status) = *status { Some(status) } else { None }
}

#[test]
fn the_first_answer_of_a_boot_steps_the_clock_and_the_rtc_and_a_later_life_doubts() {
    if std::env::var_os("DIRECTOR_KERNEL_TEST").is_none() {
        eprintln!("skipped: sets the clock, so it runs in a guest alone");
        return;
    }
    let truth = Arc::new(Truth { began: Instant::now(), clock: clock(), ahead: AtomicU64::new(AHEAD) });
    let _restore = Restore(Arc::clone(&truth));
    serve(Arc::clone(&truth));
    let mut files = Worker::new();
    files.activate("version = 1\n[system]\nntp = [\"127.0.0.1\"]\n");

    let mut child = start(&files.run);
    until("the clock is synchronised", || status(&files.run).is_some_and(|status| status.synchronised));
    let found = status(&files.run).unwrap();
    assert!(found.sets && found.steps == 1 && found.problem.is_none(), "{found:?}");
    assert!((3_599_000_000..3_601_000_000).contains(&found.offset_us.unwrap()), "{found:?}");
    assert!(truth.off(clock()) < 0.4, "{} s", truth.off(clock()));
    // Whole seconds, written half a second early or late.
    let rtc = std::fs::read_to_string("/sys/class/rtc/rtc0/since_epoch").unwrap();
    let rtc = Duration::from_secs(rtc.trim().parse().unwrap());
    assert!(truth.off(rtc) < 3.0, "{} s", truth.off(rtc));
    let kernel = Command::new("busybox").arg("adjtimex").output().unwrap();
    let kernel = String::from_utf8_lossy(&kernel.stdout).into_owned();
    let line = kernel.lines().find(|line| line.contains("status:")).unwrap_or_default();
    assert!(line.contains("PLL") && !line.contains("UNSYNC"), "{kernel}");
    child.kill().unwrap();
    child.wait().unwrap();

    // Another life of the worker is no boot: an hour more is not believed at once.
    truth.ahead.store(2 * AHEAD, Ordering::Relaxed);
    let mut child = start(&files.run);
    until("it doubts", || {
        let problem = status(&files.run).and_then(|status| status.problem);
        problem.is_some_and(|problem| problem.ends_with(": asking again"))
    });
    let found = status(&files.run).unwrap();
    assert!(!found.synchronised && found.steps == 0, "{found:?}");
    assert!(truth.off(clock()) > 3000.0, "{} s", truth.off(clock()));
    child.kill().unwrap();
    child.wait().unwrap();
}
