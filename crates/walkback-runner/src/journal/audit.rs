//! The audit: a chain of entries that only ever grows.
//!
//! # The bytes that are hashed
//! The hash of an entry is BLAKE3, in lower-case hexadecimal, over one JSON object in UTF-8 without white space between
//! its tokens: the columns of the table in their order, from `seq` to `previous_hash`. Empty columns are `null`, numbers
//! are integers; in strings `"` and `\` are escaped, control characters as `\b`, `\t`, `\n`, `\f`, `\r` or `\u00xx`, and
//! nothing else. The hash of the entry before is in that object, and of the first one it is 64 zeros: who changes an
//! entry would have to change every later one.

use rand::Rng as _;
use serde::{Deserialize, Serialize};
use walkback_core::dialect::DialectKind;
use walkback_core::value::{Row, Value};
use walkback_core::{Cx, Error, Result};

use super::{Journal, RunRecord, tables, text};
use crate::settings::Actor;

/// What stands for the entry before the first.
pub(crate) const FIRST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What the table of facts calls the end of the chain. Its row is what two that append at once take turns at.
const HEAD: &str = "audit";

/// One thing that was done to the database, or refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuditEntry {
    /// Its number in the chain, from 1.
    pub seq: i64,
    /// The chain: one for each database, from the day on which it got its journal.
    pub chain: String,
    /// When, RFC 3339 in UTC, by the clock of who wrote it.
    pub noted_at: String,
    /// `begun` and `ended` for runs, `refused` by the policy, `noted` for what is no run. Empty where a store has the
    /// hashes alone.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub event: String,
    /// The run.
    #[serde(default)]
    pub run_id: Option<String>,
    /// The name of the command.
    #[serde(default)]
    pub kind: Option<String>,
    /// How a run ended.
    #[serde(default)]
    pub outcome: Option<String>,
    /// Who wrote this entry.
    #[serde(default)]
    pub user_name: Option<String>,
    /// On which host.
    #[serde(default)]
    pub host_name: Option<String>,
    /// In which process.
    #[serde(default)]
    pub process_id: Option<i64>,
    /// The name of the environment.
    #[serde(default)]
    pub environment: Option<String>,
    /// Where the database is, without a password.
    #[serde(default)]
    pub database_name: Option<String>,
    /// The ticket.
    #[serde(default)]
    pub ticket: Option<String>,
    /// Why, in words.
    #[serde(default)]
    pub reason: Option<String>,
    /// Heads before.
    #[serde(default)]
    pub from_heads: Option<String>,
    /// Heads after, or those that were hoped for.
    #[serde(default)]
    pub to_heads: Option<String>,
    /// What was taken away that was written since, counted for each table.
    #[serde(default)]
    pub lost: Option<String>,
    /// What happened, in words.
    #[serde(default)]
    pub detail: Option<String>,
    /// Who has approved the plan, and with which keys.
    #[serde(default)]
    pub approved: Option<String>,
    /// The hash of the entry before.
    pub previous_hash: String,
    /// The hash of this one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub entry_hash: String,
    /// Where a store has the hashes alone: what tells whether the entry is of a database, and not of which.
    #[serde(default, skip_serializing)]
    pub(crate) about: Option<String>,
}

impl AuditEntry {
    /// Returns the hash that this entry should have.
    ///
    /// # Errors
    /// Only if an entry cannot be written as JSON, which each can.
    pub(crate) fn computed_hash(&self) -> Result<String> {
        let unsigned = Self {
            entry_hash: String::new(),
            ..self.clone()
        };
        Ok(blake3::hash(unsigned.line()?.as_bytes()).to_hex().to_string())
    }

    /// Returns it as a line of a file.
    pub(crate) fn line(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| {
            Error::internal("an entry of the audit cannot be written as JSON").with_source(error)
        })
    }

    /// Returns the line of a store that must not tell what was done: number, moment and hashes.
    pub(crate) fn sealed_line(&self) -> Result<String> {
        let line = serde_json::json!({
            "seq": self.seq,
            "chain": self.chain,
            "noted_at": self.noted_at,
            "previous_hash": self.previous_hash,
            "entry_hash": self.entry_hash,
            "about": self.environment.as_deref().zip(self.database_name.as_deref()).map(|of| about(&self.chain, of)),
        });
        Ok(line.to_string())
    }

    /// Returns whether it is one of which a store has the hashes alone: it says nothing else.
    pub(crate) fn is_sealed(&self) -> bool {
        let bare = Self {
            seq: self.seq,
            chain: self.chain.clone(),
            noted_at: self.noted_at.clone(),
            previous_hash: self.previous_hash.clone(),
            entry_hash: self.entry_hash.clone(),
            about: self.about.clone(),
            ..Self::default()
        };
        *self == bare
    }

    /// Returns whether a copy says the same as this entry: the whole of it, or what a sealed one says.
    pub(crate) fn is_told_by(&self, copy: &Self) -> bool {
        let told = |entry: &Self| {
            (
                entry.noted_at.clone(),
                entry.chain.clone(),
                entry.previous_hash.clone(),
            )
        };
        copy.entry_hash == self.entry_hash && told(copy) == told(self)
    }

    /// Returns whether it is of a database in an environment.
    pub(crate) fn is_of(&self, (environment, database): (&str, &str)) -> bool {
        match &self.about {
            Some(told) => *told == about(&self.chain, (environment, database)),
            None => {
                self.environment.as_deref() == Some(environment)
                    && self.database_name.as_deref() == Some(database)
            }
        }
    }

    /// Returns its day.
    pub(crate) fn date(&self) -> Option<&str> {
        let date = self.noted_at.get(..10)?;
        date.parse::<chrono::NaiveDate>().ok().map(|_| date)
    }
}

/// Returns what tells of which database an entry is to who knows that already.
fn about(chain: &str, (environment, database): (&str, &str)) -> String {
    let told = format!("{chain}\n{environment}\n{database}");
    blake3::hash(told.as_bytes()).to_hex().to_string()
}

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Event {
    Begun,
    Ended,
    Refused,
    #[default]
    Noted,
}

impl Event {
    const fn word(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Ended => "ended",
            Self::Refused => "refused",
            Self::Noted => "noted",
        }
    }
}

/// Who writes entries, and about which database.
#[derive(Debug, Clone)]
pub(crate) struct Author<'a> {
    pub(crate) actor: &'a Actor,
    pub(crate) environment: &'a str,
    pub(crate) database: String,
}

/// What an entry is to say.
#[derive(Debug, Clone, Default)]
pub(crate) struct AuditNote {
    pub(crate) event: Event,
    pub(crate) run: Option<String>,
    pub(crate) kind: String,
    pub(crate) outcome: Option<String>,
    pub(crate) ticket: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    pub(crate) lost: Option<String>,
    pub(crate) detail: Option<String>,
    pub(crate) approved: Option<String>,
    pub(crate) at: String,
}

impl AuditNote {
    pub(crate) fn of_run(event: Event, run: &RunRecord) -> Self {
        let at = match event {
            Event::Ended => run.finished_at.as_ref().unwrap_or(&run.started_at),
            _ => &run.started_at,
        };
        Self {
            event,
            run: Some(run.id.clone()),
            kind: run.kind.clone(),
            ticket: run.ticket.clone(),
            reason: run.reason.clone(),
            from: Some(run.from.clone()),
            to: Some(run.to.clone()),
            detail: run.detail.clone(),
            at: at.clone(),
            ..Self::default()
        }
    }
}

/// Where a chain ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuditHead {
    pub(crate) chain: String,
    pub(crate) seq: i64,
    pub(crate) hash: String,
}

impl AuditHead {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let head = Self {
            chain: words.next()?.to_owned(),
            seq: words.next()?.parse().ok()?,
            hash: words.next()?.to_owned(),
        };
        words.next().is_none().then_some(head)
    }

    fn text(&self) -> String {
        format!("{} {} {}", self.chain, self.seq, self.hash)
    }
}

const COLUMNS: &str = "seq, chain, noted_at, event, run_id, kind, outcome, user_name, host_name, process_id, environment, \
                       database_name, ticket, reason, from_heads, to_heads, lost, detail, approved, previous_hash, entry_hash";

impl Journal<'_> {
    /// Begins the chain of a database that has none.
    pub(super) async fn begin_audit(&mut self, cx: &Cx) -> Result<()> {
        if self.meta(cx, HEAD).await?.is_some() {
            return Ok(());
        }
        let head = match self.last_entry(cx, "").await? {
            Some(last) => AuditHead {
                chain: last.chain,
                seq: last.seq,
                hash: last.entry_hash,
            },
            None => AuditHead {
                chain: format!("{:016x}", rand::rng().random::<u64>()),
                seq: 0,
                hash: FIRST.to_owned(),
            },
        };
        self.set_meta(cx, HEAD, &head.text()).await
    }

    /// Returns whether the database has an audit.
    pub(crate) async fn has_audit(&mut self, cx: &Cx) -> Result<bool> {
        let table = walkback_core::TableName {
            schema: self.home.map(str::to_owned),
            name: tables::AUDIT.to_owned(),
        };
        Ok(self.exists(cx).await? && self.session.has_table(cx, &table).await?)
    }

    /// Adds an entry, in the current transaction. Whoever else adds one meanwhile waits until that has ended.
    pub(crate) async fn append_audit(&mut self, cx: &Cx, by: &Author<'_>, note: AuditNote) -> Result<()> {
        let lock = format!("UPDATE {} SET value = value WHERE name = ?", tables::META);
        self.write(cx, &lock, &[HEAD.into()]).await?;
        // What another has added since this transaction began is not in its snapshot.
        let now = match self.dialect.kind() {
            DialectKind::Mysql => " FOR UPDATE",
            _ => "",
        };
        let (head, last) = (
            self.audit_head_as(cx, now).await?,
            self.last_entry(cx, now).await?,
        );
        let entry = follow(head, last.as_ref(), by, note)?;
        self.insert_entry(cx, &entry).await?;
        let head = AuditHead {
            chain: entry.chain,
            seq: entry.seq,
            hash: entry.entry_hash,
        };
        let sql = format!("UPDATE {} SET value = ? WHERE name = ?", tables::META);
        self.write(cx, &sql, &[head.text().into(), HEAD.into()]).await
    }

    async fn insert_entry(&mut self, cx: &Cx, entry: &AuditEntry) -> Result<()> {
        let places = ["?"; 21].join(", ");
        let sql = format!("INSERT INTO {} ({COLUMNS}) VALUES ({places})", tables::AUDIT);
        let entry = entry.clone();
        let params: [Value; 21] = [
            entry.seq.into(),
            entry.chain.into(),
            entry.noted_at.into(),
            entry.event.into(),
            entry.run_id.into(),
            entry.kind.into(),
            entry.outcome.into(),
            entry.user_name.into(),
            entry.host_name.into(),
            entry.process_id.into(),
            entry.environment.into(),
            entry.database_name.into(),
            entry.ticket.into(),
            entry.reason.into(),
            entry.from_heads.into(),
            entry.to_heads.into(),
            entry.lost.into(),
            entry.detail.into(),
            entry.approved.into(),
            entry.previous_hash.into(),
            entry.entry_hash.into(),
        ];
        self.write(cx, &sql, &params).await
    }

    /// Returns where the journal says that the chain ends.
    pub(crate) async fn audit_head(&mut self, cx: &Cx) -> Result<Option<AuditHead>> {
        self.audit_head_as(cx, "").await
    }

    async fn audit_head_as(&mut self, cx: &Cx, how: &str) -> Result<Option<AuditHead>> {
        let sql = format!("SELECT value FROM {} WHERE name = ?{how}", tables::META);
        let row = self.first(cx, &sql, &[HEAD.into()]).await?;
        Ok(row.and_then(|row| AuditHead::parse(&text(&row, 0)?)))
    }

    async fn last_entry(&mut self, cx: &Cx, how: &str) -> Result<Option<AuditEntry>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM {} ORDER BY seq DESC LIMIT 1{how}",
            tables::AUDIT
        );
        Ok(self.first(cx, &sql, &[]).await?.as_ref().map(entry))
    }

    /// Returns the entries after one, in order.
    pub(crate) async fn audit_after(&mut self, cx: &Cx, seq: i64) -> Result<Vec<AuditEntry>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM {} WHERE seq > ? ORDER BY seq",
            tables::AUDIT
        );
        let rows = self.all(cx, &sql, &[seq.into()]).await?;
        Ok(rows.iter().map(entry).collect())
    }

    /// Returns how many entries of a chain a store has had.
    pub(crate) async fn audit_copied(&mut self, cx: &Cx, store: &str, chain: &str) -> Result<i64> {
        let noted = self.meta(cx, &copied_to(store)).await?;
        let noted = noted.as_deref().and_then(|noted| noted.split_once(' '));
        let noted = noted.filter(|(of, _)| *of == chain);
        Ok(noted.and_then(|(_, seq)| seq.parse().ok()).unwrap_or_default())
    }

    /// Notes how many entries of a chain a store has: it lacks none of them from now on.
    pub(crate) async fn note_audit_copied(
        &mut self,
        cx: &Cx,
        store: &str,
        (chain, seq): (&str, i64),
    ) -> Result<()> {
        if self.audit_copied(cx, store, chain).await? >= seq {
            return Ok(());
        }
        self.set_meta(cx, &copied_to(store), &format!("{chain} {seq}"))
            .await
    }

    /// Returns one entry.
    pub(crate) async fn audit_entry(&mut self, cx: &Cx, seq: i64) -> Result<Option<AuditEntry>> {
        let sql = format!("SELECT {COLUMNS} FROM {} WHERE seq = ?", tables::AUDIT);
        Ok(self.first(cx, &sql, &[seq.into()]).await?.as_ref().map(entry))
    }
}

/// Returns what the table of facts calls how far a store has the chain.
fn copied_to(store: &str) -> String {
    format!(
        "audit in {}",
        blake3::hash(store.as_bytes())
            .to_hex()
            .get(..16)
            .unwrap_or_default()
    )
}

/// Makes the entry that follows. Where somebody has cut the table short it follows what the journal remembers, so that the
/// gap stays to be seen.
fn follow(
    head: Option<AuditHead>,
    last: Option<&AuditEntry>,
    by: &Author<'_>,
    note: AuditNote,
) -> Result<AuditEntry> {
    let from_table = last.map(|last| AuditHead {
        chain: last.chain.clone(),
        seq: last.seq,
        hash: last.entry_hash.clone(),
    });
    let head = match (head, from_table) {
        (Some(head), Some(last)) if last.seq > head.seq => last,
        (Some(head), _) | (None, Some(head)) => head,
        (None, None) => return Err(Error::internal("the journal has no audit to add to")),
    };
    let mut entry = AuditEntry {
        seq: head.seq + 1,
        chain: head.chain,
        noted_at: note.at,
        event: note.event.word().to_owned(),
        run_id: note.run,
        kind: Some(note.kind),
        outcome: note.outcome,
        user_name: Some(by.actor.user.clone()),
        host_name: Some(by.actor.host.clone()),
        process_id: Some(i64::from(by.actor.pid)),
        environment: Some(by.environment.to_owned()),
        database_name: Some(by.database.clone()),
        ticket: note.ticket,
        reason: note.reason,
        from_heads: note.from,
        to_heads: note.to,
        lost: note.lost,
        detail: note.detail,
        approved: note.approved,
        previous_hash: head.hash,
        entry_hash: String::new(),
        about: None,
    };
    entry.entry_hash = entry.computed_hash()?;
    Ok(entry)
}

/// Reads an entry as it is: one that somebody has edited is no reason to stop.
fn entry(row: &Row) -> AuditEntry {
    let number = |column: usize| row.get(column).and_then(Value::as_i64);
    let word = |column| text(row, column).unwrap_or_default();
    AuditEntry {
        seq: number(0).unwrap_or_default(),
        chain: word(1),
        noted_at: word(2),
        event: word(3),
        run_id: text(row, 4),
        kind: text(row, 5),
        outcome: text(row, 6),
        user_name: text(row, 7),
        host_name: text(row, 8),
        process_id: number(9),
        environment: text(row, 10),
        database_name: text(row, 11),
        ticket: text(row, 12),
        reason: text(row, 13),
        from_heads: text(row, 14),
        to_heads: text(row, 15),
        lost: text(row, 16),
        detail: text(row, 17),
        approved: text(row, 18),
        previous_hash: word(19),
        entry_hash: word(20),
        about: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_over_the_bytes_that_the_book_describes() {
        let entry = AuditEntry {
            seq: 1,
            chain: "c".into(),
            noted_at: "2026-01-01T00:00:00.000000Z".into(),
            event: "begun".into(),
            reason: Some("a \"quote\"\n".into()),
            previous_hash: FIRST.into(),
            entry_hash: "not hashed".into(),
            ..AuditEntry::default()
        };
        let bytes = format!(
            r#"{{"seq":1,"chain":"c","noted_at":"2026-01-01T00:00:00.000000Z","event":"begun","run_id":null,"kind":null,"outcome":null,"user_name":null,"host_name":null,"process_id":null,"environment":null,"database_name":null,"ticket":null,"reason":"a \"quote\"\n","from_heads":null,"to_heads":null,"lost":null,"detail":null,"approved":null,"previous_hash":"{FIRST}"}}"#
        );
        assert_eq!(
            entry.computed_hash().unwrap(),
            blake3::hash(bytes.as_bytes()).to_hex().to_string()
        );
        let back: AuditEntry = serde_json::from_str(&entry.line().unwrap()).unwrap();
        assert_eq!(back, entry);
        assert!(
            serde_json::from_str::<AuditEntry>(&entry.sealed_line().unwrap())
                .unwrap()
                .is_sealed()
        );
    }
}
