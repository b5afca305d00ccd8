//! An image of the file into a partition, piece by piece, and both read again.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use sha2::{Digest, Sha256};

use super::bundle::Part;

/// Read and written at once, bytes.
const PIECE: usize = 1 << 20;

/// Goes over `part` of `from`, which begins at `start`, and gives each piece to `each`.
///
/// # Errors
/// "what failed: why"; also where it is not what its header says.
pub fn over(
    from: &mut File,
    start: u64,
    part: &Part,
    mut each: impl FnMut(&[u8]) -> Result<(), String>,
) -> Result<(), String> {
    from.seek(SeekFrom::Start(start)).map_err(|error| format!("read: {error}"))?;
    let (mut left, mut hash, mut piece) = (part.bytes, Sha256::new(), vec![0; PIECE]);
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let room = piece.get_mut(..most).unwrap_or_default();
        from.read_exact(room).map_err(|error| format!("read: {error}"))?;
        hash.update(&*room);
        each(room)?;
        left -= most as u64;
    }
    let found: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if found == part.sha256 { Ok(()) } else { Err("it is damaged: its checksum is another".to_owned()) }
}

/// That `part` fits into the partition `to`.
///
/// # Errors
/// "what failed: why".
pub fn fits(part: &Part, to: &mut File) -> Result<(), String> {
    let room = to.seek(SeekFrom::End(0)).map_err(|error| format!("find out its size: {error}"))?;
    if room < part.bytes {
        return Err(format!("{} bytes do not fit into the {room} of the partition", part.bytes));
    }
    Ok(())
}

/// Writes `part` of `from` to the beginning of `to`, and reads it back from the medium.
///
/// # Errors
/// "what failed: why".
pub fn copy(
    from: &mut File,
    start: u64,
    part: &Part,
    to: &mut File,
    mut told: impl FnMut(u64),
) -> Result<(), String> {
    let write = |error: io::Error| format!("write: {error}");
    to.seek(SeekFrom::Start(0)).map_err(write)?;
    over(from, start, part, |piece| {
        to.write_all(piece).map_err(write)?;
        told(piece.len() as u64);
        Ok(())
    })?;
    to.sync_all().map_err(write)?;
    // What is read back shall come from the medium, not from memory.
    let _ = posix_fadvise(&*to, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    over(to, 0, part, |piece| {
        told(piece.len() as u64);
        Ok(())
    })
    .map_err(|why| format!("what was written reads otherwise: {why}"))
}
