//! What is done with bytes that came in, by the fuzz target and by the test that replays the corpus.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use director::config::model::{
    HmacAuth, HmacKey, HmacMode, Look, Replay, VirtualAddress, VrrpAuth, VrrpInstance, VrrpVersion,
};
use director::units::{Cidr, IfName, Vrid};
use director::vrrp::engine::Engine;
use director::vrrp::facts::{Address, Link};
use director::vrrp::instance::Entry;
use director::vrrp::packet::{Envelope, decode, is_foreign, split_ipv4};

/// The first byte says by which way the others came: 0 a datagram, 1 a message over IPv4, else one over IPv6.
pub fn feed(data: &[u8]) {
    let Some((way, bytes)) = data.split_first() else { return };
    let over = |source: &str, group: &str| {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        Envelope::new(address(source), address(group), 255)
    };
    let (envelope, payload) = match way {
        0 => {
            let _ = is_foreign(bytes);
            match split_ipv4(bytes) {
                Ok(split) => split,
                Err(_) => return,
            }
        }
        1 => (over("192.168.61.1", "224.0.0.18"), bytes),
        _ => (over("fe80::1", "ff02::12"), bytes),
    };
    if let Ok(decoded) = decode(envelope, payload) {
        assert!(decoded.length <= payload.len());
        assert!(decoded.advert.addresses.len() <= 255);
    }
    let now = Instant::now();
    let eth0: IfName = "eth0".parse().unwrap();
    for config in routers(&eth0) {
        let mut engine = Engine::new();
        engine.observe(now, |facts| {
            let cidrs: [Cidr; 2] = ["192.168.61.2/24", "fe80::2/64"].map(|text| text.parse().unwrap());
            let set = |cidr| Address { cidr, ours: false, look: Look::default(), usable: true };
            let addresses = cidrs.into_iter().map(set).collect();
            let link = Link { index: 2, up: true, running: true, addresses, ..Link::default() };
            facts.links.insert(eth0.clone(), link);
        });
        engine.configure(now, vec![config], |_| Entry::Listen);
        engine.packet(now, &eth0, envelope, payload);
        engine.tick(now + Duration::from_secs(10));
        assert!(engine.effects().len() < 100);
    }
}

/// One of each way to authenticate, all of number 51.
fn routers(eth0: &IfName) -> Vec<VrrpInstance> {
    let key = || heapless::Vec::from_slice(b"1111").unwrap();
    let hmac = HmacAuth {
        keys: vec![HmacKey::new(1, (0..32).collect())],
        active: 1,
        replay: Replay::Monotonic,
        mode: HmacMode::Permissive,
    };
    let vip = |text: &str| vec![VirtualAddress::from(text.parse::<Cidr>().unwrap())];
    let base = |vips| VrrpInstance::new("VI_1", eth0.clone(), Vrid::try_from(51).unwrap(), vips);
    let v2 = |auth| VrrpInstance { version: VrrpVersion::V2, auth, ..base(vip("192.168.61.45")) };
    vec![
        v2(None),
        v2(Some(VrrpAuth::Pass(key()))),
        v2(Some(VrrpAuth::Ah(key()))),
        base(vip("192.168.61.45")),
        VrrpInstance { auth: Some(VrrpAuth::Hmac(hmac.clone())), ..base(vip("192.168.61.45")) },
        VrrpInstance { auth: Some(VrrpAuth::Hmac(hmac)), ..base(vip("fe80::45")) },
    ]
}
