//! `cargo image build`: from sources to a disk image.
//!
//! `kernel` and `binary` are compiled; `system` makes the two images of a slot from them (`squashfs`, `verity`); `grub` and
//! `volumes` make the partitions around the slots; `disk` assembles, `update` packs a slot for a box that has another; `report` weighs. `board` is where each takes its
//! settings from, `stamp` what the build is called, `kconfig` the check that the kernel is what was asked for.

pub mod binary;
pub mod board;
#[cfg(test)]
mod buildroot;
mod disk;
mod grub;
mod kconfig;
pub mod kernel;
mod notices;
mod report;
mod squashfs;
mod stamp;
mod system;
mod tree;
mod update;
mod verity;
mod volumes;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::progress::Step;
use crate::{project, setup};

use board::Board;
use report::Report;
use stamp::Stamp;

pub use system::sha256;

/// The board of the commands that do not ask for one.
const DEFAULT_BOARD: &str = "pc";

/// The most that the compressed image may have, in megabytes.
const IMAGE_BUDGET: u64 = 12;

/// The most that the binary may have, in megabytes.
const BINARY_BUDGET: u64 = 7;

/// Options of `cargo image build`.
#[derive(clap::Args)]
pub struct Args {
    /// The board to build for: a folder of board/
    #[arg(long, default_value = DEFAULT_BOARD)]
    board: String,

    /// Build twice and compare: fails when the two disk images differ
    #[arg(long)]
    verify_reproducible: bool,

    /// Take bzImage, config, director, boot.img, grub.img and efi-part/ from this folder where they exist (Buildroot's
    /// images/), and install nothing
    #[arg(long, value_name = "DIR")]
    prebuilt: Option<PathBuf>,

    /// Where the image goes [default: target/image]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// Builds the image and says what is in it.
///
/// # Errors
/// A step fails, a budget is exceeded, or the second build differs from the first.
pub fn run(args: &Args) -> Result<()> {
    let board = Board::named(&args.board)?;
    if args.prebuilt.is_none() {
        setup::ensure()?;
    }
    let parts = Parts::ensure(&board, args.prebuilt.as_deref())?;
    let image = parts.image(&board, &args.output.clone().unwrap_or_else(project::images))?;
    let step = Step::begin("compressed");
    let compressed = disk::compress(&image.disk)?;
    step.done(&compressed.display().to_string());
    report(&parts, &image, &compressed)?;
    if args.verify_reproducible {
        verify_reproducible(&board, args.prebuilt.as_deref(), &image.disk)?;
    }
    Ok(())
}

/// The disk image for PCs, built from what the checkout holds now: for the commands that boot it.
///
/// # Errors
/// As [`run`], without budgets.
pub fn image() -> Result<PathBuf> {
    let board = Board::named(DEFAULT_BOARD)?;
    setup::ensure()?;
    Ok(Parts::ensure(&board, None)?.image(&board, &project::images())?.disk)
}

/// The kernel of that image, for test guests.
///
/// # Errors
/// It has to be built, and that fails.
pub fn kernel() -> Result<PathBuf> {
    setup::ensure()?;
    kernel::ensure(&Board::named(DEFAULT_BOARD)?)
}

/// User-Mode Linux of the same source as the shipped kernel, configured by `fragment` (its name and its text).
///
/// # Errors
/// It has to be built, and that fails.
pub fn user_mode_kernel(fragment: (String, String)) -> Result<PathBuf> {
    setup::ensure()?;
    kernel::user_mode(fragment)
}

/// What is compiled.
struct Parts {
    kernel: PathBuf,
    binary: PathBuf,
    prebuilt: Option<PathBuf>,
}

/// What is assembled.
struct Image {
    root: PathBuf,
    boot: PathBuf,
    disk: PathBuf,
    update: PathBuf,
}

impl Parts {
    fn ensure(board: &Board, prebuilt: Option<&Path>) -> Result<Self> {
        let given = |name: &str| prebuilt.map(|dir| dir.join(name)).filter(|path| path.exists());
        if let Some(config) = given("config") {
            kernel::check(board, &config)?;
        }
        Ok(Self {
            kernel: given("bzImage").map_or_else(|| kernel::ensure(board), Ok)?,
            binary: given("director").map_or_else(binary::ensure, Ok)?,
            prebuilt: prebuilt.map(Path::to_owned),
        })
    }

    /// Assembles into the folder `output`.
    fn image(&self, board: &Board, output: &Path) -> Result<Image> {
        let step = Step::begin("image");
        let parts = output.join("parts");
        fs::create_dir_all(&parts).with_context(|| format!("cannot create {}", parts.display()))?;
        let lock = output.join(".lock");
        let lock = File::create(&lock).with_context(|| format!("cannot create {}", lock.display()))?;
        lock.lock().context("cannot wait for the other build")?;
        let stamp = Stamp::of(board.name());
        let system = system::make(board, &stamp, &self.kernel, &self.binary, &parts)?;
        let loader = grub::make(board, self.prebuilt.as_deref(), &parts)?;
        volumes::make(board, &loader, &parts)?;
        let disk = disk::assemble(board, &parts, output)?;
        let update = update::make(&stamp, &system, output)?;
        step.done(&disk.display().to_string());
        Ok(Image { root: system.root, boot: system.boot, disk, update })
    }
}

fn report(parts: &Parts, image: &Image, compressed: &Path) -> Result<()> {
    let mut report = Report::default();
    report.add("kernel", &parts.kernel, None)?;
    report.add("binary", &parts.binary, Some(BINARY_BUDGET))?;
    report.add("root slot", &image.root, None)?;
    report.add("boot slot", &image.boot, None)?;
    report.add("image", &image.disk, None)?;
    report.add("update", &image.update, None)?;
    report.add("image, compressed", compressed, Some(IMAGE_BUDGET))?;
    print!("{}", report.table());
    report.check()
}

/// Compiles the binary again in an empty folder and assembles again elsewhere; only the kernel comes from the cache.
fn verify_reproducible(board: &Board, prebuilt: Option<&Path>, first: &Path) -> Result<()> {
    let again = project::images().join("again");
    if again.exists() {
        fs::remove_dir_all(&again).with_context(|| format!("cannot clear {}", again.display()))?;
    }
    let mut parts = Parts::ensure(board, prebuilt)?;
    if prebuilt.is_none() {
        parts.binary = binary::build_in(&again.join("target"))?;
    }
    let second = parts.image(board, &again)?.disk;
    let (one, two) = (sha256(first)?, sha256(&second)?);
    if one != two {
        bail!("not reproducible: {} has SHA-256 {one}, {} has {two}", first.display(), second.display());
    }
    println!("reproducible: both images have SHA-256 {one}");
    fs::remove_dir_all(&again).with_context(|| format!("cannot clear {}", again.display()))
}
