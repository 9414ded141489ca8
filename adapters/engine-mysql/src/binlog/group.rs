//! The transaction of the log that is being done again.

use std::collections::BTreeMap;

/// A transaction of the log. It is begun in the scratch database with the first thing in it that is done there.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Whether a transaction is open in the scratch database.
    pub(super) is_open: bool,
    /// Whether anything of it was done again.
    pub(super) is_touched: bool,
    /// The tables of this database that numbers stand for: the event that says so, for the scratch database.
    pub(super) maps: BTreeMap<u64, Vec<u8>>,
    /// What the next statement needs to be given: values of counters and variables.
    pub(super) given: Vec<String>,
    /// Whether the next statement needs a variable of its session.
    pub(super) wants_variable: bool,
    /// The distributed transaction that it is, as the log names it.
    pub(super) xid: Option<String>,
    /// Whether it is a part of a definition that is logged in two.
    pub(super) is_in_two: bool,
}

impl Group {
    /// Forgets what a statement would have needed that is not run.
    pub(super) fn forget_given(&mut self) {
        self.given.clear();
        self.wants_variable = false;
    }
}
