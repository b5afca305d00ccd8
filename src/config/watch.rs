//! Waiting for `store` to activate another configuration.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::unix::AsyncFd;

use crate::paths::RunDir;
use crate::sys::async_fd::async_fd;

/// Wakes a worker when a configuration was activated in a run directory.
#[derive(Debug)]
pub struct Watcher {
    inotify: Inotify,
    ready: AsyncFd<OwnedFd>,
    name: OsString,
}

impl Watcher {
    /// Watches `run`, which must exist. Make the watcher before the first [`super::active`], so that nothing is missed.
    ///
    /// # Errors
    /// The directory does not exist, or the kernel gives no more watches. Needs a tokio runtime with IO.
    pub fn new(run: &RunDir) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        inotify.add_watch(run.path(), AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_CLOSE_WRITE)?;
        let ready = async_fd(inotify.as_fd().try_clone_to_owned()?)?;
        let name = run.active_config().file_name().unwrap_or_default().to_owned();
        Ok(Self { inotify, ready, name })
    }

    /// Returns when the configuration was replaced since the last call, or may have been. Cancel safe.
    ///
    /// # Errors
    /// The kernel refuses to read the watch.
    pub async fn changed(&self) -> io::Result<()> {
        loop {
            let mut guard = self.ready.readable().await?;
            match self.inotify.read_events() {
                Ok(events) => {
                    // An event without a name says that events were lost or that the directory itself is gone.
                    if events.iter().any(|event| event.name.as_ref().is_none_or(|name| *name == self.name)) {
                        return Ok(());
                    }
                }
                Err(Errno::EAGAIN) => guard.clear_ready(),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn wakes_for_the_active_configuration_alone() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::new(dir.path());
        let watcher = Watcher::new(&run).unwrap();
        std::fs::write(run.source(), "{}").unwrap();
        let other = tokio::time::timeout(std::time::Duration::from_millis(20), watcher.changed()).await;
        assert!(other.is_err());
        std::fs::write(dir.path().join("next"), "").unwrap();
        std::fs::rename(dir.path().join("next"), run.active_config()).unwrap();
        let woken = tokio::time::timeout(std::time::Duration::from_secs(5), watcher.changed()).await;
        assert!(woken.is_ok_and(|result| result.is_ok()));
    }
}
