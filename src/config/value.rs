//! How one value of the file becomes a typed one: every fault is noted, none stops the reading.

use std::borrow::Cow;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::faults::Faults;
use super::field::{At, Field, List, Many};
use super::report::Span;
use super::schema::{self, Definitions};
use crate::ctl::closest;
use crate::pin::PinHash;
use crate::units::{Cidr, IfName, Mac, Priority, Refused, Vrid, Weight, parse_duration};

/// What can be read from a value.
pub trait FromValue: Sized {
    /// In words, after "expected".
    const WANTS: &'static str;

    /// Reads `value` of the key `key`; on `None` a fault was noted.
    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self>;

    /// What an editor is to know of it.
    fn schema(_: &mut Definitions) -> Json {
        schema::anything(Self::WANTS)
    }
}

/// Notes that `value` has the wrong type.
pub fn wrong_type(key: &str, value: &Spanned<DeValue<'_>>, wants: &str, faults: &mut Faults<'_>) {
    let found = match value.get_ref().type_str() {
        "integer" => "a whole number",
        "float" => "a number with a fraction",
        "string" => "a string",
        "boolean" => "true or false",
        "array" => "a list",
        "table" => "a table",
        _ => "a date or time",
    };
    faults.add(value.span().into(), format!("`{key}` is {found}, expected {wants}"));
}

/// The text of a string value; else a fault was noted.
pub fn text<'v>(
    key: &str,
    value: &'v Spanned<DeValue<'_>>,
    wants: &str,
    faults: &mut Faults<'_>,
) -> Option<&'v str> {
    let text = value.get_ref().as_str();
    if text.is_none() {
        wrong_type(key, value, wants, faults);
    }
    text
}

fn number(key: &str, value: &Spanned<DeValue<'_>>, wants: &str, faults: &mut Faults<'_>) -> Option<i64> {
    let Some(integer) = value.get_ref().as_integer() else {
        wrong_type(key, value, wants, faults);
        return None;
    };
    let number = i64::from_str_radix(integer.as_str(), integer.radix()).ok();
    if number.is_none() {
        faults.add(value.span().into(), format!("`{key}` is too large a number"));
    }
    number
}

/// The value of a checked conversion; else a fault was noted.
pub fn accept<T>(
    value: &Spanned<DeValue<'_>>,
    result: Result<T, Refused>,
    faults: &mut Faults<'_>,
) -> Option<T> {
    result.map_err(|Refused(why)| faults.add(value.span().into(), why)).ok()
}

/// What `read` makes of a string value; else a fault was noted, with the words of what is wanted.
pub fn read_text<T: FromValue>(
    key: &str,
    value: &Spanned<DeValue<'_>>,
    faults: &mut Faults<'_>,
    read: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    let text = text(key, value, T::WANTS, faults)?;
    let found = read(text).ok_or_else(|| Refused(format!("`{key}` {text:?} is not {}", T::WANTS)));
    accept(value, found, faults)
}

impl FromValue for bool {
    const WANTS: &'static str = "true or false";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        let found = value.get_ref().as_bool();
        if found.is_none() {
            wrong_type(key, value, Self::WANTS, faults);
        }
        found
    }

    fn schema(_: &mut Definitions) -> Json {
        serde_json::json!({ "type": "boolean" })
    }
}

impl FromValue for String {
    const WANTS: &'static str = "a string";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        text(key, value, Self::WANTS, faults).map(str::to_owned)
    }

    fn schema(_: &mut Definitions) -> Json {
        schema::text(Self::WANTS)
    }
}

impl FromValue for Duration {
    const WANTS: &'static str = "a duration such as \"500ms\" or \"2s\"";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        let text = text(key, value, Self::WANTS, faults)?;
        accept(value, parse_duration(text), faults)
    }

    fn schema(_: &mut Definitions) -> Json {
        schema::text(Self::WANTS)
    }
}

impl FromValue for IpAddr {
    const WANTS: &'static str = "an address such as \"192.168.61.1\" or \"2001:db8::1\"";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        read_text(key, value, faults, |text| text.parse().ok())
    }

    fn schema(_: &mut Definitions) -> Json {
        schema::text(Self::WANTS)
    }
}

macro_rules! from_text {
    ($($type:ty: $wants:literal),* $(,)?) => {$(
        impl FromValue for $type {
            const WANTS: &'static str = $wants;

            fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
                let text = text(key, value, Self::WANTS, faults)?;
                accept(value, <$type>::from_str(text), faults)
            }

            fn schema(_: &mut Definitions) -> Json {
                schema::text(Self::WANTS)
            }
        }
    )*};
}

from_text! {
    PinHash: "the hash of a PIN, as `director pin` makes it",
    IfName: "the name of an interface such as \"eth0\"",
    Mac: "a hardware address such as \"52:54:00:00:00:01\"",
    Cidr: "an address such as \"192.168.61.44/24\" or \"2001:db8::1/64\"",
}

macro_rules! from_number {
    ($($type:ty: $wants:literal),* $(,)?) => {$(
        impl FromValue for $type {
            const WANTS: &'static str = $wants;

            fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
                let number = number(key, value, Self::WANTS, faults)?;
                accept(value, <$type>::try_from(number), faults)
            }

            fn schema(_: &mut Definitions) -> Json {
                schema::number(None, None, Self::WANTS)
            }
        }
    )*};
}

from_number! {
    Vrid: "a whole number from 1 to 255",
    Priority: "a whole number from 1 to 255",
    Weight: "a whole number from 0 to 2147483647",
}

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Int<const MIN: i64, const MAX: i64>(i64);

impl<const MIN: i64, const MAX: i64> Int<MIN, MAX> {
    /// The number as `N`; the saturated one where the bounds do not fit `N`.
    pub fn to<N: TryFrom<i64>>(self, saturated: N) -> N {
        N::try_from(self.0).unwrap_or(saturated)
    }

    /// The plain number.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl<const MIN: i64, const MAX: i64> FromValue for Int<MIN, MAX> {
    const WANTS: &'static str = "a whole number";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        let number = number(key, value, Self::WANTS, faults)?;
        if (MIN..=MAX).contains(&number) {
            return Some(Self(number));
        }
        faults.add(value.span().into(), format!("`{key}` {number} is out of range: {MIN} to {MAX}"));
        None
    }

    fn schema(_: &mut Definitions) -> Json {
        schema::number(Some(MIN), Some(MAX), Self::WANTS)
    }
}

impl<T: FromValue> FromValue for List<T> {
    const WANTS: &'static str = "a list";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        let Some(array) = value.get_ref().as_array() else {
            let help = if value.get_ref().is_table() {
                let section = if key == "server" { "service.server" } else { key };
                format!("a list of tables is written [[{section}]], in two brackets")
            } else {
                format!("a list in brackets, each element {}", T::WANTS)
            };
            faults.add_with_help(value.span().into(), format!("`{key}` is not a list"), help);
            return None;
        };
        let mut list = Self { items: Vec::with_capacity(array.len()), complete: true };
        for element in array.iter() {
            match T::from_value(key, element, faults) {
                Some(value) => list.items.push(At { value, span: element.span().into() }),
                None => list.complete = false,
            }
        }
        Some(list)
    }

    fn schema(tables: &mut Definitions) -> Json {
        schema::list(T::schema(tables))
    }
}

impl<T: FromValue> FromValue for Many<T> {
    const WANTS: &'static str = T::WANTS;

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        if value.get_ref().is_array() {
            return List::from_value(key, value, faults).map(Self);
        }
        let one = T::from_value(key, value, faults)?;
        Some(Self(List { items: vec![At { value: one, span: value.span().into() }], complete: true }))
    }

    fn schema(tables: &mut Definitions) -> Json {
        let one = T::schema(tables);
        schema::any_of(T::WANTS, vec![one.clone(), schema::list(one)])
    }
}

/// What can be read from a table.
pub trait FromTable: Sized {
    /// The keys it knows, in the order of the manual.
    const KEYS: &'static [&'static str];

    /// Reads `table`, whose place is `at`.
    fn from_table(table: &DeTable<'_>, at: Span, faults: &mut Faults<'_>) -> Self;

    /// As [`FromValue::schema`].
    fn table_schema(_: &mut Definitions) -> Json {
        schema::anything("a table")
    }
}

impl<T: FromTable> FromValue for T {
    const WANTS: &'static str = "a table";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        let Some(table) = value.get_ref().as_table() else {
            faults.add_with_help(
                value.span().into(),
                format!("`{key}` is not a table"),
                format!("{{ … }} with the keys {}", list_keys(Self::KEYS)),
            );
            return None;
        };
        Some(T::from_table(table, value.span().into(), faults))
    }

    fn schema(tables: &mut Definitions) -> Json {
        T::table_schema(tables)
    }
}

/// Reads the value of `key`.
pub fn field<T: FromValue>(table: &DeTable<'_>, key: &str, faults: &mut Faults<'_>) -> Field<T> {
    table.get(key).map_or(Field::Absent, |value| set(key, value, faults))
}

/// Reads `value`, which stands for `key`.
pub fn set<T: FromValue>(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Field<T> {
    match T::from_value(key, value, faults) {
        Some(found) => Field::Set(At { value: found, span: value.span().into() }),
        None => Field::Faulty,
    }
}

/// Notes each key of `table` that is not one of `known`.
pub fn unknown_keys(table: &DeTable<'_>, known: &[&str], faults: &mut Faults<'_>) {
    let unknown = table.keys().filter(|key| !known.contains(&key.get_ref().as_ref()));
    for key in unknown {
        unknown_key(key, known, faults);
    }
}

/// Notes that `key` is not one of `known`.
pub fn unknown_key(key: &Spanned<Cow<'_, str>>, known: &[&str], faults: &mut Faults<'_>) {
    faults.add_with_help(
        key.span().into(),
        format!("unknown key `{}`", key.get_ref().escape_debug()),
        match near(key.get_ref(), known) {
            Some(near) => format!("did you mean `{near}`? known here: {}", list_keys(known)),
            None => format!("known here: {}", list_keys(known)),
        },
    );
}

fn list_keys(keys: &[&str]) -> String {
    keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}

fn near<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    const LONGEST: usize = 32; // longer than any key of ours: not a slip
    if key.len() > LONGEST { None } else { closest(key, known.iter().copied()) }
}
