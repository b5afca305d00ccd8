//! Records what the keepalived of this machine says beside a Director, for `tests/vrrp/captures`: only when asked for, by
//! `cargo test --test vrrp_keepalived record -- --ignored`. `UPDATE=1 cargo test --test vrrp captures` then writes down what a
//! Director makes of it.

use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use director_lab::capture::Capture;
use director_lab::frame::{Said, said};
use director_lab::segment::Segment;

use super::director::{Director, file};
use super::keepalived::Keepalived;

const PATIENCE: Duration = Duration::from_secs(20);

/// One way to speak.
#[derive(Clone, Copy)]
struct Way {
    name: &'static str,
    version: u8,
    ipv6: bool,
    auth: Option<&'static str>,
}

const WAYS: [Way; 5] = [
    Way { name: "v2", version: 2, ipv6: false, auth: None },
    Way { name: "v2-pass", version: 2, ipv6: false, auth: Some("PASS") },
    Way { name: "v2-ah", version: 2, ipv6: false, auth: Some("AH") },
    Way { name: "v3", version: 3, ipv6: false, auth: None },
    Way { name: "v3-ipv6", version: 3, ipv6: true, auth: None },
];

impl Way {
    const fn own(self) -> &'static str {
        if self.ipv6 { "fe80::1/64" } else { "10.0.0.1/24" }
    }

    const fn theirs(self) -> &'static str {
        if self.ipv6 { "fe80::2/64" } else { "10.0.0.2/24" }
    }

    const fn vips(self) -> [&'static str; 2] {
        if self.ipv6 { ["fe80::45", "2001:db8::45"] } else { ["10.0.0.45", "10.0.0.46"] }
    }

    const fn other(self) -> &'static str {
        if self.ipv6 { "2001:db8::47" } else { "10.0.0.47" }
    }

    fn director(self, priority: u8) -> String {
        let mut router = format!(
            "[[vrrp]]\nname = \"VI_1\"\ninterface = \"eth0\"\nvrid = 51\npriority = {priority}\nversion = {}\n\
             interval = \"1s\"\naddresses = [\"{}\"]\ngarp = {{ repeat = 1, delay = \"0s\" }}\n",
            self.version,
            self.vips().join("\", \"")
        );
        if let Some(kind) = self.auth {
            writeln!(router, "auth = {{ type = \"{}\", key = \"1111\" }}", kind.to_lowercase()).unwrap();
        }
        if self.version == 3 && !self.ipv6 {
            router.push_str("checksum = \"pseudo-header\"\n");
        }
        file(self.own(), &router)
    }

    fn keepalived(self, priority: u8, vips: [&str; 2]) -> String {
        let auth = self.auth.map_or_else(String::new, |kind| {
            format!("authentication {{\n auth_type {kind}\n auth_pass 1111\n}}\n")
        });
        format!(
            "vrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 51\n priority {priority}\n version {}\n \
             advert_int 1\n {auth} virtual_ipaddress {{\n {}\n }}\n}}\n",
            self.version,
            vips.join("\n ")
        )
    }
}

struct Stage {
    _segment: Segment,
    way: Way,
    wire: Capture,
    director: Director,
    keepalived: Keepalived,
    text: String,
    start: Duration,
}

impl Stage {
    fn new(way: Way, ours: u8, theirs: u8) -> Self {
        let segment = Segment::new().unwrap();
        let (one, two) =
            (segment.host("director", way.own()).unwrap(), segment.host("keepalived", way.theirs()).unwrap());
        for host in [&one, &two] {
            host.namespace().ip("link set eth0 addrgenmode none").unwrap();
        }
        let text = way.director(ours);
        let wire = Capture::start(segment.host("witness", "10.0.0.9/24").unwrap().namespace()).unwrap();
        let director = Director::new(&one, &text);
        let keepalived = Keepalived::new(&two, &way.keepalived(theirs, way.vips()));
        Self { _segment: segment, way, wire, director, keepalived, text, start: Duration::ZERO }
    }

    /// Director begins: that is zero on the clock.
    fn begin(&mut self) {
        let mark = self.director.log.mark();
        self.director.start();
        let since = self.director.log.wait("state=backup reason=started", mark, PATIENCE).elapsed();
        self.start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() - since;
    }

    /// Does something, and waits until Director is in `state` because of it.
    fn until(&mut self, state: &str, act: impl FnOnce(&mut Self)) {
        let mark = self.director.log.mark();
        act(self);
        self.director.wait_for(state, mark, PATIENCE);
    }

    /// What keepalived has said, under its story.
    fn write(self, story: &str, about: &str) {
        let from: IpAddr = self.way.theirs().split('/').next().unwrap().parse().unwrap();
        let mut text = format!("# {about}\n# What keepalived 2.2.7 said was recorded.\n{}---\n", self.text);
        for frame in self.wire.frames(0) {
            if let Some(Said::Advert { source, .. }) = said(&frame.bytes).filter(|_| frame.at >= self.start)
                && source == from
            {
                let at = (frame.at - self.start).as_secs_f64();
                let words = frame.bytes[14..].chunks(2);
                let hex: Vec<String> =
                    words.map(|word| word.iter().map(|byte| format!("{byte:02x}")).collect()).collect();
                writeln!(text, "@{at:.6} {}", hex.join(" ")).unwrap();
            }
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        writeln!(text, "@{:.6} end", (now - self.start).as_secs_f64()).unwrap();
        let name = format!("tests/vrrp/captures/{}-{story}.txt", self.way.name);
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(name), text).unwrap();
    }
}

fn pause() {
    std::thread::sleep(Duration::from_millis(1500));
}

/// It takes over, resigns, comes back and takes over again, and dies.
fn better(way: Way) {
    let mut stage = Stage::new(way, 100, 200);
    stage.begin();
    stage.director.wait_for("master", 0, PATIENCE);
    stage.until("backup", |stage| stage.keepalived.start());
    pause();
    stage.until("master", |stage| stage.keepalived.stop());
    pause();
    stage.until("backup", |stage| stage.keepalived.start());
    pause();
    stage.until("master", |stage| stage.keepalived.kill());
    pause();
    stage.write("takes-over", "The other one takes over, resigns, takes back what it gave, and dies.");
}

/// It was there first, and gives way.
fn worse(way: Way) {
    let mut stage = Stage::new(way, 200, 100);
    stage.keepalived.start();
    stage.keepalived.wait_for("MASTER", 0, PATIENCE);
    stage.begin();
    stage.director.wait_for("master", 0, PATIENCE);
    pause();
    stage.write("gives-way", "The other one was there first, has a lower priority, and gives way.");
}

/// Its VIPs change while it is master, those of our router do not.
fn rolling(way: Way) {
    let mut stage = Stage::new(way, 100, 200);
    stage.keepalived.start();
    stage.keepalived.wait_for("MASTER", 0, PATIENCE);
    stage.begin();
    pause();
    let next = way.keepalived(200, [way.vips()[0], way.other()]);
    stage.keepalived.reload(&next);
    let deadline = Instant::now() + PATIENCE;
    while !stage.keepalived.has(way.other()) {
        assert!(Instant::now() < deadline, "{}", stage.keepalived.log.text());
        std::thread::sleep(Duration::from_millis(50));
    }
    pause();
    pause();
    stage.write(
        "other-vips",
        "The VIPs of the other one change while it is master, ours do not: nobody is master but it.",
    );
}

#[test]
#[ignore = "writes tests/vrrp/captures anew"]
fn record_keepalived() {
    director_lab::preflight::namespaces().unwrap();
    std::thread::scope(|scope| {
        for way in WAYS {
            scope.spawn(move || better(way));
            scope.spawn(move || worse(way));
        }
        for way in [WAYS[0], WAYS[3], WAYS[4]] {
            scope.spawn(move || rolling(way));
        }
    });
}
