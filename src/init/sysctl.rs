//! Kernel settings of the whole box, each with its reason. Those of one interface, and forwarding, belong to `net` and `vrrp`, those under
//! `net/ipv4/vs` to `lvs`.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// Path under /proc/sys, value, and why.
type Setting = (&'static str, &'static str, &'static str);

/// In this order; what a kernel does not have is left out.
pub const SETTINGS: &[Setting] = &[
    // A director that is half dead but still answers VRRP is the worst case: end it, the twin takes over.
    ("kernel/panic", "10", "start again 10 s after a panic, time enough to read it"),
    ("kernel/panic_on_oops", "1", "an oops leaves locks held: do not go on"),
    ("kernel/softlockup_panic", "1", "a processor that never schedules serves nobody"),
    ("kernel/hardlockup_panic", "1", "the same with interrupts off"),
    // What the consoles show.
    (
        "kernel/printk",
        "1 4 1 1",
        "only a panic is written into the operator's lines: our consoles show the rest in order",
    ),
    ("kernel/printk_devkmsg", "on", "our mirror in the kernel's log limits its rate itself"),
    // Kernel Self Protection Project, recommended settings.
    ("kernel/kptr_restrict", "2", "no kernel addresses for anybody"),
    ("kernel/dmesg_restrict", "1", "the kernel's log is for root"),
    ("kernel/perf_event_paranoid", "3", "no perf events without privilege"),
    ("kernel/unprivileged_bpf_disabled", "1", "no BPF without privilege"),
    ("kernel/kexec_load_disabled", "1", "the kernel that was verified is the one that runs"),
    ("kernel/modules_disabled", "1", "everything needed is built in"),
    ("kernel/randomize_va_space", "2", "full address space randomisation"),
    ("kernel/sysrq", "0", "a break on the serial line must not be a command"),
    ("kernel/yama/ptrace_scope", "2", "processes are no business of each other"),
    ("net/core/bpf_jit_harden", "2", "blind constants in compiled BPF"),
    ("dev/tty/ldisc_autoload", "0", "no line disciplines on demand"),
    ("fs/suid_dumpable", "0", "no core dumps of privileged programs"),
    ("fs/protected_symlinks", "1", "no links across owners in /tmp"),
    ("fs/protected_hardlinks", "1", "the same for hard links"),
    ("fs/protected_fifos", "2", "the same for pipes"),
    ("fs/protected_regular", "2", "the same for files"),
    ("vm/unprivileged_userfaultfd", "0", "no page fault games"),
    ("vm/mmap_min_addr", "65536", "a null pointer in the kernel stays a fault"),
    // The director itself.
    (
        "vm/compact_unevictable_allowed",
        "0",
        "memory that `vrrp` has locked stays where it is: whoever moves it may take long",
    ),
    // Forwarding is not here: `net` switches it on where a service uses NAT.
    (
        "net/ipv4/conf/all/rp_filter",
        "0",
        "the larger of this and the interface's counts: leave it to the interface",
    ),
    (
        "net/ipv4/conf/default/rp_filter",
        "2",
        "loose: a VIP's packets may come in and go out by different links",
    ),
    ("net/ipv4/conf/all/arp_ignore", "1", "answer only for addresses of the link that was asked on"),
    ("net/ipv4/conf/default/arp_ignore", "1", "the same for links that come later"),
    ("net/ipv4/conf/all/arp_announce", "2", "never claim a VIP in the source of an ARP question"),
    ("net/ipv4/conf/default/arp_announce", "2", "the same for links that come later"),
    ("net/ipv4/conf/all/send_redirects", "0", "a director on one link would tell clients to go round it"),
    ("net/ipv4/conf/default/send_redirects", "0", "the same for links that come later"),
    ("net/ipv4/conf/all/accept_redirects", "0", "routes come from the file"),
    ("net/ipv4/conf/default/accept_redirects", "0", "the same for links that come later"),
    ("net/ipv6/conf/all/accept_redirects", "0", "the same for IPv6"),
    ("net/ipv6/conf/default/accept_redirects", "0", "the same for links that come later"),
    ("net/ipv4/conf/all/accept_source_route", "0", "the sender has no say in the way"),
    ("net/ipv4/conf/default/accept_source_route", "0", "the same for links that come later"),
    ("net/ipv4/icmp_echo_ignore_broadcasts", "1", "no amplifier"),
    ("net/ipv4/tcp_syncookies", "1", "the box's own listeners outlast a flood"),
    ("net/ipv4/neigh/default/gc_thresh1", "4096", "ten thousand real servers have ten thousand neighbours"),
    ("net/ipv4/neigh/default/gc_thresh2", "16384", "the same"),
    ("net/ipv4/neigh/default/gc_thresh3", "32768", "the same"),
    ("net/ipv6/neigh/default/gc_thresh1", "4096", "the same"),
    ("net/ipv6/neigh/default/gc_thresh2", "16384", "the same"),
    ("net/ipv6/neigh/default/gc_thresh3", "32768", "the same"),
    ("net/ipv4/igmp_max_memberships", "4096", "virtual routers on many VLANs"),
];

/// Writes all of [`SETTINGS`] under `root` (`/proc/sys`).
pub fn apply(root: &Path) {
    for (path, value, why) in SETTINGS {
        let file = root.join(path);
        // Some can be set only once, and the boot loader was faster.
        if fs::read_to_string(&file)
            .is_ok_and(|present| present.split_whitespace().eq(value.split_whitespace()))
        {
            continue;
        }
        // Some are taken only with the end of their line (printk_devkmsg).
        match fs::write(&file, format!("{value}\n")) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {
                log::debug!("no such kernel setting: {path}")
            }
            Err(error) => log::warn!("kernel setting not made: {path}={value} ({why}): {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_setting_is_made_once_and_has_a_reason() {
        let paths: BTreeSet<_> = SETTINGS.iter().map(|(path, ..)| path).collect();
        assert_eq!(paths.len(), SETTINGS.len());
        assert!(
            SETTINGS
                .iter()
                .all(|(path, value, why)| !path.starts_with('/') && !value.is_empty() && !why.is_empty())
        );
    }

    #[test]
    fn what_the_kernel_has_is_set_and_the_rest_left() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("kernel")).unwrap();
        fs::write(root.path().join("kernel/panic"), "0").unwrap();
        apply(root.path());
        assert_eq!(fs::read_to_string(root.path().join("kernel/panic")).unwrap(), "10\n");
    }
}
