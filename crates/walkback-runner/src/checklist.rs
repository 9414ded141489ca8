//! The checklist of a production environment: what should hold before a migration meets data that matters.

use chrono::TimeDelta;
use walkback_core::Cx;
use walkback_vault::VaultSet;

use crate::doctor::{Check, CheckState};
use crate::hooks::Moment;
use crate::plan::Verdict;
use crate::point::is_own_backup;
use crate::runner::Runner;
use crate::settings::{Confirmation, Decision};

/// How old the newest backup may be before that is worth a word.
const RECENT: TimeDelta = TimeDelta::hours(24);

impl Runner {
    /// Checks what a production environment should have, beside all that [`Runner::doctor`] checks. The ways back of what is
    /// pending are tried, on a scratch database; on the database itself nothing is written.
    pub async fn checklist(&self, cx: &Cx) -> Vec<Check> {
        let mut checks = vec![self.check_ways_back(cx).await];
        if let Some(vault) = self.vault() {
            checks.push(self.check_backup(cx, vault).await);
            checks.extend(check_stores(vault));
        } else {
            checks.push(no_vault());
        }
        checks.extend(self.check_policy());
        checks.push(self.check_retention());
        checks.push(self.check_health());
        checks.push(self.check_kept(cx).await);
        checks
    }

    /// Tries each pending migration up, down and up again.
    async fn check_ways_back(&self, cx: &Cx) -> Check {
        const NAME: &str = "ways back";
        let pending = match self.status(cx).await {
            Ok(status) => status.pending,
            Err(error) => return Check::fail(NAME, &error),
        };
        if pending.is_empty() {
            return Check::ok(NAME, "nothing is pending");
        }
        let ids: Vec<String> = pending.iter().map(|one| one.id.to_string()).collect();
        let outcomes = match Box::pin(self.verify(cx, &ids, &mut |_| {})).await {
            Ok(outcomes) => outcomes,
            Err(error) => {
                let message = format!("what is pending was not tried: {error}");
                return Check::warn(
                    NAME,
                    message,
                    "run `walkback verify` where a scratch database can be made",
                );
            }
        };
        if let Some(broken) = outcomes.iter().find(|outcome| !outcome.passed) {
            return Check {
                name: NAME,
                state: CheckState::Fail,
                message: format!("the way back of `{}` does not lead back", broken.name),
                hint: Some(format!(
                    "`walkback verify {}` says where it goes wrong",
                    broken.id
                )),
            };
        }
        let lossless = |verdict: &Verdict| matches!(verdict, Verdict::Lossless);
        match outcomes.iter().find(|outcome| !lossless(&outcome.verdict)) {
            None => Check::ok(
                NAME,
                format!("{} pending, tried up, down and up: lossless", ids.len()),
            ),
            Some(lossy) => Check::warn(
                NAME,
                format!("the way back of `{}` is {}", lossy.name, lossy.verdict.word()),
                "a point is made before it, from which it comes back; look at `walkback up --dry-run`",
            ),
        }
    }

    async fn check_backup(&self, cx: &Cx, vault: &VaultSet) -> Check {
        const NAME: &str = "backup";
        let points = match vault.list(cx).await {
            Ok(points) => points,
            Err(error) => return Check::fail(NAME, &error),
        };
        let newest = points
            .iter()
            .filter(|point| is_own_backup(self, point))
            .max_by_key(|point| point.modified);
        let Some(newest) = newest else {
            return Check {
                name: NAME,
                state: CheckState::Fail,
                message: "there is none".to_owned(),
                hint: Some(
                    "`walkback backup create` makes one; `walkback deploy` does so each time".to_owned(),
                ),
            };
        };
        let reports = match vault.verify(cx, &newest.id).await {
            Ok(reports) => reports,
            Err(error) => return Check::fail(NAME, &error),
        };
        for report in &reports {
            let damaged = match &report.outcome {
                Ok(outcome) if outcome.is_intact() => continue,
                Ok(_) => "is damaged".to_owned(),
                Err(error) => error.to_string(),
            };
            return Check {
                name: NAME,
                state: CheckState::Fail,
                message: format!("`{}` in `{}`: {damaged}", newest.id, report.store),
                hint: Some(format!(
                    "`walkback backup verify {}` says how; make a new one",
                    newest.id
                )),
            };
        }
        let age = cx.now() - newest.modified;
        let of = format!(
            "`{}`, of {}",
            newest.id,
            newest.modified.format("%Y-%m-%d %H:%M UTC")
        );
        if age > RECENT {
            let hint = "`walkback backup create` makes a new one";
            return Check::warn(NAME, format!("the newest is {of}, more than a day old"), hint);
        }
        Check::ok(NAME, format!("every byte read of {of}"))
    }

    fn check_policy(&self) -> Vec<Check> {
        const NAME: &str = "policy";
        let policy = &self.settings().policy;
        let mut checks = Vec::new();
        for (name, decision) in [("destructive", policy.destructive), ("lossy", policy.lossy)] {
            if decision == Decision::Allow {
                let message = format!("`{name} = \"allow\"`: nobody is asked");
                let hint = format!("set `{name} = \"ask\"` or `\"refuse\"` in the policy of the environment");
                checks.push(Check::warn(NAME, message, hint));
            }
        }
        if policy.confirm == Confirmation::Yes {
            let hint = "set `confirm = \"type-name\"` in the policy of the environment";
            checks.push(Check::warn(
                NAME,
                "a `yes` confirms, and is typed in a hurry",
                hint,
            ));
        }
        if !policy.require_ticket {
            let hint = "set `require_ticket = true` in the policy of the environment";
            checks.push(Check::warn(NAME, "a change needs no ticket", hint));
        }
        if checks.is_empty() {
            checks.push(Check::ok(
                NAME,
                "asks before it loses something, by name, with a ticket",
            ));
        }
        checks
    }

    fn check_retention(&self) -> Check {
        let rules = &self.settings().retention;
        if rules.age.is_none() && rules.keep.is_empty() {
            return Check::warn(
                "retention",
                "no rule says how long backups stay",
                "set `retention = \"90d\"` in the environment",
            );
        }
        Check::ok("retention", "a rule says how long backups stay")
    }

    fn check_health(&self) -> Check {
        let hooks = &self.settings().hooks;
        match (hooks.has(Moment::HealthCheck), hooks.has(Moment::RollbackCode)) {
            (true, true) => Check::ok(
                "deployment",
                "asks whether the application is well, and can bring the code back",
            ),
            (false, _) => Check::warn(
                "deployment",
                "nothing asks whether the application is well",
                "set `health_check` in the hooks of the environment: `walkback deploy` goes back by itself then",
            ),
            (true, false) => Check::warn(
                "deployment",
                "nothing brings the code back",
                "set `rollback_code` in the hooks of the environment: `walkback rollback --full` runs it",
            ),
        }
    }

    /// Looks whether what was kept aside is dropped in time.
    async fn check_kept(&self, cx: &Cx) -> Check {
        match self.plan_purge(cx, false).await {
            Err(error) => Check::fail("kept aside", &error),
            Ok(plan) if plan.drop.is_empty() => Check::ok(
                "kept aside",
                format!("{} before their deadline, none behind it", plan.stays.len()),
            ),
            Ok(plan) => Check::warn(
                "kept aside",
                format!("{} behind their deadline", plan.drop.len()),
                "`walkback purge` drops them",
            ),
        }
    }
}

fn no_vault() -> Check {
    Check {
        name: "stores",
        state: CheckState::Fail,
        message: "there is no vault: what a migration destroys is gone".to_owned(),
        hint: Some("name stores in `stores` of the environment".to_owned()),
    }
}

fn check_stores(vault: &VaultSet) -> Vec<Check> {
    let vaults = vault.vaults();
    let mut checks = Vec::new();
    // Where it is is said as a URL for a store that is reached over a network.
    if vaults.iter().any(|vault| vault.location().contains("://")) && vaults.len() > 1 {
        checks.push(Check::ok(
            "stores",
            format!("{}, one of them elsewhere", vaults.len()),
        ));
    } else {
        checks.push(Check::warn(
            "stores",
            format!("all of it is in one place: {}", vault.location()),
            "name a second store, such as one with `kind = \"s3\"`, in `stores` of the environment",
        ));
    }
    if vault.is_encrypted() {
        checks.push(Check::ok("encryption", "backups are encrypted"));
    } else {
        checks.push(Check::warn(
            "encryption",
            "backups are not encrypted",
            "set the keys of the vault: the chapter on the vault says how",
        ));
    }
    checks
}
