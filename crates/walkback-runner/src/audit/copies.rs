//! What the stores have of the audit: read as it is, then compared with the database.

use std::collections::BTreeMap;

use walkback_core::{Cx, Result};
use walkback_vault::Vault;

use super::copy::{filed, read};
use super::verify::{AuditedStore, Chain, Reading, missing};
use crate::journal::AuditEntry;
use crate::runner::Runner;

/// What one store has.
#[derive(Default)]
pub(super) struct Copies {
    /// Its entries of the chain of the database, each line once.
    copied: BTreeMap<(i64, String), AuditEntry>,
    /// The days of which it has a file.
    dates: Vec<String>,
    /// What is no entry, in words.
    strange: Vec<String>,
    /// The last entry of each chain that is not the one of the database.
    others: Vec<(String, AuditEntry)>,
}

impl Copies {
    /// Reads what a store has.
    pub(super) async fn of(cx: &Cx, vault: &Vault, chain: Option<&str>) -> Result<Self> {
        let mut copies = Self::default();
        if let Some(chain) = chain {
            copies.dates = vault.audit_dates(cx, chain).await?;
            for date in copies.dates.clone() {
                let text = vault.audit_day(cx, chain, &date).await?;
                copies.add(&text, &vault.audit_file(chain, &date));
            }
        }
        for other in vault.audit_chains(cx).await? {
            if Some(other.as_str()) == chain {
                continue;
            }
            let Some(date) = vault.audit_dates(cx, &other).await?.pop() else {
                continue;
            };
            let text = vault.audit_day(cx, &other, &date).await?;
            if let Some(last) = text.lines().rev().find_map(read) {
                copies.others.push((other, last));
            }
        }
        Ok(copies)
    }

    fn add(&mut self, text: &str, file: &str) {
        for (number, line) in text.lines().enumerate() {
            match read(line) {
                Some(entry) => {
                    self.copied.insert((entry.seq, line.to_owned()), entry);
                }
                None => self
                    .strange
                    .push(format!("line {} of `{file}` is no entry", number + 1)),
            }
        }
    }

    /// Checks them against the database, which was read after them: what they have was in it by then. `noted` is how many
    /// entries the journal says that the store has had.
    pub(super) fn check(
        &self,
        runner: &Runner,
        store: String,
        (chain, noted): (&Chain, i64),
        reading: &mut Reading<'_>,
    ) -> Result<AuditedStore> {
        for strange in &self.strange {
            reading.finds(None, strange);
        }
        reading.follow(self.copied.values(), true)?;
        let waiting = self.compare((chain, noted), reading);
        self.ended(runner, chain, reading);
        Ok(AuditedStore {
            store,
            entries: self.copied.len(),
            waiting,
        })
    }

    /// Compares them with the database, and returns how many entries the store has not got yet: a run under way copies at its
    /// end, and a store that is new or was away is caught up by the next run. What it has had before it lacks no more.
    fn compare(&self, (chain, noted): (&Chain, i64), reading: &mut Reading<'_>) -> usize {
        let mut copies: BTreeMap<i64, Vec<&AuditEntry>> = BTreeMap::new();
        for entry in self.copied.values() {
            copies.entry(entry.seq).or_default().push(entry);
        }
        let newest = copies.last_key_value().map_or(0, |(seq, _)| *seq).max(noted);
        let mut waiting = 0;
        for (date, entry) in filed(&chain.entries, String::new()) {
            match copies.remove(&entry.seq) {
                Some(found) if found.iter().any(|copy| entry.is_told_by(copy)) => {}
                Some(_) => reading.finds(
                    entry.seq,
                    format!("entry {} is another than that in the database", entry.seq),
                ),
                None if entry.seq > newest => waiting += 1,
                None if self.dates.contains(&date) => reading.finds(
                    entry.seq,
                    format!("entry {} of the database is missing", entry.seq),
                ),
                None => {
                    let (seq, of) = (entry.seq, &entry.chain);
                    reading.finds(
                        seq,
                        format!("entry {seq} is missing, with its file `{of}/{date}.jsonl`"),
                    );
                }
            }
        }
        if let Some((first, _)) = copies.first_key_value() {
            let last = copies.last_key_value().map_or(*first, |(last, _)| *last);
            reading.finds(
                *first,
                format!(
                    "the database lacks what is here: there, {}; its audit was cut, or it was restored by other means",
                    missing(*first, last)
                ),
            );
        }
        waiting
    }

    /// Looks for a chain of this database that is not the one it has: its audit was taken away as a whole.
    fn ended(&self, runner: &Runner, chain: &Chain, reading: &mut Reading<'_>) {
        let me = runner.author();
        let began = chain.entries.first().map(|first| first.noted_at.as_str());
        for (other, last) in &self.others {
            // Two databases of one name may share a store: only one that ended before this began can be what this was.
            if began.is_some_and(|began| began <= last.noted_at.as_str()) {
                continue;
            }
            if last.is_of((me.environment, &me.database)) && !chain.acknowledges(other, last.seq) {
                reading.finds(
                    last.seq,
                    format!(
                        "the chain `{other}` of this database ended at entry {} ({}), and is no longer in it: it was made \
                         anew, or its audit was removed; `walkback audit --acknowledge {other}` where that is known",
                        last.seq, last.noted_at
                    ),
                );
            }
        }
    }

    /// Returns the last entry of a chain that ended.
    pub(super) fn last_of(&self, chain: &str) -> Option<&AuditEntry> {
        let mut others = self.others.iter();
        others.find(|(other, _)| other == chain).map(|(_, last)| last)
    }
}
