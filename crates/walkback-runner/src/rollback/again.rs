//! The other way to have back what a rollback took away: the next up, which keeps what was written meanwhile.

use std::collections::BTreeSet;

use super::RollbackPlan;
use super::plan::Planning;

impl Planning<'_> {
    /// Says how migrations come back without what bringing their safety point back loses, if an up can bring them.
    pub(super) fn up_instead(&self, plan: &RollbackPlan) -> Option<String> {
        let restore = plan.restore.as_ref().filter(|restore| !restore.loss.is_empty())?;
        let applied = self.state.applied_set();
        let after = restore.applied_after.iter();
        let again: BTreeSet<_> = after.filter(|id| !applied.contains(*id)).cloned().collect();
        if again.is_empty() || !again.is_subset(&self.state.in_checkout) {
            return None;
        }
        let to = match &self.state.heads(&again)[..] {
            [head] => format!(" --to {head}"),
            _ => String::new(),
        };
        let names = again.iter().map(|id| format!("`{}`", self.state.named(id).name));
        Some(format!(
            "`walkback up{to}` instead keeps what is lost here: it applies {} again, and puts back what was written before",
            names.collect::<Vec<_>>().join(", "),
        ))
    }
}
