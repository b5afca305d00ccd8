//! Two masters of equal priority, because the path between them was broken: when it is whole again, the greater address stays
//! (RFC 9568 section 6.4.3), whoever has it.

use std::time::Duration;

use director::ipc::message::RouterState;
use director_lab::segment::Segment;

use super::director::{Director, file};
use super::keepalived::Keepalived;
use super::skip;

const PATIENCE: Duration = Duration::from_secs(15);
const KEEPALIVED: &str = "vrrp_instance VI_1 {\n interface eth0\n virtual_router_id 51\n priority 100\n version 3\n \
                          advert_int 0.2\n virtual_ipaddress {\n 10.0.0.45\n }\n}\n";

fn meet(address: &str, stays: bool) {
    if skip() {
        return;
    }
    let segment = Segment::new().unwrap();
    let ours = segment.host("director", address).unwrap();
    let theirs = segment.host("keepalived", "10.0.0.2/24").unwrap();
    let router = "[[vrrp]]\nname = \"VI_1\"\ninterface = \"eth0\"\nvrid = 51\npriority = 100\ninterval = \"200ms\"\n\
                  checksum = \"pseudo-header\"\naddresses = [\"10.0.0.45\"]\n";
    let mut director = Director::new(&ours, &file(address, router));
    let mut keepalived = Keepalived::new(&theirs, KEEPALIVED);
    let path = |whole: bool| {
        let to = if whole { "master br0" } else { "nomaster" };
        segment.namespace().ip(&format!("link set {} {to}", ours.port())).unwrap();
    };
    path(false);
    director.start();
    keepalived.start();
    director.wait_for("master", 0, PATIENCE);
    keepalived.wait_for("MASTER", 0, PATIENCE);
    let (mark, quiet) = (director.log.mark(), keepalived.log.mark());
    path(true);
    if stays {
        keepalived.wait_for("BACKUP", quiet, PATIENCE);
    } else {
        director.wait_for("backup", mark, PATIENCE);
    }
    // Five times as long as a backup waits: it stays so.
    std::thread::sleep(Duration::from_secs(3));
    let expected = if stays { RouterState::Master } else { RouterState::Backup };
    assert_eq!(director.state(), expected, "{}", director.log.text());
    assert_eq!((director.has("10.0.0.45"), keepalived.has("10.0.0.45")), (stays, !stays));
    assert_eq!(director.log.count("state=", mark), usize::from(!stays), "{}", director.log.text());
    assert_eq!(keepalived.log.count("STATE", quiet), usize::from(stays), "{}", keepalived.log.text());
    director.assert_content();
    keepalived.assert_content();
}

#[test]
fn the_greater_address_stays_when_it_is_directors() {
    meet("10.0.0.3/24", true);
}

#[test]
fn the_greater_address_stays_when_it_is_keepaliveds() {
    meet("10.0.0.1/24", false);
}
