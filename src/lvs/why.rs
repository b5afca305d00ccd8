//! Why a real server is in or out. Pure.

use std::time::Instant;

use super::admin::Place;
use super::history::Change;
use super::member::{Cause, Member};
use super::status;
use super::watched::Watched;
use crate::check::plan::Plan;
use crate::ipc::message::{Cause as Word, ChangeStatus, Why};
use crate::ipvs::ServiceEntry;

/// What decides about the server at `place`, as it stands at `now`, with the kernel's counters from `table`.
#[must_use]
pub fn why(
    services: &[Watched],
    place: Place,
    table: &[ServiceEntry],
    checks: &Plan,
    now: Instant,
) -> Option<Why> {
    let watched = services.get(place.0)?;
    let member = watched.members.get(place.1)?;
    let entry = |id: &_| table.iter().find(|entry| entry.id == *id);
    let mut service = status::service(watched, entry, checks, now);
    // Real servers come first, in the order of the file.
    let server = std::mem::take(&mut service.servers).into_iter().nth(place.1)?;
    Some(Why {
        service,
        server,
        cause: word(member),
        history: member.history.changes().map(|c| change(c, now)).collect(),
    })
}

const fn word(member: &Member) -> Word {
    match member.cause {
        Cause::Lives => Word::Lives,
        Cause::SlowStart(_) => Word::SlowStart,
        Cause::Feedback(_) => Word::Feedback,
        Cause::Fails => Word::Fails,
        Cause::Kept => Word::Kept,
        Cause::StartsUp => Word::StartsUp,
        Cause::StartsDown => Word::StartsDown,
        Cause::Off => Word::Off,
        Cause::Drains => Word::Drains,
        Cause::Drained => Word::Drained,
        Cause::Disabled => Word::Disabled,
    }
}

fn change(change: &Change, now: Instant) -> ChangeStatus {
    let ago = now.saturating_duration_since(change.at).as_millis();
    ChangeStatus {
        ago_ms: u64::try_from(ago).unwrap_or(u64::MAX),
        what: change.what.to_owned(),
        why: change.why.to_string(),
    }
}
