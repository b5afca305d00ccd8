//! Every verb: the table that finds them and makes the help.

use std::process::ExitCode;

use super::{
    Error, admin, arping, ask, capture, check, help, import, ipvs, life, notify, pin, ping, power,
    realserver, support, top, traceroute, update, verbs, vrrp, why,
};

/// One verb.
pub struct Verb {
    /// The word.
    pub name: &'static str,
    /// What may follow it.
    pub usage: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// Does it.
    pub run: fn(lexopt::Parser) -> Result<ExitCode, Error>,
}

/// Every verb, in the order of the help.
pub const VERBS: &[Verb] = &[
    Verb {
        name: "check",
        usage: "FILE [--node NAME] [--json]",
        summary: "check a configuration file, every fault at once",
        run: check::check,
    },
    Verb {
        name: "schema",
        usage: "",
        summary: "print the JSON Schema of director.toml, by which an editor completes and checks",
        run: check::schema,
    },
    Verb {
        name: "run",
        usage: "--config FILE [--run-dir DIR] [--state-dir DIR] [--console TTY]...",
        summary: "run as an ordinary process of this host: SIGTERM stops it, SIGHUP reads the file again",
        run: verbs::run,
    },
    Verb {
        name: "status",
        usage: "[--json] [ROLE]",
        summary: "show workers, configuration, links, virtual routers and services",
        run: ask::status,
    },
    Verb {
        name: "top",
        usage: top::USAGE,
        summary: "show what is live, on the whole terminal; q leaves",
        run: top::run,
    },
    Verb {
        name: "logs",
        usage: "[ROLE] [-n N] [--text TEXT] [--follow] [--json]",
        summary: "show the newest log lines (100, or N), those with TEXT, and new ones as they come",
        run: ask::logs,
    },
    Verb {
        name: "diff",
        usage: "[FILE|N|stick] [--text] [--json], or OLD NEW [--node NAME]",
        summary: "show what a configuration would change, or what differs between two files",
        run: life::diff,
    },
    Verb {
        name: "apply",
        usage: "[FILE|N|stick] [--confirm TIME|never] [--json]",
        summary: "check and apply a configuration; it reverts unless confirmed within TIME (5m)",
        run: life::apply,
    },
    Verb {
        name: "confirm",
        usage: "[--json]",
        summary: "let the change that waits stay, and write it to the operator's file",
        run: life::confirm,
    },
    Verb {
        name: "rollback",
        usage: "[N] [--confirm TIME|never] [--json]",
        summary: "take back the change that waits; without one, apply what ran before, or N",
        run: life::rollback,
    },
    Verb {
        name: "history",
        usage: "[--json]",
        summary: "show the configurations that ran, newest first",
        run: life::history,
    },
    Verb {
        name: "show",
        usage: "[N|FILE] [--node NAME] [--origin] [--json]",
        summary: "print a configuration (the running one), as it is or as a node sees it",
        run: life::show,
    },
    Verb {
        name: "export",
        usage: "[--json]",
        summary: "write the running configuration to the USB stick",
        run: life::export,
    },
    Verb {
        name: "reset",
        usage: "--yes [--json]",
        summary: "factory reset: erase configuration, history and data, start the box again",
        run: life::factory_reset,
    },
    Verb {
        name: "reload",
        usage: "[--json]",
        summary: "read and check the configuration again",
        run: ask::reload,
    },
    Verb {
        name: "restart",
        usage: "ROLE [--json]",
        summary: "end a worker and start it again",
        run: ask::restart,
    },
    Verb { name: "hold", usage: "ROLE [--json]", summary: "end a worker and leave it so", run: ask::hold },
    Verb {
        name: "release",
        usage: "ROLE [--json]",
        summary: "let a held worker run again",
        run: ask::release,
    },
    Verb {
        name: "reboot",
        usage: "[--json]",
        summary: "resign, stop and start the box again",
        run: ask::reboot,
    },
    Verb {
        name: "poweroff",
        usage: "[--json]",
        summary: "resign, stop and switch the box off",
        run: ask::poweroff,
    },
    Verb {
        name: "why",
        usage: "SERVICE SERVER [--json]",
        summary: "tell why a real server is in use or not",
        run: why::run,
    },
    Verb {
        name: "drain",
        usage: "SERVICE SERVER [--timeout TIME|never] [--wait] [--json]",
        summary: "give a real server no new connections, let the others finish (within TIME), remove it",
        run: admin::drain,
    },
    Verb {
        name: "disable",
        usage: "SERVICE SERVER [--json]",
        summary: "take a real server out of use at once",
        run: admin::disable,
    },
    Verb {
        name: "enable",
        usage: "SERVICE SERVER [--json]",
        summary: "let a drained or disabled real server be used again",
        run: admin::enable,
    },
    Verb {
        name: "vrrp",
        usage: vrrp::USAGE,
        summary: "show the virtual routers; hand mastership over, give it up, hold, release",
        run: vrrp::run,
    },
    Verb {
        name: "ipvs",
        usage: ipvs::USAGE,
        summary: "show the kernel's table, connections and rates; set its counters to zero",
        run: ipvs::run,
    },
    Verb {
        name: "import",
        usage: import::USAGE,
        summary: "write director.toml from the configuration of another project",
        run: import::run,
    },
    Verb {
        name: "realserver",
        usage: realserver::USAGE,
        summary: "prepare the host that this runs on as a real server: VIPs on lo, ARP, tunnels",
        run: realserver::run,
    },
    Verb {
        name: "ping",
        usage: ping::USAGE,
        summary: "ask an address or a name for an echo",
        run: ping::run,
    },
    Verb {
        name: "traceroute",
        usage: traceroute::USAGE,
        summary: "show the routers on the way to an address or a name",
        run: traceroute::run,
    },
    Verb {
        name: "arping",
        usage: arping::USAGE,
        summary: "ask by ARP who has an address on a network of this host",
        run: arping::run,
    },
    Verb {
        name: "capture",
        usage: capture::USAGE,
        summary: "write packets of an interface to a file: bounded in number, time and size",
        run: capture::run,
    },
    Verb {
        name: "notify",
        usage: notify::USAGE,
        summary: "show who is told of alarms, and try whether that arrives",
        run: notify::run,
    },
    Verb { name: "pin", usage: "", summary: "make the hash of a PIN for the console", run: pin::run },
    Verb {
        name: "support",
        usage: support::USAGE,
        summary: "write everything that helps others to help, without secrets, to one file",
        run: support::run,
    },
    Verb {
        name: "safe-mode",
        usage: "[--json]",
        summary: "start the box again with the built-in configuration, once",
        run: power::run,
    },
    Verb {
        name: "slots",
        usage: update::SLOTS_USAGE,
        summary: "show the two slots of firmware, or let the next start take one of them",
        run: update::slots,
    },
    Verb {
        name: "update",
        usage: update::USAGE,
        summary: "write new firmware into the slot that does not run, for the next start to try",
        run: update::run,
    },
    Verb { name: "version", usage: "[--json]", summary: "print the version", run: verbs::version },
    Verb { name: "help", usage: "[VERB]", summary: "explain a verb", run: help::run },
    Verb {
        name: "worker",
        usage: "ROLE --run-dir DIR [--tty TTY] [--file FILE] [--state DIR]",
        summary: "be one worker (started by the supervisor, not by people)",
        run: verbs::worker,
    },
    Verb {
        name: "init",
        usage: "",
        summary: "be PID 1 (started by the kernel, not by people)",
        run: verbs::init,
    },
];

/// The verb of this name.
pub(super) fn find(word: &str) -> Option<&'static Verb> {
    VERBS.iter().find(|verb| verb.name == word)
}

/// The names of all, for people.
pub(super) fn names() -> String {
    VERBS.iter().map(|verb| verb.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What has no answer for programs: a stream, a hash, a text of another format, or no end.
    const PLAIN: [&str; 8] = ["schema", "run", "top", "import", "pin", "help", "worker", "init"];

    #[test]
    fn every_verb_answers_programs() {
        let silent: Vec<&str> =
            VERBS.iter().filter(|verb| !verb.usage.contains("--json")).map(|verb| verb.name).collect();
        assert!(silent.iter().all(|name| PLAIN.contains(name)), "{silent:?}");
    }
}
