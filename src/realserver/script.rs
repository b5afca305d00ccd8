//! What has to be true as shell commands and configuration files, for hosts where Director is not installed. Pure.

use super::plan::{Arrival, Need, Wish, needs, prefix};

/// The label by which an IPv4 VIP is known to tools that know labels only; at most 15 bytes (`IFNAMSIZ`).
pub const LABEL: &str = "lo:vip";

/// The commands that make it so, until the next boot.
#[must_use]
pub fn commands(wishes: &[Wish]) -> Vec<String> {
    needs(wishes)
        .iter()
        .map(|need| match need {
            Need::Gue { port, ipv6 } => {
                let (module, family) = if *ipv6 { ("fou6", " -6") } else { ("fou", "") };
                format!("modprobe {module} && ip fou add port {port} gue{family}")
            }
            // The fallback device comes with the module.
            Need::Link { name, kind } => format!("ip link show {name} || ip link add {name} type {kind}"),
            Need::Up(name) => format!("ip link set {name} up"),
            Need::Sysctl { path, value } => format!("sysctl -w net.{}={value}", path.replace('/', ".")),
            Need::Address(vip) if vip.is_ipv4() => {
                format!("ip address replace {vip}/{} dev lo scope host label {LABEL}", prefix(*vip))
            }
            Need::Address(vip) => {
                format!("ip address replace {vip}/{} dev lo nodad preferred_lft 0", prefix(*vip))
            }
        })
        .collect()
}

/// A file that makes it so at each boot.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct File {
    /// Where it belongs.
    pub path: &'static str,
    /// Who reads it.
    pub reader: &'static str,
    /// What is in it.
    pub text: String,
}

/// Files that make it so at each boot, for each of the usual ways to configure a network. What belongs to a tunnel needs its
/// device first, which those know only in part: there the commands are run as they are.
#[must_use]
pub fn files(wishes: &[Wish]) -> Vec<File> {
    let commands = commands(wishes);
    let ifupdown: String = commands.iter().map(|command| format!("    up {command}\n")).collect();
    let ifupdown = File {
        path: "/etc/network/interfaces.d/director",
        reader: "ifupdown: this file alone",
        text: format!("auto {LABEL}\niface {LABEL} inet manual\n{ifupdown}"),
    };
    if wishes.iter().any(|wish| wish.arrival != Arrival::Dr) {
        let start: String =
            commands.iter().map(|command| format!("ExecStart=/bin/sh -c '{command}'\n")).collect();
        let text = format!(
            "[Unit]\nDescription=VIPs of a real server\nAfter=network-pre.target\nBefore=network.target\n\n[Service]\n\
             Type=oneshot\nRemainAfterExit=yes\n{start}\n[Install]\nWantedBy=multi-user.target\n"
        );
        let unit =
            File { path: "/etc/systemd/system/realserver.service", reader: "systemd: this file alone", text };
        return vec![unit, ifupdown];
    }
    let sysctls = File {
        path: "/etc/sysctl.d/60-director.conf",
        reader: "sysctl, beside systemd-networkd or netplan",
        text: needs(wishes).iter().filter_map(sysctl_line).collect(),
    };
    let networkd: String = wishes.iter().map(networkd_section).collect();
    let networkd = File {
        path: "/etc/systemd/network/lo.network",
        reader: "systemd-networkd",
        text: format!("[Match]\nName=lo\n\n[Network]\nKeepConfiguration=yes\n{networkd}"),
    };
    let netplan: String = wishes.iter().map(netplan_line).collect();
    let head =
        "network:\n  version: 2\n  ethernets:\n    lo:\n      match:\n        name: lo\n      addresses:\n";
    let netplan =
        File { path: "/etc/netplan/60-director.yaml", reader: "netplan", text: format!("{head}{netplan}") };
    let mut files = vec![sysctls, networkd, netplan, ifupdown];
    files.retain(|file| !file.text.is_empty());
    files
}

fn sysctl_line(need: &Need) -> Option<String> {
    let Need::Sysctl { path, value } = need else { return None };
    Some(format!("net.{} = {value}\n", path.replace('/', ".")))
}

fn networkd_section(Wish { vip, .. }: &Wish) -> String {
    let more = if vip.is_ipv4() {
        format!("Scope=host\nLabel={LABEL}")
    } else {
        "PreferredLifetime=0\nDuplicateAddressDetection=none".to_owned()
    };
    format!("\n[Address]\nAddress={vip}/{}\n{more}\n", prefix(*vip))
}

fn netplan_line(Wish { vip, .. }: &Wish) -> String {
    let more = if vip.is_ipv4() { format!("label: \"{LABEL}\"") } else { "lifetime: 0".to_owned() };
    format!("        - \"{vip}/{}\":\n            {more}\n", prefix(*vip))
}
