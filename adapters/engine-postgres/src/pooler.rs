//! Whether a pooler in transaction mode stands between us and the server.
//!
//! Behind one, each transaction may run on another connection of the server: a session lock stays with a connection
//! that somebody else gets next, and so does what is set for the session. A pooler hands out the connection it got
//! back last, so a single client may never notice; a second one that gets the connection of the first does.

use std::sync::Arc;

use walkback_core::{Access, Cx, Result};

use crate::link::Link;

/// Which connection of the server this is: its process, and since when.
const WHICH: &str = "SELECT pg_catalog.pg_backend_pid()::text, \
    (SELECT backend_start::text FROM pg_catalog.pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid()), \
    coalesce(pg_catalog.inet_server_port()::text, '')";

/// Returns what a person should know of the connection.
pub(crate) async fn notices(link: &mut Link, cx: &Cx) -> Result<Vec<String>> {
    let (one, port) = which(link, cx).await?;
    if port == link.port().map(|port| port.to_string()).unwrap_or_default() {
        return Ok(Vec::new());
    }
    // Another port than the one we have connected to: something stands between, perhaps only a redirection.
    let mut second = Link::open(cx, Arc::clone(&link.config), Access::Read).await?;
    second.batch(cx, "START TRANSACTION READ ONLY").await?;
    let (other, _) = which(&mut second, cx).await?;
    let (again, _) = which(link, cx).await?;
    second.batch(cx, "ROLLBACK").await?;
    Ok(if one == other || one != again {
        vec![
            "a connection pooler stands before the server: in its transaction mode, locks and settings do not hold; \
             connect to the server directly (its own port, usually 5432)"
                .to_owned(),
        ]
    } else {
        Vec::new()
    })
}

/// Returns which connection of the server answers, and at which of its ports.
async fn which(link: &mut Link, cx: &Cx) -> Result<(String, String)> {
    let rows = link.texts(cx, WHICH, &[]).await?;
    let row = rows.first();
    let cell = |index: usize| row.map(|row| row.get(index)).unwrap_or_default().to_owned();
    Ok((format!("{} {}", cell(0), cell(1)), cell(2)))
}
