//! The statements of the log: what is of this database is run again, where it can do nothing to the database itself.

use mysql_async::binlog::events::{Event, QueryEvent};
use walkback_core::Result;

use super::apply::Replaying;
use super::query;
use super::statement::{self, Verdict};
use crate::scheduled;

impl Replaying {
    pub(super) async fn query(&mut self, event: &Event) -> Result<()> {
        let query: QueryEvent<'_> = self.understood(event.read_event())?;
        let text = query.query_raw();
        let word = |word: &str| {
            text.get(..word.len())
                .is_some_and(|beginning| beginning.eq_ignore_ascii_case(word.as_bytes()))
        };
        if text.eq_ignore_ascii_case(b"BEGIN") || word("START TRANSACTION") || is_dummy(text) {
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
            return self.distributed(&query.query());
        }
        Box::pin(self.statement(event, &query)).await
    }

    /// Runs a statement again, if it is of this database.
    async fn statement(&mut self, event: &Event, query: &QueryEvent<'_>) -> Result<()> {
        let shown = query.query();
        let (run, is_definition) = match self.names.verdict(&query.schema(), &shown) {
            Verdict::Skip => {
                self.must_stay_elsewhere(&shown).await?;
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
        if self.is_of_missing(&shown).await? {
            self.group.forget_given();
            return Ok(());
        }
        if self.group.is_in_two {
            return Err(self.refused(
                "it is logged in two parts (`binlog_alter_two_phase`)",
                Some(&shown),
            ));
        }
        if query::is_read_otherwise(query.status_vars_raw(), &shown) {
            return Err(self.refused(
                "its quotes and backslashes are of another `sql_mode`",
                Some(&shown),
            ));
        }
        if runs_bodies(&shown)
            && let Some(why) = self.reaching_out().await?
        {
            let why = format!("it may set off what writes to another database: {why}");
            return Err(self.refused(&why, Some(&shown)));
        }
        let run = self.without_events(run, &shown)?;
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
        self.drop_or_do_again(&run, &shown).await?;
        if is_definition && !self.group.is_open {
            self.done();
        }
        Ok(())
    }

    /// Returns whether a statement is about what is walkback's own and no part of the backup, and makes nothing of it.
    async fn is_of_missing(&mut self, shown: &str) -> Result<bool> {
        let makes = statement::tokens(shown).first().is_none_or(|first| {
            ["CREATE", "RENAME", "DROP"]
                .iter()
                .any(|word| first.is_word(word))
        });
        let Some(names) = self.names.of_walkback(shown).filter(|_| !makes) else {
            return Ok(false);
        };
        let there = self.scratch.tables_here().await?;
        Ok(!names.iter().any(|name| there.contains(name)))
    }

    async fn drop_or_do_again(&mut self, sql: &[u8], shown: &str) -> Result<()> {
        let is_drop = statement::tokens(shown)
            .first()
            .is_some_and(|first| first.is_word("DROP"));
        if is_drop {
            self.drop_again(sql, shown).await
        } else {
            self.do_again(sql, Some(shown)).await
        }
    }

    /// Has events of the scheduler not run in the scratch database.
    fn without_events(&self, run: Vec<u8>, shown: &str) -> Result<Vec<u8>> {
        match String::from_utf8(run) {
            Ok(text) => {
                let asleep = scheduled::asleep(&self.names.scratch, &text);
                Ok(asleep.unwrap_or(text).into_bytes())
            }
            Err(_) if scheduled::asleep(&self.names.scratch, shown).is_some() => {
                Err(self.refused("an event, in letters that are not UTF-8", Some(shown)))
            }
            Err(error) => Ok(error.into_bytes()),
        }
    }

    /// Drops something. What is walkback's own and was there before the backup is not in it.
    async fn drop_again(&mut self, sql: &[u8], shown: &str) -> Result<()> {
        let outcome = self.do_again(sql, Some(shown)).await;
        match outcome {
            Err(error) if self.names.of_walkback(shown).is_some() && is_missing(&error) => Ok(()),
            outcome => outcome,
        }
    }
}

/// Returns whether a failure says that what is dropped is not there: a table, a trigger, a routine, an event, a view.
fn is_missing(error: &walkback_core::Error) -> bool {
    let codes = ["1051", "1146", "1360", "1305", "1539", "1347", "4092"];
    crate::error::sent_code(error).is_some_and(|code| codes.contains(&code))
}

/// Returns whether a statement ends the transaction that is open.
fn is_definition(sql: &str) -> bool {
    let first = statement::tokens(sql);
    first.first().is_some_and(|token| {
        ["CREATE", "ALTER", "DROP", "RENAME", "TRUNCATE"]
            .iter()
            .any(|word| token.is_word(word))
    })
}

/// Returns whether a statement sets off triggers, functions or views.
fn runs_bodies(sql: &str) -> bool {
    let tokens = statement::tokens(sql);
    statement::writes_rows(&tokens)
}

/// Returns whether it is what MariaDB sends in the place of an event that it takes this reader not to know.
fn is_dummy(text: &[u8]) -> bool {
    text.starts_with(b"# Dummy event replacing event type") && !text.contains(&b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_server_makes_up_is_no_statement() {
        assert!(is_dummy(
            b"# Dummy event replacing event type 160 that slave cannot handle."
        ));
        assert!(!is_dummy(b"# a comment\nDELETE FROM note"));
        assert!(!is_dummy(b"# Dummy event replacing event type\nDELETE FROM note"));
    }
}
