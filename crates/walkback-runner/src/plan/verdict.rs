//! What the way back of a migration is worth.

use std::fmt;

use serde::{Deserialize, Serialize};
use walkback_core::name::ObjectKind;
use walkback_core::statement::Action;

use super::PlannedStatement;

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

    /// Judges an up script by its statements, given whether there is a down.
    #[must_use]
    pub(crate) fn of_up(statements: &[PlannedStatement], has_down: bool, irreversible: Option<&str>) -> Self {
        if let Some(why) = irreversible {
            return Self::Irreversible { why: why.to_owned() };
        }
        let changes = statements
            .iter()
            .any(|statement| statement.severity > walkback_core::statement::Severity::None);
        if !has_down && changes {
            return Self::Irreversible {
                why: "it has no down script".to_owned(),
            };
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

fn created(table: &str, earlier: &[&Action]) -> bool {
    earlier.iter().any(|action| match action {
        Action::Create {
            kind: ObjectKind::Table,
            name,
            if_not_exists: false,
            ..
        } => name.name.eq_ignore_ascii_case(table),
        Action::RenameTable { from, to } => {
            to.name.eq_ignore_ascii_case(table)
                && created(&from.name, earlier.split_last().map_or(&[], |(_, rest)| rest))
        }
        _ => false,
    })
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
