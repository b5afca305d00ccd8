//! `director import`: a configuration of another project as `director.toml`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lexopt::Arg::Value;

use super::{Error, closest, complain, print};
use crate::config::{NodeFacts, check};
use crate::import::Tool;
use crate::import::keepalived::include::matches;

/// What may follow `director import`.
pub const USAGE: &str = "keepalived|ldirectord|ipvsadm FILE";

/// What `director help import` says below the summary.
pub const DETAILS: &str = "\
The result goes to standard output. What could not be taken over as it was is told on standard error,
with its line, and stands as a comment at the top of the result. The result is checked as by
`director check`: exit status 2 when it still has a fault to be mended by hand.

ipvsadm: a file written by `ipvsadm -S -n`.
";

/// `director import TOOL FILE`.
///
/// # Errors
/// Wrong use, or a file that cannot be read or has nothing to take over.
pub fn run(mut args: lexopt::Parser) -> Result<ExitCode, Error> {
    let usage = |text: String| Error::Usage(format!("import: {text}"));
    let (mut tool, mut file): (Option<Tool>, Option<OsString>) = (None, None);
    while let Some(arg) = args.next()? {
        match arg {
            Value(word) if tool.is_none() => tool = Some(tool_of(&word.to_string_lossy())?),
            Value(word) if file.is_none() => file = Some(word),
            other => return Err(other.unexpected().into()),
        }
    }
    let tool = tool.ok_or_else(|| usage(format!("whose file is missing: one of {}", names())))?;
    let file = PathBuf::from(file.ok_or_else(|| usage("which file is missing".to_owned()))?);
    let failed =
        |why: &dyn std::fmt::Display| Error::Failed(format!("cannot import: {}: {why}", file.display()));
    let bytes = std::fs::read(&file).map_err(|error| failed(&error))?;
    let text = String::from_utf8_lossy(&bytes);
    let draft = tool.read(&file, &text, &mut look);
    for warning in &draft.warnings {
        let file = warning.file.clone().unwrap_or_else(|| file.display().to_string());
        complain(&format!("{file}:{}: {}", warning.line, warning.text));
    }
    if draft.services.is_empty() && draft.vrrp.is_empty() {
        return Err(failed(&"no service and no virtual router in it could be taken over"));
    }
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let made = draft.render(&name);
    print(&made)?;
    match check(&made, "director.toml", &NodeFacts::default()) {
        Ok(_) => Ok(ExitCode::SUCCESS),
        Err(report) => {
            complain(&format!("{}the result has faults: mend them by hand", report.render(false)));
            Ok(ExitCode::from(2))
        }
    }
}

/// The files that match `pattern`, which may have wildcards in its last part.
fn look(pattern: &Path) -> Result<Vec<(PathBuf, String)>, String> {
    let name = pattern.file_name().unwrap_or_default().to_string_lossy();
    let mut files = if name.contains(['*', '?']) {
        let folder = pattern
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or_else(|| Path::new("."));
        let entries = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.filter(|entry| matches(&name, entry)).map(|entry| folder.join(entry)).collect()
    } else {
        vec![pattern.to_owned()]
    };
    files.sort();
    let read = |file: PathBuf| {
        let bytes = std::fs::read(&file).map_err(|error| error.to_string())?;
        Ok((file, String::from_utf8_lossy(&bytes).into_owned()))
    };
    files.into_iter().map(read).collect()
}

fn tool_of(word: &str) -> Result<Tool, Error> {
    let found = Tool::ALL.iter().find(|(name, _)| *name == word);
    found.map(|(_, tool)| *tool).ok_or_else(|| {
        let near = closest(word, Tool::ALL.iter().map(|(name, _)| *name));
        let hint = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
        Error::Usage(format!("import: unknown tool `{word}`: {hint}one of {}", names()))
    })
}

fn names() -> String {
    Tool::ALL.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}
