//! What the kernel was told while schedulers change is taken back, whoever dies meanwhile.

use super::*;

/// Documentation/RCU: grace periods are hurried through.
const SWITCH: &str = "/sys/kernel/rcu_expedited";

fn hurries() -> bool {
    std::fs::read_to_string(SWITCH).unwrap().trim() == "1"
}

/// Many services with this scheduler.
fn services(scheduler: &str) -> String {
    let one = |port: u16| {
        format!(
            "[[service]]\nname = \"s{port}\"\nlisten = \"{VIP4}:{port}\"\nscheduler = \"{scheduler}\"\nmethod = \"nat\"\n\
             check = {{ type = \"none\" }}\n[[service.server]]\naddress = \"10.80.0.21:80\"\n"
        )
    };
    (1_000..2_000).map(one).collect()
}

/// Whether all services have this scheduler.
fn changed(rig: &Rig, scheduler: &str) -> bool {
    let wanted = format!(" -s {scheduler}");
    rig.table().iter().filter(|line| line.ends_with(&wanted)).count() == 1_000
}

#[test]
fn a_worker_killed_among_changes_of_schedulers_leaves_no_hurry() {
    let mut rig = rig_or_skip!();
    assert!(!hurries(), "as the kernel starts");
    rig.activate(&services("rr"));
    rig.start();
    until("all services are in the table", || rig.table().len() == 2_000);
    assert!(!hurries());
    // On a busy machine the work may be done before the signal comes.
    let mut schedulers = ["wlc", "lc", "sh"].into_iter();
    let amid = schedulers.find(|scheduler| {
        rig.activate(&services(scheduler));
        until("the kernel hurries", hurries);
        rig.end("-KILL");
        let amid = hurries();
        rig.start();
        amid
    });
    until("the next life has ended the work", || changed(&rig, amid.unwrap()));
    until("and the hurry", || !hurries());
}

#[test]
fn whoever_else_wants_the_kernel_to_hurry_is_left_alone() {
    let mut rig = rig_or_skip!();
    std::fs::write(SWITCH, "1").unwrap();
    rig.activate(&services("rr"));
    rig.start();
    until("all services are in the table", || rig.table().len() == 2_000);
    rig.activate(&services("wlc"));
    until("all have another scheduler", || changed(&rig, "wlc"));
    assert!(hurries());
    std::fs::write(SWITCH, "0").unwrap();
}
