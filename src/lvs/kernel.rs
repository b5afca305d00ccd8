//! The kernel's side: the connection to IPVS, and the sysctls that it obeys.

use std::path::Path;

use log::{info, warn};

use crate::ipvs::{Client, Command, Error, Failure, ServiceEntry};

/// What a director wants of `/proc/sys/net/ipv4/vs`, each with its reason.
const SYSCTLS: &[(&str, &str)] = &[
    // A connection to a server that was removed ends with its next packet; otherwise its packets vanish until the client
    // gives up.
    ("expire_nodest_conn", "1"),
    // A persistent client leaves a server that was quiesced; otherwise it is sent there until its template expires.
    ("expire_quiescent_template", "1"),
    // A client that uses a port again is a new connection: also in FIN_WAIT, the last state that a DR director sees.
    ("conn_reuse_mode", "2"),
];

/// The table of the network namespace of this process.
#[derive(Debug, Default)]
pub struct Kernel {
    client: Option<Client>,
}

impl Kernel {
    /// Reads the whole table; connects first where that has not been done.
    ///
    /// # Errors
    /// [`Error`]; the next call connects anew.
    pub fn observe(&mut self) -> Result<Vec<ServiceEntry>, Error> {
        let result = self.client().and_then(Client::table);
        if result.is_err() {
            self.client = None;
        }
        result
    }

    /// Sends commands; see [`Client::apply`].
    ///
    /// # Errors
    /// When it is not known what the kernel did.
    pub fn apply(&mut self, commands: &[Command]) -> Result<Vec<Failure>, Error> {
        let edits = commands.iter().any(|command| matches!(command, Command::EditService(..)));
        let _expedited = edits.then(Expedited::begin);
        let result = self.client().and_then(|client| client.apply(commands));
        if result.is_err() {
            self.client = None;
        }
        result
    }

    fn client(&mut self) -> Result<&mut Client, Error> {
        if self.client.is_none() {
            let mut client = Client::connect()?;
            let info = client.info()?;
            let [_, major, minor, patch] = info.version.to_be_bytes();
            info!(
                "ipvs found: version={major}.{minor}.{patch} connection_buckets={}",
                info.connection_buckets
            );
            set_sysctls(Path::new("/proc/sys/net/ipv4/vs"));
            self.client = Some(client);
        }
        self.client.as_mut().ok_or(Error::Unavailable)
    }
}

/// While this lives the kernel hurries through its grace periods (Documentation/RCU, rcu_expedited).
///
/// When a service gets another scheduler the kernel takes the old one away, waits for a grace period, and then sets the new
/// one (ip_vs_edit_service). New connections in between are refused: for some 10 ms as a rule, for some 10 µs so.
struct Expedited {
    /// Somebody else's wish is left alone.
    ours: bool,
}

impl Expedited {
    const SWITCH: &str = "/sys/kernel/rcu_expedited";

    fn begin() -> Self {
        let off = std::fs::read_to_string(Self::SWITCH).is_ok_and(|value| value.trim() == "0");
        Self { ours: off && std::fs::write(Self::SWITCH, "1").is_ok() }
    }
}

impl Drop for Expedited {
    fn drop(&mut self) {
        if self.ours {
            let _ = std::fs::write(Self::SWITCH, "0");
        }
    }
}

fn set_sysctls(folder: &Path) {
    for (name, value) in SYSCTLS {
        let path = folder.join(name);
        let current = std::fs::read_to_string(&path);
        if current.is_ok_and(|current| current.trim() == *value) {
            continue;
        }
        if let Err(error) = std::fs::write(&path, value) {
            warn!("cannot set sysctl: {}={value}: {error}", path.display());
        }
    }
}
