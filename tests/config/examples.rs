//! What the manuals show is without fault, and fits `director schema`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use director::config::{NodeFacts, check};

/// Each example of the manuals: a whole file is checked, a fragment is checked as a part of one.
#[test]
fn examples_of_the_manuals_are_without_fault() {
    let all = whole();
    for (name, text) in &all {
        if let Err(report) = check(text, name, &NodeFacts::default()) {
            panic!("{report}");
        }
    }
    assert!(all.len() >= 15, "only {} examples were found", all.len());
}

/// Every file without fault, judged by what `director schema` prints in a validator that is not ours.
#[test]
fn valid_files_fit_the_schema_and_slips_do_not() {
    const VALIDATOR: &str = "import json, sys, jsonschema\n\
        told = json.load(sys.stdin)\n\
        jsonschema.Draft7Validator.check_schema(told['schema'])\n\
        judge = jsonschema.Draft7Validator(told['schema'])\n\
        for name, file in told['files']:\n    print(name, ['good', 'bad'][any(judge.iter_errors(file))])\n";
    if !Command::new("python3").args(["-c", "import jsonschema"]).status().is_ok_and(|s| s.success()) {
        eprintln!("skipped: valid_files_fit_the_schema_and_slips_do_not: python3-jsonschema is missing");
        return;
    }
    let mut files = whole();
    for path in super::files("ok") {
        files.push((path.display().to_string(), fs::read_to_string(path).unwrap()));
    }
    assert!(files.len() > 25, "only {} files were found", files.len());
    let slips = [
        "version = 2",
        "version = 1\nvrp = []",
        "version = 1\n[system]\nhostnam = \"x\"",
        "version = 1\n[[interface]]\nmtu = 9",
        "version = 1\n[[service]]\nscheduler = \"wl\"",
        "version = 1\n[[service]]\ncheck = { type = \"htp\" }",
        "version = 1\n[[vrrp]]\nversion = 4",
        "version = 1\n[node.b]\nvrrp = []",
        "[system]",
    ];
    let good = files.len();
    files.extend(slips.iter().map(|slip| ("slip".to_owned(), (*slip).to_owned())));
    let json = |text: &str| {
        let value: toml::Value = toml::from_str(text.trim_start_matches('\u{feff}')).unwrap();
        serde_json::to_value(value).unwrap()
    };
    let files: Vec<_> = files.iter().map(|(name, text)| (name, json(text))).collect();
    let schema = Command::new(env!("CARGO_BIN_EXE_director")).arg("schema").output().unwrap().stdout;
    let schema: serde_json::Value = serde_json::from_slice(&schema).unwrap();
    let told = serde_json::json!({ "schema": schema, "files": files });
    let mut child = Command::new("python3");
    child.args(["-c", VALIDATOR]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = child.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), told.to_string().as_bytes()).unwrap();
    let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    let verdicts: Vec<&str> = said.lines().collect();
    assert_eq!(verdicts.len(), good + slips.len(), "{said}");
    for (at, verdict) in verdicts.iter().enumerate() {
        assert!(verdict.ends_with(if at < good { " good" } else { " bad" }), "{verdict} (number {at})");
    }
}

/// Keys that stand in no example of `doc/config.md`, with the table of each: for the operator each is shown in its place.
#[test]
fn each_key_of_the_schema_stands_in_an_example() {
    let schema = Command::new(env!("CARGO_BIN_EXE_director")).arg("schema").output().unwrap().stdout;
    let schema: serde_json::Value = serde_json::from_slice(&schema).unwrap();
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("doc/config.md");
    let text: String =
        examples(&fs::read_to_string(manual).unwrap()).into_iter().map(|(_, example)| example).collect();
    let words: BTreeSet<&str> = text
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .collect();
    let mut keys = 0;
    let mut missing = Vec::new();
    for (table, definition) in schema["definitions"].as_object().unwrap() {
        for key in definition["properties"].as_object().into_iter().flat_map(|keys| keys.keys()) {
            keys += 1;
            if !words.contains(key.as_str()) {
                missing.push(format!("{table}.{key}"));
            }
        }
    }
    assert!(keys > 150, "only {keys} keys were found");
    assert!(missing.is_empty(), "without an example in doc/config.md: {}", missing.join(", "));
}

/// All of them as whole files, with the place of each.
fn whole() -> Vec<(String, String)> {
    const REST: &str = include_str!("example-rest.toml");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for manual in ["doc/config.md", "doc/manual.md", "README.md"] {
        for (line, example) in examples(&fs::read_to_string(root.join(manual)).unwrap()) {
            let whole = if example.contains("version = 1") { example } else { complete(REST, &example) };
            found.push((format!("{manual} (example in line {line})"), whole));
        }
    }
    found
}

/// The blocks between ```toml and ```, with the line in which each begins.
fn examples(manual: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut inside = false;
    for (index, line) in manual.lines().enumerate() {
        match (inside, line.trim()) {
            (false, "```toml") => {
                found.push((index + 2, String::new()));
                inside = true;
            }
            (true, "```") => inside = false,
            (true, _) => found.last_mut().unwrap().1.extend([line, "\n"]),
            (false, _) => {}
        }
    }
    found
}

/// The sections of `rest` that `example` does not have by name, then the example.
fn complete(rest: &str, example: &str) -> String {
    let mut whole = String::new();
    for section in rest.split("\n\n") {
        if titles(section).iter().all(|title| !titles(example).contains(title)) {
            whole.extend([section, "\n\n"]);
        }
    }
    whole + example
}

/// Header and name of each section that has a name.
fn titles(text: &str) -> Vec<(&str, &str)> {
    let mut header = "";
    let mut titles = Vec::new();
    for line in text.lines().map(str::trim) {
        match line.split_once('=') {
            _ if line.starts_with('[') => header = line,
            Some((key, name)) if key.trim() == "name" => titles.push((header, name.trim())),
            _ => {}
        }
    }
    titles
}
