//! Reads the kernel, and writes what it says to the terminal.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, IsTerminal, Write};
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::book::Book;
use super::listing::{self, Count, Filter, Owners};
use super::options::Options;
use super::text;
use super::view::{self, Table};
use crate::config::active;
use crate::ctl::status::table;
use crate::ctl::{Error, complain, gone, print, put};
use crate::ipvs::connections::{Connection, LIST};
use crate::ipvs::{Client, ServiceEntry, ServiceId};
use crate::lvs::ways::is_way;

/// 0 where the kernel estimates no rates.
const ESTIMATES: &str = "/proc/sys/net/ipv4/vs/run_estimation";
/// How long is measured where it does not.
const MEASURED: Duration = Duration::from_secs(1);
/// Lines of a list by which the widths of its columns are chosen.
const SAMPLE: usize = 512;

/// `director ipvs services`.
pub(super) fn services(options: &Options) -> Result<ExitCode, Error> {
    let book = book(options);
    let table = Table::of(read(&mut Client::connect().map_err(Error::failed)?, options, &book)?, &book);
    print(&if options.json { json(&table)? } else { text::services(&table, options.digits) })
}

/// `director ipvs rates`.
pub(super) fn rates(options: &Options) -> Result<ExitCode, Error> {
    let book = book(options);
    let mut client = Client::connect().map_err(Error::failed)?;
    let (mut at, mut last) = (Instant::now(), read(&mut client, options, &book)?);
    let estimated = std::fs::read_to_string(ESTIMATES).is_ok_and(|text| text.trim() != "0");
    let Some(period) = options.watch else {
        if !estimated {
            std::thread::sleep(MEASURED);
            let mut now = read(&mut client, options, &book)?;
            view::measure(&last, &mut now, at.elapsed());
            last = now;
        }
        let table = Table::of(last, &book);
        return print(&if options.json { json(&table)? } else { text::rates(&table, options.digits) });
    };
    let clear = !options.json && std::io::stdout().is_terminal();
    loop {
        std::thread::sleep(period);
        let (now, mut entries) = (Instant::now(), read(&mut client, options, &book)?);
        let unmeasured = entries.clone();
        view::measure(&last, &mut entries, now.duration_since(at));
        (at, last) = (now, unmeasured);
        let table = Table::of(entries, &book);
        let shown = match options.json {
            true => serde_json::to_string(&table).map_err(Error::failed)? + "\n",
            // Cursor home, erase to the end: as little flicker as a plain terminal allows.
            false if clear => format!("\x1b[H\x1b[J{}", text::rates(&table, options.digits)),
            false => format!("{}\n", text::rates(&table, options.digits)),
        };
        if put(&shown)?.is_break() {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// `director ipvs connections`.
pub(super) fn connections(options: &Options) -> Result<ExitCode, Error> {
    let book = book(options);
    let mut client = Client::connect().map_err(Error::failed)?;
    let mut known = Vec::new();
    for entry in client.services().map_err(Error::failed)? {
        let servers = match entry.id {
            ServiceId::Fwmark { .. } => client.servers(&entry.id).map_err(Error::failed)?,
            ServiceId::Address { .. } => Vec::new(),
        };
        known.push((entry.id, servers.iter().map(|server| server.address).collect::<Vec<SocketAddr>>()));
    }
    let ids: Vec<ServiceId> = known.iter().map(|(id, _)| *id).collect();
    let services = match &options.service {
        Some(word) => Some(book.select(word, &ids).map_err(Error::Failed)?),
        None => None,
    };
    let (server, client, state) = (options.server, options.client, options.state.clone());
    let filter = Filter { services, server, client, state };
    let owners = Owners::new(known);
    if options.count {
        let mut count = Count::default();
        each(&owners, &filter, |connection, owner| {
            count.add(connection, owner);
            Ok(ControlFlow::Continue(()))
        })?;
        return print(&if options.json { count.json(&book) } else { count.text(&book, options.digits) });
    }
    let mut list = List::new(options.json);
    each(&owners, &filter, |connection, owner| match options.json {
        true => list.write(&listing::json_line(connection, owner, &book)),
        false => list.row(listing::cells(connection, owner, &book)),
    })?;
    list.finish()?;
    Ok(ExitCode::SUCCESS)
}

/// `director ipvs timeouts`.
pub(super) fn timeouts(options: &Options) -> Result<ExitCode, Error> {
    let mut client = Client::connect().map_err(Error::failed)?;
    let timeouts = client.timeouts().map_err(Error::failed)?;
    let info = client.info().map_err(Error::failed)?;
    let [_, major, minor, patch] = info.version.to_be_bytes();
    let version = format!("{major}.{minor}.{patch}");
    if options.json {
        return print(&json(&serde_json::json!({
            "version": view::VERSION,
            "tcp_s": timeouts.tcp,
            "tcp_fin_s": timeouts.tcp_fin,
            "udp_s": timeouts.udp,
            "connection_buckets": info.connection_buckets,
            "ipvs_version": version,
        }))?);
    }
    let rows = [
        ("tcp", format!("{} s", timeouts.tcp), "an established connection without a packet"),
        ("tcp_fin", format!("{} s", timeouts.tcp_fin), "a connection after a FIN"),
        ("udp", format!("{} s", timeouts.udp), "a flow without a packet"),
        ("table", info.connection_buckets.to_string(), "buckets for connections"),
        ("ipvs", version, "version"),
    ];
    let rows = rows.map(|(name, value, what)| vec![name.to_owned(), value, what.to_owned()]);
    print(&table(rows.to_vec()).iter().flat_map(|line| [line.as_str(), "\n"]).collect::<String>())
}

/// `director ipvs zero`.
pub(super) fn zero(options: &Options) -> Result<ExitCode, Error> {
    let mut client = Client::connect().map_err(Error::failed)?;
    let Some(word) = &options.service else {
        client.zero(None).map_err(Error::failed)?;
        return Ok(ExitCode::SUCCESS);
    };
    let table = client.services().map_err(Error::failed)?;
    let ids: Vec<ServiceId> = table.iter().map(|entry| entry.id).collect();
    for id in book(options).select(word, &ids).map_err(Error::Failed)? {
        client.zero(Some(&id)).map_err(Error::failed)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The names of the configuration in force. The kernel can be looked at without them.
fn book(options: &Options) -> Book {
    match active(&options.run_dir) {
        Ok(Some(current)) => Book::of(&current.checked.config),
        Ok(None) => Book::default(),
        Err(error) => {
            complain(&format!("director: services without names: {error}"));
            Book::default()
        }
    }
}

/// The table, or those of it that were asked for.
fn read(client: &mut Client, options: &Options, book: &Book) -> Result<Vec<ServiceEntry>, Error> {
    let Some(word) = &options.service else {
        let mut table = client.table().map_err(Error::failed)?;
        // Those of probes belong to no service of the file.
        table.retain(|entry| !is_way(&entry.id));
        return Ok(table);
    };
    let mut services = client.services().map_err(Error::failed)?;
    let ids: Vec<ServiceId> = services.iter().map(|entry| entry.id).collect();
    let meant = book.select(word, &ids).map_err(Error::Failed)?;
    services.retain(|entry| meant.contains(&entry.id));
    for entry in &mut services {
        entry.servers = client.servers(&entry.id).map_err(Error::failed)?;
    }
    Ok(services)
}

/// Calls `work` with each connection that is meant, as the kernel lists them.
fn each(
    owners: &Owners,
    filter: &Filter,
    mut work: impl FnMut(&Connection<'_>, Option<ServiceId>) -> Result<ControlFlow<()>, Error>,
) -> Result<(), Error> {
    let failed = |error| Error::Failed(format!("cannot read connections: {LIST}: {error}"));
    let mut reader = BufReader::new(File::open(LIST).map_err(failed)?);
    let mut line = String::new();
    while reader.read_line(&mut line).map_err(failed)? > 0 {
        if let Some(connection) = Connection::parse(line.trim_end()) {
            let owner = owners.of(&connection);
            if filter.takes(&connection, owner) && work(&connection, owner)?.is_break() {
                return Ok(());
            }
        }
        line.clear();
    }
    Ok(())
}

/// A list of any length: the widths of its columns are those of its first lines.
struct List {
    out: BufWriter<std::io::Stdout>,
    sample: Vec<Vec<String>>,
    widths: Option<Vec<usize>>,
}

impl List {
    fn new(bare: bool) -> Self {
        let sample = if bare { Vec::new() } else { vec![listing::head()] };
        Self { out: BufWriter::new(std::io::stdout()), sample, widths: None }
    }

    fn row(&mut self, cells: Vec<String>) -> Result<ControlFlow<()>, Error> {
        if let Some(widths) = &self.widths {
            let line = padded(&cells, widths);
            return self.write(&line);
        }
        self.sample.push(cells);
        if self.sample.len() < SAMPLE { Ok(ControlFlow::Continue(())) } else { self.release() }
    }

    fn release(&mut self) -> Result<ControlFlow<()>, Error> {
        let mut widths = Vec::new();
        for row in &self.sample {
            widths.resize(widths.len().max(row.len()), 0);
            widths.iter_mut().zip(row).for_each(|(width, cell)| *width = cell.len().max(*width));
        }
        let text: String = self.sample.drain(..).map(|row| padded(&row, &widths)).collect();
        self.widths = Some(widths);
        self.write(&text)
    }

    fn write(&mut self, text: &str) -> Result<ControlFlow<()>, Error> {
        gone(self.out.write_all(text.as_bytes()))
    }

    fn finish(mut self) -> Result<(), Error> {
        if !self.sample.is_empty() && self.release()?.is_break() {
            return Ok(());
        }
        gone(self.out.flush()).map(drop)
    }
}

fn padded(cells: &[String], widths: &[usize]) -> String {
    let cells: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
    format!("{}\n", cells.join("  ").trim_end())
}

fn json(value: &impl serde::Serialize) -> Result<String, Error> {
    serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(Error::failed)
}
