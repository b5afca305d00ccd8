//! Which configuration runs, and what becomes of changes. Pure.

use super::{age, table};
use crate::ipc::message::{LifeStatus, PendingStatus, Source, StickStatus, StoreStatus};

/// Which configuration runs, and why. The fault reports are not in it.
#[must_use]
pub fn store(status: &StoreStatus) -> Vec<String> {
    let node = status.node.as_ref().map(|node| format!(", node {node}")).unwrap_or_default();
    let mut out = vec![
        format!("configuration {}: {}{node}", status.generation, source(status.source)),
        format!("  {}", status.why),
    ];
    let candidates = status.candidates.iter();
    let rows =
        candidates.map(|c| vec![format!("  {}", source(c.source)), c.verdict.clone(), c.place.clone()]);
    out.extend(table(rows.collect()));
    if status.slot != "none" {
        out.push(format!("boot slot: {}", status.slot));
    }
    out.extend(life(&status.life));
    out
}

/// What becomes of changes of the configuration.
#[must_use]
pub fn life(status: &LifeStatus) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(number) = status.number {
        out.push(format!("history: configuration {number}"));
    }
    if status.kept {
        out.push("kept as the last good one".to_owned());
    }
    if let Some(PendingStatus { origin, from, left_ms, changes }) = &status.pending {
        let left = age(left_ms.div_ceil(1000) * 1000);
        out.push(format!("on trial: {from} ({origin}): reverts in {left} unless confirmed"));
        out.extend(changes.iter().map(|change| format!("  {change}")));
    }
    if let Some(StickStatus { place, message, .. }) = &status.stick {
        out.push(format!("USB stick: {place}: {message}"));
    }
    if let Some(notice) = &status.notice {
        out.push(format!("last: {notice}"));
    }
    out
}

/// A source of configuration in words.
#[must_use]
pub const fn source(source: Source) -> &'static str {
    match source {
        Source::Usb => "USB stick",
        Source::Partition => "partition DIRECTOR",
        Source::LastGood => "last good",
        Source::Safe => "built-in safe one",
        Source::File => "file",
    }
}
