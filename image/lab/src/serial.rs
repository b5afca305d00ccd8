//! A guest's serial line: everything it said, waiting for words, typing.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// What a kernel says that has given up: no expectation waits any longer.
pub const PANIC: &str = "Kernel panic - not syncing";

/// One serial line. What the guest says is read all the time, without escape sequences, and kept in a log as well,
/// each line with the seconds since power-on.
///
/// [`Serial::expect`] reads on from where the last one found its words, as a person does.
#[derive(Debug)]
pub struct Serial {
    shared: Arc<Shared>,
    writer: Mutex<UnixStream>,
    log: PathBuf,
    started: Instant,
    /// Where QEMU takes another one, if it does.
    socket: Option<PathBuf>,
}

#[derive(Debug, Default)]
struct Shared {
    said: Mutex<Said>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Said {
    text: String,
    /// How much of `text` earlier expectations have read.
    read: usize,
    /// Byte for byte as it came.
    raw: Vec<u8>,
    closed: bool,
    /// Which plugging in counts: the end of an earlier one is not the end of the guest.
    plugged: u32,
}

impl Serial {
    /// Takes over `stream`; the log goes to `log`; `started` is power-on.
    ///
    /// # Errors
    /// When the log cannot be written or no thread be started.
    pub fn new(stream: UnixStream, log: &Path, started: Instant) -> Result<Serial> {
        File::create(log).with_context(|| format!("writing {}", log.display()))?;
        let writer = Mutex::new(stream.try_clone().context("serial line")?);
        let serial = Serial { shared: Arc::default(), writer, log: log.to_owned(), started, socket: None };
        serial.attend(stream)?;
        Ok(serial)
    }

    /// Takes over the line that QEMU offers at `socket`, and which can be hung up.
    ///
    /// # Errors
    /// As [`Serial::new`], and when QEMU does not offer it within ten seconds.
    pub fn plug_in(socket: &Path, log: &Path, started: Instant) -> Result<Serial> {
        let serial = Serial::new(connect(socket)?, log, started)?;
        Ok(Serial { socket: Some(socket.to_owned()), ..serial })
    }

    /// Pulls the plug and puts it back: what the guest says meanwhile is lost, as is what was half typed on the wire.
    ///
    /// # Errors
    /// When the line was not made by [`Serial::plug_in`], or QEMU does not take another one.
    pub fn hang_up(&self) -> Result<()> {
        let socket = self.socket.as_ref().context("serial line: it has no plug")?;
        self.said().plugged += 1;
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.shutdown(std::net::Shutdown::Both).context("hanging up")?;
        let stream = connect(socket)?;
        *writer = stream.try_clone().context("serial line")?;
        self.attend(stream)
    }

    fn attend(&self, reader: UnixStream) -> Result<()> {
        let file = File::options().append(true).open(&self.log)?;
        let (sink, file) = (Arc::clone(&self.shared), LogFile { file, started: self.started, fresh: true });
        let plugged = self.said().plugged;
        let listen = move || listen(reader, &sink, file, plugged);
        std::thread::Builder::new().name("serial".into()).spawn(listen).map(drop).context("serial line")
    }

    /// Where the log is kept.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Waits until the guest says `words` and returns what it said before them, since the last expectation.
    ///
    /// # Errors
    /// When it has not said so within `patience`, or when its power went off: with the last lines that it did say.
    pub fn expect(&self, words: &str, patience: Duration) -> Result<String> {
        self.expect_any(&[words], patience).map(|(_, before)| before)
    }

    /// Waits for any of several words; returns which came first, and what was said before.
    ///
    /// # Errors
    /// As [`Serial::expect`].
    pub fn expect_any(&self, words: &[&str], patience: Duration) -> Result<(usize, String)> {
        let end = Instant::now() + patience;
        let mut said = self.said();
        loop {
            if let Some((which, before, after)) = find(said.unread(), words) {
                said.read += after;
                return Ok((which, before));
            }
            let left = end.saturating_duration_since(Instant::now());
            let panicked = said.unread().contains(PANIC);
            if said.closed || panicked || left.is_zero() {
                let why = match (said.closed, panicked) {
                    (true, _) => "the guest's power is off".to_owned(),
                    (_, true) => "its kernel panicked".to_owned(),
                    _ => format!("not within {patience:?}"),
                };
                bail!(
                    "serial line: waiting for {words:?}: {why}; it said last:\n{}\n(all of it: {})",
                    tail(&said.text, 30),
                    self.log.display()
                );
            }
            said = self.shared.more.wait_timeout(said, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until the line is closed, that is until QEMU has ended.
    ///
    /// # Errors
    /// When it is still open after `patience`.
    pub fn expect_end(&self, patience: Duration) -> Result<()> {
        let end = Instant::now() + patience;
        let mut said = self.said();
        while !said.closed {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!(
                    "serial line: the guest still has power after {patience:?}; it said last:\n{}",
                    tail(&said.text, 30)
                );
            }
            said = self.shared.more.wait_timeout(said, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    /// Skips what was said so far: the next expectation wants something new.
    pub fn skip(&self) {
        let mut said = self.said();
        said.read = said.text.len();
    }

    /// Everything that was said.
    pub fn text(&self) -> String {
        self.said().text.clone()
    }

    /// Everything that was said from byte `from` on, with escape sequences and all.
    pub fn raw(&self, from: usize) -> Vec<u8> {
        self.said().raw.get(from..).unwrap_or(&[]).to_vec()
    }

    /// The last `lines` lines that were said.
    pub fn tail(&self, lines: usize) -> String {
        tail(&self.said().text, lines)
    }

    /// Types `keys` as they are.
    ///
    /// # Errors
    /// When QEMU has ended.
    pub fn send(&self, keys: &str) -> Result<()> {
        self.send_bytes(keys.as_bytes())
    }

    /// Types what no keyboard has.
    ///
    /// # Errors
    /// As [`Serial::send`].
    pub fn send_bytes(&self, bytes: &[u8]) -> Result<()> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.write_all(bytes).context("typing on the serial line: the guest's power is off")
    }

    /// Types `line` and presses Enter.
    ///
    /// # Errors
    /// As [`Serial::send`].
    pub fn send_line(&self, line: &str) -> Result<()> {
        self.send(&format!("{line}\r"))
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.shared.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Said {
    fn unread(&self) -> &str {
        self.text.get(self.read..).unwrap_or("")
    }
}

/// The earliest of `words` in `text`: which one, the text before it, and the offset behind it.
fn find(text: &str, words: &[&str]) -> Option<(usize, String, usize)> {
    let places =
        words.iter().enumerate().filter_map(|(which, word)| Some((text.find(word)?, which, word.len())));
    let (at, which, length) = places.min()?;
    Some((which, text.get(..at)?.to_owned(), at + length))
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all.get(all.len().saturating_sub(lines)..).unwrap_or(&[]).join("\n")
}

fn listen(mut reader: impl Read, shared: &Shared, mut log: LogFile, plugged: u32) {
    let mut plain = Plain::default();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = reader.read(&mut buffer) {
        let bytes = buffer.get(..count).unwrap_or(&[]);
        let text = plain.feed(bytes);
        log.write(&text);
        let mut said = shared.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.raw.extend_from_slice(bytes);
        said.text.push_str(&text);
        drop(said);
        shared.more.notify_all();
    }
    let mut said = shared.said.lock().unwrap_or_else(PoisonError::into_inner);
    said.closed |= said.plugged == plugged;
    drop(said);
    shared.more.notify_all();
}

/// QEMU makes the socket when it starts.
fn connect(socket: &Path) -> Result<UnixStream> {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        match UnixStream::connect(socket) {
            Ok(stream) => return Ok(stream),
            Err(error) if Instant::now() > end => {
                return Err(error).with_context(|| format!("serial line: {}", socket.display()));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

struct LogFile {
    file: File,
    started: Instant,
    fresh: bool,
}

impl LogFile {
    /// A log that cannot be written (a full disk) does not stop a test.
    fn write(&mut self, text: &str) {
        let stamp = format!("{:9.3} ", self.started.elapsed().as_secs_f64());
        for piece in text.split_inclusive('\n') {
            if self.fresh {
                let _ = self.file.write_all(stamp.as_bytes());
            }
            let _ = self.file.write_all(piece.as_bytes());
            self.fresh = piece.ends_with('\n');
        }
    }
}

/// Removes what makes a terminal's text unreadable: escape sequences, carriage returns, bytes that are no UTF-8.
#[derive(Debug, Default)]
struct Plain {
    state: Escape,
    pending: Vec<u8>,
}

#[derive(Debug, Default, PartialEq)]
enum Escape {
    #[default]
    None,
    Begun,
    Csi,
}

impl Plain {
    fn feed(&mut self, bytes: &[u8]) -> String {
        for &byte in bytes {
            self.state = match (&self.state, byte) {
                (_, 0x1b) => Escape::Begun,
                (Escape::Begun, b'[') => Escape::Csi,
                (Escape::Begun, b'(' | b')') => Escape::Begun, // character set: one more byte
                (Escape::Csi, 0x20..=0x3f) => Escape::Csi,     // parameters
                (Escape::Begun | Escape::Csi, _) => Escape::None,
                (Escape::None, b'\r' | 0) => Escape::None,
                (Escape::None, _) => {
                    self.pending.push(byte);
                    Escape::None
                }
            };
        }
        let whole = match std::str::from_utf8(&self.pending) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(), // a character that is not complete yet
            _ => self.pending.len(),
        };
        let rest = self.pending.split_off(whole);
        String::from_utf8_lossy(&std::mem::replace(&mut self.pending, rest)).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> (Serial, UnixStream, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Serial::new(ours, &folder.path().join("serial.log"), Instant::now()).unwrap(), theirs, folder)
    }

    #[test]
    fn reads_on_from_the_words_found_last() {
        let (serial, mut guest, _folder) = line();
        guest.write_all(b"boot\r\nlogin: name\r\nlogin: again\r\n").unwrap();
        let patience = Duration::from_secs(5);
        assert_eq!(serial.expect("login:", patience).unwrap(), "boot\n");
        assert_eq!(serial.expect_any(&["again", "login:"], patience).unwrap(), (1, " name\n".into()));
        serial.send_line("x").unwrap();
        let mut typed = [0; 2];
        guest.read_exact(&mut typed).unwrap();
        assert_eq!(&typed, b"x\r");
    }

    #[test]
    fn a_line_that_was_hung_up_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("line");
        let offer = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let serial = Serial::plug_in(&socket, &folder.path().join("serial.log"), Instant::now()).unwrap();
        let (mut guest, _) = offer.accept().unwrap();
        guest.write_all(b"one\n").unwrap();
        let patience = Duration::from_secs(5);
        serial.expect("one", patience).unwrap();
        serial.hang_up().unwrap();
        let (mut guest, _) = offer.accept().unwrap();
        guest.write_all(b"\x1b[mtwo\n").unwrap();
        serial.expect("two", patience).unwrap();
        assert_eq!(serial.raw(4), b"\x1b[mtwo\n");
        drop(guest);
        serial.expect_end(patience).unwrap();
    }

    #[test]
    fn says_what_it_heard_when_the_words_do_not_come() {
        let (serial, mut guest, _folder) = line();
        guest.write_all(b"kernel panic\n").unwrap();
        drop(guest);
        let said = format!("{:#}", serial.expect("login:", Duration::from_secs(5)).unwrap_err());
        assert!(said.contains("power is off") && said.contains("kernel panic"), "{said}");
    }

    #[test]
    fn the_log_has_the_time_of_each_line() {
        let (serial, mut guest, _folder) = line();
        guest.write_all(b"one\ntwo\n").unwrap();
        drop(guest);
        serial.expect_end(Duration::from_secs(5)).unwrap();
        let log = std::fs::read_to_string(serial.log()).unwrap();
        let words: Vec<&str> = log.split_whitespace().collect();
        assert!(words[0].parse::<f64>().is_ok() && words[1] == "one" && words[3] == "two", "{log}");
    }

    #[test]
    fn escape_sequences_and_broken_characters_disappear() {
        let mut plain = Plain::default();
        assert_eq!(plain.feed(b"\x1b[2J\x1b[01;31mred\x1b[0m\r\n\x1b(B\x1b7ok \xc3"), "red\nok ");
        assert_eq!(plain.feed(b"\xa4\xff!"), "ä\u{fffd}!");
    }
}
