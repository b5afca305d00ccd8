//! Secrets that a configuration names by `file:`, brought to where the workers read them: their loops wait for no disk.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;

use super::files::replace;
use crate::config::model::{Config, VrrpAuth};
use crate::config::{explain, read_file};
use crate::paths::RunDir;

/// A file with more is no key.
const LONGEST: usize = 4096;

/// Copies each of them into the run directory, and removes what is not named any more. What cannot be read is said, and is not there.
///
/// # Errors
/// The run directory cannot be written.
pub fn bring(run: &RunDir, config: &Config) -> io::Result<()> {
    let files: BTreeSet<&String> = config
        .vrrp
        .iter()
        .filter_map(|router| match &router.auth {
            Some(VrrpAuth::Hmac(auth)) => Some(&auth.keys),
            _ => None,
        })
        .flatten()
        .filter_map(|key| key.file.as_ref())
        .collect();
    if files.is_empty() {
        return forget(run);
    }
    fs::DirBuilder::new().mode(0o700).recursive(true).create(run.secrets())?;
    let mut there = BTreeSet::new();
    for file in files {
        match read_file(file.as_ref()) {
            Ok(bytes) => {
                there.insert(run.secret(file));
                replace(&run.secret(file), bytes.get(..bytes.len().min(LONGEST)).unwrap_or_default())?;
            }
            Err(error) => log::error!("cannot read secret: {file}: {}", explain(&error)),
        }
    }
    // What is named no more; a worker that starts meanwhile has had the others all the time.
    for entry in fs::read_dir(run.secrets())? {
        let path = entry?.path();
        if !there.contains(&path) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Removes all of them.
///
/// # Errors
/// There are some that cannot be removed.
pub fn forget(run: &RunDir) -> io::Result<()> {
    match fs::remove_dir_all(run.secrets()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{NodeFacts, check};

    #[test]
    fn what_is_named_is_brought_and_what_is_not_goes() {
        let (dir, keys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (run, file) = (RunDir::new(dir.path()), keys.path().join("vrrp.key"));
        let file = file.to_str().unwrap();
        let text = |key: &str| {
            format!(
                "version = 1\n[[interface]]\nname = \"eth0\"\naddresses = [\"10.0.0.1/24\"]\n[[vrrp]]\nname = \"VI_1\"\n\
                 interface = \"eth0\"\nvrid = 51\naddresses = [\"10.0.0.45\"]\nauth = {{ type = \"hmac\", key = \"{key}\" }}\n"
            )
        };
        let bring =
            |key: &str| bring(&run, &check(text(key), "f", &NodeFacts::default()).unwrap().config).unwrap();
        bring(&format!("file:{file}"));
        assert!(!run.secret(file).exists(), "it is not there");
        fs::write(file, "a secret\n").unwrap();
        bring(&format!("file:{file}"));
        assert_eq!(fs::read(run.secret(file)).unwrap(), b"a secret\n");
        bring("as many characters as it takes: 32 at least");
        assert!(!run.secret(file).exists());
        for wrong in ["file:vrrp.key", "file:", "file:/"] {
            assert!(check(text(wrong), "f", &NodeFacts::default()).is_err(), "{wrong}");
        }
    }
}
