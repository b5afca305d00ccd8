//! Where one program runs: a network namespace with an empty table, and real servers that answer.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use director::ipvs::{Client, Command, ServerEntry, ServiceEntry, ServiceId};
use director_lab::namespace::Namespace;

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(240);
/// Between two looks: each takes the mutex of the table for a moment.
const LOOK: Duration = Duration::from_millis(2);

/// The namespace. A new one for each life of a program: servers deleted within the last minutes slow additions down.
pub struct Place {
    namespace: Namespace,
    client: Client,
    accepted: Arc<AtomicU64>,
}

impl Place {
    /// `eth0`, and all addresses of real servers on `lo`: whoever connects to their port 80 is accepted.
    pub fn new() -> Self {
        let namespace = Namespace::new("bench").unwrap();
        namespace.ip("link add eth0 type veth peer name cable").unwrap();
        namespace.ip("link set cable up").unwrap();
        namespace.ip("link set eth0 up").unwrap();
        namespace.ip("route add local 10.128.0.0/9 dev lo").unwrap();
        let listener = namespace.run(|| TcpListener::bind("0.0.0.0:80").unwrap()).unwrap();
        let accepted = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&accepted);
        // Ends with this process: nobody closes the listener before.
        std::thread::spawn(move || {
            for _ in listener.incoming() {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        let client = namespace.run(|| Client::connect().unwrap()).unwrap();
        Self { namespace, client, accepted }
    }

    /// The namespace.
    pub const fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Connections that the real servers have accepted.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// The whole table, sorted.
    pub fn table(&mut self) -> Vec<ServiceEntry> {
        let mut table = self.client.table().unwrap();
        table.sort_by_key(|entry| entry.id);
        table.iter_mut().for_each(|entry| entry.servers.sort_by_key(|server| server.address));
        table
    }

    /// How many services and servers there are.
    pub fn objects(&mut self) -> usize {
        self.table().iter().map(|entry| 1 + entry.servers.len()).sum()
    }

    /// Waits until the servers of `id` are as `fits` wants them, looking at them alone. Returns how long that took since `begun`.
    pub fn until_servers(
        &mut self,
        begun: Instant,
        id: ServiceId,
        fits: impl Fn(&[ServerEntry]) -> bool,
    ) -> Duration {
        while !fits(&self.client.servers(&id).unwrap()) {
            assert!(begun.elapsed() < PATIENCE, "the servers of {id} are not as they should be");
            std::thread::sleep(LOOK);
        }
        begun.elapsed()
    }

    /// Waits until service `id` is as `fits` wants it.
    pub fn until_service(
        &mut self,
        begun: Instant,
        id: ServiceId,
        fits: impl Fn(&ServiceEntry) -> bool,
    ) -> Duration {
        while !self.client.service(&id).unwrap().is_some_and(|entry| fits(&entry)) {
            assert!(begun.elapsed() < PATIENCE, "service {id} is not as it should be");
            std::thread::sleep(LOOK);
        }
        begun.elapsed()
    }
}

/// The kernel walks all namespaces for a table, and skips some of ours when services of another one vanish meanwhile
/// (ip_vs_genl_dump_services): they go now, not some time after the namespace.
impl Drop for Place {
    fn drop(&mut self) {
        let services = self.client.table().unwrap_or_default();
        let commands: Vec<_> = services.iter().map(|entry| Command::DeleteService(entry.id)).collect();
        let _ = self.client.apply(&commands);
    }
}

/// The table without what it counts.
pub fn bare(table: &[ServiceEntry]) -> String {
    director::lvs::state::State::of(table).to_string()
}
