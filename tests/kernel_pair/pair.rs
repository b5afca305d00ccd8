//! Two Directors, two real servers and a client on one segment, all in namespaces of one kernel that has IPVS.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use director::ipc::client;
use director::ipc::message::{Reply, Request, RouterState, RouterStatus, ServiceStatus, Status, VrrpStatus};
use director::paths::RunDir;
use director::role::Role;
use director_lab::command;
use director_lab::prober::{Prober, Report};
use director_lab::segment::{Host, Segment};
use director_lab::server::RealServer;

/// The VIP.
pub const VIP: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(10, 78, 0, 100)), 80);

/// How long anything may take that is awaited: guests are emulated.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How often the client asks, and how long it waits for one answer. TCP repairs a lost packet within it: only a request
/// that is refused, reset or never answered is lost.
const CADENCE: Duration = Duration::from_millis(40);
const PATIENCE_OF_A_CLIENT: Duration = Duration::from_secs(5);

/// Why these tests cannot run here, if they cannot.
pub fn hindrance() -> Option<String> {
    if let Err(why) = director_lab::preflight::namespaces() {
        return Some(format!("{why:#}"));
    }
    let has_ipvs = std::path::Path::new("/proc/net/ip_vs").exists();
    let must = std::env::var_os("DIRECTOR_KERNEL_TEST").is_some();
    (!has_ipvs && !must)
        .then(|| "this kernel has no IPVS (/proc/net/ip_vs): `cargo image test --only kernel`".into())
}

/// One `director run` in a namespace.
pub struct Director {
    pub host: Host,
    pub run: RunDir,
    pub config: PathBuf,
    child: Child,
}

/// The whole.
pub struct Pair {
    pub master: Director,
    pub backup: Director,
    pub client: Host,
    pub servers: Vec<RealServer>,
    services: String,
    // Last, because it must outlive the others' cables.
    segment: Segment,
    folder: tempfile::TempDir,
}

/// How the first box is made; the other has less priority.
const FIRST: (&str, &str, u8) = ("lb1", "10.78.0.11/24", 150);

impl Pair {
    /// Sets everything up and waits until the master is master and every real server is in its table.
    pub fn start(services: &str) -> Pair {
        let segment = Segment::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let client = segment.host("client", "10.78.0.1/24").unwrap();
        let servers = ["web1", "web2", "web3"].iter().zip(21..).map(|(name, last)| {
            let host = segment.host(name, &format!("10.78.0.{last}/24")).unwrap();
            host.accept_vip(VIP.ip()).unwrap();
            RealServer::start(&host, SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), VIP.port())).unwrap()
        });
        let servers = servers.collect();
        let start = |name, address, priority| {
            Director::start(&segment, folder.path(), name, address, priority, services)
        };
        let (name, address, priority) = FIRST;
        let (master, backup) = (start(name, address, priority), start("lb2", "10.78.0.12/24", 100));
        let pair = Pair { master, backup, client, servers, services: services.to_owned(), segment, folder };
        pair.settle();
        pair
    }

    /// Waits until the roles are as the priorities say and the master's table is complete.
    pub fn settle(&self) {
        until("lb1 is master", || self.master.router().state == RouterState::Master);
        until("lb2 is backup", || self.backup.router().state == RouterState::Backup);
        until("every server is in the table", || {
            self.master.service().servers.iter().all(|server| server.kernel_weight == Some(server.weight))
        });
    }

    /// Ends the first box as a cut of the power does: the segment hears nothing of it any more, no process has a word.
    pub fn cut_power(&mut self) {
        self.segment.cable(&self.master.host, false).unwrap();
        self.master.kill();
    }

    /// The first box boots anew: nothing is left of what it knew, in its kernel or in its memory.
    pub fn power_on(&mut self) {
        std::fs::remove_dir_all(self.folder.path().join(FIRST.0)).unwrap();
        let (name, address, priority) = FIRST;
        // A namespace of its own, with another table and other daemons.
        self.master =
            Director::start(&self.segment, self.folder.path(), name, address, priority, &self.services);
    }

    /// A client under way, once its first requests are answered.
    pub fn load(&self) -> Prober {
        let begun = Instant::now();
        let prober = Prober::with_patience(&self.client, VIP, CADENCE, PATIENCE_OF_A_CLIENT).unwrap();
        prober.wait(begun, PATIENCE, |report| report.answers().values().sum::<usize>() >= 10).unwrap();
        prober
    }
}

impl Director {
    fn start(
        segment: &Segment,
        folder: &std::path::Path,
        name: &str,
        address: &str,
        priority: u8,
        services: &str,
    ) -> Director {
        let host = segment.host(name, address).unwrap();
        let (config, run) = (folder.join(format!("{name}.toml")), folder.join(name));
        std::fs::create_dir(&run).unwrap();
        let text = format!(
            "version = 1\n[system]\nhostname = \"{name}\"\n[[interface]]\nname = \"eth0\"\naddresses = [\"{address}\"]\n\
             [[vrrp]]\nname = \"VI_1\"\ninterface = \"eth0\"\nvrid = 78\npriority = {priority}\ninterval = \"1s\"\n\
             addresses = [\"{}/32\"]\n{services}",
            VIP.ip()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = command::bound(&binary());
        command.args(["run", "--config"]).arg(&config).arg("--run-dir").arg(&run);
        let child = host.namespace().run(move || command.spawn()).unwrap().unwrap();
        Director { host, run: RunDir::new(run), config, child }
    }

    /// Nobody of it gets another word.
    fn kill(&mut self) {
        let mut pids = vec!["-KILL".to_owned(), self.child.id().to_string()];
        if let Some(Status::Init(status)) = self.status(Role::Init) {
            pids.extend(status.workers.iter().filter_map(|worker| worker.pid).map(|pid| pid.to_string()));
        }
        // A worker may have ended with its supervisor already.
        let _ = command::output("kill", &pids);
        self.child.wait().unwrap();
    }

    /// Changes the file by `edit` and asks for it to be read again; waits until every worker has it.
    pub fn reload(&self, edit: impl Fn(&str) -> String) {
        let before = std::fs::read_to_string(&self.config).unwrap();
        let after = edit(&before);
        assert_ne!(before, after, "the edit changes nothing");
        std::fs::File::create(&self.config).and_then(|mut file| file.write_all(after.as_bytes())).unwrap();
        let generation = self.generation();
        client::ask(&self.run, Role::Store, &Request::Reload, Duration::from_secs(10)).unwrap();
        until("lvs runs the new configuration", || self.generation() > generation);
    }

    fn generation(&self) -> u64 {
        match self.status(Role::Lvs) {
            Some(Status::Lvs(status)) => status.generation,
            _ => 0,
        }
    }

    /// The one virtual router.
    pub fn router(&self) -> RouterStatus {
        let mut found = None;
        until("vrrp tells its status", || {
            if let Some(Status::Vrrp(status)) = self.status(Role::Vrrp) {
                found = status.instances.into_iter().next();
            }
            found.is_some()
        });
        found.unwrap()
    }

    /// All that `vrrp` tells.
    pub fn vrrp(&self) -> VrrpStatus {
        let mut found = None;
        until("vrrp tells its status", || {
            if let Some(Status::Vrrp(status)) = self.status(Role::Vrrp) {
                found = Some(status);
            }
            found.is_some()
        });
        found.unwrap()
    }

    /// The one service.
    pub fn service(&self) -> ServiceStatus {
        let mut found = None;
        until("lvs tells its status", || {
            if let Some(Status::Lvs(status)) = self.status(Role::Lvs) {
                found = status.services.into_iter().next();
            }
            found.is_some()
        });
        found.unwrap()
    }

    /// The process id of a worker that runs.
    pub fn pid(&self, role: Role) -> Option<u32> {
        let Some(Status::Init(status)) = self.status(Role::Init) else { return None };
        status.workers.iter().find(|worker| worker.role == role)?.pid
    }

    fn status(&self, role: Role) -> Option<Status> {
        match client::ask(&self.run, role, &Request::Status, Duration::from_secs(5)) {
            Ok(Reply::Status { status }) => Some(*status),
            _ => None,
        }
    }

    /// What the kernel's table is, as ipvsadm prints it.
    pub fn table(&self) -> String {
        self.host
            .namespace()
            .run(|| command::output("ipvsadm", &["-Ln"]))
            .unwrap()
            .unwrap_or_else(|error| format!("{error:#}"))
    }
}

impl Drop for Director {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // SIGKILL would leave the workers behind; the test's guest ends them all in any case.
        let _ = command::output("kill", &["-TERM".to_owned(), self.child.id().to_string()]);
        let _ = self.child.wait();
    }
}

fn binary() -> String {
    std::env::var("DIRECTOR_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_director").into())
}

/// Waits until `holds`.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Nothing was lost.
pub fn assert_unharmed(report: &Report, what: &str) {
    assert!(report.samples.len() >= 20, "{what}: too few requests to tell: {report}");
    let lost: Vec<String> = report.lost().map(|sample| format!("{:?}", sample.answer)).collect();
    assert!(lost.is_empty(), "{what}: {report}: {lost:?}");
    let slowest = report.samples.iter().map(|sample| sample.done - sample.asked).max().unwrap_or_default();
    println!("{what}: {report}; the slowest took {slowest:?}");
}
