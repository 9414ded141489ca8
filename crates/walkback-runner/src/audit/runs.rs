//! The runs of the journal against their entries: what `walkback audit` lists is what the chain has.

use std::collections::{BTreeMap, BTreeSet};

use super::verify::Reading;
use crate::journal::{AuditEntry, RunRecord, RunStatus};

/// The entries of one run.
#[derive(Default)]
struct Entries<'e> {
    begun: Option<&'e AuditEntry>,
    ended: Vec<&'e AuditEntry>,
}

/// Compares the runs with the entries, both read in one snapshot: a row and its entry commit together, when a run begins and
/// when it ends.
pub(super) fn compare(runs: &[RunRecord], entries: &[AuditEntry], reading: &mut Reading<'_>) {
    // Without any entry there is nothing to compare with, and that is found by following the chain.
    let Some(first) = entries.first() else { return };
    let mut told = sorted(entries);
    for run in runs {
        match told.remove(run.id.as_str()) {
            Some(found) => found.check(run, reading),
            // A journal of an older version has runs from before it had an audit.
            None if run.started_at < first.noted_at => {}
            None => reading.finds(None, format!("run `{}` ({}) has no entry", run.id, run.kind)),
        }
    }
    let mut gone: Vec<_> = told
        .into_iter()
        .filter_map(|(id, found)| Some((found.first()?, id)))
        .collect();
    gone.sort_by_key(|(entry, _)| entry.seq);
    for (entry, id) in gone {
        reading.finds(
            entry.seq,
            format!(
                "run `{id}` ({}) is gone: entry {} says that it has {}",
                entry.kind.as_deref().unwrap_or("?"),
                entry.seq,
                entry.event
            ),
        );
    }
}

fn sorted(entries: &[AuditEntry]) -> BTreeMap<&str, Entries<'_>> {
    let mut told: BTreeMap<&str, Entries<'_>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for entry in entries {
        let Some(run) = entry.run_id.as_deref() else {
            continue;
        };
        // That there are two of one number is found by following the chain.
        if !seen.insert(entry.seq) {
            continue;
        }
        match entry.event.as_str() {
            "begun" => {
                told.entry(run).or_default().begun.get_or_insert(entry);
            }
            "ended" => told.entry(run).or_default().ended.push(entry),
            _ => {}
        }
    }
    told
}

impl<'e> Entries<'e> {
    fn first(&self) -> Option<&'e AuditEntry> {
        self.begun.or_else(|| self.ended.first().copied())
    }

    /// Says in one finding what of the row is other than in the entries.
    fn check(&self, run: &RunRecord, reading: &mut Reading<'_>) {
        let mut differences = Vec::new();
        if let Some(begun) = self.begun {
            let seq = begun.seq;
            let who = (
                begun.user_name.as_deref(),
                begun.host_name.as_deref(),
                begun.process_id,
            );
            if let (Some(user), Some(host), Some(pid)) = who {
                let actor = format!("{user}@{host} (pid {pid})");
                differences.extend(differs("actor", seq, &run.actor, &actor));
            }
            differences.extend(of_both(run, begun));
            differences.extend(differs("start", seq, &run.started_at, &begun.noted_at));
        }
        match (&self.ended[..], self.begun) {
            ([], Some(begun)) if run.status != RunStatus::Running => differences.push(Difference {
                seq: begun.seq,
                what: format!(
                    "says `{}`, and no entry says that it has ended",
                    run.status.word()
                ),
            }),
            ([], Some(begun)) => {
                differences.extend(differs("heads after", begun.seq, &run.to, head(&begun.to_heads)))
            }
            ([], None) => {}
            ([ended, again @ ..], _) => {
                differences.extend(of_end(run, ended, self.begun.is_none()));
                differences.extend(again.iter().map(|again| Difference {
                    seq: again.seq,
                    what: format!(
                        "has ended twice: in entry {} and in entry {}",
                        ended.seq, again.seq
                    ),
                }));
            }
        }
        let Some(first) = differences.first().map(|first| first.seq) else {
            return;
        };
        let what: Vec<_> = differences
            .into_iter()
            .map(|difference| difference.what)
            .collect();
        reading.finds(first, format!("run `{}` {}", run.id, what.join("; it ")));
    }
}

/// What of a row is other than in an entry.
struct Difference {
    seq: i64,
    what: String,
}

/// What each entry of a run says.
fn of_both(run: &RunRecord, entry: &AuditEntry) -> Vec<Difference> {
    let seq = entry.seq;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    [
        differs("kind", seq, &run.kind, &text(&entry.kind)),
        differs("heads before", seq, &run.from, head(&entry.from_heads)),
        differs("ticket", seq, &text(&run.ticket), &text(&entry.ticket)),
        differs("reason", seq, &text(&run.reason), &text(&entry.reason)),
    ]
    .into_iter()
    .flatten()
    .chain(of_environment(run, entry))
    .collect()
}

/// The command that ends a killed run may be of another environment: only who began it tells.
fn of_environment(run: &RunRecord, entry: &AuditEntry) -> Option<Difference> {
    match (entry.event.as_str(), &entry.environment) {
        ("begun", Some(environment)) => differs("environment", entry.seq, &run.environment, environment),
        _ => None,
    }
}

/// What only the entry of its end says; with all the rest where it began before there was an audit.
fn of_end(run: &RunRecord, ended: &AuditEntry, is_alone: bool) -> Vec<Difference> {
    let seq = ended.seq;
    let outcome = ended.outcome.as_deref().unwrap_or_default();
    let mut differences = Vec::new();
    if run.status.word() != outcome {
        differences.push(Difference {
            seq,
            what: format!("says `{}`, its entry {seq} says `{outcome}`", run.status.word()),
        });
    }
    if is_alone {
        differences.extend(of_both(run, ended));
    }
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    differences.extend(differs("heads after", seq, &run.to, head(&ended.to_heads)));
    differences.extend(differs("end", seq, &text(&run.finished_at), &ended.noted_at));
    differences.extend(differs("detail", seq, &text(&run.detail), &text(&ended.detail)));
    differences
}

fn head(heads: &Option<String>) -> &str {
    heads.as_deref().unwrap_or_default()
}

fn differs(name: &str, seq: i64, row: &str, entry: &str) -> Option<Difference> {
    (row != entry).then(|| Difference {
        seq,
        what: format!("says {name} `{row}`, its entry {seq} says `{entry}`"),
    })
}
