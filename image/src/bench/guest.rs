//! The guest: the shipped kernel and the shipped binary, and beside it the peers from Debian.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::build;
use crate::build::binary;
use crate::setup::TARGET;
use crate::test::{cargo, executables, rootfs};
use director_lab::guest::Guest;
use director_lab::machine::{Boot, Machine};
use director_lab::scratch;

use super::table::Measurement;

/// How long one case may take: a round of keepalived takes about a minute on an idle machine.
const PATIENCE: Duration = Duration::from_secs(1800);
/// How long the guest may take to begin.
const BOOT: Duration = Duration::from_secs(120);

/// What all guests boot from.
pub struct Bench {
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
    pub fn prepare(rounds: u8) -> Result<Self> {
        let kernel = build::kernel()?;
        let target = ["--target", TARGET, "--message-format=json-render-diagnostics"];
        let mut build = cargo(&["build", "--quiet", "--package", "director-guest"]);
        let mut built = executables(build.args(target))?;
        let mut build = cargo(&["bench", "--quiet", "--no-run", "--package", "director", "--bench", "guest"]);
        let driver = executables(build.args(target))?.into_iter().find(|(name, _)| name == "guest");
        let driver = driver.context("cargo built no driver")?;
        // Last: the driver brings a binary of its own profile, under the same name.
        let director = binary::ensure()?;
        let init = built.pop().context("cargo built no first process")?.1;
        let folder = scratch::folder("bench")?;
        let root = rootfs::make(&folder.path().join("root"), &init, &director, &[driver])?;
        Ok(Self { kernel, root, rounds, _folder: folder })
    }

    /// Runs one case in a guest of its own.
    ///
    /// # Errors
    /// The guest does not run, or the case breaks off.
    pub fn run(&self, case: &str) -> Result<Vec<Measurement>> {
        let append = format!(
            "init=/sbin/init quiet loglevel=4 no_timer_check director.filter=guest/{case} director.rounds={} \
             director.patience={}",
            self.rounds,
            PATIENCE.as_secs()
        );
        let boot = Boot::Kernel { kernel: self.kernel.clone(), root: self.root.clone(), append };
        let mut machine = Machine::new("bench", boot);
        machine.memory = 1024;
        machine.second_serial = true;
        let guest = Guest::start(&machine, None)?;
        let reports = guest.second().context("the guest has no second serial line")?;
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
}
