//! Checking a large file a few services at a time: the trees of ten thousand servers at once are thirty times the text, and most of
//! the time goes into getting that memory from the kernel.
//!
//! Each piece is judged with everything that is no service, and with the services that the rest speaks of. What services may not have in
//! common, names and keys, is compared at the end. As in [`super::again`], any doubt and any fault leads back to the
//! whole: a report is never made from a part.

use std::collections::BTreeSet;

use super::layout::Layout;
use super::{Checked, NodeFacts, Nodes, check_whole};

/// Services of one piece.
const PIECE: usize = 64;
/// The fewest services that are worth it.
const MANY: usize = 4 * PIECE;
/// The most services that the rest may speak of: they are judged with each piece.
const NAMED: usize = 32;

/// What a large file without fault says; `None` when it is small, when there may be a fault, or when pieces cannot tell.
pub fn check_pieces(text: &str, facts: &NodeFacts, which: Nodes) -> Option<Checked> {
    pieces_of(text, facts, which, MANY, PIECE)
}

fn pieces_of(text: &str, facts: &NodeFacts, which: Nodes, many: usize, size: usize) -> Option<Checked> {
    let layout = Layout::of(text.as_bytes()).filter(|layout| layout.services.len() >= many)?;
    let (named, others): (Vec<_>, Vec<_>) =
        layout.services.iter().copied().enumerate().partition(|(_, service)| layout.names(service));
    if named.len() > NAMED || others.is_empty() {
        return None;
    }
    let mut found = Vec::with_capacity(layout.services.len());
    let mut rest: Option<Checked> = None;
    for piece in others.chunks(size) {
        let mut together = [&named, piece].concat();
        together.sort_unstable_by_key(|(at, _)| *at);
        let mut part = layout.rest.clone();
        together.iter().for_each(|(_, service)| part.push_str(service));
        let mut checked = check_whole(&part, "", facts, which).ok()?;
        let services = std::mem::take(&mut checked.config.services);
        if services.len() != together.len() || rest.as_ref().is_some_and(|rest| *rest != checked) {
            return None;
        }
        let is_first = rest.is_none();
        rest = Some(checked);
        let placed = together.iter().map(|(at, _)| *at).zip(services);
        found.extend(placed.filter(|(at, _)| is_first || !named.iter().any(|(known, _)| known == at)));
    }
    found.sort_unstable_by_key(|(at, _)| *at);
    let mut checked = rest?;
    checked.config.services = found.into_iter().map(|(_, service)| service).collect();
    are_apart(&checked).then_some(checked)
}

/// Whether no two services have in common what they must not. Whoever takes more than one address or a mark is judged with all.
fn are_apart(checked: &Checked) -> bool {
    let services = &checked.config.services;
    let (mut names, mut keys) = (BTreeSet::new(), BTreeSet::new());
    services.iter().all(|service| {
        service.also.is_empty()
            && service.marking.is_none()
            && names.insert(&service.name)
            && keys.insert(service.key)
    })
}

#[cfg(test)]
mod tests {
    use super::super::samples::{edits, file};
    use super::*;

    fn in_pieces(text: &str) -> Option<Checked> {
        pieces_of(text, &NodeFacts::default(), Nodes::All, 4, 3)
    }

    #[test]
    fn pieces_say_what_the_whole_says() {
        let facts = NodeFacts { hostname: Some("lb2".to_owned()), ..NodeFacts::default() };
        for services in [5, 12, 40] {
            for facts in [&facts, &NodeFacts::default()] {
                let text = file(services);
                let whole = check_whole(&text, "f", facts, Nodes::All).unwrap();
                assert_eq!(pieces_of(&text, facts, Nodes::All, 4, 3), Some(whole));
            }
        }
        assert_eq!(in_pieces(&file(4)), None, "too few");
    }

    #[test]
    fn what_two_pieces_have_in_common_is_noticed() {
        for (old, new) in [("name = \"s9\"", "name = \"s1\""), ("192.0.2.1:8009", "192.0.2.1:8001")] {
            let text = file(12).replace(old, new);
            assert!(check_whole(&text, "f", &NodeFacts::default(), Nodes::All).is_err(), "{new}");
            assert_eq!(in_pieces(&text), None, "{new}");
        }
    }

    #[test]
    fn whatever_is_edited_the_verdict_is_that_on_the_whole() {
        let mut quick = 0;
        for (round, edited) in edits(&file(12), 3_000).enumerate() {
            let Some(found) = in_pieces(&edited) else { continue };
            let whole = check_whole(&edited, "f", &NodeFacts::default(), Nodes::All);
            assert_eq!(whole.map_err(|report| report.to_string()), Ok(found), "round {round}:\n{edited}");
            quick += 1;
        }
        assert!(quick > 300, "only {quick} were quick");
    }
}
