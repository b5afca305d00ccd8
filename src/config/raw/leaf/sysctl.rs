//! `sysctl` of `[ipvs]`: settings of the kernel by name.

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::DeValue;

use crate::config::faults::Faults;
use crate::config::field::At;
use crate::config::report::Span;
use crate::config::schema::Definitions;
use crate::config::value::{FromValue, wrong_type};

/// Names with the text of their values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sysctls(pub Vec<(At<String>, At<String>)>);

impl FromValue for Sysctls {
    const WANTS: &'static str = "a table such as { expire_nodest_conn = 1 }";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        let Some(table) = value.get_ref().as_table() else {
            wrong_type(key, value, Self::WANTS, faults);
            return None;
        };
        let settings = table.iter().filter_map(|(name, value)| {
            let span = Span::from(value.span());
            let text = match value.get_ref() {
                DeValue::Integer(number) if number.radix() == 10 => number.as_str().replace('_', ""),
                DeValue::String(text) => text.to_string(),
                DeValue::Boolean(on) => u8::from(*on).to_string(),
                _ => {
                    wrong_type(name.get_ref(), value, "a whole number, true, false or a string", faults);
                    return None;
                }
            };
            let name = At { value: name.get_ref().to_string(), span: name.span().into() };
            Some((name, At { value: text, span }))
        });
        Some(Self(settings.collect()))
    }

    fn schema(_: &mut Definitions) -> Json {
        serde_json::json!({ "type": "object", "description": Self::WANTS })
    }
}
