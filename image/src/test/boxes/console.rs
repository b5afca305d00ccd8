//! The serial console, used as the manual says.

use anyhow::{Context, Result, ensure};

use director_lab::guest::Guest;

use super::site::PATIENCE;

const MENU: &str = "Choose a number";
/// What ends the question of a menu below the first one.
const BACK: &str = "an empty line = back: ";

/// Menu 2: gives eth0 `address`, without a gateway.
///
/// # Errors
/// The prompt that did not come.
pub fn sets_address(guest: &Guest, address: &str) -> Result<()> {
    choose(guest, "2")?;
    answer(guest, "Interface (1", "eth0")?;
    answer(guest, "Address with prefix", address)?;
    answer(guest, "Default gateway", "none")?;
    answer(guest, "Do it?", "yes")?;
    guest.serial().expect("Done.", PATIENCE)?;
    leave(guest)
}

/// Menu 1: the live status names NICs and configuration.
///
/// # Errors
/// What is missing.
pub fn tells_status(guest: &Guest) -> Result<()> {
    choose(guest, "1")?;
    let screen = guest.serial().expect("(every 2 s", PATIENCE)?;
    ensure!(
        screen.contains("eth0") && screen.contains("configuration"),
        "the status lacks eth0 or the configuration:\n{screen}"
    );
    guest.serial().send(" ")?;
    leave(guest)
}

/// Menu 1: the live status says that the configuration is kept for a boot without a valid file.
///
/// # Errors
/// When it does not.
pub fn tells_kept(guest: &Guest) -> Result<()> {
    choose(guest, "1")?;
    guest.serial().expect("kept as the last good one", PATIENCE)?;
    guest.serial().send(" ")?;
    leave(guest)
}

/// Menu 7, 1: pings `address`.
///
/// # Errors
/// The prompt that did not come, or no answer.
pub fn pings(guest: &Guest, address: &str) -> Result<()> {
    const PROMPT: &str = "Address or name (empty line = back)";
    choose(guest, "7")?;
    answer(guest, MENU, "1")?;
    answer(guest, PROMPT, address)?;
    guest.serial().expect("4 sent, ", PATIENCE)?;
    let answered = guest.serial().expect(" answered", PATIENCE)?;
    ensure!(answered != "0", "{address} does not answer the box's ping");
    answer(guest, PROMPT, "")?;
    answer(guest, BACK, "")?;
    leave(guest)
}

/// Menu 8: restarts `lvs`.
///
/// # Errors
/// The prompt that did not come.
pub fn restarts_a_worker(guest: &Guest) -> Result<()> {
    const PROMPT: &str = "Worker (1-";
    choose(guest, "8")?;
    answer(guest, PROMPT, "lvs")?;
    answer(guest, "lvs: restart, hold or release", "restart")?;
    guest.serial().expect("lvs is being restarted", PATIENCE)?;
    answer(guest, PROMPT, "")?;
    leave(guest)
}

/// Menu 0, 4: powers off, asked twice.
///
/// # Errors
/// The prompt that did not come.
pub fn powers_off(guest: &Guest) -> Result<()> {
    choose(guest, "0")?;
    answer(guest, MENU, "4")?;
    answer(guest, "Power this box off?", "yes")?;
    answer(guest, "type poweroff", "poweroff")
}

/// Menu 0, 5: erases everything, asked twice; the box starts again by itself.
///
/// # Errors
/// The prompt that did not come.
pub fn resets(guest: &Guest) -> Result<()> {
    choose(guest, "0")?;
    answer(guest, MENU, "5")?;
    answer(guest, "Erase the configuration", "yes")?;
    answer(guest, "type erase", "erase")
}

/// Wakes the console and chooses an entry.
///
/// # Errors
/// The prompt that did not come.
pub fn choose(guest: &Guest, entry: &str) -> Result<()> {
    guest.serial().send("\r")?;
    answer(guest, MENU, entry)
}

/// Back to the idle console, from the menu or from any prompt.
///
/// # Errors
/// The prompt that did not come.
pub fn leave(guest: &Guest) -> Result<()> {
    guest.serial().expect(MENU, PATIENCE)?;
    guest.serial().send("\r")
}

/// Waits for a prompt and answers it.
///
/// # Errors
/// The prompt that did not come.
pub fn answer(guest: &Guest, prompt: &str, text: &str) -> Result<()> {
    guest.serial().expect(prompt, PATIENCE).with_context(|| format!("to answer {text:?} to {prompt:?}"))?;
    guest.serial().send_line(text)
}
