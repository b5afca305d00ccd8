//! Gratuitous ARP of many VIPs: in turns, paced, fair.

use std::collections::BTreeMap;
use std::time::Duration;

use director::config::model::{Garp, VirtualMac, VrrpInstance};
use director::units::Vrid;
use director::vrrp::effect::Effect;
use director::vrrp::instance::Entry;

use super::router::{Bench, config, eth0, vip};

#[test]
fn a_burst_of_many_vips_is_made_in_turns_and_at_the_given_pace() {
    let addresses: Vec<_> = (1..=200).map(|i| vip(&format!("10.0.1.{i}"))).collect();
    let once = Duration::ZERO;
    let garp =
        Garp { repeat: 1, delay: once, refresh: once, interval: Some(Duration::ZERO), ..Garp::default() };
    let count = |bench: &mut Bench| {
        let announced = |effect: &Effect| matches!(effect, Effect::Announce { .. });
        bench.engine.effects().iter().filter(|effect| announced(effect)).count()
    };
    let mut bench = Bench::new(VrrpInstance { addresses: addresses.clone(), garp, ..config() });
    bench.now += Duration::from_secs(5);
    bench.engine.tick(bench.now);
    assert_eq!(count(&mut bench), 0, "first the VIPs");
    let mut turns = Vec::new();
    while turns.iter().sum::<usize>() < 200 {
        bench.engine.tick(bench.now);
        turns.push(count(&mut bench));
    }
    assert_eq!(turns, [64, 64, 64, 8]);

    let garp = Garp { interval: Some(Duration::from_millis(2)), ..garp };
    let mut bench = Bench::new(VrrpInstance { addresses, garp, ..config() });
    bench.now += Duration::from_secs(5);
    bench.engine.tick(bench.now);
    bench.engine.hold_announcements(true);
    count(&mut bench);
    bench.engine.tick(bench.now);
    assert_eq!(count(&mut bench), 0, "the kernel has not set them yet");
    assert!(bench.engine.deadline(bench.now).unwrap() > bench.now, "no turn without rest");
    bench.engine.hold_announcements(false);
    for _ in 0..3 {
        bench.engine.tick(bench.now);
        assert_eq!(count(&mut bench), 1);
        let next = bench.engine.deadline(bench.now).unwrap();
        assert_eq!(next - bench.now, Duration::from_millis(2));
        bench.now = next;
    }
}

/// Many routers on one interface: each VIP is announced once before any a second time, at a pace of its own where the file has none.
#[test]
fn the_first_announcement_of_every_vip_comes_before_the_second_of_any() {
    let count = 120;
    let config = |i: u8| {
        let addresses = vec![vip(&format!("10.0.1.{i}"))];
        let garp = Garp { repeat: 2, delay: Duration::from_secs(1), ..Garp::default() };
        VrrpInstance {
            garp,
            ..VrrpInstance::new(&format!("VI_{i}"), eth0(), Vrid::try_from(i64::from(i)).unwrap(), addresses)
        }
    };
    let mut bench = Bench::new(config(1));
    bench.engine.configure(bench.now, (1..=count).map(config).collect(), |_| Entry::Listen);
    bench.now += Duration::from_secs(4);
    let start = bench.now;
    let mut log = Vec::new();
    while bench.now < start + Duration::from_secs(3) {
        bench.engine.tick(bench.now);
        for effect in bench.engine.effects() {
            if let Effect::Announce { vip, .. } = effect {
                log.push((bench.now - start, vip));
            }
        }
        bench.now = bench.engine.deadline(bench.now).unwrap().max(bench.now);
    }
    let all = usize::from(count);
    assert_eq!(log.len(), 4 * all);
    for (round, seen) in log.chunks(all).enumerate() {
        let vips: std::collections::BTreeSet<_> = seen.iter().map(|(_, vip)| *vip).collect();
        assert_eq!(vips.len(), all, "round {round}");
    }
    let pace = log[1].0 - log[0].0;
    assert_eq!(pace, Duration::from_micros(200));
    assert!(log[2 * all - 1].0 < Duration::from_millis(100), "{:?}", log[2 * all - 1]);
}

fn with(vips: &[&str]) -> VrrpInstance {
    VrrpInstance { addresses: vips.iter().copied().map(vip).collect(), ..config() }
}

/// What is announced while `time` passes: how often each VIP on each interface.
fn announced(bench: &mut Bench, time: Duration) -> BTreeMap<String, usize> {
    let (mut tally, end) = (BTreeMap::new(), bench.now + time);
    while bench.now < end {
        bench.engine.tick(bench.now);
        for effect in bench.engine.effects() {
            if let Effect::Announce { vip, interface } = effect {
                *tally.entry(format!("{vip} {interface}")).or_default() += 1;
            }
        }
        bench.now = bench.engine.deadline(bench.now).map_or(end, |at| at.clamp(bench.now, end));
    }
    tally
}

fn times<const N: usize>(expected: [(&str, usize); N]) -> BTreeMap<String, usize> {
    expected.map(|(what, times)| (what.to_owned(), times)).into()
}

/// Master with the VIPs .45 and .46, and two seconds later another file: what is announced in the ten seconds after that.
fn announced_after_a_reload(then: VrrpInstance) -> BTreeMap<String, usize> {
    let mut bench = Bench::new(with(&["10.0.0.45", "10.0.0.46"]));
    bench.now += Duration::from_secs(4);
    let before = announced(&mut bench, Duration::from_secs(2));
    assert_eq!(before, times([("10.0.0.45 eth0", 5), ("10.0.0.46 eth0", 5)]));
    bench.engine.observe(bench.now, |facts| {
        let device = facts.links[&eth0()].clone();
        facts.links.insert("v4.51.eth0".parse().unwrap(), device);
    });
    bench.engine.configure(bench.now, vec![then], |_| Entry::Listen);
    announced(&mut bench, Duration::from_secs(10))
}

#[test]
fn a_vip_that_has_left_the_file_is_announced_no_more() {
    assert_eq!(announced_after_a_reload(with(&["10.0.0.45"])), times([("10.0.0.45 eth0", 5)]));
}

#[test]
fn a_new_vip_takes_no_announcement_from_the_others() {
    let announced = announced_after_a_reload(with(&["10.0.0.45", "10.0.0.46", "10.0.0.47"]));
    assert_eq!(announced, times([("10.0.0.45 eth0", 5), ("10.0.0.46 eth0", 5), ("10.0.0.47 eth0", 10)]));
}

#[test]
fn vips_that_get_a_hardware_address_of_their_own_are_announced_with_it() {
    let (device, mac) = ("v4.51.eth0".parse().unwrap(), "00:00:5e:00:01:33".parse().unwrap());
    let virtual_mac = Some(VirtualMac { device, mac, advertises: false });
    let announced =
        announced_after_a_reload(VrrpInstance { virtual_mac, ..with(&["10.0.0.45", "10.0.0.46"]) });
    assert_eq!(announced, times([("10.0.0.45 v4.51.eth0", 10), ("10.0.0.46 v4.51.eth0", 10)]));
}
