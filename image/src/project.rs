//! Where things are: the checkout, its products, the user's cache.

use std::path::{Path, PathBuf};

/// The checkout this program was built from.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or_else(|| Path::new("."))
}

/// Cargo's folder for products: `target`, or CARGO_TARGET_DIR.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// The folder for images and what they are made of.
pub fn images() -> PathBuf {
    target().join("image")
}
