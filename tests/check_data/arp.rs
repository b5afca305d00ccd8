//! ARP and neighbour discovery on a segment of our own; SCTP where the kernel has it.

use std::sync::Arc;

use director::check::tls::Clients;
use director::check::{Outcome, Target, probe};
use director::config::model::{Check, CheckKind};
use director_lab::preflight;
use director_lab::segment::Segment;

use crate::ask::{ask, bad, block_on, free_port, good, local};

#[test]
fn a_neighbour_answers_and_nobody_else() {
    if let Err(why) = preflight::namespaces() {
        eprintln!("skipped: {why:#}");
        return;
    }
    let segment = Segment::new().unwrap();
    let [box_, server] = [("box", 1), ("server", 2)].map(|(name, n)| {
        let host = segment.host(name, &format!("10.7.0.{n}/24")).unwrap();
        host.address(&format!("2001:db8:7::{n}/64")).unwrap();
        host
    });
    box_.gateway("10.7.0.2".parse().unwrap()).unwrap();
    let ask_in_box = |address: &str, timeout_ms: u64| {
        let address = format!("{address}:0").parse().unwrap();
        box_.namespace()
            .run(move || {
                let target = Target::new(address, Arc::new(Check::new(CheckKind::Arp)));
                let clients = Clients::default();
                block_on(async {
                    let patience = std::time::Duration::from_millis(timeout_ms);
                    tokio::time::timeout(patience, probe::probe(&target, &clients)).await.ok()
                })
            })
            .unwrap()
    };
    let mac = server.namespace().ip("-br link show up type veth").unwrap();
    let mac = mac.split_whitespace().find(|word| word.contains(':')).unwrap().to_owned();
    assert_eq!(ask_in_box("10.7.0.2", 20_000), Some(good(format!("{mac} answers"))));
    assert_eq!(ask_in_box("[2001:db8:7::2]", 20_000), Some(good("answers")));
    assert_eq!(ask_in_box("10.7.0.1", 20_000), Some(good("an address of this box")));
    assert_eq!(ask_in_box("10.7.0.3", 300), None);
    assert_eq!(ask_in_box("[2001:db8:7::3]", 300), None);
    let routed = Outcome::Unreachable("not on a network of this box: packets go by a router".into());
    assert_eq!(ask_in_box("192.0.2.1", 20_000), Some(routed));
    let nowhere = Outcome::Unreachable("network unreachable".into());
    assert_eq!(ask_in_box("[2001:db8:8::1]", 20_000), Some(nowhere));
}

#[test]
fn sctp_says_where_the_kernel_has_it_not() {
    let outcome = ask(local(free_port()), CheckKind::Sctp);
    let missing = Outcome::Inconclusive("cannot ask: SCTP: not in this kernel".into());
    assert!(outcome == missing || outcome == bad("connection refused"), "{outcome:?}");
}
