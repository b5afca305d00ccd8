//! Real servers of an `ldirectord.cf`. Pure.

use super::check::check;
use super::{Look, behind, endpoint, method_of};
use crate::import::draft::{Draft, Table};

/// `IP[->IP][:port] gate|masq|ipip [weight] ["request", "receive"] [l:N] [u:N]`; what else stands there is a warning.
pub(super) fn servers(
    draft: &mut Draft,
    look: &Look<'_, '_>,
    (line, real): (usize, &str),
    port: Option<u16>,
    protocol: &str,
    servers: &mut Vec<Table>,
) {
    let (word, rest) = split_word(real);
    let (method, rest) = split_word(rest);
    let method = method_of(method);
    let Some((address, asked)) = place(draft, (line, word), method, port) else { return };
    let mut table = Table::default();
    table.text("address", &address);
    table.text("method", method);
    let more = More::of(rest);
    table.set("weight", more.weight.unwrap_or(1));
    for (key, limit) in [("max_connections", more.upper), ("min_connections", more.lower)] {
        if let Some(limit) = limit.filter(|limit| *limit > 0) {
            table.set(key, limit);
        }
    }
    for strange in &more.strange {
        draft.warn(line, format!("real {word}: {strange}: not understood: left out"));
    }
    let own = more.strings.map(|(request, receive)| (line, request, receive));
    if own.is_some() || (asked.is_some() && look.text("checkport").is_none()) {
        table.set("check", check(draft, look, (port, asked), protocol, own));
    }
    servers.push(table);
}

/// Where the servers of a line are, and the port that their checks ask where they have another here; `None` when it cannot be
/// said.
fn place(
    draft: &mut Draft,
    (line, word): (usize, &str),
    method: &str,
    port: Option<u16>,
) -> Option<(String, Option<u16>)> {
    let (first, last) = match word.split_once("->") {
        // The port stands behind the last address.
        Some((first, last)) => (endpoint(first, endpoint(last, port).map(|last| last.port())), Some(last)),
        None => (endpoint(word, port), None),
    };
    let Some(mut first) = first else {
        draft.warn(line, format!("real {word}: no address: left out"));
        return None;
    };
    let mut asked = None;
    // ipvsadm puts the service's port there; the check keeps asking the other.
    if let Some(port) = port.filter(|port| method != "nat" && *port != first.port()) {
        asked = Some(first.port()).filter(|port| *port != 0);
        if asked.is_some() {
            draft.warn(
                line,
                format!("real {word}: direct routing and tunnels do not change the port: now {port}"),
            );
        }
        first.set_port(port);
    }
    let text = match last.and_then(|last| endpoint(last, port)) {
        None => behind(first, port),
        Some(last) if port.is_some() && first.port() != 0 => {
            format!("{}-{}:{}", first.ip(), last.ip(), first.port())
        }
        Some(last) => format!("{}-{}", first.ip(), last.ip()),
    };
    Some((text, asked))
}

/// What follows the method.
#[derive(Debug, Default, PartialEq, Eq)]
struct More<'a> {
    weight: Option<u32>,
    /// What the server is asked, and what it must answer.
    strings: Option<(&'a str, &'a str)>,
    /// `l:N`: a server that was full is used again below so many connections.
    lower: Option<u32>,
    /// `u:N`: so many connections fill it.
    upper: Option<u32>,
    strange: Vec<&'a str>,
}

impl<'a> More<'a> {
    fn of(text: &'a str) -> Self {
        let mut more = Self::default();
        let mut request = None;
        for (at, (word, quoted)) in words(text).into_iter().enumerate() {
            let limit = |mark: &str| word.strip_prefix(mark).and_then(|limit| limit.parse::<u32>().ok());
            match (limit("l:"), limit("u:"), word.parse::<u32>()) {
                // The manual has them in quotes, the program without.
                (Some(limit), ..) => more.lower = Some(limit),
                (_, Some(limit), _) => more.upper = Some(limit),
                (.., Ok(weight)) if at == 0 && !quoted => more.weight = Some(weight),
                _ if quoted && more.strings.is_none() => match request.take() {
                    Some(request) => more.strings = Some((request, word)),
                    None => request = Some(word),
                },
                _ => more.strange.push(word),
            }
        }
        // A request without what is to be received.
        more.strange.extend(request);
        more
    }
}

/// Words, and strings in quotes without them, each with whether it is one of these; a comma stands between strings.
fn words(text: &str) -> Vec<(&str, bool)> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (word, quoted) = match rest.strip_prefix('"') {
            Some(inner) => {
                let (word, after) = inner.split_once('"').unwrap_or((inner, ""));
                rest = after;
                (word, true)
            }
            None => {
                let (word, after) = split_word(rest);
                rest = after;
                (word, false)
            }
        };
        words.push((word, quoted));
        rest = rest.trim_start();
        if quoted {
            rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
        }
    }
    words
}

fn split_word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_may_follow_the_method() {
        let whole = More::of(" 2 \"a b\", \"c,d\" l:50 u:100");
        assert_eq!((whole.weight, whole.strings), (Some(2), Some(("a b", "c,d"))));
        assert_eq!((whole.lower, whole.upper, whole.strange.len()), (Some(50), Some(100), 0));
        let limits = More::of(" \"u:100\" \"l:50\"");
        assert_eq!((limits.lower, limits.upper, limits.strings), (Some(50), Some(100), None));
        assert_eq!(More::of("").strange, [""; 0]);
    }

    #[test]
    fn what_is_not_understood_is_told() {
        assert_eq!(More::of("1 2 x:3 \"alone\"").strange, ["2", "x:3", "alone"]);
        assert_eq!(More::of("l:many u:-1").strange, ["l:many", "u:-1"]);
        let three = More::of("\"a\",\"b\",\"c\"");
        assert_eq!((three.strings, three.strange), (Some(("a", "b")), vec!["c"]));
    }
}
