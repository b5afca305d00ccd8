//! What other processes cost: from /proc.

use std::fs;
use std::time::Duration;

use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// A process and all that descend from it, as far as they live.
pub fn family(ancestor: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let parents: Vec<(u32, u32)> = processes
        .filter_map(|entry| {
            let id: u32 = entry.file_name().to_str()?.parse().ok()?;
            Some((id, stat(id, 1)?.parse().ok()?))
        })
        .collect();
    let mut found = vec![ancestor];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(child, _)| *child));
        at += 1;
    }
    found
}

/// Whether `word` is one of the words of the command line of `process`.
pub fn was_called_with(process: u32, word: &str) -> bool {
    let words = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    words.split(|byte| *byte == 0).any(|given| given == word.as_bytes())
}

/// Processor time of a process, its own and the kernel's for it; zero for one that is gone.
///
/// By the scheduler's own sum. The ticks in /proc/PID/stat charge a whole tick to whoever runs at its edge, and that is where timers wake
/// processes that sleep nearly always.
pub fn processor_time(process: u32) -> Duration {
    let clock = i32::try_from(process).ok().and_then(|id| clock_getcpuclockid(Pid::from_raw(id)).ok());
    clock.and_then(|clock| clock_gettime(clock).ok()).map_or(Duration::ZERO, Duration::from)
}

/// How long the first thread of a process was ready to run and had no processor (/proc/PID/schedstat); zero where the kernel
/// does not count it.
pub fn waited_for_processor(process: u32) -> Duration {
    let text = fs::read_to_string(format!("/proc/{process}/schedstat")).unwrap_or_default();
    let nanoseconds = text.split_whitespace().nth(1).and_then(|word| word.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

/// Resident memory of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    /// KiB, pages that several processes have counted in shares (`Pss`).
    pub whole: u64,
    /// KiB of that which no file backs.
    pub anonymous: u64,
}

impl std::ops::Add for Memory {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { whole: self.whole + other.whole, anonymous: self.anonymous + other.anonymous }
    }
}

/// Zero for a process that is gone.
pub fn memory(process: u32) -> Memory {
    let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap_or_default();
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    Memory { whole: value("Pss:"), anonymous: value("Pss_Anon:") }
}

/// Field `at` of /proc/PID/stat behind the name, from 0 (proc_pid_stat(5) counts from 3).
fn stat(process: u32, at: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    stat.rsplit(')').next()?.split_whitespace().nth(at).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_of_the_family_and_costs_something() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let us = std::process::id();
        assert!(family(us).contains(&child.id()) && !family(child.id()).contains(&us));
        assert!(was_called_with(child.id(), "60") || was_called_with(child.id(), "sleep"));
        assert!(memory(us).whole >= memory(us).anonymous && memory(us).anonymous > 0);
        let cost = processor_time(child.id());
        assert!(cost > Duration::ZERO && cost < Duration::from_secs(5), "{cost:?}");
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(memory(child.id()), Memory::default());
        assert_eq!(processor_time(child.id()), Duration::ZERO);
    }
}
