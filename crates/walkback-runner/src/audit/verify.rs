//! Verifying the audit: the chain in the database, each copy, and one against the other.

use std::collections::BTreeMap;

use serde::Serialize;
use walkback_core::{Access, Cx, Result, Session};
use walkback_vault::Vault;

use super::copy::read;
use crate::journal::{AuditEntry, AuditHead, FIRST, Journal};
use crate::runner::Runner;

/// How many findings of one place are named.
const NAMED: usize = 20;

/// Something that is wrong with the audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AuditFinding {
    /// Where: `database`, or the name of a store.
    pub place: String,
    /// The first entry that is wrong.
    pub seq: Option<i64>,
    /// What is wrong.
    pub what: String,
}

/// The copy in one store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AuditedStore {
    /// Its name.
    pub store: String,
    /// How many entries it has.
    pub entries: usize,
    /// What it has not got yet, and gets at the end of the run under way, or from the next one after a kill.
    pub waiting: usize,
}

/// What verifying the audit came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AuditVerification {
    /// The chain of the database, if it has one.
    pub chain: Option<String>,
    /// How many entries the database has.
    pub entries: usize,
    /// The copies.
    pub stores: Vec<AuditedStore>,
    /// What is wrong, the first entry of each place first. Empty: nothing.
    pub findings: Vec<AuditFinding>,
}

/// What was read of one place, and what is wrong with it.
struct Reading<'a> {
    place: &'a str,
    findings: Vec<AuditFinding>,
}

impl Reading<'_> {
    fn finds(&mut self, seq: impl Into<Option<i64>>, what: impl Into<String>) {
        if self.findings.len() < NAMED {
            self.findings.push(AuditFinding {
                place: self.place.to_owned(),
                seq: seq.into(),
                what: what.into(),
            });
        }
    }

    /// Follows a chain from its beginning: each entry is what its hash says, and follows the one before.
    fn follow<'e>(&mut self, entries: impl IntoIterator<Item = &'e AuditEntry>) -> Result<()> {
        let (mut seq, mut hash, mut chain) = (0, FIRST.to_owned(), None::<&str>);
        for entry in entries {
            if entry.seq == seq {
                self.finds(seq, format!("there are two entries {seq}, and they differ"));
                continue;
            }
            let gap = entry.seq != seq + 1;
            if gap {
                self.finds(seq + 1, missing(seq + 1, entry.seq - 1));
            }
            if !entry.is_sealed() && entry.computed_hash()? != entry.entry_hash {
                self.finds(
                    entry.seq,
                    format!("entry {} was edited: its hash is another", entry.seq),
                );
            } else if !gap && entry.previous_hash != hash {
                self.finds(
                    entry.seq,
                    format!(
                        "entry {} does not follow entry {seq}: one of them was replaced",
                        entry.seq
                    ),
                );
            } else if chain.is_some_and(|chain| chain != entry.chain) {
                self.finds(entry.seq, format!("entry {} is of another chain", entry.seq));
            }
            chain = chain.or(Some(&entry.chain));
            (seq, hash) = (entry.seq, entry.entry_hash.clone());
        }
        Ok(())
    }
}

fn missing(from: i64, to: i64) -> String {
    match from == to {
        true => format!("entry {from} is missing"),
        false => format!("entries {from} to {to} are missing"),
    }
}

/// What the database says.
struct Chain {
    head: Option<AuditHead>,
    entries: Vec<AuditEntry>,
    /// The runs that are under way, or were killed.
    open: Vec<String>,
}

impl Runner {
    /// Checks the chain of the audit in the database and in each store, and one against the other. Nothing is written.
    ///
    /// # Errors
    /// Fails if the database cannot be read. A store that cannot be read is a finding.
    pub async fn verify_audit(&self, cx: &Cx) -> Result<AuditVerification> {
        let mut session = self.connect(cx, Access::Read).await?;
        let chain = self.chain(cx, &mut *session).await?;
        drop(session);
        let mut findings = of_database(&chain)?;
        let mut stores = Vec::new();
        for vault in self.vault().iter().flat_map(|vault| vault.vaults()) {
            let name = vault.name();
            let mut reading = Reading {
                place: &name,
                findings: Vec::new(),
            };
            match Box::pin(self.of_store(cx, vault, &chain, &mut reading)).await {
                Ok(store) => stores.push(store),
                Err(error) => reading.finds(None, format!("the copy cannot be read: {error}")),
            }
            findings.append(&mut reading.findings);
        }
        Ok(AuditVerification {
            chain: chain.head.map(|head| head.chain),
            entries: chain.entries.len(),
            stores,
            findings,
        })
    }

    async fn chain(&self, cx: &Cx, session: &mut dyn Session) -> Result<Chain> {
        let dialect = self.dialect();
        let mut journal = Journal::new(session, &*dialect);
        if !journal.has_audit(cx).await? {
            let head = match journal.exists(cx).await? {
                true => journal.audit_head(cx).await?,
                false => None,
            };
            return Ok(Chain {
                head,
                entries: Vec::new(),
                open: Vec::new(),
            });
        }
        let entries = journal.audit_after(cx, i64::MIN).await?;
        let head = journal.audit_head(cx).await?.or_else(|| {
            entries.last().map(|last| AuditHead {
                chain: last.chain.clone(),
                seq: last.seq,
                hash: last.entry_hash.clone(),
            })
        });
        let open = journal.unfinished_runs(cx).await?;
        Ok(Chain {
            head,
            entries,
            open: open.into_iter().map(|run| run.id).collect(),
        })
    }

    async fn of_store(
        &self,
        cx: &Cx,
        vault: &Vault,
        chain: &Chain,
        reading: &mut Reading<'_>,
    ) -> Result<AuditedStore> {
        let mut copied: BTreeMap<(i64, String), AuditEntry> = BTreeMap::new();
        let mut dates = Vec::new();
        if let Some(head) = &chain.head {
            dates = vault.audit_dates(cx, &head.chain).await?;
            for date in &dates {
                let lines = vault.audit_lines(cx, &head.chain, date).await?;
                for (number, line) in lines.iter().enumerate() {
                    match read(line) {
                        Some(entry) => {
                            copied.insert((entry.seq, line.clone()), entry);
                        }
                        None => reading.finds(
                            None,
                            format!(
                                "line {} of `{}` is no entry",
                                number + 1,
                                vault.audit_file(&head.chain, date)
                            ),
                        ),
                    }
                }
            }
        }
        reading.follow(copied.values())?;
        let file = |entry: &AuditEntry| {
            let date = entry.date();
            let is_missing = !dates.iter().any(|there| there == date);
            is_missing.then(|| vault.audit_file(&entry.chain, date))
        };
        let waiting = compare(chain, &copied, reading, file);
        self.other_chains(cx, vault, chain, reading).await?;
        Ok(AuditedStore {
            store: vault.name(),
            entries: copied.len(),
            waiting,
        })
    }

    /// Looks for a chain of this database that is not the one it has: its audit was taken away as a whole.
    async fn other_chains(
        &self,
        cx: &Cx,
        vault: &Vault,
        chain: &Chain,
        reading: &mut Reading<'_>,
    ) -> Result<()> {
        let (me, mine) = (self.author(), chain.head.as_ref().map(|head| head.chain.as_str()));
        for other in vault.audit_chains(cx).await? {
            if Some(other.as_str()) == mine {
                continue;
            }
            let Some(date) = vault.audit_dates(cx, &other).await?.pop() else {
                continue;
            };
            let lines = vault.audit_lines(cx, &other, &date).await?;
            let Some(last) = lines.iter().rev().find_map(|line| read(line)) else {
                continue;
            };
            // Two databases of one name may share a store: only one that ended before this began can be what this was.
            let began = chain.entries.first().map(|first| first.noted_at.as_str());
            if began.is_some_and(|began| began <= last.noted_at.as_str()) {
                continue;
            }
            if last.environment.as_deref() == Some(me.environment)
                && last.database_name.as_deref() == Some(&me.database)
            {
                reading.finds(
                    last.seq,
                    format!(
                        "the chain `{other}` of this database ended at entry {} ({}), and is no longer in it: it was made \
                         anew, or its audit was removed",
                        last.seq, last.noted_at
                    ),
                );
            }
        }
        Ok(())
    }
}

/// Checks the chain in the database.
fn of_database(chain: &Chain) -> Result<Vec<AuditFinding>> {
    let mut reading = Reading {
        place: "database",
        findings: Vec::new(),
    };
    reading.follow(&chain.entries)?;
    let end = chain.entries.last();
    if let Some(head) = &chain.head {
        match end {
            Some(last) if last.seq > head.seq => reading.finds(
                last.seq,
                format!("the journal says that entry {} is the last", head.seq),
            ),
            Some(last) if last.seq == head.seq && last.entry_hash != head.hash => reading.finds(
                last.seq,
                format!(
                    "entry {} is not the one that the journal says is the last",
                    last.seq
                ),
            ),
            _ => {
                let last = end.map_or(0, |last| last.seq);
                if last < head.seq {
                    reading.finds(
                        last + 1,
                        format!("{}: the end was cut off", missing(last + 1, head.seq)),
                    );
                }
            }
        }
    }
    Ok(reading.findings)
}

/// Compares a copy with the database, and returns how many entries it has not got yet.
fn compare(
    chain: &Chain,
    copied: &BTreeMap<(i64, String), AuditEntry>,
    reading: &mut Reading<'_>,
    file_if_missing: impl Fn(&AuditEntry) -> Option<String>,
) -> usize {
    let mut copies: BTreeMap<i64, Vec<&AuditEntry>> = BTreeMap::new();
    for entry in copied.values() {
        copies.entry(entry.seq).or_default().push(entry);
    }
    let newest = copies.last_key_value().map_or(0, |(seq, _)| *seq);
    let from = may_wait_from(chain);
    let mut waiting = 0;
    for entry in &chain.entries {
        match copies.remove(&entry.seq) {
            Some(found) if found.iter().any(|copy| copy.entry_hash == entry.entry_hash) => {}
            Some(_) => reading.finds(
                entry.seq,
                format!("entry {} is another than that in the database", entry.seq),
            ),
            None if newest + 1 >= from && entry.seq > newest => waiting += 1,
            None => reading.finds(
                entry.seq,
                match file_if_missing(entry) {
                    Some(file) => format!("entry {} is missing, with its file `{file}`", entry.seq),
                    None => format!("entry {} of the database is missing", entry.seq),
                },
            ),
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

/// Returns the first entry that a copy may lack: those of a run get there at its end, and one that was killed just before
/// leaves that to the next. A refusal while another run has the lock gets there with the end of that.
fn may_wait_from(chain: &Chain) -> i64 {
    let mut runs = chain
        .entries
        .iter()
        .rev()
        .filter_map(|entry| entry.run_id.as_deref());
    let first_of = |run: &str| {
        let mut entries = chain.entries.iter();
        entries.find(|entry| entry.run_id.as_deref() == Some(run))
    };
    let open = chain.open.iter().filter_map(|run| first_of(run));
    let first = open.chain(runs.next().and_then(first_of)).map(|entry| entry.seq);
    first.min().unwrap_or(1)
}
