//! Fragments of a kernel configuration, and whether the kernel's own tools kept what they ask for.
//!
//! `make olddefconfig` drops without a word what it does not know or whose dependencies are not met; here that is an error.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Result, bail};

/// Options by name, `CONFIG_` included; the value as written after `=`, or `n`.
pub type Options = BTreeMap<String, String>;

/// Reads the text of a fragment or of a `.config`.
///
/// # Errors
/// A line that is neither an option nor a comment; an option that is given twice with different values.
pub fn parse(name: &str, text: &str) -> Result<Options> {
    let mut options = Options::new();
    for (number, line) in text.lines().enumerate() {
        let Some((option, value)) = parse_line(line).map_err(|why| {
            anyhow::anyhow!(
                "{name}:{}: {why}: accepted are CONFIG_X=value and # CONFIG_X is not set",
                number + 1
            )
        })?
        else {
            continue;
        };
        if let Some(before) = options.insert(option.to_owned(), value.to_owned())
            && before != value
        {
            bail!("{name}:{}: {option} is set to {value} here and to {before} before", number + 1);
        }
    }
    Ok(options)
}

fn parse_line(line: &str) -> Result<Option<(&str, &str)>, String> {
    let line = line.trim();
    if let Some(comment) = line.strip_prefix('#') {
        let option = comment.trim().strip_suffix(" is not set").filter(|name| name.starts_with("CONFIG_"));
        return Ok(option.map(|name| (name, "n")));
    }
    if line.is_empty() {
        return Ok(None);
    }
    match line.split_once('=') {
        Some((name, value)) if name.starts_with("CONFIG_") && !value.is_empty() => Ok(Some((name, value))),
        _ => Err(format!("cannot read `{line}`")),
    }
}

/// Checks that `result` holds every option of `wanted` with its value.
///
/// # Errors
/// Names each option that is missing or has another value, with what it is instead.
pub fn check(wanted: &Options, result: &Options) -> Result<()> {
    let off = "n".to_owned();
    let mut faults = String::new();
    for (option, value) in wanted {
        let found = result.get(option).unwrap_or(&off);
        if found != value {
            // writing to a String cannot fail
            let _ = write!(faults, "\n  {option}={value} became {found}");
        }
    }
    if faults.is_empty() {
        return Ok(());
    }
    bail!(
        "the kernel's configuration lost options of board/: a dependency is missing in a fragment, or the option has \
         another name in this kernel:{faults}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_values_and_what_is_off() {
        let options = parse("x", "# why\nCONFIG_A=y\n\n# CONFIG_B is not set\nCONFIG_C=\"-x\"\n").unwrap();
        let expected = [("CONFIG_A", "y"), ("CONFIG_B", "n"), ("CONFIG_C", "\"-x\"")];
        assert_eq!(options, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    }

    #[test]
    fn names_the_line_that_it_cannot_read() {
        let error = parse("net.config", "CONFIG_A=y\nIP_VS=y\n").unwrap_err().to_string();
        assert!(error.starts_with("net.config:2: cannot read `IP_VS=y`"), "{error}");
        let error = parse("net.config", "CONFIG_A=y\nCONFIG_A=n\n").unwrap_err().to_string();
        assert_eq!(error, "net.config:2: CONFIG_A is set to n here and to y before");
    }

    #[test]
    fn names_every_option_that_was_lost() {
        let wanted = parse("w", "CONFIG_A=y\nCONFIG_B=18\n# CONFIG_C is not set\nCONFIG_D=y\n").unwrap();
        let result = parse("r", "CONFIG_A=y\nCONFIG_B=12\nCONFIG_C=y\n").unwrap();
        let error = check(&wanted, &result).unwrap_err().to_string();
        assert!(
            error.contains("\n  CONFIG_B=18 became 12\n  CONFIG_C=n became y\n  CONFIG_D=y became n"),
            "{error}"
        );
        assert!(!error.contains("CONFIG_A"));
    }
}
