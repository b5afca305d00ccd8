//! Verbs that ask a running Director.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use lexopt::Arg::{Long, Short, Value};
use serde_json::{Map, Value as Json};

use super::{Error, closest, done, logs, print, put, status};
use crate::ipc::client::{AskError, ask, ask_report};
use crate::ipc::message::{LogLine, PowerAction, Reply, Request, Status};
use crate::paths::RunDir;
use crate::role::Role;

/// How long a role may take to answer.
const WAIT: Duration = Duration::from_secs(3);
/// How long `store` may take to read sticks and partitions.
const RELOAD_WAIT: Duration = Duration::from_secs(30);
/// How often `director logs --follow` looks.
const FOLLOW: Duration = Duration::from_millis(500);
/// What `director help logs` says below the summary.
pub const LOGS_DETAILS: &str = "\
  -n, --lines N   the newest N lines
  --text TEXT     only lines with TEXT, in whatever case; worker and severity are part of a line
  -f, --follow    then new lines as they come, until Ctrl-C
  --json          an object in a line for each: time_ms, role, severity (as syslog counts), text; event and fields where it has some
";
/// Lines of `director logs` without `-n`.
const LINES: usize = 100;

/// Who has a status, in the order in which it is shown.
const SHOWN: [Role; 8] =
    [Role::Init, Role::Store, Role::Net, Role::Vrrp, Role::Lvs, Role::Api, Role::Notify, Role::Time];

/// What all these verbs take.
#[derive(Debug, Default)]
struct Options {
    run_dir: RunDir,
    role: Option<Role>,
    json: bool,
    lines: Option<usize>,
    text: String,
    follow: bool,
}

/// What else one verb takes; `--json` they all do.
#[derive(Debug, Clone, Copy, Default)]
struct Takes {
    role: bool,
    lines: bool,
}

/// The run directory where no other is named.
pub(super) fn run_dir() -> RunDir {
    std::env::var_os("DIRECTOR_RUN").map_or_else(RunDir::default, RunDir::new)
}

fn options(args: &mut lexopt::Parser, takes: Takes) -> Result<Options, Error> {
    let mut options = Options { run_dir: run_dir(), ..Options::default() };
    while let Some(arg) = args.next()? {
        match arg {
            Long("run-dir") => options.run_dir = RunDir::new(PathBuf::from(args.value()?)),
            Long("json") => options.json = true,
            Short('n') | Long("lines") if takes.lines => options.lines = Some(number(&args.value()?)?),
            Long("text") if takes.lines => {
                options.text = args.value()?.to_string_lossy().to_lowercase();
            }
            Short('f') | Long("follow") if takes.lines => options.follow = true,
            Value(word) if takes.role && options.role.is_none() => options.role = Some(role(&word)?),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}

/// The run directory, and whether a program asks, of a verb that takes nothing else.
pub(super) fn run_dir_of(args: &mut lexopt::Parser) -> Result<(RunDir, bool), Error> {
    options(args, Takes::default()).map(|options| (options.run_dir, options.json))
}

fn number(word: &OsString) -> Result<usize, Error> {
    let word = word.to_string_lossy();
    word.parse().map_err(|_| Error::Usage(format!("number of lines `{word}`: a whole number is needed")))
}

fn role(word: &OsString) -> Result<Role, Error> {
    let word = word.to_string_lossy();
    word.parse().map_err(|error: crate::units::Refused| {
        let near = closest(&word, SHOWN.map(Role::name).into_iter().chain(["console"]));
        Error::Usage(
            near.map_or_else(|| error.to_string(), |near| format!("{error}; did you mean `{near}`?")),
        )
    })
}

/// `director status [--json] [ROLE]`.
pub fn status(mut args: lexopt::Parser) -> Result<ExitCode, Error> {
    let options = options(&mut args, Takes { role: true, lines: false })?;
    if let Some(role) = options.role {
        return print(&if options.json {
            json(&status_of(&options.run_dir, role).map_err(Error::Failed)?)?
        } else {
            lines_of(&options.run_dir, role).map_err(Error::Failed)?
        });
    }
    if options.json {
        let all = everybody(&options.run_dir, status_of);
        somebody(&all)?;
        return print(&json(&together(&all)?)?);
    }
    let all = everybody(&options.run_dir, lines_of);
    somebody(&all)?;
    print(&in_turn(&all))
}

/// Refuses where nobody has answered.
fn somebody<T>(all: &[(Role, Result<T, String>)]) -> Result<(), Error> {
    if let Some(why) = all.first().and_then(|(_, answer)| answer.as_ref().err())
        && all.iter().all(|(_, answer)| answer.is_err())
    {
        return Err(Error::Failed(why.clone()));
    }
    Ok(())
}

/// What `tell` says of each role that the supervisor has; of each there could be when it does not answer.
fn everybody<T>(
    run_dir: &RunDir,
    tell: impl Fn(&RunDir, Role) -> Result<T, String>,
) -> Vec<(Role, Result<T, String>)> {
    let init = status_of(run_dir, Role::Init);
    let has = |role: Role| match &init {
        Ok(Status::Init(status)) => role == Role::Init || status.workers.iter().any(|it| it.role == role),
        _ => true,
    };
    SHOWN.into_iter().filter(|role| has(*role)).map(|role| (role, tell(run_dir, role))).collect()
}

/// The status of a role in lines. That of `lvs` becomes lines a service at a time: with 10,000 servers it has megabytes.
fn lines_of(run_dir: &RunDir, role: Role) -> Result<String, String> {
    if role != Role::Lvs {
        return status_of(run_dir, role).map(|status| text(&status::lines(&status)));
    }
    let report = ask_report(run_dir, WAIT).map_err(|error| explain(run_dir, error).to_string())?;
    let mut out = String::new();
    let mut services = 0;
    let rest = report.read(|service| {
        services += 1;
        status::service(&service).iter().for_each(|line| out.extend([line.as_str(), "\n"]));
    });
    let rest = rest.map_err(|error| format!("status of lvs: {error}"))?;
    out.push_str(&text(&status::beside_services(&rest, services)));
    Ok(out)
}

fn status_of(run_dir: &RunDir, role: Role) -> Result<Status, String> {
    match ask(run_dir, role, &Request::Status, WAIT) {
        Ok(Reply::Status { status }) => Ok(*status),
        Ok(_) => Err(format!("status of {role}: it answered something else")),
        Err(error) => Err(explain(run_dir, error).to_string()),
    }
}

/// A supervisor that is not there is the most common trouble, and has a remedy.
fn explain(run_dir: &RunDir, error: AskError) -> Error {
    match error {
        AskError::Absent { role: Role::Init, source, .. }
            if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) =>
        {
            let path = run_dir.path().display();
            Error::Failed(format!("no director runs in {path}: name another run directory by --run-dir"))
        }
        AskError::Absent { role, .. } if let Some(why) = why_absent(run_dir, role) => Error::Failed(why),
        other => Error::failed(other),
    }
}

/// What the supervisor knows of a worker that does not answer.
fn why_absent(run_dir: &RunDir, role: Role) -> Option<String> {
    if role == Role::Console {
        return Some("status: console: it has none of its own: see that of init".to_owned());
    }
    let Ok(Reply::Status { status }) = ask(run_dir, Role::Init, &Request::Status, WAIT) else { return None };
    let Status::Init(status) = *status else { return None };
    let worker = status.workers.into_iter().find(|worker| worker.role == role)?;
    let last = worker.last_exit.map(|last| format!(", its last end was {last}")).unwrap_or_default();
    (worker.state != "running").then(|| format!("{role} does not answer: it is {}{last}", worker.state))
}

/// One object with a member for each role; a role that does not answer has an `error` in place of its status.
fn together(all: &[(Role, Result<Status, String>)]) -> Result<Json, Error> {
    let mut object = Map::new();
    for (role, answer) in all {
        let value = match answer {
            Ok(status) => serde_json::to_value(status).map_err(Error::failed)?,
            Err(error) => serde_json::json!({ "error": error }),
        };
        object.insert(role.name().to_owned(), value);
    }
    Ok(Json::Object(object))
}

fn in_turn(all: &[(Role, Result<String, String>)]) -> String {
    let parts = all.iter().map(|(_, answer)| match answer {
        Ok(lines) => lines.clone(),
        Err(error) => format!("{error}\n"),
    });
    parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

/// `director logs [ROLE] [-n N] [--text TEXT] [--follow] [--json]`.
pub fn logs(mut args: lexopt::Parser) -> Result<ExitCode, Error> {
    let options = options(&mut args, Takes { role: true, lines: true })?;
    if options.follow {
        return follow(&options);
    }
    // With a text, it is the lines with the text that are counted.
    let count = options.lines.unwrap_or(LINES);
    let lines = if options.text.is_empty() { count } else { usize::MAX };
    let request = Request::Logs { role: options.role, lines };
    let answer = ask(&options.run_dir, Role::Init, &request, WAIT);
    let Reply::Logs { lines } = answer.map_err(|error| explain(&options.run_dir, error))? else {
        return Err(Error::Failed("logs: init answered something else".to_owned()));
    };
    print(&newest(&lines, count, &options))
}

/// The newest lines, and then what comes, until nobody reads on or the supervisor has gone.
fn follow(options: &Options) -> Result<ExitCode, Error> {
    let (mut era, mut after, mut first) = (0, 0, true);
    loop {
        let request = Request::Follow { era, after, lines: usize::MAX };
        let Reply::Followed(part) = from(&options.run_dir, Role::Init, &request)? else {
            return Err(Error::Failed("logs: init answered something else".to_owned()));
        };
        after = part.lines.last().map_or(if part.era == era { after } else { 0 }, |(number, _)| *number);
        era = part.era;
        let lines: Vec<LogLine> = part.lines.into_iter().map(|(_, line)| line).collect();
        let count = if first { options.lines.unwrap_or(LINES) } else { usize::MAX };
        first = false;
        let text = newest(&lines, count, options);
        if !text.is_empty() && put(&text)?.is_break() {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(FOLLOW);
    }
}

/// The newest of those lines that are wanted, as they are shown.
fn newest(lines: &[LogLine], count: usize, options: &Options) -> String {
    let wanted = |line: &&LogLine| {
        options.role.is_none_or(|role| role == line.role)
            && logs::line(line).to_lowercase().contains(&options.text)
    };
    let lines: Vec<&LogLine> = lines.iter().filter(wanted).collect();
    let lines = lines.iter().skip(lines.len().saturating_sub(count));
    text(
        &lines.map(|line| if options.json { logs::json(line) } else { logs::line(line) }).collect::<Vec<_>>(),
    )
}

/// `director reload [--json]`.
pub fn reload(mut args: lexopt::Parser) -> Result<ExitCode, Error> {
    let options = options(&mut args, Takes::default())?;
    order(&options.run_dir, Role::Store, &Request::Reload, RELOAD_WAIT)?;
    done(options.json, "reload", None)
}

/// `director restart ROLE`.
pub fn restart(args: lexopt::Parser) -> Result<ExitCode, Error> {
    worker_order(args, "restart", |role| Request::Restart { role })
}

/// `director hold ROLE`.
pub fn hold(args: lexopt::Parser) -> Result<ExitCode, Error> {
    worker_order(args, "hold", |role| Request::Hold { role })
}

/// `director release ROLE`.
pub fn release(args: lexopt::Parser) -> Result<ExitCode, Error> {
    worker_order(args, "release", |role| Request::Release { role })
}

/// `director reboot [--json]`.
pub fn reboot(args: lexopt::Parser) -> Result<ExitCode, Error> {
    power(args, PowerAction::Reboot)
}

/// `director poweroff [--json]`.
pub fn poweroff(args: lexopt::Parser) -> Result<ExitCode, Error> {
    power(args, PowerAction::PowerOff)
}

fn power(mut args: lexopt::Parser, action: PowerAction) -> Result<ExitCode, Error> {
    let options = options(&mut args, Takes::default())?;
    order(&options.run_dir, Role::Init, &Request::Power { action }, WAIT)?;
    let verb = if action == PowerAction::Reboot { "reboot" } else { "poweroff" };
    done(options.json, verb, None)
}

fn worker_order(
    mut args: lexopt::Parser,
    verb: &str,
    request: impl FnOnce(Role) -> Request,
) -> Result<ExitCode, Error> {
    let options = options(&mut args, Takes { role: true, ..Takes::default() })?;
    let role = options.role.ok_or_else(|| Error::Usage(format!("{verb}: which role is missing")))?;
    order(&options.run_dir, Role::Init, &request(role), WAIT)?;
    done(options.json, verb, Some(role.name()))
}

fn order(run_dir: &RunDir, role: Role, request: &Request, wait: Duration) -> Result<(), Error> {
    ask(run_dir, role, request, wait).map(drop).map_err(|error| explain(run_dir, error))
}

/// Asks, and explains a failure as every verb does.
pub(super) fn from(run_dir: &RunDir, role: Role, request: &Request) -> Result<Reply, Error> {
    within(run_dir, role, request, WAIT)
}

/// The same of a role that may need longer.
pub(super) fn within(
    run_dir: &RunDir,
    role: Role,
    request: &Request,
    wait: Duration,
) -> Result<Reply, Error> {
    ask(run_dir, role, request, wait).map_err(|error| explain(run_dir, error))
}

pub(super) fn json(value: &impl serde::Serialize) -> Result<String, Error> {
    serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(Error::failed)
}

fn text(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}
