//! Rules of `ipvsadm`, one a line (ipvsadm(8)). Pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::draft::{Draft, Service, Table, list};

/// What a rule says, by its options' long names.
type Rule<'a> = BTreeMap<&'static str, &'a str>;

/// Short and long names of options, and whether a value follows.
const OPTIONS: &[(&str, &str, bool)] = &[
    ("-A", "--add-service", false),
    ("-a", "--add-server", false),
    ("-t", "--tcp-service", true),
    ("-u", "--udp-service", true),
    ("", "--sctp-service", true),
    ("-f", "--fwmark-service", true),
    ("-s", "--scheduler", true),
    ("-p", "--persistent", true),
    ("-M", "--netmask", true),
    ("-o", "--ops", false),
    ("-b", "--sched-flags", true),
    ("", "--pe", true),
    ("-6", "--ipv6", false),
    ("-r", "--real-server", true),
    ("-g", "--gatewaying", false),
    ("-i", "--ipip", false),
    ("-m", "--masquerading", false),
    ("", "--tun-type", true),
    ("", "--tun-port", true),
    ("", "--tun-nocsum", false),
    ("", "--tun-csum", false),
    ("", "--tun-remcsum", false),
    ("-w", "--weight", true),
    ("-x", "--u-threshold", true),
    ("-y", "--l-threshold", true),
    ("-n", "--numeric", false),
];

/// What `ipvsadm` assumes for `-p` without a value (ipvsadm.c: `DEF_TIMEOUT`).
const PERSISTENCE: &str = "300";

/// Reads what `ipvsadm -S -n` prints.
#[must_use]
pub fn read(text: &str) -> Draft {
    let mut draft = Draft::default();
    // By the words that name a service: its place, and its port.
    let mut places: BTreeMap<(&str, &str), (usize, Option<u16>)> = BTreeMap::new();
    for (line, rule) in text.lines().enumerate().map(|(at, rule)| (at + 1, rule.trim())) {
        if rule.is_empty() || rule.starts_with('#') {
            continue;
        }
        let rule = match parse(rule) {
            Ok(rule) => rule,
            Err(why) => {
                draft.warn(line, why);
                continue;
            }
        };
        let Some(which) = ["--tcp-service", "--udp-service", "--sctp-service", "--fwmark-service"]
            .into_iter()
            .find_map(|kind| rule.get(kind).map(|value| (kind, *value)))
        else {
            draft.warn(line, "a rule without a service: left out");
            continue;
        };
        let result = if rule.contains_key("--add-service") {
            service(&mut draft, which, &rule).map(|(service, port)| {
                places.insert(which, (draft.services.len(), port));
                draft.services.push(service);
            })
        } else if rule.contains_key("--add-server") {
            match places.get(&which) {
                None => Err("a server of a service that is not there: left out".to_owned()),
                Some((at, port)) => server(&rule, *port).map(|server| {
                    draft.services.get_mut(*at).into_iter().for_each(|it| it.servers.push(server.clone()));
                }),
            }
        } else {
            Err("only -A and -a are taken over".to_owned())
        };
        if let Err(why) = result {
            draft.warn(line, why);
        }
    }
    let empty = draft.services.iter().filter(|service| service.servers.is_empty()).count();
    if empty > 0 {
        draft.warn(1, format!("{empty} services without a real server: left out"));
        draft.services.retain(|service| !service.servers.is_empty());
    }
    if !draft.services.is_empty() {
        draft.warn(1, "ipvsadm checks nothing, so neither does this: give each service a `check`");
    }
    draft
}

fn parse(rule: &str) -> Result<Rule<'_>, String> {
    let mut found = Rule::new();
    let mut words = rule.split_whitespace().peekable();
    words.next_if(|word| word.ends_with("ipvsadm"));
    while let Some(word) = words.next() {
        // ipvsadm's own shorthands: `--option=value`, `-Atvalue` is not among what it prints.
        let (name, mut value) = match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value)),
            _ => (word, None),
        };
        let known = OPTIONS.iter().find(|(short, long, _)| *short == name || *long == name);
        let (_, long, wants) = known.ok_or_else(|| format!("unknown option `{word}`: rule left out"))?;
        if *wants && value.is_none() {
            // Of all options only -p may stand alone.
            let optional = *long == "--persistent";
            value = words.next_if(|next| !(optional && next.starts_with('-')));
            if value.is_none() && optional {
                value = Some(PERSISTENCE);
            }
        }
        if *wants && value.is_none() {
            return Err(format!("`{word}` without a value: rule left out"));
        }
        found.insert(*long, value.unwrap_or_default());
    }
    Ok(found)
}

fn service(
    draft: &mut Draft,
    (kind, value): (&str, &str),
    rule: &Rule<'_>,
) -> Result<(Service, Option<u16>), String> {
    let mut table = Table::default();
    let mut port = None;
    let protocol = kind.trim_start_matches("--").trim_end_matches("-service");
    if protocol == "fwmark" {
        let mark: u32 = value.parse().map_err(|_| format!("`{value}` is no firewall mark: left out"))?;
        table.text("name", &draft.name(&format!("fwmark-{mark}")));
        table.set("fwmark", mark);
        if rule.contains_key("--ipv6") {
            table.text("family", "ipv6");
        }
    } else {
        let address: SocketAddr = value.parse().map_err(|_| {
            format!("`{value}` is no address with port (names come of `ipvsadm -S` without -n): left out")
        })?;
        table.text("name", &draft.name(&format!("{protocol}-{}-{}", address.ip(), address.port())));
        table.text("listen", &listen(address));
        if protocol != "tcp" {
            table.text("protocol", protocol);
        }
        draft.vip(address.ip());
        port = Some(address.port()).filter(|port| *port != 0);
    }
    table.text("scheduler", rule.get("--scheduler").copied().unwrap_or("wlc"));
    if let Some(flags) = rule.get("--sched-flags") {
        let flags: Vec<String> = flags.split(',').map(str::to_owned).collect();
        table.set("scheduler_flags", list(&flags));
    }
    if rule.contains_key("--ops") {
        table.set("one_packet", true);
    }
    if let Some(timeout) = rule.get("--persistent") {
        table.set("persistence", persistence(timeout, rule)?);
    }
    table.text("check", "none");
    Ok((Service { table, servers: Vec::new() }, port))
}

fn persistence(timeout: &str, rule: &Rule<'_>) -> Result<String, String> {
    let timeout: u32 =
        timeout.parse().map_err(|_| format!("`{timeout}` is no number of seconds: left out"))?;
    let timeout = format!("{timeout}s");
    let (mask, engine) = (rule.get("--netmask"), rule.get("--pe"));
    if mask.is_none() && engine.is_none() {
        return Ok(super::draft::quoted(&timeout));
    }
    let mut table = Table::default();
    table.text("timeout", &timeout);
    match mask {
        Some(mask) if mask.contains('.') => table.text("netmask", mask),
        Some(prefix) => {
            table.set("prefix", prefix.parse::<u8>().map_err(|_| format!("`{prefix}` is no mask: left out"))?)
        }
        None => {}
    }
    if let Some(engine) = engine {
        table.text("engine", engine);
    }
    Ok(table.inline())
}

fn server(rule: &Rule<'_>, port: Option<u16>) -> Result<Table, String> {
    let word = rule.get("--real-server").copied().ok_or("a server without -r: left out")?;
    // Without a port the server has that of the service.
    let (ip, own) = match word.parse::<SocketAddr>() {
        Ok(address) => (address.ip(), Some(address.port())),
        Err(_) => {
            let ip = word.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
            (ip.map_err(|_| format!("`{word}` is no address: left out"))?, port)
        }
    };
    let has = |option: &str| rule.contains_key(option);
    let method = if has("--masquerading") {
        "nat"
    } else if has("--ipip") {
        "tun"
    } else {
        "dr"
    };
    let mut table = Table::default();
    // Direct routing and tunnels do not change the port: ipvsadm takes the service's without a word.
    let own = if method == "nat" { own } else { port };
    match own.filter(|own| *own != 0 && port.is_some()) {
        Some(own) => table.text("address", &SocketAddr::new(ip, own).to_string()),
        None => table.text("address", &ip.to_string()),
    }
    table.text("method", method);
    if let Some(kind) = rule.get("--tun-type").filter(|kind| **kind != "ipip") {
        table.set("tunnel", tunnel(kind, rule)?);
    }
    for (option, key) in
        [("--weight", "weight"), ("--u-threshold", "max_connections"), ("--l-threshold", "min_connections")]
    {
        if let Some(value) = rule.get(option) {
            let number: u32 = value.parse().map_err(|_| format!("`{value}` is no number: left out"))?;
            if number != 0 || key == "weight" {
                table.set(key, number);
            }
        }
    }
    Ok(table)
}

fn tunnel(kind: &str, rule: &Rule<'_>) -> Result<String, String> {
    let mut tunnel = Table::default();
    tunnel.text("type", kind);
    if let Some(port) = rule.get("--tun-port") {
        tunnel.set("port", port.parse::<u16>().map_err(|_| format!("`{port}` is no port: left out"))?);
    }
    for (option, word) in [("--tun-csum", "full"), ("--tun-remcsum", "remote")] {
        if rule.contains_key(option) {
            tunnel.text("checksum", word);
        }
    }
    Ok(tunnel.inline())
}

/// Port 0 is every port, for which the file has no number.
pub(super) fn listen(address: SocketAddr) -> String {
    if address.port() == 0 { address.ip().to_string() } else { address.to_string() }
}
