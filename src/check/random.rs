//! Random bytes that a server cannot guess.

use std::io;

use ring::rand::{SecureRandom, SystemRandom};

/// As many as are asked for.
///
/// # Errors
/// The kernel gives none.
pub fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("the kernel gives no random bytes"))?;
    Ok(bytes)
}
