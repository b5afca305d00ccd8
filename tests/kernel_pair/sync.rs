//! Connections that the twin knows survive a failover: by the kernel's synchronisation daemons, under DR.

use director::ipc::message::{Request, RouterOrder, RouterState};
use director::role::Role;
use director_lab::client::LongLived;
use director_lab::command;

use super::SERVICE;
use super::pair::{Pair, VIP, hindrance, until};

/// Connections held open through the failover.
const CONNECTIONS: usize = 100;
/// Questions on each before it, so that the third packet, with which a connection is told, has long gone by.
const QUESTIONS: usize = 4;

#[test]
fn connections_survive_a_failover() {
    if let Some(why) = hindrance() {
        println!("skipped: {why}");
        return;
    }
    let pair = Pair::start(&format!("{SERVICE}\n[sync]\ninterface = \"eth0\"\nid = 7\n"));
    for director in [&pair.master, &pair.backup] {
        until("both daemons run", || director.vrrp().sync.len() == 2);
        assert_eq!(director.vrrp().sync_problem, None);
        println!("{}: {:?}", director.host.name(), director.vrrp().sync);
    }
    let mut connections: Vec<LongLived> =
        (0..CONNECTIONS).map(|_| LongLived::open(&pair.client, VIP).unwrap()).collect();
    let homes: Vec<String> = connections.iter_mut().map(|connection| connection.ask().unwrap()).collect();
    for connection in &mut connections {
        for _ in 1..QUESTIONS {
            connection.ask().unwrap();
        }
    }
    let established = || {
        let table = pair.backup.host.namespace().run(|| command::output("cat", &["/proc/net/ip_vs_conn"]));
        table.unwrap().unwrap().matches("ESTABLISHED").count()
    };
    until("the twin knows nearly all of them", || established() * 100 >= CONNECTIONS * 99);
    println!("the twin knows {} of {CONNECTIONS}", established());

    let order = Request::Router { order: RouterOrder::Failover, name: "VI_1".to_owned(), force: false };
    director::ipc::client::ask(&pair.master.run, Role::Vrrp, &order, super::pair::PATIENCE).unwrap();
    until("lb2 is master", || pair.backup.router().state == RouterState::Master);
    let answers: Vec<_> = connections.iter_mut().map(LongLived::ask).collect();
    let alive =
        answers.iter().zip(&homes).filter(|(answer, home)| answer.as_ref().is_ok_and(|now| now == *home));
    let alive = alive.count();
    println!("{alive} of {CONNECTIONS} connections go on, each with its server");
    assert!(alive * 100 >= CONNECTIONS * 99, "{alive} of {CONNECTIONS}");
}
