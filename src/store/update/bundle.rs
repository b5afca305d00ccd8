//! The file that brings new firmware: a header, then the image of `boot-x`, then that of `root-x`.
//!
//! The header is one line of JSON, filled with zeros to 4096 bytes. `cargo image build` writes it.

use serde::{Deserialize, Serialize};

/// Length of the header, bytes.
pub const HEADER: usize = 4096;
/// The only form that there is.
pub const FORM: u32 = 1;
/// How the name of the file on a stick ends.
pub const ENDING: &str = ".update";

/// What the file says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// [`FORM`].
    pub director_update: u32,
    /// The kind of hardware that it is for: `pc`.
    pub board: String,
    /// For people.
    pub version: String,
    /// Of the source, short.
    pub commit: String,
    /// Kernel and how it is started.
    pub boot: Part,
    /// The root file system with its hash tree.
    pub root: Part,
}

/// One of its images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Length.
    pub bytes: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
}

impl Bundle {
    /// Reads the header of a file of `length` bytes that is for this `board`.
    ///
    /// # Errors
    /// In words: it is no such file, for other hardware, or cut short.
    pub fn read(header: &[u8], length: u64, board: &str) -> Result<Self, String> {
        let text = header.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let bundle: Self =
            serde_json::from_slice(text).map_err(|_| "it is no update of Director".to_owned())?;
        if bundle.director_update != FORM {
            return Err(format!("its form is {}, this firmware reads {FORM}", bundle.director_update));
        }
        if bundle.board != board {
            return Err(format!("it is for the board {:?}, this box is {board:?}", bundle.board));
        }
        let whole = [bundle.boot.bytes, bundle.root.bytes]
            .iter()
            .try_fold(HEADER as u64, |sum, bytes| sum.checked_add(*bytes));
        match whole {
            Some(whole) if whole == length => Ok(bundle),
            Some(whole) => Err(format!("it has {length} bytes in place of {whole}: was it copied whole?")),
            None => Err("its lengths are nonsense".to_owned()),
        }
    }

    /// The whole header.
    ///
    /// # Errors
    /// It does not fit, or cannot be written as JSON.
    pub fn header(&self) -> Result<Vec<u8>, String> {
        let mut header = serde_json::to_vec(self).map_err(|error| error.to_string())?;
        header.push(b'\n');
        if header.len() > HEADER {
            return Err("the header does not fit".to_owned());
        }
        header.resize(HEADER, 0);
        Ok(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle() -> Bundle {
        let part = |bytes| Part { bytes, sha256: "00".repeat(32) };
        let (board, version, commit) = ("pc".to_owned(), "0.2.0".to_owned(), "abc".to_owned());
        Bundle { director_update: FORM, board, version, commit, boot: part(10), root: part(20) }
    }

    #[test]
    fn a_header_round_trips() {
        let header = bundle().header().unwrap();
        assert_eq!(header.len(), HEADER);
        assert_eq!(Bundle::read(&header, 4126, "pc"), Ok(bundle()));
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        let header = bundle().header().unwrap();
        let why = |header: &[u8], length, board| Bundle::read(header, length, board).unwrap_err();
        assert!(why(&header, 4125, "pc").contains("4125 bytes in place of 4126"));
        assert!(why(&header, 4126, "arm").contains("for the board \"pc\", this box is \"arm\""));
        assert_eq!(why(b"[system]\nhostname", 17, "pc"), "it is no update of Director");
        assert_eq!(why(b"", 0, "pc"), "it is no update of Director");
        let newer = Bundle { director_update: 2, ..bundle() }.header().unwrap();
        assert!(why(&newer, 4126, "pc").contains("its form is 2"));
        let mad = Bundle { root: Part { bytes: u64::MAX, sha256: String::new() }, ..bundle() };
        assert_eq!(why(&mad.header().unwrap(), 4126, "pc"), "its lengths are nonsense");
    }
}
