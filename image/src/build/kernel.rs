//! The kernel: Debian's source package, configured by the board's fragments on top of `tinyconfig`.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::cache::{self, Key};
use crate::progress::Step;
use crate::tool;

use super::board::Board;
use super::kconfig;

/// The Debian package with the source, also the name of the folder in it.
const SOURCE: &str = "linux-source-6.12";

/// What would otherwise leave the machine's name or the time in the image.
const REPRODUCIBLE: [(&str, &str); 4] = [
    ("KBUILD_BUILD_TIMESTAMP", "1970-01-01T00:00:00Z"),
    ("KBUILD_BUILD_USER", "director"),
    ("KBUILD_BUILD_HOST", "director"),
    ("KBUILD_BUILD_VERSION", "1"),
];

/// Variables of the caller that would change the kernel without being part of the cache's key.
const FOREIGN: [&str; 8] =
    ["ARCH", "CROSS_COMPILE", "KCFLAGS", "KAFLAGS", "LOCALVERSION", "MAKEFLAGS", "KBUILD_OUTPUT", "O"];

/// A kernel made of that source.
struct Recipe {
    /// Of the folder in the cache.
    name: &'static str,
    /// `ARCH`, where it is not the machine's own.
    arch: Option<&'static str>,
    /// What the fragments come on top of.
    base: &'static str,
    /// What make makes, and where that then lies.
    target: &'static str,
    product: &'static str,
    /// Lines that a whole build prints, for the progress bar only.
    lines: u64,
}

const SHIPPED: Recipe = Recipe {
    name: "kernel",
    arch: None,
    base: "tinyconfig",
    target: "bzImage",
    product: "arch/x86/boot/bzImage",
    lines: 2900,
};

const USER_MODE: Recipe = Recipe {
    name: "user-mode",
    arch: Some("um"),
    base: "defconfig",
    target: "linux",
    product: "linux",
    lines: 1600,
};

/// The board's kernel (`bzImage`), built or from the cache; beside it lies its `config`.
///
/// # Errors
/// The source is missing, the configuration does not hold, or the build fails.
pub fn ensure(board: &Board) -> Result<PathBuf> {
    SHIPPED.ensure(&board.fragments()?)
}

/// User-Mode Linux of the same source with `fragment`: a program whose processes run at the machine's own speed.
///
/// # Errors
/// As [`ensure`].
pub fn user_mode(fragment: (String, String)) -> Result<PathBuf> {
    USER_MODE.ensure(&[fragment])
}

impl Recipe {
    fn ensure(&self, fragments: &[(String, String)]) -> Result<PathBuf> {
        let step = Step::count(self.name, self.lines);
        let mut key = Key::default();
        key.add(source_version()?.as_bytes());
        key.add(tool::output(tool::command("gcc").arg("--version"))?.as_bytes());
        // not the text: a comment makes no other kernel
        for (option, value) in Board::wanted(fragments)? {
            key.add(format!("{option}={value}").as_bytes());
        }
        let mut step = step;
        let (folder, cached) = cache::folder(self.name, key, |dir| {
            let tree = unpack(&mut step, dir)?;
            self.configure(&tree, fragments)?;
            let config = tree.join(".config");
            compare(fragments, &config)?;
            self.compile(&mut step, &tree, &dir.join("build.log"))?;
            keep(&config, &dir.join("config"))?;
            keep(&tree.join(self.product), &self.kept(dir))?;
            fs::remove_dir_all(&tree).context("cannot remove the kernel's build tree")
        })?;
        step.done(&format!("{}{}", if cached { "cached in " } else { "built into " }, folder.display()));
        Ok(self.kept(&folder))
    }

    fn kept(&self, folder: &Path) -> PathBuf {
        folder.join(self.target)
    }

    fn configure(&self, tree: &Path, fragments: &[(String, String)]) -> Result<()> {
        tool::run(self.make(tree).arg(self.base))?;
        let path = tree.join(".config");
        let mut config = fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .with_context(|| format!("{} left no .config", self.base))?;
        for (_, text) in fragments {
            config.write_all(text.as_bytes()).context("cannot write the kernel's .config")?;
        }
        tool::run(self.make(tree).arg("olddefconfig"))
    }

    fn compile(&self, step: &mut Step, tree: &Path, log: &Path) -> Result<()> {
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        step.note(&format!("compiling with {jobs} jobs; about 7 minutes on two cores"));
        let errors = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
        let mut copy = errors.try_clone().context("cannot share the kernel's build log")?;
        let mut command = self.make(tree);
        command.arg(format!("--jobs={jobs}")).arg(self.target).stdout(Stdio::piped()).stderr(errors);
        let mut child = command.spawn().context("cannot run make")?;
        let output = child.stdout.take().context("make has no output")?;
        for (number, line) in (1..).zip(BufReader::new(output).lines()) {
            writeln!(copy, "{}", line.unwrap_or_default()).context("cannot write the kernel's build log")?;
            step.at(number);
        }
        let status = child.wait().context("cannot wait for make")?;
        if !status.success() {
            let said = fs::read(log).unwrap_or_default();
            bail!(
                "the kernel does not build: {status}; see {}\n{}",
                log.display(),
                tool::tail(&String::from_utf8_lossy(&said))
            );
        }
        Ok(())
    }

    fn make(&self, tree: &Path) -> Command {
        let mut command = tool::command("make");
        FOREIGN.iter().for_each(|name| {
            command.env_remove(name);
        });
        command.envs(self.arch.map(|arch| ("ARCH", arch)));
        command.envs(REPRODUCIBLE).arg("--directory").arg(tree);
        command
    }
}

/// Whether the configuration at `config` is what the board's fragments ask for.
///
/// # Errors
/// Names each option that is not as a fragment has it.
pub fn check(board: &Board, config: &Path) -> Result<()> {
    compare(&board.fragments()?, config)
}

fn compare(fragments: &[(String, String)], config: &Path) -> Result<()> {
    let wanted = Board::wanted(fragments)?;
    kconfig::check(&wanted, &kconfig::parse(&config.display().to_string(), &Board::read(config)?)?)
}

fn source_version() -> Result<String> {
    tool::output(tool::command("dpkg-query").args(["--show", "--showformat=${Version}", SOURCE]))
}

fn unpack(step: &mut Step, dir: &Path) -> Result<PathBuf> {
    step.note("unpacking the source");
    let tarball = format!("/usr/src/{SOURCE}.tar.xz");
    tool::run(tool::command("tar").args(["--extract", "--file", &tarball, "--directory"]).arg(dir))?;
    Ok(dir.join(SOURCE))
}

fn keep(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("cannot keep {}", from.display()))?;
    Ok(())
}
