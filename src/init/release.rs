//! What the image says about itself.

use serde::Deserialize;

/// Written by the image's build.
const PATH: &str = "/etc/director/release.json";
/// The clock of a box is at least this, 2026-01-01, when nothing better is known.
const EPOCH: u64 = 1_767_225_600;

/// Identity of the running firmware.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Release {
    /// Version, for people.
    pub version: String,
    /// The commit, short.
    #[serde(default)]
    pub commit: Option<String>,
    /// The kind of hardware that the image is for: `pc`; none where there is no image.
    #[serde(default)]
    pub board: Option<String>,
    /// Time of that commit, seconds since 1970.
    #[serde(rename = "time", default = "epoch")]
    pub built: u64,
}

impl Release {
    /// The image's, or that of this binary alone where there is no image.
    #[must_use]
    pub fn read() -> Self {
        let written = std::fs::read_to_string(PATH).ok();
        written.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_else(|| Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: None,
            board: None,
            built: EPOCH,
        })
    }
}

const fn epoch() -> u64 {
    EPOCH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_build_writes() {
        let text = r#"{"version":"0.1.0","commit":"abc","time":1790000000,"date":"2026","board":"pc"}"#;
        let release: Release = serde_json::from_str(text).unwrap();
        assert_eq!(release.built, 1_790_000_000);
        let least: Release = serde_json::from_str(r#"{"version":"1"}"#).unwrap();
        assert_eq!(least.built, EPOCH);
    }
}
