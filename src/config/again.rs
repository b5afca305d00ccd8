//! Checking a file of which most was checked before: what a reload of a large file costs.
//!
//! An operator changes one weight of ten thousand. Parsing and judging is most of the time of a reload, so only the services
//! that were touched are parsed and judged, together with everything in the file that is no service:
//!
//! ```text
//! old text ─▶ layout ─┐
//!                     ├─ the same rest? ─▶ rest + touched services ─▶ check ─▶ the same names and keys? ─▶ spliced
//! new text ─▶ layout ─┘        └────────────────── else the whole file is checked ────────────┘
//! ```
//!
//! That gives what checking the whole gives, because a service is judged by the rest of the file, by itself, and by the *names
//! and keys* of other services, which must not have changed here. Of many services that got another scheduler only the first real
//! server is parsed: none is judged by the scheduler. Where anything is in doubt, and whenever there is a fault, the whole file is checked: a
//! report is never made from a part.

use super::layout::{Layout, Parts};
use super::model::Service;
use super::{Checked, NodeFacts, Report, check};

/// Fewer touched services are parsed whole: there is nothing to gain.
const MANY: usize = 16;

/// A file without fault, and what it says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Before {
    /// As it was read.
    pub text: Vec<u8>,
    /// What it says.
    pub checked: Checked,
}

/// As [`super::check`]; `before` only makes it quicker.
///
/// # Errors
/// As [`super::check`].
pub fn check_again(
    text: &[u8],
    name: &str,
    facts: &NodeFacts,
    before: Option<&Before>,
) -> Result<Checked, Report> {
    match before.and_then(|before| by_difference(text, facts, before)) {
        Some(checked) => Ok(checked),
        None => check(text, name, facts),
    }
}

/// What the file says, from what it said; `None` when that cannot be told, or when there may be a fault.
fn by_difference(text: &[u8], facts: &NodeFacts, before: &Before) -> Option<Checked> {
    let (old, new) = (Layout::of(&before.text)?, Layout::of(text)?);
    let services = &before.checked.config.services;
    let count = services.len();
    if old.rest != new.rest || old.services.len() != count || new.services.len() != count {
        return None;
    }
    let touched = touched(&old, &new);
    if touched.iter().filter(|touched| !touched.keeps_servers).count() > count / 2 {
        return None;
    }
    let mut part = new.rest;
    touched.iter().for_each(|touched| part.push_str(touched.parse));
    let Checked { mut config, node } = check(&part, "", facts).ok()?;
    if node != before.checked.node || config.services.len() != touched.len() {
        return None;
    }
    let fresh = std::mem::replace(&mut config.services, services.clone());
    for (Touched { at, keeps_servers, .. }, mut service) in touched.into_iter().zip(fresh) {
        let place = config.services.get_mut(at)?;
        if keeps_servers {
            service.servers.clone_from(&place.servers);
        }
        if !is_known_alike(place, &service) {
            return None;
        }
        *place = service;
    }
    Some(Checked { config, node })
}

/// A service that must be judged anew.
struct Touched<'t> {
    at: usize,
    /// What has to be parsed for that.
    parse: &'t str,
    /// Of its real servers that has only the first.
    keeps_servers: bool,
}

fn touched<'t>(old: &Layout<'t>, new: &Layout<'t>) -> Vec<Touched<'t>> {
    let pairs = old.services.iter().zip(&new.services).enumerate();
    // What a virtual router tracks or a node changes must be there when that is judged.
    let touched: Vec<_> = pairs.filter(|(_, (was, is))| was != is || new.names(is)).collect();
    let many = touched.len() > MANY;
    let touched = touched.into_iter().map(|(at, (was, is))| {
        let short = if many && !new.names(is) { abridged(was, is) } else { None };
        Touched { at, parse: short.unwrap_or(is), keeps_servers: short.is_some() }
    });
    touched.collect()
}

/// The service with its first real server, if its scheduler is all that makes the difference.
fn abridged<'t>(was: &'t str, is: &'t str) -> Option<&'t str> {
    let (old, new) = (Parts::of(was)?, Parts::of(is)?);
    let lines = |head: &'t str| head.lines().filter(|line| !is_scheduler(line));
    if old.servers != new.servers || !lines(old.head).eq(lines(new.head)) {
        return None;
    }
    is.get(..new.head.len() + new.first.len())
}

fn is_scheduler(line: &str) -> bool {
    line.trim_ascii_start().starts_with("scheduler")
}

/// Whether other services see no difference.
fn is_known_alike(one: &Service, other: &Service) -> bool {
    let known = |service: &Service| {
        (service.name.clone(), service.key, service.also.clone(), service.marking.clone())
    };
    known(one) == known(other)
}

#[cfg(test)]
mod tests {
    use super::super::samples::{edits, file};
    use super::*;

    fn before(text: &str) -> Before {
        let checked = check(text, "f", &NodeFacts::default()).unwrap();
        Before { text: text.as_bytes().to_vec(), checked }
    }

    fn quickly(text: &str, before: &Before) -> Option<Checked> {
        by_difference(text.as_bytes(), &NodeFacts::default(), before)
    }

    #[test]
    fn an_edit_of_a_service_is_taken_without_the_others() {
        let before = before(&file(20));
        for (old, new) in [
            ("10.0.0.3:80\"\nweight = 1", "10.0.0.3:80\"\nweight = 7"),
            ("10.0.0.2:80\"\nweight = 1", "10.0.0.2:80\"\nweight = 7"),
            ("[[service.server]]\naddress = \"10.0.0.19:80\"\nweight = 1\n", ""),
            ("name = \"s5\"\n", "name = \"s5\"\nscheduler = \"rr\" # new\n"),
            (
                "192.0.2.1:8007\"\nmethod = \"nat\"\ncheck = { type = \"tcp\"",
                "192.0.2.1:8007\"\nmethod = \"nat\"\ncheck = { type = \"http\"",
            ),
        ] {
            let text = file(20).replace(old, new);
            assert_ne!(text, file(20), "{old}");
            let whole = check(&text, "f", &NodeFacts::default()).unwrap();
            assert_ne!(whole, before.checked, "{new}");
            assert_eq!(quickly(&text, &before), Some(whole), "{new}");
        }
        assert_eq!(quickly(&file(20), &before).as_ref(), Some(&before.checked));
    }

    #[test]
    fn another_scheduler_for_many_services_leaves_their_servers_alone() {
        let text = file(40).replace("method = \"nat\"", "scheduler = \"rr\" # for now\nmethod = \"nat\"");
        let before = before(&text);
        for (old, new, quick) in [
            ("scheduler = \"rr\"", "scheduler = \"mh\"\nscheduler_flags = [\"mh-port\"]", true),
            ("scheduler = \"rr\" # for now\n", "", true),
            ("scheduler = \"rr\"", "scheduler = \"rr\"\nweight = 7", false),
            ("scheduler = \"rr\"", "scheduler = \"rr\", weight = 7", false),
            ("scheduler = \"rr\"", "scheduler = \"unknown\"", false),
            ("weight = 2", "weight = 3", false),
        ] {
            let edited = text.replace(old, new);
            let whole = check(&edited, "f", &NodeFacts::default());
            assert_eq!(quickly(&edited, &before), whole.ok().filter(|_| quick), "{new}");
        }
        // One of them is not changed in its scheduler alone.
        let edited = text
            .replace("\"rr\"", "\"lc\"")
            .replace("10.0.1.7:80\"\nweight = 2", "10.0.1.7:80\"\nweight = 9");
        let whole = check(&edited, "f", &NodeFacts::default()).unwrap();
        assert_eq!(whole.config.services[6].servers[1].weight.get(), 9);
        assert_eq!(quickly(&edited, &before), Some(whole));
    }

    #[test]
    fn what_others_see_of_a_service_is_judged_with_all() {
        let before = before(&file(20));
        for (old, new) in [
            ("name = \"s5\"", "name = \"s6\""),
            ("name = \"s5\"", "name = \"other\""),
            ("192.0.2.1:8005", "192.0.2.1:8006"),
            ("192.0.2.1/24", "192.0.2.3/24"),
            ("priority = 50", "priority = 60"),
            ("weight = 1\n", "weight = 1\nnote = \"\"\"\n[[service]]\n\"\"\"\n"),
        ] {
            let text = file(20).replacen(old, new, 1);
            assert_eq!(quickly(&text, &before), None, "{new}");
        }
        assert_eq!(quickly(&file(19), &before), None);
    }

    #[test]
    fn whatever_is_edited_the_verdict_is_that_on_the_whole() {
        is_that_on_the_whole(&file(12), &file(12), 3_000);
        let other = file(20).replace("method = \"nat\"", "scheduler = \"rr\"\nmethod = \"nat\"");
        is_that_on_the_whole(&file(20), &other, 1_000);
    }

    /// `text`, edited by a hasty hand, in the place of `before`.
    fn is_that_on_the_whole(before: &str, text: &str, rounds: usize) {
        let facts = NodeFacts::default();
        let before = super::tests::before(before);
        let mut quick = 0;
        for (round, edited) in edits(text, rounds).enumerate() {
            let whole = check(&edited, "f", &facts).map_err(|report| report.to_string());
            let again = check_again(edited.as_bytes(), "f", &facts, Some(&before));
            assert_eq!(again.map_err(|report| report.to_string()), whole, "round {round}:\n{edited}");
            quick += usize::from(quickly(&edited, &before).is_some());
        }
        assert!(quick > rounds / 10, "only {quick} were quick");
    }
}
