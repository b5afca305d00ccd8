//! One virtual router with its configuration: what it accepts, what it counts, what it sends, what it asks of the kernel.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use director::config::model::{
    HmacAuth, HmacKey, HmacMode, Look, Replay, Track, TrackTarget, VirtualAddress, VrrpAuth, VrrpChecksum,
    VrrpInstance, VrrpPeer, VrrpVersion,
};
use director::ipc::message::{RouterState, RouterStatus};
use director::units::{Cidr, IfName, Priority, Vrid};
use director::vrrp::auth::AuthField;
use director::vrrp::effect::Effect;
use director::vrrp::engine::Engine;
use director::vrrp::facts::{Address, Facts, Link};
use director::vrrp::instance::Entry;
use director::vrrp::packet::{Advertisement, Envelope, decode};
use director::vrrp::seal::Wall;
use director::vrrp::track::{Verdict, judge, judge_all};

const OWN: &str = "10.0.0.1";
const PEER: &str = "10.0.0.2";
const GROUP: &str = "224.0.0.18";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn eth0() -> IfName {
    "eth0".parse().unwrap()
}

pub fn vip(text: &str) -> VirtualAddress {
    VirtualAddress::from(text.parse::<Cidr>().unwrap())
}

pub fn config() -> VrrpInstance {
    VrrpInstance::new("VI_1", eth0(), Vrid::try_from(51).unwrap(), vec![vip("10.0.0.45")])
}

fn link() -> Link {
    let address = |text: &str| Address {
        cidr: text.parse().unwrap(),
        ours: false,
        look: Look::default(),
        usable: true,
    };
    Link {
        index: 2,
        up: true,
        running: true,
        addresses: vec![address("10.0.0.1/24"), address("fe80::1/64")],
        ..Link::default()
    }
}

pub struct Bench {
    pub engine: Engine,
    pub now: Instant,
}

impl Bench {
    pub fn new(config: VrrpInstance) -> Self {
        let now = Instant::now();
        let mut engine = Engine::new();
        engine.observe(now, |facts| {
            facts.links.insert(eth0(), link());
        });
        engine.configure(now, vec![config], |_| Entry::Listen);
        engine.effects();
        Self { engine, now }
    }

    /// Lets master-down pass.
    fn promoted(config: VrrpInstance) -> Self {
        let mut bench = Self::new(config);
        bench.now += Duration::from_secs(5);
        bench.engine.tick(bench.now);
        assert_eq!(bench.status().state, RouterState::Master);
        bench.engine.effects();
        bench
    }

    fn status(&self) -> RouterStatus {
        self.engine.status(self.now, 1).instances[0].clone()
    }

    /// The peer says `advert`; gives the counters that moved.
    fn hear_from(&mut self, source: &str, destination: &str, ttl: u8, advert: &Advertisement) -> Vec<String> {
        let (source, destination) = (ip(source), ip(destination));
        let packet = advert.encode(source, destination, VrrpChecksum::Rfc9568);
        self.hear_bytes(Envelope::new(source, destination, ttl), &packet)
    }

    fn hear_bytes(&mut self, envelope: Envelope, bytes: &[u8]) -> Vec<String> {
        let before = self.status().counters;
        self.engine.packet(self.now, &eth0(), envelope, bytes);
        let after = self.status().counters;
        after.iter().filter(|(name, n)| before[*name] != **n).map(|(name, _)| name.clone()).collect()
    }

    fn hear(&mut self, advert: &Advertisement) -> Vec<String> {
        self.hear_from(PEER, GROUP, 255, advert)
    }

    fn sent(&mut self) -> Vec<(IpAddr, Advertisement, Option<VrrpChecksum>)> {
        let effects = self.engine.effects();
        let sent = effects.into_iter().filter_map(|effect| match effect {
            Effect::Send { source, destination, packet, .. } => {
                let decoded = decode(Envelope::new(source, destination, 255), &packet).unwrap();
                Some((destination, decoded.advert, decoded.checksum))
            }
            Effect::Addresses | Effect::Announce { .. } | Effect::Remember | Effect::State(_) => None,
        });
        sent.collect()
    }
}

fn advert(priority: u8) -> Advertisement {
    Advertisement {
        version: VrrpVersion::V3,
        vrid: 51,
        priority,
        interval: Duration::from_secs(1),
        auth: AuthField::default(),
        addresses: [ip("10.0.0.45")].into_iter().collect(),
    }
}

#[test]
fn what_is_right_is_counted_as_such() {
    let mut bench = Bench::new(config());
    assert_eq!(bench.hear(&advert(200)), ["advert_rcvd"]);
    assert_eq!(bench.hear(&advert(0)), ["advert_rcvd", "pri_zero_rcvd"]);
    assert_eq!(bench.status().peer_checksum.as_deref(), Some("rfc9568"));
}

#[test]
fn each_reject_has_its_counter() {
    let mut bench = Bench::new(config());
    let good = advert(200);
    assert_eq!(bench.hear_from(PEER, GROUP, 254, &good), ["ip_ttl_err"]);
    assert_eq!(bench.hear_from(OWN, GROUP, 255, &good), ["own_address_rcvd"]);
    assert_eq!(bench.hear(&Advertisement { version: VrrpVersion::V2, ..good.clone() }), ["vers_err"]);
    let mut silent = good.encode(ip(PEER), ip(GROUP), VrrpChecksum::Rfc9568);
    // Interval 0, and the checksum made right for it: erratum 8301 of RFC 5798.
    silent[4..8].copy_from_slice(&[0, 0, 0, 0]);
    let sum =
        silent.chunks(2).fold(0_u32, |sum, pair| sum + u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    silent[6..8].copy_from_slice(&sum.to_be_bytes());
    let envelope = Envelope::new(ip(PEER), ip(GROUP), 255);
    assert_eq!(bench.hear_bytes(envelope, &silent), ["advert_interval_err"]);
    let mut wrong = good.encode(ip(PEER), ip(GROUP), VrrpChecksum::Rfc9568);
    wrong[2] = 201;
    assert_eq!(bench.hear_bytes(envelope, &wrong), ["chk_err"]);
    assert_eq!(bench.hear_bytes(envelope, &wrong[..9]), ["packet_len_err"]);
    let empty = Advertisement { addresses: std::iter::empty::<IpAddr>().collect(), ..good };
    assert_eq!(bench.hear(&empty), ["addr_count_err"]);
    wrong[0] = 0x32;
    assert_eq!(bench.hear_bytes(envelope, &wrong), ["invalid_type_rcvd"]);
    assert_eq!(bench.status().counters["advert_rcvd"], 0);
    assert_eq!(bench.status().master, None);
}

#[test]
fn version_2_demands_its_interval_and_its_password() {
    let key = |text: &[u8]| VrrpAuth::Pass(heapless::Vec::from_slice(text).unwrap());
    let mut bench =
        Bench::new(VrrpInstance { version: VrrpVersion::V2, auth: Some(key(b"1111")), ..config() });
    let good = Advertisement {
        version: VrrpVersion::V2,
        auth: AuthField { kind: 1, data: *b"1111\0\0\0\0" },
        ..advert(200)
    };
    assert_eq!(bench.hear(&good), ["advert_rcvd"]);
    let other = |auth: AuthField| Advertisement { auth, ..good.clone() };
    assert_eq!(bench.hear(&other(AuthField { kind: 1, data: *b"2222\0\0\0\0" })), ["auth_failure"]);
    assert_eq!(bench.hear(&other(AuthField::default())), ["authtype_mismatch"]);
    assert_eq!(bench.hear(&other(AuthField { kind: 7, data: [0; 8] })), ["invalid_authtype"]);
    let slow = Advertisement { interval: Duration::from_secs(2), ..good.clone() };
    assert_eq!(bench.hear(&slow), ["advert_interval_err"]);
    assert_eq!(bench.hear(&Advertisement { version: VrrpVersion::V3, ..good }), ["vers_err"]);
}

#[test]
fn another_list_is_counted_and_heeded() {
    let mut bench = Bench::new(config());
    let mut odd = advert(200);
    odd.addresses.push(ip("10.0.0.46")).unwrap();
    assert_eq!(bench.hear(&odd), ["addr_list_err", "advert_rcvd"]);
    assert_eq!(bench.status().master, Some(ip(PEER)));
}

#[test]
fn strangers_and_unknown_numbers_are_counted_apart() {
    let mut bench = Bench::new(VrrpInstance { peers: vec![VrrpPeer::new(ip(PEER))], ..config() });
    assert_eq!(bench.hear_from("10.0.0.3", OWN, 255, &advert(200)), ["unicast_src_err"]);
    // A configured peer may be behind a router; keepalived's hop limit over IPv6 is 64.
    assert_eq!(bench.hear_from(PEER, OWN, 64, &advert(200)), ["advert_rcvd"]);
    assert!(bench.hear_from(PEER, OWN, 255, &Advertisement { vrid: 52, ..advert(200) }).is_empty());
    let status = bench.engine.status(bench.now, 1);
    assert_eq!(status.counters["vrid_err"], 1);
}

#[test]
fn unicast_goes_to_each_peer_and_never_to_the_group() {
    let peers = vec![ip(PEER), ip("10.0.0.3")];
    let given = peers.iter().map(|peer| VrrpPeer::new(*peer)).collect();
    let mut bench = Bench::new(VrrpInstance { peers: given, ..config() });
    bench.now += Duration::from_secs(5);
    bench.engine.tick(bench.now);
    assert_eq!(bench.sent().iter().map(|(to, ..)| *to).collect::<Vec<_>>(), peers);
    assert_eq!(bench.status().counters["advert_sent"], 1, "one advertisement, however many peers");
}

#[test]
fn the_checksum_is_the_peers_unless_the_file_says_otherwise() {
    for (given, before, after) in [
        (None, VrrpChecksum::Rfc9568, VrrpChecksum::PseudoHeader),
        (Some(VrrpChecksum::Rfc9568), VrrpChecksum::Rfc9568, VrrpChecksum::Rfc9568),
        (Some(VrrpChecksum::PseudoHeader), VrrpChecksum::PseudoHeader, VrrpChecksum::PseudoHeader),
    ] {
        let mut bench = Bench::promoted(VrrpInstance { checksum: given, ..config() });
        bench.now += Duration::from_secs(1);
        bench.engine.tick(bench.now);
        assert_eq!(bench.sent()[0].2, Some(before));
        let packet = advert(50).encode(ip(PEER), ip(GROUP), VrrpChecksum::PseudoHeader);
        bench.hear_bytes(Envelope::new(ip(PEER), ip(GROUP), 255), &packet);
        assert_eq!(bench.sent()[0].2, Some(after), "the answer to a lower one");
        assert_eq!(bench.status().peer_checksum.as_deref(), Some("pseudo-header"));
    }
}

#[test]
fn link_local_addresses_come_first() {
    let addresses = vec![vip("2001:db8::45"), vip("fe80::45"), vip("2001:db8::46")];
    let mut bench = Bench::new(VrrpInstance { addresses, ..config() });
    bench.now += Duration::from_secs(5);
    bench.engine.tick(bench.now);
    let (to, advert, _) = bench.sent().remove(0);
    assert_eq!(to, ip("ff02::12"));
    assert_eq!(advert.addresses.as_slice(), ["fe80::45", "2001:db8::45", "2001:db8::46"].map(ip));
}

/// Its clock is wrong, or ours; either way somebody with our key is master.
#[test]
fn a_clock_that_is_wrong_at_boot_makes_no_second_master_at_once() {
    let auth = |secret: u8| {
        let keys = vec![HmacKey::new(7, vec![secret; 32])];
        VrrpAuth::Hmac(HmacAuth { keys, active: 7, replay: Replay::Time(5), mode: HmacMode::Enforce })
    };
    let says = |secret: u8, later: u64| {
        let mut other = Bench::new(VrrpInstance { auth: Some(auth(secret)), ..config() });
        let unix = Duration::from_secs(1_800_000_000 + later);
        other.engine.set_wall(Wall::new(other.now, unix));
        other.now += Duration::from_secs(4);
        other.engine.tick(other.now);
        let sent = other.engine.effects().into_iter().find_map(|effect| match effect {
            Effect::Send { packet, .. } => Some(packet),
            _ => None,
        });
        sent.unwrap().to_vec()
    };
    // The same source here and there; it only has to be another one than ours.
    let twin = |bench: &mut Bench| {
        bench.engine.observe(bench.now, |facts| {
            facts.links.get_mut(&eth0()).unwrap().addresses[0].cidr = "10.0.0.9/24".parse().unwrap();
        });
    };
    let plays = |secret: u8| {
        let mut bench = Bench::new(VrrpInstance { auth: Some(auth(7)), ..config() });
        twin(&mut bench);
        bench.engine.set_wall(Wall::new(bench.now, Duration::from_secs(1_000)));
        let start = bench.now;
        let mut master_at = None;
        for step in 0..150 {
            bench.now = start + Duration::from_millis(100) * step;
            if step % 10 == 5 {
                let heard =
                    bench.hear_bytes(Envelope::new(ip(OWN), ip(GROUP), 255), &says(secret, u64::from(step)));
                let expected = if secret == 7 { "auth_ext_stale" } else { "auth_ext_invalid_hmac" };
                assert!(heard == [expected] || master_at.is_some(), "{heard:?}");
            }
            bench.engine.tick(bench.now);
            if bench.status().state == RouterState::Master {
                master_at.get_or_insert(bench.now - start);
            }
        }
        master_at.unwrap()
    };
    let (known, stranger) = (plays(7), plays(8));
    assert_eq!(known, Duration::from_millis(10_500), "start_wait from the first one heard");
    assert_eq!(stranger, Duration::from_millis(3_700), "who does not know the key keeps nobody waiting");
}

fn facts() -> Facts {
    Facts { links: [(eth0(), link())].into(), ..Facts::default() }
}

fn track(target: TrackTarget, weight: Option<i16>) -> VrrpInstance {
    VrrpInstance { track: vec![Track { target, weight, reverse: false }], ..config() }
}

fn priority(config: &VrrpInstance, facts: &Facts) -> u8 {
    match judge(config, facts, None) {
        Verdict::Ready { priority, .. } => priority,
        Verdict::Fault(reason) => panic!("{reason}"),
    }
}

#[test]
fn weights_are_bonuses_and_penalties_within_bounds() {
    let web = || TrackTarget::Service("web".to_owned());
    let said = |up: bool| Facts { services: [("web".to_owned(), up)].into(), ..facts() };
    for (weight, unknown, up, down) in
        [(-60, 100, 100, 40), (60, 160, 160, 100), (253, 254, 254, 100), (-253, 100, 100, 1)]
    {
        let config = track(web(), Some(weight));
        assert_eq!(priority(&config, &facts()), unknown, "{weight}, nobody has spoken");
        assert_eq!(priority(&config, &said(true)), up, "{weight}");
        assert_eq!(priority(&config, &said(false)), down, "{weight}");
    }
    let owner = VrrpInstance { priority: Priority::OWNER, ..track(web(), Some(-60)) };
    assert_eq!(priority(&owner, &said(false)), 255);
}

#[test]
fn each_fault_says_why() {
    let reason = |config: &VrrpInstance, facts: &Facts| match judge(config, facts, None) {
        Verdict::Fault(reason) => reason,
        Verdict::Ready { .. } => "ready".to_owned(),
    };
    let with = |change: fn(&mut Link)| {
        let mut facts = facts();
        change(facts.links.get_mut(&eth0()).unwrap());
        facts
    };
    assert_eq!(reason(&config(), &facts()), "ready");
    assert_eq!(reason(&config(), &Facts::default()), "interface eth0 does not exist");
    assert_eq!(reason(&config(), &with(|link| link.up = false)), "interface eth0 is down");
    assert_eq!(reason(&config(), &with(|link| link.running = false)), "interface eth0 has no carrier");
    let bare = with(|link| link.addresses.clear());
    assert_eq!(reason(&config(), &bare), "interface eth0 has no IPv4 address of its own");
    let v6 = vip("fe80::45");
    let v6 = VrrpInstance { addresses: vec![v6], ..config() };
    let tentative = with(|link| link.addresses[1].usable = false);
    assert_eq!(reason(&v6, &tentative), "interface eth0 has no link-local IPv6 address of its own");
    let ours = with(|link| link.addresses[0].ours = true);
    assert_eq!(reason(&config(), &ours), "interface eth0 has no IPv4 address of its own");
    let source = VrrpInstance { source: Some(ip("10.0.0.77")), ..config() };
    assert_eq!(reason(&source, &facts()), "source address 10.0.0.77 is on no interface");
    let eth1 = TrackTarget::Interface("eth1".parse().unwrap());
    assert_eq!(reason(&track(eth1, None), &facts()), "tracked interface eth1 does not exist");
    let web = track(TrackTarget::Service("web".to_owned()), None);
    let down = Facts { services: [("web".to_owned(), false)].into(), ..facts() };
    assert_eq!(reason(&web, &facts()), "ready");
    assert_eq!(reason(&web, &down), "tracked service web has lost its quorum");
    let mut elsewhere = config();
    elsewhere.addresses[0].interface = Some("eth7".parse().unwrap());
    assert_eq!(reason(&elsewhere, &facts()), "interface eth7 does not exist");
}

#[test]
fn a_group_shares_faults_and_weights() {
    let member = |name: &str, track: Vec<Track>| VrrpInstance {
        name: name.to_owned(),
        group: Some("between".to_owned()),
        track,
        ..config()
    };
    let eth1 = |weight| {
        vec![Track { target: TrackTarget::Interface("eth1".parse().unwrap()), weight, reverse: false }]
    };
    let alone = VrrpInstance { name: "alone".to_owned(), ..config() };
    let judged = |first: Vec<Track>| {
        let all = [member("inside", first), member("outside", Vec::new()), alone.clone()];
        let all: Vec<_> = all.iter().map(|config| (config, ip(OWN))).collect();
        judge_all(&all, &facts())
    };
    let ready = |priority| Verdict::Ready { priority, source: ip(OWN), yields: false };
    let fault = |reason: &str| Verdict::Fault(reason.to_owned());
    assert_eq!(judged(eth1(Some(-30))), [ready(70), ready(70), ready(100)]);
    assert_eq!(
        judged(eth1(None)),
        [
            fault("tracked interface eth1 does not exist"),
            fault("group between: inside: tracked interface eth1 does not exist"),
            ready(100)
        ]
    );
}

#[test]
fn the_source_stays_while_it_exists() {
    let mut facts = facts();
    let second =
        Address { cidr: "10.0.0.3/24".parse().unwrap(), ours: false, look: Look::default(), usable: true };
    facts.links.get_mut(&eth0()).unwrap().addresses.insert(0, second);
    let source = |current: Option<&str>| match judge(&config(), &facts, current.map(ip)) {
        Verdict::Ready { source, .. } => source,
        Verdict::Fault(reason) => panic!("{reason}"),
    };
    assert_eq!(source(None), ip("10.0.0.3"));
    assert_eq!(source(Some("10.0.0.1")), ip("10.0.0.1"));
    assert_eq!(source(Some("10.0.0.99")), ip("10.0.0.3"));
}

#[test]
fn who_leaves_the_file_resigns_and_who_stays_is_not_disturbed() {
    let mut bench = Bench::promoted(config());
    let second = VrrpInstance { name: "VI_2".to_owned(), vrid: Vrid::try_from(52).unwrap(), ..config() };
    let changed = VrrpInstance { priority: Priority::try_from(120).unwrap(), ..config() };
    bench.engine.configure(bench.now, vec![second.clone(), changed], |_| Entry::Listen);
    let said: Vec<_> =
        bench.sent().into_iter().map(|(_, advert, _)| (advert.vrid, advert.priority)).collect();
    assert_eq!(said, [(51, 120)], "the new priority, at once");
    bench.engine.configure(bench.now, vec![second], |_| Entry::Listen);
    let said: Vec<_> =
        bench.sent().into_iter().map(|(_, advert, _)| (advert.vrid, advert.priority)).collect();
    assert_eq!(said, [(51, 120), (51, 0)]);
    assert!(bench.engine.desired().is_empty());
}
