//! How long nobody is master: two Directors and two keepalived on one segment of this host, killed and told in turns. Both
//! times are the kernel's, of frames on the wire, so that no scheduler of this program is in them.

pub mod pair;

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::table::{Measurement, OURS};
use director_lab::asker::{Asker, Tally};
use director_lab::capture::Capture;
use director_lab::preflight;
use director_lab::router::Program;
use director_lab::segment::{Host, Segment};
use pair::{Config, Order, Pair};

/// Name and length of each interval at which boxes are killed.
const INTERVALS: [(&str, Duration); 3] = [
    ("1s", Duration::from_secs(1)),
    ("100ms", Duration::from_millis(100)),
    ("20ms", Duration::from_millis(20)),
];
/// From question to question of the client.
const ASKS: Duration = Duration::from_millis(5);
/// How long it asks before a VIP is handed over, and afterwards: longer than anybody needs for that.
const BEFORE: Duration = Duration::from_millis(500);
const AFTER: Duration = Duration::from_millis(1500);

/// The other one's name in the table.
const THEIRS: &str = "keepalived";

/// The segment, and who watches it.
struct Bench {
    segment: Segment,
    client: Host,
    wire: Capture,
}

/// Kills and hands over, `rounds` times each.
///
/// # Errors
/// Namespaces cannot be made, or somebody does not become master.
pub fn run(director: &Path, rounds: u8) -> Result<Vec<Measurement>> {
    preflight::namespaces()?;
    let segment = Segment::new()?;
    let client = segment.host("client", "10.0.0.9/24")?;
    let wire = Capture::start(client.namespace())?;
    let bench = Bench { segment, client, wire };
    let hosts = |names: [&str; 2], first: u8| -> Result<[Host; 2]> {
        let host = |name, last| bench.segment.host(name, &format!("10.0.0.{last}/24"));
        Ok([host(names[0], first)?, host(names[1], first + 1)?])
    };
    let (ours, theirs) = (hosts(["d1", "d2"], 1)?, hosts(["k1", "k2"], 3)?);
    let program = Program::Director(director.to_owned());
    let mut found = Vec::new();
    for (name, interval) in INTERVALS {
        let config =
            |vrid, last| Config { vrid, vip: [10, 0, 0, last].into(), interval, ..Config::default() };
        let mut pairs = [
            (OURS, Pair::start(&ours, [&program, &program], config(51, 51), &bench.wire)?),
            (THEIRS, Pair::start(&theirs, [&Program::Keepalived; 2], config(52, 52), &bench.wire)?),
        ];
        for round in 0..rounds {
            for (who, pair) in &mut pairs {
                let measured = crash(pair, who, name, round)?;
                eprintln!("   {name}: kill {} of {rounds}: {who} {:.4} s", round + 1, measured[0].value);
                found.extend(measured);
            }
        }
        for (who, pair) in &pairs {
            let unwanted = pair.changes().saturating_sub(rounds.into());
            found.push(measured(&format!("unwanted-changes-{name}"), who, f64::from(unwanted), "x"));
        }
        if interval == INTERVALS[0].1 {
            for round in 0..rounds {
                for (who, pair) in &mut pairs {
                    let order = if *who == OURS { Order::Failover } else { Order::End };
                    let measured = bench.planned(pair, who, "planned", order, director)?;
                    eprintln!("   planned: {} of {rounds}: {who} {:.4} s", round + 1, measured[0].value);
                    found.extend(measured);
                }
            }
        }
    }
    found.extend(bench.to_keepalived(&[ours[0].clone(), theirs[0].clone()], &program, director, rounds)?);
    Ok(found)
}

/// The master dies: how long until the other one speaks, how much later that is than it has to be, and how soon afterwards the
/// segment is told.
fn crash(pair: &mut Pair, who: &str, name: &str, round: u8) -> Result<[Measurement; 3]> {
    // At another moment of the interval each time.
    let part = (f64::from(round) * 0.618_034).fract();
    let gap = pair.crash(part)?;
    let late = gap.until_spoken.as_secs_f64() - pair.config().formula().as_secs_f64();
    Ok([
        measured(&format!("crash-{name}"), who, gap.until_spoken.as_secs_f64(), "s"),
        measured(&format!("crash-{name}-late"), who, late, "s"),
        measured(&format!("crash-{name}-to-announced"), who, gap.until_announced.as_secs_f64(), "s"),
    ])
}

fn measured(what: &str, who: &str, value: f64, unit: &str) -> Measurement {
    Measurement { what: what.to_owned(), who: who.to_owned(), value, unit: unit.to_owned() }
}

impl Bench {
    /// A Director hands over to a keepalived, and takes back.
    fn to_keepalived(
        &self,
        hosts: &[Host; 2],
        program: &Program,
        director: &Path,
        rounds: u8,
    ) -> Result<Vec<Measurement>> {
        let config = Config { vrid: 53, vip: [10, 0, 0, 53].into(), preempt: true, ..Config::default() };
        let mut pair = Pair::start(hosts, [program, &Program::Keepalived], config, &self.wire)?;
        let mut found = Vec::new();
        for round in 0..rounds {
            eprintln!("   to keepalived: {} of {rounds}", round + 1);
            found.extend(self.planned(&mut pair, OURS, "to-keepalived", Order::Failover, director)?);
            pair.order(director, "release")?;
            pair.until_master(0)?;
        }
        Ok(found)
    }

    /// Mastership is handed over while a client asks.
    fn planned(
        &self,
        pair: &mut Pair,
        who: &str,
        name: &str,
        order: Order,
        director: &Path,
    ) -> Result<[Measurement; 3]> {
        let mark = self.wire.mark();
        let asker = Asker::start(&self.client, pair.config().vip, ASKS)?;
        std::thread::sleep(BEFORE);
        let gap = pair.hand_over(order, director)?;
        std::thread::sleep(AFTER);
        drop(asker);
        std::thread::sleep(BEFORE);
        let tally = Tally::of(&self.wire.frames(mark));
        ensure!(tally.asked > 0, "the client never asked");
        Ok([
            measured(name, who, gap.as_secs_f64(), "s"),
            measured(&format!("{name}-lost"), who, f64::from(tally.lost), "x"),
            measured(&format!("{name}-slowest-answer"), who, tally.slowest.as_secs_f64(), "s"),
        ])
    }
}
