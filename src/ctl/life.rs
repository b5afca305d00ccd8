//! `director diff`, `apply`, `confirm`, `rollback`, `history`, `show`, `export`, `reset`: the life of a configuration.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use super::{Error, ask, check, complain, print};
use crate::config::view::{as_toml, node_names, view};
use crate::config::{Before, NodeFacts};
use crate::ipc::message::{Change, Difference, Generation, PendingStatus, PowerAction, Reply, Request};
use crate::paths::RunDir;
use crate::role::Role;
use crate::store::difference::{difference, summary};
use crate::units::{parse_duration, show_duration};

/// How long there is to confirm a change, unless the operator says otherwise.
pub const CONFIRM: Duration = Duration::from_secs(300);
/// How long `store` may take: it reads, checks and writes.
const WAIT: Duration = Duration::from_secs(60);
/// Lines of changes that are printed; a large file changes thousands.
const SHOWN: usize = 200;

/// What the help says of the words of these verbs.
pub const DETAILS: &str = "\
A change is checked whole, its effects are printed, and it is applied. Unless `director confirm` follows
within TIME (5m), what ran before runs again by itself; so it does after a power cut. `--confirm never`
applies it for good at once. Only what is confirmed is written to the operator's file and to the history.

FILE is a file, `stick` the director.toml of the USB stick, N a number of `director history`; without
any it is the operator's own file as it is now. One change waits at a time.
";

#[derive(Debug, Default)]
struct Options {
    run_dir: RunDir,
    words: Vec<OsString>,
    json: bool,
    yes: bool,
    origin: bool,
    text: bool,
    node: Option<String>,
    confirm: Option<Option<Duration>>,
}

/// What one verb takes besides the run directory.
#[derive(Debug, Clone, Copy, Default)]
struct Takes {
    words: usize,
    json: bool,
    confirm: bool,
    node: bool,
    yes: bool,
    text: bool,
}

fn options(mut args: lexopt::Parser, takes: Takes) -> Result<Options, Error> {
    use lexopt::Arg::{Long, Value};
    let mut options = Options { run_dir: ask::run_dir(), ..Options::default() };
    while let Some(arg) = args.next()? {
        match arg {
            Long("run-dir") => options.run_dir = RunDir::new(PathBuf::from(args.value()?)),
            Long("json") if takes.json => options.json = true,
            Long("yes") if takes.yes => options.yes = true,
            Long("origin") if takes.node => options.origin = true,
            Long("text") if takes.text => options.text = true,
            Long("node") if takes.node => options.node = Some(args.value()?.to_string_lossy().into_owned()),
            Long("confirm") if takes.confirm => {
                options.confirm = Some(time(&args.value()?.to_string_lossy())?)
            }
            Value(word) if options.words.len() < takes.words => options.words.push(word),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}

fn time(word: &str) -> Result<Option<Duration>, Error> {
    if word == "never" {
        return Ok(None);
    }
    parse_duration(word).map(Some).map_err(|error| Error::Usage(format!("--confirm: {error}, or `never`")))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What a word of the command line stands for.
fn change(word: Option<&OsString>) -> Result<Change, Error> {
    let Some(word) = word else { return Ok(Change::File) };
    if word == "stick" {
        return Ok(Change::Stick);
    }
    if let Some(number) = number(word) {
        return Ok(Change::Generation { number });
    }
    let path = std::path::absolute(word);
    let path = path.map_err(|error| Error::Failed(format!("{}: {error}", word.to_string_lossy())))?;
    Ok(Change::Path { path })
}

/// A file whose name is a number is written `./7`.
fn number(word: &OsString) -> Option<u64> {
    word.to_str()?.parse().ok()
}

fn ask_store(run_dir: &RunDir, request: &Request) -> Result<Reply, Error> {
    ask::within(run_dir, Role::Store, request, WAIT)
}

fn unexpected() -> Error {
    Error::Failed("store answered something else".to_owned())
}

/// `director diff [FILE|N|stick] [NEW] [--text] [--json]`.
pub fn diff(args: lexopt::Parser) -> Result<ExitCode, Error> {
    let options = options(args, Takes { words: 2, json: true, text: true, node: true, ..Takes::default() })?;
    let found = if let [old, new] = options.words.as_slice() {
        let facts = NodeFacts { node: options.node.clone(), ..NodeFacts::default() };
        let (old, new) = (Path::new(old), Path::new(new));
        let read = |path: &Path| check::refuse(path, &facts);
        let (old, new_text) = match (read(old)?, read(new)?) {
            (Ok(old), Ok(new)) => (old, new),
            (Err(code), _) | (_, Err(code)) => return Ok(ExitCode::from(code)),
        };
        difference(&old, &new_text, &new.display().to_string())
    } else {
        if options.node.is_some() {
            return Err(Error::Usage(
                "diff: --node goes with two files: diff OLD NEW --node NAME".to_owned(),
            ));
        }
        let request = Request::Diff { change: change(options.words.first())? };
        match ask_store(&options.run_dir, &request)? {
            Reply::Difference { difference, .. } => *difference,
            _ => return Err(unexpected()),
        }
    };
    if options.json {
        return print(&ask::json(&found)?);
    }
    let mut out = told(&found);
    if options.text || found.changes.is_empty() {
        out.extend(found.lines);
    }
    print(&lines(&out))
}

/// `director apply [FILE|N|stick] [--confirm TIME|never] [--json]`.
pub fn apply(args: lexopt::Parser) -> Result<ExitCode, Error> {
    let options = options(args, Takes { words: 1, json: true, confirm: true, ..Takes::default() })?;
    let request = Request::Apply {
        change: change(options.words.first())?,
        confirm_ms: options.confirm.unwrap_or(Some(CONFIRM)).map(millis),
        origin: "command line".to_owned(),
    };
    applied(&options, ask_store(&options.run_dir, &request)?)
}

/// `director rollback [N] [--confirm TIME|never] [--json]`.
pub fn rollback(args: lexopt::Parser) -> Result<ExitCode, Error> {
    let options = options(args, Takes { words: 1, json: true, confirm: true, ..Takes::default() })?;
    let wanted = options.words.first().map(|word| {
        number(word).ok_or_else(|| {
            Error::Usage(format!("rollback: `{}` is no number of the history", word.to_string_lossy()))
        })
    });
    let request = Request::Rollback {
        number: wanted.transpose()?,
        confirm_ms: options.confirm.unwrap_or(Some(CONFIRM)).map(millis),
        origin: "command line".to_owned(),
    };
    applied(&options, ask_store(&options.run_dir, &request)?)
}

fn applied(options: &Options, reply: Reply) -> Result<ExitCode, Error> {
    match reply {
        reply if options.json => print(&ask::json(&reply)?),
        Reply::Difference { difference, pending } => {
            let mut out = told(&difference);
            out.push(waits(pending.as_ref()));
            print(&lines(&out))
        }
        Reply::Done { message } => print(&format!("{message}\n")),
        _ => Err(unexpected()),
    }
}

fn waits(pending: Option<&PendingStatus>) -> String {
    match pending {
        Some(pending) => {
            let left = show_duration(Duration::from_secs(pending.left_ms.div_ceil(1000)));
            format!("applied on trial: `director confirm` within {left}, or what ran before runs again")
        }
        None => "applied".to_owned(),
    }
}

/// What changes, for people.
#[must_use]
pub fn told(found: &Difference) -> Vec<String> {
    let node = found.node.as_ref().map(|node| format!(" (node {node})")).unwrap_or_default();
    if found.changes.is_empty() {
        let what = if found.lines.is_empty() { "it is what runs" } else { "nothing but its words differs" };
        return vec![format!("{}{node}: {what}", found.from)];
    }
    let mut out = vec![format!("{}{node}:", found.from)];
    let mut changes = summary(&found.changes);
    let left = changes.len().saturating_sub(SHOWN);
    changes.truncate(SHOWN);
    out.extend(changes);
    if left > 0 {
        out.push(format!("… and {left} more"));
    }
    out.extend(found.warnings.iter().map(|warning| format!("! {warning}")));
    out
}

/// `director confirm [--json]`.
pub fn confirm(args: lexopt::Parser) -> Result<ExitCode, Error> {
    done(args, &Request::Confirm)
}

/// `director export [--json]`.
pub fn export(args: lexopt::Parser) -> Result<ExitCode, Error> {
    done(args, &Request::Export)
}

fn done(args: lexopt::Parser, request: &Request) -> Result<ExitCode, Error> {
    let options = options(args, Takes { json: true, ..Takes::default() })?;
    match ask_store(&options.run_dir, request)? {
        reply if options.json => print(&ask::json(&reply)?),
        Reply::Done { message } => print(&format!("{message}\n")),
        _ => Err(unexpected()),
    }
}

/// `director reset --yes`.
pub fn factory_reset(args: lexopt::Parser) -> Result<ExitCode, Error> {
    let options = options(args, Takes { yes: true, json: true, ..Takes::default() })?;
    if !options.yes {
        let what = "reset: this erases the configuration, its history and all that the box kept: say --yes";
        return Err(Error::Usage(what.to_owned()));
    }
    match ask_store(&options.run_dir, &Request::FactoryReset)? {
        Reply::Done { .. } if options.json => {}
        Reply::Done { .. } => drop(print("erased: the box starts again\n")?),
        _ => return Err(unexpected()),
    }
    let request = Request::Power { action: PowerAction::Reboot };
    ask::from(&options.run_dir, Role::Init, &request)?;
    super::done(options.json, "reset", None)
}

/// `director history [--json]`.
pub fn history(args: lexopt::Parser) -> Result<ExitCode, Error> {
    let options = options(args, Takes { json: true, ..Takes::default() })?;
    let Reply::History { generations } = ask_store(&options.run_dir, &Request::History)? else {
        return Err(unexpected());
    };
    if options.json {
        return print(&ask::json(&generations)?);
    }
    if generations.is_empty() {
        complain("no configuration is kept yet");
    }
    print(&lines(&generations_told(&generations)))
}

/// The history, a line each.
#[must_use]
pub fn generations_told(generations: &[Generation]) -> Vec<String> {
    let row = |it: &Generation| {
        let number = format!("{}{}", if it.running { "*" } else { " " }, it.number);
        let sum: String = it.sha256.chars().take(12).collect();
        vec![number, super::logs::moment(it.time_ms), sum, format!("{} bytes", it.bytes), it.origin.clone()]
    };
    super::status::table(generations.iter().map(row).collect())
}

/// `director show [N|FILE] [--node NAME] [--origin] [--json]`.
pub fn show(args: lexopt::Parser) -> Result<ExitCode, Error> {
    let options = options(args, Takes { words: 1, json: true, node: true, ..Takes::default() })?;
    let word = options.words.first();
    let (text, own) = match word.filter(|word| number(word).is_none()) {
        Some(file) => match check::refuse(Path::new(file), &NodeFacts::default())? {
            Ok(Before { text, .. }) => (String::from_utf8_lossy(&text).into_owned(), None),
            Err(code) => return Ok(ExitCode::from(code)),
        },
        None => match ask_store(&options.run_dir, &Request::Show { number: word.and_then(number) })? {
            Reply::Text { text, node } => (text, node),
            _ => return Err(unexpected()),
        },
    };
    let merged = options.node.is_some() || options.origin;
    let node = options.node.or(own);
    let known = node_names(text.as_bytes());
    if let Some(node) = node.as_ref().filter(|node| merged && !known.contains(node)) {
        let known =
            if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
        return Err(Error::Failed(format!("show: the file has no section [node.{node}]: {known}")));
    }
    let shown = if merged {
        let facts = NodeFacts { node: node.clone(), ..NodeFacts::default() };
        let (sections, node) = view(text.as_bytes(), &facts);
        as_toml(&sections, node.as_deref(), options.origin)
    } else {
        text
    };
    if options.json {
        return print(&ask::json(&serde_json::json!({ "node": node, "text": shown }))?);
    }
    print(&if shown.ends_with('\n') { shown } else { shown + "\n" })
}

fn lines(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}
