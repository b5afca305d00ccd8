//! A QEMU process: its power, its console, its control channel.

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::machine::Machine;
use crate::namespace::Namespace;
use crate::qmp::Qmp;
use crate::serial::{self, Serial};
use crate::{command, scratch};

/// A machine with its power on. Dropping it is a power cut.
#[derive(Debug)]
pub struct Guest {
    name: String,
    child: Child,
    powered: Instant,
    serial: Serial,
    second: Option<Serial>,
    qmp: Qmp,
    _folder: tempfile::TempDir,
}

impl Guest {
    /// Switches the machine on, inside `namespace` where its taps are; without one, in the host's, for machines without cards
    /// (then the calling thread must outlive the guest).
    ///
    /// # Errors
    /// When QEMU is missing or refuses: its own words.
    pub fn start(machine: &Machine, namespace: Option<&Namespace>) -> Result<Guest> {
        Guest::try_start(machine, namespace).with_context(|| format!("starting guest {}", machine.name))
    }

    fn try_start(machine: &Machine, namespace: Option<&Namespace>) -> Result<Guest> {
        let folder = scratch::folder(&machine.name)?;
        let listen = |name: &str| UnixListener::bind(folder.path().join(name)).context("making a socket");
        let control = listen("qmp")?;
        let first = (!machine.hangs_up).then(|| listen("serial0")).transpose()?;
        let second = machine.second_serial.then(|| listen("serial1")).transpose()?;
        let mut qemu = command::bound("qemu-system-x86_64");
        qemu.args(machine.arguments(folder.path())?).current_dir(folder.path());
        // A line that hangs up is offered by QEMU, which waits for us before it begins.
        let first_line = if machine.hangs_up {
            "socket,id=serial0,path=serial0,server=on,wait=on"
        } else {
            "socket,id=serial0,path=serial0"
        };
        qemu.args(["-qmp", "unix:qmp", "-chardev", first_line, "-serial", "chardev:serial0"]);
        if second.is_some() {
            qemu.args(["-serial", "unix:serial1"]);
        }
        let said = folder.path().join("qemu.log");
        qemu.stdin(Stdio::null()).stdout(Stdio::null()).stderr(std::fs::File::create(&said)?);

        let powered = Instant::now();
        let mut child = match namespace {
            Some(namespace) => namespace.run(move || qemu.spawn())?,
            None => qemu.spawn(),
        }
        .context("setpriv (util-linux) is missing")?;
        let mut connect = |listener: &UnixListener| accept(listener, &mut child, &said);
        let log = |kind: &str| {
            Ok::<_, anyhow::Error>(scratch::logs()?.join(format!("{}.{kind}.log", machine.name)))
        };
        let qmp = connect(&control)?;
        let serial = match first {
            Some(first) => Serial::new(connect(&first)?, &log("serial")?, powered)?,
            None => Serial::plug_in(&folder.path().join("serial0"), &log("serial")?, powered)?,
        };
        let second = second.map(|l| Serial::new(connect(&l)?, &log("serial2")?, powered)).transpose()?;
        let qmp = Qmp::new(qmp).map_err(|error| refusal(&mut child, &said, error))?;
        Ok(Guest { name: machine.name.clone(), child, powered, serial, second, qmp, _folder: folder })
    }

    /// The machine's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When the power was switched on: just before QEMU was started.
    pub fn powered(&self) -> Instant {
        self.powered
    }

    /// The first serial line (ttyS0): boot loader, kernel, console.
    pub fn serial(&self) -> &Serial {
        &self.serial
    }

    /// The second serial line (ttyS1), when the machine has one.
    pub fn second(&self) -> Option<&Serial> {
        self.second.as_ref()
    }

    /// Sends a break on the first serial line.
    ///
    /// # Errors
    /// As [`Qmp::command`].
    pub fn send_break(&mut self) -> Result<()> {
        self.qmp.command("chardev-send-break", serde_json::json!({ "id": "serial0" })).map(drop)
    }

    /// The control channel.
    pub fn qmp(&mut self) -> &mut Qmp {
        &mut self.qmp
    }

    /// That the guest still has power and its kernel has not given up: for those who wait for something else than its words.
    ///
    /// # Errors
    /// When QEMU has ended or the kernel panicked.
    pub fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("QEMU of guest {} has ended: {status}", self.name);
        }
        ensure!(!self.serial.text().contains(serial::PANIC), "the kernel of guest {} panicked", self.name);
        Ok(())
    }

    /// Adds what the guest said last on its console to an error.
    ///
    /// # Errors
    /// The one that was given.
    pub fn explain<T>(&self, result: Result<T>) -> Result<T> {
        let log = self.serial.log().display();
        result.with_context(|| {
            format!("{} said last on its console (all of it: {log}):\n{}", self.name, self.serial.tail(40))
        })
    }

    /// Cuts the power: the guest gets no chance to say goodbye.
    ///
    /// # Errors
    /// When QEMU cannot be killed.
    pub fn cut_power(&mut self) -> Result<()> {
        self.child.kill().with_context(|| format!("killing guest {}", self.name))?;
        self.child.wait().map(drop).with_context(|| format!("waiting for guest {}", self.name))
    }

    /// Waits until the guest has switched itself off, and returns how QEMU ended.
    ///
    /// # Errors
    /// When it still has power after `patience`.
    pub fn await_power_off(&mut self, patience: Duration) -> Result<ExitStatus> {
        self.serial
            .expect_end(patience)
            .with_context(|| format!("waiting for guest {} to power off", self.name))?;
        self.child.wait().with_context(|| format!("waiting for guest {}", self.name))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for QEMU to connect; when it ends instead, its own words are the error.
fn accept(listener: &UnixListener, child: &mut Child, said: &Path) -> Result<UnixStream> {
    listener.set_nonblocking(true)?;
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                return Ok(stream);
            }
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => bail!("socket of QEMU: {error}"),
            Err(_) => {}
        }
        if let Some(status) = child.try_wait()? {
            bail!("QEMU: {status}: {}", std::fs::read_to_string(said).unwrap_or_default().trim());
        }
        if Instant::now() > end {
            let _ = child.kill();
            bail!("QEMU did not connect within 30 s");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What QEMU said when it ended instead of talking to us; else `error`.
fn refusal(child: &mut Child, said: &Path, error: anyhow::Error) -> anyhow::Error {
    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end {
        if let Ok(Some(status)) = child.try_wait() {
            return anyhow!("QEMU: {status}: {}", std::fs::read_to_string(said).unwrap_or_default().trim());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    error
}

/// QEMU, if it is installed.
///
/// # Errors
/// What to install.
pub fn installed() -> Result<()> {
    let found =
        Command::new("qemu-system-x86_64").arg("--version").output().is_ok_and(|out| out.status.success());
    if !found {
        bail!("qemu-system-x86_64 is missing: apt-get install qemu-system-x86");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Boot;

    /// SeaBIOS with nothing to boot: enough to see power, serial line and control channel work.
    #[test]
    fn power_and_control_channel() {
        if let Err(why) = installed() {
            eprintln!("skipped: {why:#}");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let disk = folder.path().join("empty.img");
        std::fs::File::create(&disk).unwrap().set_len(1 << 20).unwrap();
        let mut guest = Guest::start(&Machine::new("empty", Boot::Bios(disk)), None).unwrap();
        let status = guest.qmp().command("query-status", serde_json::json!({})).unwrap();
        assert_eq!(status["status"], "running");
        guest.qmp().press(&["ctrl", "alt", "delete"]).unwrap();
        assert!(guest.qmp().command("nonsense", serde_json::json!({})).is_err());
        guest.cut_power().unwrap();
        guest.serial().expect_end(Duration::from_secs(10)).unwrap();
    }

    #[test]
    fn a_machine_that_cannot_start_says_why() {
        if installed().is_err() {
            return;
        }
        let machine = Machine::new("nodisk", Boot::Bios("/nonexistent.img".into()));
        let said = format!("{:#}", Guest::start(&machine, None).unwrap_err());
        assert!(said.contains("/nonexistent.img"), "{said}");
        let boot =
            Boot::Kernel { kernel: "/nonexistent".into(), root: "/dev/null".into(), append: String::new() };
        let said = format!("{:#}", Guest::start(&Machine::new("nokernel", boot), None).unwrap_err());
        assert!(said.contains("kernel file '/nonexistent'"), "{said}");
    }
}
