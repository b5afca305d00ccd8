//! An update into files in place of partitions.

use std::cell::RefCell;

use sha2::{Digest, Sha256};

use super::bundle::{FORM, Part};
use super::slots::standings;
use super::*;
use crate::store::grubenv::GrubEnv;

/// Partitions as files, and what was done in which order.
struct Files {
    folder: PathBuf,
    env: RefCell<GrubEnv>,
    log: RefCell<Vec<String>>,
}

impl Files {
    fn new(folder: &Path, room: usize) -> Self {
        for name in ["boot-b", "root-b"] {
            std::fs::write(folder.join(name), vec![0xff; room]).unwrap();
        }
        Self { folder: folder.to_owned(), env: RefCell::default(), log: RefCell::default() }
    }

    fn state(&self) -> String {
        let env = self.env.borrow();
        ["ORDER", "A_ST", "B_ST", "B_N"].map(|key| env.get(key).unwrap_or_default().to_owned()).join("|")
    }
}

impl Medium for Files {
    fn other(&self) -> char {
        'B'
    }

    fn give_up(&self, slot: char) -> Result<(), String> {
        self.env.borrow_mut().give_up(slot);
        self.log.borrow_mut().push("given up".to_owned());
        Ok(())
    }

    fn open(&self, kind: &str, _: char) -> Result<(String, File), String> {
        let name = format!("{kind}-b");
        self.log.borrow_mut().push(name.clone());
        let file = File::options().read(true).write(true).open(self.folder.join(&name)).unwrap();
        Ok((name, file))
    }

    fn put_on_trial(&self, slot: char) -> Result<(), String> {
        self.env.borrow_mut().put_on_trial(slot);
        self.log.borrow_mut().push("on trial".to_owned());
        Ok(())
    }
}

fn part(bytes: &[u8]) -> Part {
    let sha256 = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    Part { bytes: bytes.len() as u64, sha256 }
}

/// Two images of odd lengths, and the file that brings them.
fn images() -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let boot: Vec<u8> = (0..1_500_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    let root: Vec<u8> = (0..2_500_001_u32).map(|n| n.to_le_bytes()[0] ^ 0x5a).collect();
    let bundle = Bundle {
        director_update: FORM,
        board: "pc".to_owned(),
        version: "0.2.0".to_owned(),
        commit: "abc".to_owned(),
        boot: part(&boot),
        root: part(&root),
    };
    let file = [bundle.header().unwrap(), boot.clone(), root.clone()].concat();
    (boot, root, file)
}

fn update(files: &Files, bytes: &[u8]) -> (Result<String, String>, Vec<Progress>) {
    let path = files.folder.join("director-pc.update");
    std::fs::write(&path, bytes).unwrap();
    let mut told = Vec::new();
    (write(files, &path, &mut |progress| told.push(progress)), told)
}

#[test]
fn both_images_are_written_and_the_slot_is_on_trial() {
    let folder = tempfile::tempdir().unwrap();
    let files = Files::new(folder.path(), 4_000_000);
    let (boot, root, file) = images();
    let (done, told) = update(&files, &file);
    assert_eq!(done.unwrap(), "Director 0.2.0 is in slot B: the next start tries it.");
    assert_eq!(files.log.borrow()[..], ["root-b", "boot-b", "given up", "on trial"]);
    assert_eq!(files.state(), "B A|good|try|");
    for (name, image) in [("boot-b", &boot), ("root-b", &root)] {
        let written = std::fs::read(folder.path().join(name)).unwrap();
        assert!(
            written.starts_with(image) && written[image.len()..].iter().all(|byte| *byte == 0xff),
            "{name}"
        );
    }
    let percents = |what| told.iter().filter(|it| it.what == what).map(|it| it.percent).collect::<Vec<_>>();
    for what in ["checked", "written"] {
        assert!(percents(what).is_sorted() && percents(what).last() == Some(&100), "{what}: {told:?}");
    }
}

#[test]
fn a_damaged_file_is_found_before_anything_is_written() {
    let (_, _, file) = images();
    for at in [5_000, file.len() - 1] {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path(), 4_000_000);
        let mut damaged = file.clone();
        damaged[at] ^= 1;
        let (done, _) = update(&files, &damaged);
        assert_eq!(done.unwrap_err(), "update: director-pc.update: it is damaged: its checksum is another");
        assert_eq!((files.log.borrow().len(), files.state()), (0, "A B|good|good|".to_owned()));
    }
    let folder = tempfile::tempdir().unwrap();
    let files = Files::new(folder.path(), 4_000_000);
    let (done, _) = update(&files, &file[..file.len() - 1]);
    assert!(done.unwrap_err().ends_with("was it copied whole?"));
}

#[test]
fn an_image_that_does_not_fit_changes_nothing() {
    let (_, _, file) = images();
    // Both are too large for their partitions, or only the one that is written first.
    for room in [1_000_000, 2_000_000] {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path(), room);
        let (done, _) = update(&files, &file);
        let why = format!(
            "update: director-pc.update: root-b: 2500001 bytes do not fit into the {room} of the partition"
        );
        assert_eq!(done.unwrap_err(), why);
        assert_eq!(files.state(), "A B|good|good|");
        let root = std::fs::read(folder.path().join("root-b")).unwrap();
        assert!(root.iter().all(|byte| *byte == 0xff));
    }
}

#[test]
fn a_slot_that_is_given_up_is_not_started() {
    let mut env = GrubEnv::default();
    env.prefer('B');
    env.give_up('B');
    let next = standings(&env, 'A').into_iter().find(|it| it.next).map(|it| it.slot);
    assert_eq!(next, Some('A'));
}

#[test]
fn the_only_update_of_a_stick() {
    let folder = tempfile::tempdir().unwrap();
    let why = || only_one(folder.path()).unwrap_err();
    assert!(why().contains("no file there"));
    std::fs::create_dir(folder.path().join("folder.update")).unwrap();
    assert!(why().contains("no file there"));
    std::fs::write(folder.path().join("DIRECTOR.UPDATE"), b"").unwrap();
    assert!(only_one(folder.path()).unwrap().ends_with("DIRECTOR.UPDATE"));
    std::fs::write(folder.path().join("other.update"), b"").unwrap();
    assert!(why().contains("several files"));
}
