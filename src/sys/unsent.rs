//! How much of what was written to a TCP connection the other side has not acknowledged.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

mod ioctl {
    // linux/sockios.h: SIOCOUTQ is TIOCOUTQ (tcp(7)).
    nix::ioctl_read_bad!(outq, nix::libc::TIOCOUTQ, nix::libc::c_int);
}

/// Bytes that wait in the kernel, or are under way, without an acknowledgement.
///
/// # Errors
/// It is no TCP socket.
pub fn unsent(socket: &impl AsFd) -> io::Result<u64> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open for as long as it is borrowed, and the kernel writes one int to where we point.
    unsafe { ioctl::outq(socket.as_fd().as_raw_fd(), &raw mut bytes) }?;
    Ok(u64::try_from(bytes).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn what_the_other_side_has_is_sent() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        near.write_all(b"line").unwrap();
        far.read_exact(&mut [0; 4]).unwrap();
        let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while unsent(&near).unwrap() > 0 {
            assert!(std::time::Instant::now() < end);
        }
        // Nobody reads: what no longer fits there stays here.
        near.set_nonblocking(true).unwrap();
        while near.write(&[0; 65536]).is_ok() {}
        assert!(unsent(&near).unwrap() > 0);
        assert!(unsent(&std::fs::File::open("/dev/null").unwrap()).is_err());
    }
}
