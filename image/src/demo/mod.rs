//! `cargo image demo`: what Director is for, shown in two minutes: balancing, a dead server, a failover, recovery.

mod play;
mod stage;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

pub use play::{Finding, play};

use crate::{WrongUse, build, setup};
use director_lab::{guest, preflight};

/// What to demonstrate with.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Use this disk image instead of building one; it is not written to
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
}

/// Plays everything and prints a summary.
///
/// # Errors
/// Something is missing here, an act could not be played, or an expectation did not hold.
pub fn run(args: &Args) -> Result<()> {
    if let Some(file) = args.image.as_deref().filter(|file| !file.is_file()) {
        bail!(WrongUse(format!("{}: no such file", file.display())));
    }
    setup::ensure()?;
    preflight::become_root()?;
    guest::installed()?;
    let image = args.image.clone().map_or_else(build::image, Ok)?;
    show(&image)
}

fn show(image: &Path) -> Result<()> {
    eprintln!("Two boxes boot from {}; a client and two real servers are on their segment.", image.display());
    let findings = play(image)?;
    print!("\n{}", table(&findings));
    let bad = findings.iter().filter(|finding| !finding.good).count();
    if bad > 0 {
        bail!("{bad} of {} expectations did not hold", findings.len());
    }
    Ok(())
}

/// The summary, one line for each finding.
fn table(findings: &[Finding]) -> String {
    let width = |text: fn(&Finding) -> &String| {
        findings.iter().map(|finding| text(finding).chars().count()).max().unwrap_or(0)
    };
    let (what, measured) = (width(|f| &f.what), width(|f| &f.measured));
    let line = |f: &Finding| {
        let mark = if f.good { "ok" } else { "NO" };
        format!("  {mark}  {:<what$}  {:<measured$}  expected: {}\n", f.what, f.measured, f.expected)
    };
    findings.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_aligned() {
        let finding = |what: &str, good| Finding {
            what: what.into(),
            measured: "1 s".into(),
            expected: "≤ 4 s".into(),
            good,
        };
        let text = table(&[finding("boot", true), finding("failover", false)]);
        assert_eq!(text, "  ok  boot      1 s  expected: ≤ 4 s\n  NO  failover  1 s  expected: ≤ 4 s\n");
    }
}
