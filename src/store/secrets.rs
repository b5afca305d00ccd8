//! Secrets that configurations name by `file:`, brought to where the workers read them: their loops wait for no disk.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use super::files::{replace, swap};
use crate::config::model::Config;
use crate::config::{explain, read_file};
use crate::paths::RunDir;
use crate::secret;

/// A file with more is no secret.
const LONGEST: usize = 4096;
/// The folder beside `director.toml` that has them.
pub const FOLDER: &str = "secrets";

/// What each name of `configs` stands for, as `read` finds it, goes into the run directory; what none of them names goes out of it. What
/// cannot be read is said, and is not there. Whether one is another than before.
///
/// # Errors
/// The run directory cannot be written.
pub fn bring<'c>(
    run: &RunDir,
    configs: impl IntoIterator<Item = &'c Config>,
    mut read: impl FnMut(&str) -> io::Result<Vec<u8>>,
) -> io::Result<bool> {
    let names: BTreeSet<&str> = configs.into_iter().flat_map(Config::secrets).collect();
    if names.is_empty() {
        return forget(run).map(|()| false);
    }
    fs::DirBuilder::new().mode(0o700).recursive(true).create(run.secrets())?;
    let (mut there, mut changed) = (BTreeSet::new(), false);
    for name in names {
        match read(name) {
            Ok(bytes) => {
                there.insert(run.secret(name));
                changed |= put(run, name, &bytes)?;
            }
            Err(error) => {
                log::error!("cannot read secret: {name}: {}", explain(&error));
                changed |= run.secret(name).exists();
            }
        }
    }
    // A worker that starts meanwhile has had the others all the time.
    for entry in fs::read_dir(run.secrets())? {
        let path = entry?.path();
        if !there.contains(&path) {
            fs::remove_file(path)?;
        }
    }
    Ok(changed)
}

/// Whether it is another than before.
fn put(run: &RunDir, name: &str, bytes: &[u8]) -> io::Result<bool> {
    let bytes = bytes.get(..bytes.len().min(LONGEST)).unwrap_or_default();
    if fs::read(run.secret(name)).is_ok_and(|known| known == bytes) {
        return Ok(false);
    }
    swap(&run.secret(name), bytes).map(|()| true)
}

/// What is in the file: of the name, in the folder `secrets` below `beside`; or of the whole path, on a host.
///
/// # Errors
/// It cannot be read.
pub fn on_host(beside: &Path, name: &str) -> io::Result<Vec<u8>> {
    let path = if secret::is_name(name) { beside.join(FOLDER).join(name) } else { name.into() };
    let bytes = read_file(&path)?;
    if fs::metadata(&path).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0) {
        log::warn!("secret that others may read: {}: chmod 600", path.display());
    }
    Ok(bytes)
}

/// The same on the partition of the operator, or on a stick, which is mounted at `mounted`.
///
/// # Errors
/// It cannot be read, or is called by a path.
pub fn on_volume(mounted: &Path, name: &str) -> io::Result<Vec<u8>> {
    if !secret::is_name(name) {
        return Err(io::Error::other(
            "an appliance has it as file:NAME, in the folder secrets on partition DIRECTOR",
        ));
    }
    let path = mounted.join(FOLDER).join(name);
    match read_file(&path) {
        // Windows hides the end of a name, and its editor adds one.
        Err(error)
            if error.kind() == io::ErrorKind::NotFound
                && mounted.join(FOLDER).join(format!("{name}.txt")).exists() =>
        {
            Err(io::Error::other(format!("it is called {name}.txt there: rename it to {name}")))
        }
        other => other,
    }
}

/// Writes what the workers have of `config` into the folder `secrets` of the volume that is mounted at `mounted`, where it is not so already.
///
/// # Errors
/// It cannot be written.
pub fn keep(run: &RunDir, config: &Config, mounted: &Path) -> io::Result<()> {
    for name in config.secrets() {
        let Ok(bytes) = fs::read(run.secret(name)) else { continue };
        let folder = mounted.join(FOLDER);
        if fs::read(folder.join(name)).is_ok_and(|known| known == bytes) {
            continue;
        }
        fs::create_dir_all(&folder)?;
        replace(&folder.join(name), &bytes)?;
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

    fn text(key: &str, password: &str) -> String {
        format!(
            "version = 1\n[[interface]]\nname = \"eth0\"\naddresses = [\"10.0.0.1/24\"]\n[[vrrp]]\nname = \"VI_1\"\n\
             interface = \"eth0\"\nvrid = 51\naddresses = [\"10.0.0.45\"]\nauth = {{ type = \"hmac\", key = \"{key}\" }}\n\
             [[notify]]\nname = \"mail\"\ntype = \"mail\"\nserver = \"10.0.0.9:25\"\nfrom = \"a@b\"\nto = \"c@d\"\nstarttls = true\n\
             user = \"lb1\"\npassword = \"{password}\"\n\
             [[notify]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"http://10.0.0.9/\"\nsecret = \"{password}\"\n"
        )
    }

    fn config(key: &str, password: &str) -> Config {
        check(text(key, password), "f", &NodeFacts::default()).unwrap().config
    }

    #[test]
    fn what_is_named_is_brought_and_what_is_not_goes() {
        let (dir, keys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (run, file) = (RunDir::new(dir.path()), keys.path().join("vrrp.key"));
        let file = file.to_str().unwrap();
        let bring = |key: &str| {
            bring(&run, [&config(&format!("file:{key}"), "file:mail")], |name| on_host(keys.path(), name))
                .unwrap();
        };
        bring(file);
        assert!(!run.secret(file).exists(), "it is not there");
        fs::write(file, "a secret\n").unwrap();
        fs::create_dir(keys.path().join(FOLDER)).unwrap();
        for name in ["vrrp.key", "mail"] {
            fs::write(keys.path().join(FOLDER).join(name), format!("of {name}\n")).unwrap();
        }
        bring(file);
        assert_eq!(fs::read(run.secret(file)).unwrap(), b"a secret\n");
        assert_eq!(fs::read(run.secret("mail")).unwrap(), b"of mail\n");
        bring("vrrp.key");
        assert_eq!(fs::read(run.secret("vrrp.key")).unwrap(), b"of vrrp.key\n");
        assert!(!run.secret(file).exists());
        let plain = config("as many characters as it takes: 32 at least", "correct horse");
        super::bring(&run, [&plain], |name| panic!("{name} was asked for")).unwrap();
        assert!(!run.secrets().exists());
        for wrong in ["file:", "file:/", "file:../vrrp.key", "file:a/b"] {
            assert!(check(text(wrong, "x"), "f", &NodeFacts::default()).is_err(), "{wrong}");
            assert!(check(text("file:a", wrong), "f", &NodeFacts::default()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_change_on_trial_leaves_those_of_what_ran_before() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::new(dir.path());
        let (old, new) = (config("file:old", "x"), config("file:new", "x"));
        bring(&run, [&old, &new], |name| Ok(name.as_bytes().to_vec())).unwrap();
        assert!(run.secret("old").exists() && run.secret("new").exists());
        bring(&run, [&new], |name| Ok(name.as_bytes().to_vec())).unwrap();
        assert!(!run.secret("old").exists() && run.secret("new").exists());
    }

    /// The partition is a folder here.
    #[test]
    fn the_partition_has_them_by_name_and_takes_those_of_a_stick() {
        let (dir, stick, partition) =
            (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let run = RunDir::new(dir.path());
        let why = |name: &str| on_volume(partition.path(), name).unwrap_err().to_string();
        assert!(why("/etc/vrrp.key").contains("file:NAME"));
        fs::create_dir(stick.path().join(FOLDER)).unwrap();
        fs::write(stick.path().join(FOLDER).join("vrrp.key"), "of the stick").unwrap();
        let config = config("file:vrrp.key", "file:mail");
        bring(&run, [&config], |name| on_volume(stick.path(), name)).unwrap();
        keep(&run, &config, partition.path()).unwrap();
        assert_eq!(on_volume(partition.path(), "vrrp.key").unwrap(), b"of the stick");
        fs::write(partition.path().join(FOLDER).join("mail.txt"), "x").unwrap();
        assert!(why("mail").contains("rename it to mail"));
    }
}
