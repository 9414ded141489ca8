//! The statements of the log: what is of this database is run again, where it can do nothing to the database itself.

use mysql_async::binlog::events::{Event, QueryEvent};
use walkback_core::{DialectKind, Result};
use walkback_sql::lexer::significant_tokens;

use super::apply::{OWN, Replaying};
use super::query;
use super::statement::{self, Verdict};
use crate::dialect::literal;

/// What may hold the name of a database and is run by statements: the view of the catalog, its database, and the text.
const BODIES: [(&str, &str, &str); 3] = [
    ("TRIGGERS", "TRIGGER_SCHEMA", "ACTION_STATEMENT"),
    ("ROUTINES", "ROUTINE_SCHEMA", "ROUTINE_DEFINITION"),
    ("VIEWS", "TABLE_SCHEMA", "VIEW_DEFINITION"),
];

/// Why a statement is not run where something may take it to the database itself.
const NAMED_IN_A_BODY: &str =
    "a trigger, routine or view names the database, and would be set off by this statement in it";

impl Replaying {
    pub(super) async fn query(&mut self, event: &Event) -> Result<()> {
        let query: QueryEvent<'_> = self.understood(event.read_event())?;
        let text = query.query_raw();
        let word = |word: &str| {
            text.get(..word.len())
                .is_some_and(|beginning| beginning.eq_ignore_ascii_case(word.as_bytes()))
        };
        if text.eq_ignore_ascii_case(b"BEGIN") || word("START TRANSACTION") || word("#") {
            return Ok(());
        }
        if text.eq_ignore_ascii_case(b"COMMIT") {
            return self.commit().await;
        }
        if text.eq_ignore_ascii_case(b"ROLLBACK") {
            if std::mem::take(&mut self.group).is_open {
                self.scratch.run("ROLLBACK").await?;
            }
            return Ok(());
        }
        if word("SAVEPOINT") || word("ROLLBACK TO") || word("RELEASE SAVEPOINT") {
            if self.group.is_open || query.schema() == self.names.database {
                self.open().await?;
                return self.do_again(text, None).await;
            }
            return Ok(());
        }
        if word("XA ") {
            return if self.group.is_touched {
                Err(self.refused("a distributed transaction (`XA`)", None))
            } else {
                Ok(())
            };
        }
        Box::pin(self.statement(event, &query)).await
    }

    /// Runs a statement again, if it is of this database.
    async fn statement(&mut self, event: &Event, query: &QueryEvent<'_>) -> Result<()> {
        let shown = query.query();
        let (run, is_definition) = match self.names.verdict(&query.schema(), &shown) {
            Verdict::Skip => {
                self.group.forget_given();
                return Ok(());
            }
            Verdict::Refuse(why) => return Err(self.refused(&why, Some(&shown))),
            Verdict::Run(text) if text == shown => (query.query_raw().to_vec(), is_definition(&shown)),
            Verdict::Run(text) if std::str::from_utf8(query.query_raw()).is_ok() => {
                (text.into_bytes(), is_definition(&shown))
            }
            Verdict::Run(_) => {
                return Err(self.refused(
                    "it names the database, in letters that are not UTF-8",
                    Some(&shown),
                ));
            }
        };
        if self.group.wants_variable {
            return Err(self.refused("it uses a variable of its session (`@name`)", Some(&shown)));
        }
        if is_definition && is_of_own_that_is_elsewhere(&shown) && self.is_missing(&shown).await? {
            return Ok(());
        }
        if runs_bodies(&shown) && self.names_the_database().await? {
            return Err(self.refused(NAMED_IN_A_BODY, Some(&shown)));
        }
        if is_definition {
            if std::mem::take(&mut self.group.is_open) {
                self.scratch.run("COMMIT").await?;
            }
            self.group.is_touched = true;
        } else {
            self.open().await?;
        }
        let setting = query::setting(event.header().timestamp(), query.status_vars_raw())
            .ok_or_else(|| self.refused("what it was run under is not understood", Some(&shown)))?;
        self.do_again(setting.as_bytes(), None).await?;
        for given in std::mem::take(&mut self.group.given) {
            self.do_again(given.as_bytes(), None).await?;
        }
        self.do_again(&run, Some(&shown)).await?;
        if is_definition && !self.group.is_open {
            self.done();
        }
        Ok(())
    }

    /// Returns whether anything in the scratch database names the other by itself: a statement that sets it off would
    /// write there.
    async fn names_the_database(&mut self) -> Result<bool> {
        let name = literal(&self.names.database);
        let mut count = 0_u64;
        for (table, schema, body) in BODIES {
            let sql = format!(
                "SELECT COUNT(*) FROM information_schema.{table} WHERE {schema} = DATABASE() \
                 AND LOCATE(LOWER({name}), LOWER({body})) > 0"
            );
            let found = self.scratch.one(&sql).await?;
            count += found.and_then(|found| found.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(count > 0)
    }

    /// Returns whether a statement is only about a table of walkback's own that the backup does not hold.
    async fn is_missing(&mut self, shown: &str) -> Result<bool> {
        let there = self.scratch.tables_here().await?;
        let names = shown.split(|letter: char| !(letter.is_alphanumeric() || letter == '_'));
        let mut own = names.filter(|word| word.starts_with(OWN));
        Ok(own.all(|word| !there.iter().any(|name| name == word)))
    }
}

/// Returns whether a statement ends the transaction that is open.
fn is_definition(sql: &str) -> bool {
    let first = significant_tokens(DialectKind::Mysql, sql);
    first.first().is_some_and(|token| {
        ["CREATE", "ALTER", "DROP", "RENAME", "TRUNCATE"]
            .iter()
            .any(|word| token.is_word(word))
    })
}

/// Returns whether a statement sets off triggers, functions or views.
fn runs_bodies(sql: &str) -> bool {
    let tokens = significant_tokens(DialectKind::Mysql, sql);
    statement::writes_rows(&tokens)
}

/// Returns whether a statement names a table of walkback's own.
fn is_of_own_that_is_elsewhere(sql: &str) -> bool {
    sql.contains(OWN)
}
