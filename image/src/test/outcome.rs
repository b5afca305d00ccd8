//! What a step found out.

/// The results of one step. A step without failures has passed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How many tests passed.
    pub passed: usize,
    /// The tests that failed, each with why.
    pub failed: Vec<String>,
    /// The tests that could not run here, each with why.
    pub skipped: Vec<String>,
    /// Measured numbers and the like, printed below the table.
    pub notes: Vec<String>,
}

impl Outcome {
    /// One test that passed.
    pub fn passed() -> Outcome {
        Outcome { passed: 1, ..Outcome::default() }
    }

    /// One test that failed.
    pub fn failed(why: String) -> Outcome {
        Outcome { failed: vec![why], ..Outcome::default() }
    }

    /// The same, and one test more that could not run.
    pub fn and_skipped(mut self, why: &str) -> Outcome {
        self.skipped.push(why.to_owned());
        self
    }

    /// Adds the results of libtest's output: `test NAME ... ok`, and lines that begin with `skipped:` from tests that
    /// looked around and did not run.
    pub fn read_libtest(&mut self, output: &str) {
        for line in output.lines() {
            let Some((name, result)) = line.strip_prefix("test ").and_then(|rest| rest.rsplit_once(" ... "))
            else {
                if let Some(why) = line.trim_start().strip_prefix("skipped: ") {
                    self.passed = self.passed.saturating_sub(1); // libtest knows no skipping: it said "ok"
                    self.skipped.push(why.to_owned());
                }
                continue;
            };
            match result.split(',').next().unwrap_or(result).trim() {
                "ok" => self.passed += 1,
                "FAILED" => self.failed.push(name.to_owned()),
                _ => self.skipped.push(format!("{name}: {result}")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_libtest() {
        let mut outcome = Outcome::default();
        outcome.read_libtest(
            "running 4 tests\ntest a::b ... ok\ntest c ... FAILED\ntest d ... ignored, slow\ntest e ... ok\n\n\
             successes:\n\n---- e stdout ----\nskipped: needs root\n\ntest result: FAILED. 2 passed\n",
        );
        assert_eq!(outcome.passed, 1);
        assert_eq!(outcome.failed, ["c"]);
        assert_eq!(outcome.skipped, ["d: ignored, slow", "needs root"]);
    }
}
