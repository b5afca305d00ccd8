//! A virtual MAC address under load, and what each box shows of the other's table.

use std::time::Instant;

use director::ipc::message::{LvsSummary, PeerStatus, Request, RouterOrder, RouterState};
use director::role::Role;

use super::SERVICE;
use super::pair::{Director, PATIENCE, Pair, VIP, assert_unharmed, hindrance, until};

/// RFC 9568 section 7.3, of the virtual router 78.
const MAC: &str = "00:00:5e:00:01:4e";

/// The only other box, as `director` shows it.
fn other(director: &Director) -> Option<PeerStatus> {
    director.vrrp().peers.into_iter().next()
}

#[test]
fn the_virtual_address_moves_and_each_box_shows_the_table_of_the_other() {
    if let Some(why) = hindrance() {
        println!("skipped: {why}");
        return;
    }
    let mut pair = Pair::start(&format!("virtual_mac = \"all\"\n{SERVICE}"));
    let load = pair.load();
    let table = |director: &Director| other(director).and_then(|peer| peer.table);
    let up = |table: LvsSummary| (table.services, table.services_up, table.servers, table.servers_up);
    for (director, state) in [(&pair.master, RouterState::Backup), (&pair.backup, RouterState::Master)] {
        until("the whole table of the other is shown", || table(director).map(up) == Some((1, 1, 2, 2)));
        let shown = other(director).unwrap();
        assert_eq!((shown.routers[0].state, shown.same_configuration), (state, Some(true)), "{shown:?}");
    }
    // Connections go by the master, and the backup shows how many.
    until("connections are shown", || table(&pair.backup).is_some_and(|table| table.connections > 0));
    assert_eq!(table(&pair.master).unwrap().connections, 0, "the backup has none");

    let learnt = || pair.client.namespace().ip(&format!("neighbour show {}", VIP.ip())).unwrap();
    assert!(learnt().contains(MAC), "{}", learnt());
    let order = Request::Router { order: RouterOrder::Failover, name: "VI_1".to_owned(), force: false };
    let ordered = Instant::now();
    director::ipc::client::ask(&pair.master.run, Role::Vrrp, &order, PATIENCE).unwrap();
    until("lb2 is master", || pair.backup.router().state == RouterState::Master);
    let moved = Instant::now();
    load.wait(moved, PATIENCE, |report| report.samples.len() >= 40).unwrap();
    assert!(learnt().contains(MAC), "{}", learnt());
    // Without synchronisation what is under way ends with its director.
    let report = load.stop();
    let wrongly = report.lost().filter(|sample| sample.done < ordered || sample.asked > moved).count();
    assert!(wrongly == 0 && report.lost().count() <= 4, "the virtual address moved: {report}");
    assert_unharmed(&report.since(moved), "the virtual address moved");

    // A server that stops is seen from the other side, too.
    pair.servers[1].stop();
    for director in [&pair.master, &pair.backup] {
        until("a server less is shown", || table(director).is_some_and(|table| table.servers_up == 1));
    }
}
