//! A board: the folder that holds all that is particular to it, and what is common to all boards.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::WrongUse;
use crate::project;

use super::kconfig::{self, Options};

/// One board of `board/`.
#[derive(Debug, Clone)]
pub struct Board {
    name: String,
}

impl Board {
    /// The board called `name`.
    ///
    /// # Errors
    /// There is no such board; the error names those that there are.
    pub fn named(name: &str) -> Result<Self> {
        let known = Self::known()?;
        if known.iter().any(|board| board == name) {
            return Ok(Self { name: name.to_owned() });
        }
        Err(WrongUse(format!("no board is called `{name}`: there is {}", known.join(", "))).into())
    }

    /// Its name, for example `pc`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A file of the board's own folder.
    pub fn file(&self, name: &str) -> PathBuf {
        boards().join(&self.name).join(name)
    }

    /// A file that all boards share.
    pub fn common(&self, name: &str) -> PathBuf {
        boards().join("common").join(name)
    }

    /// The text of a file, with its path in the error.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(path: &Path) -> Result<String> {
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// The command line of the board's kernel, without what the slot adds.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn cmdline(&self) -> Result<String> {
        Ok(Self::read(&self.file("cmdline.txt"))?.trim().to_owned())
    }

    /// The fragments of the kernel's configuration in the order in which they apply: the common ones by name, then the
    /// board's own.
    ///
    /// # Errors
    /// A folder or a file cannot be read.
    pub fn fragments(&self) -> Result<Vec<(String, String)>> {
        let dir = self.common("kernel");
        let entries = fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))?;
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "config"));
        paths.sort();
        paths.push(self.file("kernel.config"));
        paths.into_iter().map(|path| Ok((path.display().to_string(), Self::read(&path)?))).collect()
    }

    /// What all fragments together ask for.
    ///
    /// # Errors
    /// A fragment is wrong in itself, or two fragments contradict each other.
    pub fn wanted(fragments: &[(String, String)]) -> Result<Options> {
        let mut all = Options::new();
        for (name, text) in fragments {
            for (option, value) in kconfig::parse(name, text)? {
                if let Some(before) = all.insert(option.clone(), value.clone())
                    && before != value
                {
                    anyhow::bail!(
                        "{name}: {option} is set to {value} here and to {before} in another fragment"
                    );
                }
            }
        }
        Ok(all)
    }

    fn known() -> Result<Vec<String>> {
        let dir = boards();
        let entries = fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))?;
        let mut names: Vec<String> = entries
            .flatten()
            .filter(|entry| entry.path().join("genimage.cfg").exists())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        Ok(names)
    }
}

fn boards() -> PathBuf {
    project::root().join("board")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_board_is_wrong_use() {
        let error = Board::named("toaster").unwrap_err();
        assert!(error.is::<WrongUse>());
        assert_eq!(error.to_string(), "no board is called `toaster`: there is pc");
    }

    #[test]
    fn the_fragments_agree_with_each_other() {
        let wanted = Board::wanted(&Board::named("pc").unwrap().fragments().unwrap()).unwrap();
        for option in ["CONFIG_IP_VS", "CONFIG_DM_VERITY", "CONFIG_SLUB", "CONFIG_VIRTIO_NET"] {
            assert_eq!(wanted.get(option).map(String::as_str), Some("y"), "{option}");
        }
        assert_eq!(wanted.get("CONFIG_MODULES").map(String::as_str), Some("n"));
    }
}
