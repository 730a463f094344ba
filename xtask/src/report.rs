//! What was shown with which peer, as a table on stdout and a JSON file in `target/`.

use std::path::Path;

use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::e2e::say;

/// One claim and what came of it.
#[derive(Serialize, Deserialize)]
struct Row {
    peer: String,
    claim: String,
    outcome: Outcome,
    detail: String,
}

#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Passed,
    Failed,
    Skipped,
}

/// Claims and outcomes, in the order in which they were shown.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// Shows a claim: it passes when `show` does. A failure is recorded, and the rest goes on.
    pub(crate) fn claim(
        &mut self,
        peer: &str,
        claim: &str,
        show: impl FnOnce() -> anyhow::Result<()>,
    ) {
        let (outcome, detail) = match show() {
            Ok(()) => (Outcome::Passed, String::new()),
            Err(error) => (Outcome::Failed, format!("{error:#}")),
        };
        self.add(peer, claim, outcome, detail);
    }

    /// Says why a claim could not be shown.
    pub(crate) fn skip(&mut self, peer: &str, claim: &str, why: &str) {
        self.add(peer, claim, Outcome::Skipped, why.to_owned());
    }

    fn add(&mut self, peer: &str, claim: &str, outcome: Outcome, detail: String) {
        let word = match outcome {
            Outcome::Passed => "passed",
            Outcome::Failed => "FAILED",
            Outcome::Skipped => "skipped",
        };
        say(&format!("{word:>8}  {peer}: {claim}"));
        for line in detail.lines().take(20) {
            say(&format!("          {line}"));
        }
        self.rows.push(Row { peer: peer.to_owned(), claim: claim.to_owned(), outcome, detail });
    }

    /// Writes the report down.
    pub(crate) fn save(&self, path: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        Ok(fs::write(path, serde_json::to_string_pretty(self)?)?)
    }

    /// Takes in what another process has written down, and told already.
    pub(crate) fn take(&mut self, path: &Path) -> anyhow::Result<()> {
        let other: Self = serde_json::from_str(&fs::read_to_string(path)?)?;
        self.rows.extend(other.rows);
        Ok(())
    }

    /// Writes the report down, and fails when a claim did.
    pub(crate) fn end(self, path: &Path) -> anyhow::Result<()> {
        self.save(path)?;
        let n = |outcome| self.rows.iter().filter(|row| row.outcome == outcome).count();
        let (passed, failed, skipped) =
            (n(Outcome::Passed), n(Outcome::Failed), n(Outcome::Skipped));
        say(&format!(
            "\n{passed} passed, {failed} failed, {skipped} skipped; written to {}",
            path.display()
        ));
        anyhow::ensure!(failed == 0, "{failed} claims do not hold");
        Ok(())
    }
}
