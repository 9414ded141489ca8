//! Choosing the backup with which going back to a moment begins.

use chrono::{DateTime, TimeDelta, Utc};
use walkback_core::replay::{LogPosition, Replay};
use walkback_core::{Cx, Error, ErrorKind, Result};
use walkback_vault::{Manifest, PointKind, PointSummary};

use super::{PastPlan, PastRequest, PastRoad};
use crate::identity::moment as words;
use crate::point::{self, database_name};
use crate::runner::Runner;

/// What the ids of points begin with that hold what was there at another moment than the one they were made at.
const OF_ANOTHER_MOMENT: [&str; 2] = [point::PAST, "dump"];

/// How far a clock may be ahead of another before a moment is in the future.
const AHEAD: TimeDelta = TimeDelta::seconds(1);

/// What was looked at and will not do.
#[derive(Debug, Default)]
struct Passed {
    /// The oldest that can be gone forward from, and its moment.
    oldest: Option<(String, DateTime<Utc>)>,
    /// The newest whose log is gone, and why.
    gone: Option<(String, Error)>,
    /// How many do not say where the log stood.
    silent: usize,
}

impl Runner {
    /// Finds what there is to go back to a moment. Nothing is written.
    ///
    /// # Errors
    /// `Usage` for a moment to come, `NotFound` where no backup and no log reaches it, with what would be possible.
    pub async fn past_find(&self, cx: &Cx, request: &PastRequest) -> Result<PastPlan> {
        if request.until > cx.now() + AHEAD {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("{} is still to come", words(request.until)),
            )
            .hint("name a moment that has passed; one without an offset is in UTC"));
        }
        let by_log = match (self.engine().replay(), self.engine().recovery()) {
            (Some(replay), _) => self.by_log(cx, replay, request).await,
            (None, Some(_)) => self.by_recovery(request),
            (None, None) => Err(no_log(self.session_product(cx).await)),
        };
        match by_log {
            Err(error) if is_no_road(&error) && request.nearest => self.nearest(cx, request, &error).await,
            Err(error) if is_no_road(&error) => Err(self.with_nearest(cx, request, error).await),
            outcome => outcome,
        }
    }

    async fn session_product(&self, cx: &Cx) -> String {
        let session = self.connect(cx, walkback_core::Access::Read).await;
        session.map_or_else(
            |_| self.engine().info().scheme.to_owned(),
            |session| session.capability().product.clone(),
        )
    }

    async fn by_log(&self, cx: &Cx, replay: &dyn Replay, request: &PastRequest) -> Result<PastPlan> {
        let lacks = replay.check(cx).await?;
        if let Some(lack) = lacks.iter().find(|lack| lack.is_fatal) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("this server does not let a moment be gone back to: {}", lack.what),
            )
            .hint(lack.remedy.clone()));
        }
        let mut passed = Passed::default();
        for manifest in self.candidates(cx, request).await? {
            let Some(position) = manifest.position.as_ref() else {
                passed.silent += 1;
                continue;
            };
            let position = LogPosition::new(&position.log, &position.at);
            let at = replay.moment(&position)?;
            let reach = match replay.reach(cx, &position).await {
                Err(error) if is_no_road(&error) => {
                    passed.gone.get_or_insert((manifest.id, error));
                    continue;
                }
                other => other?,
            };
            if at > request.until {
                passed.oldest = Some((manifest.id, at));
                continue;
            }
            return Ok(PastPlan {
                until: words(request.until),
                road: PastRoad::Log,
                base: manifest.id,
                base_at: words(at),
                from: Some(position.to_string()),
                log_bytes: Some(reach),
                seconds_earlier: None,
                warnings: lacks.into_iter().map(|lack| lack.what).collect(),
                moment: request.until,
                position: Some(position),
            });
        }
        Err(passed.into_error(request))
    }

    /// Returns the points of the whole database, newest first; the one that was asked for alone, if one was.
    async fn candidates(&self, cx: &Cx, request: &PastRequest) -> Result<Vec<Manifest>> {
        let vault = self.needed_vault()?;
        if let Some(base) = &request.base {
            let manifest = vault.open(cx, base).await?;
            return if is_whole(&manifest) {
                Ok(vec![manifest])
            } else {
                Err(Error::not_found(format!(
                    "`{}` does not hold every table: nothing can be gone forward from",
                    manifest.id
                ))
                .hint("name a backup of the whole database, or none: the newest that will do is taken"))
            };
        }
        let mut found = Vec::new();
        for summary in vault.list(cx).await? {
            if self.may_be_base(&summary) {
                let manifest = vault.open(cx, &summary.id).await?;
                if is_whole(&manifest) {
                    found.push(manifest);
                }
            }
        }
        Ok(found)
    }

    fn may_be_base(&self, summary: &PointSummary) -> bool {
        let is_of_another_moment = OF_ANOTHER_MOMENT.iter().any(|prefix| {
            summary
                .id
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.starts_with('_'))
        });
        let is_own = summary.info.as_ref().is_ok_and(|info| {
            info.database.name == database_name(self) && info.database.dialect == self.dialect().kind()
        });
        is_own && !is_of_another_moment && summary.kind != Some(PointKind::Changes)
    }

    /// Plans to take the newest backup from before the moment as it is.
    async fn nearest(&self, cx: &Cx, request: &PastRequest, why: &Error) -> Result<PastPlan> {
        let found = self.candidates(cx, request).await?;
        let oldest = found
            .last()
            .map(|manifest| (manifest.id.clone(), manifest.created_at));
        let early_enough = found
            .into_iter()
            .find(|manifest| manifest.created_at <= request.until);
        let Some(manifest) = early_enough else {
            let passed = Passed {
                oldest,
                ..Passed::default()
            };
            return Err(passed.into_error(request));
        };
        let earlier = request.until - manifest.created_at;
        let base_at = words(manifest.created_at);
        Ok(PastPlan {
            until: words(request.until),
            road: PastRoad::Nearest,
            warnings: vec![format!(
                "this is the database as it was at {base_at}, {} earlier than asked: what was written between is not in \
                 it ({why})",
                span(earlier)
            )],
            base: manifest.id,
            base_at,
            from: None,
            log_bytes: None,
            seconds_earlier: Some(earlier.num_seconds()),
            moment: request.until,
            position: None,
        })
    }

    /// Adds to an error what `--nearest` would take.
    async fn with_nearest(&self, cx: &Cx, request: &PastRequest, error: Error) -> Error {
        match self.nearest(cx, request, &error).await {
            Ok(plan) => error.hint(format!(
                "add `--nearest` to take `{}` as it is: of {}, {} earlier",
                plan.base,
                plan.base_at,
                span(TimeDelta::seconds(plan.seconds_earlier.unwrap_or_default()))
            )),
            Err(_) => error,
        }
    }
}

impl Passed {
    /// Says why nothing will do, and what would be possible.
    fn into_error(self, request: &PastRequest) -> Error {
        let before = words(request.until);
        let error = match (&request.base, self.gone) {
            (Some(base), None) if self.oldest.is_some() => {
                Error::not_found(format!("backup `{base}` was made after {before}"))
            }
            (_, Some((id, gone))) => Error::not_found(format!(
                "{before} cannot be gone forward to from `{id}`: {}",
                gone.message()
            ))
            .hint(
                gone.hints()
                    .first()
                    .cloned()
                    .unwrap_or_else(|| "make backups more often".to_owned()),
            ),
            _ => Error::not_found(format!(
                "there is no backup of the whole database from before {before} to begin with"
            )),
        };
        match self.oldest {
            Some((id, at)) => error.hint(format!(
                "the oldest moment that can be gone back to is {}, that of `{id}`",
                words(at)
            )),
            None if self.silent > 0 => error.hint(format!(
                "{} of the whole database do not say where the log stood: they were made without the right to ask, or \
                 while there was none; `walkback doctor` says what is missing",
                self.silent
            )),
            None => error.hint("`walkback backup create` makes one, to begin with the next time"),
        }
    }
}

fn no_log(product: String) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!("{product} keeps no log by which any moment could be gone back to"),
    )
    .hint("`walkback rollback --to-time <MOMENT>` takes back what migrations have changed since, and keeps what applications wrote")
}

/// Returns whether an error says that there is no way to the moment, and not that something failed.
fn is_no_road(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unsupported)
}

fn is_whole(manifest: &Manifest) -> bool {
    let mut names = manifest.schema.tables.iter().map(|table| &table.name);
    names.all(|name| manifest.table(name).is_some())
}

/// Returns a span of time in words: `2h 3m 10s`.
fn span(time: TimeDelta) -> String {
    let seconds = time.num_seconds().max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let parts = [(days, "d"), (hours, "h"), (minutes, "m"), (seconds % 60, "s")];
    let parts: Vec<_> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    if parts.is_empty() {
        "less than a second".to_owned()
    } else {
        parts.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_told_in_the_units_that_it_has() {
        assert_eq!(span(TimeDelta::seconds(90_061)), "1d 1h 1m 1s");
        assert_eq!(span(TimeDelta::seconds(7200)), "2h");
        assert_eq!(span(TimeDelta::milliseconds(10)), "less than a second");
    }
}
