//! Configurations of real sites: what Director makes of them in the kernel is what keepalived, ldirectord and ipvsadm of Debian
//! make of the originals.
//!
//! Each configuration has three tests: `original` is the original tool with its file, `written` Director with the file that a
//! person has written (`tests/config/ok/seed-*.toml`), `imported` Director with what `director import` makes of the original. Each
//! box has real servers that answer. The table that all three must come to is `NAME.table`, as `ipvsadm -S -n` prints it;
//! `NAME.dead.table` is that without a real server that answers. No difference is left that would be deliberate.
//!
//! In a guest with the shipped kernel: `cargo image test --only kernel/kernel_seed`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

#[path = "../common/mod.rs"]
mod common;
mod farm;
mod site;

use std::collections::BTreeSet;
use std::time::Instant;

use farm::Speaks::{self, Http, Https, Nothing, Smtp};
use site::{PATIENCE, Site};

/// Whose file the original is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    Keepalived,
    Ldirectord,
    Ipvsadm,
}

impl Tool {
    fn name(self) -> &'static str {
        match self {
            Tool::Keepalived => "keepalived",
            Tool::Ldirectord => "ldirectord",
            Tool::Ipvsadm => "ipvsadm",
        }
    }

    /// How often a real server must have been asked until the table can be the last one: keepalived enters servers before it
    /// asks them, so the table is what it should be before any check has spoken.
    fn asks(self) -> u64 {
        match self {
            Tool::Keepalived => 2,
            Tool::Ldirectord => 1,
            Tool::Ipvsadm => 0,
        }
    }
}

/// One configuration.
pub(crate) struct Case {
    pub tool: Tool,
    /// Name and text of the original.
    pub original: (&'static str, &'static str),
    /// Name and text of what was written for Director.
    pub written: (&'static str, &'static str),
    /// The box's name, where the written file tells several boxes apart by it.
    pub hostname: &'static str,
    /// The first link's hardware address, where it does so by that.
    pub mac: Option<&'static str>,
    /// Links, by the names that either file has.
    pub links: &'static [&'static str],
    /// The box's own addresses, by link, as the written file has them: the originals do not know them.
    pub own: &'static [(&'static str, &'static str)],
    pub farm: &'static [(&'static str, Speaks)],
    /// VIPs that all three put on the links themselves: `LINK ADDRESS`.
    pub vips: &'static [&'static str],
    /// The table that the original tool makes.
    pub table: &'static str,
    /// Makes programs that the original calls.
    pub programs: Option<fn()>,
    /// The table once no real server answers any more.
    pub dead: Option<&'static str>,
}

macro_rules! text {
    ($folder:literal, $name:literal) => {
        ($name, include_str!(concat!("../", $folder, "/", $name)))
    };
}

/// Parts that most have.
const PLAIN: Case = Case {
    tool: Tool::Keepalived,
    original: ("", ""),
    written: ("", ""),
    hostname: "lb",
    mac: None,
    links: &["eth0"],
    own: &[],
    farm: &[],
    vips: &[],
    table: "",
    programs: None,
    dead: None,
};

/// Waits until a box has the table of `case`, and the one without real servers.
fn has_the_table(case: &Case, start: impl FnOnce(&Case) -> Site) {
    if let Some(why) = common::hindrance() {
        println!("skipped: {why}");
        return;
    }
    case.programs.iter().for_each(|program| program());
    let begun = Instant::now();
    let settle = |site: &Site, table: &str, asked: u64| {
        let lines: BTreeSet<String> = table.lines().map(str::to_owned).collect();
        site.settle(&lines, asked, case.vips, begun + PATIENCE);
        println!("{} has the table after {:?}", site.what, begun.elapsed());
    };
    let site = start(case);
    settle(&site, case.table, case.tool.asks());
    if let Some(dead) = case.dead {
        site.farm.die();
        settle(&site, dead, 0);
    }
}

/// The tests of one configuration: one after the other, because an emulated machine has its hands full with one Director.
macro_rules! configuration {
    ($name:ident, $case:expr) => {
        mod $name {
            use super::*;

            #[test]
            fn original() {
                has_the_table(&$case, Site::original);
            }

            #[test]
            fn written() {
                has_the_table(&$case, Site::written);
            }

            #[test]
            fn imported() {
                has_the_table(&$case, Site::imported);
            }
        }
    };
}

configuration!(
    keepalived_master,
    Case {
        original: text!("seed", "keepalived-master.conf"),
        written: text!("config/ok", "seed-keepalived-pair.toml"),
        hostname: "LVS-MASTER",
        own: &[("eth0", "10.10.10.2/24")],
        farm: &[("10.10.10.12", Http)],
        vips: &["eth0 10.10.10.100/32"],
        table: include_str!("keepalived-master.table"),
        ..PLAIN
    }
);

configuration!(
    keepalived_backup,
    Case {
        original: text!("seed", "keepalived-backup.conf"),
        written: text!("config/ok", "seed-keepalived-pair.toml"),
        hostname: "LVS2",
        // The original's link, and the one of the file that both boxes share: so the VIP is not compared.
        links: &["ens33", "eth0"],
        own: &[("ens33", "10.10.10.3/24")],
        farm: &[("10.10.10.12", Http), ("10.10.10.13", Http)],
        table: include_str!("keepalived-backup.table"),
        ..PLAIN
    }
);

configuration!(
    keepalived_all_options,
    Case {
        original: text!("seed", "keepalived-all-options.conf"),
        written: text!("config/ok", "seed-keepalived-all-options.toml"),
        links: &["eth0", "eth1", "eth2"],
        // keepalived sets them itself, but gives up its virtual router before.
        own: &[("eth0", "192.168.1.1/24"), ("eth1", "192.168.1.2/24")],
        farm: &[
            // Its page has another digest than the file demands: it is quiesced.
            ("192.168.200.2", Http),
            ("192.168.200.3", Https),
            ("192.168.200.4", Smtp),
            ("192.168.200.5", Nothing),
        ],
        vips: &["eth1 192.168.200.17/24", "eth2 192.168.200.18/24", "eth0 1.1.1.1/32"],
        table: include_str!("keepalived-all-options.table"),
        programs: Some(programs),
        ..PLAIN
    }
);

/// The programs that `keepalived-all-options.conf` calls: a tracker that is content, and a check that gives a weight of 7 - 2.
fn programs() {
    let folder = std::path::Path::new("/usr/local/bin");
    let over = ["-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/usr/local/bin"];
    director_lab::command::output("mount", &over).unwrap();
    for (name, status) in [("check_running", 0), ("load-weight", 7)] {
        let path = folder.join(name);
        std::fs::write(&path, format!("#!/bin/sh\nexit {status}\n")).unwrap();
        director_lab::command::output("chmod", &["755".as_ref(), path.as_os_str()]).unwrap();
    }
}

configuration!(
    keepalived_floating_ip_lc1,
    Case {
        original: text!("seed", "keepalived-floating-ip-lc1.conf"),
        written: text!("config/ok", "seed-keepalived-floating-ip.toml"),
        links: &["enp7s0f0"],
        own: &[("enp7s0f0", "172.24.8.101/24")],
        vips: &["enp7s0f0 172.24.8.150/32"],
        ..PLAIN
    }
);

configuration!(
    keepalived_floating_ip_lc7,
    Case {
        original: text!("seed", "keepalived-floating-ip-lc7.conf"),
        written: text!("config/ok", "seed-keepalived-floating-ip.toml"),
        mac: Some("52:54:00:00:00:07"),
        links: &["enp7s0f0"],
        own: &[("enp7s0f0", "172.24.8.107/24")],
        vips: &["enp7s0f0 172.24.8.150/32"],
        ..PLAIN
    }
);

configuration!(
    ldirectord,
    Case {
        tool: Tool::Ldirectord,
        original: text!("seed", "ldirectord.cf"),
        written: text!("config/ok", "seed-ldirectord.toml"),
        own: &[("eth0", "192.168.80.1/24")],
        farm: &[("192.168.80.110", Http), ("192.168.80.120", Http)],
        table: include_str!("ldirectord.table"),
        dead: Some(include_str!("ldirectord.dead.table")),
        ..PLAIN
    }
);

configuration!(
    ldirectord_persistent,
    Case {
        tool: Tool::Ldirectord,
        original: text!("seed", "ldirectord-persistent.cf"),
        written: text!("config/ok", "seed-ldirectord-persistent.toml"),
        own: &[("eth0", "192.168.60.1/24")],
        farm: &[("192.168.60.132", Http), ("192.168.60.144", Http)],
        table: include_str!("ldirectord-persistent.table"),
        dead: Some(include_str!("ldirectord-persistent.dead.table")),
        ..PLAIN
    }
);

configuration!(
    ipvsadm_save,
    Case {
        tool: Tool::Ipvsadm,
        original: text!("seed", "ipvsadm-save.rules"),
        written: text!("config/ok", "seed-ipvsadm-save.toml"),
        links: &["eth0", "eth1"],
        table: include_str!("../seed/ipvsadm-save.rules"),
        ..PLAIN
    }
);
