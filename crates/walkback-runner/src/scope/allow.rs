//! Which statements a scope lets through.

use std::path::Path;
use std::sync::atomic::Ordering;

use walkback_core::name::ObjectKind;
use walkback_core::statement::Action;
use walkback_core::value::Value;
use walkback_core::{Dialect, Effect, Error, ErrorKind, Result, Statement, TableName};
use walkback_sql::lexer;

use super::session::{Open, Shared};
use crate::reach::{self, Reach};

impl Shared {
    /// Returns whether the server ends the transaction around a statement.
    pub(super) fn commits(&self, statement: &Statement) -> bool {
        self.dialect.commits_implicitly(statement)
    }

    /// Reads a statement, and refuses what would leave the scope.
    pub(super) fn allow(&self, open: &mut Open, sql: &str, parameters: &[Value]) -> Result<Statement> {
        let mut statements = self.dialect.split(sql, Path::new("scope"))?;
        let (Some(statement), true) = (statements.pop(), statements.is_empty()) else {
            return Err(
                Error::new(ErrorKind::Usage, "a scope runs one statement at a time")
                    .hint("call `execute` once for each"),
            );
        };
        if open.allowed.as_deref() == Some(sql) {
            return Ok(statement);
        }
        if self.commits(&statement) && !parameters.is_empty() {
            return Err(Error::new(ErrorKind::Usage, "a definition takes no bound values")
                .with_context("statement", &statement.sql)
                .hint("write them into its text; `quote` quotes a name"));
        }
        let effect = self.dialect.effect(&statement);
        self.refuse_transaction(&statement, &effect)?;
        self.refuse_destruction(&statement, &effect)?;
        self.refuse_elsewhere(open, &statement, &effect)?;
        self.refuse_unheld(open, &statement, &effect)?;
        let is_unknown = effect
            .actions
            .iter()
            .any(|one| matches!(one, Action::Unknown { .. }));
        let may_commit =
            self.commits(&statement) || is_unknown && !open.session.capability().transactional_ddl;
        if may_commit {
            // Before the next look at a fault: a scope that is dropped sets one, and then looks at this.
            self.may_have_committed.store(true, Ordering::SeqCst);
            self.check_fault()?;
        }
        open.temporary.extend(temporary_of(&*self.dialect, &statement));
        if is_of_rows(&effect) {
            open.allowed = Some(sql.to_owned());
        } else {
            open.allowed = None;
            open.definitions.push((statement.sql.clone(), effect));
        }
        Ok(statement)
    }

    /// Refuses what begins or ends a transaction.
    fn refuse_transaction(&self, statement: &Statement, effect: &Effect) -> Result<()> {
        if !effect.actions.contains(&Action::Transaction) && !self.dialect.refuses_transaction(statement) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Usage,
            format!("a scope is one transaction, and this {effect}"),
        )
        .with_context("statement", &statement.sql)
        .hint("the scope begins and ends its transaction by itself; return an error to have it rolled back")
        .hint("what the server refuses in a transaction belongs into a migration with `transaction=off`"))
    }

    /// Refuses what destroys, where the policy does.
    fn refuse_destruction(&self, statement: &Statement, effect: &Effect) -> Result<()> {
        let Some(environment) = self.spared.as_ref().filter(|_| effect.is_destructive()) else {
            return Ok(());
        };
        Err(Error::new(
            ErrorKind::Refused,
            format!(
                "the scope `{}` {effect}, and `{environment}` refuses what destroys",
                self.name
            ),
        )
        .with_context("statement", &statement.sql)
        .hint("give the manager `Consent { destructive: true, .. }` if that is meant"))
    }

    /// Refuses a query that ends the transaction.
    pub(super) fn refuse_definition(&self, sql: &str) -> Result<()> {
        let statements = self.dialect.split(sql, Path::new("scope"))?;
        if statements.iter().any(|statement| self.commits(statement)) {
            return Err(
                Error::new(ErrorKind::Usage, "a definition gives no rows").hint("send it with `execute`")
            );
        }
        Ok(())
    }

    /// Refuses what is in another database or schema than the points know, and what changes where names without one are.
    fn refuse_elsewhere(&self, open: &Open, statement: &Statement, effect: &Effect) -> Result<()> {
        let refused = |message: String| {
            Err(Error::new(ErrorKind::Refused, message).with_context("statement", &statement.sql))
        };
        if moves_names(&*self.dialect, statement) {
            return refused(
                "this changes which tables names without a schema mean, within a scope".to_owned(),
            )
            .map_err(|error: Error| {
                error.hint("name the schema in each statement, or the tables without one")
            });
        }
        if self.held.is_none() {
            return Ok(());
        }
        let made: Vec<_> = open
            .definitions
            .iter()
            .flat_map(|(_, made)| made_by(made))
            .collect();
        let is_made = |name: &TableName| {
            made.iter().any(|one| self.is_same(one, name))
                || open.temporary.iter().any(|one| self.is_same(one, name))
        };
        let mut changed = effect.actions.iter().filter_map(Action::changed_table);
        let elsewhere = changed.find(|name| !self.is_known(name) && !is_made(name));
        match elsewhere.or_else(|| made_by(effect).find(|name| !self.is_in_known_schema(name))) {
            Some(name) => refused(format!(
                "this changes `{name}`, which no point of the scope `{}` holds",
                self.name
            ))
            .map_err(|error: Error| {
                error.hint("the points of an environment hold the tables of its own database and schemas")
            }),
            None => Ok(()),
        }
    }

    /// Returns whether there is such a table or view, in the very schema that the name says.
    fn is_known(&self, name: &TableName) -> bool {
        let name = &self.own_name(name);
        self.schema.table(name).is_some() || self.schema.object(ObjectKind::View, name).is_some()
    }

    /// Returns a name without a schema that it has anyway. SQLite calls it `main`.
    fn own_name(&self, name: &TableName) -> TableName {
        let home = self.schema.home.as_deref().unwrap_or("main");
        match &name.schema {
            Some(schema) if schema.eq_ignore_ascii_case(home) => TableName::new(&name.name),
            _ => name.clone(),
        }
    }

    fn is_in_known_schema(&self, name: &TableName) -> bool {
        let name = &self.own_name(name);
        name.schema.is_none()
            || self
                .schema
                .tables
                .iter()
                .any(|table| table.name.schema == name.schema)
    }

    fn is_same(&self, left: &TableName, right: &TableName) -> bool {
        let (left, right) = (self.own_name(left), self.own_name(right));
        left.name.eq_ignore_ascii_case(&right.name) && left.schema == right.schema
    }

    /// Refuses a statement that changes what the point does not hold: nothing could bring that back.
    fn refuse_unheld(&self, open: &Open, statement: &Statement, effect: &Effect) -> Result<()> {
        let Some(held) = &self.held else {
            if self.commits(statement) {
                return Err(Error::new(
                    ErrorKind::Refused,
                    "this would commit what the scope has done, and there is no store to take it back from",
                )
                .with_context("statement", &statement.sql)
                .hint("name a store in `stores` of the environment"));
            }
            return Ok(());
        };
        let Some(tables) = &held.tables else { return Ok(()) };
        let mut effects = open.definitions.clone();
        effects.push((statement.sql.clone(), effect.clone()));
        let reach = Reach::new(&*self.dialect, &self.schema, true);
        let refused = |message: String| {
            Err(Error::new(ErrorKind::Refused, message)
                .with_context("statement", &statement.sql)
                .hint(
                    "name every table in `tables(..)`, or leave that away: the point holds all of them then",
                ))
        };
        let Some(touched) = reach.of_effects(&*self.dialect, &effects) else {
            return refused(format!("which tables this changes cannot be told: it {effect}"));
        };
        let mut known = touched.iter().filter_map(|name| reach::find(&self.schema, name));
        match known.find(|table| !tables.contains(&table.name)) {
            Some(table) => refused(format!(
                "this changes table `{}`, which the point of the scope `{}` does not hold",
                table.name, self.name
            )),
            None => Ok(()),
        }
    }
}

/// Returns the tables and views that a statement makes, under the names they have then.
fn made_by(effect: &Effect) -> impl Iterator<Item = &TableName> {
    effect.actions.iter().filter_map(|action| match action {
        Action::Create {
            kind: ObjectKind::Table | ObjectKind::View,
            name,
            ..
        } => Some(name),
        Action::RenameTable { to, .. } => Some(to),
        _ => None,
    })
}

/// Returns the temporary table that a statement makes: it goes with the session, and nothing has to bring it back.
fn temporary_of(dialect: &dyn Dialect, statement: &Statement) -> Option<TableName> {
    let tokens = lexer::significant_tokens(dialect.kind(), &statement.sql);
    let is_temporary = |token: &lexer::Token<'_>| token.is_word("TEMP") || token.is_word("TEMPORARY");
    let table = tokens.iter().position(|token| token.is_word("TABLE"))?;
    if !tokens.first()?.is_word("CREATE") || !tokens.get(..table)?.iter().any(is_temporary) {
        return None;
    }
    let words = ["IF", "NOT", "EXISTS"];
    let mut rest = tokens.get(table + 1..)?.iter();
    let name = rest.find(|token| !words.iter().any(|word| token.is_word(word)))?;
    Some(TableName::new(name.text.trim_matches(['"', '`', '[', ']'])))
}

/// Returns whether a statement changes what names without a schema mean, or lets another database in.
fn moves_names(dialect: &dyn Dialect, statement: &Statement) -> bool {
    let tokens = lexer::significant_tokens(dialect.kind(), &statement.sql);
    let at = |index: usize, words: &[&str]| {
        tokens
            .get(index)
            .is_some_and(|token| words.iter().any(|word| token.is_word(word)))
    };
    let speaks_of = |word: &str| tokens.iter().any(|token| is_text(token.text, word));
    let sets = at(0, &["SET", "RESET"]) && (speaks_of("search_path") || speaks_of("schema"));
    let discards = at(0, &["DISCARD"]) || at(0, &["RESET"]) && at(1, &["ALL"]);
    let calls = speaks_of("set_config") && speaks_of("search_path");
    at(0, &["USE", "ATTACH", "DETACH"]) || sets || discards || calls
}

/// Returns whether a token is this word, in quotes or without.
fn is_text(token: &str, word: &str) -> bool {
    token.trim_matches(['"', '\'', '`']).eq_ignore_ascii_case(word)
}

/// Returns whether a statement leaves all definitions as they are.
fn is_of_rows(effect: &Effect) -> bool {
    effect.actions.iter().all(|action| {
        matches!(
            action,
            Action::Read
                | Action::Session
                | Action::Insert { .. }
                | Action::Update { .. }
                | Action::Delete { .. }
        )
    })
}
