//! A log line as a message of RFC 5424. Pure.

use std::fmt::Write;

use crate::ctl::logs::moment;
use crate::ipc::message::LogLine;

/// Facility of the kernel's messages and of daemons (RFC 5424 section 6.2.1).
const KERNEL: u8 = 0;
const DAEMON: u8 = 3;
/// Longest MSGID (section 6.2.7) and PARAM-NAME (section 6.3.3).
const LONGEST_NAME: usize = 32;
/// Most parameters of one message.
const MOST_PARAMETERS: usize = 16;
/// The element of our parameters. 32473 is the number that IANA keeps for documentation: this project has none of its own.
const ELEMENT: &str = "director@32473";

/// The message, at most `longest` bytes: first the parameters go, which the text repeats, then the end of the text.
#[must_use]
pub fn message(line: &LogLine, hostname: &str, longest: usize) -> Vec<u8> {
    let kernel = line.role == crate::role::Role::Init;
    let kernel = line.text.strip_prefix("kernel: ").filter(|_| kernel);
    let fields = if kernel.is_some() { None } else { fields(&line.text) };
    let whole = compose(line, hostname, kernel, fields.as_ref(), true);
    let mut bytes =
        if whole.len() > longest { compose(line, hostname, kernel, fields.as_ref(), false) } else { whole }
            .into_bytes();
    bytes.truncate(longest);
    // Not within a character.
    while std::str::from_utf8(&bytes).is_err() && bytes.pop().is_some() {}
    bytes
}

fn compose(
    line: &LogLine,
    hostname: &str,
    kernel: Option<&str>,
    fields: Option<&Fields<'_>>,
    with_parameters: bool,
) -> String {
    let (facility, app, process, text) = match kernel {
        Some(text) => (KERNEL, "kernel", "-", text),
        None => (DAEMON, "director", line.role.name(), line.text.as_str()),
    };
    let priority = facility * 8 + line.severity.min(7);
    let time = moment(line.time_ms).replace(' ', "T");
    let mut out = format!("<{priority}>1 {time}.{:03}Z ", line.time_ms % 1000);
    out.push_str(&printable(hostname, 255));
    let id = fields
        .map_or_else(|| "-".to_owned(), |fields| printable(&fields.head.replace(' ', "-"), LONGEST_NAME));
    // A string takes whatever is written to it.
    let _ = write!(out, " {app} {process} {id} ");
    match fields.filter(|_| with_parameters) {
        Some(fields) => {
            out.push('[');
            out.push_str(ELEMENT);
            for (name, value) in &fields.pairs {
                let _ = write!(out, " {name}=\"");
                // Section 6.3.3: these three are escaped, nothing else is.
                for c in value.chars() {
                    if matches!(c, '"' | '\\' | ']') {
                        out.push('\\');
                    }
                    out.push(c);
                }
                out.push('"');
            }
            out.push(']');
        }
        None => out.push('-'),
    }
    out.push(' ');
    out.push_str(text);
    out
}

/// A line of the form `what happened: name=value name=value of several words`.
#[derive(Debug, PartialEq, Eq)]
pub struct Fields<'t> {
    /// What happened.
    pub head: &'t str,
    /// Names and values, in their order.
    pub pairs: Vec<(&'t str, String)>,
}

/// The fields of a line; `None` where it has none, or too many.
#[must_use]
pub fn fields(text: &str) -> Option<Fields<'_>> {
    let (head, rest) = text.split_once(": ")?;
    let mut pairs: Vec<(&str, String)> = Vec::new();
    for word in rest.split(' ') {
        match word.split_once('=').filter(|(name, _)| is_name(name)) {
            Some((name, value)) => pairs.push((name, value.to_owned())),
            None => {
                let (_, value) = pairs.last_mut()?;
                value.push(' ');
                value.push_str(word);
            }
        }
    }
    (pairs.len() <= MOST_PARAMETERS).then_some(Fields { head, pairs })
}

fn is_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

/// Printable ASCII without blanks, or `-` for nothing.
fn printable(text: &str, longest: usize) -> String {
    let text: String =
        text.chars().map(|c| if c.is_ascii_graphic() { c } else { '-' }).take(longest).collect();
    if text.is_empty() { "-".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::role::Role;

    fn said(role: Role, severity: u8, text: &str) -> String {
        let line = LogLine { time_ms: 1_795_169_293_007, role, severity, text: text.to_owned() };
        String::from_utf8(message(&line, "lb1", 2048)).unwrap()
    }

    #[test]
    fn fields_become_parameters() {
        assert_eq!(
            said(
                Role::Lvs,
                4,
                r#"server down: service=web server=10.0.0.1:80 reason=got "no]pe", wanted 200"#
            ),
            r#"<28>1 2026-11-20T10:08:13.007Z lb1 director lvs server-down [director@32473 service="web" server="10.0.0.1:80" reason="got \"no\]pe\", wanted 200"] server down: service=web server=10.0.0.1:80 reason=got "no]pe", wanted 200"#
        );
    }

    #[test]
    fn a_plain_line_and_one_of_the_kernel() {
        assert_eq!(
            said(Role::Net, 6, "link: up"),
            "<30>1 2026-11-20T10:08:13.007Z lb1 director net - - link: up"
        );
        assert_eq!(
            said(Role::Init, 3, "kernel: EXT4-fs error (device vda9): x=y"),
            "<3>1 2026-11-20T10:08:13.007Z lb1 kernel - - - EXT4-fs error (device vda9): x=y"
        );
        assert_eq!(
            said(Role::Store, 6, "a: b=1 =x c"),
            "<30>1 2026-11-20T10:08:13.007Z lb1 director store a [director@32473 b=\"1 =x c\"] a: b=1 =x c"
        );
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let text = format!("it was: why={}", "ä".repeat(1000));
        let line = LogLine { time_ms: 0, role: Role::Lvs, severity: 6, text };
        let bytes = message(&line, "", 480);
        let text = String::from_utf8(bytes).unwrap();
        assert!(
            text.len() <= 480
                && text.len() > 470
                && text.starts_with("<30>1 1970-01-01T00:00:00.000Z - director lvs it-was - it"),
            "{text}"
        );
    }
}
