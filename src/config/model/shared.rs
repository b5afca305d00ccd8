//! Checks that servers share, when services are packed: a server carries numbers, each check is there once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Check;

#[derive(Default)]
struct Table {
    checks: Vec<Arc<Check>>,
    numbers: HashMap<*const Check, u32>,
}

thread_local! {
    /// Of the packing or unpacking under way: serde has no other way to hand it down.
    static TABLE: RefCell<Table> = RefCell::default();
}

/// Runs `pack`; returns with its result the checks that servers have by number now.
pub fn numbering<T>(pack: impl FnOnce() -> T) -> (T, Vec<Arc<Check>>) {
    TABLE.with(RefCell::take);
    let packed = pack();
    (packed, TABLE.with(RefCell::take).checks)
}

/// Runs `unpack`, in which servers get `checks` by their numbers.
pub fn numbered<T>(checks: Vec<Check>, unpack: impl FnOnce() -> T) -> T {
    let checks = checks.into_iter().map(Arc::new).collect();
    TABLE.with(|table| table.replace(Table { checks, numbers: HashMap::new() }));
    let unpacked = unpack();
    TABLE.with(RefCell::take);
    unpacked
}

pub fn serialize<S: Serializer>(checks: &[Arc<Check>], serializer: S) -> Result<S::Ok, S::Error> {
    let numbers: Vec<u32> =
        TABLE.with_borrow_mut(|table| checks.iter().map(|check| table.number(check)).collect());
    numbers.serialize(serializer)
}

pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Arc<Check>>, D::Error> {
    let numbers = Vec::<u32>::deserialize(deserializer)?;
    let checks = TABLE.with_borrow(|table| {
        let find = |number: u32| table.checks.get(usize::try_from(number).ok()?).cloned();
        numbers.into_iter().map(find).collect::<Option<Vec<_>>>()
    });
    checks.ok_or_else(|| D::Error::custom("a check is missing"))
}

impl Table {
    fn number(&mut self, check: &Arc<Check>) -> u32 {
        let Self { checks, numbers } = self;
        *numbers.entry(Arc::as_ptr(check)).or_insert_with(|| {
            checks.push(Arc::clone(check));
            u32::try_from(checks.len() - 1).unwrap_or(u32::MAX)
        })
    }
}
