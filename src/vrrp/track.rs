//! Whether an instance may take part, with which priority and from which address: pure.

use std::net::IpAddr;

use crate::config::model::{Track, TrackTarget, VrrpInstance};
use crate::ipc::message::TrackerStatus;

use super::facts::{Facts, FileWord, Link};
use super::socket::{Place, channels};

/// The reason of those whom the operator keeps from taking part.
pub const HELD: &str = "held by the operator";

/// A file that says less takes the router out of the election.
const LOWEST: i32 = -253;

/// The judgement on the facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// May take part.
    Ready {
        /// Base priority with the weights of the trackers: 1..=254, or 255 for the owner whatever they say.
        priority: u8,
        /// Source of the advertisements.
        source: IpAddr,
        /// Leaves a living master alone.
        yields: bool,
    },
    /// May not, and why.
    Fault(String),
}

/// Judges virtual routers together. One that fails takes its group with it, and the weights of a group count for each
/// member. With each comes the source in use.
#[must_use]
pub fn judge_all(all: &[(&VrrpInstance, IpAddr)], facts: &Facts) -> Vec<Verdict> {
    let alone: Vec<Verdict> =
        all.iter().map(|(config, current)| judge(config, facts, Some(*current))).collect();
    let in_group = |group: &str| {
        let group = group.to_owned();
        all.iter().zip(&alone).filter(move |((config, _), _)| config.group.as_ref() == Some(&group))
    };
    let together = |config: &VrrpInstance, verdict: &Verdict| match (&config.group, verdict) {
        (None, verdict) | (Some(_), verdict @ Verdict::Fault(_)) => verdict.clone(),
        (Some(group), Verdict::Ready { source, yields, .. }) => {
            let failed = in_group(group).find_map(|((other, _), verdict)| match verdict {
                Verdict::Fault(reason) => Some(format!("group {group}: {}: {reason}", other.name)),
                Verdict::Ready { .. } => None,
            });
            let weight = in_group(group).map(|((other, _), _)| weight(other, facts)).sum();
            let priority = effective_priority(config, weight);
            let ready = Verdict::Ready { priority, source: *source, yields: *yields };
            failed.map_or(ready, Verdict::Fault)
        }
    };
    all.iter().zip(&alone).map(|((config, _), verdict)| together(config, verdict)).collect()
}

/// Judges one by itself. `current` is the source in use: it stays while it exists.
#[must_use]
pub fn judge(config: &VrrpInstance, facts: &Facts, current: Option<IpAddr>) -> Verdict {
    match fault(config, facts) {
        Some(reason) => Verdict::Fault(reason),
        None => match source(config, facts, current) {
            Ok(source) => Verdict::Ready {
                priority: effective_priority(config, weight(config, facts)),
                source,
                yields: facts.yielding.contains(&config.name) || facts.wary.contains(&config.name),
            },
            Err(reason) => Verdict::Fault(reason),
        },
    }
}

/// Whether the instance speaks IPv6.
#[must_use]
pub fn is_ipv6(config: &VrrpInstance) -> bool {
    config.addresses.first().is_some_and(|vip| vip.cidr.address.is_ipv6())
}

fn fault(config: &VrrpInstance, facts: &Facts) -> Option<String> {
    let carriers = config.vips().filter_map(|vip| vip.interface.as_ref());
    for interface in std::iter::once(&config.interface).chain(carriers) {
        if let Some(why) = link_problem(facts.links.get(interface)) {
            return Some(format!("interface {interface} {why}"));
        }
    }
    if let Some(why) = channels(config).iter().find_map(|channel| {
        let place: Place = (config.interface.clone(), *channel);
        facts.closed.get(&place)
    }) {
        return Some(why.clone());
    }
    if let Some(why) = facts.keyless.get(&config.name) {
        return Some(why.clone());
    }
    if let Some(why) = facts.refused.get(&config.name) {
        return Some(why.clone());
    }
    if facts.held.contains(&config.name) {
        return Some(HELD.to_owned());
    }
    config.track.iter().find_map(|track| match (&track.target, track.weight) {
        (TrackTarget::File(path), weight) => file_failure(path, weight, facts),
        (_, Some(_)) => None,
        (_, None) => failure(track, facts),
    })
}

/// Without a weight anything but 0 is a failure, with one what would not leave a priority (keepalived: below −253).
fn file_failure(path: &str, weight: Option<i16>, facts: &Facts) -> Option<String> {
    match (facts.files.get(path)?, weight) {
        (FileWord::Down, _) => Some(format!("tracked file {path} says down")),
        (FileWord::Number(number), None) if *number != 0 => {
            Some(format!("tracked file {path} says {number}"))
        }
        (FileWord::Number(number), Some(weight)) if number.saturating_mul(weight.into()) < LOWEST => {
            Some(format!(
                "tracked file {path} says {number}, which is {} of priority",
                number.saturating_mul(weight.into())
            ))
        }
        (FileWord::Number(_) | FileWord::Unreadable(_), _) => None,
    }
}

/// Whether the interface of its advertisements is out.
#[must_use]
pub fn is_cut_off(config: &VrrpInstance, facts: &Facts) -> bool {
    link_problem(facts.links.get(&config.interface)).is_some()
}

const fn link_problem(link: Option<&Link>) -> Option<&'static str> {
    match link {
        None => Some("does not exist"),
        Some(Link { up: false, .. }) => Some("is down"),
        Some(Link { running: false, .. }) => Some("has no carrier"),
        Some(_) => None,
    }
}

/// Why a tracked object counts as failed. One of which nobody has spoken does not.
fn failure(track: &Track, facts: &Facts) -> Option<String> {
    let failure = plain_failure(track, facts);
    if !track.reverse {
        return failure;
    }
    match (failure, &track.target) {
        (Some(_), _) | (None, TrackTarget::File(_)) => None,
        (None, TrackTarget::Interface(name)) => Some(format!("tracked interface {name} is up")),
        (None, TrackTarget::Service(name)) => {
            facts.services.get(name).map(|_| format!("tracked service {name} has its quorum"))
        }
        (None, TrackTarget::Probe(probe)) => {
            facts.probes.get(probe).map(|_| format!("tracked {}: succeeds", probe.kind))
        }
    }
}

fn plain_failure(track: &Track, facts: &Facts) -> Option<String> {
    match &track.target {
        TrackTarget::Interface(name) => {
            link_problem(facts.links.get(name)).map(|why| format!("tracked interface {name} {why}"))
        }
        TrackTarget::Service(name) => match facts.services.get(name) {
            Some(false) => Some(format!("tracked service {name} has lost its quorum")),
            Some(true) | None => None,
        },
        TrackTarget::Probe(probe) => match facts.probes.get(probe) {
            Some((false, why)) => Some(format!("tracked {}: {why}", probe.kind)),
            Some((true, _)) | None => None,
        },
        // Counted apart: a number is more than a yes or a no.
        TrackTarget::File(_) => None,
    }
}

/// What the trackers add. Negative: a penalty while failed. Positive: a bonus while healthy.
fn weight(config: &VrrpInstance, facts: &Facts) -> i32 {
    let weights = config.track.iter().filter_map(|track| {
        let weight = i32::from(track.weight?);
        if let TrackTarget::File(path) = &track.target {
            return match facts.files.get(path) {
                Some(FileWord::Number(number)) => Some(number.saturating_mul(weight)),
                Some(FileWord::Down | FileWord::Unreadable(_)) | None => None,
            };
        }
        let healthy = failure(track, facts).is_none();
        (healthy == (weight > 0)).then_some(weight)
    });
    weights.fold(0, i32::saturating_add)
}

/// Base and weights, clamped: a tracker neither makes an owner nor a resignation.
fn effective_priority(config: &VrrpInstance, weight: i32) -> u8 {
    let base = config.priority.get();
    if base == u8::MAX {
        return base;
    }
    u8::try_from(i32::from(base).saturating_add(weight).clamp(1, 254)).unwrap_or(base)
}

/// The configured source if some link has it, else the primary IPv4 or the link-local IPv6 address of the interface:
/// never one of our VIPs.
fn source(config: &VrrpInstance, facts: &Facts, current: Option<IpAddr>) -> Result<IpAddr, String> {
    let usable = |link: &Link, wanted: &dyn Fn(IpAddr) -> bool| {
        let mut own = link.addresses.iter().filter(|a| a.usable && !a.ours).map(|a| a.cidr.address);
        own.find(|address| wanted(*address))
    };
    if let Some(source) = config.source {
        return facts
            .links
            .values()
            .find_map(|link| usable(link, &|address| address == source))
            .ok_or_else(|| format!("source address {source} is on no interface"));
    }
    let link = facts.links.get(&config.interface);
    let suits = |address: IpAddr| match address {
        IpAddr::V4(_) => !is_ipv6(config),
        IpAddr::V6(a) => is_ipv6(config) && a.is_unicast_link_local(),
    };
    let stays = link.and_then(|link| usable(link, &|address| Some(address) == current && suits(address)));
    stays.or_else(|| link.and_then(|link| usable(link, &suits))).ok_or_else(|| {
        let kind = if is_ipv6(config) { "link-local IPv6" } else { "IPv4" };
        format!("interface {} has no {kind} address of its own", config.interface)
    })
}

/// What is tracked, for people.
#[must_use]
pub fn name_of(target: &TrackTarget) -> String {
    match target {
        TrackTarget::Interface(name) => format!("interface {name}"),
        TrackTarget::Service(name) => format!("service {name}"),
        TrackTarget::Probe(probe) => probe.kind.to_string(),
        TrackTarget::File(path) => format!("file {path}"),
    }
}

/// What each tracker of an instance says, for people.
#[must_use]
pub fn trackers(config: &VrrpInstance, facts: &Facts) -> Vec<TrackerStatus> {
    let show = |track: &Track| {
        let failure = failure(track, facts).or_else(|| match &track.target {
            TrackTarget::File(path) => file_failure(path, track.weight, facts),
            _ => None,
        });
        let garbled = match &track.target {
            TrackTarget::File(path) => match (facts.garbled.get(path), facts.files.get(path)) {
                (Some(why), _) => Some(format!("what it said last counts, for now {why}")),
                (None, Some(FileWord::Unreadable(why))) => Some(why.clone()),
                (None, _) => None,
            },
            _ => None,
        };
        let known = match &track.target {
            TrackTarget::Interface(_) => true,
            TrackTarget::Service(name) => facts.services.contains_key(name),
            TrackTarget::Probe(probe) => facts.probes.contains_key(probe),
            TrackTarget::File(path) => facts.files.contains_key(path),
        };
        let healthy = known.then_some(failure.is_none());
        let reason = match (failure, garbled) {
            (Some(failure), Some(garbled)) => Some(format!("{failure}; {garbled}")),
            (failure, garbled) => failure.or(garbled),
        };
        TrackerStatus { what: name_of(&track.target), healthy, weight: track.weight, reason }
    };
    config.track.iter().map(show).collect()
}
