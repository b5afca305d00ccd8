//! The live view that fills the screen: recorded pictures, and what is sent for them.
//!
//! `tests/console/live/NAME.txt` holds the script; lines that begin with `|` are the picture, rewritten by `UPDATE=1`.
//!
//! ```text
//! # comment          snapshot FILE     what the workers tell from now on, of tests/console
//! size 80 24         columns and lines
//! key x              a character, or Enter, Up, Down, PageUp, PageDown, Home, End, Esc, Erase
//! type TEXT          each of its characters
//! pass MS N          time passes, and each server has had N connections more
//! picture            what is on the screen now
//! ```

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use director::console::keys::Key;
use director::console::live::draw::draw;
use director::console::live::painter::Painter;
use director::console::live::{Act, Live};
use director::console::session::{Answer, Command, Session};
use director::console::snapshot::Snapshot;
use director::ipc::message::ServiceStatus;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/console")
}

fn known(file: &str) -> Snapshot {
    let text = std::fs::read_to_string(folder().join(file)).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn key(word: &str) -> Key {
    match word {
        "Enter" => Key::Enter,
        "Up" => Key::Up,
        "Down" => Key::Down,
        "PageUp" => Key::PageUp,
        "PageDown" => Key::PageDown,
        "Home" => Key::Home,
        "End" => Key::Last,
        "Esc" => Key::Escape,
        "Erase" => Key::Erase,
        word => Key::Char(word.chars().next().unwrap()),
    }
}

/// Time passes, and connections come.
fn pass(snapshot: &mut Snapshot, milliseconds: u64, connections: u64) {
    snapshot.init.as_mut().unwrap().uptime_ms += milliseconds;
    snapshot.clock_ms = snapshot.clock_ms.map(|ms| ms + milliseconds);
    for router in snapshot.vrrp.iter_mut().flat_map(|vrrp| &mut vrrp.instances) {
        router.since_ms += milliseconds;
    }
    for service in snapshot.lvs.iter_mut().flat_map(|lvs| &mut lvs.services) {
        for server in &mut service.servers {
            server.connections += connections;
            service.connections += connections;
        }
    }
}

/// ratatui's own terminal for tests: the picture in lines.
fn lines(live: &mut Live, snapshot: &Snapshot, (columns, lines): (u16, u16)) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(columns, lines)).unwrap();
    let view = live.view(snapshot, lines);
    terminal.draw(|frame| draw(frame, &view)).unwrap();
    let cells = terminal.backend().buffer().content();
    cells.chunks(columns.into()).map(|row| row.iter().map(|cell| cell.symbol()).collect()).collect()
}

fn play(script: &str) -> String {
    let (mut live, mut snapshot, mut size) = (Live::default(), Snapshot::default(), (80, 24));
    let mut log = String::new();
    for line in script.lines().filter(|line| !line.starts_with('|')) {
        writeln!(log, "{line}").unwrap();
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "" | "#" => {}
            "snapshot" => {
                snapshot = known(rest);
                live.heard(&snapshot);
            }
            "size" => {
                let (columns, lines) = rest.split_once(' ').unwrap();
                size = (columns.parse().unwrap(), lines.parse().unwrap());
            }
            "key" => assert_eq!(live.key(key(rest)), Act::Stay),
            "type" => rest.chars().for_each(|c| assert_eq!(live.key(Key::Char(c)), Act::Stay)),
            "pass" => {
                let (time, connections) = rest.split_once(' ').unwrap();
                pass(&mut snapshot, time.parse().unwrap(), connections.parse().unwrap());
                live.heard(&snapshot);
            }
            "picture" => {}
            other => panic!("{other:?} is no word of a scenario"),
        }
        // Each is drawn, as on a terminal: what a key means depends on what is seen.
        let picture = lines(&mut live, &snapshot, size);
        if word == "picture" {
            for line in picture {
                writeln!(log, "{}", format!("| {line}").trim_end()).unwrap();
            }
        }
    }
    log
}

#[test]
fn pictures() {
    let update = std::env::var_os("UPDATE").is_some();
    let (mut played, mut wrong) = (0, Vec::new());
    for entry in std::fs::read_dir(folder().join("live")).unwrap() {
        let path = entry.unwrap().path();
        played += 1;
        let script = std::fs::read_to_string(&path).unwrap();
        let log = play(&script);
        if update {
            std::fs::write(&path, &log).unwrap();
        } else if log != script {
            let differs = log.lines().zip(script.lines()).find(|(a, b)| a != b);
            wrong.push(format!("{}: first difference (now, wanted): {differs:?}", path.display()));
        }
    }
    assert!(played >= 4, "{played} scenarios");
    assert!(wrong.is_empty(), "{}\nUPDATE=1 rewrites them", wrong.join("\n"));
}

/// As much of a VT100 as the painter needs; anything else is a fault.
struct Vt100 {
    size: (usize, usize),
    cells: Vec<Vec<char>>,
    at: (usize, usize),
}

impl Vt100 {
    fn new(size: (u16, u16)) -> Self {
        let size = (usize::from(size.0), usize::from(size.1));
        Self { size, cells: vec![vec!['#'; size.0]; size.1], at: (0, 0) }
    }

    fn take(&mut self, text: &str) {
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            rest = &rest[1..];
            if let Some(sequence) = rest.strip_prefix('[').filter(|_| c == '\x1b') {
                let end = sequence.find(|c: char| c.is_ascii_alphabetic()).unwrap();
                let numbers: Vec<usize> =
                    sequence[..end].split(';').map(|n| n.parse().unwrap_or_default()).collect();
                self.code(&sequence[end..=end], &numbers);
                rest = &sequence[end + 1..];
            } else {
                assert!((' '..='~').contains(&c), "{c:?} in {text:?}");
                let (x, y) = self.at;
                assert!(x + 1 < self.size.0, "the last column is left free: {text:?}");
                self.cells[y][x] = c;
                self.at = (x + 1, y);
            }
        }
    }

    fn code(&mut self, last: &str, numbers: &[usize]) {
        let number = |n: usize| numbers.get(n).copied().unwrap_or_default().max(1);
        match last {
            "H" => self.at = (number(1) - 1, number(0) - 1),
            "C" => self.at.0 += number(0),
            "J" => self.cells.iter_mut().for_each(|row| row.fill(' ')),
            "m" => {}
            other => panic!("no code of a VT100 that is needed: {other}"),
        }
        assert!(self.at.0 < self.size.0 && self.at.1 < self.size.1, "{:?}", self.at);
    }

    fn lines(&self) -> Vec<String> {
        self.cells.iter().map(|row| row.iter().collect()).collect()
    }
}

fn random() -> impl FnMut() -> u64 {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    }
}

/// Whatever is typed and whatever changes: a VT100 that is sent nothing but the changes shows the picture that it should.
#[test]
fn changes_add_up_to_the_picture() {
    const KEYS: &[&str] = &[
        "j", "k", "Down", "Up", "PageDown", "PageUp", "Home", "End", "Enter", "e", "/", "w", "8", "Esc",
        "Enter", "?", "Erase",
    ];
    let mut random = random();
    let snapshots = ["pair.json", "many.json", "absent.json", "safe.json"].map(known);
    for size in [(80, 24), (132, 50), (40, 8), (20, 5)] {
        let (mut live, mut twin) = (Live::default(), Live::default());
        let (mut painter, mut vt100) = (Painter::new(size), Vt100::new(size));
        let mut snapshot = snapshots[0].clone();
        for turn in 0..250 {
            match random() % 16 {
                0 => snapshot = snapshots[usize::try_from(random() % 4).unwrap()].clone(),
                1 if snapshot.init.is_some() => pass(&mut snapshot, 1_000, random() % 50),
                2 => painter.afresh(size),
                _ => {
                    let key = key(KEYS[usize::try_from(random() % KEYS.len() as u64).unwrap()]);
                    assert_eq!(live.key(key), Act::Stay);
                    twin.key(key);
                }
            }
            live.heard(&snapshot);
            twin.heard(&snapshot);
            vt100.take(&painter.paint(&mut live, &snapshot));
            assert_eq!(vt100.lines(), lines(&mut twin, &snapshot, size), "turn {turn} at {size:?}");
        }
    }
}

/// A line of 9600 baud carries 960 bytes a second.
#[test]
fn a_second_of_an_ordinary_box_fits_a_slow_line() {
    let mut snapshot = known("full.json");
    let (mut live, mut painter) = (Live::default(), Painter::new((80, 24)));
    let whole = painter.paint(&mut live, &snapshot).len();
    for word in ["e", "Down", "Down"] {
        live.key(key(word));
        painter.paint(&mut live, &snapshot);
    }
    let mut most = 0;
    for second in 0..60 {
        pass(&mut snapshot, 1_000, 17 + second % 5);
        for (n, server) in
            snapshot.lvs.iter_mut().flat_map(|it| &mut it.services).flat_map(|it| &mut it.servers).enumerate()
        {
            (server.active, server.inactive) =
                (server.active + u32::try_from(n % 3).unwrap(), server.inactive + 11);
        }
        live.heard(&snapshot);
        most = most.max(painter.paint(&mut live, &snapshot).len());
    }
    let still = painter.paint(&mut live, &snapshot).len();
    live.key(Key::Down);
    let step = painter.paint(&mut live, &snapshot).len();
    println!(
        "the first picture {whole} bytes, a second at most {most}, a step of the cursor {step}, nothing new {still}"
    );
    assert!(whole < 2_400, "{whole} bytes for the first picture");
    assert!(most > 0 && most < 480, "{most} bytes for a second");
    assert!(step < 32 && still < 16, "{step} bytes for a step, {still} for nothing");
}

/// With 1000 services of 10 servers, all of them open, a picture takes no longer than the status line by line.
#[test]
fn ten_thousand_servers() {
    let mut snapshot = known("many.json");
    let lvs = snapshot.lvs.as_mut().unwrap();
    let pattern = lvs.services[0].clone();
    let servers: Vec<_> = pattern.servers.iter().cycle().take(10).cloned().collect();
    lvs.services = (0..1_000)
        .map(|n| ServiceStatus { name: format!("service{n}"), servers: servers.clone(), ..pattern.clone() })
        .collect();
    let (mut live, mut painter) = (Live::default(), Painter::new((80, 24)));
    painter.paint(&mut live, &snapshot);
    live.key(Key::Char('e'));
    live.heard(&snapshot);
    let began = std::time::Instant::now();
    painter.paint(&mut live, &snapshot);
    let took = began.elapsed();
    println!("{took:?}");
    let most = std::time::Duration::from_millis(if cfg!(debug_assertions) { 4_000 } else { 200 });
    assert!(took < most, "{took:?}");
    let often = (0..10).filter(|_| live.roles(&snapshot).contains(&director::role::Role::Lvs)).count();
    assert_eq!(often, 2, "the megabytes of their status are asked for every fifth second");
}

/// Answers whatever it is asked, and gives what is shown.
fn go(session: &mut Session, mut command: Option<Command>, now_ms: u64) -> String {
    while let Some(order) = command {
        assert!(matches!(order, Command::Look(_)), "{order:?}");
        command = session.answer(Answer::Looked).or_else(|| session.advance(now_ms));
    }
    session.take_output()
}

fn at(session: &mut Session, bytes: &[u8], now_ms: u64) -> String {
    session.bytes(bytes);
    let command = session.advance(now_ms);
    go(session, command, now_ms)
}

#[test]
fn a_terminal_is_asked_for_its_size_and_left_as_it_was() {
    let mut session = Session::new(false);
    session.snapshot = known("pair.json");
    assert!(!at(&mut session, b"\r1\r", 0).contains('\x1b'), "nobody has asked for it");
    assert!(at(&mut session, b"f", 100).ends_with("\x1b7\x1b[999;999H\x1b[6n\x1b8"));
    assert_eq!(at(&mut session, b"x", 200), "", "what is typed meanwhile is not for it");
    let mut vt100 = Vt100::new((100, 30));
    vt100.take(&at(&mut session, b"\x1b[30;100R", 300));
    assert_eq!(vt100.lines().len(), 30);
    assert!(vt100.lines()[0].starts_with(" lb1  Director 0.1.0"), "{:?}", vt100.lines());
    assert!(vt100.lines()[29].starts_with(" q leave"), "{:?}", vt100.lines());
    vt100.take(&at(&mut session, b"", 1_400));
    let end = at(&mut session, b"q", 1_500);
    let menu = end.strip_prefix("\x1b[m\x1b[30H\n").unwrap();
    assert!(menu.contains("--- lb1 ---") && !menu.contains('\x1b'), "{end:?}");
}

#[test]
fn a_terminal_that_does_not_answer_gets_lines() {
    let mut session = Session::new(false);
    session.snapshot = known("pair.json");
    at(&mut session, b"\r1\rf", 0);
    assert_eq!(at(&mut session, b"", 1_400), "");
    let shown = at(&mut session, b"", 1_600);
    assert!(shown.starts_with("This terminal does not tell its size"), "{shown:?}");
    assert!(shown.contains("VI_1  MASTER") && !shown.contains('\x1b'), "{shown:?}");
    let shown = at(&mut session, b"\x1b[24;80R", 1_700);
    assert!(!shown.contains('\x1b'), "an answer that comes too late changes nothing: {shown:?}");
}

/// What the kernel knows of a window counts more than an answer, and its changes are followed.
#[test]
fn a_window_that_changes() {
    let mut session = Session::watching(true);
    session.window(Some((90, 25)));
    session.snapshot = known("pair.json");
    assert!(at(&mut session, b"", 0).ends_with("\x1b[6n\x1b8"));
    let mut vt100 = Vt100::new((90, 25));
    vt100.take(&at(&mut session, b"\x1b[25;90R", 100));
    assert!(vt100.lines()[24].starts_with(" q leave"), "{:?}", vt100.lines());
    session.window(Some((60, 10)));
    let mut vt100 = Vt100::new((60, 10));
    vt100.take(&at(&mut session, b"", 1_200));
    assert!(vt100.lines()[9].starts_with(" q leave"), "{:?}", vt100.lines());
    assert!(at(&mut session, b"\x03", 1_300).ends_with("\x1b[10H\n") && session.is_ended());
}
