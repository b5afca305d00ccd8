//! Secrets left out of text that others will read: by the keys before them, and wherever their values show up again. Pure.

use regex::bytes::{Captures, Regex};
use toml_edit::{DocumentMut, Item, Value};

use crate::secret::{KEYS, is_key};

/// What stands in the place of a secret.
const REMOVED: &str = "(removed)";
/// Shorter values are only removed behind their key: a password `1111` is a number elsewhere.
const TELLING: usize = 6;

/// Leaves secrets out.
#[derive(Debug)]
pub struct Redactor {
    assigned: Option<Regex>,
    address: Option<Regex>,
    values: Vec<Vec<u8>>,
}

impl Default for Redactor {
    fn default() -> Self {
        // `key = "…"`, `key = '…'`, `key = """…"""`, `"key": "…"`, also with `\"` as JSON has it inside of a string.
        let assigned = format!(
            r#"(?is-u)(\\?["']?\b(?:{KEYS})\\?["']?\s*[=:]\s*)("""(?:.*?)"""|'''(?:.*?)'''|\\"(?:.*?)\\"|"(?:\\.|[^"\\])*"|'[^'\n]*'|\[[^\]]*\])"#
        );
        Self {
            assigned: Regex::new(&assigned).ok(),
            address: Regex::new(r"(?-u)(://[^/\s:@]*:)[^/\s@]+@").ok(),
            values: Vec::new(),
        }
    }
}

impl Redactor {
    /// Remembers the secrets of a configuration, to leave them out wherever they show up.
    pub fn learn(&mut self, configuration: &str) {
        if let Ok(document) = configuration.trim_start_matches('\u{feff}').parse::<DocumentMut>() {
            let mut found = Vec::new();
            look(document.as_item(), false, &mut found);
            self.add(found);
        }
    }

    /// Remembers a secret that lies in a file of its own: each line of it.
    pub fn remember(&mut self, file: &str) {
        let lines = file.lines().map(str::trim).flat_map(|line| [line, line.trim_start_matches("hex:")]);
        self.add(lines.map(str::to_owned).collect());
    }

    fn add(&mut self, found: Vec<String>) {
        self.values.extend(found.into_iter().filter(|value| value.len() >= TELLING).map(String::into_bytes));
        // The longest first: one may be the beginning of another.
        self.values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        self.values.dedup();
    }

    /// The text without secrets.
    #[must_use]
    pub fn clean(&self, text: &[u8]) -> Vec<u8> {
        let mut text = text.to_vec();
        if let Some(assigned) = &self.assigned {
            text = assigned.replace_all(&text, |found: &Captures<'_>| blank(found)).into_owned();
        }
        if let Some(address) = &self.address {
            let with = format!("${{1}}{REMOVED}@");
            text = address.replace_all(&text, with.as_bytes()).into_owned();
        }
        for value in &self.values {
            text = without(&text, value);
        }
        text
    }
}

/// The key and, in the quotes of the value, that something was there. Lists become a string.
fn blank(found: &Captures<'_>) -> Vec<u8> {
    let key = found.get(1).map(|it| it.as_bytes()).unwrap_or_default();
    let value = found.get(2).map(|it| it.as_bytes()).unwrap_or_default();
    let quote: &[u8] = if value.starts_with(b"\\\"") { b"\\\"" } else { b"\"" };
    [key, quote, REMOVED.as_bytes(), quote].concat()
}

fn without(text: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with(value) {
            out.extend_from_slice(REMOVED.as_bytes());
            at += value.len();
        } else {
            out.extend(rest.first());
            at += 1;
        }
    }
    out
}

/// Every string below a secret's key.
fn look(item: &Item, secret: bool, found: &mut Vec<String>) {
    if let Some(table) = item.as_table_like() {
        for (key, item) in table.iter() {
            look(item, secret || is_key(key), found);
        }
    } else if let Some(tables) = item.as_array_of_tables() {
        for table in tables {
            look(&Item::Table(table.clone()), secret, found);
        }
    } else if let Some(value) = item.as_value() {
        strings(value, secret, found);
    }
}

fn strings(value: &Value, secret: bool, found: &mut Vec<String>) {
    match value {
        Value::String(text) if secret => found.push(text.value().clone()),
        Value::Array(array) => array.iter().for_each(|value| strings(value, secret, found)),
        Value::InlineTable(table) => {
            table.iter().for_each(|(key, value)| strings(value, secret || is_key(key), found));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(text: &str) -> String {
        String::from_utf8(Redactor::default().clean(text.as_bytes())).unwrap()
    }

    #[test]
    fn secrets_go_and_the_rest_stays() {
        let text = r#"
auth = { type = "pass", key = "s3cr3t" } # keep
keys = [ { id = 1, key = 'abc' },
         { id = 2, key = "d\"ef" } ]
password="a" # and this
pin = "$argon2id$v=19$m=1$x$y"
secret = """
two lines"""
headers = { Authorization = "Basic xyz", Host = "www" }
url = "http://user:pw@host/x"
monkey = "banana"
"#;
        let wanted = r#"
auth = { type = "pass", key = "(removed)" } # keep
keys = "(removed)"
password="(removed)" # and this
pin = "(removed)"
secret = "(removed)"
headers = { Authorization = "(removed)", Host = "www" }
url = "http://user:(removed)@host/x"
monkey = "banana"
"#;
        assert_eq!(cleaned(text), wanted);
    }

    #[test]
    fn text_within_json_is_cleaned_too() {
        let text = r#"{"report":"3 | key = \"s3cr3t\" # x","password":"q","name":"a"}"#;
        let wanted = r#"{"report":"3 | key = \"(removed)\" # x","password":"(removed)","name":"a"}"#;
        assert_eq!(cleaned(text), wanted);
    }

    #[test]
    fn known_values_go_wherever_they_are() {
        let mut redactor = Redactor::default();
        redactor.learn(
            "[[vrrp]]\nauth = { type = \"pass\", key = \"hunter22\" }\n[a.password]\nx = [\"hunter22-longer\"]\npin = \"1111\"\n",
        );
        let text = redactor.clean(b"sent hunter22, got hunter22-longer, 1111 times\n");
        assert_eq!(text, b"sent (removed), got (removed), 1111 times\n");
        redactor.remember("hex:00112233\r\ncorrect horse\n");
        assert_eq!(redactor.clean(b"00112233, correct horse battery\n"), b"(removed), (removed) battery\n");
    }

    #[test]
    fn what_is_no_configuration_is_cleaned_by_its_keys() {
        let mut redactor = Redactor::default();
        redactor.learn("this is [not TOML");
        assert_eq!(
            redactor.clean(b"listn = 1\nkey = \"abc\"\n\xff"),
            b"listn = 1\nkey = \"(removed)\"\n\xff"
        );
    }
}
