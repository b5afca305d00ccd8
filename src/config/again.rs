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

use super::model::Service;
use super::{Checked, LARGEST, NodeFacts, Report, check};

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

/// A text cut at its lines that begin a section.
struct Layout<'t> {
    /// Everything that is no service, in its order.
    rest: String,
    /// Each `[[service]]` with all that belongs to it.
    services: Vec<&'t str>,
    /// Whether the rest may name services.
    refers: bool,
}

impl<'t> Layout<'t> {
    /// `None` for a text in which a line that looks like a header may be a part of a string.
    ///
    /// A line in a list of several lines may begin with a bracket too. It is taken for a header, and what is cut there is no
    /// TOML, which whoever checks the parts notices.
    fn of(text: &'t [u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= LARGEST)?;
        if text.starts_with('\u{feff}') || text.contains("\"\"\"") || text.contains("'''") {
            return None;
        }
        let mut layout = Self { rest: String::new(), services: Vec::new(), refers: false };
        let (mut start, mut in_service) = (0, false);
        let mut sections = Vec::new();
        for (at, line) in lines(text) {
            let line = line.trim_ascii_start();
            if !line.starts_with('[') || (in_service && belongs_to_service(line)) {
                continue;
            }
            sections.push((in_service, text.get(start..at)?));
            (start, in_service) = (at, line.starts_with("[[service]]"));
        }
        sections.push((in_service, text.get(start..)?));
        for (is_service, section) in sections {
            if is_service {
                layout.services.push(section);
            } else {
                layout.rest.push_str(section);
            }
        }
        // The last line may be the one without an end.
        layout.rest.push('\n');
        layout.refers = layout.rest.contains("service");
        Some(layout)
    }

    /// Whether the rest may speak of this service.
    fn names(&self, service: &str) -> bool {
        self.refers && name_of(service).is_none_or(|name| self.rest.contains(name))
    }
}

/// Every line with the place where it begins.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split_inclusive('\n').map(move |line| {
        let start = at;
        at += line.len();
        (start, line)
    })
}

fn belongs_to_service(line: &str) -> bool {
    line.starts_with("[[service.") || line.starts_with("[service.")
}

/// The name as it stands in the text of a service, with its quotes.
fn name_of(service: &str) -> Option<&str> {
    let line = service.lines().map(str::trim_ascii_start).find(|line| line.starts_with("name"))?;
    let (start, end) = (line.find('"')?, line.rfind('"')?);
    line.get(start..=end).filter(|name| name.len() > 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str = "version = 1\n[[interface]]\nname = \"eth0\"\naddresses = [\"192.0.2.1/24\"]\n";

    fn service(number: usize) -> String {
        format!(
            "[[service]] # the {number}th\nname = \"s{number}\"\nlisten = \"192.0.2.1:{}\"\nmethod = \"nat\"\n\
             check = {{ type = \"tcp\", interval = \"2s\" }}\nsorry = [\n  {{ address = \"10.0.9.1:80\" }},\n]\n\
             [[service.server]]\naddress = \"10.0.0.{number}:80\"\nweight = 1\n\
             [[service.server]]\naddress = \"10.0.1.{number}:80\"\nweight = 2\n",
            8000 + number
        )
    }

    fn file(services: usize) -> String {
        let vrrp = "[[vrrp]]\nname = \"VI_1\"\ninterface = \"eth0\"\nvrid = 51\naddresses = [\"192.0.2.9/32\"]\n\
                    track = [{ service = \"s2\", weight = -60 }]\n\
                    [node.lb2]\nmatch = { hostname = \"lb2\" }\nvrrp = [{ name = \"VI_1\", priority = 50 }]\n";
        let all = |numbers: std::ops::Range<usize>| numbers.map(service).collect::<String>();
        format!("{REST}{}{vrrp}{}", all(1..services / 2), all(services / 2..services))
    }

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

    /// xorshift64*: the same edits in every run.
    fn roll(dice: &mut u64, below: usize) -> usize {
        *dice ^= *dice >> 12;
        *dice ^= *dice << 25;
        *dice ^= *dice >> 27;
        usize::try_from(dice.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % below
    }

    #[test]
    fn whatever_is_edited_the_verdict_is_that_on_the_whole() {
        let (text, facts) = (file(12), NodeFacts::default());
        let before = before(&text);
        let (mut dice, mut quick) = (0x5eed_5eed_u64, 0);
        let words = [
            "7",
            "\"",
            "[",
            "]",
            "[[service]]",
            "[[service.server]]",
            "[vrrp]",
            "# ",
            "s3",
            "8003",
            "\n",
            "= ",
            "weight",
        ];
        for round in 0..3_000 {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            for _ in 0..=roll(&mut dice, 2) {
                let at = roll(&mut dice, lines.len());
                match roll(&mut dice, 5) {
                    0 => drop(lines.remove(at)),
                    1 => lines.insert(at, lines[roll(&mut dice, lines.len())].clone()),
                    2 => lines[at] = lines[at].replace('1', "2"),
                    3 => lines[at].insert_str(0, words[roll(&mut dice, words.len())]),
                    _ => lines[at].push_str(words[roll(&mut dice, words.len())]),
                }
            }
            let edited = lines.join("\n");
            let whole = check(&edited, "f", &facts).map_err(|report| report.to_string());
            let again = check_again(edited.as_bytes(), "f", &facts, Some(&before));
            assert_eq!(again.map_err(|report| report.to_string()), whole, "round {round}:\n{edited}");
            quick += usize::from(quickly(&edited, &before).is_some());
        }
        assert!(quick > 300, "only {quick} were quick");
    }
}
