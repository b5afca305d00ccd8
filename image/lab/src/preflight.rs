//! May we do all that here? Says what is missing, in words that help.

use std::process::Command;

use anyhow::{Result, bail};
use nix::unistd::geteuid;

/// Whether namespaces, bridges and taps can be made by this process.
///
/// # Errors
/// What is missing and what to do about it.
pub fn namespaces() -> Result<()> {
    if !geteuid().is_root() {
        bail!(
            "network namespaces need root, or a user namespace: run it under `unshare --user --map-root-user`"
        );
    }
    if !succeeds("ip", &["-V"]) {
        bail!("`ip` is missing: apt-get install iproute2");
    }
    if !succeeds("unshare", &["--net", "true"]) {
        bail!(
            "this root may not make network namespaces (in a container: give it CAP_SYS_ADMIN and CAP_NET_ADMIN)"
        );
    }
    Ok(())
}

/// Whether guests can have network cards.
///
/// # Errors
/// What is missing and what to do about it.
pub fn taps() -> Result<()> {
    namespaces()?;
    if std::fs::OpenOptions::new().read(true).write(true).open("/dev/net/tun").is_err() {
        bail!("/dev/net/tun cannot be opened: load the tun module, or (in a container) pass the device in");
    }
    Ok(())
}

/// Becomes root in a user namespace of our own when we are not root and the kernel lets us, by starting this program again.
/// Returns when there is nothing to do.
///
/// # Errors
/// When we are not root and the kernel forbids user namespaces.
pub fn become_root() -> Result<()> {
    use std::os::unix::process::CommandExt;
    if geteuid().is_root() {
        return Ok(());
    }
    const UNSHARE: [&str; 2] = ["--user", "--map-root-user"];
    if !succeeds("unshare", &[UNSHARE[0], UNSHARE[1], "true"]) {
        bail!(
            "this needs root for its network namespaces, and user namespaces are off here: \
             run it as root, or allow them (sysctl kernel.unprivileged_userns_clone=1)"
        );
    }
    let error = Command::new("unshare")
        .args(UNSHARE)
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .exec();
    bail!("starting again in a user namespace: {error}")
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|out| out.status.success())
}
