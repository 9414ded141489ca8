//! The copy of the audit in a store: caught up from the database, and never made shorter.

use std::collections::{BTreeMap, BTreeSet};

use walkback_core::{Cx, Result, Session};
use walkback_vault::Vault;

use crate::journal::{AuditEntry, Journal};
use crate::runner::Runner;

impl Runner {
    /// Adds to the copy in one store what it has not got yet.
    pub(super) async fn copy_to(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        home: Option<&str>,
        vault: &Vault,
    ) -> Result<()> {
        let dialect = self.dialect();
        let mut journal = Journal::new(session, &*dialect).at(home);
        let Some(head) = journal.audit_head(cx).await? else {
            return Ok(());
        };
        let dates = vault.audit_dates(cx, &head.chain).await?;
        let last = match dates.last() {
            Some(date) => newest(&vault.audit_lines(cx, &head.chain, date).await?),
            None => None,
        };
        let after = match last {
            Some(copied) if same(journal.audit_entry(cx, copied.seq).await?, &copied) => copied.seq,
            // The store has another history, or none: what it lacks of this one is added, and nothing is taken away.
            _ => 0,
        };
        let mut days: BTreeMap<String, Vec<AuditEntry>> = BTreeMap::new();
        for entry in journal.audit_after(cx, after).await? {
            days.entry(entry.date().to_owned()).or_default().push(entry);
        }
        for (date, entries) in days {
            self.copy_day(cx, vault, (&head.chain, &date), &entries).await?;
        }
        Ok(())
    }

    async fn copy_day(
        &self,
        cx: &Cx,
        vault: &Vault,
        (chain, date): (&str, &str),
        entries: &[AuditEntry],
    ) -> Result<()> {
        let there = vault.audit_lines(cx, chain, date).await?;
        let there: BTreeSet<String> = there
            .iter()
            .filter_map(|line| read(line))
            .map(|entry| entry.entry_hash)
            .collect();
        let lines = entries
            .iter()
            .filter(|entry| !there.contains(&entry.entry_hash))
            .map(|entry| match vault.is_encrypted() {
                true => entry.sealed_line(),
                false => entry.line(),
            });
        let lines = lines.collect::<Result<Vec<_>>>()?;
        if lines.is_empty() {
            return Ok(());
        }
        vault.audit_append(cx, chain, date, &lines).await
    }
}

/// Reads a line; nothing if it is none of walkback's.
pub(super) fn read(line: &str) -> Option<AuditEntry> {
    serde_json::from_str(line).ok()
}

fn newest(lines: &[String]) -> Option<AuditEntry> {
    lines
        .iter()
        .filter_map(|line| read(line))
        .max_by_key(|entry| entry.seq)
}

fn same(entry: Option<AuditEntry>, copied: &AuditEntry) -> bool {
    entry.is_some_and(|entry| entry.entry_hash == copied.entry_hash)
}
