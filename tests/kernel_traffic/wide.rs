//! Services that take more than one port: by a mark of their own behind full NAT, by every port with persistence; and a service that is frozen.

use director::ipvs::{Family, ServiceId};

use super::common::hindrance;
use super::rig::{Rig, VIP4, VIP6, at};
use super::rig_or_skip;
use super::talk::{By, ask, serve};

/// The address of the director that servers of full NAT see.
const OWN: [&str; 2] = ["10.80.0.1", "fd80::1"];

#[test]
fn full_nat_takes_what_a_mark_of_its_own_brings_on_every_port_of_a_range() {
    let mut rig = rig_or_skip!();
    let ways = [(VIP4, "10.80.0.22", "10.79.0.1", OWN[0]), (VIP6, "fd80::22", "fd79::1", OWN[1])];
    let mut file = String::new();
    for (mark, (vip, server, ..)) in (61..).zip(ways) {
        for port in [6000, 6009] {
            for by in [By::Tcp, By::Udp] {
                serve(rig.full.namespace(), "full", by, at(server, port));
            }
        }
        let listen = format!("{}-6009", at(vip, 6000));
        file += &format!(
            "[[service]]\nname = \"m{mark}\"\nlisten = [\"{listen}\"]\nprotocol = \"tcp\"\nmark = {mark}\nmethod = \"fullnat\"\n\
             check = {{ type = \"none\" }}\n[[service.server]]\naddress = \"{server}\"\n"
        );
    }
    rig.configure(&file);
    for (mark, (vip, server, client, own)) in (61..).zip(ways) {
        for port in [6000, 6009] {
            let answer = ask(rig.client.namespace(), By::Tcp, at(client, 0), at(vip, port)).unwrap();
            assert_eq!(
                (answer.local, answer.peer.ip()),
                (at(server, port), own.parse().unwrap()),
                "{vip} {port}"
            );
        }
        let beyond = ask(rig.client.namespace(), By::Tcp, at(client, 0), at(vip, 6010));
        assert!(beyond.is_err(), "{beyond:?}");
        let family = if vip.contains(':') { Family::V6 } else { Family::V4 };
        let id = ServiceId::Fwmark { mark, family };
        rig.until("answers are counted too", |rig| {
            let counted = rig.counted(id);
            counted.connections == 2 && counted.packets_out > 0
        });
    }
}

#[test]
fn a_service_of_every_port_sends_a_client_to_one_server_by_whatever_port() {
    let mut rig = rig_or_skip!();
    for web in [&rig.web, &rig.web2] {
        for port in [7001, 7002, 7003] {
            for vip in [VIP4, VIP6] {
                serve(web.namespace(), web.name(), By::Tcp, at(vip, port));
            }
        }
    }
    let service = |name: &str, vip: &str, servers: [&str; 2]| {
        let servers = servers.map(|server| format!("[[service.server]]\naddress = \"{server}\"\n")).concat();
        format!(
            "[[service]]\nname = \"{name}\"\nlisten = \"{vip}\"\nscheduler = \"rr\"\npersistence = \"60s\"\n\
             check = {{ type = \"none\" }}\n{servers}"
        )
    };
    let four = service("four", VIP4, ["10.79.0.21", "10.79.0.23"]);
    rig.configure(&(four + &service("six", VIP6, ["fd79::21", "fd79::23"])));
    for address in ["10.79.0.2/24", "fd79::2/64"] {
        rig.client.address(address).unwrap();
    }
    for (vip, clients) in [(VIP4, ["10.79.0.1", "10.79.0.2"]), (VIP6, ["fd79::1", "fd79::2"])] {
        let homes = clients.map(|client| {
            let answers = [7001, 7002, 7003, 7001].map(|port| {
                let answer = ask(rig.client.namespace(), By::Tcp, at(client, 0), at(vip, port)).unwrap();
                assert_eq!((answer.local, answer.peer), (at(vip, port), answer.client));
                answer.name
            });
            assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{client}: {answers:?}");
            answers[0].clone()
        });
        assert_ne!(homes[0], homes[1], "the next client comes to the next server");
    }
}

#[test]
fn a_service_without_a_scheduler_keeps_its_connections_and_takes_no_new_one() {
    let mut rig = rig_or_skip!();
    serve(rig.web.namespace(), "web", By::Tcp, at(VIP4, 7100));
    let heaviest = i32::MAX.unsigned_abs();
    let file = |scheduler: &str| {
        format!(
            "[[service]]\nname = \"s\"\nlisten = \"{VIP4}:7100\"\nscheduler = \"{scheduler}\"\ncheck = {{ type = \"none\" }}\n\
             [[service.server]]\naddress = \"10.79.0.21\"\nweight = {heaviest}\n"
        )
    };
    rig.configure(&file("wrr"));
    let open = || super::talk::open(By::Tcp, at("10.79.0.1", 0), at(VIP4, 7100));
    let mut held = rig.client.namespace().run(open).unwrap().unwrap();
    let table = rig.table();
    assert_eq!(table[0].servers[0].server.weight, heaviest);
    rig.configure(&file("none"));
    assert_eq!(held.ask("still there?").unwrap().name, "web");
    assert!(rig.client.namespace().run(open).unwrap().is_err(), "nothing schedules a new connection");
    rig.configure(&file("sed"));
    let answer = ask(rig.client.namespace(), By::Tcp, at("10.79.0.1", 0), at(VIP4, 7100)).unwrap();
    assert_eq!(answer.name, "web");
}
