//! Routers and their configurations by chance.

use std::collections::{BTreeMap, BinaryHeap};
use std::time::{Duration, Instant};

use director::config::model::{
    HmacAuth, HmacKey, HmacMode, Replay, VirtualAddress, VrrpAuth, VrrpChecksum, VrrpInstance, VrrpPeer,
    VrrpVersion,
};
use director::units::{Cidr, Priority, Vrid};

use super::dice::Dice;
use super::wire::{Node, QUICK, Segment, eth};

impl Segment {
    /// Everything there is.
    pub fn new(seed: u64) -> Self {
        Self::with(seed, false)
    }

    /// Without crossed groups, orders, other files and crashes of workers: as old seeds want it.
    pub fn plain(seed: u64) -> Self {
        Self::with(seed, true)
    }

    fn with(seed: u64, plain: bool) -> Self {
        let mut dice = Dice::new(seed);
        let common = Common::new(&mut dice, plain);
        let nodes: Vec<Node> = (1..=common.count).map(|i| common.node(i, &mut dice)).collect();
        let start = Instant::now();
        Self {
            joins: vec![false; nodes.len()],
            nodes,
            plain,
            aloud: false,
            now: start,
            start,
            wire: BinaryHeap::new(),
            sent: 0,
            dice,
            loss: 0,
            doubled: 0,
            delay: QUICK,
            became: 0,
            rivals: BTreeMap::new(),
        }
    }
}

/// What all routers of a segment have in common.
struct Common {
    ipv6: bool,
    version: VrrpVersion,
    /// Interval in milliseconds, unless each has its own.
    interval: Option<u64>,
    preempt: bool,
    unicast: bool,
    /// Of one priority.
    equal: bool,
    count: u64,
    missed: u8,
    auth: Option<VrrpAuth>,
    wires: usize,
    /// Who is better on one wire is worse on the other.
    crossed: bool,
}

impl Common {
    fn new(dice: &mut Dice, plain: bool) -> Self {
        let ipv6 = dice.roll(4) == 0;
        let version = if !ipv6 && dice.roll(4) == 0 { VrrpVersion::V2 } else { VrrpVersion::V3 };
        let shared = dice.pick(&[10, 100, 1000]);
        let mixed = version == VrrpVersion::V3 && dice.roll(4) == 0;
        let interval = match version {
            VrrpVersion::V2 => Some(1000),
            VrrpVersion::V3 => (!mixed).then_some(shared),
        };
        let preempt = dice.roll(3) != 0;
        let unicast = dice.roll(4) == 0;
        let equal = dice.roll(4) == 0;
        let count = 2 + dice.roll(7).min(dice.roll(7));
        let missed = dice.pick(&[3, 3, 3, 2, 5]);
        let auth = auth(dice.roll(4), version);
        let wires = if dice.roll(3) == 0 { 2 } else { 1 };
        let crossed = !plain && wires == 2 && dice.roll(3) == 0;
        Self { ipv6, version, interval, preempt, unicast, equal, count, missed, auth, wires, crossed }
    }

    /// The address of router `i` on a wire.
    fn own(&self, i: u64, wire: usize) -> Cidr {
        let i = if self.crossed && wire == 1 { self.count + 1 - i } else { i };
        let text = if self.ipv6 { format!("fe80::{wire}:{i}/64") } else { format!("10.{wire}.0.{i}/24") };
        text.parse().unwrap()
    }

    fn vip(&self, wire: usize) -> Cidr {
        let text = if self.ipv6 { format!("2001:db8:{wire}::45") } else { format!("10.{wire}.0.45") };
        text.parse().unwrap()
    }

    /// Router `i`, which does not run yet.
    fn node(&self, i: u64, dice: &mut Dice) -> Node {
        let ms = self.interval.unwrap_or_else(|| dice.pick(&[10, 50, 100]));
        // An owner is in no group.
        let most = if self.wires == 2 { 254 } else { 255 };
        let priority = if self.equal { 100 } else { 1 + i64::try_from(dice.roll(most)).unwrap() };
        let checksum = dice.pick(&[None, Some(VrrpChecksum::Rfc9568), Some(VrrpChecksum::PseudoHeader)]);
        let preempt_delay = Duration::from_millis(dice.pick(&[0, 0, ms * 2]));
        let start_delay = Duration::from_millis(dice.pick(&[0, 0, ms * 6]));
        let others = (1..=self.count).filter(|j| *j != i && self.unicast);
        let config = |wire: usize| VrrpInstance {
            priority: Priority::try_from(match wire {
                1 if self.crossed && !self.equal => 255 - priority,
                _ => priority,
            })
            .unwrap(),
            interval: Duration::from_millis(ms),
            version: self.version,
            auth: self.auth.clone(),
            missed: self.missed,
            checksum,
            preempt: self.preempt,
            preempt_delay,
            start_delay,
            peers: others.clone().map(|j| VrrpPeer::new(self.own(j, wire).address)).collect(),
            group: (self.wires == 2).then(|| "between".to_owned()),
            ..VrrpInstance::new(
                &format!("VI_{wire}"),
                eth(wire),
                Vrid::try_from(51).unwrap(),
                vec![VirtualAddress::from(self.vip(wire))],
            )
        };
        Node {
            configs: (0..self.wires).map(config).collect(),
            addresses: (0..self.wires).map(|wire| self.own(i, wire)).collect(),
            engine: None,
            part: [0, 0],
            asleep: None,
            waiting: Vec::new(),
            holds: false,
        }
    }
}

/// One of the ways to authenticate that a version has.
fn auth(kind: u64, version: VrrpVersion) -> Option<VrrpAuth> {
    let key = heapless::Vec::from_slice(b"1111").unwrap();
    match (kind, version) {
        (0, VrrpVersion::V2) => Some(VrrpAuth::Pass(key)),
        (1, VrrpVersion::V2) => Some(VrrpAuth::Ah(key)),
        (2, _) => Some(VrrpAuth::Hmac(HmacAuth {
            keys: vec![HmacKey::new(7, vec![7; 32])],
            active: 7,
            replay: Replay::Time(5),
            mode: HmacMode::Enforce,
        })),
        _ => None,
    }
}
