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
//! and keys* of other services, which must not have changed here. Where anything is in doubt, and whenever there is a fault, the
//! whole file is checked: a report is never made from a part.

use super::layout::Layout;
use super::model::Service;
use super::{Checked, NodeFacts, Report, check};

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
    let mut part = new.rest.clone();
    let mut touched = Vec::new();
    for (at, (was, is)) in old.services.iter().zip(&new.services).enumerate() {
        // What a virtual router tracks or a node changes must be there when that is judged.
        if was != is || new.names(is) {
            touched.push(at);
            part.push_str(is);
        }
    }
    if touched.len() > count / 2 {
        return None;
    }
    let Checked { mut config, node } = check(&part, "", facts).ok()?;
    if node != before.checked.node || config.services.len() != touched.len() {
        return None;
    }
    let fresh = std::mem::replace(&mut config.services, services.clone());
    for (at, service) in touched.into_iter().zip(fresh) {
        let place = config.services.get_mut(at)?;
        if !is_known_alike(place, &service) {
            return None;
        }
        *place = service;
    }
    Some(Checked { config, node })
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
        let facts = NodeFacts::default();
        let before = before(&file(12));
        let mut quick = 0;
        for (round, edited) in edits(&file(12), 3_000).enumerate() {
            let whole = check(&edited, "f", &facts).map_err(|report| report.to_string());
            let again = check_again(edited.as_bytes(), "f", &facts, Some(&before));
            assert_eq!(again.map_err(|report| report.to_string()), whole, "round {round}:\n{edited}");
            quick += usize::from(quickly(&edited, &before).is_some());
        }
        assert!(quick > 300, "only {quick} were quick");
    }
}
