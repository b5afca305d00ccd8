//! Director and keepalived share a virtual router, in every version that both speak: take-over and give-back both ways, and
//! no advertisement rejected on either side.

use std::time::{Duration, Instant};

use director_lab::segment::Segment;

use super::director::{Director, file};
use super::keepalived::Keepalived;
use super::skip;

/// One way to speak.
#[derive(Clone, Copy)]
struct Case {
    version: u8,
    ipv6: bool,
    /// The type of authentication, by keepalived's word.
    auth: Option<&'static str>,
    unicast: bool,
    interval_ms: u64,
}

impl Case {
    const fn addresses(self) -> (&'static str, &'static str) {
        if self.ipv6 { ("fe80::1/64", "fe80::2/64") } else { ("10.0.0.1/24", "10.0.0.2/24") }
    }

    const fn vips(self) -> &'static [&'static str] {
        if self.ipv6 { &["fe80::45", "2001:db8::45"] } else { &["10.0.0.45", "10.0.0.46"] }
    }

    fn director(self, priority: u8) -> String {
        let vips: Vec<String> = self.vips().iter().map(|vip| format!("\"{vip}\"")).collect();
        let mut text = format!(
            "[[vrrp]]\nname = \"VI_1\"\ninterface = \"eth0\"\nvrid = 51\npriority = {priority}\nversion = {}\n\
             interval = \"{}ms\"\naddresses = [{}]\n",
            self.version,
            self.interval_ms,
            vips.join(", ")
        );
        // The one that starts second learns how keepalived sums; the first has nobody to learn from.
        if self.version == 3 && !self.ipv6 && priority < 200 {
            text.push_str("checksum = \"pseudo-header\"\n");
        }
        if let Some(kind) = self.auth {
            text.push_str(&format!("auth = {{ type = \"{}\", key = \"1111\" }}\n", kind.to_lowercase()));
        }
        if self.unicast {
            text.push_str(&format!("peers = [\"{}\"]\n", self.addresses().1.split('/').next().unwrap()));
        }
        file(self.addresses().0, &text)
    }

    fn keepalived(self, priority: u8) -> String {
        let (ours, theirs) = self.addresses();
        let plain = |address: &str| address.split('/').next().unwrap().to_owned();
        let mut extra = String::new();
        if let Some(kind) = self.auth {
            extra.push_str(&format!("authentication {{\n auth_type {kind}\n auth_pass 1111\n}}\n"));
        }
        if self.unicast {
            extra.push_str(&format!(
                "unicast_src_ip {}\nunicast_peer {{\n {}\n}}\n",
                plain(theirs),
                plain(ours)
            ));
        }
        format!(
            "vrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 51\n priority {priority}\n version {}\n \
             advert_int {}\n {extra} virtual_ipaddress {{\n {}\n }}\n}}\n",
            self.version,
            Duration::from_millis(self.interval_ms).as_secs_f64(),
            self.vips().join("\n ")
        )
    }

    /// Longest time until a silent master is replaced, with room for a busy machine.
    const fn patience(self) -> Duration {
        Duration::from_millis(self.interval_ms * 4 + 1000 + 5000)
    }

    fn pair(self, director: u8, keepalived: u8) -> (Segment, Director, Keepalived) {
        let segment = Segment::new().unwrap();
        let ours = segment.host("director", self.addresses().0).unwrap();
        let theirs = segment.host("keepalived", self.addresses().1).unwrap();
        for host in [&ours, &theirs] {
            // An address that the kernel makes by itself would be another candidate for the source.
            host.namespace().ip("link set eth0 addrgenmode none").unwrap();
        }
        let director = Director::new(&ours, &self.director(director));
        let keepalived = Keepalived::new(&theirs, &self.keepalived(keepalived));
        (segment, director, keepalived)
    }

    /// Both run for a while: nobody changes, nobody complains.
    fn assert_peace(self, director: &Director, keepalived: &Keepalived, master_is_director: bool) {
        self.assert_quiet(director, keepalived, master_is_director);
        director.assert_content();
        keepalived.assert_content();
    }

    fn assert_quiet(self, director: &Director, keepalived: &Keepalived, master_is_director: bool) {
        let marks = (director.log.mark(), keepalived.log.mark());
        std::thread::sleep(Duration::from_millis(self.interval_ms * 3));
        assert_eq!(director.log.count("router state", marks.0), 0, "{}", director.log.text());
        assert_eq!(keepalived.log.count("STATE", marks.1), 0, "{}", keepalived.log.text());
        for vip in self.vips() {
            assert_eq!(director.has(vip), master_is_director, "{vip} at director");
            assert_eq!(keepalived.has(vip), !master_is_director, "{vip} at keepalived");
        }
    }

    /// Director is the better one: it has the VIPs, hands them over when it ends, and takes them back.
    fn director_is_master(self) {
        let (_segment, mut director, mut keepalived) = self.pair(200, 100);
        keepalived.start();
        keepalived.wait_for("MASTER", 0, self.patience());
        director.start();
        let mark = keepalived.log.mark();
        director.wait_for("master", 0, self.patience());
        keepalived.wait_for("BACKUP", mark, self.patience());
        self.assert_peace(&director, &keepalived, true);

        let mark = keepalived.log.mark();
        let asked = Instant::now();
        director.stop();
        let took = keepalived.wait_for("MASTER", mark, self.patience()) - asked;
        eprintln!("{self:?}: keepalived took over {took:?} after director resigned");
        // Its skew is 0.61 of its interval; in version 3 the resignation makes that 6 ms.
        assert!(took < Duration::from_millis(self.interval_ms) + Duration::from_secs(2), "{took:?}");
        for vip in self.vips() {
            assert!(!director.has(vip), "{vip} was left behind");
        }

        let (mark, theirs) = (director.log.mark(), keepalived.log.mark());
        director.start();
        director.wait_for("master", mark, self.patience());
        keepalived.wait_for("BACKUP", theirs, self.patience());
        self.assert_peace(&director, &keepalived, true);
        assert!(director.status()[0].counters["advert_sent"] > 3);
    }

    /// Keepalived is the better one: Director waits, takes over when it ends, and gives back.
    fn director_is_backup(self) {
        let (_segment, mut director, mut keepalived) = self.pair(100, 200);
        director.start();
        director.wait_for("master", 0, self.patience());
        keepalived.start();
        let mark = director.log.mark();
        keepalived.wait_for("MASTER", 0, self.patience());
        director.wait_for("backup", mark.saturating_sub(1), self.patience());
        self.assert_peace(&director, &keepalived, false);

        let mark = director.log.mark();
        let asked = Instant::now();
        keepalived.stop();
        let took = director.wait_for("master", mark, self.patience()) - asked;
        eprintln!("{self:?}: director took over {took:?} after keepalived was told to end");

        let (mark, ours) = (keepalived.log.mark(), director.log.mark());
        keepalived.start();
        keepalived.wait_for("MASTER", mark, self.patience());
        director.wait_for("backup", ours, self.patience());
        self.assert_peace(&director, &keepalived, false);
        let status = &director.status()[0];
        assert!(status.counters["advert_rcvd"] > 3);
        assert_eq!(status.master_priority, Some(200));
        assert_eq!(
            status.peer_checksum.as_deref(),
            (self.version == 3 && !self.ipv6).then_some("pseudo-header")
        );
    }
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let family = if self.ipv6 { "IPv6" } else { "IPv4" };
        let (auth, way) =
            (self.auth.unwrap_or("no authentication"), if self.unicast { " unicast" } else { "" });
        write!(f, "version {} {family} {auth}{way} {} ms", self.version, self.interval_ms)
    }
}

const V2: Case = Case { version: 2, ipv6: false, auth: None, unicast: false, interval_ms: 1000 };
const V3: Case = Case { version: 3, ipv6: false, auth: None, unicast: false, interval_ms: 200 };

macro_rules! both_ways {
    ($($name:ident: $case:expr;)*) => {
        mod master {
            $(#[test] fn $name() { if !super::skip() { super::Case::director_is_master($case) } })*
        }
        mod backup {
            $(#[test] fn $name() { if !super::skip() { super::Case::director_is_backup($case) } })*
        }
    };
}

both_ways! {
    version_2: super::V2;
    version_2_password: super::Case { auth: Some("PASS"), ..super::V2 };
    version_2_header: super::Case { auth: Some("AH"), ..super::V2 };
    version_2_header_unicast: super::Case { auth: Some("AH"), unicast: true, ..super::V2 };
    version_2_unicast: super::Case { unicast: true, ..super::V2 };
    version_3: super::V3;
    version_3_unicast: super::Case { unicast: true, ..super::V3 };
    version_3_ipv6: super::Case { ipv6: true, ..super::V3 };
    version_3_ipv6_unicast: super::Case { ipv6: true, unicast: true, ..super::V3 };
}

/// Without a `checksum` a Director that was there first speaks as RFC 9568 says, which keepalived does not understand; it
/// hears how keepalived sums as soon as that claims the VIP, and answers likewise.
#[test]
fn the_checksum_is_learnt_from_a_keepalived_that_comes_later() {
    if skip() {
        return;
    }
    let (_segment, mut director, mut keepalived) = V3.pair(200, 100);
    director.start();
    director.wait_for("master", 0, V3.patience());
    keepalived.start();
    let mark = keepalived.log.mark();
    keepalived.wait_for("MASTER", 0, V3.patience());
    keepalived.wait_for("BACKUP", mark, V3.patience());
    director.log.wait("checksum as the peer's", 0, V3.patience());
    assert_eq!(director.log.count("state=backup reason=10", 0), 0, "{}", director.log.text());
    V3.assert_quiet(&director, &keepalived, true);
}

/// The master dies without a word: three intervals and the backup's skew, less the part of an interval since it last spoke.
fn assert_gap(who: &str, took: Duration, interval: Duration, priority: u32) {
    let most = 3 * interval + interval * (256 - priority) / 256;
    eprintln!("{who} took over {took:?} after the master died; at most {most:?} by the formula");
    // The clock is read by this program, on a machine with other things to do.
    let slack = Duration::from_millis(150);
    assert!(took + slack >= most - interval, "{who}: {took:?} is too early");
    assert!(took <= most + slack, "{who}: {took:?} is too late, at most {most:?}");
}

#[test]
fn director_replaces_a_dead_keepalived() {
    if skip() {
        return;
    }
    let (_segment, mut director, mut keepalived) = V3.pair(100, 200);
    keepalived.start();
    director.start();
    keepalived.wait_for("MASTER", 0, V3.patience());
    director.wait_until("listening", V3.patience(), |status| status.master_priority == Some(200));
    let mark = director.log.mark();
    let died = Instant::now();
    keepalived.kill();
    let took = director.wait_for("master", mark, V3.patience()) - died;
    assert_gap("director", took, Duration::from_millis(200), 100);
    director.holds(&["10.0.0.45"], &[]);
}

#[test]
fn keepalived_replaces_a_dead_director() {
    if skip() {
        return;
    }
    let (_segment, mut director, mut keepalived) = V3.pair(200, 100);
    keepalived.start();
    director.start();
    director.wait_for("master", 0, V3.patience());
    director.wait_until("alone", V3.patience(), |status| status.counters["advert_sent"] > 5);
    let mark = keepalived.log.mark();
    let died = Instant::now();
    director.kill();
    let took = keepalived.wait_for("MASTER", mark, V3.patience()) - died;
    assert_gap("keepalived", took, Duration::from_millis(200), 100);
}

/// A crash of the worker is no failover: the supervisor starts it again at once, and it goes on.
#[test]
fn a_killed_worker_goes_on_as_master() {
    if skip() {
        return;
    }
    let case = Case { interval_ms: 1000, ..V3 };
    let (_segment, mut director, mut keepalived) = case.pair(200, 100);
    keepalived.start();
    keepalived.wait_for("MASTER", 0, case.patience());
    let mark = keepalived.log.mark();
    director.start();
    director.wait_for("master", 0, case.patience());
    keepalived.wait_for("BACKUP", mark, case.patience());
    let mark = keepalived.log.mark();
    for _ in 0..3 {
        let ours = director.log.mark();
        director.kill();
        assert!(director.has("10.0.0.45"), "the VIP stays in the kernel");
        director.start();
        director.wait_for("master", ours, Duration::from_secs(2));
        assert_eq!(director.log.count("state=backup", ours), 0);
        director.holds(&["10.0.0.45", "10.0.0.46"], &[]);
        std::thread::sleep(Duration::from_millis(case.interval_ms));
    }
    assert_eq!(keepalived.log.count("STATE", mark), 0, "{}", keepalived.log.text());
    case.assert_peace(&director, &keepalived, true);
}

/// Longer dead than the backup waits: somebody else is master, and what was left behind goes.
#[test]
fn a_worker_that_was_dead_too_long_listens_first() {
    if skip() {
        return;
    }
    let (_segment, mut director, mut keepalived) = V3.pair(100, 100);
    director.start();
    director.wait_for("master", 0, V3.patience());
    keepalived.start();
    director.wait_until("alone", V3.patience(), |status| status.counters["advert_sent"] > 5);
    let mark = keepalived.log.mark();
    director.kill();
    keepalived.wait_for("MASTER", mark, V3.patience());
    assert!(director.has("10.0.0.45"));
    let ours = director.log.mark();
    director.start();
    director.wait_for("backup", ours, V3.patience());
    director.log.wait("take VIP 10.0.0.46/32 off eth0", ours, V3.patience());
    V3.assert_peace(&director, &keepalived, false);
}
