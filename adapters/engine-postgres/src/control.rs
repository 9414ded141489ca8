//! Keeping applications from writing: `default_transaction_read_only` of the database.
//!
//! It is what a database says to sessions that open from then on. Those that are open keep what they have, and any session
//! may say otherwise for itself: it keeps applications from writing by mistake, not by force. Sessions that were opened
//! meanwhile stay read-only when it ends, and are told of.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use walkback_core::engine::{Claim, Control, HolderSession};
use walkback_core::{Access, Cx, Error, ErrorKind, Result};

use crate::dialect::quoted;
use crate::engine::PostgresEngine;
use crate::link::Link;

/// What the database says, if it says something. Where a role says something of its own for this database, that is its own.
const SAID: &str = "(SELECT pg_catalog.split_part(c.said, '=', 2) \
                    FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase, \
                    LATERAL pg_catalog.unnest(s.setconfig) c (said) \
                    WHERE d.datname = pg_catalog.current_database() AND s.setrole = 0 \
                    AND pg_catalog.split_part(c.said, '=', 1) = 'default_transaction_read_only')";

/// What is noted where the database says nothing.
const NOTHING: &str = "-";

#[async_trait]
impl Control for PostgresEngine {
    async fn read_only(&self, cx: &Cx) -> Result<bool> {
        let mut link = self.link(cx, Access::Read).await?;
        let sql = format!("SELECT coalesce({SAID}::boolean, false)::text");
        Ok(link.one_text(cx, &sql).await? == "true")
    }

    async fn check_read_only(&self, cx: &Cx) -> Result<()> {
        let mut link = self.link(cx, Access::Read).await?;
        let sql = "SELECT pg_catalog.pg_has_role(d.datdba, 'USAGE')::text FROM pg_catalog.pg_database d \
                   WHERE d.datname = pg_catalog.current_database()";
        if link.one_text(cx, sql).await? == "true" {
            return Ok(());
        }
        let sql = "SELECT pg_catalog.quote_ident(current_user)";
        let (user, database) = (link.one_text(cx, sql).await?, database(&mut link, cx).await?);
        Err(Error::new(
            ErrorKind::PermissionDenied,
            format!("only its owner can make the database {database} read-only, and {user} is not"),
        )
        .hint(format!("ALTER DATABASE {database} OWNER TO {user}")))
    }

    async fn claim_read_only(&self, _: &Cx) -> Result<Option<Claim>> {
        // The mode is that of one database, and its lock is held.
        Ok(Some(Claim::free()))
    }

    async fn before_read_only(&self, cx: &Cx) -> Result<String> {
        let mut link = self.link(cx, Access::Read).await?;
        let sql = format!(
            "SELECT coalesce({SAID}, '{NOTHING}') || ' ' || \
             extract(epoch FROM pg_catalog.clock_timestamp())::text"
        );
        link.one_text(cx, &sql).await
    }

    async fn begin_read_only(&self, cx: &Cx, _: Duration) -> Result<()> {
        let mut link = self.link(cx, Access::Write).await?;
        link.batch(cx, "SET default_transaction_read_only = off").await?;
        let database = database(&mut link, cx).await?;
        let sql = format!("ALTER DATABASE {database} SET default_transaction_read_only = on");
        link.batch(cx, &sql).await
    }

    async fn end_read_only(&self, cx: &Cx, before: Option<&str>, _: Duration) -> Result<Option<String>> {
        let mut link = self.link(cx, Access::Write).await?;
        link.batch(cx, "SET default_transaction_read_only = off").await?;
        let database = database(&mut link, cx).await?;
        let before = before.and_then(|before| before.split_once(' '));
        let said = before.map_or(NOTHING, |(said, _)| said);
        let sql = match said {
            NOTHING => format!("ALTER DATABASE {database} RESET default_transaction_read_only"),
            said => format!(
                "ALTER DATABASE {database} SET default_transaction_read_only = '{}'",
                said.replace('\'', "''")
            ),
        };
        link.batch(cx, &sql).await?;
        let since = before.and_then(|(_, since)| since.parse::<f64>().ok());
        match since {
            Some(since) => kept(&mut link, cx, since).await,
            None => Ok(None),
        }
    }

    async fn lock_session(&self, cx: &Cx, lock: &str) -> Result<Option<HolderSession>> {
        let mut link = self.link(cx, Access::Read).await?;
        link.lock_session(cx, lock).await
    }

    async fn end_session(&self, cx: &Cx, id: &str) -> Result<()> {
        let mut link = self.link(cx, Access::Read).await?;
        link.end_session(cx, id).await
    }
}

impl PostgresEngine {
    async fn link(&self, cx: &Cx, access: Access) -> Result<Link> {
        Link::open(cx, Arc::clone(self.shared()), access).await
    }
}

async fn database(link: &mut Link, cx: &Cx) -> Result<String> {
    let name = link
        .one_text(cx, "SELECT pg_catalog.current_database()::text")
        .await?;
    Ok(quoted(&name))
}

/// Says how many sessions of applications were opened while the database was read-only. They are so until they end. Those
/// that other roles hold are seen by a user with the rights of `pg_read_all_stats`.
async fn kept(link: &mut Link, cx: &Cx, since: f64) -> Result<Option<String>> {
    let which = format!(
        "datname = pg_catalog.current_database() AND backend_type = 'client backend' \
         AND backend_start >= pg_catalog.to_timestamp({since})"
    );
    let sql = format!(
        "SELECT count(*)::text FROM pg_catalog.pg_stat_activity WHERE {which} \
         AND pid <> pg_catalog.pg_backend_pid() \
         AND application_name <> pg_catalog.current_setting('application_name')"
    );
    let count = link.one_text(cx, &sql).await?;
    if count == "0" {
        return Ok(None);
    }
    let own = link
        .one_text(
            cx,
            "SELECT pg_catalog.quote_literal(pg_catalog.current_setting('application_name'))",
        )
        .await?;
    let sessions = if count == "1" {
        "1 session that was".to_owned()
    } else {
        format!("{count} sessions that were")
    };
    Ok(Some(format!(
        "{sessions} opened while the database was read-only cannot write until opened anew: restart the pools of the \
         applications, or end them with `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = \
         current_database() AND backend_type = 'client backend' AND backend_start >= to_timestamp({since}) AND \
         application_name <> {own}`"
    )))
}
