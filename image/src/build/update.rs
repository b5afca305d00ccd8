//! The file that brings this build to a box that runs another one: a header, then the image of `boot-x`, then that of `root-x`
//! (the appliance's `store/update/bundle.rs`).

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::stamp::Stamp;
use super::system::{System, sha256};

/// Length of the header, bytes.
const HEADER: usize = 4096;

/// Writes it beside the disk image.
///
/// # Errors
/// An image cannot be read, or the file not be written.
pub fn make(stamp: &Stamp, system: &System, output: &Path) -> Result<PathBuf> {
    let path = output.join(format!("director-{}.update", stamp.board));
    let mut file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    file.write_all(&header(stamp, system)?).with_context(|| format!("cannot write {}", path.display()))?;
    for image in [&system.boot, &system.root] {
        let mut from = File::open(image).with_context(|| format!("cannot open {}", image.display()))?;
        io::copy(&mut from, &mut file).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(path)
}

fn header(stamp: &Stamp, system: &System) -> Result<Vec<u8>> {
    let part = |path: &Path| -> Result<serde_json::Value> {
        let bytes = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
        Ok(serde_json::json!({ "bytes": bytes, "sha256": sha256(path)? }))
    };
    let header = serde_json::json!({
        "director_update": 1,
        "board": stamp.board,
        "version": stamp.version,
        "commit": stamp.commit,
        "boot": part(&system.boot)?,
        "root": part(&system.root)?,
    });
    let mut header = format!("{header}\n").into_bytes();
    ensure!(header.len() <= HEADER, "the header of the update has {} bytes", header.len());
    header.resize(HEADER, 0);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_images_follow_a_header_of_4096_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let (root, boot) = (folder.path().join("root"), folder.path().join("boot"));
        std::fs::write(&root, b"root image").unwrap();
        std::fs::write(&boot, b"boot").unwrap();
        let path = make(&Stamp::of("pc"), &System { root, boot }, folder.path()).unwrap();
        assert_eq!(path.file_name().unwrap(), "director-pc.update");
        let bytes = std::fs::read(path).unwrap();
        assert_eq!(&bytes[HEADER..], b"bootroot image");
        let line = bytes.split(|byte| *byte == b'\n').next().unwrap();
        let header: serde_json::Value = serde_json::from_slice(line).unwrap();
        assert_eq!((header["board"].as_str(), header["boot"]["bytes"].as_u64()), (Some("pc"), Some(4)));
        assert_eq!(header["root"]["sha256"].as_str().map(str::len), Some(64));
    }
}
