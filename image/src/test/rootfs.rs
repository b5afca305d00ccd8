//! The root file system of the guests in which kernel tests run: test binaries, `director`, and Debian's own tools.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use director_lab::peer::Peer;

use crate::tool;

/// Debian's programs that tests may call: the peers that ours is compared with, and tools to look and to listen.
const PROGRAMS: &[&str] = &[
    "ipvsadm",
    "keepalived",
    "ip",
    "bridge",
    "tc",
    "ss",
    "nft",
    "nginx",
    "ping",
    "tcpdump",
    "setpriv",
    "unshare",
    "perl",
    "strace",
];

/// ldirectord and what it loads at its start and for a check by HTTP: fetched, because the package would bring a database
/// driver, a directory client and Perl as a whole. What it `require`s for other checks is not there.
const LDIRECTORD: &[&str] = &[
    "ldirectord",
    "perl-modules-5.36",
    "libperl5.36",
    "libsocket6-perl",
    "libio-socket-inet6-perl",
    "libwww-perl",
    "libhttp-message-perl",
    "libhttp-date-perl",
    "libnet-http-perl",
    "liburi-perl",
    "libtry-tiny-perl",
    "libencode-locale-perl",
    "liblwp-mediatypes-perl",
    "libhtml-parser-perl",
    "libclone-perl",
    "libmailtools-perl",
];

/// Where those packages have it.
const PERL: &[&str] = &[
    "usr/sbin/ldirectord",
    "usr/share/perl",
    "usr/share/perl5",
    "usr/lib/x86_64-linux-gnu/perl",
    "usr/lib/x86_64-linux-gnu/perl5",
];

/// Three quarters of it: headers, Unicode's tables, East Asian encodings, tools for who writes Perl.
const WITHOUT: &[&str] = &[
    "usr/lib/x86_64-linux-gnu/perl/5.36.0/CORE",
    "usr/lib/x86_64-linux-gnu/perl/5.36.0/auto/Encode/CN",
    "usr/lib/x86_64-linux-gnu/perl/5.36.0/auto/Encode/JP",
    "usr/lib/x86_64-linux-gnu/perl/5.36.0/auto/Encode/KR",
    "usr/lib/x86_64-linux-gnu/perl/5.36.0/auto/Encode/TW",
    "usr/lib/x86_64-linux-gnu/perl/5.36.0/auto/Unicode",
    "usr/share/perl/5.36.0/CPAN",
    "usr/share/perl/5.36.0/ExtUtils",
    "usr/share/perl/5.36.0/Module",
    "usr/share/perl/5.36.0/Test2",
    "usr/share/perl/5.36.0/Unicode",
    "usr/share/perl/5.36.0/unicore",
];

/// The shell and the small tools, each a link to one static program.
const BUSYBOX: &[&str] = &[
    "arping", "cat", "chmod", "cp", "cut", "date", "dmesg", "echo", "env", "false", "grep", "head",
    "hostname", "kill", "killall", "ln", "ls", "mkdir", "mount", "mv", "nc", "ps", "rm", "sed", "sh",
    "sleep", "sort", "sysctl", "tail", "tee", "test", "touch", "tr", "true", "umount", "uname", "wc", "wget",
    "xargs",
];

/// Files of the host that these programs read.
const DATA: &[&str] = &[
    "/etc/iproute2",
    "/etc/services",
    "/etc/protocols",
    "/etc/nginx/mime.types",
    "/usr/share/iproute2",
    "/usr/lib/x86_64-linux-gnu/perl-base",
];

/// Where programs are looked for.
const PATH: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Collects a root file system in `folder` and packs it as `folder.squashfs`, whose path is returned.
/// `init` becomes the first process, `director` is `/sbin/director`, `tests` go to `/tests`.
///
/// # Errors
/// When a program is missing or a file cannot be copied.
pub fn make(folder: &Path, init: &Path, director: &Path, tests: &[(String, PathBuf)]) -> Result<PathBuf> {
    for empty in [
        "dev",
        "proc",
        "sys",
        "run",
        "tmp",
        "var",
        "root",
        "etc",
        "sbin",
        "bin",
        "usr/bin",
        "usr/sbin",
        "usr/local/bin",
        "tests",
    ] {
        fs::create_dir_all(folder.join(empty)).with_context(|| format!("making {}", folder.display()))?;
    }
    strip(init, &folder.join("sbin/init"))?;
    strip(director, &folder.join("sbin/director"))?;
    for (name, binary) in tests {
        strip(binary, &folder.join("tests").join(name))?;
    }
    let mut libraries = BTreeSet::new();
    for name in PROGRAMS {
        let program = find(name)?;
        fs::copy(&program, folder.join("sbin").join(name))
            .with_context(|| format!("copying {}", program.display()))?;
        libraries.extend(needed(&program)?);
    }
    for library in &libraries {
        take(library, folder)?;
    }
    fs::copy(find("busybox")?, folder.join("bin/busybox")).context("copying busybox")?;
    for name in BUSYBOX {
        std::os::unix::fs::symlink("busybox", folder.join("bin").join(name))
            .with_context(|| format!("linking {name}"))?;
    }
    for data in DATA.iter().map(Path::new).filter(|path| path.exists()) {
        take(data, folder)?;
    }
    ldirectord(folder)?;
    accounts(&folder.join("etc"))?;
    pack(folder)
}

fn ldirectord(folder: &Path) -> Result<()> {
    let peer = Peer::fetch(LDIRECTORD)?;
    for part in PERL {
        let to = folder.join(part);
        fs::create_dir_all(to.parent().unwrap_or(folder))?;
        tool::run(tool::command("cp").args([OsStr::new("-a"), peer.path(part).as_os_str(), to.as_os_str()]))?;
    }
    // It starts itself again by its first line.
    std::os::unix::fs::symlink("/sbin/perl", folder.join("usr/bin/perl")).context("linking perl")?;
    for part in WITHOUT {
        fs::remove_dir_all(folder.join(part)).with_context(|| format!("leaving out {part}"))?;
    }
    Ok(())
}

fn find(name: &str) -> Result<PathBuf> {
    let places = PATH.map(|folder| Path::new(folder).join(name));
    places
        .into_iter()
        .find(|path| path.exists())
        .with_context(|| format!("{name} is not installed: `cargo image setup` does it"))
}

/// Copies a binary without its debugging information, which makes it several times smaller.
fn strip(from: &Path, to: &Path) -> Result<()> {
    tool::run(tool::command("strip").args([
        "--strip-debug".as_ref(),
        "-o".as_ref(),
        to.as_os_str(),
        from.as_os_str(),
    ]))
}

/// The libraries that a program needs, the loader among them.
fn needed(program: &Path) -> Result<Vec<PathBuf>> {
    let out = tool::output(tool::command("ldd").arg(program))?;
    Ok(libraries(&out))
}

/// Reads `ldd`: `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`, `/lib64/ld-linux-x86-64.so.2 (0x…)`.
fn libraries(ldd: &str) -> Vec<PathBuf> {
    ldd.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

/// Copies a file or folder of the host to the same place below `folder`.
fn take(from: &Path, folder: &Path) -> Result<()> {
    let to = folder.join(from.strip_prefix("/").unwrap_or(from));
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    tool::run(tool::command("cp").args([OsStr::new("-rL"), from.as_os_str(), to.as_os_str()]))
}

fn accounts(etc: &Path) -> Result<()> {
    let users = "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/var:/bin/false\nnobody:x:65534:65534::/:/bin/false\n";
    for (name, text) in [
        ("passwd", users),
        ("group", "root:x:0:\nwww-data:x:33:\nnogroup:x:65534:\n"),
        ("hosts", "127.0.0.1 localhost\n::1 localhost\n"),
        ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\nservices: files\nprotocols: files\n"),
    ] {
        fs::write(etc.join(name), text).with_context(|| format!("writing {name}"))?;
    }
    Ok(())
}

/// Not compressed: packing and, under emulation, unpacking would take longer than reading. The compressor's name must
/// still be one that the kernel knows.
fn pack(folder: &Path) -> Result<PathBuf> {
    let image = folder.with_extension("squashfs");
    let mut pack = tool::command("mksquashfs");
    pack.args([folder, &image]);
    pack.args([
        "-comp",
        "zstd",
        "-noI",
        "-noD",
        "-noF",
        "-noX",
        "-noappend",
        "-all-root",
        "-quiet",
        "-no-progress",
    ]);
    tool::run(&mut pack)?;
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ldd() {
        let ldd = "\tlinux-vdso.so.1 (0x1)\n\tlibc.so.6 => /lib/libc.so.6 (0x2)\n\t/lib64/ld-linux-x86-64.so.2 (0x3)\n";
        assert_eq!(libraries(ldd), ["/lib/libc.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from));
        assert!(libraries("\tnot a dynamic executable\n").is_empty());
    }
}
