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
        let mut newest_day = match vault.audit_dates(cx, &head.chain).await?.pop() {
            Some(date) => Some((vault.audit_day(cx, &head.chain, &date).await?, date)),
            None => None,
        };
        let last = newest_day.as_ref().and_then(|(text, _)| newest(text));
        let (after, day) = match (last, &newest_day) {
            (Some(copied), Some((_, date))) if same(journal.audit_entry(cx, copied.seq).await?, &copied) => {
                (copied.seq, date.clone())
            }
            // The store has another history, or none: what it lacks of this one is added, and nothing is taken away.
            _ => (0, String::new()),
        };
        let entries = journal.audit_after(cx, after).await?;
        let mut days: BTreeMap<String, Vec<&AuditEntry>> = BTreeMap::new();
        for (date, entry) in filed(&entries, day) {
            days.entry(date).or_default().push(entry);
        }
        for (date, entries) in days {
            let there = match newest_day.take_if(|(_, newest)| *newest == date) {
                Some((text, _)) => text,
                None => vault.audit_day(cx, &head.chain, &date).await?,
            };
            self.copy_day(cx, vault, (&head.chain, &date), there, &entries)
                .await?;
        }
        let copied = entries.last().map_or(after, |last| last.seq);
        journal
            .note_audit_copied(cx, &vault.location(), (&head.chain, copied))
            .await
    }

    async fn copy_day(
        &self,
        cx: &Cx,
        vault: &Vault,
        day: (&str, &str),
        text: String,
        entries: &[&AuditEntry],
    ) -> Result<()> {
        let there = text.lines().filter_map(read).map(|entry| entry.entry_hash);
        let there: BTreeSet<String> = there.collect();
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
        vault.audit_append(cx, day, text, &lines).await
    }
}

/// Says in the file of which day each entry is: in none before that of an earlier entry, whatever clocks have shown.
pub(super) fn filed(entries: &[AuditEntry], mut day: String) -> impl Iterator<Item = (String, &AuditEntry)> {
    entries.iter().map(move |entry| {
        if let Some(date) = entry.date()
            && date > day.as_str()
        {
            date.clone_into(&mut day);
        }
        // Somebody has edited the first one.
        let date = if day.is_empty() { "undated" } else { &day };
        (date.to_owned(), entry)
    })
}

/// Reads a line; nothing if it is none of walkback's.
pub(super) fn read(line: &str) -> Option<AuditEntry> {
    serde_json::from_str(line).ok()
}

fn newest(text: &str) -> Option<AuditEntry> {
    text.lines().filter_map(read).max_by_key(|entry| entry.seq)
}

fn same(entry: Option<AuditEntry>, copied: &AuditEntry) -> bool {
    entry.is_some_and(|entry| entry.entry_hash == copied.entry_hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_wrong_dates_its_own_entry_and_no_file_comes_before_an_earlier_one() {
        let entry = |seq, noted_at: &str| AuditEntry {
            seq,
            noted_at: noted_at.to_owned(),
            ..AuditEntry::default()
        };
        let entries = [
            entry(1, "2026-01-01T00:00:00.000000Z"),
            entry(2, "2026-01-03T00:00:00.000000Z"),
            entry(3, "2026-01-02T00:00:00.000000Z"),
            entry(4, "edited, and no moment"),
            entry(5, "2026-01-04T00:00:00.000000Z"),
        ];
        let days: Vec<String> = filed(&entries, String::new()).map(|(day, _)| day).collect();
        assert_eq!(
            days,
            [
                "2026-01-01",
                "2026-01-03",
                "2026-01-03",
                "2026-01-03",
                "2026-01-04"
            ]
        );
    }
}
