use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::config::model::{Check, CheckKind, Dialogue, Method, ServiceKey};
use crate::units::Weight;
use Health::{Down, Unknown, Up};

fn server(address: &str, weight: i64) -> model::Server {
    let check = Check::new(CheckKind::Tcp(Dialogue::default()));
    model::Server {
        weight: Weight::try_from(weight).unwrap(),
        checks: vec![Arc::new(check)],
        ..model::Server::new(address.parse().unwrap(), Method::Dr)
    }
}

/// Two servers, weights 1 and 2, quorum 1, TCP check.
fn web() -> model::Service {
    let listen = Listen::Address("192.0.2.1:80".parse().unwrap());
    let key = ServiceKey { listen, protocol: Some(Protocol::Tcp) };
    model::Service {
        servers: vec![server("10.0.0.1:80", 1), server("10.0.0.2:80", 2)],
        ..model::Service::new("web", key)
    }
}

fn with_sorry(sorry: Sorry) -> model::Service {
    model::Service { sorry, ..web() }
}

fn sorry_server() -> Sorry {
    Sorry::Servers(vec![server("10.0.0.9:80", 1)])
}

/// The servers of an outlook as `"1:1 2:2"`: last octet and weight.
fn shown(outlook: &Outlook) -> String {
    let words = outlook.state.servers.iter().map(|(address, server)| match address.ip() {
        IpAddr::V4(ip) if server.forward == Forward::Route => format!("{}:{}", ip.octets()[3], server.weight),
        _ => format!("{address} {}", server.forward.word()),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The outlook with these verdicts on the two servers, after `before`.
fn look(service: &model::Service, verdicts: [Health; 2], before: Option<&Outlook>) -> Outlook {
    desired(service, &verdicts, before.map(|outlook| &outlook.state))
}

#[test]
fn a_cold_boot_has_services_without_servers_until_a_check_has_spoken() {
    let cold = look(&web(), [Unknown, Unknown], None);
    assert_eq!((shown(&cold).as_str(), cold.up, cold.live), ("", None, 0));
    let one = look(&web(), [Unknown, Up], Some(&cold));
    assert_eq!((shown(&one).as_str(), one.up, one.live), ("2:2", Some(true), 2));
    let dead = look(&web(), [Down, Unknown], Some(&cold));
    assert_eq!((shown(&dead).as_str(), dead.up), ("", None), "the other may live");
    let dead = look(&web(), [Down, Down], Some(&cold));
    assert_eq!((shown(&dead).as_str(), dead.up), ("", Some(false)));
}

#[test]
fn a_restarted_worker_takes_the_table_as_it_is() {
    let live = look(&web(), [Up, Up], None);
    let restarted = look(&web(), [Unknown, Unknown], Some(&live));
    assert_eq!(restarted.state, live.state);
    assert_eq!((restarted.up, restarted.live), (Some(true), 3));
    let gone = look(&web(), [Up, Down], None);
    let restarted = look(&web(), [Unknown, Unknown], Some(&gone));
    assert_eq!(shown(&restarted), "1:1", "absent stays absent");
    let odd = look(&model::Service { servers: vec![server("10.0.0.1:80", 7)], ..web() }, [Up, Up], None);
    assert_eq!(shown(&look(&web(), [Unknown, Down], Some(&odd))), "1:7", "and keeps the weight it had");
}

#[test]
fn a_failed_server_is_removed_or_quiesced() {
    let mut service = web();
    assert_eq!(shown(&look(&service, [Down, Up], None)), "2:2");
    service.on_fail = OnFail::Quiesce;
    let half = look(&service, [Down, Up], None);
    assert_eq!((shown(&half).as_str(), half.live), ("1:0 2:2", 2));
}

#[test]
fn the_weight_of_the_file_counts_once_a_verdict_is_there() {
    let before = look(&web(), [Up, Up], None);
    let heavier = model::Service { servers: vec![server("10.0.0.1:80", 9)], ..web() };
    assert_eq!(shown(&look(&heavier, [Up, Up], Some(&before))), "1:9");
    assert_eq!(shown(&look(&heavier, [Unknown, Up], Some(&before))), "1:1");
}

#[test]
fn without_quorum_sorry_servers_replace_all_real_servers_and_only_they() {
    let mut service = with_sorry(sorry_server());
    service.quorum.need = Need::Weight(3);
    let healthy = look(&service, [Up, Up], None);
    assert_eq!((shown(&healthy).as_str(), healthy.sorry), ("1:1 2:2", false));
    let lost = look(&service, [Up, Down], Some(&healthy));
    assert_eq!((shown(&lost).as_str(), lost.up, lost.sorry, lost.live), ("9:1", Some(false), true, 1));
    let back = look(&service, [Up, Up], Some(&lost));
    assert_eq!((shown(&back).as_str(), back.up, back.sorry), ("1:1 2:2", Some(true), false));

    service.on_fail = OnFail::Quiesce;
    assert_eq!(shown(&look(&service, [Up, Down], Some(&healthy))), "1:0 2:0 9:1", "their connections go on");
    service.sorry = Sorry::None;
    assert_eq!(shown(&look(&service, [Up, Down], None)), "1:1 2:0", "without sorry servers the rest goes on");
}

#[test]
fn an_open_quorum_leaves_sorry_servers_where_they_are_and_where_they_are_not() {
    let service = with_sorry(sorry_server());
    let cold = look(&service, [Unknown, Unknown], None);
    assert_eq!((shown(&cold).as_str(), cold.sorry), ("", false));
    let lost = look(&service, [Down, Down], Some(&cold));
    let restarted = look(&service, [Unknown, Unknown], Some(&lost));
    assert_eq!((restarted.state.clone(), restarted.sorry, restarted.up), (lost.state.clone(), true, None));
    assert_eq!(shown(&look(&service, [Down, Unknown], Some(&restarted))), "9:1");
    assert_eq!(shown(&look(&service, [Down, Up], Some(&restarted))), "2:2");
    let live = look(&service, [Up, Up], None);
    assert!(!look(&service, [Unknown, Down], Some(&live)).sorry);
}

#[test]
fn a_sorry_server_may_be_a_real_server_too() {
    let service = with_sorry(Sorry::Servers(vec![server("10.0.0.1:80", 5)]));
    let live = look(&service, [Up, Up], None);
    let lost = look(&service, [Down, Down], Some(&live));
    assert_eq!((shown(&lost).as_str(), lost.sorry), ("1:5", true));
    assert_eq!(look(&service, [Unknown, Unknown], Some(&lost)).state, lost.state);
    assert_eq!(look(&service, [Up, Up], Some(&lost)).state, live.state);
}

#[test]
fn the_built_in_page_is_this_box_as_a_server() {
    let service = with_sorry(Sorry::Local);
    assert_eq!(local_page(&service), Some("192.0.2.1:80".parse().unwrap()));
    assert_eq!(shown(&look(&service, [Down, Down], None)), "127.0.0.1:80 local");
    let mut v6 = with_sorry(Sorry::Local);
    v6.key.listen = Listen::Address("[2001:db8::1]:80".parse().unwrap());
    assert_eq!(shown(&look(&v6, [Down, Down], None)), "[::1]:80 local");
    let mut mark = with_sorry(Sorry::Local);
    mark.key = ServiceKey { listen: Listen::Fwmark { mark: 1, ipv6: false }, protocol: None };
    assert_eq!((local_page(&mark), look(&mark, [Down, Down], None).sorry), (None, false));
}

#[test]
fn persistence_in_the_kernels_words() {
    let mut service = web();
    service.persistence =
        Some(model::Persistence { timeout: Duration::from_secs(50), prefix: 24, engine: None });
    assert_eq!(service_of(&service).to_string(), "scheduler=wlc persistence=50s/0xffffff00");
    service.key.listen = Listen::Fwmark { mark: 1, ipv6: true };
    service.persistence =
        Some(model::Persistence { timeout: Duration::from_secs(50), prefix: 64, engine: None });
    assert_eq!(service_of(&service).to_string(), "scheduler=wlc persistence=50s/0x40");
}
