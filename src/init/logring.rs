//! What the workers said lately, bounded.
//!
//! Each role has a ring of its own, so that a noisy worker never pushes out what another said; `director logs` merges them.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant, SystemTime};

use crate::ipc::message::{LogLine, LogPart};
use crate::role::Role;

/// Bytes kept for each role.
pub const RING_BYTES: usize = 64 * 1024;
/// A line longer than this is cut.
pub const MAX_LINE: usize = 2000;
/// Severity of a line that names none: a panic message, most likely.
const UNMARKED: u8 = 4;
/// What a line costs beside its text.
const OVERHEAD: usize = 32;

/// The rings of all roles.
#[derive(Debug)]
pub struct LogRings {
    era: u64,
    rings: BTreeMap<Role, Ring>,
    sequence: u64,
}

#[derive(Debug, Default)]
struct Ring {
    lines: VecDeque<(u64, LogLine)>,
    bytes: usize,
    dropped: u64,
}

impl Default for LogRings {
    /// Empty rings of a new era.
    fn default() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { era: u64::try_from(now.as_micros()).unwrap_or(u64::MAX), rings: BTreeMap::new(), sequence: 0 }
    }
}

impl LogRings {
    /// The oldest lines, at most `count`, that came behind number `after` of `era`; of another era, from the first on.
    #[must_use]
    pub fn follow(&self, era: u64, after: u64, count: usize) -> LogPart {
        let after = if era == self.era { after.min(self.sequence) } else { 0 };
        let behind = |ring: &'_ Ring| ring.lines.partition_point(|(number, _)| *number <= after);
        let mut lines: Vec<&(u64, LogLine)> =
            self.rings.values().flat_map(|ring| ring.lines.range(behind(ring)..)).collect();
        lines.sort_unstable_by_key(|(number, _)| *number);
        lines.truncate(count);
        LogPart { era: self.era, lines: lines.into_iter().cloned().collect() }
    }

    /// Keeps a line; the oldest of the same role make room.
    pub fn push(&mut self, line: LogLine) {
        self.sequence += 1;
        let ring = self.rings.entry(line.role).or_default();
        ring.bytes += line.text.len() + OVERHEAD;
        ring.lines.push_back((self.sequence, line));
        while ring.bytes > RING_BYTES
            && let Some((_, gone)) = ring.lines.pop_front()
        {
            ring.bytes -= gone.text.len() + OVERHEAD;
            ring.dropped += 1;
        }
    }

    /// The newest `count` lines of `role` (`None`: of everybody) in the order in which they came.
    #[must_use]
    pub fn newest(&self, role: Option<Role>, count: usize) -> Vec<LogLine> {
        let wanted = self.rings.iter().filter(|(key, _)| role.is_none_or(|role| role == **key));
        let mut lines: Vec<&(u64, LogLine)> = wanted.flat_map(|(_, ring)| &ring.lines).collect();
        lines.sort_unstable_by_key(|(sequence, _)| *sequence);
        let skip = lines.len().saturating_sub(count);
        lines.into_iter().skip(skip).map(|(_, line)| line.clone()).collect()
    }

    /// Lines of `role` that had to make room.
    #[must_use]
    pub fn dropped(&self, role: Role) -> u64 {
        self.rings.get(&role).map_or(0, |ring| ring.dropped)
    }
}

/// Bytes of a pipe, cut into lines: `<6>text` or, without a mark, a warning.
#[derive(Debug, Default)]
pub struct LineCutter {
    rest: Vec<u8>,
    cut: bool,
}

impl LineCutter {
    /// Takes what was read and gives the lines that are whole now, with their severities.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<(u8, String)> {
        let mut lines = Vec::new();
        for byte in bytes {
            match byte {
                b'\n' => lines.extend(self.take()),
                _ if self.rest.len() < MAX_LINE => self.rest.push(*byte),
                _ => self.cut = true,
            }
        }
        lines
    }

    /// The last line, when the writer is gone before it ended it.
    pub fn take(&mut self) -> Option<(u8, String)> {
        let bytes = std::mem::take(&mut self.rest);
        let cut = std::mem::take(&mut self.cut);
        let text = String::from_utf8_lossy(&bytes);
        let (severity, text) = unmark(&text);
        let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let clean = clean.trim_end();
        let end = if cut { " [cut]" } else { "" };
        (!clean.is_empty()).then(|| (severity, format!("{clean}{end}")))
    }
}

fn unmark(text: &str) -> (u8, &str) {
    let marked = text.strip_prefix('<').and_then(|rest| rest.split_once('>'));
    match marked.map(|(number, rest)| (number.parse(), rest)) {
        Some((Ok(severity @ 0..=7), rest)) => (severity, rest),
        _ => (UNMARKED, text),
    }
}

/// Lets a burst of lines through, and then so many each second: for the kernel's log, which everybody shares.
#[derive(Debug)]
pub struct RateLimit {
    tokens: u32,
    last: Instant,
    suppressed: u64,
}

impl RateLimit {
    /// Lines at once.
    pub const BURST: u32 = 50;
    /// Time for one more line.
    pub const REFILL: Duration = Duration::from_millis(200);

    /// A full burst.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self { tokens: Self::BURST, last: now, suppressed: 0 }
    }

    /// `Some(n)` if a line may pass; `n` lines before it did not.
    pub fn pass(&mut self, now: Instant) -> Option<u64> {
        let earned = now.saturating_duration_since(self.last).as_millis() / Self::REFILL.as_millis();
        if earned > 0 {
            self.tokens =
                u32::try_from(earned).unwrap_or(u32::MAX).saturating_add(self.tokens).min(Self::BURST);
            self.last = now;
        }
        if self.tokens == 0 {
            self.suppressed += 1;
            return None;
        }
        self.tokens -= 1;
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(role: Role, text: &str) -> LogLine {
        LogLine { time_ms: 0, role, severity: 6, text: text.to_owned() }
    }

    fn texts(lines: &[LogLine]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn a_noisy_worker_pushes_out_only_its_own() {
        let mut rings = LogRings::default();
        rings.push(line(Role::Vrrp, "first"));
        for n in 0..10_000 {
            rings.push(line(Role::Lvs, &format!("noise {n}")));
        }
        rings.push(line(Role::Vrrp, "last"));
        assert_eq!(texts(&rings.newest(None, 2)), ["noise 9999", "last"]);
        assert_eq!(texts(&rings.newest(Some(Role::Vrrp), 9)), ["first", "last"]);
        assert_eq!(rings.dropped(Role::Vrrp), 0);
        assert!(rings.dropped(Role::Lvs) > 8000);
        let kept = rings.newest(Some(Role::Lvs), usize::MAX);
        assert!(kept.iter().map(|l| l.text.len() + OVERHEAD).sum::<usize>() <= RING_BYTES);
    }

    #[test]
    fn a_follower_gets_every_line_once_and_sees_what_it_missed() {
        let seen = |part: &LogPart| -> Vec<String> {
            part.lines.iter().map(|(number, line)| format!("{number} {}", line.text)).collect()
        };
        let mut rings = LogRings::default();
        assert!(rings.follow(0, 0, 10).lines.is_empty());
        for n in 0..5 {
            rings.push(line(if n % 2 == 0 { Role::Lvs } else { Role::Net }, &format!("line {n}")));
        }
        let first = rings.follow(0, 99, 3);
        assert_eq!(seen(&first), ["1 line 0", "2 line 1", "3 line 2"], "of another era: from the beginning");
        assert_eq!(seen(&rings.follow(first.era, 3, 10)), ["4 line 3", "5 line 4"]);
        assert!(rings.follow(first.era, 5, 10).lines.is_empty());
        for n in 0..10_000 {
            rings.push(line(Role::Lvs, &format!("noise {n}")));
        }
        let late = rings.follow(first.era, 0, 3);
        assert_eq!(seen(&late)[..2], ["2 line 1", "4 line 3"], "what the quiet worker said is still there");
        assert!(late.lines[2].0 > 8000);
    }

    #[test]
    fn bytes_become_lines_with_severities() {
        let mut cutter = LineCutter::default();
        assert_eq!(
            cutter.feed(b"<3>bad\nthread panicked\n<6>ha"),
            [(3, "bad".to_owned()), (4, "thread panicked".to_owned())]
        );
        assert_eq!(cutter.feed(b"lf\n\n"), [(6, "half".to_owned())]);
        assert_eq!(
            cutter.feed(b"<9>odd\n<>x\n\x1b[2Jclear\r\n"),
            [(4, "<9>odd".to_owned()), (4, "<>x".to_owned()), (4, " [2Jclear".to_owned())]
        );
        cutter.feed(&[b'a'; 5000]);
        let (_, long) = cutter.take().unwrap();
        assert_eq!(long.len(), MAX_LINE + " [cut]".len());
        assert_eq!(cutter.take(), None);
    }

    #[test]
    fn a_flood_is_thinned_and_counted() {
        let now = Instant::now();
        let mut limit = RateLimit::new(now);
        let passed = (0..200).filter(|_| limit.pass(now).is_some()).count();
        assert_eq!(passed, 50);
        assert_eq!(limit.pass(now + Duration::from_millis(250)), Some(150));
        assert_eq!(limit.pass(now + Duration::from_millis(260)), None);
    }
}
