//! `director safe-mode`: one start with the built-in configuration.

use std::process::ExitCode;
use std::time::Duration;

use super::{Error, ask, done};
use crate::ipc::client;
use crate::ipc::message::{PowerAction, Reply, Request};
use crate::paths::RunDir;
use crate::role::Role;
use crate::store::update;

/// How long init may take to begin.
const WAIT: Duration = Duration::from_secs(5);

/// What `director help safe-mode` says below the summary.
pub const DETAILS: &str = "\
Safe mode is a start with the built-in configuration: DHCP on every NIC, no virtual address, no service, no PIN at the console. The
operator's file is left as it is, and the start after that is a normal one. VRRP resigns before the box goes down. Only the
appliance has it; holding Esc while the box starts leads there as well.
";

/// `director safe-mode [--json]`.
pub fn run(mut args: lexopt::Parser) -> Result<ExitCode, Error> {
    let (run_dir, json) = ask::run_dir_of(&mut args)?;
    safe_mode(&run_dir).map_err(Error::Failed)?;
    done(json, "safe-mode", None)
}

/// Starts the box again in safe mode.
///
/// # Errors
/// "what failed: on what: why"; then nothing ends.
pub fn safe_mode(run_dir: &RunDir) -> Result<(), String> {
    update::start_safe(run_dir)?;
    match client::ask(run_dir, Role::Init, &Request::Power { action: PowerAction::Reboot }, WAIT) {
        Ok(Reply::Error { message }) => Err(format!("start again: {message}")),
        Ok(_) => Ok(()),
        Err(error) => Err(format!("start again: {error}")),
    }
}
