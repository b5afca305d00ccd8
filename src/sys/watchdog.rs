//! Control of a hardware watchdog (kernel: Documentation/watchdog/watchdog-api.rst, include/uapi/linux/watchdog.h).

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// struct watchdog_info.
#[repr(C)]
#[derive(Clone, Copy)]
struct Info {
    options: u32,
    firmware_version: u32,
    identity: [u8; 32],
}

mod ioctl {
    use super::Info;
    nix::ioctl_read!(get_support, b'W', 0, Info);
    nix::ioctl_read!(get_boot_status, b'W', 2, libc::c_int);
    nix::ioctl_read!(set_options, b'W', 4, libc::c_int);
    nix::ioctl_readwrite!(set_timeout, b'W', 6, libc::c_int);
}

/// What the driver calls itself.
///
/// # Errors
/// When `device` is no watchdog.
pub fn identity(device: &File) -> io::Result<String> {
    let mut info = Info { options: 0, firmware_version: 0, identity: [0; 32] };
    // SAFETY: the kernel writes one `Info`, which outlives the call.
    unsafe { ioctl::get_support(device.as_raw_fd(), &raw mut info) }?;
    let name: Vec<u8> = info.identity.iter().take_while(|byte| **byte != 0).copied().collect();
    Ok(String::from_utf8_lossy(&name).into_owned())
}

/// Whether the last reset was the watchdog's (WDIOF_CARDRESET).
///
/// # Errors
/// When the driver does not know.
pub fn caused_last_reset(device: &File) -> io::Result<bool> {
    const CARD_RESET: libc::c_int = 0x20;
    let mut flags: libc::c_int = 0;
    // SAFETY: the kernel writes one int, which outlives the call.
    unsafe { ioctl::get_boot_status(device.as_raw_fd(), &raw mut flags) }?;
    Ok(flags & CARD_RESET != 0)
}

/// Asks for a timeout of `seconds`; returns the one that the hardware took.
///
/// # Errors
/// When the driver cannot set one.
pub fn set_timeout(device: &File, seconds: i32) -> io::Result<i32> {
    let mut seconds: libc::c_int = seconds;
    // SAFETY: the kernel reads and writes one int, which outlives the call.
    unsafe { ioctl::set_timeout(device.as_raw_fd(), &raw mut seconds) }?;
    Ok(seconds)
}

/// Stops it (WDIOS_DISABLECARD).
///
/// # Errors
/// When the kernel was built never to (CONFIG_WATCHDOG_NOWAYOUT), or the hardware cannot.
pub fn disable(device: &File) -> io::Result<()> {
    let mut stop: libc::c_int = 1;
    // SAFETY: the kernel reads one int, whatever the direction in the ioctl's number says; it outlives the call.
    unsafe { ioctl::set_options(device.as_raw_fd(), &raw mut stop) }?;
    Ok(())
}
