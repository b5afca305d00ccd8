//! Connections that the twin knows survive a failover: by the kernel's synchronisation daemons, under DR.

use director::ipc::message::{Request, RouterOrder, RouterState};
use director::role::Role;
use director_lab::client::LongLived;
use director_lab::command;

use super::SERVICE;
use super::pair::{Director, PATIENCE, Pair, VIP, hindrance, until};

/// Connections held open through the failover.
const CONNECTIONS: usize = 100;
/// Questions on each before it, so that the third packet, with which a connection is told, has long gone by.
const QUESTIONS: usize = 4;

/// Connections that are older than the threshold, and who answers each.
struct Open(Vec<(LongLived, String)>);

impl Open {
    fn new(pair: &Pair, count: usize) -> Open {
        let open = |_| {
            let mut connection = LongLived::open(&pair.client, VIP).unwrap();
            let home = connection.ask().unwrap();
            (connection, home)
        };
        let mut open = Open((0..count).map(open).collect());
        (1..QUESTIONS).for_each(|_| open.expect_nearly_all("before anything happens"));
        open
    }

    /// How many go on, each with its server.
    fn count(&mut self) -> usize {
        self.0
            .iter_mut()
            .filter_map(|(connection, home)| Some(connection.ask().ok()? == *home))
            .filter(|same| *same)
            .count()
    }

    fn expect_nearly_all(&mut self, when: &str) {
        let (alive, all) = (self.count(), self.0.len());
        println!("{when}: {alive} of {all} connections go on, each with its server");
        assert!(alive * 100 >= all * 99, "{when}: {alive} of {all}");
    }
}

/// How many of the established connections a box knows.
fn known(director: &Director) -> usize {
    let table = director.host.namespace().run(|| command::output("cat", &["/proc/net/ip_vs_conn"]));
    table.unwrap().unwrap().matches("ESTABLISHED").count()
}

fn until_known(director: &Director, count: usize) {
    until("the twin knows nearly all of them", || known(director) * 100 >= count * 99);
    println!("{} knows {} of {count}", director.host.name(), known(director));
}

fn until_daemons_run(director: &Director) {
    until("both daemons run", || director.vrrp().sync.len() == 2);
    assert_eq!(director.vrrp().sync_problem, None);
    println!("{}: {:?}", director.host.name(), director.vrrp().sync);
}

#[test]
fn connections_survive_a_failover() {
    if let Some(why) = hindrance() {
        println!("skipped: {why}");
        return;
    }
    let pair = Pair::start(&format!("{SERVICE}\n[sync]\ninterface = \"eth0\"\nid = 7\n"));
    [&pair.master, &pair.backup].into_iter().for_each(until_daemons_run);
    let mut open = Open::new(&pair, CONNECTIONS);
    until_known(&pair.backup, CONNECTIONS);

    let order = Request::Router { order: RouterOrder::Failover, name: "VI_1".to_owned(), force: false };
    director::ipc::client::ask(&pair.master.run, Role::Vrrp, &order, PATIENCE).unwrap();
    until("lb2 is master", || pair.backup.router().state == RouterState::Master);
    open.expect_nearly_all("after an order to hand over");
}

/// The box that was without power comes back with an empty table, and takes back what has been told to it meanwhile.
#[test]
fn connections_survive_a_cut_of_the_power_and_the_return() {
    if let Some(why) = hindrance() {
        println!("skipped: {why}");
        return;
    }
    // A connection is told at every eighth packet, which is every fourth question; the rest is as delivered.
    let mut pair = Pair::start(&format!(
        "preempt_delay = \"40s\"\n{SERVICE}\n[sync]\ninterface = \"eth0\"\nid = 7\n\n[ipvs]\nsysctl = {{ sync_threshold = \"3 8\" }}\n"
    ));
    [&pair.master, &pair.backup].into_iter().for_each(until_daemons_run);
    let mut open = Open::new(&pair, CONNECTIONS);
    until_known(&pair.backup, CONNECTIONS);

    pair.cut_power();
    until("lb2 is master", || pair.backup.router().state == RouterState::Master);
    open.expect_nearly_all("after a cut of the power");

    pair.power_on();
    until("lb1 is backup", || pair.master.router().state == RouterState::Backup);
    until_daemons_run(&pair.master);
    assert_eq!(known(&pair.master), 0, "it was without power");
    let mut young = Open::new(&pair, 20);
    let (spoke, silent) = (CONNECTIONS * 9 / 10, CONNECTIONS / 10);
    let mut silent = Open(open.0.split_off(CONNECTIONS - silent));
    (0..=QUESTIONS).for_each(|_| open.expect_nearly_all("while lb1 listens"));
    until_known(&pair.master, spoke + 20);
    assert_eq!(
        pair.master.router().state,
        RouterState::Backup,
        "the preempt delay was too short for this machine"
    );

    until("lb1 is master again", || pair.master.router().state == RouterState::Master);
    until("lb2 is backup again", || pair.backup.router().state == RouterState::Backup);
    open.expect_nearly_all("given back");
    young.expect_nearly_all("opened before it was given back");
    // Nobody has told these, and the manual says so.
    println!("of {} that said nothing since, {} go on", silent.0.len(), silent.count());
}
