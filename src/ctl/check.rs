//! `director check`: the very code that judges a file on the box, on any machine.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lexopt::Arg;
use serde_json::json;

use super::{Error, complain, print};
use crate::config::model::NotifyWay;
use crate::config::{Before, Checked, LoadError, NodeFacts, explain, load_file, load_text, read_file};
use crate::notify::hook;
use crate::secret;

/// A file that cannot be used, for whatever reason.
const FAULTY: u8 = 2;

struct Options {
    file: PathBuf,
    json: bool,
    node: Option<String>,
}

/// Checks a file: exit code 0 without faults, 2 with faults or when it cannot be read.
///
/// # Errors
/// Wrong use.
pub fn check(args: lexopt::Parser) -> Result<ExitCode, Error> {
    let Options { file, json, node } = parse(args)?;
    let facts = NodeFacts { node, ..NodeFacts::default() };
    let result = load_file(&file, &facts);
    let warnings = result
        .as_ref()
        .map(|checked| {
            let mut warnings = hooks(&file, checked);
            warnings.extend(unresolved(checked));
            warnings.extend(secrets(&file, checked));
            warnings
        })
        .unwrap_or_default();
    if json {
        print(&format!("{:#}\n", as_json(&file, &result, &warnings)))?;
    } else {
        tell(&file, &result)?;
        warnings.iter().for_each(|warning| complain(&format!("warning: {warning}")));
    }
    Ok(if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(FAULTY) })
}

/// `director schema`.
///
/// # Errors
/// Wrong use.
pub fn schema(mut args: lexopt::Parser) -> Result<ExitCode, Error> {
    match args.next()? {
        None => print(&format!("{:#}\n", crate::config::schema::schema())),
        Some(other) => Err(other.unexpected().into()),
    }
}

/// Checks `file`, as a box of these `facts` has it, before something is done with it; a fault is told, and is the exit code.
///
/// # Errors
/// When standard error cannot be written.
pub(super) fn refuse(file: &Path, facts: &NodeFacts) -> Result<Result<Before, u8>, Error> {
    match load_text(file, facts) {
        Ok(before) => Ok(Ok(before)),
        Err(error) => tell(file, &Err(error)).map(|()| Err(FAULTY)),
    }
}

fn parse(mut args: lexopt::Parser) -> Result<Options, Error> {
    let mut file: Option<OsString> = None;
    let (mut json, mut node) = (false, None);
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("json") => json = true,
            Arg::Long("node") => {
                let name = args.value()?;
                node = Some(
                    name.into_string().map_err(|name| Error::Usage(format!("node {name:?} is no text")))?,
                );
            }
            Arg::Value(value) if file.is_none() => file = Some(value),
            other => return Err(other.unexpected().into()),
        }
    }
    let file = file.ok_or_else(|| Error::Usage("no file given: director check FILE".to_owned()))?;
    Ok(Options { file: file.into(), json, node })
}

fn tell(file: &Path, result: &Result<Checked, LoadError>) -> Result<(), Error> {
    match result {
        Ok(checked) => {
            print(&format!("{}: no fault: {}\n", file.display(), summary(checked)))?;
            Ok(())
        }
        Err(LoadError::Faulty(report)) => {
            let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            let count = report.problems().len();
            let faults = if count == 1 { "fault" } else { "faults" };
            complain(&format!("{}{}: {count} {faults}", report.render(colour), file.display()));
            Ok(())
        }
        Err(error) => {
            complain(&format!("director: {error}"));
            Ok(())
        }
    }
}

fn summary(checked: &Checked) -> String {
    let Checked { config, node } = checked;
    let servers: usize = config.services.iter().map(|service| service.servers.len()).sum();
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let parts = [
        count(config.interfaces.len(), "interface"),
        count(config.routes.len(), "route"),
        count(config.vrrp.len(), "virtual router"),
        count(config.services.len(), "service"),
        count(servers, "real server"),
    ];
    let of_node = node.as_ref().map(|node| format!("node {node}: ")).unwrap_or_default();
    format!("{of_node}{}", parts.join(", "))
}

/// What an appliance could not run of the programs beside the file.
fn hooks(file: &Path, checked: &Checked) -> Vec<String> {
    let folder = file.parent().unwrap_or_else(|| Path::new("")).join("hooks");
    let judged = checked.config.notify.iter().filter_map(|target| {
        let NotifyWay::Exec { command } = &target.way else { return None };
        let name = hook::name(command.first()?)?;
        let path = folder.join(name);
        let why = match std::fs::read(&path) {
            Ok(program) => hook::judge(&program).err()?,
            Err(error) => error.to_string(),
        };
        Some(format!("hooks/{name} does not run on an appliance: {}: {why}", path.display()))
    });
    judged.collect()
}

/// Secrets that are not where a box would look for them.
fn secrets(file: &Path, checked: &Checked) -> Vec<String> {
    let folder = file.parent().unwrap_or_else(|| Path::new("")).join("secrets");
    let path = |name: &str| if secret::is_name(name) { folder.join(name) } else { PathBuf::from(name) };
    let names = checked.config.secrets().filter_map(|name| Some((name, read_file(&path(name)).err()?)));
    names
        .map(|(name, error)| format!("secret file:{name}: {}: {}", path(name).display(), explain(&error)))
        .collect()
}

/// Names that only the name servers of a lease can resolve, or those of a host.
fn unresolved(checked: &Checked) -> Vec<String> {
    let config = &checked.config;
    if !config.system.dns.is_empty() {
        return Vec::new();
    }
    let of_lease = if config.interfaces.iter().any(|interface| interface.dhcp) {
        " but those of a DHCP lease"
    } else {
        ""
    };
    let one = |(key, name)| {
        format!(
            "{key}: the name {name:?} needs a name server, and there is none{of_lease}: `dns` in [system]"
        )
    };
    config.names().map(one).collect()
}

fn as_json(file: &Path, result: &Result<Checked, LoadError>, warnings: &[String]) -> serde_json::Value {
    let faults = match result {
        Ok(_) => json!([]),
        Err(LoadError::Faulty(report)) => json!(report),
        Err(error) => json!([{ "file": file.display().to_string(), "line": null, "column": null,
                               "message": error.to_string(), "help": null }]),
    };
    json!({ "file": file.display().to_string(), "ok": result.is_ok(), "faults": faults, "warnings": warnings })
}
