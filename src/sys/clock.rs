//! The kernel's clock and the RTC.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use nix::libc::{self, c_int};

/// Where the RTC is.
const RTC: &str = "/dev/rtc0";
/// linux/rtc.h: `_IOW('p', 0x0a, struct rtc_time)`.
const RTC_SET_TIME: libc::c_ulong = 0x4024_700a;

/// linux/rtc.h: `struct rtc_time`.
#[repr(C)]
struct RtcTime {
    tm_sec: c_int,
    tm_min: c_int,
    tm_hour: c_int,
    tm_mday: c_int,
    tm_mon: c_int,
    tm_year: c_int,
    tm_wday: c_int,
    tm_yday: c_int,
    tm_isdst: c_int,
}

/// Adds `offset_us` microseconds to CLOCK_REALTIME at once (`ADJ_SETOFFSET`). Needs CAP_SYS_TIME.
///
/// # Errors
/// The kernel refuses.
pub fn step(offset_us: i64) -> io::Result<()> {
    adjust(|timex| {
        timex.modes = libc::ADJ_SETOFFSET | libc::ADJ_NANO;
        // The fraction is not negative: a tenth of a second back is a second back and nine tenths forward.
        timex.time.tv_sec = offset_us.div_euclid(1_000_000);
        timex.time.tv_usec = offset_us.rem_euclid(1_000_000) * 1000;
    })
}

/// Has the kernel's loop make up for `offset_us` microseconds, at most half a second, and marks the clock as synchronised.
/// `constant` is that of the loop, 0..=10. Needs CAP_SYS_TIME.
///
/// # Errors
/// The kernel refuses.
pub fn slew(offset_us: i64, constant: i64) -> io::Result<()> {
    adjust(|timex| {
        timex.modes = libc::ADJ_STATUS
            | libc::ADJ_NANO
            | libc::ADJ_OFFSET
            | libc::ADJ_TIMECONST
            | libc::ADJ_MAXERROR
            | libc::ADJ_ESTERROR;
        timex.status = libc::STA_PLL;
        timex.offset = offset_us.clamp(-500_000, 500_000) * 1000;
        timex.constant = constant.clamp(0, 10);
        timex.maxerror = 0;
        timex.esterror = 0;
    })
}

fn adjust(fill: impl FnOnce(&mut libc::timex)) -> io::Result<()> {
    // SAFETY: `timex` is made of integers, for which zeroes are values.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    fill(&mut timex);
    // SAFETY: the call reads and writes a `timex`, which lives here.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    if state < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Writes the RTC, in UTC.
///
/// # Errors
/// There is none, or the kernel refuses.
pub fn set_rtc(seconds: u64) -> io::Result<()> {
    let device = File::open(RTC)?;
    let time = seconds.try_into().map_err(io::Error::other)?;
    // SAFETY: `tm` is made of integers and a pointer, for which zeroes are values.
    let mut tm: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: the call reads a `time_t` and writes a `tm`, which live here.
    if unsafe { libc::gmtime_r(&raw const time, &raw mut tm) }.is_null() {
        return Err(io::Error::from_raw_os_error(libc::ERANGE));
    }
    let rtc = RtcTime {
        tm_sec: tm.tm_sec,
        tm_min: tm.tm_min,
        tm_hour: tm.tm_hour,
        tm_mday: tm.tm_mday,
        tm_mon: tm.tm_mon,
        tm_year: tm.tm_year,
        tm_wday: tm.tm_wday,
        tm_yday: tm.tm_yday,
        tm_isdst: 0,
    };
    // SAFETY: the request reads a `struct rtc_time`, which `rtc` is laid out as and which lives until the call returns.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), RTC_SET_TIME as _, &raw const rtc) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
