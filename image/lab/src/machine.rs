//! What a guest is made of, before its power is on.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// What a guest boots from.
#[derive(Debug, Clone)]
pub enum Boot {
    /// This disk, through SeaBIOS. The guest writes to it: give it a copy.
    Bios(PathBuf),
    /// This disk, through OVMF with fresh variables. The guest writes to it: give it a copy.
    Uefi(PathBuf),
    /// A kernel without firmware or boot loader, with a read-only root file system.
    Kernel {
        /// The kernel, a bzImage.
        kernel: PathBuf,
        /// The root file system's image: /dev/vda.
        root: PathBuf,
        /// The kernel's command line; serial console and root are added.
        append: String,
    },
}

/// A network card.
#[derive(Debug, Clone)]
pub struct Nic {
    /// What it is plugged into.
    pub network: Network,
    /// The MAC address, as `52:54:00:00:00:01`.
    pub mac: String,
}

/// What a network card is plugged into.
#[derive(Debug, Clone)]
pub enum Network {
    /// A tap, by its name in the namespace in which the guest is started: [`crate::segment::Segment::tap`].
    Tap(String),
    /// QEMU's own: DHCP, a way out as this user, no way in.
    User,
}

/// A machine: 64 bit PC, one CPU, software emulation, hardware watchdog, entropy source.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Its name: in messages, and of its serial log `target/lab/NAME.serial.log`.
    pub name: String,
    /// What it boots from.
    pub boot: Boot,
    /// Memory in MiB.
    pub memory: u32,
    /// Network cards, in the order of `eth0`, `eth1`, …
    pub nics: Vec<Nic>,
    /// Images of USB sticks that are plugged in. The guest may write to them.
    pub usb: Vec<PathBuf>,
    /// Whether sticks can be plugged in while it runs: [`crate::qmp::Qmp::plug_in`].
    pub usb_socket: bool,
    /// Whether the first serial line can be hung up: [`crate::serial::Serial::hang_up`].
    pub hangs_up: bool,
    /// Whether a reboot of the guest ends QEMU instead.
    pub stop_at_reboot: bool,
    /// A second serial line (ttyS1), if wanted.
    pub second_serial: bool,
    /// Where a journal is kept of what the guest tells its disk ([`crate::cut`]); only with [`Boot::Bios`].
    pub journal: Option<PathBuf>,
}

impl Machine {
    /// A machine with 256 MiB and nothing plugged in.
    pub fn new(name: &str, boot: Boot) -> Machine {
        let (nics, usb) = (Vec::new(), Vec::new());
        Machine {
            name: name.to_owned(),
            boot,
            memory: 256,
            nics,
            usb,
            usb_socket: false,
            hangs_up: false,
            stop_at_reboot: false,
            second_serial: false,
            journal: None,
        }
    }

    /// Adds a network card.
    pub fn nic(mut self, network: Network, mac: &str) -> Machine {
        self.nics.push(Nic { network, mac: mac.to_owned() });
        self
    }

    /// QEMU's arguments, apart from those for serial lines and control channel. OVMF's variables are put into `folder`.
    ///
    /// # Errors
    /// When OVMF is missing.
    pub fn arguments(&self, folder: &Path) -> Result<Vec<String>> {
        Ok([self.hardware(), self.boot_arguments(folder)?].concat())
    }

    fn hardware(&self) -> Vec<String> {
        // KVM is not the default because where it exists without working, QEMU hangs or dies instead of saying so.
        let accel = std::env::var("DIRECTOR_ACCEL").unwrap_or_else(|_| "tcg".into());
        let cpu = if accel == "kvm" { "host" } else { "max" };
        let memory = self.memory.to_string();
        let mut words: Vec<String> = [
            ["-M", "q35"],
            ["-accel", &accel],
            ["-cpu", cpu],
            ["-smp", "1"],
            ["-m", &memory],
            ["-display", "none"],
            ["-monitor", "none"],
            ["-device", "i6300esb"],
            ["-action", "watchdog=reset"],
            ["-device", "virtio-rng-pci"],
        ]
        .concat()
        .into_iter()
        .map(str::to_owned)
        .collect();
        words.extend(["-nodefaults", "-no-user-config", "-vga", "std"].map(str::to_owned));
        if self.stop_at_reboot {
            words.push("-no-reboot".into());
        }
        if self.nics.is_empty() {
            words.extend(["-nic".into(), "none".into()]);
        }
        for (at, nic) in self.nics.iter().enumerate() {
            let network = match &nic.network {
                Network::Tap(name) => format!("tap,id=n{at},ifname={name},script=no,downscript=no"),
                Network::User => format!("user,id=n{at}"),
            };
            words.extend(["-netdev".into(), network]);
            words.extend(["-device".into(), format!("virtio-net-pci,netdev=n{at},mac={},romfile=", nic.mac)]);
        }
        if self.usb_socket || !self.usb.is_empty() {
            words.extend(["-device".into(), "qemu-xhci".into()]);
        }
        for (at, stick) in self.usb.iter().enumerate() {
            words.extend(["-drive".into(), format!("if=none,id=u{at},format=raw,file={}", stick.display())]);
            words.extend(["-device".into(), format!("usb-storage,drive=u{at},removable=on")]);
        }
        words
    }

    fn boot_arguments(&self, folder: &Path) -> Result<Vec<String>> {
        let disk = |path: &Path, more: &str| format!("if=virtio,format=raw,file={}{more}", path.display());
        Ok(match &self.boot {
            Boot::Bios(path) => match &self.journal {
                Some(journal) => journalled(path, journal)?,
                None => vec!["-drive".into(), disk(path, ",cache=unsafe")],
            },
            Boot::Uefi(path) => {
                let variables = folder.join("OVMF_VARS.fd");
                std::fs::copy(OVMF_VARIABLES, &variables)
                    .with_context(|| format!("copying {OVMF_VARIABLES}: apt-get install ovmf"))?;
                let flash = |unit, file: &Path, more| {
                    format!("if=pflash,format=raw,unit={unit},file={}{more}", file.display())
                };
                vec![
                    "-drive".into(),
                    flash(0, Path::new(OVMF_CODE), ",readonly=on"),
                    "-drive".into(),
                    flash(1, &variables, ""),
                    "-drive".into(),
                    disk(path, ",cache=unsafe"),
                ]
            }
            Boot::Kernel { kernel, root, append } => vec![
                "-kernel".into(),
                kernel.display().to_string(),
                "-drive".into(),
                disk(root, ",readonly=on"),
                "-append".into(),
                format!("console=ttyS0,115200 root=/dev/vda ro panic=-1 {append}"),
            ],
        })
    }
}

/// The guest sees a disk with a cache, so it flushes; the host's own disk is not kept waiting by that.
fn journalled(disk: &Path, journal: &Path) -> Result<Vec<String>> {
    std::fs::File::create(journal).with_context(|| format!("writing {}", journal.display()))?;
    let node = |name: &str, path: &Path| {
        format!("{name}.driver=file,{name}.filename={},{name}.cache.no-flush=on", path.display())
    };
    let filter =
        format!("driver=blklogwrites,node-name=disk,{},{}", node("file", disk), node("log", journal));
    Ok(vec!["-blockdev".into(), filter, "-device".into(), "virtio-blk-pci,drive=disk,bootindex=0".into()])
}

const OVMF_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
const OVMF_VARIABLES: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";
