//! The kernel's table as lines for people. Pure.

use super::number::Digits;
use super::view::{Persistence, Server, Service, Table, Traffic};

/// A row: a heading over the whole width, or cells.
enum Row {
    Heading(String),
    Cells(Vec<String>),
}

/// Services, their servers, and what they counted.
#[must_use]
pub fn services(table: &Table, digits: Digits) -> String {
    let limited =
        table.services.iter().flat_map(|service| &service.servers).any(|server| server.max_connections > 0);
    let mut head = ["", "method", "weight", "active", "inactive", "persistent"].map(str::to_owned).to_vec();
    if limited {
        head.push("limits".to_owned());
    }
    head.extend(["conns", "pkts in", "pkts out", "bytes in", "bytes out"].map(str::to_owned));
    let mut rows = vec![Row::Cells(head)];
    for service in &table.services {
        rows.push(Row::Heading(title(service)));
        for server in &service.servers {
            let mut cells = vec![
                format!("  {}", server.address),
                method(server),
                server.weight.to_string(),
                digits.write(server.active.into()),
                digits.write(server.inactive.into()),
                digits.write(server.persistent.into()),
            ];
            if limited {
                cells.push(limits(server));
            }
            cells.extend(traffic(&server.counters, digits));
            rows.push(Row::Cells(cells));
        }
        rows.push(Row::Cells(total(service, limited, digits)));
    }
    written(table, &rows)
}

/// What comes each second.
#[must_use]
pub fn rates(table: &Table, digits: Digits) -> String {
    let head = ["", "method", "conns/s", "pkts in/s", "pkts out/s", "bytes in/s", "bytes out/s"];
    let mut rows = vec![Row::Cells(head.map(str::to_owned).to_vec())];
    for service in &table.services {
        rows.push(Row::Heading(title(service)));
        for server in &service.servers {
            let mut cells = vec![format!("  {}", server.address), method(server)];
            cells.extend(traffic(&server.rates, digits));
            rows.push(Row::Cells(cells));
        }
        let mut cells = vec!["  all".to_owned(), String::new()];
        cells.extend(traffic(&service.rates, digits));
        rows.push(Row::Cells(cells));
    }
    written(table, &rows)
}

/// `web  tcp 192.168.61.45:80  wlc  persistent 50s by /24`.
#[must_use]
pub fn title(service: &Service) -> String {
    let mut words = Vec::from([service.name.clone().unwrap_or_else(|| "(not in the file)".to_owned())]);
    let protocol = service.protocol.as_ref().map(|protocol| format!("{protocol} ")).unwrap_or_default();
    words.push(format!("{protocol}{}", service.listen));
    words.push(service.scheduler.clone());
    words.extend(service.scheduler_flags.iter().map(|flag| format!("flag-{flag}")));
    if service.one_packet {
        words.push("one packet".to_owned());
    }
    if let Some(Persistence { timeout_s, prefix, engine }) = &service.persistence {
        let engine = engine.as_ref().map(|engine| format!(" and {engine}")).unwrap_or_default();
        words.push(format!("persistent {timeout_s}s by /{prefix}{engine}"));
    }
    words.join("  ")
}

fn total(service: &Service, limited: bool, digits: Digits) -> Vec<String> {
    let sum =
        |count: fn(&Server) -> u32| digits.write(service.servers.iter().map(|s| u64::from(count(s))).sum());
    let mut cells = vec!["  all".to_owned(), String::new(), String::new()];
    cells.extend([sum(|s| s.active), sum(|s| s.inactive), sum(|s| s.persistent)]);
    if limited {
        cells.push(String::new());
    }
    cells.extend(traffic(&service.counters, digits));
    cells
}

fn traffic(traffic: &Traffic, digits: Digits) -> [String; 5] {
    [
        digits.write(traffic.connections),
        digits.write(traffic.packets_in),
        digits.write_seen(traffic.packets_out),
        digits.write(traffic.bytes_in),
        digits.write_seen(traffic.bytes_out),
    ]
}

fn method(server: &Server) -> String {
    match &server.tunnel {
        Some(tunnel) => format!("{} {tunnel}", server.method),
        None => server.method.clone(),
    }
}

fn limits(server: &Server) -> String {
    if server.max_connections == 0 {
        "-".to_owned()
    } else {
        format!("{}/{}", server.max_connections, server.min_connections)
    }
}

fn written(table: &Table, rows: &[Row]) -> String {
    if table.services.is_empty() {
        return "the table has no service\n".to_owned();
    }
    aligned(rows)
}

/// Names and methods begin together, numbers end together; two spaces between columns.
fn aligned(rows: &[Row]) -> String {
    const WORDS: usize = 2;
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        let Row::Cells(cells) = row else { continue };
        widths.resize(widths.len().max(cells.len()), 0);
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    for row in rows {
        let line = match row {
            Row::Heading(text) => text.clone(),
            Row::Cells(cells) => {
                let padded = cells.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
                    if column < WORDS { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
                });
                padded.collect::<Vec<_>>().join("  ")
            }
        };
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}
