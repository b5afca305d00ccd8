//! `tests/config/ok/*.toml` have no fault; `tests/config/bad/*.toml` have exactly those of the `.err` file beside each.
//!
//! `UPDATE=1` rewrites the reports; the diff is reviewed.

use std::fs;
use std::path::{Path, PathBuf};

use director::config::{NodeFacts, Report, check};

fn files(dir: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(dir);
    let mut files: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ext| ext == "toml"));
    files.sort();
    assert!(!files.is_empty());
    files
}

fn report(path: &Path) -> Option<Report> {
    let name = path.file_name().unwrap().to_str().unwrap();
    check(fs::read(path).unwrap(), name, &NodeFacts::default()).err()
}

#[test]
fn good_files_have_no_fault() {
    for path in files("ok") {
        if let Some(report) = report(&path) {
            panic!("{}:\n{report}", path.display());
        }
    }
}

#[test]
fn each_fault_is_reported_as_recorded() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut different = Vec::new();
    for path in files("bad") {
        let found = report(&path).map(|report| report.to_string()).unwrap_or_default();
        assert!(!found.is_empty(), "{} has no fault", path.display());
        let golden = path.with_extension("err");
        if update {
            fs::write(&golden, &found).unwrap();
        } else if fs::read_to_string(&golden).unwrap_or_default() != found {
            different.push(format!("{}:\n{found}", path.display()));
        }
    }
    assert!(different.is_empty(), "reports differ, UPDATE=1 records them:\n{}", different.join("\n"));
}
