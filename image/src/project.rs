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

/// The folder for slow products that outlive a checkout: `director/` in XDG_CACHE_HOME, by default `~/.cache`.
pub fn cache() -> PathBuf {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("director")
}
