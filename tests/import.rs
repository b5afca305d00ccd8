//! Configurations of other projects as `director.toml`: `tests/seed/` and `tests/import/`, each with its result in
//! `tests/import/NAME.toml`. `UPDATE=1` rewrites them.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};
use std::process::Command;

use director::config::{NodeFacts, check};
use director::import::Tool;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// Every example, with its tool.
fn examples() -> Vec<(PathBuf, &'static str)> {
    let mut found: Vec<(PathBuf, &str)> = ["seed", "import"]
        .iter()
        .flat_map(|name| std::fs::read_dir(folder(name)).unwrap())
        .filter_map(|entry| {
            let path = entry.unwrap().path();
            let tool = match path.extension()?.to_str()? {
                "conf" => "keepalived",
                "cf" => "ldirectord",
                "rules" => "ipvsadm",
                _ => return None,
            };
            Some((path, tool))
        })
        .collect();
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    found
}

#[test]
fn results_are_as_expected_and_without_fault() {
    let examples = examples();
    assert!(examples.len() >= 11, "{} examples", examples.len());
    let mut faults = String::new();
    for (path, tool) in examples {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        // What it includes is named from where it lies.
        let mut import = Command::new(env!("CARGO_BIN_EXE_director"));
        import.current_dir(path.parent().unwrap()).args(["import", tool, &name]);
        let made = String::from_utf8(import.output().unwrap().stdout).unwrap();
        let golden = folder("import").join(format!("{name}.toml"));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&golden, &made).unwrap();
        }
        assert_eq!(
            made,
            std::fs::read_to_string(&golden).unwrap_or_default(),
            "{name}: UPDATE=1 rewrites it"
        );
        if let Err(report) = check(&made, &name, &NodeFacts::default()) {
            faults.push_str(&report.render(false));
        }
    }
    assert!(faults.is_empty(), "{faults}");
}

#[test]
fn warnings_have_the_line_of_the_original() {
    let warnings = |tool: Tool, text: &str| -> Vec<String> {
        let draft = tool.read(Path::new("x"), text, &mut |_| Ok(Vec::new()));
        draft.warnings.iter().map(|warning| format!("{}: {}", warning.line, warning.text)).collect()
    };
    let shown = warnings(
        Tool::Ipvsadm,
        "-A -t web:http -s rr\n\n-a -t 192.0.2.1:80 -r 10.0.0.1 -g\n-Z\n-A -t 192.0.2.1:80 -Q\n",
    );
    assert_eq!(
        shown,
        [
            "1: `web:http` is no address with port (names come of `ipvsadm -S` without -n): left out",
            "3: a server of a service that is not there: left out",
            "4: unknown option `-Z`: rule left out",
            "5: unknown option `-Q`: rule left out",
        ]
    );
    let shown = warnings(Tool::Keepalived, "vrrp_instance A {\n  interface eth0\n");
    assert_eq!(shown, ["1: a block that is never closed", "1: vrrp_instance A without an address: left out"]);
    let shown = warnings(Tool::Ldirectord, "emailalert=a@b\nfoo\nvirtual=web:80\n\treal=10.0.0.1:80 gate\n");
    assert_eq!(
        shown,
        [
            "2: foo: not of the form key = value",
            "1: mail by localhost: no mail server runs here: say which in `[[notify]]`",
            "3: web:80: no address with port and no mark: left out"
        ]
    );
}

#[test]
fn the_verb_writes_the_result_and_tells_what_is_missing() {
    let director = |words: &[&str]| {
        let out = Command::new(env!("CARGO_BIN_EXE_director")).arg("import").args(words).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
    };
    let master = folder("seed").join("keepalived-master.conf");
    let (code, made, warnings) = director(&["keepalived", master.to_str().unwrap()]);
    assert_eq!(code, 0, "{warnings}");
    assert_eq!(made, std::fs::read_to_string(folder("import").join("keepalived-master.conf.toml")).unwrap());
    assert!(warnings.contains("keepalived-master.conf:2: router_id LVS_MASTER"), "{warnings}");
    let (code, made, error) = director(&["ipvsadm", master.to_str().unwrap()]);
    assert!(code == 1 && made.is_empty() && error.contains("no service and no virtual router"), "{error}");
    let (code, _, error) = director(&["keepalive", "x"]);
    assert!(code == 2 && error.contains("did you mean `keepalived`?"), "{error}");
    let (code, _, error) = director(&["keepalived", "/nowhere"]);
    assert!(code == 1 && error.contains("cannot import: /nowhere: "), "{error}");
}
