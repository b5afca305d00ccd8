//! The cases. Who is compared takes turns; a new namespace for each life.

use std::process::Stdio;
use std::time::{Duration, Instant};

use director_lab::process::{self, Memory};

use super::peers::{Peer, Running};
use super::place::{Place, bare};
use super::raw;
use super::table::{SERVERS, Table};

/// Seconds between two checks of a server where all are checked: keepalived bears no more here.
const CHECK_INTERVAL: u32 = 30;
const BOTH: [Peer; 2] = [Peer::Director, Peer::Keepalived];

fn measured(what: &str, who: &str, time: Duration) {
    println!("measured {what} {who} {:.6} s", time.as_secs_f64());
}

fn counted(what: &str, who: &str, number: usize) {
    println!("measured {what} {who} {number} x");
}

/// From one file into an empty kernel.
pub fn first_write(rounds: usize) {
    let table = Table::LARGE;
    for _ in 0..rounds {
        for peer in BOTH {
            let mut place = Place::new();
            let begun = Instant::now();
            let running = Running::start(peer, &place, table);
            let first = place.until_service(begun, table.id(0), |_| true);
            let full = until_full(&mut place, begun, table);
            measured("file-to-table", peer.name(), full);
            measured("first-to-last", peer.name(), full - first);
            if peer == Peer::Director {
                measured("write-alone", peer.name(), logged_write(&running.log(), table.objects()));
            }
        }
        let place = Place::new();
        let commands = table.commands();
        let raw = place.namespace().run(move || raw::write(&commands)).unwrap();
        measured("write-alone", "raw-netlink", raw);
        let mut place = Place::new();
        measured("file-to-table", "ipvsadm-R", restore(&place, table));
        assert_eq!(place.objects(), table.objects());
    }
}

/// One weight of all.
pub fn reload_weight(rounds: usize) {
    let table = Table { check: Some(CHECK_INTERVAL), ..Table::LARGE };
    for round in 0..rounds {
        for peer in BOTH {
            let mut place = Place::new();
            let running = Running::start(peer, &place, table);
            until_full(&mut place, Instant::now(), table);
            settle(&running, peer);
            let before = bare(&place.table());
            let (edits, done) =
                (running.log().matches("table changed:").count(), running.log().matches(CARRIED_OUT).count());
            let weight = 7 + u32::try_from(round).unwrap();
            let begun = running.reload(Table { odd_weight: weight, ..table });
            let fits = |servers: &[director::ipvs::ServerEntry]| {
                servers.iter().any(|server| server.server.weight == weight)
            };
            let took = place.until_servers(begun, table.id(table.middle()), fits);
            measured("reload-weight", peer.name(), took);
            // Whoever deletes and adds, or is not done yet, shows it here.
            let after = bare(&place.table());
            let changed = before.lines().zip(after.lines()).filter(|(old, new)| old != new).count();
            counted(
                "lines-changed",
                peer.name(),
                changed + before.lines().count().abs_diff(after.lines().count()),
            );
            if peer == Peer::Director {
                let log = running.log();
                let told = log.lines().filter(|line| line.contains("table changed:")).skip(edits);
                let told: Vec<&str> = told.collect();
                let edit =
                    |line: &&str| line.contains("edit server") && line.contains(&format!("weight={weight}"));
                assert!(told.iter().any(edit), "{told:?}");
                running.until_logged(begun, CARRIED_OUT, done);
                let log = running.log();
                let sent = log
                    .lines()
                    .rev()
                    .find_map(|line| line.split_once(CARRIED_OUT)?.1.split_once("commands="));
                counted("commands-sent", peer.name(), sent.unwrap().1.parse().unwrap());
            }
        }
    }
}

/// The scheduler of every service.
pub fn reload_schedulers(rounds: usize) {
    let table = Table::LARGE;
    for _ in 0..rounds {
        for peer in BOTH {
            let mut place = Place::new();
            let running = Running::start(peer, &place, table);
            until_full(&mut place, Instant::now(), table);
            settle(&running, peer);
            let begun = running.reload(Table { scheduler: "rr", ..table });
            let fits = |entry: &director::ipvs::ServiceEntry| entry.service.scheduler.as_str() == "rr";
            let took = place.until_service(begun, table.id(table.services - 1), fits);
            measured("reload-schedulers", peer.name(), took);
            let done = place.table();
            assert!(peer != Peer::Director || done.iter().all(fits), "not all were changed");
            let left = done.iter().filter(|entry| fits(entry)).map(|entry| entry.servers.len()).sum();
            counted("servers-behind-new-scheduler", peer.name(), left);
        }
    }
}

/// Stop and start, and for us the crash of the one worker.
pub fn restart(rounds: usize) {
    let table = Table::LARGE;
    for _ in 0..rounds {
        for peer in BOTH {
            let mut place = Place::new();
            let running = Running::start(peer, &place, table);
            until_full(&mut place, Instant::now(), table);
            settle(&running, peer);
            let before = bare(&place.table());
            if peer == Peer::Director {
                crash(&running);
                assert_eq!(bare(&place.table()), before, "a crash changes nothing");
            }
            let adopted = running.log().matches(ADOPTED).count();
            let (stopped, folder) = running.stop();
            measured("stop", peer.name(), stopped);
            let left = place.objects();
            counted("objects-after-stop", peer.name(), left);
            let begun = Instant::now();
            let running = Running::start_in(peer, &place, table, folder);
            if peer == Peer::Director {
                measured("start-to-adopted", peer.name(), running.until_logged(begun, ADOPTED, adopted));
                settle(&running, peer);
                assert_eq!(bare(&place.table()), before, "stop and start change nothing");
            } else {
                measured("start-to-adopted", peer.name(), until_full(&mut place, begun, table));
            }
        }
    }
}

/// What `lvs` says when it has compared the kernel's table with the file for the first time.
const ADOPTED: &str = "table adopted:";
/// What it says when a changed file is in the table, and with how many commands.
const CARRIED_OUT: &str = "configuration carried out:";

/// Kills the worker, and waits until the next one knows the table.
fn crash(running: &Running) {
    let lvs = running.processes().into_iter().find(|process| process::was_called_with(*process, "lvs"));
    let before = running.log().matches(ADOPTED).count();
    let begun = Instant::now();
    director_lab::command::output("kill", &["-KILL".to_owned(), lvs.unwrap().to_string()]).unwrap();
    measured("crash-to-adopted", Peer::Director.name(), running.until_logged(begun, ADOPTED, before));
}

/// Resident memory of all processes of a program, with ten servers and with ten thousand.
pub fn memory(rounds: usize) {
    let large = Table { check: Some(CHECK_INTERVAL), ..Table::LARGE };
    for _ in 0..rounds.min(1) {
        for (words, table) in [("idle", Table { services: 1, ..large }), ("large", large)] {
            for peer in BOTH {
                let mut place = Place::new();
                let running = Running::start(peer, &place, table);
                until_full(&mut place, Instant::now(), table);
                settle(&running, peer);
                let Memory { whole, anonymous } = running
                    .processes()
                    .into_iter()
                    .map(process::memory)
                    .fold(Memory::default(), |sum, one| sum + one);
                println!("measured resident-{words} {} {:.2} MB", peer.name(), whole as f64 / 1024.0);
                println!("measured anonymous-{words} {} {:.2} MB", peer.name(), anonymous as f64 / 1024.0);
            }
        }
    }
}

/// Processor time for a TCP check, of the programs alone.
pub fn check_cost(rounds: usize) {
    let table = Table { services: 100, check: Some(5), ..Table::LARGE };
    for _ in 0..rounds {
        for peer in BOTH {
            let mut place = Place::new();
            let running = Running::start(peer, &place, table);
            until_full(&mut place, Instant::now(), table);
            settle(&running, peer);
            let (time, checks) = (processor_time(&running), place.accepted());
            std::thread::sleep(Duration::from_secs(20));
            let checks = u32::try_from(place.accepted() - checks).unwrap();
            measured("processor-for-a-check", peer.name(), (processor_time(&running) - time) / checks.max(1));
            counted("checks-in-20s", peer.name(), usize::try_from(checks).unwrap());
        }
    }
}

/// Waits until everything is in the table. Returns how long that took since `begun`.
fn until_full(place: &mut Place, begun: Instant, table: Table) -> Duration {
    let last = table.id(table.services - 1);
    let mut took = place.until_servers(begun, last, |servers| servers.len() == usize::from(SERVERS));
    // With checks the last to be entered is whoever answered last.
    while place.objects() < table.objects() {
        assert!(begun.elapsed() < super::place::PATIENCE, "{} objects", place.objects());
        std::thread::sleep(Duration::from_millis(50));
        took = begun.elapsed();
    }
    assert_eq!(place.objects(), table.objects());
    took
}

/// Waits until nobody computes any more what the start has caused.
fn settle(running: &Running, peer: Peer) {
    let begun = Instant::now();
    let patience = if peer == Peer::Director { 20 } else { 60 };
    let mut before = processor_time(running);
    while begun.elapsed() < Duration::from_secs(patience) {
        std::thread::sleep(Duration::from_secs(1));
        let now = processor_time(running);
        // Half of the processor is what checks may take.
        if now.saturating_sub(before) < Duration::from_millis(500) {
            return;
        }
        before = now;
    }
}

/// Of all its processes.
fn processor_time(running: &Running) -> Duration {
    running.processes().into_iter().map(process::processor_time).sum()
}

fn restore(place: &Place, table: Table) -> Duration {
    let script = table.ipvsadm();
    let run = move || {
        let begun = Instant::now();
        let mut child =
            std::process::Command::new("ipvsadm").arg("-R").stdin(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), script.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
        begun.elapsed()
    };
    place.namespace().run(run).unwrap()
}

/// What the worker itself says of its first write.
fn logged_write(log: &str, objects: usize) -> Duration {
    let words = format!("table changed: commands={objects} refused=0 time_us=");
    let after = log.split(&words).nth(1).unwrap_or_else(|| panic!("no {words:?} in {log}"));
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    Duration::from_micros(digits.parse().unwrap())
}
