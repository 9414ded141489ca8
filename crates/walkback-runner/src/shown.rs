//! The table of another tool that is kept saying what walkback's own ledger says, for those who look there.
//!
//! The ledger says what is applied, a row for each migration. The other table holds the heads of that. While they agree,
//! the ledger counts: a file that came late, below the heads, is not applied. Where they differ, the other tool has moved
//! its table, and what its heads stand on counts.

use std::collections::BTreeSet;

use walkback_core::engine::Begin;
use walkback_core::ledger::LedgerFormat;
use walkback_core::{Cx, Dialect, Error, ErrorKind, MigrationGraph, MigrationId, Result, Session};

use crate::execute::Execution;
use crate::journal::Journal;
use crate::ledger::{Applied, Heads, Ledger};
use crate::plan::RunKind;
use crate::state::heads_in;

/// The fact of the journal that names the table: without it the table is somebody else's.
const META: &str = "shown_in";

/// What the other table says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shown {
    /// There is none to be kept.
    Nothing,
    /// The same as the ledger.
    Same,
    /// Nothing yet: the next run makes it, or fills it.
    Missing,
    /// Something else, that counts. The ledger said that these were the heads.
    Moved(Heads),
    /// It was never walkback's, and speaks of migrations of another project: it is left alone.
    OfOthers,
    /// It was walkback's, and speaks of a migration that nobody knows.
    Strange(MigrationId),
}

impl Shown {
    /// Reads what the other table says, and makes of the rows of the ledger what is applied.
    pub(crate) async fn read(
        cx: &Cx,
        session: &mut dyn Session,
        dialect: &dyn Dialect,
        format: &LedgerFormat,
        graph: &MigrationGraph,
        applied: &mut Vec<Applied>,
    ) -> Result<Self> {
        let Some(other) = &format.shown_in else {
            return Ok(Self::Nothing);
        };
        let written = written(cx, session, dialect, other, None).await?;
        if !session.has_table(cx, &other.table).await? {
            return Ok(Self::Missing);
        }
        let rows = Ledger::new(session, dialect, other).read(cx).await?;
        let says: Heads = rows.iter().map(|row| row.id.clone()).collect();
        let ledger = heads_in(graph, &applied.iter().map(|row| row.id.clone()).collect());
        let ledger: Heads = ledger.into_iter().collect();
        let stranger = says.iter().find(|id| graph.get(id).is_none());
        match (&written, stranger) {
            (Some(written), _) if says == ledger && *written == says => return Ok(Self::Same),
            // Nobody has touched it since walkback wrote it: the ledger has gone on without it, or is read otherwise now.
            (Some(written), _) if *written == says => return Ok(Self::Missing),
            _ if says == ledger => return Ok(Self::Missing),
            (None, _) if says.is_empty() => return Ok(Self::Missing),
            (None, Some(_)) => return Ok(Self::OfOthers),
            (None, None) if !ledger.is_empty() => return Ok(Self::OfOthers),
            // What it stands on is not known here, and nothing may be taken for walked back.
            (Some(_), Some(stranger)) => return Ok(Self::Strange(stranger.clone())),
            (_, None) => {}
        }
        let mut counted = Applied::from_heads(rows, graph);
        for row in &mut counted {
            if let Some(known) = applied.iter().find(|known| known.id == row.id) {
                row.clone_from(known);
            }
        }
        *applied = counted;
        Ok(Self::Moved(ledger))
    }

    /// Returns whether each move of the ledger is written into the other table too.
    pub(crate) fn is_kept(&self) -> bool {
        !matches!(self, Self::Nothing | Self::OfOthers)
    }

    /// Says in words where the ledger is to be seen too, or why it is not.
    pub(crate) fn words(&self, format: &LedgerFormat) -> Option<String> {
        let other = &format.shown_in.as_ref()?.table;
        Some(match self {
            Self::Nothing => return None,
            Self::Same | Self::Missing | Self::Moved(_) => format!("shown in `{other}`"),
            Self::OfOthers => format!("`{other}` belongs to another project, and is left alone"),
            Self::Strange(id) => format!("`{other}` says `{id}`, which nobody knows"),
        })
    }

    /// Refuses to build upon a table that speaks of what nobody knows.
    fn refuse_strange(&self, other: &LedgerFormat, heads: &[MigrationId]) -> Result<()> {
        let Self::Strange(stranger) = self else {
            return Ok(());
        };
        let heads: Vec<_> = heads.iter().map(MigrationId::as_str).collect();
        let heads = if heads.is_empty() {
            "base".to_owned()
        } else {
            heads.join(" ")
        };
        Err(Error::new(
            ErrorKind::CheckFailed,
            format!(
                "`{}` says `{stranger}`, which is none of these migrations: another tool has written that, since the ledger \
                 said `{heads}`",
                other.table.name
            ),
        )
        .hint(format!("if `{heads}` is true, `walkback stamp {heads}` writes it there again"))
        .hint("if another project uses that table now, write `ledger = \"walkback\"` under `[source]`"))
    }
}

/// Returns what the fact says of a table that walkback keeps, and has written these heads into.
fn fact(other: &LedgerFormat, heads: &Heads) -> String {
    let heads: Vec<_> = heads.iter().map(MigrationId::as_str).collect();
    format!("{}: {}", other.table.name, heads.join(", "))
}

/// Returns the heads that walkback has written into that table, if it keeps it.
async fn written(
    cx: &Cx,
    session: &mut dyn Session,
    dialect: &dyn Dialect,
    other: &LedgerFormat,
    home: Option<&str>,
) -> Result<Option<Heads>> {
    let mut journal = Journal::new(session, dialect).at(home);
    let named = match journal.exists(cx).await? {
        true => journal.meta(cx, META).await?,
        false => None,
    };
    let heads = named.and_then(|named| {
        let (table, heads) = named.split_once(": ")?;
        (table == other.table.name).then(|| crate::others::heads_in(heads))
    });
    Ok(heads)
}

/// Takes the table out of what was read of a schema, where walkback keeps it: it is not the application's.
pub(crate) async fn leave_out(
    cx: &Cx,
    session: &mut dyn Session,
    dialect: &dyn Dialect,
    format: &LedgerFormat,
    schema: &mut walkback_core::catalog::Schema,
) -> Result<()> {
    let Some(other) = &format.shown_in else {
        return Ok(());
    };
    // A script may have changed what names without a schema mean.
    let home = schema.home.clone();
    let is_it = |name: &walkback_core::TableName| {
        name.name == other.table.name && (name.schema.is_none() || name.schema == home)
    };
    if !schema.tables.iter().any(|table| is_it(&table.name))
        || written(cx, session, dialect, other, home.as_deref())
            .await?
            .is_none()
    {
        return Ok(());
    }
    schema.tables.retain(|table| !is_it(&table.name));
    schema
        .objects
        .retain(|object| !object.on.as_ref().is_some_and(is_it));
    Ok(())
}

impl Execution<'_> {
    /// Makes the ledger and the other table say the same before anything is built on either.
    pub(crate) async fn settle_shown(&mut self, cx: &Cx, kind: RunKind) -> Result<()> {
        let Some(other) = self.format.shown_in.clone() else {
            return Ok(());
        };
        if kind != RunKind::Stamp {
            let heads = self.state.heads(&self.state.applied_set());
            self.state.shown.refuse_strange(&other, &heads)?;
        }
        if matches!(self.state.shown, Shown::Same | Shown::OfOthers | Shown::Nothing) {
            return Ok(());
        }
        self.session.begin(cx, Begin::Write).await?;
        let settled = match self.state.shown.clone() {
            Shown::Moved(_) => self.follow(cx).await,
            _ => self.show(cx, &other).await,
        };
        self.end_transaction(cx, settled).await?;
        cx.step("ledger.shown");
        Ok(())
    }

    /// Writes what the ledger says into the other table.
    async fn show(&mut self, cx: &Cx, other: &LedgerFormat) -> Result<()> {
        let heads: Heads = self.state.heads(&self.state.applied_set()).into_iter().collect();
        let mut table = Ledger::new(&mut *self.session, &*self.dialect, other);
        table.create(cx).await?;
        table.empty(cx).await?;
        table.move_heads(cx, (&Heads::new(), &heads)).await?;
        self.note_shown(cx, &heads).await
    }

    /// Notes what the other table says now.
    pub(crate) async fn note_shown(&mut self, cx: &Cx, heads: &Heads) -> Result<()> {
        let Some(other) = self.format.shown_in.clone() else {
            return Ok(());
        };
        self.journal().set_meta(cx, META, &fact(&other, heads)).await
    }

    /// Writes into the ledger what the other table stands for.
    async fn follow(&mut self, cx: &Cx) -> Result<()> {
        let counted = self.state.applied_set();
        let rows = self.ledger().read(cx).await?;
        let written: BTreeSet<_> = rows.iter().map(|row| row.id.clone()).collect();
        for id in written.difference(&counted) {
            self.ledger().remove(cx, id).await?;
        }
        for id in counted.difference(&written) {
            self.write_unrun(cx, id).await?;
        }
        let heads = self.state.heads(&counted).into_iter().collect();
        self.note_shown(cx, &heads).await
    }
}
