//! Somebody at the serial line of a box: reads prompts, answers them, makes noise, and remembers what the menus offered.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use director_lab::guest::Guest;

use super::entries::questions::Questions;
use super::manual::{Turn, agree, width};
use super::site::PATIENCE;

/// The prompt of the first menu.
pub const MAIN: &str = "Choose a number, h for help, an empty line to leave: ";
/// That of the others.
pub const BELOW: &str = "Choose a number, h for help, an empty line = back: ";
/// What the idle console ends with.
pub const INVITATION: &str = "Press Enter to activate this console.";
/// The prompt of a console with a PIN.
pub const PIN: &str = "PIN: ";

/// Columns and lines of a dumb terminal; the last column of many wraps, and the prompt takes a line.
const COLUMNS: usize = 79;
const LINES: usize = 23;

const INTERRUPT: &str = "\x03";
const ERASE_LINE: &str = "\x15";
const REDRAW: &str = "\x0c";

/// Escape sequences that terminals send by themselves or for a key: arrows, function keys, answers to questions, the mouse,
/// a pasted text; and one that never ends.
const SEQUENCES: &str = "\x1b[A\x1b[15;2~\x1bOP\x1b[?62;22c\x1b[24;80R\x1b[<0;10;10M\x1b[200~x\x1b[201~\x1b]0;title\x07\x1b[0000000000000000000000000000000000000000";

/// A person at a console.
pub struct Person<'g> {
    guest: &'g mut Guest,
    pin: Option<&'static str>,
    noisy: bool,
    /// The prompt at which the cursor is; empty while it is not known.
    at: String,
    title: String,
    offered: BTreeSet<(String, String)>,
    entered: BTreeSet<(String, String)>,
    /// What was entered last, and the whole line at which the cursor is.
    entry: String,
    line: String,
    questions: Questions,
    tall: Vec<String>,
}

impl<'g> Person<'g> {
    /// Sits down.
    pub fn new(guest: &'g mut Guest) -> Person<'g> {
        let (offered, entered) = (BTreeSet::new(), BTreeSet::new());
        let at = INVITATION.to_owned();
        Person {
            guest,
            pin: None,
            noisy: false,
            at,
            title: String::new(),
            offered,
            entered,
            entry: String::new(),
            line: String::new(),
            questions: Questions::default(),
            tall: Vec::new(),
        }
    }

    /// The box.
    pub fn guest(&mut self) -> &mut Guest {
        self.guest
    }

    /// From now on the console asks for this.
    pub fn knows(&mut self, pin: &'static str) {
        self.pin = Some(pin);
    }

    /// Whether there is noise at each prompt before its answer.
    pub fn noisy(&mut self, noisy: bool) {
        self.noisy = noisy;
    }

    /// Waits for a prompt and returns what was shown before it.
    ///
    /// # Errors
    /// When it does not come.
    pub fn hear(&mut self, prompt: &str) -> Result<String> {
        self.hear_any(&[prompt]).map(|(_, shown)| shown)
    }

    /// Waits for the first of several prompts; which, and what was shown before it.
    ///
    /// # Errors
    /// When none comes.
    pub fn hear_any(&mut self, prompts: &[&str]) -> Result<(usize, String)> {
        let (which, shown) = self.guest.serial().expect_any(prompts, PATIENCE)?;
        self.notice(&shown);
        let prompt = prompts.get(which).copied().unwrap_or_default();
        prompt.clone_into(&mut self.at);
        self.line = format!("{}{prompt}", shown.rsplit('\n').next().unwrap_or_default());
        if ![INVITATION, PIN].contains(&prompt) {
            self.questions.heard(&self.entry, &self.line);
        }
        Ok((which, shown))
    }

    /// Answers `prompt`, at which the cursor is.
    ///
    /// # Errors
    /// When noise has changed something.
    pub fn answer(&mut self, prompt: &str, text: &str) -> Result<()> {
        if [MAIN, BELOW].contains(&prompt) {
            self.entered.insert((self.title.clone(), text.to_owned()));
        }
        self.answered(text);
        if self.noisy {
            self.disturb(prompt).with_context(|| format!("noise at {prompt:?}"))?;
        }
        self.at.clear();
        self.guest.serial().send_line(text)
    }

    /// Presses a key at a view that takes each at once, after what is no key, if there is noise.
    ///
    /// # Errors
    /// When the guest's power is off.
    pub fn view(&mut self, key: &str) -> Result<()> {
        self.answered(key);
        if self.noisy {
            let serial = self.guest.serial();
            serial.send_bytes(&garbage())?;
            serial.send(KEYLESS)?;
            serial.send_bytes(&[0x80; LONG])?;
            self.guest.send_break()?;
            self.guest.serial().hang_up()?;
        }
        self.press(if key == "space" { " " } else { key })
    }

    /// Nothing but Enter wakes the console up.
    ///
    /// # Errors
    /// What did.
    pub fn idles(&mut self) -> Result<()> {
        let serial = self.guest.serial();
        serial.send_bytes(&garbage())?;
        serial.send(SEQUENCES)?;
        serial.send(&format!("{}{INTERRUPT}{ERASE_LINE}{REDRAW}", "1".repeat(LONG)))?;
        self.guest.send_break()?;
        self.guest.serial().send("b")?;
        self.guest.serial().hang_up()?;
        self.press("\r")?;
        let said = self.hear(MAIN)?;
        ensure!(
            !said.contains(MAIN) && said.matches("--- ").count() == 1,
            "noise was taken for words:\n{said}"
        );
        Ok(())
    }

    /// What was asked, and which of it was answered.
    pub const fn questions(&self) -> &Questions {
        &self.questions
    }

    fn answered(&mut self, answer: &str) {
        self.questions.answered(&self.entry, &self.line, answer, self.noisy);
        if [MAIN, BELOW].contains(&self.at.as_str()) {
            self.entry = format!("{} {answer}", self.title);
        }
    }

    /// Presses a key at a view that takes each at once.
    ///
    /// # Errors
    /// When the guest's power is off.
    pub fn press(&mut self, key: &str) -> Result<()> {
        self.at.clear();
        self.guest.serial().send(key)
    }

    /// To the first menu: from the idle console, from another menu, from a question.
    ///
    /// # Errors
    /// When Ctrl-C does not lead there.
    pub fn home(&mut self) -> Result<()> {
        if self.at == INVITATION {
            self.press("\r")?;
            if self.hear_any(&[MAIN, PIN])?.0 == 1 {
                self.guest.serial().send_line(self.pin.context("a PIN is asked for")?)?;
                self.hear(MAIN)?;
            }
        }
        for _ in 0..4 {
            if self.at == MAIN {
                return Ok(());
            }
            self.press(INTERRUPT)?;
            self.hear_any(&[MAIN, BELOW])?;
        }
        bail!("Ctrl-C does not lead to the menu")
    }

    /// To the prompt at which a dialogue begins: of the first menu, or of the one below it with this number.
    ///
    /// # Errors
    /// When the menu does not come.
    pub fn go(&mut self, first: &str, below: &str) -> Result<()> {
        self.home()?;
        if first == BELOW {
            self.guest.serial().send_line(below)?;
            self.hear(BELOW)?;
        }
        Ok(())
    }

    /// Plays a dialogue as the manual has it, from its first prompt, at which the cursor is. At its end the cursor is at the last
    /// prompt, or at a menu's.
    ///
    /// # Errors
    /// The prompt that did not come; else everything that differs.
    pub fn play(&mut self, turns: &[Turn]) -> Result<()> {
        let mut typed: Option<&str> = None;
        let mut differs = Vec::new();
        for turn in turns {
            if let Some(typed) = typed {
                let mut shown = match turn.prompt.as_str() {
                    "" => self.hear_any(&[MAIN, BELOW])?.1,
                    prompt => self.hear(prompt)?,
                };
                // A person takes longer to read what a change does.
                let end = Instant::now() + PATIENCE;
                while shown.contains("Not done: confirm: the change is being applied") && Instant::now() < end
                {
                    std::thread::sleep(Duration::from_millis(500));
                    self.answer(&turn.prompt, typed)?;
                    shown = self.hear(&turn.prompt)?;
                }
                let shown = after_echo(&shown, typed)?;
                let back = shown.rfind("\n--- ").filter(|_| turn.prompt.is_empty()).unwrap_or(shown.len());
                if let Err(error) = agree(&turn.shown, shown.get(..back).unwrap_or(shown)) {
                    differs.push(format!("after answering {typed:?}: {error:#}"));
                }
            }
            let Some(answer) = &turn.answer else { break };
            self.answer(&turn.prompt, answer)?;
            typed = Some(answer);
        }
        ensure!(differs.is_empty(), "{}", differs.join("\n"));
        Ok(())
    }

    /// To the idle console after something went wrong, to try the next thing.
    ///
    /// # Errors
    /// When the guest's power is off.
    pub fn recover(&mut self) -> Result<()> {
        for _ in 0..4 {
            self.press(INTERRUPT)?;
            std::thread::sleep(Duration::from_millis(700));
        }
        self.guest.serial().skip();
        INVITATION.clone_into(&mut self.at);
        Ok(())
    }

    /// What the menus offered and nobody has entered.
    pub fn missed(&self) -> Vec<String> {
        self.offered.difference(&self.entered).map(|(menu, entry)| format!("{menu}: {entry}")).collect()
    }

    /// That what was said since byte `from` fits a dumb terminal of 80 columns and 24 lines.
    ///
    /// # Errors
    /// What does not.
    pub fn fits(&self, from: usize) -> Result<()> {
        let raw = self.guest.serial().raw(from);
        let odd = raw.iter().position(|byte| !matches!(byte, b' '..=b'~' | b'\r' | b'\n' | 7 | 8));
        if let Some(at) = odd {
            let around = raw.get(at.saturating_sub(40)..(at + 40).min(raw.len())).unwrap_or(&[]);
            bail!("a byte that no dumb terminal understands: {:?}", String::from_utf8_lossy(around));
        }
        let text = String::from_utf8(raw)?;
        // Echo and what erases it are the operator's own.
        let own = text.lines().map(str::trim_end).filter(|line| !line.contains(['\x07', '\x08']));
        let wide: Vec<&str> = own.filter(|line| width(line) > COLUMNS).collect();
        ensure!(wide.is_empty(), "wider than {COLUMNS} columns:\n{}", wide.join("\n"));
        ensure!(self.tall.is_empty(), "more than a screen at once:\n{}", self.tall.join("\n=====\n"));
        Ok(())
    }

    /// Whatever may come over a line, and a plug that is pulled: afterwards the prompt is there, and nothing was answered.
    fn disturb(&mut self, prompt: &str) -> Result<()> {
        let serial = self.guest.serial();
        serial.send_bytes(&garbage())?;
        serial.send(SEQUENCES)?;
        serial.send(&"x".repeat(LONG))?;
        serial.send(ERASE_LINE)?;
        // A break and a letter are a command to some kernels: this one would start again.
        self.guest.send_break()?;
        self.guest.serial().send("b")?;
        self.asked_again(prompt).context("after noise")?;
        self.guest.serial().send("half a li")?;
        self.guest.serial().hang_up()?;
        self.asked_again(prompt).context("after a hang-up")
    }

    /// Erases what was typed and has the question shown anew. QEMU's line has been seen to stand still for half a minute after it was
    /// plugged in again on a machine with ten times more to do than it can: a person presses the keys again.
    fn asked_again(&self, prompt: &str) -> Result<()> {
        let serial = self.guest.serial();
        for pressed in 0..TRIES {
            serial.send(&format!("{ERASE_LINE}{REDRAW}"))?;
            if serial.expect(prompt, PATIENCE / 3).is_ok() {
                if pressed > 0 {
                    std::thread::sleep(Duration::from_secs(1));
                    serial.skip();
                }
                return Ok(());
            }
        }
        bail!("{prompt:?} is not shown")
    }

    /// Which menu is shown and what it offers; how many lines came at once.
    fn notice(&mut self, shown: &str) {
        if shown.lines().count() > LINES {
            self.tall.push(shown.to_owned());
        }
        let Some(at) = shown.rfind("--- ") else { return };
        let mut lines = shown.get(at..).unwrap_or("").lines();
        let Some(title) = lines.next().and_then(|line| line.strip_prefix("--- ")?.strip_suffix(" ---"))
        else {
            return;
        };
        // Behind the name of the box, which a reset changes.
        let title = title.split_once(": ").map_or("main", |(_, menu)| menu);
        title.clone_into(&mut self.title);
        let keys = lines.filter_map(|line| line.strip_prefix(' ')?.split_once("  "));
        self.offered.extend(keys.map(|(key, _)| (title.to_owned(), key.to_owned())));
    }
}

/// What of them is no key.
const KEYLESS: &str = "\x1b[A\x1b[15;2~\x1bOP\x1b[?62;22c\x1b[<0;10;10M";

/// How often a key is pressed that has no effect.
const TRIES: u32 = 6;

/// Longer than any buffer on its way.
const LONG: usize = 10_000;

/// Every byte that is no key of the console.
fn garbage() -> Vec<u8> {
    let keys = [0x03, 0x04, 0x08, 0x0a, 0x0c, 0x0d, 0x15, 0x1b];
    (0..0x20).chain(0x80..=0xff).filter(|byte| !keys.contains(byte)).collect()
}

/// What was shown after the answer was echoed.
fn after_echo<'s>(shown: &'s str, typed: &str) -> Result<&'s str> {
    let (echo, rest) = shown.split_once('\n').with_context(|| format!("no line was ended: {shown:?}"))?;
    let hidden = "*".repeat(typed.len());
    ensure!(echo == typed || echo == hidden, "{typed:?} was typed, {echo:?} was echoed");
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_the_echo_is_the_answer() {
        assert_eq!(after_echo("yes\nDone.\n", "yes").unwrap(), "Done.\n");
        assert_eq!(after_echo("****\n", "4711").unwrap(), "");
        assert!(after_echo("x\nDone.\n", "yes").is_err() && after_echo("yes", "yes").is_err());
    }

    #[test]
    fn garbage_holds_no_key() {
        assert!(garbage().len() > 100 && !garbage().contains(&b'\r'));
    }
}
