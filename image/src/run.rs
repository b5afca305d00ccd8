//! `cargo image run`: one box in QEMU, with its serial console on the user's terminal.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{WrongUse, build, setup};
use director_lab::machine::{Boot, Machine, Network};
use director_lab::{disk, guest, scratch};

/// What to boot and with what plugged in.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Put this file as director.toml onto the operator's partition
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Boot through UEFI firmware instead of a BIOS
    #[arg(long)]
    uefi: bool,
    /// Plug in a USB stick: an image, or a .toml file that becomes the director.toml on it; may be given several times
    #[arg(long, value_name = "FILE")]
    usb: Vec<PathBuf>,
    /// Memory in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(96..=65536))]
    memory: u32,
    /// Use this tap for eth0 instead of QEMU's own network (which has DHCP and a way out, but no way in)
    #[arg(long, value_name = "NAME")]
    tap: Option<String>,
    /// Boot this disk image instead of building one; it is not written to
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
}

/// Boots a copy of the image, so that nothing that happens in the box changes what was built.
///
/// # Errors
/// A file is missing, the image cannot be built, or QEMU fails.
pub fn run(args: &Args) -> Result<()> {
    if let Some(file) = args.config.iter().chain(&args.usb).chain(&args.image).find(|file| !file.is_file()) {
        bail!(WrongUse(format!("{}: no such file", file.display())));
    }
    setup::ensure()?;
    guest::installed()?;
    let image = args.image.clone().map_or_else(build::image, Ok)?;
    let folder = scratch::folder("run")?;
    let machine = machine(args, &image, folder.path())?;
    eprintln!("The box's serial console follows. Ctrl-A X ends it, Ctrl-A H shows more keys of QEMU.");
    let status = Command::new("qemu-system-x86_64")
        .args(machine.arguments(folder.path())?)
        .args([
            "-chardev",
            "stdio,id=terminal,mux=on,signal=off",
            "-serial",
            "chardev:terminal",
            "-mon",
            "chardev=terminal",
        ])
        .status()
        .context("starting qemu-system-x86_64")?;
    if !status.success() {
        bail!("QEMU: {status}");
    }
    Ok(())
}

fn machine(args: &Args, image: &Path, folder: &Path) -> Result<Machine> {
    let copy = folder.join("disk.img");
    disk::copy(image, &copy)?;
    if let Some(file) = &args.config {
        disk::put_config(&copy, file, "director.toml")?;
    }
    let boot = if args.uefi { Boot::Uefi(copy) } else { Boot::Bios(copy) };
    let network = args.tap.clone().map_or(Network::User, Network::Tap);
    let mut machine = Machine::new("run", boot).nic(network, "52:54:00:00:00:01");
    machine.memory = args.memory;
    for (at, file) in args.usb.iter().enumerate() {
        let stick = folder.join(format!("usb{at}.img"));
        if file.extension().is_some_and(|end| end == "toml") {
            disk::usb_stick(&stick, Some(file))?;
        } else {
            disk::copy(file, &stick)?;
        }
        machine.usb.push(stick);
    }
    Ok(machine)
}
