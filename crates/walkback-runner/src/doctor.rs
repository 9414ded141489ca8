//! The doctor: everything that can be checked without changing anything, each with what to do.

use serde::Serialize;
use walkback_core::engine::SessionExt as _;
use walkback_core::{Access, Cx, Error, ErrorKind, Session};
use walkback_vault::PointSummary;

use crate::runner::Runner;
use crate::state::State;
use crate::status::Status;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckState {
    /// Fine.
    Ok,
    /// Worth knowing.
    Warn,
    /// Wrong.
    Fail,
}

/// One check.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Check {
    /// What was checked.
    pub name: &'static str,
    /// How it came out.
    pub state: CheckState,
    /// What was found.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Check {
    pub(crate) fn ok(name: &'static str, message: impl Into<String>) -> Self {
        Self {
            name,
            state: CheckState::Ok,
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn warn(name: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            name,
            state: CheckState::Warn,
            message: message.into(),
            hint: Some(hint.into()),
        }
    }

    pub(crate) fn fail(name: &'static str, error: &Error) -> Self {
        let mut message = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        Self {
            name,
            state: CheckState::Fail,
            message,
            hint: error.hints().first().cloned(),
        }
    }
}

impl Runner {
    /// Checks the migrations, the database, the journal and the vault. Nothing is written.
    pub async fn doctor(&self, cx: &Cx) -> Vec<Check> {
        let mut checks = vec![self.check_migrations(cx).await];
        match self.connect(cx, Access::Read).await {
            Err(error) => checks.push(Check::fail("database", &error)),
            Ok(mut session) => {
                let capability = session.capability().clone();
                let message = format!(
                    "{} {} at {}",
                    capability.product,
                    capability.version,
                    self.engine().info().location
                );
                checks.push(Check::ok("database", message));
                let notices = capability.notices.iter();
                checks.extend(notices.map(|notice| {
                    Check::warn(
                        "connection",
                        notice,
                        "connect to the server itself where that matters",
                    )
                }));
                checks.push(self.check_journal(cx, &mut *session).await);
                checks.push(self.check_ledger(cx, &mut *session).await);
                drop(session);
                match self.status(cx).await {
                    Ok(status) => checks.extend(check_status(&status)),
                    Err(error) => checks.push(Check::fail("status", &error)),
                }
            }
        }
        checks.push(self.check_vault(cx).await);
        checks.extend(self.check_past(cx).await);
        checks
    }

    async fn check_migrations(&self, cx: &Cx) -> Check {
        match self.source().load(cx, self.dialect().kind()).await {
            Err(error) => Check::fail("migrations", &error),
            Ok(loaded) if !loaded.unmatched.is_empty() => {
                let (path, why) = &loaded.unmatched[0];
                let count = loaded.unmatched.len();
                Check::warn(
                    "migrations",
                    format!("{count} not used, such as `{}`: {why}", path.display()),
                    "rename or move them; `walkback status` lists all of them",
                )
            }
            Ok(loaded) => Check::ok(
                "migrations",
                format!("{} in {}", loaded.graph.len(), self.source().location()),
            ),
        }
    }

    /// Reads every table of the journal, so that a damaged row is found here and not in an emergency.
    async fn check_journal(&self, cx: &Cx, session: &mut dyn Session) -> Check {
        match State::load(self, cx, session).await {
            Err(error) => Check::fail("journal", &error),
            Ok(state) if state.needs_recovery() => Check::fail(
                "journal",
                &state
                    .refuse_half_done()
                    .err()
                    .unwrap_or_else(|| Error::internal("a half-done run vanished")),
            ),
            Ok(state) if !state.unfinished.is_empty() => Check::warn(
                "journal",
                format!(
                    "run `{}` never ended; nothing of it is half-done",
                    state.unfinished[0].id
                ),
                "the next run closes it; so does `walkback recover`",
            ),
            Ok(state) => Check::ok(
                "journal",
                format!("{} migrations with their way back", state.stored.len()),
            ),
        }
    }

    async fn check_ledger(&self, cx: &Cx, session: &mut dyn Session) -> Check {
        let format = self.ledger();
        let sql = format!(
            "SELECT count(*) FROM {}",
            self.dialect().quote_table(&format.table)
        );
        match session.has_table(cx, &format.table).await {
            Ok(false) => Check::ok(
                "ledger",
                format!("`{}` does not exist yet; the first `up` creates it", format.table),
            ),
            Err(error) => Check::fail("ledger", &error),
            Ok(true) => match session.fetch_optional(cx, &sql, &[]).await {
                Err(error) => Check::fail("ledger", &error),
                Ok(row) => {
                    let count = row.and_then(|row| row[0].as_i64()).unwrap_or_default();
                    Check::ok(
                        "ledger",
                        format!("`{}` ({}) with {count} rows", format.table, format.tool),
                    )
                }
            },
        }
    }

    async fn check_vault(&self, cx: &Cx) -> Check {
        let Some(vault) = self.vault() else {
            return Check::warn(
                "vault",
                "there is none: what a migration destroys cannot be brought back",
                "add a `[store.local]` with `kind = \"fs\"` and name it in `stores` of the environment",
            );
        };
        match vault.list(cx).await {
            Err(error) => Check::fail("vault", &error),
            Ok(points) => {
                let damaged: Vec<_> = points
                    .iter()
                    .filter(|point| point.info.is_err() && !is_closed(point))
                    .collect();
                if let (true, Some(check)) = (damaged.is_empty(), closed_points(&points)) {
                    return check;
                }
                match damaged.first() {
                    Some(point) => Check {
                        name: "vault",
                        state: CheckState::Fail,
                        message: format!(
                            "{} of {} manifests are damaged, such as `{}`",
                            damaged.len(),
                            points.len(),
                            point.id
                        ),
                        hint: Some(format!("`walkback backup verify {}` says how", point.id)),
                    },
                    None => self.check_points(cx, points.len(), &vault.location()).await,
                }
            }
        }
    }

    /// Looks whether every applied migration that needs a point still has it.
    async fn check_points(&self, cx: &Cx, found: usize, location: &str) -> Check {
        match self.points_missing(cx).await {
            Err(error) => Check::fail("vault", &error),
            Ok(missing) => match missing.first() {
                None => Check::ok("vault", format!("{found} points and backups at {location}")),
                Some((point, migration)) => Check {
                    name: "vault",
                    state: CheckState::Fail,
                    message: format!(
                        "the points of {} applied migrations are missing, such as `{point}` of `{migration}`",
                        missing.len()
                    ),
                    hint: Some(
                        "bring the vault back from a copy; `walkback backup create` keeps what is there now"
                            .to_owned(),
                    ),
                },
            },
        }
    }
}

/// Returns whether nothing that is set opens a point.
fn is_closed(point: &PointSummary) -> bool {
    matches!(&point.info, Err(error) if error.kind() == ErrorKind::Config)
}

/// Says that there are points that cannot be read here, though nothing is wrong with them.
fn closed_points(points: &[PointSummary]) -> Option<Check> {
    let closed: Vec<_> = points.iter().filter(|point| is_closed(point)).collect();
    let first = closed.first()?;
    Some(Check::warn(
        "vault",
        format!(
            "{} of {} points are encrypted and cannot be read here, such as `{}`",
            closed.len(),
            points.len(),
            first.id
        ),
        format!(
            "`walkback backup show {}` says to whom, and what to set",
            first.id
        ),
    ))
}

fn check_status(status: &Status) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(edited) = status.edited.first() {
        checks.push(Check {
            name: "files",
            state: CheckState::Fail,
            message: format!("migration `{}` was edited after it was applied", edited.name),
            hint: Some("put the file back as it was, and write the change as a new migration".to_owned()),
        });
    }
    if let Some(drift) = status.drift.first() {
        checks.push(Check::warn(
            "schema",
            format!(
                "{} things differ from what the last run left, such as: {drift}",
                status.drift.len()
            ),
            "`walkback status` lists them; somebody changed the schema without walkback",
        ));
    }
    if !status.ahead.is_empty() {
        checks.push(Check::warn(
            "release",
            format!("the database is ahead of this checkout by {}", status.ahead.len()),
            format!(
                "`walkback rollback -n {}` walks them back from here",
                status.ahead.len()
            ),
        ));
    }
    checks
}
