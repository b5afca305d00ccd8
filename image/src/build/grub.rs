//! The boot loader for BIOS and UEFI: its two images, the patches by which BIOS finds them, and its environment block.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::tool;

use super::board::Board;

/// Where Debian keeps GRUB's modules.
const MODULES: &str = "/usr/lib/grub";

/// Where the BIOS partition begins, in sectors: `offset = 1M` in genimage.cfg.
const CORE_SECTOR: u64 = 2048;

/// Bytes of a sector.
const SECTOR: usize = 512;

/// Bytes of an environment block (GRUB manual, "Environment block").
const ENVIRONMENT: usize = 1024;

/// What the boot loader is before a slot has been booted: both good, none counted.
const FACTORY_ENVIRONMENT: [(&str, &str); 5] =
    [("ORDER", "A B"), ("A_ST", "good"), ("A_N", ""), ("B_ST", "good"), ("B_N", "")];

/// The files that a disk's boot loader consists of.
pub struct BootLoader {
    /// 440 bytes for the start of the MBR.
    pub mbr: PathBuf,
    /// For the BIOS partition.
    pub core: PathBuf,
    /// `EFI/BOOT/BOOTX64.EFI`.
    pub efi: PathBuf,
}

/// Makes the boot loader in `parts`; from `prebuilt` it takes what Buildroot made there.
///
/// # Errors
/// grub-mkimage fails, or an image does not look as the patches expect.
pub fn make(board: &Board, prebuilt: Option<&Path>, parts: &Path) -> Result<BootLoader> {
    let given = |name: &str| prebuilt.map(|dir| dir.join(name)).filter(|path| path.exists());
    let core = match given("grub.img") {
        Some(path) => path,
        None => image(board, "i386-pc", "biosdisk", &parts.join("grub-core.img"))?,
    };
    let efi = match given("efi-part/EFI/BOOT/bootx64.efi") {
        Some(path) => path,
        None => image(board, "x86_64-efi", "efi_gop", &parts.join("BOOTX64.EFI"))?,
    };
    let boot = given("boot.img").unwrap_or_else(|| Path::new(MODULES).join("i386-pc/boot.img"));
    let loader = BootLoader { mbr: parts.join("mbr.bin"), core: parts.join("core.bin"), efi };
    write(&loader.mbr, &boot_sector(&read(&boot)?)?)?;
    write(&loader.core, &core_image(read(&core)?)?)?;
    Ok(loader)
}

/// The environment block of a new disk.
pub fn factory_environment() -> Vec<u8> {
    let mut block = b"# GRUB Environment Block\n".to_vec();
    for (name, value) in FACTORY_ENVIRONMENT {
        block.extend(format!("{name}={value}\n").bytes());
    }
    block.resize(ENVIRONMENT, b'#');
    block
}

fn image(board: &Board, platform: &str, driver: &str, output: &Path) -> Result<PathBuf> {
    let modules = Board::read(&board.common("grub/modules.txt"))?;
    let mut command = tool::command("grub-mkimage");
    command.args(["--format", platform, "--directory"]).arg(Path::new(MODULES).join(platform));
    command.args(["--prefix", "/grub", "--config"]).arg(board.common("grub/early.cfg"));
    command.arg("--output").arg(output).arg(driver);
    command.args(modules.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace));
    tool::run(&mut command)?;
    Ok(output.to_owned())
}

/// GRUB's boot.img for a disk (grub-core/boot/i386/pc/boot.S): tells it the sector of the core, and takes out the two
/// bytes of a jump that only floppies need.
fn boot_sector(boot: &[u8]) -> Result<Vec<u8>> {
    const CORE_ADDRESS: usize = 0x5c;
    const FLOPPY_JUMP: usize = 0x66;
    let mut sector = boot.get(..440).context("GRUB's boot.img is shorter than 440 bytes")?.to_vec();
    patch(&mut sector, CORE_ADDRESS, &CORE_SECTOR.to_le_bytes())?;
    patch(&mut sector, FLOPPY_JUMP, &[0x90, 0x90])?;
    Ok(sector)
}

/// GRUB's core for its partition (grub-core/boot/i386/pc/diskboot.S): its block list says where the rest of it is.
fn core_image(mut core: Vec<u8>) -> Result<Vec<u8>> {
    const BLOCK_LIST: usize = SECTOR - 12;
    ensure!(
        core.len() <= 2048 * SECTOR,
        "GRUB's core has {} bytes: its partition has room for 1 MiB",
        core.len()
    );
    patch(&mut core, BLOCK_LIST, &(CORE_SECTOR + 1).to_le_bytes())?;
    Ok(core)
}

fn patch(bytes: &mut [u8], at: usize, new: &[u8]) -> Result<()> {
    match bytes.get_mut(at..at + new.len()) {
        Some(place) => place.copy_from_slice(new),
        None => bail!("GRUB's image has only {} bytes", bytes.len()),
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_what_grub_reads() {
        let block = factory_environment();
        assert_eq!(block.len(), 1024);
        let text = String::from_utf8(block).unwrap();
        assert!(
            text.starts_with("# GRUB Environment Block\nORDER=A B\nA_ST=good\nA_N=\nB_ST=good\nB_N=\n###")
        );
    }

    #[test]
    fn the_early_script_suits_its_parser() {
        let script = Board::read(&Board::named("pc").unwrap().common("grub/early.cfg")).unwrap();
        assert!(
            !script.contains(['#', '\'', ';']) && !script.contains("\nif "),
            "only the full parser reads this"
        );
        assert!(script.ends_with("\nsleep 5\nreboot\n"), "every dead end reboots");
    }

    #[test]
    fn the_boot_sector_knows_where_the_core_is() {
        let sector = boot_sector(&[0xeb; 512]).unwrap();
        assert_eq!(sector.len(), 440);
        assert_eq!(sector[0x5c..0x64], 2048u64.to_le_bytes());
        assert_eq!(sector[0x66..0x68], [0x90, 0x90]);
        assert_eq!(sector[0x68], 0xeb);
        assert!(boot_sector(&[0; 100]).is_err());
    }

    #[test]
    fn the_core_knows_where_it_continues() {
        let core = core_image(vec![1; 1000]).unwrap();
        assert_eq!(core[500..508], 2049u64.to_le_bytes());
        assert_eq!((core[499], core[508]), (1, 1));
        assert!(core_image(vec![0; 2048 * 512 + 1]).is_err());
    }
}
