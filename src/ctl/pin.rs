//! `director pin`: the hash of a PIN, for `[console]`.

use std::io::Read;
use std::process::ExitCode;

use super::{Error, complain, print};
use crate::check::random;
use crate::pin::{PinHash, SALT};

/// What `director help pin` says below the summary.
pub const DETAILS: &str = "\
Reads the PIN from standard input, so that no list of processes and no history has it, and prints two lines for director.toml.
";

/// The shortest PIN.
const SHORTEST: usize = 4;
/// The longest: a line of the console.
const LONGEST: usize = 80;

/// `director pin`.
///
/// # Errors
/// Wrong use, or a PIN that cannot be typed at a console.
pub fn run(mut args: lexopt::Parser) -> Result<ExitCode, Error> {
    if let Some(other) = args.next()? {
        return Err(other.unexpected().into());
    }
    if std::io::IsTerminal::is_terminal(&std::io::stdin()) {
        complain("PIN (it is shown while you type; end with Enter and Ctrl-D):");
    }
    let mut text = String::new();
    std::io::stdin()
        .take(1024)
        .read_to_string(&mut text)
        .map_err(|error| Error::Failed(format!("cannot read: standard input: {error}")))?;
    print(&lines(text.trim_end_matches(['\r', '\n']))?)
}

fn lines(pin: &str) -> Result<String, Error> {
    let typed = pin.bytes().all(|byte| matches!(byte, b' '..=b'~')) && pin.trim() == pin;
    if !typed || !(SHORTEST..=LONGEST).contains(&pin.len()) {
        return Err(Error::Usage(format!(
            "pin: {SHORTEST} to {LONGEST} characters of ASCII are needed, without spaces around them"
        )));
    }
    let salt: [u8; SALT] = random::bytes().map_err(Error::failed)?;
    let hash = PinHash::new(pin, salt).ok_or_else(|| Error::Failed("pin: cannot be hashed".to_owned()))?;
    Ok(format!("[console]\npin = \"{hash}\"\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_prints_is_a_configuration_that_knows_the_pin() {
        let text = format!("version = 1\n{}", lines("47 11x").unwrap());
        let checked = crate::config::check(&text, "x", &crate::config::NodeFacts::default());
        let pin = checked.unwrap().config.console.pin.unwrap();
        assert!(pin.verify("47 11x") && !pin.verify("4711x"));
        assert_ne!(lines("4711").unwrap(), lines("4711").unwrap(), "the salt is another each time");
    }

    #[test]
    fn what_no_console_could_take_is_refused() {
        for pin in ["", "123", " 1234", "12345\u{e4}", "1234\n5"] {
            assert!(lines(pin).is_err(), "{pin:?}");
        }
    }
}
