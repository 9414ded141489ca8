//! A dry run that asks the database about each record: all of it in one transaction, which is rolled back.

use walkback_core::engine::Begin;
use walkback_core::{Access, Cx, Result, Session};

use super::batch::{Inserter, Pending};
use super::columns::{self, Columns};
use super::plan::{LoadPlan, list, ready};
use super::read::Reader;
use super::tally::Tally;
use crate::runner::Runner;

impl Runner {
    /// Asks the database about each record of a planned load: its keys, its constraints, its triggers. Everything happens in
    /// one transaction that is rolled back; only numbers that the server counts up may be left out later.
    ///
    /// # Errors
    /// What is not the fault of a record: a right that is missing, a connection that is lost.
    pub async fn check_load(&self, cx: &Cx, mut plan: LoadPlan) -> Result<LoadPlan> {
        let mut session = self.connect(cx, Access::Write).await?;
        if session.capability().statements_outlive_client {
            session.set_lock_timeout(cx, self.settings().lock_timeout).await?;
        }
        let schema = self.schema(cx, &mut *session).await?;
        let table = columns::table(&schema, &plan.options.table)?;
        let dialect = self.dialect();
        let columns = Columns::of(dialect.kind(), table, &plan.options)?;
        let inserter = Inserter::new(&*dialect, (&schema, table), &columns);
        inserter.make_strict(cx, &mut *session).await?;
        session.begin(cx, Begin::Write).await?;
        let outcome = ask(cx, &mut *session, &mut plan, &columns, &inserter).await;
        let back = session.rollback(&cx.shielded()).await;
        outcome?;
        back?;
        plan.asked_database = true;
        Ok(plan)
    }
}

async fn ask(
    cx: &Cx,
    session: &mut dyn Session,
    plan: &mut LoadPlan,
    columns: &Columns,
    inserter: &Inserter<'_>,
) -> Result<()> {
    inserter.check_at_once(cx, session).await?;
    let mut reader = Reader::open(&plan.options, None)?;
    let unit = walkback_core::cx::Unit::Rows;
    let task = cx.progress().begin("check", unit, Some(plan.records));
    let (mut tally, mut listed, mut past) = (Tally::default(), Vec::new(), false);
    let batch = plan.options.batch;
    let mut is_end = false;
    while !is_end {
        cx.check()?;
        let (mut pending, mut faults, mut read) = (Vec::new(), Vec::new(), 0);
        while read < batch
            && let Some(record) = reader.next()?
        {
            read += 1;
            match ready(columns, &record) {
                Ok(ready) => pending.push(Pending { record, ready }),
                Err(fault) => faults.push((record, fault)),
            }
        }
        is_end = read < batch;
        let inserted = inserter.insert(cx, session, &pending).await?;
        faults.extend(inserted.refused);
        faults.sort_by_key(|(record, _)| record.number);
        tally.loaded += inserted.rows.len() as u64;
        for (record, fault) in &faults {
            tally.reject(&fault.kind);
            list(&mut listed, record, fault);
        }
        past |= tally.is_past(plan.options.max_failures, batch, is_end);
        task.advance(read as u64);
    }
    plan.count(&tally, listed, past);
    Ok(())
}
