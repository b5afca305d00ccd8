//! The JSON Schema of `director.toml`, made from the very types that read it: an editor completes and checks by it.
//!
//! It knows keys, types, words and ranges. What two values tell each other, and what one text means, only `director check` knows.

use serde_json::{Map, Value as Json, json};

use super::raw::Root;
use super::value::FromValue;

/// The tables by name, each described once.
pub type Definitions = Map<String, Json>;

/// The schema, of draft 7: what editors read.
#[must_use]
pub fn schema() -> Json {
    let mut tables = Definitions::new();
    let _ = Root::schema(&mut tables);
    let Some(Json::Object(mut root)) = tables.remove("Root") else { return Json::Null };
    if let Some(Json::Object(keys)) = root.get_mut("properties") {
        let mut of_node = keys.clone();
        of_node.remove("version");
        of_node.remove("node");
        of_node.insert("match".to_owned(), json!({
            "type": "object",
            "properties": { "mac": text("the hardware address of a card"), "hostname": text("its host name") },
            "additionalProperties": false,
            "minProperties": 1,
            "maxProperties": 1,
        }));
        let node = json!({
            "type": "object", "properties": of_node, "required": ["match"], "additionalProperties": false,
        });
        tables.insert("Node".to_owned(), node);
        keys.insert("version".to_owned(), json!({ "const": 1 }));
        keys.insert(
            "node".to_owned(),
            json!({ "type": "object", "additionalProperties": { "$ref": "#/definitions/Node" } }),
        );
    }
    root.insert("$schema".to_owned(), "http://json-schema.org/draft-07/schema#".into());
    root.insert("title".to_owned(), "director.toml".into());
    root.insert("required".to_owned(), json!(["version"]));
    root.insert("definitions".to_owned(), Json::Object(tables));
    Json::Object(root)
}

/// One key of a table and how its value is described.
pub type Key = (&'static str, fn(&mut Definitions) -> Json);

/// A table, which is described where it is met first.
pub fn table(name: &str, tables: &mut Definitions, keys: &[Key]) -> Json {
    if !tables.contains_key(name) {
        tables.insert(name.to_owned(), Json::Null); // so that nobody begins it again
        let keys: Map<String, Json> = keys.iter().map(|(key, of)| ((*key).to_owned(), of(tables))).collect();
        let table = json!({ "type": "object", "properties": keys, "additionalProperties": false });
        tables.insert(name.to_owned(), table);
    }
    json!({ "$ref": format!("#/definitions/{name}") })
}

/// Anything, with words.
pub fn anything(wants: &str) -> Json {
    json!({ "description": wants })
}

/// A string.
pub fn text(wants: &str) -> Json {
    json!({ "type": "string", "description": wants })
}

/// One of some words.
pub fn one_of(words: &[&str]) -> Json {
    json!({ "enum": words })
}

/// A whole number.
pub fn number(least: Option<i64>, most: Option<i64>, wants: &str) -> Json {
    let mut number =
        Map::from_iter([("type".to_owned(), "integer".into()), ("description".to_owned(), wants.into())]);
    number.extend(least.map(|least| ("minimum".to_owned(), least.into())));
    number.extend(most.map(|most| ("maximum".to_owned(), most.into())));
    Json::Object(number)
}

/// Any of some.
pub fn any_of(wants: &str, of: Vec<Json>) -> Json {
    json!({ "description": wants, "anyOf": of })
}

/// A list.
pub fn list(of: Json) -> Json {
    json!({ "type": "array", "items": of })
}
