//! Servers of other projects as Debian builds them: fetched and unpacked into the cache, never installed, so that no service
//! starts on the user's machine and no file of it changes.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cache::{self, Key};
use crate::command::{bound, output};

/// How long a server may take until it answers, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where libraries lie in a tree.
const LIBRARIES: [&str; 5] = [
    "usr/lib/x86_64-linux-gnu",
    "lib/x86_64-linux-gnu",
    "usr/lib/x86_64-linux-gnu/pulseaudio",
    "usr/lib/freeradius",
    "usr/lib",
];

/// Unpacked packages.
#[derive(Debug, Clone)]
pub struct Peer {
    root: PathBuf,
}

impl Peer {
    /// Fetches `packages` once and unpacks them into one tree. Name all that is needed beyond what apt itself needs: what
    /// they depend on is not followed.
    ///
    /// # Errors
    /// This is not Debian, or its archive cannot be reached, or has no such package.
    pub fn fetch(packages: &[&str]) -> Result<Peer> {
        let mut key = Key::default();
        packages.iter().for_each(|package| key.add(package.as_bytes()));
        let kind = format!("peer-{}", packages.first().copied().unwrap_or_default());
        let (root, _) = cache::folder(&kind, key, |folder| unpack(folder, packages))
            .with_context(|| format!("fetching {}", packages.join(" ")))?;
        Ok(Peer { root })
    }

    /// A path within the tree, such as `usr/share/mysql`.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// A program of the tree, such as `usr/sbin/nsd`, with the libraries of the tree. It dies with the thread that starts it.
    pub fn command(&self, program: &str) -> Command {
        self.with_libraries(bound(&self.root.join(program).to_string_lossy()))
    }

    /// The same for a program that refuses to run as root: it sees another user, and has the files of this one.
    pub fn command_as_nobody(&self, program: &str) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-user=65534", "--map-group=65534", "--"]);
        command.args(["setpriv", "--pdeathsig", "KILL", "--"]).arg(self.root.join(program));
        self.with_libraries(command)
    }

    /// The same behind a shell that redirects its descriptors first, as `redirections` says in the shell's words.
    pub fn command_by_shell(&self, program: &str, redirections: &str) -> Command {
        let mut command = bound("sh");
        command.args(["-c", &format!("exec \"$0\" \"$@\" {redirections}")]).arg(self.root.join(program));
        self.with_libraries(command)
    }

    fn with_libraries(&self, mut command: Command) -> Command {
        let libraries = LIBRARIES.map(|folder| self.root.join(folder).to_string_lossy().into_owned());
        command.env("LD_LIBRARY_PATH", libraries.join(":")).env("LC_ALL", "C").stdin(Stdio::null());
        command
    }

    /// The same for a program whose children outlive it when it is killed: all of them are in a process namespace of their own,
    /// which ends with it.
    pub fn contained(&self, program: &str) -> Command {
        let plain = self.command(program);
        let mut command = bound("unshare");
        if !nix::unistd::geteuid().is_root() {
            command.args(["--user", "--map-current-user"]);
        }
        command.args(["--pid", "--fork", "--kill-child", "--"]).arg(self.root.join(program));
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
        command
    }

    /// A program as if the packages were installed, for those whose paths are fixed: in a mount namespace of its own the tree's
    /// `/usr` lies over the host's and `etc` over `/etc`, and `/run`, `/var/lib` and `/var/spool` are empty but for `folders`.
    /// Needs root. It dies with the thread that starts it.
    pub fn installed(&self, etc: &Path, folders: &[&str], program: &str) -> Command {
        let mut script = format!(
            "set -e
             mount -t overlay overlay -o lowerdir='{}':/usr /usr
             mount -t overlay overlay -o lowerdir='{}':/etc /etc
             for empty in /run /var/lib /var/spool; do mount -t tmpfs -o mode=755 tmpfs $empty; done\n",
            self.path("usr").display(),
            etc.display()
        );
        folders.iter().for_each(|folder| script.push_str(&format!("mkdir -p -m 711 '{folder}'\n")));
        script.push_str("exec \"$@\"\n");
        let mut command = bound("unshare");
        command.args(["--mount", "--", "sh", "-c", &script, "sh", program]);
        command.env("LC_ALL", "C").stdin(Stdio::null());
        command
    }
}

fn unpack(folder: &Path, packages: &[&str]) -> Result<()> {
    let debs = tempfile::tempdir().context("making a folder")?;
    // As root apt would fetch as a user of its own, who may not write here.
    let mut fetch = Command::new("apt-get");
    fetch.args(["--quiet", "-o", "APT::Sandbox::User=root", "download"]).args(packages);
    let fetched = fetch.current_dir(debs.path()).env("LC_ALL", "C").output().context("cannot run apt-get")?;
    if !fetched.status.success() {
        bail!("apt-get download: {}", String::from_utf8_lossy(&fetched.stderr).trim());
    }
    for deb in debs.path().read_dir()? {
        output("dpkg-deb", &["-x".as_ref(), deb?.path().as_os_str(), folder.as_os_str()])?;
    }
    Ok(())
}

/// A server in the foreground, killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts `command`, with what it says in the file `log`, and waits until it is `ready`.
    ///
    /// # Errors
    /// It cannot be started, ends at once, or is not ready within a minute; the end of its log is in the error.
    pub fn start(mut command: Command, log: &Path, mut ready: impl FnMut() -> bool) -> Result<Daemon> {
        let file = File::create(log).with_context(|| format!("creating {}", log.display()))?;
        command.stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().context("starting a server")?;
        let mut daemon = Daemon { child, log: log.to_owned() };
        let deadline = Instant::now() + PATIENCE;
        while !ready() {
            if let Some(status) = daemon.child.try_wait()? {
                bail!("the server ended ({status}): {}", daemon.said());
            }
            if Instant::now() > deadline {
                bail!("the server does not answer: {}", daemon.said());
            }
            sleep(Duration::from_millis(10));
        }
        Ok(daemon)
    }

    /// The same for a server that is ready once it accepts connections at `address`.
    ///
    /// # Errors
    /// As [`Daemon::start`].
    pub fn listening(command: Command, log: &Path, address: SocketAddr) -> Result<Daemon> {
        Daemon::start(command, log, || TcpStream::connect(address).is_ok())
    }

    /// The end of its log.
    pub fn said(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of 127.0.0.1 that nobody uses, of TCP and, most likely, of UDP.
///
/// # Errors
/// There is none.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("looking for a free port")?;
    Ok(listener.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_ends_or_stays_away_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let mut ends = Command::new("sh");
        ends.args(["-c", "echo no such option; exit 3"]);
        let error = Daemon::start(ends, &folder.path().join("log"), || false).unwrap_err().to_string();
        assert_eq!(error, "the server ended (exit status: 3): no such option");
    }
}
