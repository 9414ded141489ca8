//! Counting what was loaded and what was rejected, and why.

use std::collections::BTreeMap;

use super::options::MaxFailures;
use super::report::Reason;

/// How many kinds of reasons are told apart.
const KINDS: usize = 50;

/// What all that has another reason than these is counted under.
const OTHERS: &str = "other reasons";

/// What became of the records so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) loaded: u64,
    pub(super) rejected: u64,
    pub(super) reasons: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts a record that was rejected for a reason of this kind.
    pub(super) fn reject(&mut self, kind: &str) {
        self.rejected += 1;
        let kind = match self.reasons.contains_key(kind) || self.reasons.len() < KINDS {
            true => kind,
            false => OTHERS,
        };
        *self.reasons.entry(kind.to_owned()).or_default() += 1;
    }

    pub(super) fn tried(&self) -> u64 {
        self.loaded + self.rejected
    }

    /// Returns whether so much was rejected that the load is given up. `is_end`: nothing is left to be tried.
    pub(super) fn is_past(&self, most: MaxFailures, batch: usize, is_end: bool) -> bool {
        let enough = is_end || self.tried() >= batch as u64 || matches!(most, MaxFailures::Count(_));
        enough && most.is_passed(self.rejected, self.tried())
    }

    /// Returns the reasons, the most frequent first.
    pub(super) fn by_kind(&self) -> Vec<Reason> {
        let mut all: Vec<_> = self
            .reasons
            .iter()
            .map(|(reason, records)| Reason {
                reason: reason.clone(),
                records: *records,
            })
            .collect();
        all.sort_by(|left, right| (right.records, &left.reason).cmp(&(left.records, &right.reason)));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_given_up_only_when_enough_was_tried() {
        let tenth = MaxFailures::Percent(10.0);
        let mut tally = Tally::default();
        tally.reject("a");
        assert!(!tally.is_past(tenth, 100, false), "one record says nothing");
        assert!(tally.is_past(tenth, 100, true), "there are no more");
        tally.loaded = 99;
        assert!(!tally.is_past(tenth, 100, false));
        (0..10).for_each(|_| tally.reject("b"));
        assert!(
            !tally.is_past(tenth, 100, false),
            "11 of 110 are a tenth, and no more"
        );
        tally.reject("b");
        assert!(tally.is_past(tenth, 100, false));
        assert_eq!(tally.by_kind()[0].reason, "b");
    }
}
