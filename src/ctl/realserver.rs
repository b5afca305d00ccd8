//! `director realserver`: prepares the host that it runs on to be a real server.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lexopt::Arg::{Long, Value};
use serde_json::json;

use super::{Error, closest, print};
use crate::paths::RunDir;
use crate::realserver::kernel::{Found, look, make, undo};
use crate::realserver::plan::{Arrival, Need, Wish, needs};
use crate::realserver::record::Record;
use crate::realserver::script;
use crate::store::files;

/// What may follow `director realserver`.
pub const USAGE: &str = "show|up|down --vip ADDRESS… [--method dr|tun] [--tunnel KIND] [--json]";

/// What `director help realserver` says below the summary.
pub const DETAILS: &str = "\
  up    the VIPs on lo, ARP kept quiet about them, and the device of the tunnel; says what it changed
  down  takes back what up did and no other VIP needs
  show  the same as shell commands and as files for hosts without Director
        --check: what of it is true on this host; exit status 1 when something is missing

--vip may be given several times. KIND is ipip, gre or gue; --port N is the UDP port of gue (6080).
What was changed is remembered in realserver.json of the run directory (--run-dir DIR, default
/run/director).
";

/// The UDP port of GUE that the kernel's documentation uses.
const GUE: u16 = 6080;

#[derive(Debug)]
struct Options {
    deed: String,
    wishes: Vec<Wish>,
    run_dir: RunDir,
    json: bool,
    check: bool,
}

/// `director realserver …`.
///
/// # Errors
/// Wrong use, or a kernel that refuses.
pub fn run(mut args: lexopt::Parser) -> Result<ExitCode, Error> {
    let options = parse(&mut args)?;
    match options.deed.as_str() {
        "up" => up(&options),
        "down" => down(&options),
        _ if options.check => check(&options),
        _ => show(&options),
    }
}

fn parse(args: &mut lexopt::Parser) -> Result<Options, Error> {
    const DEEDS: [&str; 3] = ["show", "up", "down"];
    let usage = |text: String| Error::Usage(format!("realserver: {text}"));
    let deed = match args.next()? {
        Some(Value(word)) => word.to_string_lossy().into_owned(),
        Some(other) => return Err(other.unexpected().into()),
        None => return Err(usage(format!("what to do is missing: one of {}", DEEDS.join(", ")))),
    };
    if !DEEDS.contains(&deed.as_str()) {
        let hint = closest(&deed, DEEDS).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
        return Err(usage(format!("unknown word `{deed}`: {hint}one of {}", DEEDS.join(", "))));
    }
    let run_dir = std::env::var_os("DIRECTOR_RUN").map_or_else(RunDir::default, RunDir::new);
    let mut options = Options { deed, wishes: Vec::new(), run_dir, json: false, check: false };
    let (mut vips, mut method, mut tunnel, mut port) = (Vec::new(), None, None, None);
    while let Some(arg) = args.next()? {
        match arg {
            Long("vip") => vips.push(vip(&args.value()?.to_string_lossy())?),
            Long("method") => method = Some(args.value()?.to_string_lossy().into_owned()),
            Long("tunnel") => tunnel = Some(args.value()?.to_string_lossy().into_owned()),
            Long("port") => {
                let word = args.value()?.to_string_lossy().into_owned();
                let number = word.parse().ok().filter(|port: &u16| *port > 0);
                port = Some(number.ok_or_else(|| usage(format!("port `{word}`: 1 to 65535 is needed")))?);
            }
            Long("run-dir") => options.run_dir = RunDir::new(PathBuf::from(args.value()?)),
            Long("json") => options.json = true,
            Long("check") if options.deed == "show" => options.check = true,
            other => return Err(other.unexpected().into()),
        }
    }
    if vips.is_empty() {
        return Err(usage("--vip ADDRESS is missing".to_owned()));
    }
    let arrival = arrival(method.as_deref(), tunnel.as_deref(), port)?;
    options.wishes = vips.into_iter().map(|vip| Wish { vip, arrival }).collect();
    Ok(options)
}

fn vip(word: &str) -> Result<IpAddr, Error> {
    let refuse = |why: &str| Error::Usage(format!("realserver: VIP `{word}`: {why}"));
    let address: IpAddr = word.parse().map_err(|_| refuse("an address without prefix length is needed"))?;
    if address.is_unspecified() || address.is_loopback() || address.is_multicast() {
        return Err(refuse("it cannot be a VIP"));
    }
    Ok(address)
}

fn arrival(method: Option<&str>, tunnel: Option<&str>, port: Option<u16>) -> Result<Arrival, Error> {
    let usage = |text: String| Error::Usage(format!("realserver: {text}"));
    let arrival = match (method, tunnel) {
        (None | Some("dr"), None) => Arrival::Dr,
        (Some("dr"), Some(_)) => return Err(usage("--tunnel is for --method tun".to_owned())),
        (None | Some("tun"), Some("ipip")) | (Some("tun"), None) => Arrival::Ipip,
        (None | Some("tun"), Some("gre")) => Arrival::Gre,
        (None | Some("tun"), Some("gue")) => Arrival::Gue(port.unwrap_or(GUE)),
        (None | Some("tun"), Some(other)) => {
            return Err(usage(format!("unknown tunnel `{other}`: one of ipip, gre, gue")));
        }
        (Some("nat" | "fullnat"), _) => {
            return Err(usage(
                "with NAT a real server needs no VIP, but its way back through the director".to_owned(),
            ));
        }
        (Some(other), _) => return Err(usage(format!("unknown method `{other}`: one of dr, tun"))),
    };
    match (arrival, port) {
        (Arrival::Gue(_), _) | (_, None) => Ok(arrival),
        _ => Err(usage("--port is for --tunnel gue".to_owned())),
    }
}

fn up(options: &Options) -> Result<ExitCode, Error> {
    let place = place(&options.run_dir);
    let mut record = read(&place)?;
    let mut done = Vec::new();
    let wanted = record.add(&options.wishes);
    let result = wanted.into_iter().try_for_each(|need| {
        let before = match look(&need).map_err(Error::failed)? {
            Found::Right => return Ok(()),
            Found::Missing => None,
            Found::Other(value) => Some(value),
        };
        make(&need).map_err(Error::failed)?;
        done.push(
            before.as_ref().map_or_else(|| need.to_string(), |before| format!("{need} (was {before})")),
        );
        record.note(need, before);
        Ok(())
    });
    // Another way of arrival leaves the old one without use.
    let result = result.and_then(|()| take_back(&mut record, &mut done));
    write(&place, &record)?;
    tell(options, &done)?;
    result.map(|()| ExitCode::SUCCESS)
}

fn down(options: &Options) -> Result<ExitCode, Error> {
    let place = place(&options.run_dir);
    let mut record = read(&place)?;
    let stranger =
        options.wishes.iter().find(|wish| !record.wishes.iter().any(|known| known.vip == wish.vip));
    let stranger = stranger.map(|wish| wish.vip);
    record.wishes.retain(|known| !options.wishes.iter().any(|wish| wish.vip == known.vip));
    let mut done = Vec::new();
    let result = take_back(&mut record, &mut done);
    write(&place, &record)?;
    tell(options, &done)?;
    if let Some(vip) = stranger
        && look(&Need::Address(vip)).map_err(Error::failed)? == Found::Right
    {
        return Err(Error::Failed(format!(
            "{vip} on lo: `director realserver up` has not put it there: left as it is"
        )));
    }
    result.map(|()| ExitCode::SUCCESS)
}

fn take_back(record: &mut Record, done: &mut Vec<String>) -> Result<(), Error> {
    for change in record.superfluous() {
        undo(&change).map_err(Error::failed)?;
        record.forget(&change.need);
        let now = change.before.map(|before| format!(", {before} again")).unwrap_or_default();
        done.push(format!("no longer {}{now}", change.need));
    }
    Ok(())
}

fn tell(options: &Options, done: &[String]) -> Result<(), Error> {
    let text = if options.json {
        format!("{:#}\n", json!({ "changed": done }))
    } else if done.is_empty() {
        "nothing to change\n".to_owned()
    } else {
        done.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
    };
    print(&text).map(drop)
}

fn show(options: &Options) -> Result<ExitCode, Error> {
    let (commands, files) = (script::commands(&options.wishes), script::files(&options.wishes));
    if options.json {
        return print(&format!("{:#}\n", json!({ "commands": commands, "files": files })));
    }
    let mut text = String::from("# as root, until the next boot\n");
    commands.iter().for_each(|command| text.push_str(&format!("{command}\n")));
    for file in files {
        text.push_str(&format!("\n# at each boot: {} ({})\n{}", file.path, file.reader, file.text));
    }
    print(&text)
}

fn check(options: &Options) -> Result<ExitCode, Error> {
    let mut rows = Vec::new();
    for need in needs(&options.wishes) {
        let found = look(&need).map_err(Error::failed)?;
        rows.push((need.to_string(), found));
    }
    let right = rows.iter().all(|(_, found)| *found == Found::Right);
    let word = |found: &Found| match found {
        Found::Right => "ok".to_owned(),
        Found::Missing => "missing".to_owned(),
        Found::Other(value) => format!("is {value}"),
    };
    let text = if options.json {
        let needs = rows.iter().map(|(need, found)| json!({ "need": need, "found": word(found) }));
        format!("{:#}\n", json!({ "ok": right, "needs": needs.collect::<Vec<_>>() }))
    } else {
        let rows = rows.iter().map(|(need, found)| vec![word(found), need.clone()]).collect();
        super::status::table(rows).iter().flat_map(|line| [line.as_str(), "\n"]).collect()
    };
    print(&text)?;
    Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn place(run_dir: &RunDir) -> PathBuf {
    run_dir.path().join("realserver.json")
}

fn read(place: &Path) -> Result<Record, Error> {
    let failed =
        |why: String| Error::Failed(format!("cannot read what was changed: {}: {why}", place.display()));
    match std::fs::read(place) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Record::default()),
        Err(error) => Err(failed(error.to_string())),
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string())),
    }
}

fn write(place: &Path, record: &Record) -> Result<(), Error> {
    let failed = |error: std::io::Error| {
        Error::Failed(format!("cannot note what was changed: {}: {error}", place.display()))
    };
    if *record == Record::default() {
        return match std::fs::remove_file(place) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        };
    }
    if let Some(folder) = place.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let bytes = serde_json::to_vec(record).map_err(Error::failed)?;
    files::replace(place, &bytes).map_err(failed)
}
