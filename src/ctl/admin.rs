//! `director drain`, `disable` and `enable`: take real servers out of use, and back into it.

use std::process::ExitCode;
use std::time::Duration;

use super::{Error, ask, complain, print};
use crate::config::model::Protocol;
use crate::ctl::status::age;
use crate::ipc::message::{Admin, AdminOrder, Reply, Request, ServerName, Why};
use crate::paths::RunDir;
use crate::role::Role;
use crate::units::parse_duration;

/// How often `--wait` looks.
const LOOK: Duration = Duration::from_millis(500);

/// What the help says of the words of these verbs.
pub const DETAILS: &str = "SERVICE is a name of the file, or `all`. SERVER is an address with or without port, or `all`.\n\
An order holds through reload and restart, until `enable`.\n";

/// Whom a verb is about, and how.
#[derive(Debug, Default)]
pub(super) struct Whom {
    pub run_dir: RunDir,
    pub service: String,
    pub server: String,
    pub json: bool,
    wait: bool,
    timeout: Option<Option<Duration>>,
}

/// What else a verb takes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Takes {
    pub json: bool,
    pub wait: bool,
}

/// `director drain SERVICE SERVER [--timeout TIME] [--wait] [--json]`.
pub fn drain(args: lexopt::Parser) -> Result<ExitCode, Error> {
    let whom = whom("drain", args, Takes { wait: true, json: true })?;
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let timeout_ms = whom.timeout.map(|timeout| timeout.map(millis));
    let servers = order(&whom, AdminOrder::Drain { timeout_ms })?;
    if whom.wait { wait(&whom.run_dir, &servers, whom.json) } else { tell(&whom, "draining", &servers) }
}

/// `director disable SERVICE SERVER [--json]`.
pub fn disable(args: lexopt::Parser) -> Result<ExitCode, Error> {
    let whom = whom("disable", args, Takes { json: true, wait: false })?;
    tell(&whom, "disabled", &order(&whom, AdminOrder::Disable)?)
}

/// `director enable SERVICE SERVER [--json]`.
pub fn enable(args: lexopt::Parser) -> Result<ExitCode, Error> {
    let whom = whom("enable", args, Takes { json: true, wait: false })?;
    tell(&whom, "enabled", &order(&whom, AdminOrder::Enable)?)
}

/// Reads SERVICE, SERVER and the options of `verb`.
pub(super) fn whom(verb: &str, mut args: lexopt::Parser, takes: Takes) -> Result<Whom, Error> {
    use lexopt::Arg::{Long, Value};
    let mut whom = Whom { run_dir: ask::run_dir(), ..Whom::default() };
    let mut words = Vec::new();
    while let Some(arg) = args.next()? {
        match arg {
            Long("run-dir") => whom.run_dir = RunDir::new(args.value()?),
            Long("json") if takes.json => whom.json = true,
            Long("wait") if takes.wait => whom.wait = true,
            Long("timeout") if takes.wait => whom.timeout = Some(timeout(&args.value()?.to_string_lossy())?),
            Value(word) if words.len() < 2 => words.push(word.to_string_lossy().into_owned()),
            other => return Err(other.unexpected().into()),
        }
    }
    let mut words = words.into_iter();
    let missing = |what: &str| Error::Usage(format!("{verb}: which {what} is missing"));
    whom.service = words.next().ok_or_else(|| missing("service"))?;
    whom.server = words.next().ok_or_else(|| missing("server"))?;
    Ok(whom)
}

fn timeout(word: &str) -> Result<Option<Duration>, Error> {
    if word == "never" {
        return Ok(None);
    }
    parse_duration(word).map(Some).map_err(|error| Error::Usage(format!("--timeout: {error}, or `never`")))
}

fn order(whom: &Whom, order: AdminOrder) -> Result<Vec<ServerName>, Error> {
    let request = Request::Administer { service: whom.service.clone(), server: whom.server.clone(), order };
    match ask::from(&whom.run_dir, Role::Lvs, &request)? {
        Reply::Servers { servers } => Ok(servers),
        _ => Err(Error::Failed("lvs answered something else".to_owned())),
    }
}

fn tell(whom: &Whom, what: &str, servers: &[ServerName]) -> Result<ExitCode, Error> {
    servers.iter().try_for_each(|server| say(whom.json, what, server))?;
    Ok(ExitCode::SUCCESS)
}

/// What a server is now: a line, or an object in a line for programs.
fn say(json: bool, what: &str, ServerName { service, server }: &ServerName) -> Result<(), Error> {
    let line = if json {
        serde_json::json!({ "service": service, "server": server, "state": what }).to_string()
    } else {
        format!("{what}: {service} {server}")
    };
    print(&format!("{line}\n")).map(drop)
}

/// Waits until nobody is left whom a drained server would lose, or until its time is over.
fn wait(run_dir: &RunDir, servers: &[ServerName], json: bool) -> Result<ExitCode, Error> {
    let mut waiting: Vec<&ServerName> = servers.iter().collect();
    let mut told = String::new();
    loop {
        let mut left = Vec::new();
        for server in std::mem::take(&mut waiting) {
            let Some(why) = look(run_dir, server)? else { continue };
            match state(&why) {
                State::Waits => {
                    left.push(progress(&why));
                    waiting.push(server);
                }
                State::Done(how) => say(json, how, server)?,
                State::Changed => {
                    let ServerName { service, server } = server;
                    return Err(Error::Failed(format!("drain: {service} {server}: it is drained no more")));
                }
            }
        }
        if waiting.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        let now = left.join(", ");
        if now != told {
            complain(&now);
            told = now;
        }
        std::thread::sleep(LOOK);
    }
}

enum State {
    Waits,
    Done(&'static str),
    Changed,
}

fn state(why: &Why) -> State {
    let server = &why.server;
    // A TCP connection that is being closed, or was, counts as inactive for minutes; other protocols know nothing else.
    let busy = match why.service.protocol {
        Some(Protocol::Tcp | Protocol::Sctp) => server.active,
        Some(Protocol::Udp) | None => server.active.saturating_add(server.inactive),
    };
    match server.admin.map(|admin| admin.state) {
        Some(Admin::Draining) if busy > 0 && server.kernel_weight.is_some() => State::Waits,
        Some(Admin::Draining) => State::Done("empty"),
        Some(Admin::Drained | Admin::Disabled) => State::Done("removed"),
        Some(Admin::Enabled) | None => State::Changed,
    }
}

fn progress(why: &Why) -> String {
    let left = why.server.admin.and_then(|admin| admin.left_ms);
    // Whole minutes, so that a line is not said twice a second.
    let left = left.map(|ms| format!(", {} left", age(ms.div_ceil(60_000) * 60_000))).unwrap_or_default();
    let connections = why.server.active.saturating_add(why.server.inactive);
    format!("{} {}: {connections} connections{left}", why.service.name, why.server.address)
}

fn look(run_dir: &RunDir, server: &ServerName) -> Result<Option<Why>, Error> {
    let ServerName { service, server } = server;
    let request = Request::Why { service: service.clone(), server: server.to_string() };
    match ask::from(run_dir, Role::Lvs, &request)? {
        Reply::Why { servers } => Ok(servers.into_iter().next()),
        _ => Err(Error::Failed("lvs answered something else".to_owned())),
    }
}
