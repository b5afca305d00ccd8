//! Whether an instance may take part, with which priority and from which address: pure.

use std::net::IpAddr;

use crate::config::model::{Track, TrackTarget, VrrpInstance};

use super::facts::{Facts, Link};
use super::socket::places;

/// The judgement on the facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// May take part.
    Ready {
        /// Base priority with the weights of the trackers: 1..=254, or 255 for the owner whatever they say.
        priority: u8,
        /// Source of the advertisements.
        source: IpAddr,
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
        (Some(group), Verdict::Ready { source, .. }) => {
            let failed = in_group(group).find_map(|((other, _), verdict)| match verdict {
                Verdict::Fault(reason) => Some(format!("group {group}: {}: {reason}", other.name)),
                Verdict::Ready { .. } => None,
            });
            let weight = in_group(group).map(|((other, _), _)| weight(other, facts)).sum();
            let ready = Verdict::Ready { priority: effective_priority(config, weight), source: *source };
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
            Ok(source) => {
                Verdict::Ready { priority: effective_priority(config, weight(config, facts)), source }
            }
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
    if let Some(why) = places(config).find_map(|place| facts.closed.get(&place)) {
        return Some(why.clone());
    }
    config.track.iter().filter(|track| track.weight.is_none()).find_map(|track| failure(track, facts))
}

const fn link_problem(link: Option<&Link>) -> Option<&'static str> {
    match link {
        None => Some("does not exist"),
        Some(Link { up: false, .. }) => Some("is down"),
        Some(Link { running: false, .. }) => Some("has no carrier"),
        Some(_) => None,
    }
}

/// Why a tracked object counts as failed. A service of which nobody has spoken does not.
fn failure(track: &Track, facts: &Facts) -> Option<String> {
    match &track.target {
        TrackTarget::Interface(name) => {
            link_problem(facts.links.get(name)).map(|why| format!("tracked interface {name} {why}"))
        }
        TrackTarget::Service(name) => match facts.services.get(name) {
            Some(false) => Some(format!("tracked service {name} has lost its quorum")),
            Some(true) | None => None,
        },
    }
}

/// What the trackers add. Negative: a penalty while failed. Positive: a bonus while healthy.
fn weight(config: &VrrpInstance, facts: &Facts) -> i32 {
    let weights = config.track.iter().filter_map(|track| {
        let weight = i32::from(track.weight?);
        let healthy = failure(track, facts).is_none();
        (healthy == (weight > 0)).then_some(weight)
    });
    weights.sum()
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
