//! Everything that helps others to help, as one file. It asks nobody who may not answer for longer than it can wait.
//!
//! ```text
//! parts ─▶ a thread or a process each, bounded in time and size ─▶ redact ─▶ archive (tar, gzip)
//! ```

mod archive; // files as .tar.gz (pure)
mod neighbours; // who is near, by netlink
mod parts; // what is collected
pub mod redact; // secrets left out (pure)

use std::io;
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

use crate::paths::RunDir;
use redact::Redactor;

/// Octets of one part at most; of more, the end is kept.
pub const LARGEST: usize = 1 << 20;
/// How long all parts together may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The file.
#[derive(Debug)]
pub struct Bundle {
    /// `director-support-HOST.tar.gz`.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
    /// Parts that were had.
    pub parts: usize,
    /// Names of those that were not; each has a file that says why.
    pub failed: Vec<String>,
}

impl Bundle {
    /// A sentence.
    #[must_use]
    pub fn summary(&self) -> String {
        let size = self.bytes.len().div_ceil(1024);
        let failed = match self.failed.as_slice() {
            [] => String::new(),
            names => format!("; not to be had: {}", names.join(", ")),
        };
        format!("{} parts, {size} KiB{failed}", self.parts)
    }
}

/// What one part came to.
type Found = Result<Vec<u8>, String>;

/// Collects all parts at the same time.
///
/// # Errors
/// The archive cannot be written, which is for want of memory.
pub fn bundle(run: &RunDir) -> io::Result<Bundle> {
    let started = Instant::now();
    let redactor = parts::redactor(run);
    let (sender, receiver) = mpsc::channel::<(usize, Found)>();
    let all = parts::all(run);
    let names: Vec<String> = all.iter().map(|part| part.name.to_owned()).collect();
    for (number, part) in all.into_iter().enumerate() {
        let sender = sender.clone();
        let work = move || {
            let found = part.collect();
            // Nobody listens any more when it took too long.
            let _ = sender.send((number, found));
        };
        // One that cannot be started is one that does not answer.
        let _ = std::thread::Builder::new().stack_size(256 * 1024).spawn(work);
    }
    drop(sender);
    let mut found: Vec<Option<Found>> = names.iter().map(|_| None).collect();
    while let Ok((number, part)) = receiver.recv_timeout(PATIENCE.saturating_sub(started.elapsed())) {
        if let Some(place) = found.get_mut(number) {
            *place = Some(part);
        }
    }
    pack(names.into_iter().zip(found), &redactor)
}

fn pack(found: impl Iterator<Item = (String, Option<Found>)>, redactor: &Redactor) -> io::Result<Bundle> {
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let host = host.unwrap_or_else(|| "director".to_owned());
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut archive = archive::Archive::new(format!("director-support-{host}"), since_epoch.as_secs());
    let (mut parts, mut failed) = (0, Vec::new());
    for (name, found) in found {
        let why = match found {
            Some(Ok(bytes)) => {
                parts += 1;
                archive.add(&name, &redactor.clean(&last(bytes)))?;
                continue;
            }
            Some(Err(why)) => why,
            None => format!("no answer within {} s", PATIENCE.as_secs()),
        };
        archive.add(&format!("{name}.error"), &redactor.clean(format!("{why}\n").as_bytes()))?;
        failed.push(name);
    }
    Ok(Bundle { name: format!("director-support-{host}.tar.gz"), bytes: archive.finish()?, parts, failed })
}

/// Its end, if it is too large.
fn last(mut bytes: Vec<u8>) -> Vec<u8> {
    let excess = bytes.len().saturating_sub(LARGEST);
    if excess > 0 {
        bytes.drain(..excess);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_part_that_is_too_large_the_end_is_kept() {
        let mut bytes = vec![b'a'; LARGEST];
        bytes.extend_from_slice(b"end");
        let kept = last(bytes);
        assert_eq!(kept.len(), LARGEST);
        assert!(kept.ends_with(b"aend"));
    }

    #[test]
    fn what_was_not_to_be_had_says_why() {
        let found = [
            ("one".to_owned(), Some(Ok(b"1".to_vec()))),
            ("two".to_owned(), Some(Err("gone".to_owned()))),
            ("three".to_owned(), None),
        ];
        let bundle = pack(found.into_iter(), &Redactor::default()).unwrap();
        let files = archive::read(&bundle.bytes);
        let names: Vec<&str> = files.iter().filter_map(|(path, _)| path.rsplit('/').next()).collect();
        assert_eq!(names, ["one", "two.error", "three.error"]);
        assert_eq!(files[2].1, b"no answer within 20 s\n");
        assert!(
            bundle.summary().starts_with("1 parts, 1 KiB; not to be had: two, three"),
            "{}",
            bundle.summary()
        );
    }
}
