//! A changeset, whatever its changelog was written in.

use std::path::PathBuf;

use md5::{Digest as _, Md5};

/// What version of Liquibase's checksums is written, and compared.
pub(crate) const CHECKSUM_VERSION: &str = "9:";

/// A changeset of a changelog.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Changeset {
    pub(crate) id: String,
    pub(crate) author: String,
    /// What the ledger calls its file.
    pub(crate) filename: String,
    pub(crate) file: PathBuf,
    pub(crate) line: usize,
    /// What it does.
    pub(crate) changes: Vec<Change>,
    /// How it is taken back, if its author says that.
    pub(crate) rollback: Option<Rollback>,
    pub(crate) conditions: Conditions,
    /// What its whole changelog asks for, and those that include it.
    pub(crate) before: Vec<Before>,
    pub(crate) comment: Option<String>,
    /// The contexts as the ledger shows them, those of including files before its own.
    pub(crate) contexts: Option<String>,
    pub(crate) labels: Vec<String>,
    pub(crate) tag: Option<String>,
    /// Checksums that its author takes for as good.
    pub(crate) accepts: Vec<String>,
    pub(crate) runs_in_transaction: bool,
    pub(crate) fails_on_error: bool,
    pub(crate) runs_again: Option<&'static str>,
    pub(crate) order: Order,
    /// Why nothing of it can be followed, and where that stands.
    pub(crate) refusal: Option<(String, usize)>,
}

/// When a changeset is applied: `runOrder`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    /// Before all others.
    First,
    #[default]
    InPlace,
    /// After all others.
    Last,
}

/// One change of a changeset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// Its statements; `None` where it has none on this engine.
    pub(crate) sql: Option<Text>,
    /// What its checksum is of; `None` where only Liquibase knows.
    pub(crate) checked: Option<String>,
    /// What the ledger says of it.
    pub(crate) description: String,
    /// Why it cannot be applied by walkback.
    pub(crate) refusal: Option<String>,
    /// Where it stands.
    pub(crate) line: usize,
}

/// Statements, line by line as they stand in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) file: PathBuf,
    /// The line its first line stands on.
    pub(crate) line: usize,
    pub(crate) text: String,
    /// What ends a statement, where that is not a semicolon.
    pub(crate) delimiter: Option<String>,
    /// Whether each line of it stands on a line of the file, in order.
    pub(crate) is_verbatim: bool,
}

/// How a changeset is taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rollback {
    /// By these statements; none, if its author says that nothing is to be done.
    Sql(Vec<Text>),
    /// By applying another changeset again.
    Changeset {
        id: String,
        author: String,
        filename: String,
        line: usize,
    },
    /// By something that walkback cannot do.
    Refused { why: String, line: usize },
}

/// What has to hold before a changeset is applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    pub(crate) checks: Vec<Check>,
    pub(crate) on_fail: OnFail,
    /// Why they cannot be tried, and where.
    pub(crate) refusal: Option<(String, usize)>,
}

/// What has to hold before anything of a changelog is applied: it is asked once in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Before {
    pub(crate) file: PathBuf,
    pub(crate) conditions: Conditions,
}

/// A question whose answer has to be this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) sql: String,
    pub(crate) expected: String,
    pub(crate) line: usize,
}

impl Conditions {
    /// Notes why they cannot be tried. The first reason stays.
    pub(crate) fn refuse(&mut self, why: String, line: usize) {
        self.refusal.get_or_insert((why, line));
    }
}

/// What happens if a condition does not hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum OnFail {
    #[default]
    Halt,
    Warn,
    MarkRan,
    Continue,
}

impl Changeset {
    /// Returns the columns of its key in the ledger.
    pub(crate) fn key(&self) -> Vec<String> {
        vec![self.id.clone(), self.author.clone(), self.filename.clone()]
    }

    /// Returns its checksum as Liquibase writes it, where everything in it can be known.
    pub(crate) fn checksum(&self) -> Option<String> {
        let mut all = String::new();
        for change in &self.changes {
            all.push_str(&format!("{CHECKSUM_VERSION}{}:", md5(change.checked.as_ref()?)));
        }
        Some(format!("{CHECKSUM_VERSION}{}", md5(&all)))
    }

    /// Returns what it is known by: its checksum, or a hash of all that it says.
    pub(crate) fn known_as(&self) -> String {
        self.checksum().unwrap_or_else(|| {
            let said = format!("{:?}", self.changes.iter().map(Change::said).collect::<Vec<_>>());
            format!("walkback:{}", md5(&said))
        })
    }

    /// Returns what the ledger says of its changes.
    pub(crate) fn description(&self) -> String {
        let all: Vec<&str> = self
            .changes
            .iter()
            .map(|change| change.description.as_str())
            .collect();
        if all.is_empty() {
            return "empty".to_owned();
        }
        shortened(&all.join("; "), 255)
    }
}

impl Change {
    /// Returns a change of plain SQL.
    pub(crate) fn of_sql(sql: Text, checked: String, description: &str) -> Self {
        Self {
            line: sql.line,
            sql: Some(sql),
            checked: Some(checked),
            description: description.to_owned(),
            refusal: None,
        }
    }

    fn said(&self) -> (&str, Option<&str>) {
        (&self.description, self.sql.as_ref().map(|sql| sql.text.as_str()))
    }
}

/// Returns what the checksum of SQL is of: its text without blanks.
pub(crate) fn without_blanks(sql: &str) -> String {
    sql.replace([' ', '\n', '\r', '\t'], "")
}

/// Shortens a text for a column, as Liquibase does.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(3)).collect();
    format!("{kept}...")
}

fn md5(text: &str) -> String {
    hex::encode(Md5::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(changes: &[&str]) -> String {
        let change = |sql: &&str| Change::of_sql(Text::default(), without_blanks(sql), "sql");
        let changeset = Changeset {
            changes: changes.iter().map(change).collect(),
            ..Changeset::default()
        };
        changeset.checksum().unwrap()
    }

    /// The sums are what Liquibase 4.28.0 wrote for these changes.
    #[test]
    fn checksums_are_those_of_liquibase() {
        assert_eq!(of(&["select 1"]), "9:3b78b9910981c62ca27148640fad7bc2");
        assert_eq!(of(&["select 1;\n"]), "9:a7ca957848b7a2d82c733ec390529b49");
        assert_eq!(
            of(&["select 1", "select 2; select 3"]),
            "9:8bfb11eaf7d6cc07c1663ddbb7e3b1af"
        );
        assert_eq!(of(&[]), "9:d41d8cd98f00b204e9800998ecf8427e");
    }
}
