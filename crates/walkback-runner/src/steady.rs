//! A clock that never goes back behind what the journal holds.
//!
//! Which run was the last, and which migration came after which, is told by moments in the journal. A clock that was set back
//! would put a new run before old ones, and a rollback would begin with the wrong one.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use walkback_core::cx::Clock;
use walkback_core::{Cx, Result};

use crate::journal::Journal;

/// A clock that shows a later moment than another.
struct Ahead {
    of: Cx,
    by: TimeDelta,
}

impl Clock for Ahead {
    fn now(&self) -> DateTime<Utc> {
        self.of.now() + self.by
    }
}

/// Returns a context whose moments come after all that the journal holds, and says so if the clock shows an earlier one.
pub(crate) async fn after_the_last(
    cx: &Cx,
    journal: &mut Journal<'_>,
    warnings: &mut Vec<String>,
) -> Result<Cx> {
    let now = cx.now();
    let Some(last) = journal.last_moment(cx).await?.filter(|last| *last >= now) else {
        return Ok(cx.clone());
    };
    let by = last - now + TimeDelta::microseconds(1);
    // Machines differ by a little.
    if by > TimeDelta::seconds(5) {
        warnings.push(format!(
            "the clock shows {}, and the last run was at {}: this one is recorded after it",
            now.format("%Y-%m-%d %H:%M:%S UTC"),
            last.format("%Y-%m-%d %H:%M:%S UTC")
        ));
    }
    Ok(cx.clone().with_clock(Arc::new(Ahead { of: cx.clone(), by })))
}
