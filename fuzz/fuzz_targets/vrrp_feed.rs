//! What is done with bytes that came in, by the fuzz target and by the test that replays the corpus.

use std::cell::RefCell;
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
    FED.with_borrow_mut(|fed| fed.hear(envelope, payload));
}

thread_local! {
    static FED: RefCell<Fed> = RefCell::new(Fed::new());
}

/// How much is known after all that was heard, in characters: it must not grow with the number of messages.
#[allow(dead_code, reason = "the fuzzer has a limit of its own for memory")]
pub fn extent() -> usize {
    FED.with_borrow(|fed| format!("{:?}", fed.engines).len())
}

/// One router of each kind, which hears everything: what leaves something behind shows.
struct Fed {
    engines: Vec<Engine>,
    now: Instant,
}

impl Fed {
    fn new() -> Self {
        let (now, eth0) = (Instant::now(), eth0());
        let engine = |config| {
            let mut engine = Engine::new();
            engine.observe(now, |facts| {
                let cidrs: [Cidr; 2] = ["192.168.61.2/24", "fe80::2/64"].map(|text| text.parse().unwrap());
                let set = |cidr| Address { cidr, ours: false, look: Look::default(), usable: true };
                let addresses = cidrs.into_iter().map(set).collect();
                let link = Link { index: 2, up: true, running: true, addresses, ..Link::default() };
                facts.links.insert(eth0.clone(), link);
            });
            engine.configure(now, vec![config], |_| Entry::Listen);
            engine
        };
        Self { engines: routers(&eth0).into_iter().map(engine).collect(), now }
    }

    /// A message a millisecond; now and then everybody is a master that has heard nobody for long.
    fn hear(&mut self, envelope: Envelope, payload: &[u8]) {
        self.now += Duration::from_millis(1);
        let eth0 = eth0();
        for engine in &mut self.engines {
            engine.packet(self.now, &eth0, envelope, payload);
            engine.tick(self.now);
            assert!(engine.effects().len() < 100);
        }
        if payload.len().is_multiple_of(64) {
            self.now += Duration::from_secs(10);
            self.engines.iter_mut().for_each(|engine| engine.tick(self.now));
        }
    }
}

fn eth0() -> IfName {
    "eth0".parse().unwrap()
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
