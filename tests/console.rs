//! Console dialogues as text files: what is typed and answered, and everything that the terminal shows.
//!
//! `tests/console/NAME.txt` holds the script; lines that begin with `|` are what the terminal shows, rewritten by `UPDATE=1`.
//!
//! ```text
//! # comment            snapshot FILE     what the workers tell from now on
//! > text               a line typed      key x    one key      bytes \x1b[A    raw bytes
//! tick MS              time passes       reply JSON, fail TEXT, told TEXT    the answer to the last order
//! printed TEXT         what a tool prints before it is done
//! | shown              ! ROLE JSON       an order sent
//! manual NAME, manual  what is shown in between is the block `console NAME` of the manual, which UPDATE=1 rewrites, too
//! ```

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use director::console::session::{Answer, Command, Session};
use director::console::snapshot::Snapshot;
use director::ipc::message::{Reply, ServiceStatus, Status};
use director::role::Role;

struct Player {
    session: Session,
    now_ms: u64,
    ordered: bool,
    log: String,
    raw: String,
    /// What was shown between `manual NAME` and `manual`, by name, and where the present one began.
    dialogues: BTreeMap<String, String>,
    named: Option<(String, usize)>,
}

impl Player {
    fn line(&mut self, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "snapshot" => {
                let text = std::fs::read_to_string(folder().join(rest)).unwrap();
                self.session.snapshot = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{rest}: {e}"));
                return;
            }
            ">" => self.session.bytes(format!("{rest}\r").as_bytes()),
            "key" => self.session.bytes(rest.as_bytes()),
            "bytes" => self.session.bytes(&unescape(rest)),
            "tick" => self.now_ms += rest.parse::<u64>().unwrap(),
            "reply" => self.answer(Answer::Reply(serde_json::from_str(rest).unwrap())),
            "fail" => self.answer(Answer::Failed(rest.replace("\\n", "\n"))),
            "told" => self.answer(Answer::Told(rest.replace("\\n", "\n"))),
            "printed" => {
                assert!(self.ordered, "nobody prints anything:\n{}", self.log);
                self.raw.push_str(&format!("{rest}\n"));
                writeln!(self.log, "{}", escape(rest)).unwrap();
                return;
            }
            "manual" => {
                if let Some((name, from)) = self.named.take() {
                    let text = self.raw[from..].trim_start_matches('\n');
                    // The menu that comes back after a dialogue is not part of it.
                    let back = text.rfind("\n\n--- ").filter(|at| text[..*at].contains('\n'));
                    let end = back.unwrap_or(text.len());
                    self.dialogues.insert(name, text[..end].to_owned());
                }
                if !rest.is_empty() {
                    // What is asked stands at the end of what was shown before.
                    let line = self.raw.rfind('\n').map_or(0, |at| at + 1);
                    self.named = Some((rest.to_owned(), line));
                }
                return;
            }
            "hangup" => self.session.reopened(),
            other => panic!("{other:?} is no word of a scenario"),
        }
        let command = self.session.advance(self.now_ms);
        self.go_on(command);
    }

    fn answer(&mut self, answer: Answer) {
        assert!(self.ordered, "nothing was asked that {answer:?} could answer:\n{}", self.log);
        self.ordered = false;
        let command = self.session.answer(answer);
        self.go_on(command);
    }

    fn go_on(&mut self, mut command: Option<Command>) {
        loop {
            let shown = self.session.take_output();
            self.raw.push_str(&shown);
            for line in shown.split_terminator('\n') {
                writeln!(self.log, "{}", escape(line)).unwrap();
            }
            command = match command {
                None => return,
                Some(Command::Ask(role, request)) => {
                    writeln!(self.log, "! {role} {}", serde_json::to_string(&request).unwrap()).unwrap();
                    self.ordered = true;
                    return;
                }
                Some(Command::Do(tool)) => {
                    writeln!(self.log, "! {tool}").unwrap();
                    self.ordered = true;
                    return;
                }
                Some(Command::Verify { hash, pin }) => {
                    let answer = match hash.verify(&pin) {
                        true => Answer::Told(String::new()),
                        false => Answer::Failed("wrong PIN".to_owned()),
                    };
                    self.session.answer(answer)
                }
                Some(Command::Look(_)) => {
                    let next = self.session.answer(Answer::Looked);
                    next.or_else(|| self.session.advance(self.now_ms))
                }
            }
        }
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/console")
}

fn escape(line: &str) -> String {
    let mut out = "| ".to_owned();
    for c in line.chars() {
        match c {
            ' '..='~' => out.push(c),
            c => out.extend(c.escape_default()),
        }
    }
    // A space at the end would be lost in editors.
    match out.strip_suffix(' ') {
        Some("|") => "|".to_owned(),
        Some(rest) => format!("{rest}\\x20"),
        None => out,
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("\\x") {
        out.extend(rest[..at].bytes());
        out.push(u8::from_str_radix(&rest[at + 2..at + 4], 16).unwrap());
        rest = &rest[at + 4..];
    }
    out.extend(rest.bytes());
    out
}

fn play(script: &str) -> Player {
    let clears = script.lines().any(|line| line == "# a screen that clears itself");
    let mut player = Player {
        session: Session::new(clears),
        now_ms: 0,
        ordered: false,
        log: String::new(),
        raw: String::new(),
        dialogues: BTreeMap::new(),
        named: None,
    };
    for line in script.lines().filter(|line| !line.starts_with(['|', '!'])) {
        writeln!(player.log, "{line}").unwrap();
        if !line.is_empty() && !line.starts_with('#') {
            player.line(line);
        }
    }
    player
}

#[test]
fn dialogues() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut played = 0;
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "txt") {
            continue;
        }
        played += 1;
        let script = std::fs::read_to_string(&path).unwrap();
        let log = play(&script).log;
        for line in log.lines().filter_map(|line| line.strip_prefix("| ")) {
            let typed = line.contains(": ") || line.contains('\\');
            if line.len() > 79 && !typed {
                wrong.push(format!("{}: too long for a terminal: {line}", path.display()));
            }
        }
        if update {
            std::fs::write(&path, &log).unwrap();
        } else if log != script {
            let differs = log.lines().zip(script.lines()).find(|(a, b)| a != b);
            wrong.push(format!("{}: first difference (now, wanted): {differs:?}", path.display()));
        }
    }
    assert!(played >= 5, "{played} scenarios");
    assert!(wrong.is_empty(), "{}\nUPDATE=1 rewrites them", wrong.join("\n"));
}

/// The manual shows the console exactly as it is: each block ```console NAME is what a script shows under that name.
#[test]
fn manual() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("doc/manual.md");
    let manual = std::fs::read_to_string(&path).unwrap();
    let mut shown = BTreeMap::new();
    for script in ["manual.txt", "full.txt", "slots.txt", "power.txt"] {
        shown.extend(play(&std::fs::read_to_string(folder().join(script)).unwrap()).dialogues);
    }
    // The view that fills the screen is no dialogue: `console_live` shows that it looks like this.
    let live = std::fs::read_to_string(folder().join("live/manual.txt")).unwrap();
    let picture: Vec<&str> = live.lines().filter_map(|line| line.strip_prefix('|')).collect();
    shown.insert("live".to_owned(), picture.join("\n"));
    let mut out = String::new();
    let mut rest = manual.as_str();
    while let Some(at) = rest.find("```console ") {
        let name_end = at + rest[at..].find('\n').unwrap() + 1;
        let name = rest[at + "```console ".len()..name_end].trim();
        let end = name_end + rest[name_end..].find("```").unwrap();
        let text = shown.remove(name).unwrap_or_else(|| panic!("no script shows the manual's {name:?}"));
        let text: Vec<&str> = text.lines().map(str::trim_end).collect();
        out.push_str(&rest[..name_end]);
        out.push_str(text.join("\n").trim_matches('\n'));
        out.push('\n');
        rest = &rest[end..];
    }
    out.push_str(rest);
    assert!(shown.is_empty(), "the manual does not show {:?}", shown.keys());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &out).unwrap();
        return;
    }
    let differs = out.lines().zip(manual.lines()).find(|(now, then)| now != then);
    assert!(out == manual, "first difference (now, in the manual): {differs:?}; UPDATE=1 rewrites it");
}

/// With 1000 services the status is on the screen in less than 200 ms, built as it is shipped.
#[test]
fn a_thousand_services_are_shown_at_once() {
    let many = std::fs::read_to_string(folder().join("many.json")).unwrap();
    let mut snapshot: Snapshot = serde_json::from_str(&many).unwrap();
    let lvs = snapshot.lvs.as_mut().unwrap();
    let pattern = lvs.services.clone();
    lvs.services = (0..1000)
        .map(|n| ServiceStatus { name: format!("service{n}"), ..pattern[n % pattern.len()].clone() })
        .collect();
    let line = serde_json::to_vec(&Status::Lvs(lvs.clone())).unwrap();
    let mut session = Session::new(false);
    session.snapshot = snapshot;
    session.bytes(b"\r1\r");
    let began = Instant::now();
    // What comes from the worker is read anew each time.
    session.snapshot.put(Role::Lvs, Some(serde_json::from_slice(&line).unwrap()));
    let mut command = session.advance(100);
    while let Some(Command::Look(_)) = command {
        command = session.answer(Answer::Looked).or_else(|| session.advance(100));
    }
    let shown = session.take_output();
    let took = began.elapsed();
    println!("{} services, {} bytes of status: {took:?}", 1000, line.len());
    assert!(shown.contains("press a") && shown.lines().count() < 60, "{shown}");
    // Without optimisation it takes ten times as long, and more on a machine with other work: `image/onlookers` holds the binary that
    // is shipped to the limit.
    let most = Duration::from_millis(if cfg!(debug_assertions) { 20_000 } else { 200 });
    assert!(took < most, "{took:?}");
}

/// Whatever is typed and answered, nothing breaks, and nothing but lines of ASCII comes out.
#[test]
fn noise() {
    let pair = std::fs::read_to_string(folder().join("many.json")).unwrap();
    let mut session = Session::new(false);
    session.snapshot = serde_json::from_str(&pair).unwrap();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for turn in 0..100_000_u64 {
        const LIKELY: &[u8] = b"\r\r\r12345678hfraqyes10.0.0.1/24 \x03\x04\x7f\x1b[A";
        let pick = usize::try_from(random() % LIKELY.len() as u64).unwrap();
        let byte = if turn % 7 == 0 { random().to_ne_bytes()[0] } else { LIKELY[pick] };
        session.bytes(&[byte]);
        let mut command = session.advance(turn * 20);
        while let Some(order) = command {
            let answer = match order {
                Command::Look(_) => Answer::Looked,
                Command::Verify { .. } => Answer::Told(String::new()),
                Command::Do(_) if random() % 2 == 0 => Answer::Failed("no".to_owned()),
                Command::Do(_) => Answer::Told("4 sent, 0 answered".to_owned()),
                Command::Ask(..) if random() % 2 == 0 => Answer::Failed("no\x1b[2J".to_owned()),
                Command::Ask(..) => Answer::Reply(Reply::Ok),
            };
            command = session.answer(answer).or_else(|| session.advance(turn * 20));
        }
        // The view that fills the screen asks for its size, and nobody answers.
        let shown = session.take_output().replace(director::console::live::QUESTION, "");
        assert!(shown.bytes().all(|b| matches!(b, b' '..=b'~' | b'\n' | 7 | 8)), "{shown:?}");
    }
}
