//! The size of a terminal.

use std::os::fd::{AsFd, AsRawFd};

nix::ioctl_read_bad!(
    /// `TIOCGWINSZ` (`asm-generic/ioctls.h`).
    get_window,
    nix::libc::TIOCGWINSZ,
    nix::libc::winsize
);

/// Columns and lines; `None` where the kernel does not know them: of a serial line it never does.
pub fn window(terminal: &impl AsFd) -> Option<(u16, u16)> {
    let mut size = nix::libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the descriptor is open for the call, and the kernel writes one `winsize` to where one is.
    unsafe { get_window(terminal.as_fd().as_raw_fd(), &raw mut size) }.ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
}
