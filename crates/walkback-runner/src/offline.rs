//! What a script that is run by hand says to the tool whose ledger it is: Alembic's own `--sql` has these statements too.

use walkback_core::ledger::LedgerRows;
use walkback_core::{Access, Cx, Direction, Result};

use crate::ledger::{Heads, Ledger};
use crate::plan::PlannedStep;
use crate::runner::Runner;

impl Runner {
    /// Returns for each of these steps the statements that say in the ledger that it was run, where that is one of heads. Of others
    /// only a run knows what is in a row: the list is empty.
    ///
    /// # Errors
    /// Fails if the database cannot be read.
    pub async fn ledger_in_sql(&self, cx: &Cx, steps: &[&PlannedStep]) -> Result<Vec<Vec<String>>> {
        let format = self.ledger();
        if format.rows != LedgerRows::Heads || steps.is_empty() {
            return Ok(Vec::new());
        }
        let mut session = self.connect(cx, Access::Read).await?;
        let state = self.load(cx, &mut *session).await?;
        let dialect = self.dialect();
        let mut ledger = Ledger::new(&mut *session, &*dialect, &format);
        let mut first = ledger.creation(cx).await?;
        let heads = |applied: &_| state.heads(applied).into_iter().collect::<Heads>();
        let mut applied = state.applied_set();
        let mut all = Vec::with_capacity(steps.len());
        for step in steps {
            let before = heads(&applied);
            match step.direction {
                Direction::Up => applied.insert(step.id.clone()),
                Direction::Down => applied.remove(&step.id),
            };
            let mut statements: Vec<_> = first.take().into_iter().collect();
            statements.extend(ledger.written_moves((&before, &heads(&applied))));
            all.push(statements);
        }
        Ok(all)
    }
}
