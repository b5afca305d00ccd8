//! Whether a block device holds a FAT file system, and its label (Microsoft FAT specification 1.03, section 3).

/// The label of the FAT file system that begins with `sector`; `None` if it is none.
///
/// The label is the one in the boot sector: `mkfs.fat`, Windows and macOS set it when they format.
#[must_use]
pub fn label(sector: &[u8]) -> Option<String> {
    let bytes = |at: usize, length: usize| sector.get(at..at + length);
    if bytes(510, 2) != Some(&[0x55, 0xaa]) || !matches!(bytes(0, 1), Some([0xeb | 0xe9])) {
        return None;
    }
    let raw = if bytes(82, 5) == Some(b"FAT32") {
        bytes(71, 11)?
    } else if bytes(54, 3) == Some(b"FAT") {
        bytes(43, 11)?
    } else {
        return None;
    };
    Some(String::from_utf8_lossy(raw).trim_end_matches([' ', '\0']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sector(marks: &[(usize, &[u8])]) -> Vec<u8> {
        let mut sector = vec![0; 512];
        for (at, bytes) in [(0, &[0xeb, 0x3c, 0x90][..]), (510, &[0x55, 0xaa])].iter().chain(marks) {
            sector[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        sector
    }

    #[test]
    fn labels_of_both_kinds() {
        assert_eq!(label(&sector(&[(82, b"FAT32   "), (71, b"DIRECTOR   ")])).as_deref(), Some("DIRECTOR"));
        assert_eq!(label(&sector(&[(54, b"FAT16   "), (43, b"NO NAME    ")])).as_deref(), Some("NO NAME"));
    }

    #[test]
    fn others_are_none() {
        assert_eq!(label(&sector(&[(3, b"NTFS    ")])), None);
        assert_eq!(label(&sector(&[(3, b"EXFAT   ")])), None);
        assert_eq!(label(&[0; 512]), None);
        assert_eq!(label(&[]), None);
    }
}
