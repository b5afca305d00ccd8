//! What the kernel complains about, for the same ring as our own lines (kernel: Documentation/ABI/testing/dev-kmsg).

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

/// Records of this severity and worse are kept: warnings.
const WORST_OF: u8 = 4;
/// Records of this severity and worse are shown on the consoles at once.
pub const CRITICAL: u8 = 2;
/// So many of them are kept for that.
pub const URGENT: usize = 4;
/// Records read in one turn of the loop.
const READS_PER_TURN: usize = 32;

/// The kernel's log, read without waiting.
#[derive(Debug)]
pub struct KernelLog(File);

impl KernelLog {
    /// From the oldest record that the kernel still has.
    ///
    /// # Errors
    /// Before `/dev` exists.
    pub fn open() -> io::Result<Self> {
        OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg").map(Self)
    }

    /// Complaints of the kernel since the last call, with their severities.
    pub fn read(&mut self) -> Vec<(u8, String)> {
        let mut found = Vec::new();
        let mut record = [0; 8192];
        for _ in 0..READS_PER_TURN {
            match self.0.read(&mut record) {
                Ok(0) => break,
                Ok(n) => found.extend(record.get(..n).and_then(complaint)),
                // Records were overwritten before we came: go on with the oldest that is left.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                Err(_) => break,
            }
        }
        found
    }
}

impl AsFd for KernelLog {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// `priority,sequence,microseconds,flags;text\n key=value…` from facility 0, the kernel itself.
fn complaint(record: &[u8]) -> Option<(u8, String)> {
    let text = String::from_utf8_lossy(record);
    let (head, rest) = text.split_once(';')?;
    let priority: u32 = head.split(',').next()?.parse().ok()?;
    let severity = u8::try_from(priority).ok().filter(|severity| *severity <= WORST_OF)?;
    Some((severity, rest.lines().next()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_kernels_complaints_are_kept() {
        let warning = b"4,339,5140900,-;NET: Registered protocol\n SUBSYSTEM=x\n";
        assert_eq!(complaint(warning), Some((4, "NET: Registered protocol".to_owned())));
        assert_eq!(complaint(b"6,1,2,-;info\n"), None);
        assert_eq!(complaint(b"28,1,2,-;director[vrrp]: our own warning\n"), None);
        assert_eq!(complaint(b"nonsense"), None);
    }
}
