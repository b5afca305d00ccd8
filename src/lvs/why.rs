//! Why a real server or a sorry server is in or out. Pure.

use std::time::Instant;

use super::admin::Place;
use super::history::Change;
use super::member::{Cause, Member};
use super::status;
use super::watched::{Watched, sorry_servers};
use crate::check::plan::Plan;
use crate::ipc::message::{Cause as Word, ChangeStatus, Health, Why};
use crate::ipvs::{ServiceEntry, ServiceId};

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
    let mut service = status::service(watched, |id| entry(table, id), checks, now);
    // Real servers come first, in the order of the file.
    let server = std::mem::take(&mut service.servers).into_iter().nth(place.1)?;
    Some(Why { service, server, cause: word(member), history: history(member, now) })
}

/// The same about the sorry server at `place`.
#[must_use]
pub fn why_sorry(
    services: &[Watched],
    place: Place,
    table: &[ServiceEntry],
    checks: &Plan,
    now: Instant,
) -> Option<Why> {
    let watched = services.get(place.0)?;
    let (model, member) = (sorry_servers(&watched.service).get(place.1)?, watched.substitutes.get(place.1)?);
    let server = status::sorry_server(watched, place.1, |id| entry(table, id), checks, now)?;
    let mut service = status::service(watched, |id| entry(table, id), checks, now);
    service.servers.clear();
    let cause = match () {
        () if !model.enabled => Word::Off,
        () if watched.sorry && member.health == Health::Down => Word::Fails,
        () if watched.sorry => Word::StandsIn,
        () => Word::StandsBy,
    };
    Some(Why { service, server, cause, history: history(member, now) })
}

fn entry<'a>(table: &'a [ServiceEntry], id: &ServiceId) -> Option<&'a ServiceEntry> {
    table.iter().find(|entry| entry.id == *id)
}

fn history(member: &Member, now: Instant) -> Vec<ChangeStatus> {
    member.history.changes().map(|c| change(c, now)).collect()
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
