//! Verifying the audit: the chain in the database, the runs of the journal, each copy, and one against the other.

use serde::Serialize;
use walkback_core::engine::Begin;
use walkback_core::{Access, Cx, Error, ErrorKind, Result, Session};

use super::copies::Copies;
use super::runs;
use crate::gate;
use crate::journal::{AuditEntry, AuditHead, FIRST, Journal, RunRecord};
use crate::runner::Runner;
use crate::settings::Consent;

/// How many findings of one place are named.
const NAMED: usize = 20;

/// Something that is wrong with the audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AuditFinding {
    /// Where: `database`, `journal` for its runs, or the name of a store.
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
    /// What it has not got yet, and gets at the end of the next run that ends.
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
pub(super) struct Reading<'a> {
    place: &'a str,
    findings: Vec<AuditFinding>,
}

impl Reading<'_> {
    pub(super) fn finds(&mut self, seq: impl Into<Option<i64>>, what: impl Into<String>) {
        if self.findings.len() < NAMED {
            self.findings.push(AuditFinding {
                place: self.place.to_owned(),
                seq: seq.into(),
                what: what.into(),
            });
        }
    }

    /// Follows a chain from its beginning: each entry is what its hash says, and follows the one before. Only a store may have
    /// the hashes alone: in the database an entry that says nothing was emptied.
    pub(super) fn follow<'e>(
        &mut self,
        entries: impl IntoIterator<Item = &'e AuditEntry>,
        is_store: bool,
    ) -> Result<()> {
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
            let is_sealed = is_store && entry.is_sealed();
            if !is_sealed && entry.computed_hash()? != entry.entry_hash {
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

pub(super) fn missing(from: i64, to: i64) -> String {
    match from == to {
        true => format!("entry {from} is missing"),
        false => format!("entries {from} to {to} are missing"),
    }
}

/// What the database says.
pub(super) struct Chain {
    head: Option<AuditHead>,
    pub(super) entries: Vec<AuditEntry>,
    /// The runs of the journal, oldest first.
    runs: Vec<RunRecord>,
}

/// A store: its name, how many entries the journal says that it has had, and what it has.
type Store = (String, i64, Result<Copies>);

impl Chain {
    fn name(&self) -> Option<&str> {
        self.head.as_ref().map(|head| head.chain.as_str())
    }

    /// Returns whether somebody has said in the audit that another chain of this database ended with an entry.
    pub(super) fn acknowledges(&self, chain: &str, seq: i64) -> bool {
        let words = acknowledgement(chain, seq);
        let mut noted = self.entries.iter().filter(|entry| entry.event == "noted");
        noted.any(|entry| entry.detail.as_ref() == Some(&words))
    }
}

/// Says in the audit that the end of another chain is known.
fn acknowledgement(chain: &str, seq: i64) -> String {
    format!("the end of chain `{chain}` at entry {seq} is known")
}

/// How often the stores are read again where the database got its chain meanwhile.
const TRIES: usize = 3;

impl Runner {
    /// Checks the chain of the audit in the database and in each store, one against the other, and the runs of the journal
    /// against it. Nothing is written.
    ///
    /// # Errors
    /// Fails if the database cannot be read. A store that cannot be read is a finding.
    pub async fn verify_audit(&self, cx: &Cx) -> Result<AuditVerification> {
        let (chain, copies) = self.read_all(cx).await?;
        let mut findings = of_database(&chain)?;
        findings.extend(of_journal(&chain));
        let mut stores = Vec::new();
        for (name, noted, copies) in copies {
            let mut reading = Reading {
                place: &name,
                findings: Vec::new(),
            };
            match copies {
                Ok(copies) => stores.push(copies.check(self, name.clone(), (&chain, noted), &mut reading)?),
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

    /// Notes in the audit that the end of another chain of this database is known: from then on it is no finding.
    ///
    /// # Errors
    /// `NotFound` if no store has such a chain, or the database has no audit to note it in. `Refused` by the policy.
    pub async fn acknowledge_chain(&self, cx: &Cx, chain: &str, consent: &Consent) -> Result<i64> {
        let admitted = gate::change(self.settings(), consent);
        self.noting_refusal(cx, "audit", consent, admitted).await?;
        let (now, copies) = self.read_all(cx).await?;
        let read = copies.iter().filter_map(|(_, _, copies)| copies.as_ref().ok());
        let Some(seq) = read
            .filter_map(|copies| copies.last_of(chain))
            .map(|last| last.seq)
            .max()
        else {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("no store has a chain `{chain}` that has ended"),
            )
            .hint("`walkback audit --verify` names those that have"));
        };
        if now.entries.is_empty() {
            return Err(Error::new(
                ErrorKind::NotFound,
                "this database has no audit yet to note that in",
            )
            .hint("run `walkback up` first"));
        }
        let note = self.note(cx, "audit", consent, &acknowledgement(chain, seq));
        Box::pin(self.must_note(cx, note)).await?;
        Ok(seq)
    }

    /// Reads the stores, and then the database in one snapshot: an entry is in a store only after it is in the database. With
    /// each store, how many entries the journal says that it has had.
    async fn read_all(&self, cx: &Cx) -> Result<(Chain, Vec<Store>)> {
        let mut session = self.connect(cx, Access::Read).await?;
        let dialect = self.dialect();
        let mut chain = self.chain(cx, &mut *session).await?;
        for _ in 0..TRIES {
            let name = chain.name().map(str::to_owned);
            let mut copies = Vec::new();
            for vault in self.vault().iter().flat_map(|vault| vault.vaults()) {
                // Before the store: what a run copies meanwhile is in the store alone.
                let noted = match &name {
                    Some(name) => {
                        let mut journal = Journal::new(&mut *session, &*dialect);
                        journal.audit_copied(cx, &vault.location(), name).await?
                    }
                    None => 0,
                };
                let read = Box::pin(Copies::of(cx, vault, name.as_deref())).await;
                copies.push((vault.name(), noted, read));
            }
            chain = self.chain(cx, &mut *session).await?;
            if chain.name() == name.as_deref() {
                return Ok((chain, copies));
            }
        }
        Err(Error::new(
            ErrorKind::CheckFailed,
            "the audit was made anew while it was read",
        )
        .hint("run the command again"))
    }

    /// Reads the audit in the database, in one snapshot.
    async fn chain(&self, cx: &Cx, session: &mut dyn Session) -> Result<Chain> {
        session.begin(cx, Begin::Read).await?;
        let read = self.chain_inside(cx, session).await;
        session.rollback(&cx.shielded()).await.ok();
        read
    }

    async fn chain_inside(&self, cx: &Cx, session: &mut dyn Session) -> Result<Chain> {
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
                runs: Vec::new(),
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
        let mut runs = journal.runs_if_any(cx).await?;
        runs.reverse();
        Ok(Chain { head, entries, runs })
    }
}

/// Checks the runs of the journal.
fn of_journal(chain: &Chain) -> Vec<AuditFinding> {
    let mut reading = Reading {
        place: "journal",
        findings: Vec::new(),
    };
    runs::compare(&chain.runs, &chain.entries, &mut reading);
    reading.findings
}

/// Checks the chain in the database.
fn of_database(chain: &Chain) -> Result<Vec<AuditFinding>> {
    let mut reading = Reading {
        place: "database",
        findings: Vec::new(),
    };
    reading.follow(&chain.entries, false)?;
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
