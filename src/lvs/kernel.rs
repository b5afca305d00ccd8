//! The kernel's side: the connection to IPVS.

use std::path::{Path, PathBuf};

use log::info;

use super::diff::diff;
use super::state::State;
use super::ways::is_way;
use crate::ipc::message::TableSize;
use crate::ipvs::codec::Timeouts;
use crate::ipvs::{Client, Command, Error, Failure, ServiceEntry};

/// The table of the network namespace of this process.
#[derive(Debug, Default)]
pub struct Kernel {
    client: Option<Client>,
    /// Says that the kernel was told to hurry, should this process not come to take that back.
    hurries: Option<PathBuf>,
    /// The services of [`super::ways`] as they were seen last, and made since.
    ways: State,
    /// Buckets of the table of connections.
    buckets: Option<u32>,
}

impl Kernel {
    /// Not connected yet. `hurries` is a file that outlives this process, and not the boot.
    #[must_use]
    pub fn new(hurries: PathBuf) -> Self {
        if hurries.exists() {
            drop(Expedited { mark: Some(hurries.clone()) });
        }
        Self { hurries: Some(hurries), ..Self::default() }
    }

    /// Reads the table without the ways of probes; connects first where that has not been done.
    ///
    /// # Errors
    /// [`Error`]; the next call connects anew.
    pub fn observe(&mut self) -> Result<Vec<ServiceEntry>, Error> {
        let table = self.client().and_then(Client::table).inspect_err(|_| self.client = None)?;
        let (ways, table): (Vec<_>, Vec<_>) = table.into_iter().partition(|entry| is_way(&entry.id));
        self.ways = State::of(&ways);
        Ok(table)
    }

    /// Makes the ways of probes those that are wanted.
    ///
    /// # Errors
    /// When it is not known what the kernel did.
    pub fn keep_ways(&mut self, wanted: &State) -> Result<Vec<Failure>, Error> {
        let commands = diff(&self.ways, wanted);
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let failures = self.apply(&commands)?;
        for command in &commands {
            if !failures.iter().any(|failure| failure.command == *command) {
                self.ways.apply(command);
            }
        }
        Ok(failures)
    }

    /// Sends commands; see [`Client::apply`].
    ///
    /// # Errors
    /// When it is not known what the kernel did.
    pub fn apply(&mut self, commands: &[Command]) -> Result<Vec<Failure>, Error> {
        let edits = commands.iter().any(|command| matches!(command, Command::EditService(..)));
        let _expedited = edits.then(|| Expedited::begin(self.hurries.as_deref()));
        let result = self.client().and_then(|client| client.apply(commands));
        if result.is_err() {
            self.client = None;
        }
        result
    }

    /// Sets the idle times of connections if they are others, and returns those that were.
    ///
    /// # Errors
    /// [`Error`]; the next call connects anew.
    pub fn keep_timeouts(&mut self, wanted: &Timeouts) -> Result<Option<Timeouts>, Error> {
        let result = self.client().and_then(|client| {
            let found = client.timeouts()?;
            if found == *wanted {
                return Ok(None);
            }
            client.set_timeouts(wanted)?;
            Ok(Some(found))
        });
        if result.is_err() {
            self.client = None;
        }
        result
    }

    /// How the table of connections differs from the size that the file wants, as a power of two; `None` where it does not, or
    /// where nobody knows.
    #[must_use]
    pub fn table_size(&self, wanted: Option<u8>) -> Option<TableSize> {
        let (buckets, next_boot) = (self.buckets.filter(|buckets| *buckets > 0)?, wanted?);
        let bits = u8::try_from(buckets.ilog2()).ok()?;
        (bits != next_boot).then_some(TableSize { bits, next_boot })
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
            self.buckets = Some(info.connection_buckets);
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
    /// What says so; `None` where it is somebody else's wish, which is left alone.
    mark: Option<PathBuf>,
}

impl Expedited {
    const SWITCH: &str = "/sys/kernel/rcu_expedited";

    fn begin(mark: Option<&Path>) -> Self {
        let off = std::fs::read_to_string(Self::SWITCH).is_ok_and(|value| value.trim() == "0");
        let mark = mark.filter(|mark| off && std::fs::write(mark, "").is_ok());
        let ours = mark.filter(|_| std::fs::write(Self::SWITCH, "1").is_ok());
        Self { mark: ours.map(Path::to_owned) }
    }
}

impl Drop for Expedited {
    fn drop(&mut self) {
        if let Some(mark) = &self.mark
            && std::fs::write(Self::SWITCH, "0").is_ok()
        {
            let _ = std::fs::remove_file(mark);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_size_of_the_table_is_told() {
        let kernel = Kernel { buckets: Some(1 << 18), ..Kernel::default() };
        assert_eq!(kernel.table_size(Some(20)), Some(TableSize { bits: 18, next_boot: 20 }));
        assert_eq!(kernel.table_size(Some(18)), None);
        assert_eq!(kernel.table_size(None), None, "by memory, which the boot knows");
        assert_eq!(Kernel::default().table_size(Some(20)), None);
    }
}
