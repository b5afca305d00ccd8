//! Entropy for the kernel's random number generator.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use nix::libc::{self, c_int};

/// Largest seed, in bytes.
pub const LARGEST_SEED: usize = 512;

/// linux/random.h: `_IOW('R', 0x03, int[2])`, then as many bytes as `buf_size` says.
const RNDADDENTROPY: libc::c_ulong = 0x4008_5203;

#[repr(C)]
struct RandPoolInfo {
    entropy_count: c_int,
    buf_size: c_int,
    buf: [u8; LARGEST_SEED],
}

/// Mixes `seed` into the generator and credits eight bits for each of its bytes: so only for a real, secret seed, used once.
/// What is longer than [`LARGEST_SEED`] is left out. Needs CAP_SYS_ADMIN.
///
/// # Errors
/// The device cannot be opened, or the kernel refuses.
pub fn add_entropy(seed: &[u8]) -> io::Result<()> {
    let seed = seed.get(..LARGEST_SEED).unwrap_or(seed);
    let size = c_int::try_from(seed.len()).map_err(io::Error::other)?;
    let mut info = RandPoolInfo { entropy_count: size * 8, buf_size: size, buf: [0; LARGEST_SEED] };
    if let Some(buf) = info.buf.get_mut(..seed.len()) {
        buf.copy_from_slice(seed);
    }
    let device = File::options().write(true).open("/dev/urandom")?;
    // SAFETY: the request takes a pointer to a `rand_pool_info` of at least `buf_size` bytes of `buf`, which it only reads;
    // `info` is one, lives until the call returns, and `buf_size` is no more than its `buf`.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), RNDADDENTROPY as _, &raw const info) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
