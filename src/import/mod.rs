//! Configurations of other projects as `director.toml`. Pure: text in, text and warnings out.
//!
//! [`draft`]: what was understood, and how it is written · [`keepalived`], [`ldirectord`], [`ipvsadm`]: the readers. What
//! Director says differently, or not at all, is a warning with the line of the original, and a comment in the result.

pub mod draft;
pub mod ipvsadm;
pub mod keepalived;
pub mod ldirectord;

use std::path::Path;

pub use draft::{Draft, Warning};
pub use keepalived::include::Look;

/// Whose file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// `keepalived.conf`.
    Keepalived,
    /// `ldirectord.cf`.
    Ldirectord,
    /// What `ipvsadm -S -n` prints and `ipvsadm -R` reads.
    Ipvsadm,
}

impl Tool {
    /// Every tool, by its name.
    pub const ALL: [(&str, Self); 3] =
        [("keepalived", Self::Keepalived), ("ldirectord", Self::Ldirectord), ("ipvsadm", Self::Ipvsadm)];

    /// Reads `text`, which is the file `path` of this tool; `look` reads the files that it includes.
    #[must_use]
    pub fn read(self, path: &Path, text: &str, look: &mut Look<'_>) -> Draft {
        let mut draft = match self {
            Self::Keepalived => keepalived::read(path, text, look),
            Self::Ldirectord => ldirectord::read(text),
            Self::Ipvsadm => ipvsadm::read(text),
        };
        draft.place_rest();
        draft
    }
}
