//! Inserting a batch, in one go where the database takes it, else record by record, so that exactly the bad ones are left out.

use walkback_core::catalog::{Schema, Table};
use walkback_core::dialect::DialectKind;
use walkback_core::engine::SessionExt as _;
use walkback_core::value::Row;
use walkback_core::{Cx, Dialect, Result, Session, Value};

use super::blame::{fault_of, is_of_record};
use super::columns::{Columns, Fault, Ready};
use super::image::{Images, PLACE, bind_quoted};
use super::parents::Parents;
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
    /// What a foreign key refers to that SQLite would only look for at the end of the transaction.
    parents: Parents,
    /// Whether the table says itself what becomes of rows that are in the way.
    decides_conflicts: bool,
}

/// Why records are not inserted, or the rows that they have become.
type Attempt = std::result::Result<Vec<LoadedRow>, Fault>;

/// What became of the records of a batch.
#[derive(Debug, Default)]
pub(super) struct Inserted {
    pub(super) rows: Vec<LoadedRow>,
    pub(super) refused: Vec<(Record, Fault)>,
}

impl<'a> Inserter<'a> {
    pub(super) fn new(
        dialect: &'a dyn Dialect,
        (schema, table): (&Schema, &'a Table),
        columns: &'a Columns,
    ) -> Self {
        Self {
            dialect,
            columns,
            images: Images::of(dialect, table),
            key: &table.primary_key,
            parents: Parents::of(dialect, schema, table),
            decides_conflicts: dialect.kind() == DialectKind::Sqlite
                && table.definition.to_ascii_uppercase().contains("CONFLICT"),
        }
    }

    /// Makes the session refuse what it would otherwise change without a word.
    pub(super) async fn make_strict(&self, cx: &Cx, session: &mut dyn Session) -> Result<()> {
        super::pinned::pin(self.dialect, cx, session).await?;
        if self.dialect.kind() == DialectKind::Mysql {
            // A zero would be counted up instead of being stored.
            let strict = "SET SESSION sql_mode = CONCAT(@@SESSION.sql_mode, ',STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO')";
            session.execute(cx, strict, &[]).await?;
            // What a transaction sees is what was there when it first looked, and what it has written itself: a row that is
            // seen only after an insert is the one that was inserted.
            let steady = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ";
            session.execute(cx, steady, &[]).await?;
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
    async fn attempt(&self, cx: &Cx, session: &mut dyn Session, pending: &[Pending]) -> Result<Attempt> {
        session.execute(cx, "SAVEPOINT _walkback_load", &[]).await?;
        let fault = match self.insert_now(cx, session, pending).await {
            Ok(Ok(rows)) if rows.len() == pending.len() => {
                session
                    .execute(cx, "RELEASE SAVEPOINT _walkback_load", &[])
                    .await?;
                return Ok(Ok(rows));
            }
            Ok(Ok(_)) => Fault::plain(
                "the row is not there after it was inserted: a trigger has left it out or changed its key",
            ),
            Ok(Err(fault)) => fault,
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

    async fn insert_now(&self, cx: &Cx, session: &mut dyn Session, pending: &[Pending]) -> Result<Attempt> {
        let mut keys = Vec::with_capacity(pending.len());
        for alike in pending.chunk_by(|left, right| left.ready.0 == right.ready.0) {
            let most = (PARAMETERS / alike[0].ready.0.len().max(1)).max(1);
            for part in alike.chunks(most) {
                let inserted = match self.dialect.kind() {
                    DialectKind::Mysql => self.insert_blindly(cx, session, part).await?,
                    _ => Ok(self.insert_alike(cx, session, part).await?),
                };
                match inserted {
                    Ok(inserted) => keys.extend(inserted),
                    Err(fault) => return Ok(Err(fault)),
                }
            }
        }
        if let Some(fault) = self.parents.missing(cx, session, &self.images, &keys).await? {
            return Ok(Err(fault));
        }
        self.images.read(cx, session, &keys, false).await.map(Ok)
    }

    /// Inserts records with values for the same columns, and returns the keys of their rows, as triggers and defaults have
    /// made them.
    async fn insert_alike(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        pending: &[Pending],
    ) -> Result<Vec<Row>> {
        let sql = format!(
            "{} RETURNING {}",
            self.statement(pending),
            self.images.key().join(", ")
        );
        let params = values_of(pending);
        session
            .fetch_all(cx, &bind_quoted(self.dialect, &sql), &params)
            .await
    }

    /// The same for servers that do not tell what they have inserted: the keys have to be known.
    async fn insert_blindly(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        pending: &[Pending],
    ) -> Result<std::result::Result<Vec<Row>, Fault>> {
        let columns = &pending[0].ready.0;
        let at = |name: &String| columns.iter().position(|index| self.columns.name(*index) == name);
        let given: Option<Vec<usize>> = self.key.iter().map(at).collect();
        let Some(given) = given else {
            return self.insert_counted(cx, session, pending).await;
        };
        let key = |one: &Pending| given.iter().map(|at| one.ready.1[*at].clone()).collect();
        let keys: Vec<Row> = pending.iter().map(key).collect();
        // A trigger may give the new row another key; what is found under this one afterwards must not be somebody else's.
        if !self.images.read(cx, session, &keys, false).await?.is_empty() {
            return Ok(Err(Fault::plain("a row with this key is there already")));
        }
        let sql = bind_quoted(self.dialect, &self.statement(pending));
        session.execute(cx, &sql, &values_of(pending)).await?;
        Ok(Ok(keys))
    }

    /// Inserts records whose keys the server counts, one by one.
    async fn insert_counted(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        pending: &[Pending],
    ) -> Result<std::result::Result<Vec<Row>, Fault>> {
        if !matches!(self.key, [only] if self.columns.is_counted(only)) {
            return Ok(Err(Fault::plain(
                "the record leaves out the key or a part of it, and the server does not tell what it becomes",
            )));
        }
        let mut keys = Vec::with_capacity(pending.len());
        for one in pending {
            // It stays so where a trigger gives the key: the server counts nothing then.
            session.fetch_all(cx, "SELECT LAST_INSERT_ID(0)", &[]).await?;
            let sql = bind_quoted(self.dialect, &self.statement(std::slice::from_ref(one)));
            session.execute(cx, &sql, &one.ready.1).await?;
            let counted = session.fetch_all(cx, "SELECT LAST_INSERT_ID()", &[]).await?;
            if counted.iter().flatten().any(|value| value.as_i64() == Some(0)) {
                return Ok(Err(Fault::plain(
                    "a trigger gives the row its key, and the server does not tell which",
                )));
            }
            keys.extend(counted);
        }
        Ok(Ok(keys))
    }

    fn statement(&self, pending: &[Pending]) -> String {
        let columns = &pending[0].ready.0;
        let names = columns
            .iter()
            .map(|index| self.dialect.quote_identifier(self.columns.name(*index)));
        let row = format!("({})", vec![PLACE; columns.len()].join(", "));
        // A table of SQLite may say that a row that is in the way goes.
        let verb = match self.decides_conflicts {
            true => "INSERT OR ABORT",
            false => "INSERT",
        };
        format!(
            "{verb} INTO {} ({}) VALUES {}",
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
