//! A network namespace, and the thread that works in it.

use std::fmt;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use nix::sched::{CloneFlags, unshare};

type Job = Box<dyn FnOnce() + Send>;

/// An anonymous network namespace: it lives as long as the thread in it and the processes and threads started there.
///
/// A namespace belongs to a thread, so everything that must happen inside is sent to the one that made it. Processes
/// started there may ask to be killed with it ([`crate::command::bound`]), which the kernel also does when this process dies.
pub struct Namespace {
    name: String,
    path: String,
    jobs: Option<mpsc::Sender<Job>>,
    worker: Option<JoinHandle<()>>,
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Namespace({})", self.name)
    }
}

impl Namespace {
    /// Makes an empty namespace with `lo` up. `name` appears in messages and as the thread's name.
    ///
    /// # Errors
    /// Without CAP_SYS_ADMIN, or when `ip` is missing.
    pub fn new(name: &str) -> Result<Namespace> {
        let (jobs, todo) = mpsc::channel::<Job>();
        let (tell, told) = mpsc::channel();
        let worker = thread::Builder::new()
            .name(format!("ns-{name}"))
            .spawn(move || {
                let made = unshare(CloneFlags::CLONE_NEWNET).context("unshare(CLONE_NEWNET)");
                let path = made
                    .map(|()| format!("/proc/{}/task/{}/ns/net", std::process::id(), nix::unistd::gettid()));
                let usable = path.is_ok();
                let _ = tell.send(path);
                if usable {
                    todo.into_iter().for_each(|job| job());
                }
            })
            .context("starting a thread for a network namespace")?;
        let path = told
            .recv_timeout(Duration::from_secs(10))
            .context("network namespace: its thread did not answer")?
            .with_context(|| format!("making the network namespace {name}"))?;
        let ns = Namespace { name: name.to_owned(), path, jobs: Some(jobs), worker: Some(worker) };
        ns.ip("link set lo up")?;
        Ok(ns)
    }

    /// The name given to [`Namespace::new`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A path that names this namespace to other processes (`ip link … netns PATH`), valid while it lives.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Runs `work` on the namespace's thread and returns what it returned.
    ///
    /// # Errors
    /// Only when the thread is gone, that is when an earlier piece of work panicked.
    pub fn run<R: Send + 'static>(&self, work: impl FnOnce() -> R + Send + 'static) -> Result<R> {
        let (tell, told) = mpsc::channel();
        let job: Job = Box::new(move || {
            let _ = tell.send(work());
        });
        let gone = || anyhow!("network namespace {}: its thread has ended", self.name);
        self.jobs.as_ref().ok_or_else(gone)?.send(job).map_err(|_| gone())?;
        told.recv().map_err(|_| gone())
    }

    /// Starts a thread that stays inside the namespace.
    ///
    /// # Errors
    /// As [`Namespace::run`], or when no thread can be started.
    pub fn spawn<R: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<JoinHandle<R>> {
        let builder = thread::Builder::new().name(name.to_owned());
        self.run(move || builder.spawn(work))?.with_context(|| format!("starting thread {name}"))
    }

    /// Runs iproute2's `ip` inside with `arguments` split at blanks.
    ///
    /// # Errors
    /// When `ip` is missing or refuses; its own words are in the error.
    pub fn ip(&self, arguments: &str) -> Result<String> {
        let words: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
        self.run(move || crate::command::output("ip", &words))?
            .with_context(|| format!("in namespace {}", self.name))
    }

    /// Sets a sysctl of this namespace, such as `net/ipv4/conf/all/arp_ignore`.
    ///
    /// # Errors
    /// When the kernel has no such setting or refuses the value.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let path = format!("/proc/sys/{key}");
        let what = format!("setting {key} to {value} in namespace {}", self.name);
        let value = value.to_owned();
        self.run(move || std::fs::write(path, value))?.context(what)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight;

    #[test]
    fn has_a_network_of_its_own() {
        if let Err(why) = preflight::namespaces() {
            eprintln!("skipped: {why:#}");
            return;
        }
        let ns = Namespace::new("own").unwrap();
        ns.ip("link add name br7 type bridge").unwrap();
        assert!(ns.ip("-o link show").unwrap().contains("br7"));
        assert!(!crate::command::output("ip", &["-o", "link", "show"]).unwrap().contains("br7"));
    }

    #[test]
    fn a_failing_command_says_which_where_and_why() {
        if let Err(why) = preflight::namespaces() {
            eprintln!("skipped: {why:#}");
            return;
        }
        let ns = Namespace::new("bad").unwrap();
        let said = format!("{:#}", ns.ip("link set nosuch up").unwrap_err());
        assert!(said.contains("namespace bad") && said.contains("nosuch"), "{said}");
    }
}
