//! The VIPs of both change, one after the other, as an operator does it: the lists differ for a while, and nothing splits on
//! Director's side.

use std::time::Duration;

use director::ipc::message::RouterState;
use director_lab::segment::Segment;

use super::director::{Director, file};
use super::keepalived::Keepalived;
use super::skip;

const PATIENCE: Duration = Duration::from_secs(15);
const BEFORE: [&str; 2] = ["10.0.0.45", "10.0.0.46"];
const AFTER: [&str; 3] = ["10.0.0.45", "10.0.0.47", "10.0.0.48"];

fn ours(priority: u8, vips: &[&str]) -> String {
    let router = format!(
        "[[vrrp]]\nname = \"VI_1\"\ninterface = \"eth0\"\nvrid = 51\npriority = {priority}\ninterval = \"200ms\"\n\
         checksum = \"pseudo-header\"\naddresses = [\"{}\"]\n",
        vips.join("\", \"")
    );
    file("10.0.0.1/24", &router)
}

fn theirs(priority: u8, vips: &[&str]) -> String {
    format!(
        "vrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 51\n priority {priority}\n version 3\n advert_int 0.2\n \
         virtual_ipaddress {{\n {}\n }}\n}}\n",
        vips.join("\n ")
    )
}

fn pair(director: u8, keepalived: u8) -> (Segment, Director, Keepalived) {
    let segment = Segment::new().unwrap();
    let one = segment.host("director", "10.0.0.1/24").unwrap();
    let two = segment.host("keepalived", "10.0.0.2/24").unwrap();
    let director = Director::new(&one, &ours(director, &BEFORE));
    let keepalived = Keepalived::new(&two, &theirs(keepalived, &BEFORE));
    (segment, director, keepalived)
}

/// Longer than a backup waits.
fn pass() {
    std::thread::sleep(Duration::from_millis(1500));
}

#[test]
fn a_backup_stays_backup_whatever_the_master_lists() {
    if skip() {
        return;
    }
    let (_segment, mut director, mut keepalived) = pair(100, 200);
    keepalived.start();
    keepalived.wait_for("MASTER", 0, PATIENCE);
    director.start();
    director.wait_until("listening", PATIENCE, |status| status.master_priority == Some(200));
    let (mark, quiet) = (director.log.mark(), keepalived.log.mark());
    keepalived.reload(&theirs(200, &AFTER));
    director.log.wait("addresses differ", mark, PATIENCE);
    pass();
    assert_eq!(director.state(), RouterState::Backup);
    assert!(director.status()[0].counters["addr_list_err"] > 1);
    director.configure(&ours(100, &AFTER));
    director.log.wait("generation=2", mark, PATIENCE);
    pass();
    let heard = director.status()[0].counters["addr_list_err"];
    pass();
    assert_eq!(director.status()[0].counters["addr_list_err"], heard, "the lists agree again");
    assert_eq!(director.log.count("state=", mark), 0, "{}", director.log.text());
    assert_eq!(keepalived.log.count("Entering BACKUP", quiet), 0, "{}", keepalived.log.text());
    assert!(AFTER.iter().all(|vip| keepalived.has(vip) && !director.has(vip)));
}

/// Keepalived drops what lists other VIPs than its own, and makes itself master until its own file is changed; that is its
/// fault and passes. Director stays master throughout, with its VIPs.
#[test]
fn a_master_stays_master_whatever_the_backup_makes_of_it() {
    if skip() {
        return;
    }
    let (_segment, mut director, mut keepalived) = pair(200, 100);
    director.start();
    director.wait_for("master", 0, PATIENCE);
    keepalived.start();
    pass();
    let mark = director.log.mark();
    director.configure(&ours(200, &AFTER));
    director.log.wait("generation=2", mark, PATIENCE);
    pass();
    director.holds(&AFTER, &["10.0.0.46"]);
    keepalived.reload(&theirs(100, &AFTER));
    pass();
    pass();
    director.holds(&AFTER, &["10.0.0.46"]);
    assert_eq!(director.state(), RouterState::Master);
    assert_eq!(director.log.count("state=", mark), 0, "{}", director.log.text());
    assert!(!AFTER.iter().any(|vip| keepalived.has(vip)), "{}", keepalived.log.text());
}
