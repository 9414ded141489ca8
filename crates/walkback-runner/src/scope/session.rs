//! What the work of a scope is given: a session within the transaction of the scope.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as Lock, PoisonError};

use tokio::sync::{Mutex, MutexGuard};
use walkback_core::catalog::Schema;
use walkback_core::engine::{Begin, SessionExt as _};
use walkback_core::value::{Row, Value};
use walkback_core::{Cx, Dialect, Effect, Error, ErrorKind, Result, Session, Statement, TableName};

/// A session within the transaction of a scope. Cheap to clone; of no use once the scope has ended.
#[derive(Debug, Clone)]
pub struct ScopeSession(Arc<Shared>);

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) cx: Cx,
    pub(super) dialect: Arc<dyn Dialect>,
    pub(super) name: String,
    /// The tables that may be changed, with the point that holds them. `None`: there is no store.
    pub(super) held: Option<Held>,
    pub(super) schema: Schema,
    /// The environment, if its policy refuses what destroys, and nobody has allowed that.
    pub(super) spared: Option<String>,
    open: Mutex<Option<Open>>,
    /// Whether something of the scope may be committed already.
    pub(super) may_have_committed: AtomicBool,
    /// Why the scope cannot be committed any more.
    fault: Lock<Option<Fault>>,
}

/// Why a scope cannot be committed, whatever its work says.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// A statement was given up before its end.
    GivenUp,
    /// A transaction could not be ended or begun around a definition.
    Broken,
    /// The scope itself was dropped.
    Dropped,
}

impl Fault {
    const fn words(self) -> &'static str {
        match self {
            Self::GivenUp => "a statement of it was given up before its end",
            Self::Broken => "its transaction could not be ended or begun around a definition",
            Self::Dropped => "its future was dropped",
        }
    }
}

/// What the point of a scope holds.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) point: String,
    /// `None`: all tables there are.
    pub(super) tables: Option<Vec<TableName>>,
}

#[derive(Debug)]
pub(super) struct Open {
    pub(super) session: Box<dyn Session>,
    /// What was sent and changes definitions: what comes after it may reach other tables by it.
    pub(super) definitions: Vec<(String, Effect)>,
    /// The temporary tables it has made.
    pub(super) temporary: Vec<TableName>,
    /// The text that was looked at last and may be sent: work goes on with the same statement and other values.
    pub(super) allowed: Option<String>,
}

/// Says that a statement is under way; if its future is dropped, nobody knows what the session will answer next.
struct UnderWay<'a>(&'a Shared, bool);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if !self.1 {
            self.0.set_fault(Fault::GivenUp);
        }
    }
}

/// The session while a statement uses it. Whoever frees it drops it if the scope has a fault by then: of those who set one
/// and could not have the session, each was waiting for such a one.
struct InUse<'a> {
    shared: &'a Shared,
    open: Option<MutexGuard<'a, Option<Open>>>,
}

impl InUse<'_> {
    fn usable(&mut self) -> Result<&mut Open> {
        self.shared.check_fault()?;
        let open = self.open.as_mut().and_then(|open| open.as_mut());
        open.ok_or_else(|| self.shared.unusable())
    }
}

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        self.open = None;
        self.shared.drop_if_faulty();
    }
}

impl ScopeSession {
    pub(super) fn new(
        cx: &Cx,
        dialect: Arc<dyn Dialect>,
        name: &str,
        (held, schema, spared): (Option<Held>, Schema, Option<String>),
        session: Box<dyn Session>,
    ) -> Self {
        let open = Open {
            session,
            definitions: Vec::new(),
            temporary: Vec::new(),
            allowed: None,
        };
        Self(Arc::new(Shared {
            cx: cx.clone(),
            dialect,
            name: name.to_owned(),
            held,
            schema,
            spared,
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
        let mut in_use = self.0.in_use().await;
        let open = in_use.usable()?;
        let statement = self.0.allow(open, sql, parameters)?;
        let mut under_way = UnderWay(&self.0, false);
        let done = if self.0.commits(&statement) {
            self.0.define(open, &statement).await
        } else {
            open.session.execute(&self.0.cx, &statement.sql, parameters).await
        };
        under_way.1 = true;
        self.0.check_fault().and(done)
    }

    /// Runs one query with bound parameters, and returns its rows.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    pub async fn query(&self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>> {
        let mut in_use = self.0.in_use().await;
        let open = in_use.usable()?;
        self.0.refuse_definition(sql)?;
        let statement = self.0.allow(open, sql, parameters)?;
        let mut under_way = UnderWay(&self.0, false);
        let rows = open
            .session
            .fetch_all(&self.0.cx, &statement.sql, parameters)
            .await;
        under_way.1 = true;
        self.0.check_fault().and(rows)
    }

    /// Returns whether something of the scope may be committed before its end.
    pub(super) fn may_have_committed(&self) -> bool {
        self.0.may_have_committed.load(Ordering::SeqCst)
    }

    /// Returns why the scope cannot be committed, whatever its work says.
    pub(super) fn fault(&self) -> Option<Error> {
        let fault = self.0.fault_now()?;
        let error = Error::new(
            match fault {
                Fault::GivenUp | Fault::Dropped => ErrorKind::Interrupted,
                Fault::Broken => ErrorKind::Database,
            },
            format!("the scope `{}` is not committed: {}", self.0.name, fault.words()),
        );
        Some(match fault {
            Fault::GivenUp => error.hint(
                "let each statement of a scope come to its end; a deadline for all of it is the context's to set",
            ),
            Fault::Broken | Fault::Dropped => error,
        })
    }

    /// Waits until no statement is under way.
    pub(super) async fn idle(&self) {
        drop(self.0.open.lock().await);
    }

    /// Takes the session from the work. `None`: it cannot be used any more.
    pub(super) async fn close(&self) -> Option<Box<dyn Session>> {
        let open = self.0.open.lock().await.take()?;
        self.0.fault_now().is_none().then_some(open.session)
    }

    /// Takes the session from everybody who has a clone of this: the scope was dropped. One that is in use is dropped by
    /// whoever uses it, once its statement answers.
    pub(super) fn abandon(&self) {
        self.0.set_fault(Fault::Dropped);
        self.0.drop_if_faulty();
    }

    pub(super) fn name(&self) -> &str {
        &self.0.name
    }
}

impl Shared {
    fn set_fault(&self, fault: Fault) {
        self.fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(fault);
    }

    fn fault_now(&self) -> Option<Fault> {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops the session of a scope with a fault, which rolls back what it has open. Nothing is waited for.
    fn drop_if_faulty(&self) {
        if self.fault_now().is_some()
            && let Ok(mut open) = self.open.try_lock()
        {
            drop(open.take());
        }
    }

    pub(super) fn check_fault(&self) -> Result<()> {
        match self.fault_now() {
            Some(_) => Err(self.unusable()),
            None => Ok(()),
        }
    }

    fn unusable(&self) -> Error {
        Error::new(
            ErrorKind::Usage,
            format!("the session of the scope `{}` cannot be used any more", self.name),
        )
        .hint("it ends with the work that it was given to, and with a statement that was given up")
    }

    async fn in_use(&self) -> InUse<'_> {
        InUse {
            shared: self,
            open: Some(self.open.lock().await),
        }
    }

    /// Sends a definition that ends the transaction, between two transactions of the scope. The mark of the scope is
    /// committed with what came before it.
    async fn define(&self, open: &mut Open, statement: &Statement) -> Result<u64> {
        if let Err(error) = open.session.commit(&self.cx).await {
            self.set_fault(Fault::Broken);
            return Err(error);
        }
        self.cx.step("scope.committed-before");
        self.check_fault()?;
        let done = open.session.execute(&self.cx, &statement.sql, &[]).await;
        self.cx.step("scope.defined");
        self.check_fault()?;
        if let Err(error) = open.session.begin(&self.cx.shielded(), Begin::Write).await {
            // What came now would be committed at once.
            self.set_fault(Fault::Broken);
            return Err(error);
        }
        done
    }
}
