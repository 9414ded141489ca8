//! Whether a pooler in transaction mode stands between us and the server.
//!
//! Behind one, each transaction may run on another connection of the server: a session lock stays with a connection
//! that somebody else gets next, and so does what is set for the session.

use walkback_core::{Cx, Result};

use crate::link::Link;

/// How often the connection is asked which one it is.
const QUESTIONS: usize = 3;

/// Returns what a person should know of the connection.
pub(crate) async fn notices(link: &mut Link, cx: &Cx) -> Result<Vec<String>> {
    let mut seen: Option<(String, String)> = None;
    let mut is_pooled = false;
    for _ in 0..QUESTIONS {
        let sql = "SELECT pg_catalog.pg_backend_pid()::text, \
                   (SELECT backend_start::text FROM pg_catalog.pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid())";
        let rows = link.texts(cx, sql, &[]).await?;
        if let Some(row) = rows.first() {
            let now = (row.get(0).to_owned(), row.get(1).to_owned());
            is_pooled |= seen.as_ref().is_some_and(|before| *before != now);
            seen = Some(now);
        }
    }
    Ok(if is_pooled {
        vec![
            "a connection pooler stands before the server: in its transaction mode, locks and settings do not hold; \
             connect to the server directly (its own port, usually 5432)"
                .to_owned(),
        ]
    } else {
        Vec::new()
    })
}
