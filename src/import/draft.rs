//! A configuration in the making, and how it is written. Pure.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

/// Something of the original that is not in the result, or not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The file that the original includes, if it stands in one.
    pub file: Option<String>,
    /// Line there, from 1.
    pub line: usize,
    /// What, in words.
    pub text: String,
}

/// Keys and values of a table, in the order in which they are written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    entries: Vec<(&'static str, String)>,
}

impl Table {
    /// Sets a key to a value as TOML writes it; a later value replaces an earlier one.
    pub fn set(&mut self, key: &'static str, value: impl ToString) {
        let value = value.to_string();
        match self.entries.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => *known = value,
            None => self.entries.push((key, value)),
        }
    }

    /// Sets a key to a string.
    pub fn text(&mut self, key: &'static str, value: &str) {
        self.set(key, quoted(value));
    }

    /// Whether the key is set.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(known, _)| *known == key)
    }

    /// Whether the key is set to this string.
    #[must_use]
    pub fn is(&self, key: &str, text: &str) -> bool {
        self.entries.iter().any(|(known, value)| *known == key && *value == quoted(text))
    }

    /// As one value: `{ type = "tcp", port = 80 }`.
    #[must_use]
    pub fn inline(&self) -> String {
        let entries: Vec<String> =
            self.entries.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        format!("{{ {} }}", entries.join(", "))
    }
}

/// A virtual service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// Its own keys.
    pub table: Table,
    /// Its real servers.
    pub servers: Vec<Table>,
}

/// What was understood.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft {
    /// `system.hostname`.
    pub hostname: Option<String>,
    /// `system.autoreload`.
    pub autoreload: bool,
    /// Interfaces by name, with the addresses that are known.
    pub interfaces: Vec<(String, Vec<String>)>,
    /// Routes.
    pub routes: Vec<Table>,
    /// Virtual routers.
    pub vrrp: Vec<Table>,
    /// Synchronisation of connections.
    pub sync: Option<Table>,
    /// Idle times of connections: `ipvs.timeout`.
    pub timeouts: Option<Table>,
    /// Receivers of alarms.
    pub notify: Vec<Table>,
    /// Services.
    pub services: Vec<Service>,
    /// What is missing.
    pub warnings: Vec<Warning>,
    names: BTreeSet<String>,
    placed: BTreeSet<IpAddr>,
    vips: Vec<IpAddr>,
}

impl Draft {
    /// Notes what is missing. The same of the same line is said once.
    pub fn warn(&mut self, line: usize, text: impl Into<String>) {
        let warning = Warning { file: None, line, text: text.into() };
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Notes what is missing everywhere, at the first line that it concerns.
    pub fn warn_once(&mut self, line: usize, text: &str) {
        if !self.warnings.iter().any(|warning| warning.text == text) {
            self.warn(line, text);
        }
    }

    /// An interface of this name exists; `address`, with prefix, is on it.
    pub fn interface(&mut self, name: &str, address: Option<&str>) {
        let at = self.interfaces.iter().position(|(known, _)| known == name);
        let at = at.unwrap_or_else(|| {
            self.interfaces.push((name.to_owned(), Vec::new()));
            self.interfaces.len() - 1
        });
        if let (Some(address), Some((_, addresses))) = (address, self.interfaces.get_mut(at)) {
            addresses.push(address.to_owned());
            self.place(address);
        }
    }

    /// An address, with or without prefix, belongs to an interface or a virtual router.
    pub fn place(&mut self, address: &str) {
        self.placed.extend(address.split('/').next().and_then(|ip| ip.parse::<IpAddr>().ok()));
    }

    /// A receiver of mail; `server` has its port. A server on this box is none: no mail server runs beside Director.
    pub fn mail(&mut self, line: usize, server: &str, from: &str, to: &[&str], helo: Option<&str>) {
        let host = server.rsplit_once(':').map_or(server, |(host, _)| host);
        if host == "localhost" || host.starts_with("127.") || host == "[::1]" {
            return self
                .warn(line, format!("mail by {host}: no mail server runs here: say which in `[[notify]]`"));
        }
        let mut table = Table::default();
        table.text("name", "mail");
        table.text("type", "mail");
        table.text("server", server);
        table.text("from", from);
        table.set("to", list(&to.iter().map(|to| (*to).to_owned()).collect::<Vec<_>>()));
        if let Some(helo) = helo {
            table.text("helo", helo);
        }
        self.notify.push(table);
    }

    /// A service listens on this address.
    pub fn vip(&mut self, address: IpAddr) {
        self.vips.push(address);
    }

    /// A name that no other service has, from `wish`.
    pub fn name(&mut self, wish: &str) -> String {
        let wish = &word(wish);
        let mut name = wish.clone();
        let mut number = 2;
        while !self.names.insert(name.clone()) {
            name = format!("{wish}-{number}");
            number += 1;
        }
        name
    }

    /// The whole as `director.toml`, `from` being the original's name.
    #[must_use]
    pub fn render(&self, from: &str) -> String {
        let mut out = format!("# Made from {} by `director import`.\n", from.replace(['\n', '\r'], " "));
        if !self.warnings.is_empty() {
            out.push_str("#\n# Not taken over as it was:\n");
        }
        for Warning { file, line, text } in &self.warnings {
            let file = file.as_ref().map(|file| format!("{file} ")).unwrap_or_default();
            let _ = writeln!(out, "#   {}", format!("{file}line {line}: {text}").replace(['\n', '\r'], " "));
        }
        out.push_str("version = 1\n");
        if self.hostname.is_some() || self.autoreload {
            out.push_str("\n[system]\n");
        }
        if let Some(hostname) = &self.hostname {
            let _ = writeln!(out, "hostname = {}", quoted(hostname));
        }
        if self.autoreload {
            out.push_str("autoreload = true\n");
        }
        for (name, addresses) in &self.interfaces {
            let _ = write!(out, "\n[[interface]]\nname = {}\n", quoted(name));
            if addresses.is_empty() {
                out.push_str(
                    "# The address of this box is not in the original: addresses = [\"192.0.2.2/24\"]\n",
                );
            } else {
                let list: Vec<String> = addresses.iter().map(|address| quoted(address)).collect();
                let _ = writeln!(out, "addresses = [{}]", list.join(", "));
            }
        }
        for table in &self.routes {
            section(&mut out, "[[route]]", table);
        }
        for table in &self.vrrp {
            section(&mut out, "[[vrrp]]", table);
        }
        if let Some(table) = &self.sync {
            section(&mut out, "[sync]", table);
        }
        if let Some(table) = &self.timeouts {
            let _ = write!(out, "\n[ipvs]\ntimeout = {}\n", table.inline());
        }
        for table in &self.notify {
            section(&mut out, "[[notify]]", table);
        }
        for service in &self.services {
            section(&mut out, "[[service]]", &service.table);
            for server in &service.servers {
                section(&mut out, "[[service.server]]", server);
            }
        }
        out
    }

    /// Every VIP must be somewhere: those that the original leaves to somebody else are put on the first interface.
    pub fn place_rest(&mut self) {
        let mut rest: Vec<IpAddr> = Vec::new();
        for vip in &self.vips {
            if !self.placed.contains(vip) && !rest.contains(vip) {
                rest.push(*vip);
            }
        }
        let Some(first) = rest.first().copied() else { return };
        let name = self.interfaces.first().map_or_else(|| "eth0".to_owned(), |(name, _)| name.clone());
        for vip in &rest {
            let prefix = if vip.is_ipv4() { 32 } else { 128 };
            self.interface(&name, Some(&format!("{vip}/{prefix}")));
        }
        let text = format!(
            "{first}{} stood on an interface that somebody else configured: now on {name}, to which the box's own addresses belong, too",
            if rest.len() > 1 { " and other VIPs" } else { "" }
        );
        self.warn(1, text);
    }
}

fn section(out: &mut String, head: &str, table: &Table) {
    let _ = write!(out, "\n{head}\n");
    for (key, value) in &table.entries {
        let _ = writeln!(out, "{key} = {value}");
    }
}

/// A name that may stand in the file: of 1 to 64 letters, digits, `_`, `-` and `.`; with room for a number behind it.
#[must_use]
pub fn word(text: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') { c } else { '-' };
    let word: String = text.chars().map(fits).take(58).collect();
    if word.is_empty() { "unnamed".to_owned() } else { word }
}

/// A string as TOML writes it.
#[must_use]
pub fn quoted(text: &str) -> String {
    toml_edit::Value::from(text).to_string()
}

/// Strings as a list.
#[must_use]
pub fn list(items: &[String]) -> String {
    let items: Vec<String> = items.iter().map(|item| quoted(item)).collect();
    format!("[{}]", items.join(", "))
}

/// Seconds, also with a fraction, as a duration.
#[must_use]
pub fn seconds(number: f64) -> String {
    let milliseconds = (number * 1000.0).round();
    if milliseconds % 1000.0 == 0.0 {
        quoted(&format!("{}s", milliseconds / 1000.0))
    } else {
        quoted(&format!("{milliseconds}ms"))
    }
}

/// Whether a fallback means this box itself.
#[must_use]
pub fn is_here(address: &SocketAddr) -> bool {
    address.ip().is_loopback()
}
