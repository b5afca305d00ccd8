//! What is logged of events and changes.

use std::time::Duration;

use log::{info, warn};

use crate::ipc::message::{Admin, Event, Health};
use crate::ipvs::Command;

/// What needs no line of its own when a thousand come together, as at every start of a large box.
pub(super) const fn is_good(event: &Event) -> bool {
    matches!(event, Event::Service { up: true, .. } | Event::Server { health: Health::Up, .. })
}

pub(super) fn log_event(event: &Event) {
    match event {
        Event::Service { service, up } => {
            info!("service {}: service={service}", if *up { "up" } else { "down" });
        }
        Event::Server { service, server, health: Health::Down, reason } => {
            warn!("server down: service={service} server={server} reason={reason}");
        }
        Event::Server { service, server, reason, .. } => {
            info!("server up: service={service} server={server} reason={reason}");
        }
        Event::Admin { service, server, admin } => {
            let word = match admin {
                Admin::Enabled => "enabled",
                Admin::Draining => "draining",
                Admin::Drained => "drained",
                Admin::Disabled => "disabled",
            };
            info!("server {word}: service={service} server={server}");
        }
        Event::Primed { .. }
        | Event::Router { .. }
        | Event::RouterNews { .. }
        | Event::Config { .. }
        | Event::Change { .. } => {}
    }
}

pub(super) fn log_changes(commands: &[Command], refused: usize, took: Duration) {
    match commands {
        _ if refused == commands.len() => {}
        [only] => info!("table changed: {only}"),
        _ => {
            info!("table changed: commands={} refused={refused} time_us={}", commands.len(), took.as_micros())
        }
    }
}
