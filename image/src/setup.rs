//! What a machine needs beside Rust: Debian packages and the target of the firmware's binary.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::progress::Step;
use crate::tool;

/// The target that the firmware's one binary is compiled for.
pub const TARGET: &str = "x86_64-unknown-linux-musl";

/// Each Debian package that a command of ours calls, and what for.
const PACKAGES: &[(&str, &str)] = &[
    ("bc", "kernel: computes time constants"),
    ("bison", "kernel: parser of its configuration"),
    ("build-essential", "kernel: gcc, make"),
    ("busybox-static", "test: shell and small tools in the guests of kernel tests"),
    ("cryptsetup-bin", "image: veritysetup, the hash tree over the root"),
    ("dnsmasq-base", "test: a DHCP server as people have them"),
    ("dosfstools", "image: mkfs.vfat, for the ESP and the operator's partition"),
    ("e2fsprogs", "image: mke2fs, for state and data"),
    ("flex", "kernel: scanner of its configuration"),
    ("genimage", "image: puts the partitions on the disk"),
    ("grub-common", "image: grub-mkimage"),
    ("grub-efi-amd64-bin", "image: the boot loader for UEFI"),
    ("grub-pc-bin", "image: the boot loader for BIOS"),
    ("iproute2", "lab: network namespaces, bridges, taps"),
    ("iputils-ping", "lab: ping"),
    ("ipvsadm", "test: the table as others read it"),
    ("keepalived", "test: the other router on the segment"),
    ("libelf-dev", "kernel: objtool, which checks and patches every object"),
    ("linux-source-6.12", "kernel: its source, with Debian's security support"),
    ("mtools", "image: files into a FAT without mounting it"),
    ("musl-tools", "binary: a C compiler for the cryptography in it"),
    ("nftables", "test: the packet filter's rules as others read them"),
    ("nginx-light", "test: a real server as people have them"),
    ("openssl", "test: an authority and its certificates"),
    ("ovmf", "run: UEFI firmware for QEMU"),
    ("perl-base", "kernel: tables made by its scripts"),
    ("python3-jsonschema", "test: a judge of the schema that is not ours"),
    ("qemu-system-x86", "run: the box to boot an image in"),
    ("squashfs-tools", "image: the root and the boot slots"),
    ("strace", "test: what a worker says to the kernel"),
    ("tcpdump", "test: packets as others read them"),
    ("udhcpd", "test: a DHCP server with short leases"),
    ("util-linux", "lab: setpriv, unshare"),
    ("xz-utils", "kernel: unpacks its source"),
    ("zstd", "kernel: compresses itself"),
];

/// Installs what is missing, or says what to install.
///
/// # Errors
/// A package cannot be installed, or would need root, or this is not Debian.
pub fn run() -> Result<()> {
    let mut changed = install_packages()?;
    changed |= add_target()?;
    if !changed {
        eprintln!("setup: nothing is missing");
    }
    Ok(())
}

/// The same for commands that only need the result: silent when nothing is missing.
///
/// # Errors
/// As [`run`].
pub fn ensure() -> Result<()> {
    install_packages()?;
    add_target()?;
    Ok(())
}

fn install_packages() -> Result<bool> {
    let missing = missing(&installed()?);
    if missing.is_empty() {
        return Ok(false);
    }
    if !nix::unistd::geteuid().is_root() {
        bail!("{}", advice(&missing));
    }
    let step = Step::begin("setup");
    let mut step = announce(step, &missing);
    if !has_package_lists(Path::new("/var/lib/apt/lists")) {
        step.note("apt-get update");
        tool::run(&mut apt_get("update"))?;
    }
    if install(&missing).is_err() {
        // lists may name versions that the mirror has dropped since
        step.note("apt-get update");
        tool::run(&mut apt_get("update"))?;
        install(&missing)?;
    }
    step.done(&format!("{} packages installed", missing.len()));
    Ok(true)
}

fn announce(mut step: Step, missing: &[&str]) -> Step {
    for (name, reason) in PACKAGES.iter().filter(|(name, _)| missing.contains(name)) {
        step.note(&format!("installing {name} ({reason})"));
    }
    step
}

fn install(packages: &[&str]) -> Result<()> {
    tool::run(apt_get("install").args(["--yes", "--no-install-recommends"]).args(packages))
        .context("are Debian's updates and security archives among the package sources?")
}

fn apt_get(verb: &str) -> Command {
    let mut command = tool::command("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args(["--quiet", verb]);
    command
}

fn installed() -> Result<BTreeSet<String>> {
    let mut query = tool::command("dpkg-query");
    query.args(["--show", "--showformat=${Package} ${db:Status-Status}\n"]);
    query.args(PACKAGES.iter().map(|(name, _)| name));
    // its status is 1 when a package is unknown to it, which is an answer
    let answer = query.output().with_context(|| {
        let names: Vec<&str> = PACKAGES.iter().map(|(name, _)| *name).collect();
        format!("cannot ask dpkg-query: this needs Debian 12 or 13 with the packages {}", names.join(" "))
    })?;
    Ok(parse_installed(&String::from_utf8_lossy(&answer.stdout)))
}

fn parse_installed(answer: &str) -> BTreeSet<String> {
    answer.lines().filter_map(|line| line.strip_suffix(" installed")).map(str::to_owned).collect()
}

fn missing(installed: &BTreeSet<String>) -> Vec<&'static str> {
    PACKAGES.iter().map(|(name, _)| *name).filter(|name| !installed.contains(*name)).collect()
}

fn advice(missing: &[&str]) -> String {
    format!(
        "Debian packages are missing, and installing them needs root: run\n  \
         sudo apt-get update && sudo apt-get install --yes --no-install-recommends {}",
        missing.join(" ")
    )
}

fn has_package_lists(lists: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(lists) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
}

fn add_target() -> Result<bool> {
    let sysroot = tool::output(tool::command("rustc").args(["--print", "sysroot"]))?;
    if Path::new(sysroot.trim()).join("lib/rustlib").join(TARGET).exists() {
        return Ok(false);
    }
    let step = Step::begin("setup");
    tool::run(tool::command("rustup").args(["target", "add", TARGET])).with_context(|| {
        format!("the Rust target {TARGET} is missing: install it in the way that Rust was installed")
    })?;
    step.done(&format!("Rust target {TARGET} added"));
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_gives_reasons() {
        assert!(PACKAGES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(PACKAGES.iter().all(|(_, reason)| reason.contains(": ")));
    }

    #[test]
    fn only_installed_packages_count() {
        let found = parse_installed("bc installed\nflex not-installed\nbison config-files\n");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["bc"]);
    }

    #[test]
    fn the_advice_can_be_pasted() {
        let advice = advice(&["bc", "flex"]);
        assert!(advice.ends_with("sudo apt-get install --yes --no-install-recommends bc flex"), "{advice}");
    }
}
