//! The guest: the shipped binary, and beside it the peers from Debian, on the shipped kernel or on one at this machine's own speed.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::build;
use crate::build::binary;
use crate::setup::TARGET;
use crate::test::{executables, rootfs};
use crate::tool;
use director_lab::guest::Guest;
use director_lab::machine::{Boot, Machine};
use director_lab::scratch;
use director_lab::serial::Serial;
use director_lab::user_mode::UserMode;

use super::table::Measurement;

/// How long one case may take: a round of keepalived takes about a minute on an idle machine.
const PATIENCE: Duration = Duration::from_secs(1800);
/// How long the guest may take to begin.
const BOOT: Duration = Duration::from_secs(120);

/// What the user-mode kernel has beyond its defaults.
const USER_MODE: (&str, &str) = ("image/src/bench/user-mode.config", include_str!("user-mode.config"));
/// Memory of a guest, in MiB.
const MEMORY: u32 = 1024;

/// Which kernel the cases run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kernel {
    /// The shipped one, on a processor that QEMU plays: everything takes ten times as long, and no kernel is a better likeness
    Shipped,
    /// User-Mode Linux of the same source: programs run at this machine's own speed, only their calls into the kernel are slow
    UserMode,
}

/// What all guests boot from.
pub struct Bench {
    which: Kernel,
    kernel: PathBuf,
    root: PathBuf,
    rounds: u8,
    _folder: tempfile::TempDir,
}

impl Bench {
    /// Builds what is missing.
    ///
    /// # Errors
    /// Something cannot be built.
    pub fn prepare(which: Kernel, rounds: u8) -> Result<Self> {
        let kernel = match which {
            Kernel::Shipped => build::kernel()?,
            Kernel::UserMode => build::user_mode_kernel((USER_MODE.0.to_owned(), USER_MODE.1.to_owned()))?,
        };
        let target = ["--target", TARGET, "--message-format=json-render-diagnostics"];
        let mut build = tool::cargo(&["build", "--quiet", "--package", "director-guest"]);
        let mut built = executables(build.args(target))?;
        let mut build =
            tool::cargo(&["bench", "--quiet", "--no-run", "--package", "director", "--bench", "guest"]);
        let driver = executables(build.args(target))?.into_iter().find(|(name, _)| name == "guest");
        let driver = driver.context("cargo built no driver")?;
        // Last: the driver brings a binary of its own profile, under the same name.
        let director = binary::ensure()?;
        let init = built.pop().context("cargo built no first process")?.1;
        let folder = scratch::folder("bench")?;
        let root = rootfs::make(&folder.path().join("root"), &init, &director, &[driver])?;
        Ok(Self { which, kernel, root, rounds, _folder: folder })
    }

    /// Runs one case in a guest of its own.
    ///
    /// # Errors
    /// The guest does not run, or the case breaks off.
    pub fn run(&self, case: &str) -> Result<Vec<Measurement>> {
        let guest = self.start(case)?;
        let reports = guest.reports().context("the guest has no second serial line")?;
        reports.expect("##begin", BOOT).context("the guest does not begin")?;
        let said = reports.expect("##end", PATIENCE + Duration::from_secs(60))?;
        let status = reports.expect("\n", Duration::from_secs(10))?;
        if !status.contains("status=0") {
            bail!("{case}: {}:\n{}", status.trim(), said.trim());
        }
        let found: Vec<Measurement> = said.lines().filter_map(Measurement::read).collect();
        ensure!(!found.is_empty(), "{case}: nothing was measured:\n{}", said.trim());
        Ok(found)
    }

    fn start(&self, case: &str) -> Result<Running> {
        let append = format!(
            "init=/sbin/init quiet loglevel=4 director.filter=guest/{case} director.rounds={} director.patience={}",
            self.rounds,
            PATIENCE.as_secs()
        );
        if self.which == Kernel::UserMode {
            let guest = UserMode::start("bench", &self.kernel, &self.root, MEMORY, &append)?;
            return Ok(Running::UserMode(guest));
        }
        let append = format!("{append} no_timer_check");
        let boot = Boot::Kernel { kernel: self.kernel.clone(), root: self.root.clone(), append };
        let mut machine = Machine::new("bench", boot);
        machine.memory = MEMORY;
        machine.second_serial = true;
        Ok(Running::Emulated(Box::new(Guest::start(&machine, None)?)))
    }
}

/// A guest with its power on.
enum Running {
    Emulated(Box<Guest>),
    UserMode(UserMode),
}

impl Running {
    fn reports(&self) -> Option<&Serial> {
        match self {
            Self::Emulated(guest) => guest.second(),
            Self::UserMode(guest) => Some(guest.second()),
        }
    }
}
