//! What is in an image and how large, against the budgets.

use std::path::Path;

use anyhow::{Context, Result, bail};

/// Bytes of a decimal megabyte.
const MB: u64 = 1_000_000;

/// One line of the table.
pub struct Part {
    name: &'static str,
    bytes: u64,
    budget: Option<u64>,
}

/// The sizes of one build.
#[derive(Default)]
pub struct Report(Vec<Part>);

impl Report {
    /// Adds the size of the file at `path`, with the most that it may be in megabytes.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn add(&mut self, name: &'static str, path: &Path, budget: Option<u64>) -> Result<()> {
        let file = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
        self.0.push(Part { name, bytes: file.len(), budget: budget.map(|budget| budget * MB) });
        Ok(())
    }

    /// The table for people.
    pub fn table(&self) -> String {
        let line = |part: &Part| match part.budget {
            Some(budget) => format!("{:<18}{:>13} of at most {budget}\n", part.name, part.bytes),
            None => format!("{:<18}{:>13}\n", part.name, part.bytes),
        };
        format!("{:<18}{:>13}\n{}", "part", "bytes", self.0.iter().map(line).collect::<String>())
    }

    /// # Errors
    /// Names each part that is larger than its budget.
    pub fn check(&self) -> Result<()> {
        let over: Vec<String> = self
            .0
            .iter()
            .filter_map(|part| part.budget.filter(|budget| part.bytes > *budget).map(|budget| (part, budget)))
            .map(|(part, budget)| format!("{} has {} bytes and may have {budget}", part.name, part.bytes))
            .collect();
        if over.is_empty() {
            return Ok(());
        }
        bail!("over budget: {}", over.join("; "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_is_too_large() {
        let part = |name, bytes, budget| Part { name, bytes, budget };
        let report = Report(vec![
            part("binary", 5_000_001, Some(5 * MB)),
            part("kernel", 9, None),
            part("image", 1, Some(2)),
        ]);
        let error = report.check().unwrap_err().to_string();
        assert_eq!(error, "over budget: binary has 5000001 bytes and may have 5000000");
        assert!(report.table().contains("kernel                        9\n"), "{}", report.table());
    }
}
