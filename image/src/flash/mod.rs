//! `cargo image flash`: puts the image on a disk or stick, and proves that it is there.
//!
//! `target` knows what may be written to and what must not, `source` is the image, `copy` writes and reads back, `identity`
//! makes the new disk unlike every other.

mod copy;
mod identity;
mod source;
mod target;

use std::io::BufRead;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::{WrongUse, build};

use source::Source;
use target::Target;

/// Options of `cargo image flash`.
#[derive(clap::Args)]
pub struct Args {
    /// The disk to overwrite, for example /dev/sdb; or an existing file that is large enough
    device: PathBuf,

    /// Do not ask
    #[arg(long)]
    yes: bool,

    /// The image, plain or compressed (.zst); without it, what the checkout builds
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
}

/// Writes the image, verifies it and gives the disk its own identity.
///
/// # Errors
/// [`WrongUse`] when the target must not be written to; else what failed on the way.
pub fn run(args: &Args) -> Result<()> {
    // before anything is built: a wrong device is known at once
    let target = Target::open(&args.device)?;
    let image = args.image.clone().map_or_else(build::image, Ok)?;
    let source = Source::open(&image)?;
    target.must_hold(source.size())?;
    if !args.yes {
        confirm(&target, &image)?;
    }
    let hash = copy::write(source, &target)?;
    copy::verify(&target, &hash)?;
    identity::renew(target.path())?;
    target.announce();
    println!("{} holds {} and starts a PC by BIOS or UEFI", target.path().display(), image.display());
    Ok(())
}

fn confirm(target: &Target, image: &Path) -> Result<()> {
    println!("{} will be overwritten with {}", target.describe(), image.display());
    println!("everything on it will be lost; type {} to go on:", target.name());
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context("cannot read the answer")?;
    if answer.trim() == target.name() {
        return Ok(());
    }
    let answer = answer.trim();
    Err(WrongUse(format!("not confirmed: `{answer}` is not `{}`: nothing was written", target.name())).into())
}
