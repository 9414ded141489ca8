//! Inserting a batch, in one go where the database takes it, else record by record, so that exactly the bad ones are left out.

use walkback_core::catalog::Table;
use walkback_core::dialect::DialectKind;
use walkback_core::engine::SessionExt as _;
use walkback_core::value::Row;
use walkback_core::{Cx, Dialect, Error, ErrorKind, Result, Session, Value};

use super::columns::{Columns, Fault, Ready};
use super::image::{Images, PLACE, bind_quoted};
use super::read::Record;
use crate::journal::LoadedRow;

/// How many parameters a statement has at most; SQLite takes the fewest.
const PARAMETERS: usize = 30_000;

/// A record that is ready to be inserted.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) record: Record,
    pub(super) ready: Ready,
}

/// Inserts records into one table.
pub(super) struct Inserter<'a> {
    dialect: &'a dyn Dialect,
    columns: &'a Columns,
    images: Images<'a>,
    key: &'a [String],
}

/// What became of the records of a batch.
#[derive(Debug, Default)]
pub(super) struct Inserted {
    pub(super) rows: Vec<LoadedRow>,
    pub(super) refused: Vec<(Record, Fault)>,
}

impl<'a> Inserter<'a> {
    pub(super) fn new(dialect: &'a dyn Dialect, table: &'a Table, columns: &'a Columns) -> Self {
        Self {
            dialect,
            columns,
            images: Images::of(dialect, table),
            key: &table.primary_key,
        }
    }

    /// Makes the session refuse what it would otherwise change without a word.
    pub(super) async fn make_strict(&self, cx: &Cx, session: &mut dyn Session) -> Result<()> {
        if self.dialect.kind() == DialectKind::Mysql {
            // A zero would be counted up instead of being stored.
            let strict = "SET SESSION sql_mode = CONCAT(@@SESSION.sql_mode, ',STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO')";
            session.execute(cx, strict, &[]).await?;
        }
        Ok(())
    }

    /// Makes constraints be checked at once, in the current transaction: at its end nobody could tell which record it was.
    pub(super) async fn check_at_once(&self, cx: &Cx, session: &mut dyn Session) -> Result<()> {
        if self.dialect.kind() == DialectKind::Postgres {
            session.execute(cx, "SET CONSTRAINTS ALL IMMEDIATE", &[]).await?;
        }
        Ok(())
    }

    /// Inserts records in the current transaction, and returns the rows and the records that the database refuses.
    ///
    /// # Errors
    /// What is not the fault of a record: the transaction is to be rolled back then.
    pub(super) async fn insert(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        pending: &[Pending],
    ) -> Result<Inserted> {
        let mut done = Inserted::default();
        if pending.is_empty() {
            return Ok(done);
        }
        match self.attempt(cx, session, pending).await? {
            Ok(rows) => done.rows = rows,
            Err(fault) if pending.len() == 1 => done.refused.push((pending[0].record.clone(), fault)),
            Err(_) => {
                for one in pending {
                    match self.attempt(cx, session, std::slice::from_ref(one)).await? {
                        Ok(rows) => done.rows.extend(rows),
                        Err(fault) => done.refused.push((one.record.clone(), fault)),
                    }
                }
            }
        }
        Ok(done)
    }

    /// Inserts all of these or none.
    async fn attempt(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        pending: &[Pending],
    ) -> Result<std::result::Result<Vec<LoadedRow>, Fault>> {
        session.execute(cx, "SAVEPOINT _walkback_load", &[]).await?;
        let fault = match self.insert_now(cx, session, pending).await {
            Ok(rows) if rows.len() == pending.len() => {
                session
                    .execute(cx, "RELEASE SAVEPOINT _walkback_load", &[])
                    .await?;
                return Ok(Ok(rows));
            }
            Ok(_) => {
                let why = "the row is not there after it was inserted: a trigger has left it out or changed its key";
                Fault::new(why, why)
            }
            Err(error) if is_of_record(&error) => fault_of(&error),
            Err(error) => return Err(error),
        };
        session
            .execute(cx, "ROLLBACK TO SAVEPOINT _walkback_load", &[])
            .await?;
        session
            .execute(cx, "RELEASE SAVEPOINT _walkback_load", &[])
            .await?;
        Ok(Err(fault))
    }

    async fn insert_now(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        pending: &[Pending],
    ) -> Result<Vec<LoadedRow>> {
        let mut keys = Vec::with_capacity(pending.len());
        for alike in pending.chunk_by(|left, right| left.ready.0 == right.ready.0) {
            let most = (PARAMETERS / alike[0].ready.0.len().max(1)).max(1);
            for part in alike.chunks(most) {
                keys.extend(self.insert_alike(cx, session, part).await?);
            }
        }
        self.images.read(cx, session, &keys, false).await
    }

    /// Inserts records with values for the same columns, and returns the keys of their rows.
    async fn insert_alike(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        pending: &[Pending],
    ) -> Result<Vec<Row>> {
        if self.dialect.kind() != DialectKind::Mysql {
            // What a trigger or a default makes of the key is known as well.
            let sql = format!(
                "{} RETURNING {}",
                self.statement(pending),
                self.images.key().join(", ")
            );
            let params = values_of(pending);
            return session
                .fetch_all(cx, &bind_quoted(self.dialect, &sql), &params)
                .await;
        }
        let at = |name: &String| {
            let columns = pending[0].ready.0.iter();
            columns
                .clone()
                .position(|index| self.columns.name(*index) == name)
        };
        let places: Vec<Option<usize>> = self.key.iter().map(at).collect();
        let given: Option<Vec<usize>> = places.iter().copied().collect();
        if let Some(given) = given {
            let sql = bind_quoted(self.dialect, &self.statement(pending));
            session.execute(cx, &sql, &values_of(pending)).await?;
            let key = |one: &Pending| given.iter().map(|at| one.ready.1[*at].clone()).collect();
            return Ok(pending.iter().map(key).collect());
        }
        if places.len() > 1 {
            return Err(Error::new(
                ErrorKind::Database,
                "the record leaves out a part of the key, and the server does not tell what it becomes",
            ));
        }
        let mut keys = Vec::with_capacity(pending.len());
        for one in pending {
            let sql = bind_quoted(self.dialect, &self.statement(std::slice::from_ref(one)));
            session.execute(cx, &sql, &one.ready.1).await?;
            keys.extend(session.fetch_all(cx, "SELECT LAST_INSERT_ID()", &[]).await?);
        }
        Ok(keys)
    }

    fn statement(&self, pending: &[Pending]) -> String {
        let columns = &pending[0].ready.0;
        let names = columns
            .iter()
            .map(|index| self.dialect.quote_identifier(self.columns.name(*index)));
        let row = format!("({})", vec![PLACE; columns.len()].join(", "));
        format!(
            "INSERT INTO {} ({}) VALUES {}",
            self.images.table(),
            names.collect::<Vec<_>>().join(", "),
            vec![row; pending.len()].join(", ")
        )
    }
}

fn values_of(pending: &[Pending]) -> Vec<Value> {
    pending
        .iter()
        .flat_map(|one| one.ready.1.iter().cloned())
        .collect()
}

/// Returns whether the database refuses what a record says, and nothing else is the matter.
fn is_of_record(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Database | ErrorKind::Usage) && !error.is_retryable()
}

/// Returns what the database says of a record.
fn fault_of(error: &Error) -> Fault {
    let mut words = error.message().to_owned();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        words = source.to_string();
        cause = source.source();
    }
    Fault::new(kind_of(&words), words)
}

/// Returns the words of a database without what they say of one row.
fn kind_of(words: &str) -> String {
    let first = words.split(';').next().unwrap_or(words);
    let mut kind = first.split(" at row ").next().unwrap_or(first).to_owned();
    for before in ["Duplicate entry '", "value: '"] {
        let Some(from) = kind.find(before).map(|at| at + before.len()) else {
            continue;
        };
        // The value itself may hold quotes; what follows it does not.
        if let Some(until) = kind.rfind("' for ").filter(|until| *until >= from) {
            kind.replace_range(from..until, "..");
        }
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::kind_of;

    #[test]
    fn reasons_of_many_records_are_one_kind() {
        let kind = "Duplicate entry '..' for key 't.PRIMARY'";
        assert_eq!(kind_of("Duplicate entry 'it's' for key 't.PRIMARY'"), kind);
        assert_eq!(
            kind_of(
                "duplicate key value violates unique constraint \"t_pkey\"; Key (id)=(1) already exists."
            ),
            "duplicate key value violates unique constraint \"t_pkey\""
        );
        assert_eq!(
            kind_of("Data too long for column 'x' at row 7"),
            "Data too long for column 'x'"
        );
    }
}
