//! The firmware's one binary: static, small, and the same from every checkout of a commit.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::progress::Step;
use crate::project;
use crate::setup::TARGET;
use crate::tool;

/// Builds `director` for the appliance and returns its path.
///
/// # Errors
/// Cargo fails, or `Cargo.lock` does not fit.
pub fn ensure() -> Result<PathBuf> {
    build_in(&project::target())
}

/// The same with `target` as Cargo's folder for products.
///
/// # Errors
/// As [`ensure`].
pub fn build_in(target: &Path) -> Result<PathBuf> {
    let step = Step::begin("binary");
    let mut command = tool::cargo(&["build", "--release", "--locked", "--package", "director"]);
    command.args(["--target", TARGET, "--target-dir"]).arg(target);
    command.env("CARGO_ENCODED_RUSTFLAGS", flags(target)?.join("\u{1f}")).env_remove("RUSTFLAGS");
    tool::run(&mut command)?;
    let binary = target.join(TARGET).join("release/director");
    check_static(&binary)?;
    step.done("built");
    Ok(binary)
}

/// Paths of this machine end up in panic messages; each gets a name that is the same everywhere.
fn flags(target: &Path) -> Result<Vec<String>> {
    let cargo_home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")))
        .context("neither CARGO_HOME nor HOME is set")?;
    let sysroot = tool::output(tool::command("rustc").args(["--print", "sysroot"]))?;
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    Ok(vec![
        remap(project::root(), "/director"),
        remap(target, "/target"),
        remap(&cargo_home, "/cargo"),
        remap(Path::new(sysroot.trim()), "/rust"),
    ])
}

/// PID 1 has no loader and no libraries to lean on.
fn check_static(binary: &Path) -> Result<()> {
    let bytes = std::fs::read(binary).with_context(|| format!("cannot read {}", binary.display()))?;
    if has_interpreter(&bytes).context("the binary is not a 64-bit ELF file")? {
        bail!("{} asks for a dynamic loader: it must be static", binary.display());
    }
    Ok(())
}

/// Whether an ELF64 file has a PT_INTERP program header (elf(5)).
fn has_interpreter(elf: &[u8]) -> Option<bool> {
    const PT_INTERP: [u8; 4] = 3u32.to_le_bytes();
    if elf.get(..5)? != b"\x7fELF\x02" {
        return None;
    }
    let start = usize::try_from(u64::from_le_bytes(elf.get(32..40)?.try_into().ok()?)).ok()?;
    let size = usize::from(u16::from_le_bytes(elf.get(54..56)?.try_into().ok()?));
    let count = usize::from(u16::from_le_bytes(elf.get(56..58)?.try_into().ok()?));
    let table = elf.get(start..start.checked_add(size.checked_mul(count)?)?)?;
    Some(table.chunks(size.max(4)).any(|header| header.starts_with(&PT_INTERP)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loader_is_noticed() {
        let dynamic = std::fs::read("/bin/sh").unwrap();
        assert_eq!(has_interpreter(&dynamic), Some(true));
        assert_eq!(has_interpreter(b"#!/bin/sh"), None);
        assert_eq!(has_interpreter(b"\x7fELF\x02\x01"), None);
    }
}
