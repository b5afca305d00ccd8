//! What follows `director ipvs WORD`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use lexopt::Arg::{Long, Value};

use super::number::Digits;
use crate::ctl::Error;
use crate::paths::RunDir;
use crate::units::{Cidr, Refused, parse_duration};

/// Time between two readings of `--watch`.
const PERIOD: Duration = Duration::from_secs(2);

/// What was given.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) run_dir: RunDir,
    pub(super) json: bool,
    pub(super) digits: Digits,
    /// In the operator's words.
    pub(super) service: Option<String>,
    pub(super) server: Option<(IpAddr, Option<u16>)>,
    pub(super) client: Option<Cidr>,
    pub(super) state: Option<String>,
    pub(super) count: bool,
    pub(super) watch: Option<Duration>,
}

/// What one word takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Takes {
    pub(super) service: bool,
    pub(super) json: bool,
    pub(super) exact: bool,
    pub(super) filters: bool,
    pub(super) watch: bool,
}

impl Takes {
    /// A service and `--json`.
    pub(super) const TABLE: Self =
        Self { service: true, json: true, exact: false, filters: false, watch: false };
}

pub(super) fn parse(args: &mut lexopt::Parser, takes: Takes) -> Result<Options, Error> {
    let mut options = Options {
        run_dir: std::env::var_os("DIRECTOR_RUN").map_or_else(RunDir::default, RunDir::new),
        json: false,
        digits: Digits::Short,
        service: None,
        server: None,
        client: None,
        state: None,
        count: false,
        watch: None,
    };
    let usage = |error: Refused| Error::Usage(format!("ipvs: {error}"));
    while let Some(arg) = args.next()? {
        match arg {
            Long("run-dir") => options.run_dir = RunDir::new(PathBuf::from(args.value()?)),
            Long("json") if takes.json => options.json = true,
            Long("exact") if takes.exact => options.digits = Digits::Exact,
            Long("count") if takes.filters => options.count = true,
            Long("server") if takes.filters => {
                options.server = Some(server(&args.value()?.to_string_lossy())?)
            }
            Long("client") if takes.filters => {
                options.client = Some(args.value()?.to_string_lossy().parse().map_err(usage)?);
            }
            Long("state") if takes.filters => {
                options.state = Some(args.value()?.to_string_lossy().into_owned());
            }
            Long("watch") if takes.watch => {
                let period = args.optional_value().map(|word| parse_duration(&word.to_string_lossy()));
                options.watch = Some(period.transpose().map_err(usage)?.unwrap_or(PERIOD));
            }
            Value(word) if takes.service && options.service.is_none() => {
                options.service = Some(word.to_string_lossy().into_owned());
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if options.watch.is_some_and(|period| period < Duration::from_millis(100)) {
        return Err(Error::Usage("ipvs: --watch needs 100ms at least".to_owned()));
    }
    Ok(options)
}

fn server(word: &str) -> Result<(IpAddr, Option<u16>), Error> {
    let refuse = || {
        Error::Usage(format!("ipvs: server {word:?} is not of the form 192.168.61.22 or 192.168.61.22:80"))
    };
    match word.parse::<SocketAddr>() {
        Ok(address) => Ok((address.ip(), Some(address.port()))),
        Err(_) => word.parse().map(|ip| (ip, None)).map_err(|_| refuse()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str) -> Result<Options, Error> {
        let all = Takes { service: true, json: true, exact: true, filters: true, watch: true };
        parse(&mut lexopt::Parser::from_args(words.split_whitespace()), all)
    }

    #[test]
    fn an_interval_is_optional() {
        assert_eq!(parsed("web").unwrap().watch, None);
        assert_eq!(parsed("--watch web").unwrap().watch, Some(PERIOD));
        assert_eq!(parsed("--watch=500ms").unwrap().watch, Some(Duration::from_millis(500)));
        assert!(parsed("--watch=10ms").unwrap_err().to_string().contains("100ms at least"));
    }

    #[test]
    fn a_server_may_have_a_port() {
        assert_eq!(parsed("--server 10.0.0.1").unwrap().server, Some(("10.0.0.1".parse().unwrap(), None)));
        let address = ("fd00::1".parse().unwrap(), Some(80));
        assert_eq!(parsed("--server [fd00::1]:80").unwrap().server, Some(address));
        assert!(parsed("--server web1").unwrap_err().to_string().contains("192.168.61.22:80"));
        assert!(parsed("--client 10.0.0.0/33").unwrap_err().to_string().contains("out of range"));
    }
}
