//! `not-rerunnable`: outside a transaction, a script that stopped half-way begins again with what is done already.

use walkback_core::name::ObjectKind;
use walkback_core::statement::Action;
use walkback_core::{DialectKind, Direction, TableName};
use walkback_sql::lexer::{Token, significant_tokens};

use crate::lint::subject::{Subject, finding, same_table};
use crate::lint::{Finding, Level, Rule};
use crate::plan::{PlannedStatement, ReadScript};

const ALONE: &str = "give it a migration of its own: nothing is done before it then";

pub(super) fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let kind = subject.dialect.kind();
    subject
        .scripts()
        .filter(|(_, script)| runs_loose(script))
        .flat_map(|(direction, script)| of_script(kind, direction, script))
        .collect()
}

/// Returns whether the statements of a script are not undone together by the server.
fn runs_loose(script: &ReadScript) -> bool {
    !script.transaction || script.statements.iter().any(|statement| statement.alone)
}

fn of_script(kind: DialectKind, direction: Direction, script: &ReadScript) -> Vec<Finding> {
    let mut findings = Vec::new();
    // What no other statement follows is not run again because another one failed.
    let followed = script.statements.split_last().map_or(&[][..], |(_, first)| first);
    for (index, statement) in followed.iter().enumerate() {
        let earlier = &script.statements[..index];
        let Some((action, advice)) = unguarded(kind, statement, earlier) else {
            continue;
        };
        findings.push(finding(
            Rule::NotRerunnable,
            Level::Warning,
            direction,
            &statement.at,
            format!(
                "the script is no single transaction: if it stops further down and runs again, this {action} once more, \
                 and {}",
                if matches!(action, Action::Insert { .. }) { "doubles the rows or fails" } else { "fails" }
            ),
            advice,
        ));
    }
    findings
}

/// Returns the first action that does not stand being done twice, and what to do about it.
fn unguarded<'s>(
    kind: DialectKind,
    statement: &'s PlannedStatement,
    earlier: &[PlannedStatement],
) -> Option<(&'s Action, &'static str)> {
    let tokens = significant_tokens(kind, &statement.sql);
    let mut guards = Guards::of(&tokens);
    statement.effect.actions.iter().find_map(|action| {
        let is_guarded = match action {
            Action::Create { kind, name, on, .. } => {
                guards.creation(action) || drops_before(earlier, *kind, name, on.as_ref())
            }
            Action::RenameTable { .. } => guards.of_table,
            Action::Drop { .. }
            | Action::DropTable { .. }
            | Action::AddColumn { .. }
            | Action::DropColumn { .. }
            | Action::RenameColumn { .. } => guards.operation(),
            Action::Insert { may_overwrite, .. } => *may_overwrite || skips_known_rows(&tokens),
            _ => true,
        };
        (!is_guarded).then(|| (action, advice(kind, action, &tokens)))
    })
}

/// The `IF EXISTS` and `IF NOT EXISTS` of a statement.
struct Guards {
    /// `ALTER TABLE IF EXISTS t`: guards the table, and none of the operations.
    of_table: bool,
    /// Those of the operations of an `ALTER TABLE`, each good for one.
    of_operations: usize,
    /// Whether one guards the whole statement, as in `DROP TABLE IF EXISTS a, b`.
    is_for_all: bool,
}

impl Guards {
    fn of(tokens: &[Token<'_>]) -> Self {
        let row = |at: usize, words: &[&str]| {
            let rest = tokens.get(at..).unwrap_or_default();
            rest.len() >= words.len() && words.iter().zip(rest).all(|(word, token)| token.is_word(word))
        };
        let all = (0..tokens.len())
            .filter(|at| row(*at, &["IF", "EXISTS"]) || row(*at, &["IF", "NOT", "EXISTS"]))
            .count();
        let alters = row(0, &["ALTER"]);
        let of_table = alters && row(2, &["IF", "EXISTS"]);
        Self {
            of_table,
            of_operations: if alters { all - usize::from(of_table) } else { 0 },
            is_for_all: !alters && all > 0,
        }
    }

    fn creation(&mut self, action: &Action) -> bool {
        let said = matches!(
            action,
            Action::Create { or_replace: true, .. }
                | Action::Create {
                    if_not_exists: true,
                    ..
                }
        );
        if said {
            self.of_operations = self.of_operations.saturating_sub(1);
        }
        said
    }

    fn operation(&mut self) -> bool {
        if self.is_for_all {
            return true;
        }
        let is_left = self.of_operations > 0;
        self.of_operations = self.of_operations.saturating_sub(1);
        is_left
    }
}

/// Returns whether an earlier statement of the script drops what this one creates: then the rerun drops it too.
fn drops_before(
    earlier: &[PlannedStatement],
    kind: ObjectKind,
    name: &TableName,
    on: Option<&TableName>,
) -> bool {
    let same_home = |other: Option<&TableName>| on.zip(other).is_none_or(|(on, other)| same_table(on, other));
    earlier
        .iter()
        .flat_map(|statement| &statement.effect.actions)
        .any(|action| match action {
            Action::DropTable { table } => kind == ObjectKind::Table && same_table(table, name),
            Action::Drop {
                kind: dropped,
                name: of,
                on: home,
            } => *dropped == kind && same_table(of, name) && same_home(home.as_ref()),
            _ => false,
        })
}

/// Returns whether an `INSERT` leaves rows alone that are there: `IGNORE`, `ON CONFLICT`, `WHERE NOT EXISTS`.
fn skips_known_rows(tokens: &[Token<'_>]) -> bool {
    let has = |word: &str| tokens.iter().any(|token| token.is_word(word));
    has("IGNORE") || has("CONFLICT") || has("DUPLICATE") || (has("NOT") && has("EXISTS")) || has("EXCEPT")
}

fn advice(kind: DialectKind, action: &Action, tokens: &[Token<'_>]) -> &'static str {
    let mysql = kind == DialectKind::Mysql;
    match action {
        Action::Insert { .. } if mysql => "write `INSERT IGNORE`, or `INSERT .. SELECT .. WHERE NOT EXISTS`",
        Action::Insert { .. } => "write `ON CONFLICT DO NOTHING`, or `INSERT .. SELECT .. WHERE NOT EXISTS`",
        Action::Create {
            kind: ObjectKind::Index,
            ..
        } if tokens.iter().any(|token| token.is_word("CONCURRENTLY")) => {
            "put `DROP INDEX CONCURRENTLY IF EXISTS` before it: a build that failed leaves an index that is of no use, \
             and that `IF NOT EXISTS` would take for a good one"
        }
        Action::Create {
            kind: ObjectKind::Table | ObjectKind::Schema | ObjectKind::Event,
            ..
        } => "write `IF NOT EXISTS`",
        Action::Create {
            kind: ObjectKind::View | ObjectKind::Routine,
            ..
        } if kind != DialectKind::Sqlite => "write `CREATE OR REPLACE`, or put `DROP .. IF EXISTS` before it",
        Action::Create {
            kind: ObjectKind::Constraint,
            ..
        } if !mysql => "put `DROP CONSTRAINT IF EXISTS` before it",
        Action::Create {
            kind: ObjectKind::Index | ObjectKind::Constraint,
            ..
        }
        | Action::AddColumn { .. }
        | Action::DropColumn { .. }
            if mysql =>
        {
            "give it a migration of its own; MariaDB also knows `IF [NOT] EXISTS` here, MySQL does not"
        }
        Action::Create { .. } => "write `IF NOT EXISTS`, or put `DROP .. IF EXISTS` before it",
        Action::AddColumn { .. } if kind == DialectKind::Postgres => "write `ADD COLUMN IF NOT EXISTS`",
        Action::DropColumn { .. } if kind == DialectKind::Postgres => "write `DROP COLUMN IF EXISTS`",
        Action::RenameTable { .. } if kind == DialectKind::Postgres => "write `ALTER TABLE IF EXISTS`",
        Action::Drop {
            kind: ObjectKind::Index | ObjectKind::Constraint,
            ..
        } if mysql => "give it a migration of its own; MariaDB also knows `IF EXISTS` here, MySQL does not",
        Action::Drop { .. } | Action::DropTable { .. } => "write `IF EXISTS`",
        _ => ALONE,
    }
}
