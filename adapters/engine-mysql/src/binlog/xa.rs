//! Distributed transactions. What one of them writes is in the log where it is prepared; that it counts is said later.

use walkback_core::Result;

use super::apply::Replaying;

impl Replaying {
    /// A statement that begins with `XA`.
    pub(super) fn distributed(&mut self, sql: &str) -> Result<()> {
        let said = |what: &str| {
            let beginning = sql.get(..what.len())?;
            beginning
                .eq_ignore_ascii_case(what)
                .then(|| name(&sql[what.len()..]))
        };
        if let Some(xid) = said("XA START").or_else(|| said("XA BEGIN")) {
            self.group.xid = Some(xid);
            return Ok(());
        }
        if let Some(xid) = said("XA COMMIT") {
            // What it wrote may be before the place at which reading began, and is in no backup then.
            return if self.foreign.remove(&xid) && !self.group.is_touched {
                Ok(())
            } else {
                let why = "a distributed transaction (`XA`) ends here whose rows were logged before the backup, or cannot be told";
                Err(self.refused(why, Some(sql)))
            };
        }
        if let Some(xid) = said("XA ROLLBACK") {
            self.foreign.remove(&xid);
            return Ok(());
        }
        if self.group.is_touched {
            return Err(self.refused("a distributed transaction (`XA`)", Some(sql)));
        }
        Ok(())
    }

    /// A distributed transaction is prepared.
    pub(super) fn prepared(&mut self) -> Result<()> {
        if self.group.is_touched {
            return Err(self.refused("a distributed transaction (`XA`)", None));
        }
        self.foreign.extend(self.group.xid.take());
        Ok(())
    }
}

/// Returns a name as it is compared.
fn name(rest: &str) -> String {
    rest.split_whitespace().collect::<String>().to_lowercase()
}
