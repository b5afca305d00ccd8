//! `director vrrp`: the virtual routers, and what the operator may want of them.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use lexopt::Arg::{Long, Value};

use super::{Error, closest, done, print, status};
use crate::ipc::client::ask;
use crate::ipc::message::{Reply, Request, RouterOrder};
use crate::paths::RunDir;
use crate::role::Role;

/// What may follow `director vrrp`.
pub const USAGE: &str = "[failover|resign NAME [--force] | hold|release|clear NAME] [--json]";

/// What `director help vrrp` says below the summary.
pub const DETAILS: &str = "\
  failover NAME  a master hands over to another box, and leaves that alone until it fails or NAME is released
  resign NAME    a master gives up its place now, and takes part in the next election as ever
  hold NAME      takes no part in any election until released
  release NAME   ends a hold, and what failover has left behind
  clear NAME     sets its counters to zero, and those of messages that were for nobody
  --force        failover and resign also where no other box is known that would take over

A virtual router takes those of its group along.
";

const ORDERS: [(&str, RouterOrder); 5] = [
    ("failover", RouterOrder::Failover),
    ("resign", RouterOrder::Resign),
    ("hold", RouterOrder::Hold),
    ("release", RouterOrder::Release),
    ("clear", RouterOrder::Clear),
];

/// How long the worker may take to answer.
const WAIT: Duration = Duration::from_secs(3);

/// `director vrrp [--json]`, `director vrrp ORDER NAME`.
///
/// # Errors
/// Wrong use, a worker that does not answer, or its refusal.
pub fn run(mut args: lexopt::Parser) -> Result<ExitCode, Error> {
    let mut run_dir = std::env::var_os("DIRECTOR_RUN").map_or_else(RunDir::default, RunDir::new);
    let (mut json, mut force, mut words) = (false, false, Vec::new());
    while let Some(arg) = args.next()? {
        match arg {
            Long("run-dir") => run_dir = RunDir::new(PathBuf::from(args.value()?)),
            Long("json") => json = true,
            Long("force") => force = true,
            Value(word) => words.push(word.to_string_lossy().into_owned()),
            other => return Err(other.unexpected().into()),
        }
    }
    match words.as_slice() {
        [] if force => Err(Error::Usage("vrrp: `--force` is for failover and resign".to_owned())),
        [] => show(&run_dir, json),
        [word, rest @ ..] => {
            let order = order(word)?;
            let forced = matches!(order, RouterOrder::Failover | RouterOrder::Resign);
            match rest {
                _ if force && !forced => {
                    Err(Error::Usage(format!("vrrp {word}: `--force` is for failover and resign")))
                }
                [name] => {
                    tell(&run_dir, word, Request::Router { order, name: name.clone(), force })?;
                    done(json, &format!("vrrp {word}"), Some(name))
                }
                [] => Err(Error::Usage(format!("vrrp {word}: the name of a virtual router is missing"))),
                _ => {
                    Err(Error::Usage(format!("vrrp {word}: one name of a virtual router is needed, no more")))
                }
            }
        }
    }
}

fn order(word: &str) -> Result<RouterOrder, Error> {
    let names = || ORDERS.iter().map(|(name, _)| *name);
    ORDERS.iter().find(|(name, _)| *name == word).map(|(_, order)| *order).ok_or_else(|| {
        let hint = closest(word, names()).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
        let one_of = names().collect::<Vec<_>>().join(", ");
        Error::Usage(format!("vrrp: unknown word `{word}`: {hint}one of {one_of}"))
    })
}

fn show(run_dir: &RunDir, json: bool) -> Result<ExitCode, Error> {
    match ask(run_dir, Role::Vrrp, &Request::Status, WAIT) {
        Ok(Reply::Status { status }) if json => {
            let text = serde_json::to_string_pretty(&status).map_err(Error::failed)?;
            print(&format!("{text}\n"))
        }
        Ok(Reply::Status { status }) => {
            let lines = status::lines(&status);
            print(&lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect::<String>())
        }
        Ok(_) => Err(Error::Failed("status of vrrp: it answered something else".to_owned())),
        Err(error) => Err(Error::failed(error)),
    }
}

fn tell(run_dir: &RunDir, word: &str, request: Request) -> Result<(), Error> {
    match ask(run_dir, Role::Vrrp, &request, WAIT) {
        Ok(Reply::Alone { message }) => {
            Err(Error::Failed(format!("vrrp {word}: {message}: `--force` does it all the same")))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(Error::Failed(format!("vrrp {word}: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(words: &str) -> String {
        run(lexopt::Parser::from_args(words.split_whitespace())).unwrap_err().to_string()
    }

    #[test]
    fn wrong_words_are_answered_with_the_right_ones() {
        let one_of = "one of failover, resign, hold, release, clear";
        assert_eq!(
            complaint("failovr VI_1"),
            format!("vrrp: unknown word `failovr`: did you mean `failover`? {one_of}")
        );
        assert_eq!(complaint("hold"), "vrrp hold: the name of a virtual router is missing");
        assert_eq!(complaint("hold a b"), "vrrp hold: one name of a virtual router is needed, no more");
        assert_eq!(complaint("hold a --force"), "vrrp hold: `--force` is for failover and resign");
        let absent = complaint("hold a --run-dir /nonexistent");
        assert!(absent.starts_with("vrrp hold: vrrp does not answer: /nonexistent/"), "{absent}");
    }
}
