//! What the boot loader told the kernel, of concern to this role.

use std::time::Duration;

use crate::units::parse_duration;

/// How this boot is wanted: `director.mode=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// By the operator's file.
    #[default]
    Normal,
    /// By the built-in configuration, for one start: chosen at the boot menu, or asked for while the box ran.
    Safe,
    /// By the built-in configuration: no slot came up.
    Rescue,
    /// As delivered: the operator's file and all that was kept are erased.
    Reset,
}

/// The words of the kernel's command line that concern this role.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KernelArgs {
    /// `director.mode=`.
    pub mode: Mode,
    /// `director.slot=`: `A` or `B`.
    pub slot: Option<char>,
    /// `director.disk=`: the boot disk by its kernel name, where the root file system is not on it.
    pub disk: Option<String>,
    /// `director.trial=`: how long after the start of the kernel a slot on trial may take to prove itself, as `90s`; each firmware
    /// brings its own in its `slot.cfg`.
    pub trial: Option<Duration>,
}

impl KernelArgs {
    /// Reads /proc/cmdline's text. The last of several words counts; unknown values are as if absent.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut args = Self::default();
        for word in text.split_ascii_whitespace() {
            match word.split_once('=') {
                Some(("director.mode", "safe")) => args.mode = Mode::Safe,
                Some(("director.mode", "rescue")) => args.mode = Mode::Rescue,
                Some(("director.mode", "reset")) => args.mode = Mode::Reset,
                Some(("director.mode", _)) => args.mode = Mode::Normal,
                Some(("director.slot", "A")) => args.slot = Some('A'),
                Some(("director.slot", "B")) => args.slot = Some('B'),
                Some(("director.disk", disk)) => {
                    args.disk = Some(disk.trim_start_matches("/dev/").to_owned())
                }
                Some(("director.trial", time)) => args.trial = parse_duration(time).ok(),
                _ => {}
            }
        }
        args
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_words_count() {
        let args = KernelArgs::parse(
            "console=ttyS0 director.slot=B director.mode=safe director.disk=/dev/vda director.trial=90s quiet\n",
        );
        let (disk, trial) = (Some("vda".to_owned()), Some(Duration::from_secs(90)));
        assert_eq!(args, KernelArgs { mode: Mode::Safe, slot: Some('B'), disk, trial });
        assert_eq!(KernelArgs::parse("director.slot=C director.mode="), KernelArgs::default());
    }
}
