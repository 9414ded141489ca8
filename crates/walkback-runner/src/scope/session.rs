//! What the work of a scope is given: a session within the transaction of the scope.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as Lock, PoisonError};

use tokio::sync::Mutex;
use walkback_core::catalog::Schema;
use walkback_core::engine::{Begin, SessionExt as _};
use walkback_core::statement::Action;
use walkback_core::value::{Row, Value};
use walkback_core::{Cx, Dialect, Effect, Error, ErrorKind, Result, Session, Statement, TableName};

use crate::reach::{self, Reach};

/// A session within the transaction of a scope. Cheap to clone; of no use once the scope has ended.
#[derive(Debug, Clone)]
pub struct ScopeSession(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    cx: Cx,
    dialect: Arc<dyn Dialect>,
    name: String,
    /// The tables that may be changed, with the point that holds them. `None`: there is no store.
    held: Option<Held>,
    schema: Schema,
    open: Mutex<Option<Open>>,
    /// Whether something of the scope may be committed already.
    may_have_committed: AtomicBool,
    /// Why the scope cannot be committed any more.
    fault: Lock<Option<&'static str>>,
}

/// What the point of a scope holds.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) point: String,
    /// `None`: all tables there are.
    pub(super) tables: Option<Vec<TableName>>,
}

#[derive(Debug)]
struct Open {
    session: Box<dyn Session>,
    /// What was sent and changes definitions: what comes after it may reach other tables by it.
    definitions: Vec<(String, Effect)>,
    /// The text that was looked at last and may be sent: work goes on with the same statement and other values.
    allowed: Option<String>,
}

/// Says that a statement is under way; if its future is dropped, nobody knows what the session will answer next.
struct UnderWay<'a>(&'a Shared, bool);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if !self.1 {
            self.0.set_fault("a statement of it was given up before its end");
        }
    }
}

impl ScopeSession {
    pub(super) fn new(
        cx: &Cx,
        dialect: Arc<dyn Dialect>,
        name: &str,
        held: Option<Held>,
        schema: Schema,
        session: Box<dyn Session>,
    ) -> Self {
        let open = Open {
            session,
            definitions: Vec::new(),
            allowed: None,
        };
        Self(Arc::new(Shared {
            cx: cx.clone(),
            dialect,
            name: name.to_owned(),
            held,
            schema,
            open: Mutex::new(Some(open)),
            may_have_committed: AtomicBool::new(false),
            fault: Lock::new(None),
        }))
    }

    /// Returns the point that holds what was there before. `None`: the environment has no store.
    #[must_use]
    pub fn point(&self) -> Option<&str> {
        self.0.held.as_ref().map(|held| held.point.as_str())
    }

    /// Quotes the name of a table or a column.
    #[must_use]
    pub fn quote(&self, name: &str) -> String {
        self.0.dialect.quote_identifier(name)
    }

    /// Returns the placeholder of the n-th parameter, from 1: `$1` on PostgreSQL, `?` elsewhere.
    #[must_use]
    pub fn placeholder(&self, n: usize) -> String {
        self.0.dialect.placeholder(n)
    }

    /// Runs one statement with bound parameters, and returns how many rows it changed.
    ///
    /// # Errors
    /// Those of the database. `Usage` for a statement that begins or ends a transaction, `Refused` for one that changes
    /// a table that the point of the scope does not hold.
    pub async fn execute(&self, sql: &str, parameters: &[Value]) -> Result<u64> {
        let mut open = self.0.open.lock().await;
        let open = self.0.usable(&mut open)?;
        let statement = self.0.allow(open, sql)?;
        let mut under_way = UnderWay(&self.0, false);
        let done = if self.0.commits(&statement) {
            self.0.define(open, &statement).await
        } else {
            open.session.execute(&self.0.cx, &statement.sql, parameters).await
        };
        under_way.1 = true;
        done
    }

    /// Runs one query with bound parameters, and returns its rows.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    pub async fn query(&self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>> {
        let mut open = self.0.open.lock().await;
        let open = self.0.usable(&mut open)?;
        let statement = self.0.allow(open, sql)?;
        if self.0.commits(&statement) {
            return Err(
                Error::new(ErrorKind::Usage, "a definition gives no rows").hint("send it with `execute`")
            );
        }
        let mut under_way = UnderWay(&self.0, false);
        let rows = open
            .session
            .fetch_all(&self.0.cx, &statement.sql, parameters)
            .await;
        under_way.1 = true;
        rows
    }

    /// Returns whether something of the scope may be committed before its end.
    pub(super) fn may_have_committed(&self) -> bool {
        self.0.may_have_committed.load(Ordering::SeqCst)
    }

    /// Returns why the scope cannot be committed, whatever its work says.
    pub(super) fn fault(&self) -> Option<Error> {
        let fault = *self.0.fault.lock().unwrap_or_else(PoisonError::into_inner);
        fault.map(|why| {
            Error::new(
                ErrorKind::Interrupted,
                format!("the scope `{}` is not committed: {why}", self.0.name),
            )
            .hint("let each statement of a scope come to its end; a deadline for all of it is the context's to set")
        })
    }

    /// Waits until no statement is under way.
    pub(super) async fn idle(&self) {
        drop(self.0.open.lock().await);
    }

    /// Takes the session from the work. `None`: it cannot be used any more.
    pub(super) async fn close(&self) -> Option<Box<dyn Session>> {
        let open = self.0.open.lock().await.take()?;
        self.fault().is_none().then_some(open.session)
    }

    pub(super) fn name(&self) -> &str {
        &self.0.name
    }
}

impl Shared {
    fn set_fault(&self, why: &'static str) {
        self.fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(why);
    }

    fn usable<'o>(&self, open: &'o mut Option<Open>) -> Result<&'o mut Open> {
        let is_faulty = self
            .fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some();
        open.as_mut().filter(|_| !is_faulty).ok_or_else(|| {
            Error::new(
                ErrorKind::Usage,
                format!("the session of the scope `{}` cannot be used any more", self.name),
            )
            .hint("it ends with the work that it was given to, and with a statement that was given up")
        })
    }

    /// Returns whether the server ends the transaction around a statement.
    fn commits(&self, statement: &Statement) -> bool {
        self.dialect.commits_implicitly(statement)
    }

    /// Reads a statement, and refuses what would leave the scope.
    fn allow(&self, open: &mut Open, sql: &str) -> Result<Statement> {
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
        let effect = self.dialect.effect(&statement);
        if effect.actions.contains(&Action::Transaction) || self.dialect.refuses_transaction(&statement) {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("a scope is one transaction, and this {effect}"),
            )
            .with_context("statement", &statement.sql)
            .hint(
                "the scope begins and ends its transaction by itself; return an error to have it rolled back",
            )
            .hint(
                "what the server refuses in a transaction belongs into a migration with `transaction=off`",
            ));
        }
        self.refuse_unheld(open, &statement, &effect)?;
        let is_unknown = effect
            .actions
            .iter()
            .any(|one| matches!(one, Action::Unknown { .. }));
        let may_commit =
            self.commits(&statement) || is_unknown && !open.session.capability().transactional_ddl;
        if may_commit {
            self.may_have_committed.store(true, Ordering::SeqCst);
        }
        if is_of_rows(&effect) {
            open.allowed = Some(sql.to_owned());
        } else {
            open.allowed = None;
            open.definitions.push((statement.sql.clone(), effect));
        }
        Ok(statement)
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

    /// Sends a definition that ends the transaction, between two transactions of the scope. The mark of the scope is
    /// committed with what came before it.
    async fn define(&self, open: &mut Open, statement: &Statement) -> Result<u64> {
        open.session.commit(&self.cx).await?;
        self.cx.step("scope.committed-before");
        let done = open.session.execute(&self.cx, &statement.sql, &[]).await;
        self.cx.step("scope.defined");
        open.session.begin(&self.cx.shielded(), Begin::Write).await?;
        done
    }
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
