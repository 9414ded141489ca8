//! What the way back of a migration is worth.

use std::fmt;

use serde::{Deserialize, Serialize};
use walkback_core::name::ObjectKind;
use walkback_core::statement::{Action, Severity};

use super::PlannedStatement;

/// Why there is none, where nobody wrote one.
const NO_DOWN: &str = "it has no down script";

/// What the way back of a migration is worth, as far as reading it can tell. `walkback verify` finds out by
/// running it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Its down brings back exactly what was there.
    Lossless,
    /// Its down cannot bring these back.
    Lossy {
        /// What, in words.
        loses: Vec<String>,
    },
    /// It has no down at all.
    Irreversible {
        /// Why.
        why: String,
    },
    /// It cannot be told by reading.
    Unknown {
        /// Why.
        why: String,
    },
}

impl Verdict {
    /// Returns the word for lists.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Lossless => "lossless",
            Self::Lossy { .. } => "lossy",
            Self::Irreversible { .. } => "irreversible",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// Returns the verdict of a script that destroys something and has no way down.
    pub(crate) fn irreversible_without_down() -> Self {
        Self::Irreversible {
            why: NO_DOWN.to_owned(),
        }
    }

    /// Returns the verdict of a script whose way down is derived, which is known when it has run.
    pub(crate) fn derived_while_it_runs() -> Self {
        Self::Unknown {
            why: format!("{NO_DOWN}; one is derived while it runs"),
        }
    }

    /// Judges again, once it is known whether a way back could be derived for a migration without a down.
    #[must_use]
    pub(crate) fn derived(self, derived: bool, loses: &[String]) -> Self {
        match self {
            Self::Irreversible { .. } | Self::Unknown { .. } if derived && loses.is_empty() => Self::Lossless,
            Self::Irreversible { .. } | Self::Unknown { .. } if derived => Self::Lossy {
                loses: loses.to_vec(),
            },
            Self::Unknown { .. } => Self::Irreversible {
                why: NO_DOWN.to_owned(),
            },
            other => other,
        }
    }

    /// Judges an up script by its statements, given whether there is a down.
    #[must_use]
    pub(crate) fn of_up(statements: &[PlannedStatement], has_down: bool, irreversible: Option<&str>) -> Self {
        if let Some(why) = irreversible {
            return Self::Irreversible { why: why.to_owned() };
        }
        let worst = statements.iter().map(|statement| statement.severity).max();
        match worst {
            Some(Severity::Additive) if !has_down => {
                return Self::derived_while_it_runs();
            }
            Some(worst) if !has_down && worst > Severity::Additive => {
                return Self::irreversible_without_down();
            }
            _ => {}
        }
        let actions: Vec<_> = statements
            .iter()
            .flat_map(|statement| &statement.effect.actions)
            .collect();
        let unread = actions.iter().find_map(|action| match action {
            Action::Unknown { why } => Some(why.clone()),
            _ => None,
        });
        if let Some(why) = unread {
            return Self::Unknown {
                why: format!("a statement cannot be read: {why}"),
            };
        }
        if let Some(table) = actions.iter().find_map(|action| rebuilt(action, &actions)) {
            return Self::Unknown {
                why: format!("it rebuilds table `{table}`"),
            };
        }
        let mut loses: Vec<String> = Vec::new();
        for loss in actions
            .iter()
            .enumerate()
            .filter_map(|(index, action)| loss(action, &actions[..index]))
        {
            if !loses.contains(&loss) {
                loses.push(loss);
            }
        }
        if loses.is_empty() {
            Self::Lossless
        } else {
            Self::Lossy { loses }
        }
    }
}

/// Returns the table that the script drops and then creates again under the same name.
fn rebuilt(action: &Action, actions: &[&Action]) -> Option<String> {
    let Action::DropTable { table } = action else {
        return None;
    };
    let again = actions.iter().any(|other| match other {
        Action::RenameTable { to, .. } => to.name.eq_ignore_ascii_case(&table.name),
        _ => false,
    });
    again.then(|| table.to_string())
}

/// Says what an action destroys that no script can bring back. What the same script created before is its own.
fn loss(action: &Action, earlier: &[&Action]) -> Option<String> {
    let table = match action {
        Action::DropTable { table } => table,
        Action::DropColumn { table, column } => {
            return (!created(&table.name, earlier))
                .then(|| format!("the values of column `{table}.{column}`"));
        }
        Action::AlterColumn { table, column } => {
            return (!created(&table.name, earlier))
                .then(|| format!("values of column `{table}.{column}` that the change of type cuts"));
        }
        Action::Update { table } => {
            return (!created(&table.name, earlier))
                .then(|| format!("the old values of the rows updated in `{table}`"));
        }
        Action::Insert {
            table,
            may_overwrite: true,
        } => {
            return (!created(&table.name, earlier)).then(|| format!("the rows overwritten in `{table}`"));
        }
        Action::Delete { table } | Action::Truncate { table } => {
            return (!created(&table.name, earlier)).then(|| format!("the rows deleted from `{table}`"));
        }
        _ => return None,
    };
    (!created(&table.name, earlier)).then(|| format!("the rows of table `{table}`"))
}

/// Returns whether what a script finds under a name is a table that it has created before, under this name or another.
pub(crate) fn created(table: &str, earlier: &[&Action]) -> bool {
    let mut called = table;
    for action in earlier.iter().rev() {
        match action {
            Action::Create {
                kind: ObjectKind::Table,
                name,
                if_not_exists,
                ..
            } if name.name.eq_ignore_ascii_case(called) => return !if_not_exists,
            Action::RenameTable { to, from } if to.name.eq_ignore_ascii_case(called) => called = &from.name,
            Action::RenameTable { from: table, .. } | Action::DropTable { table }
                if table.name.eq_ignore_ascii_case(called) =>
            {
                return false;
            }
            _ => {}
        }
    }
    false
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lossless => f.write_str("lossless"),
            Self::Lossy { loses } => write!(f, "lossy: {}", loses.join(", ")),
            Self::Irreversible { why } => write!(f, "irreversible: {why}"),
            Self::Unknown { why } => write!(f, "unknown: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use walkback_core::migration::SqlScript;
    use walkback_core::statement::Location;
    use walkback_core::{DialectKind, Statement};

    use super::*;

    fn judged(script: &str, has_down: bool) -> String {
        let script = SqlScript::new(script, "up.sql");
        let statements =
            walkback_sql::split(DialectKind::Sqlite, &script.text, &script.location.file).unwrap();
        let planned = |statement: Statement| {
            let effect = walkback_sql::effect(DialectKind::Sqlite, &statement);
            let at = Location {
                file: "up.sql".into(),
                line: statement.line,
            };
            PlannedStatement {
                severity: effect.severity(),
                sql: statement.sql,
                at,
                effect,
                protection: None,
                protect: None,
                alone: false,
                external: None,
            }
        };
        let statements: Vec<_> = statements.into_iter().map(planned).collect();
        Verdict::of_up(&statements, has_down, None).to_string()
    }

    #[test]
    fn a_verdict_names_what_no_script_can_bring_back() {
        for (script, expected) in [
            (
                "CREATE TABLE t (a); CREATE INDEX i ON t (a); INSERT INTO t VALUES (1);",
                "lossless",
            ),
            (
                "ALTER TABLE t RENAME TO u; ALTER TABLE u RENAME COLUMN a TO b;",
                "lossless",
            ),
            (
                "CREATE TABLE t (a); INSERT INTO t VALUES (1); DELETE FROM t; DROP TABLE t;",
                "lossless",
            ),
            (
                "UPDATE t SET a = 1; UPDATE t SET b = 1;",
                "lossy: the old values of the rows updated in `t`",
            ),
            ("DELETE FROM t;", "lossy: the rows deleted from `t`"),
            ("DROP TABLE t;", "lossy: the rows of table `t`"),
            (
                "ALTER TABLE t DROP COLUMN a;",
                "lossy: the values of column `t.a`",
            ),
            (
                "INSERT OR REPLACE INTO t VALUES (1);",
                "lossy: the rows overwritten in `t`",
            ),
            (
                "CREATE TABLE IF NOT EXISTS t (a); DELETE FROM t;",
                "lossy: the rows deleted from `t`",
            ),
            (
                "CREATE TABLE n (a); INSERT INTO n SELECT a FROM t; DROP TABLE t; ALTER TABLE n RENAME TO t;",
                "unknown: it rebuilds table `t`",
            ),
            (
                "CREATE TABLE n (a); ALTER TABLE n RENAME TO m; DELETE FROM m;",
                "lossless",
            ),
            (
                "CREATE TABLE n (a); DROP TABLE n; ALTER TABLE t RENAME TO n; DELETE FROM n;",
                "unknown: it rebuilds table `n`",
            ),
            (
                "CREATE TABLE n (a); ALTER TABLE n RENAME TO m; ALTER TABLE t RENAME TO n; UPDATE n SET a = 1;",
                "lossy: the old values of the rows updated in `n`",
            ),
            ("SELECT 1;", "lossless"),
        ] {
            assert_eq!(judged(script, true), expected, "{script}");
        }
    }

    #[test]
    fn without_a_down_an_addition_waits_for_the_derived_one_and_anything_else_is_irreversible() {
        let waiting = "unknown: it has no down script; one is derived while it runs";
        assert_eq!(judged("CREATE TABLE t (a);", false), waiting);
        assert_eq!(
            judged("INSERT INTO t VALUES (1);", false),
            "irreversible: it has no down script"
        );
        assert_eq!(judged("PRAGMA foreign_keys = off; SELECT 1;", false), "lossless");
        let verdict = || Verdict::of_up(&[], false, Some("sent by post"));
        assert_eq!(verdict().to_string(), "irreversible: sent by post");
        let unknown = || Verdict::Unknown { why: String::new() };
        assert_eq!(unknown().derived(true, &[]), Verdict::Lossless);
        assert_eq!(unknown().derived(true, &["x".to_owned()]).word(), "lossy");
        assert_eq!(unknown().derived(false, &[]).word(), "irreversible");
    }
}
