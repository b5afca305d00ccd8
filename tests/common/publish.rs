//! A configuration in force, as `store` leaves it for the workers.

use ::director::ipc::message::{Source, StoreStatus};
use ::director::paths::RunDir;

/// Puts `text` into the run directory: two files, each replaced by rename. Returns what `store` would say of it.
#[allow(clippy::unwrap_used, reason = "a helper of tests")]
pub fn publish(run: &RunDir, generation: u64, text: &str) -> StoreStatus {
    let status = StoreStatus {
        generation,
        source: Source::File,
        why: "a test wants it".to_owned(),
        node: None,
        candidates: Vec::new(),
        slot: "none".to_owned(),
        life: Default::default(),
    };
    let told = serde_json::to_string(&status).unwrap();
    for (content, target) in [(told.as_str(), run.source()), (text, run.active_config())] {
        let next = target.with_extension("next");
        std::fs::write(&next, content).unwrap();
        std::fs::rename(&next, &target).unwrap();
    }
    status
}
