//! Reading a script: statements, effects, and what cannot run the way it is asked to.

use std::collections::BTreeMap;
use std::time::Duration;

use walkback_core::migration::{Condition, ExternalScript, SqlScript};
use walkback_core::name::ObjectKind;
use walkback_core::statement::{Action, Location};
use walkback_core::{Dialect, DialectKind, Error, ErrorKind, Result, Script, Statement};

use super::{External, PlannedStatement, ScriptOrigin};
use crate::protect::Protect;

/// A script that has been split and understood.
#[derive(Debug, Clone)]
pub(crate) struct ReadScript {
    pub(crate) text: String,
    pub(crate) hash: String,
    pub(crate) transaction: bool,
    pub(crate) origin: ScriptOrigin,
    pub(crate) statements: Vec<PlannedStatement>,
    /// How its author says it is to be protected.
    pub(crate) protect: Option<Protect>,
    /// How long each statement waits for a lock of another session, if its author says so.
    pub(crate) lock_timeout: Option<Duration>,
    /// How long each statement may take, if its author says so.
    pub(crate) statement_timeout: Option<Duration>,
    /// What has to hold before it runs.
    pub(crate) conditions: Vec<Condition>,
    /// The statement for whose sake it cannot be one transaction, although its author did not say so.
    pub(crate) unbound_by: Option<Location>,
    /// Whether its author switches foreign keys off and on around it, as SQLite asks for table rebuilds.
    switches_foreign_keys: bool,
}

/// Reads how a script says it is to be protected (`protect=..`).
fn protect_of(sql: &SqlScript) -> Result<Option<Protect>> {
    let protect = sql.protect.as_deref().map(str::parse::<Protect>).transpose();
    protect.map_err(|error| error.wrap(format!("`protect` cannot be followed ({})", sql.location)))
}

/// Returns how a statement is to be protected that begins on this line, if the comments directly above it say so.
fn protect_above(script: &str, line: usize) -> Option<&str> {
    let lines: Vec<&str> = script.lines().take(line.saturating_sub(1)).collect();
    let comments = lines
        .iter()
        .rev()
        .map(|line| line.trim())
        .take_while(|line| line.is_empty() || line.starts_with("--"));
    let mut directives = comments.filter_map(|line| {
        let text = line.strip_prefix("--")?.trim_start();
        text.strip_prefix("walkback:")
    });
    directives.find_map(|text| {
        let mut items = text.split_whitespace();
        items.find_map(|item| item.strip_prefix("protect="))
    })
}

impl ReadScript {
    /// Reads a script of a source.
    pub(crate) fn read(script: &Script, dialect: &dyn Dialect, origin: ScriptOrigin) -> Result<Self> {
        match script {
            Script::Sql(sql) => Self::read_sql(sql, dialect, origin),
            Script::External(external) => Ok(Self::of_external(external, origin)),
            other => Err(Error::unsupported(
                format!("a script such as {other:?}"),
                "this version of walkback",
            )),
        }
    }

    /// Takes a script that only its own tool can run for one statement, of which nobody knows what it does.
    fn of_external(script: &ExternalScript, origin: ScriptOrigin) -> Self {
        let effect = walkback_core::Effect::unknown(script.why.clone());
        Self {
            text: script.command.clone(),
            hash: script.hash.clone(),
            transaction: false,
            origin,
            statements: vec![PlannedStatement {
                sql: script.command.clone(),
                at: script.location.clone(),
                severity: effect.severity(),
                effect,
                protection: None,
                protect: None,
                alone: true,
                external: Some(External {
                    why: script.why.clone(),
                    atomic: script.atomic,
                }),
            }],
            protect: None,
            lock_timeout: None,
            statement_timeout: None,
            conditions: Vec::new(),
            unbound_by: None,
            switches_foreign_keys: false,
        }
    }

    /// Returns whether only the tool of its layout can run it.
    pub(crate) fn is_external(&self) -> bool {
        self.statements
            .iter()
            .any(|statement| statement.external.is_some())
    }

    /// Reads SQL.
    ///
    /// # Errors
    /// Fails by `file:line` on what cannot be split, on a statement that the server refuses inside the
    /// transaction the script would run in, and on transaction control that would commit half of it.
    pub(crate) fn read_sql(sql: &SqlScript, dialect: &dyn Dialect, origin: ScriptOrigin) -> Result<Self> {
        // A section of a file begins further down: empty lines before it keep every `file:line` right.
        let padded = "\n".repeat(sql.location.line.saturating_sub(1)) + &sql.text;
        let mut statements = dialect.split(&padded, &sql.location.file)?;
        let mut asked = BTreeMap::new();
        for (index, statement) in statements.iter_mut().enumerate() {
            // What stands before the first one is the head of the script.
            let above = (index > 0).then(|| protect_above(&padded, statement.line));
            let from = sql.lines.get(statement.line.saturating_sub(1));
            statement.line = from.copied().unwrap_or(statement.line);
            if let Some(word) = above.flatten() {
                let protect = word.parse::<Protect>().map_err(|error| {
                    let at = format!("{}:{}", sql.location.file.display(), statement.line);
                    error.wrap(format!(
                        "`protect` above the statement at {at} cannot be followed"
                    ))
                })?;
                asked.insert(statement.line, protect);
            }
        }
        let mut switches_foreign_keys = false;
        if sql.transaction {
            strip_own_transaction(&mut statements);
            // Inside a transaction the switch is silently ignored; the transaction begins accordingly instead.
            statements.retain(|statement| {
                let is_switch = is_foreign_key_switch(statement);
                switches_foreign_keys |= is_switch;
                !is_switch
            });
        }
        let unbound_by = statements
            .iter()
            .find(|statement| sql.transaction && runs_alone(statement, dialect))
            .map(|statement| Location {
                file: sql.location.file.clone(),
                line: statement.line,
            });
        let mut elsewhere: Option<usize> = None;
        let planned: Vec<_> = statements
            .into_iter()
            .map(|statement| {
                let at = Location {
                    file: sql.location.file.clone(),
                    line: statement.line,
                };
                if sql.transaction {
                    refuse_own_transaction(&statement, dialect, &at)?;
                    if unbound_by.is_none() {
                        refuse_inside_transaction(&statement, dialect, &at)?;
                    }
                }
                let effect = match &elsewhere {
                    Some(line) => walkback_core::Effect::unknown(format!(
                        "its names may mean other tables since line {line}"
                    )),
                    None => dialect.effect(&statement),
                };
                if elsewhere.is_none() && changes_names(&statement, dialect) {
                    elsewhere = Some(statement.line);
                }
                let effect = if origin == ScriptOrigin::Derived && is_own_business(&effect) {
                    walkback_core::Effect::of(Action::Maintain)
                } else {
                    effect
                };
                Ok(PlannedStatement {
                    protection: None,
                    protect: asked.remove(&at.line),
                    severity: effect.severity(),
                    alone: dialect.commits_implicitly(&statement) || dialect.refuses_transaction(&statement),
                    external: None,
                    effect,
                    at,
                    sql: statement.sql,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            text: sql.text.clone(),
            hash: sql.hash(),
            transaction: sql.transaction && unbound_by.is_none(),
            unbound_by,
            origin,
            statements: planned,
            protect: protect_of(sql)?,
            lock_timeout: sql.lock_timeout,
            statement_timeout: sql.statement_timeout,
            conditions: sql.conditions.clone(),
            switches_foreign_keys,
        })
    }

    /// Returns whether a statement drops or renames a table, or asks for foreign keys to be switched off: an
    /// engine that alters tables by rebuilding them must not enforce foreign keys meanwhile.
    pub(crate) fn rebuilds(&self) -> bool {
        let swaps = |action: &Action| matches!(action, Action::DropTable { .. } | Action::RenameTable { .. });
        self.switches_foreign_keys
            || self
                .statements
                .iter()
                .any(|statement| statement.effect.actions.iter().any(swaps))
    }
}

/// Returns whether a statement of a derived script changes nothing that people have: the schema of walkback's own in which
/// a table was, or the text of a definition that is put back.
fn is_own_business(effect: &walkback_core::Effect) -> bool {
    let is_definition =
        |action: &Action| matches!(action, Action::Update { table } if table.name == "sqlite_schema");
    let writes_definition = effect.actions.iter().any(is_definition);
    let is_own = |action: &Action| match action {
        // That it writes to the catalog is what nobody can read of it.
        Action::Unknown { .. } => writes_definition,
        Action::Drop {
            kind: ObjectKind::Schema,
            name,
            ..
        } => name.name.starts_with("_walkback_"),
        other => is_definition(other),
    };
    !effect.actions.is_empty() && effect.actions.iter().all(is_own)
}

/// Returns whether a statement is `PRAGMA foreign_keys = ..`.
fn is_foreign_key_switch(statement: &Statement) -> bool {
    let mut words = statement
        .sql
        .split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .filter(|word| !word.is_empty());
    words
        .next()
        .is_some_and(|word| word.eq_ignore_ascii_case("pragma"))
        && words
            .next()
            .is_some_and(|word| word.eq_ignore_ascii_case("foreign_keys"))
}

/// Takes away a `BEGIN` at the very beginning and its `COMMIT` at the very end: the script runs in a
/// transaction anyway, together with its row in the ledger.
fn strip_own_transaction(statements: &mut Vec<Statement>) {
    let begins = statements
        .first()
        .is_some_and(|statement| matches!(word(statement).as_str(), "BEGIN" | "START"));
    let ends = statements
        .last()
        .is_some_and(|statement| matches!(word(statement).as_str(), "COMMIT" | "END"));
    if begins && ends && statements.len() >= 2 {
        statements.pop();
        statements.remove(0);
    }
}

/// Returns whether a statement makes its whole script run statement by statement: a server that can undo
/// definitions refuses some of them inside a transaction, and there each is undone on its own.
fn runs_alone(statement: &Statement, dialect: &dyn Dialect) -> bool {
    dialect.kind() == DialectKind::Postgres && dialect.refuses_transaction(statement)
}

/// Returns whether names without a schema mean other tables after a statement.
fn changes_names(statement: &Statement, dialect: &dyn Dialect) -> bool {
    let text = statement.sql.to_ascii_lowercase();
    match dialect.kind() {
        DialectKind::Postgres => {
            text.contains("search_path")
                && matches!(word(statement).as_str(), "SET" | "RESET" | "SELECT" | "DO")
        }
        DialectKind::Mysql => word(statement) == "USE",
        DialectKind::Sqlite => false,
    }
}

fn refuse_own_transaction(statement: &Statement, dialect: &dyn Dialect, at: &Location) -> Result<()> {
    let word = word(statement);
    if matches!(
        word.as_str(),
        "BEGIN" | "START" | "COMMIT" | "END" | "ROLLBACK" | "ABORT"
    ) && dialect.effect(statement).actions.contains(&Action::Transaction)
        && !statement.sql.to_ascii_uppercase().contains(" TO ")
    {
        return Err(Error::new(
            ErrorKind::Config,
            format!(
                "`{word}` at {at} would end the transaction the script runs in, and leave it half-applied"
            ),
        )
        .hint("remove it: a script runs in one transaction with its row in the ledger")
        .hint("or write `-- walkback: transaction=off` at the head of the script"));
    }
    Ok(())
}

fn refuse_inside_transaction(statement: &Statement, dialect: &dyn Dialect, at: &Location) -> Result<()> {
    let word = word(statement);
    if dialect.refuses_transaction(statement) {
        return Err(Error::new(
            ErrorKind::Config,
            format!("`{word}` at {at} cannot run inside a transaction"),
        )
        .hint(
            "write `-- walkback: transaction=off` at the head of the script, best with nothing else in it",
        ));
    }
    Ok(())
}

fn word(statement: &Statement) -> String {
    statement
        .sql
        .split(|letter: char| !letter.is_ascii_alphabetic())
        .next()
        .unwrap_or_default()
        .to_ascii_uppercase()
}
