//! Programs of the operator's from the folder `hooks` beside `director.toml`, and whether an appliance can run them: it has no shell
//! and no loader of shared libraries.

use std::path::Path;

/// How the file names one.
const PREFIX: &str = "hooks/";
/// Where an appliance has them: in memory, root's, read only.
pub const HOME: &str = "/run/director-hooks";

/// The name in `hooks/NAME`; `None` for any other path.
#[must_use]
pub fn name(program: &str) -> Option<&str> {
    program.strip_prefix(PREFIX).filter(|name| is_name(name))
}

/// Letters, digits, `.`, `_` and `-`, and no dot in front.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty() && !name.starts_with('.') && name.len() <= 64 && name.chars().all(fits)
}

/// Whether an appliance can run this: a static ELF program for its processor, or a script whose interpreter is another hook.
///
/// # Errors
/// Why not, in words that go on with what to do.
pub fn judge(program: &[u8]) -> Result<(), String> {
    if let Some(rest) = program.strip_prefix(b"#!") {
        return script(rest);
    }
    if program.starts_with(b"\x7fELF") {
        elf(program)
    } else {
        Err("neither an ELF program nor a script with #!".to_owned())
    }
}

fn script(rest: &[u8]) -> Result<(), String> {
    let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let interpreter = line.split_whitespace().next().unwrap_or_default();
    let path = Path::new(interpreter);
    if path.parent() == Some(Path::new(HOME))
        && path.file_name().and_then(|name| name.to_str()).is_some_and(is_name)
    {
        return Ok(());
    }
    Err(format!(
        "an appliance has no {interpreter:?}: put a static interpreter into hooks and name it with #!{HOME}/NAME"
    ))
}

/// System V ABI, "Object Files": offsets of the 64-bit header.
fn elf(program: &[u8]) -> Result<(), String> {
    const TRUNCATED: &str = "the ELF program is cut short";
    // Interpreter segment (PT_INTERP).
    const INTERPRETER: u64 = 3;
    let number = |at: usize, length: usize| -> Option<u64> {
        let bytes = program.get(at..at.checked_add(length)?)?;
        Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    };
    if number(4, 2) != Some(0x0102) {
        return Err("not a 64-bit program".to_owned());
    }
    let ours = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
    if number(18, 2) != Some(ours) {
        return Err(format!("a program for another processor than {}", std::env::consts::ARCH));
    }
    let size = |at, length| number(at, length).and_then(|number| usize::try_from(number).ok());
    let (Some(table), Some(entry), Some(count)) = (size(32, 8), size(54, 2), size(56, 2)) else {
        return Err(TRUNCATED.to_owned());
    };
    for index in 0..count {
        let at = entry.checked_mul(index).and_then(|offset| offset.checked_add(table)).ok_or(TRUNCATED)?;
        match number(at, 4) {
            Some(INTERPRETER) => {
                return Err(
                    "it needs shared libraries, and an appliance has none: link it statically".to_owned()
                );
            }
            Some(_) => {}
            None => return Err(TRUNCATED.to_owned()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_word_in_the_folder() {
        assert_eq!(name("hooks/tell.sh"), Some("tell.sh"));
        for other in
            ["/hooks/tell", "hooks/", "hooks/../tell", "hooks/a/b", "hooks/.tell", "tell", "hooks/a b"]
        {
            assert_eq!(name(other), None, "{other}");
        }
    }

    #[test]
    fn what_needs_a_shell_or_a_loader_is_refused() {
        let says = |program: &[u8]| judge(program).unwrap_err();
        assert!(says(b"#!/bin/sh\necho\n").contains("an appliance has no \"/bin/sh\": put a static"));
        assert!(says(b"#!/run/director-hooks/../sh\n").contains("an appliance has no"));
        assert_eq!(judge(b"#! /run/director-hooks/busybox sh\necho\n"), Ok(()));
        assert_eq!(says(b"echo"), "neither an ELF program nor a script with #!");
        assert_eq!(says(b"\x7fELF\x01\x01"), "not a 64-bit program");
        assert_eq!(says(b""), "neither an ELF program nor a script with #!");
    }

    #[test]
    fn a_program_is_static_or_not() {
        // This test is linked with the loader of its host, unless that is musl's.
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(judge(&own).is_err(), cfg!(target_env = "gnu"), "{:?}", judge(&own));
        assert_eq!(judge(&own[..70]).unwrap_err(), "the ELF program is cut short");
        // The same without any segment needs no loader.
        let mut bare = own;
        bare[56..58].copy_from_slice(&[0, 0]);
        assert_eq!(judge(&bare), Ok(()));
        bare[18] = 40;
        assert!(judge(&bare).unwrap_err().starts_with("a program for another processor"));
    }
}
