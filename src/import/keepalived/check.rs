//! Checkers of a `real_server`. Pure.

use super::rest;
use super::tree::Node;
use crate::import::draft::{Draft, Table, list, quoted, seconds};
use crate::pattern::Pattern;

/// What checkers have that say nothing else; keepalived's defaults (keepalived(5)).
#[derive(Debug, Clone, Copy)]
pub(super) struct Defaults<'a> {
    /// Weight of real servers.
    pub(super) weight: Option<u32>,
    /// Whether a server is down until its checkers have found it up, and where that is said.
    pub(super) alpha: (Option<usize>, bool),
    interval: f64,
    retry: Option<u32>,
    pause: Option<f64>,
    /// Where it is said.
    timeout: Option<f64>,
    host: Option<&'a str>,
}

/// How often a failed check is repeated, and after how many seconds, where that is not said; no seconds: `delay_loop`.
type Again = (u32, Option<f64>);

/// How long a checker waits for an answer where that is not said, seconds.
const TIMEOUT: f64 = 5.0;

const AGAIN: Again = (1, Some(1.0));
const AGAIN_HTTP: Again = (1, Some(3.0));
const AGAIN_DNS: Again = (3, None);
const AGAIN_MISC: Again = (0, Some(1.0));

impl<'a> Defaults<'a> {
    /// Those of a virtual server.
    pub(super) fn of(node: &Node<'a>) -> Self {
        let keepalived = Self {
            weight: None,
            alpha: (None, false),
            interval: 60.0,
            retry: None,
            pause: None,
            timeout: None,
            host: None,
        };
        Self { weight: node.find("weight").and_then(|node| node.number()), ..keepalived }.within(node)
    }

    /// Those with what a block within says.
    pub(super) fn within(self, node: &Node<'a>) -> Self {
        let number = |key: &str| node.find(key).and_then(|node| node.number::<f64>());
        let retry = node.find("retry").or_else(|| node.find("nb_get_retry")).and_then(|node| node.number());
        Self {
            weight: self.weight,
            alpha: node.find("alpha").map_or(self.alpha, |alpha| (Some(alpha.line), alpha.truth())),
            interval: number("delay_loop").unwrap_or(self.interval),
            retry: retry.or(self.retry),
            pause: number("delay_before_retry").or(self.pause),
            timeout: number("connect_timeout").or(self.timeout),
            host: node.find("virtualhost").map(Node::value).or(self.host),
        }
    }

    /// Keys of any check. A failed check is asked `retry` times more, `delay_before_retry` apart.
    fn apply(self, table: &mut Table, (retry, pause): Again) {
        let fall = self.retry.unwrap_or(retry).saturating_add(1);
        let interval = self.interval.clamp(0.1, 3600.0);
        table.set("interval", seconds(interval));
        let pause = self.pause.or(pause).unwrap_or(interval).clamp(0.1, interval);
        if fall > 1 && pause < interval {
            table.set("fast", seconds(pause));
        }
        let timeout = self.timeout.unwrap_or(TIMEOUT);
        table.set("timeout", seconds(timeout.clamp(0.01, interval.min(300.0))));
        table.set("fall", fall.clamp(1, 100));
        table.set("rise", 1);
    }
}

/// Types of checks that ask no port.
const PORTLESS: [&str; 2] = ["ping", "exec"];

const COMMON: &[&str] = &[
    "connect_ip",
    "connect_port",
    "bindto",
    "fwmark",
    "connect_timeout",
    "retry",
    "nb_get_retry",
    "delay_before_retry",
    "delay_loop",
    "warmup",
    "alpha",
    "host",
    "http_protocol",
    "log_all_failures",
];

/// Checkers that have the options of all.
const CHECKERS: [&str; 8] =
    ["TCP_CHECK", "PING_CHECK", "UDP_CHECK", "SMTP_CHECK", "DNS_CHECK", "MISC_CHECK", "HTTP_GET", "SSL_GET"];

/// Whether a real server is down at first, as any of its checkers wants, and on which line that is said; `None` without
/// checkers, as then it is up.
pub(super) fn alpha(server: &Node<'_>, service: Defaults<'_>) -> Option<(Option<usize>, bool)> {
    let own = service.within(server);
    let checkers = server.block.iter().filter(|node| CHECKERS.contains(&node.key()));
    checkers.map(|node| own.within(node).alpha).reduce(|one, other| if other.1 { other } else { one })
}

/// All checkers of a real server, which ask `port` where they do not say another; what cannot be said is a warning.
pub(super) fn checks(
    draft: &mut Draft,
    server: &Node<'_>,
    defaults: &Defaults<'_>,
    port: Option<u16>,
) -> Vec<Table> {
    let mut tables = Vec::new();
    for node in &server.block {
        let own = defaults.within(node);
        match node.key() {
            "TCP_CHECK" => tables.push(simple(draft, node, "tcp", own)),
            "PING_CHECK" => tables.push(simple(draft, node, "ping", own)),
            "UDP_CHECK" => tables.push(udp(draft, node, own)),
            "SMTP_CHECK" => tables.extend(smtp(draft, node, own)),
            "DNS_CHECK" => tables.push(dns(draft, node, own)),
            "MISC_CHECK" => tables.extend(misc(draft, node, own)),
            "HTTP_GET" => tables.extend(http(draft, node, "http", own)),
            "SSL_GET" => tables.extend(http(draft, node, "https", own)),
            "FILE_CHECK" => draft.warn(
                node.line,
                "FILE_CHECK: left out; a check of type \"file\" reads words and shares of the weight, not keepalived's numbers",
            ),
            "BFD_CHECK" => draft.warn(node.line, "BFD_CHECK: left out"),
            _ => {}
        }
    }
    for table in tables
        .iter_mut()
        .filter(|table| !table.has("port") && !PORTLESS.iter().any(|kind| table.is("type", kind)))
    {
        port.into_iter().for_each(|port| table.set("port", port));
    }
    tables
}

fn simple(draft: &mut Draft, node: &Node<'_>, kind: &str, own: Defaults<'_>) -> Table {
    rest(draft, node, COMMON);
    begin(draft, node, kind, own, AGAIN)
}

/// Type, where it is asked, and how often.
fn begin(draft: &mut Draft, node: &Node<'_>, kind: &str, mut own: Defaults<'_>, again: Again) -> Table {
    // A probe may not outlast its period, which theirs counts from its end. A wait that somebody has chosen is kept.
    if let Some(timeout) = own.timeout.filter(|timeout| *timeout > own.interval) {
        let [period, wait] = [own.interval, timeout];
        draft.warn(
            node.line,
            format!("{}: a timeout of {wait}s, so asked every {wait}s, not every {period}s", node.key()),
        );
        own.interval = timeout;
    }
    let mut table = Table::default();
    table.text("type", kind);
    place(node, &mut table);
    own.apply(&mut table, again);
    table
}

/// Where a check asks, as a block says it.
fn place(node: &Node<'_>, table: &mut Table) {
    let find = |key: &str| node.find(key).map(Node::value);
    if let Some(address) = find("connect_ip") {
        table.text("address", address);
    }
    if let Some(port) = find("connect_port").and_then(|port| port.parse::<u16>().ok()) {
        table.set("port", port);
    }
    if let Some(source) = find("bindto") {
        table.text("source", source);
    }
    if let Some(mark) = find("fwmark").and_then(|mark| mark.parse::<u32>().ok()).filter(|mark| *mark > 0) {
        table.set("mark", mark);
    }
}

/// A check for each `host`: all of them must answer.
fn smtp(draft: &mut Draft, node: &Node<'_>, own: Defaults<'_>) -> Vec<Table> {
    rest(draft, node, &[COMMON, &["helo_name"]].concat());
    let mut table = begin(draft, node, "smtp", own, AGAIN);
    if let Some(name) = node.find("helo_name") {
        table.text("helo", name.value());
    }
    let hosts = node.block.iter().filter(|child| child.key() == "host");
    let tables: Vec<Table> = hosts
        .map(|host| {
            let mut table = table.clone();
            place(host, &mut table);
            table
        })
        .collect();
    if tables.is_empty() { vec![table] } else { tables }
}

fn dns(draft: &mut Draft, node: &Node<'_>, own: Defaults<'_>) -> Table {
    rest(draft, node, &[COMMON, &["type", "name"]].concat());
    let mut table = begin(draft, node, "dns", own, AGAIN_DNS);
    table.text("record", node.find("type").map_or("SOA", Node::value));
    table.text("name", node.find("name").map_or(".", Node::value));
    table
}

/// What an answer may have at most unless it is said (keepalived(5)).
const LONGEST_REPLY: u32 = 255;
/// What silence needs to be told from a host that is gone, seconds.
const SILENCE: f64 = 4.0;

fn udp(draft: &mut Draft, node: &Node<'_>, own: Defaults<'_>) -> Table {
    let lengths = ["min_reply_length", "max_reply_length"];
    rest(draft, node, &[COMMON, &["payload", "require_reply"], &lengths].concat());
    let wanted = node.find("require_reply");
    let mut own = own;
    let timeout = own.timeout.unwrap_or(TIMEOUT);
    if wanted.is_none() && timeout.min(own.interval) < SILENCE {
        draft.warn(
            node.line,
            "UDP_CHECK that takes silence for good: interval and timeout are now 4s or more",
        );
        own.interval = own.interval.max(SILENCE);
        own.timeout = own.timeout.map(|timeout| timeout.max(SILENCE));
    }
    let mut table = begin(draft, node, "udp", own, AGAIN);
    if let Some(payload) = node.find("payload") {
        table.text("send_hex", payload.value());
    }
    let [least, most] = lengths.map(|key| node.find(key));
    let length = |node: Option<&Node<'_>>| node.and_then(|node| node.number::<u32>());
    let (least, most) = (length(least).unwrap_or(0), length(most).unwrap_or(LONGEST_REPLY));
    match wanted {
        Some(wanted) if wanted.words.len() < 2 => {
            table.text("expect", &format!("(?s-u)^.{{{least},{most}}}$"))
        }
        Some(wanted) => match mask(&wanted.words.get(1..).unwrap_or_default().concat()) {
            Some(begins) => table.text("expect", &format!("(?s-u)^{begins}")),
            None => {
                draft.warn(wanted.line, "require_reply: no hexadecimal digits: any reply is good now");
                table.text("expect", "(?s-u)^");
            }
        },
        None => {}
    }
    table
}

/// Hexadecimal digits of which an `X` stands for any, as an expression over bytes.
fn mask(digits: &str) -> Option<String> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let any = |byte: u8| byte.eq_ignore_ascii_case(&b'x');
    let pair = |[high, low]: &[u8; 2]| match (digit(*high), digit(*low)) {
        (Some(high), Some(low)) => Some(format!("\\x{high:x}{low:x}")),
        (Some(high), None) if any(*low) => Some(format!("[\\x{high:x}0-\\x{high:x}f]")),
        (None, Some(low)) if any(*high) => {
            Some(format!("[{}]", (0..16).map(|high| format!("\\x{high:x}{low:x}")).collect::<String>()))
        }
        (None, None) if any(*high) && any(*low) => Some(".".to_owned()),
        _ => None,
    };
    pairs.iter().map(pair).collect()
}

fn misc(draft: &mut Draft, node: &Node<'_>, own: Defaults<'_>) -> Option<Table> {
    rest(draft, node, &[COMMON, &["misc_path", "misc_timeout", "misc_dynamic", "user"]].concat());
    let command = node.find("misc_path")?;
    let words: Vec<String> =
        command.words.iter().skip(1).flat_map(|word| word.split_whitespace()).map(str::to_owned).collect();
    if !words.first().is_some_and(|program| program.starts_with('/')) {
        draft.warn(command.line, "MISC_CHECK without an absolute path: left out");
        return None;
    }
    if let Some(user) = node.find("user") {
        draft.warn(user.line, "user: programs run as nobody");
    }
    let timeout = node.find("misc_timeout").and_then(|node| node.number()).unwrap_or(own.interval);
    let mut table = begin(draft, node, "exec", Defaults { timeout: Some(timeout), ..own }, AGAIN_MISC);
    table.set("command", list(&words));
    // Theirs has its own arguments alone.
    table.set("endpoints", false);
    if node.find("misc_dynamic").is_some() {
        table.set("weight", true);
    }
    Some(table)
}

/// A check for each URL: each has a digest, a status and a host of its own.
fn http(draft: &mut Draft, node: &Node<'_>, kind: &str, own: Defaults<'_>) -> Vec<Table> {
    rest(
        draft,
        node,
        &[COMMON, &["url", "virtualhost", "enable_sni", "fast_recovery", "tls_compliant"]].concat(),
    );
    let mut tables = Vec::new();
    for url in node.block.iter().filter(|child| child.key() == "url") {
        rest(draft, url, &["path", "digest", "status_code", "virtualhost", "regex", "regex_no_match"]);
        let mut table = begin(draft, node, kind, own, AGAIN_HTTP);
        table.text("path", url.find("path").map_or("/", Node::value));
        if let Some(host) = url.find("virtualhost").map(Node::value).or(own.host) {
            table.text("host", host);
        }
        if let Some(digest) = url.find("digest") {
            table.text("digest", digest.value());
        }
        if let Some(codes) = url.find("status_code") {
            let codes = codes.words.iter().skip(1).map(|code| match code.parse::<u16>() {
                Ok(code) => code.to_string(),
                Err(_) => quoted(code),
            });
            table.set("status", format!("[{}]", codes.collect::<Vec<_>>().join(", ")));
        }
        if let Some(regex) = url.find("regex") {
            match regex.value().parse::<Pattern>() {
                Ok(_) if url.find("regex_no_match").is_some() => table.text("refuse", regex.value()),
                Ok(_) => table.text("expect", regex.value()),
                Err(_) => draft.warn(
                    regex.line,
                    format!("regex {}: not a regular expression here: left out", regex.value()),
                ),
            }
        }
        tables.push(table);
    }
    if tables.is_empty() {
        draft.warn(node.line, format!("{} without a url: left out", node.key()));
    }
    tables
}
