//! `apply(diff(a, b))` makes b of a in the kernel, for random tables a and b.
//!
//! In a guest with the shipped kernel: `cargo image test --only kernel/kernel_tables`. The same against a model of the kernel
//! is in `src/lvs/diff.rs`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod random;

use director::ipvs::{self, Client};
use director::lvs::diff::diff;
use director::lvs::state::{self, State};

use random::{Dice, assert_edits};

const TABLES: usize = 200;

fn read(client: &mut Client) -> State {
    State::of(&client.table().unwrap())
}

#[test]
fn two_hundred_random_tables_become_each_other_by_edits() {
    if std::env::var_os("DIRECTOR_KERNEL_TEST").is_none() {
        println!("skipped: not inside a test guest: `cargo image test --only kernel`");
        return;
    }
    let mut client = Client::connect().unwrap();
    let mut dice = Dice(0x0dd5_eed5);
    let (mut present, mut sent) = (read(&mut client), 0);
    assert_eq!(present, State::default(), "an empty namespace");
    for round in 0..TABLES {
        // In turns an edit of what is there, and something else altogether.
        let wanted = if round % 2 == 0 { dice.edited(&present) } else { dice.state() };
        let commands = diff(&present, &wanted);
        assert_edits(&commands);
        let failures = client.apply(&commands).unwrap();
        assert!(failures.is_empty(), "round {round}: {} refused, first {}", failures.len(), failures[0]);
        present = read(&mut client);
        assert_eq!(present, wanted, "round {round}:\n{present}\nwanted:\n{wanted}");
        assert_eq!(diff(&present, &wanted), [], "round {round}: a second diff has nothing to do");
        sent += commands.len();
    }
    assert!(sent > TABLES, "only {sent} commands: the tables are too much alike");
    println!("{TABLES} tables, {sent} commands");
}
