//! Rights that accounts have on the database: read from the tables in which the server keeps them, given by `GRANT`.
//!
//! `SHOW GRANTS FOR` would give the same text for each account, but with the rights on the whole server, and on
//! MariaDB with the hash of its password. The tables that are read here hold neither.

mod read;
mod statement;

use std::collections::BTreeSet;

use async_trait::async_trait;
use walkback_core::grants::{Account, Grant, GrantScope, Grants, Obstacles};
use walkback_core::{Access, Cx, Error, ErrorKind, Result};

use crate::engine::MysqlEngine;
use crate::link::Link;

use read::{account, held, texts};
use statement::{EVERYBODY, Target, statement};

#[async_trait]
impl Grants for MysqlEngine {
    async fn held(&self, cx: &Cx) -> Result<Vec<Grant>> {
        let line = self.line(cx, Access::Read).await?;
        line.call(cx, |link| Box::pin(held(link))).await
    }

    async fn obstacles(&self, cx: &Cx, grants: &[Grant]) -> Result<Obstacles> {
        let (line, grants) = (self.line(cx, Access::Read).await?, grants.to_vec());
        line.call(cx, move |link| {
            Box::pin(async move { obstacles(link, &grants).await })
        })
        .await
    }

    async fn give(&self, cx: &Cx, grants: &[Grant]) -> Result<Vec<String>> {
        let (line, grants) = (self.line(cx, Access::Write).await?, grants.to_vec());
        line.call(cx, move |link| Box::pin(async move { give(link, &grants).await }))
            .await
    }

    fn statement(&self, grant: &Grant) -> Result<String> {
        statement(grant, Target::Current)
    }
}

/// Says which statements let the user read tables of the server, if that is what is wrong.
async fn may_not_read(link: &mut Link, error: Error, what: &str, needed: &[(&str, &str)]) -> Result<Error> {
    if error.kind() != ErrorKind::PermissionDenied {
        return Ok(error);
    }
    let user = link.quoted_user().await?;
    let said =
        Error::new(ErrorKind::PermissionDenied, format!("{user} may not read {what}")).with_source(error);
    let with_hints = needed.iter().fold(said, |said, (right, table)| {
        said.hint(format!("GRANT {right} ON `mysql`.`{table}` TO {user}"))
    });
    Ok(with_hints.hint("nothing was written"))
}

async fn obstacles(link: &mut Link, grants: &[Grant]) -> Result<Obstacles> {
    let there = accounts(link).await?;
    let is_there = |account: &Account| {
        let is_everybody = account.name == EVERYBODY && account.host.is_none();
        link.server.is_mariadb && is_everybody || there.contains(account)
    };
    let (given, others): (Vec<&Grant>, Vec<&Grant>) =
        grants.iter().partition(|grant| is_there(&grant.account));
    let absent: BTreeSet<Account> = others.into_iter().map(|grant| grant.account.clone()).collect();
    let wanted: Vec<(String, String)> = given.into_iter().flat_map(wanted).collect();
    Ok(Obstacles {
        absent: absent.into_iter().collect(),
        missing_rights: link.not_to_be_passed_on(&wanted).await?,
    })
}

/// Returns the names of all users and roles; the table has more in it, which is not read.
async fn accounts(link: &mut Link) -> Result<BTreeSet<Account>> {
    let rows = match link.texts("SELECT User, Host FROM mysql.user").await {
        Err(error) => {
            let needed = [("SELECT (`User`, `Host`)", "user")];
            return Err(may_not_read(link, error, "which users and roles there are", &needed).await?);
        }
        Ok(rows) => rows,
    };
    let account = |row| {
        let [user, host] = texts(row);
        account(link, user, host)
    };
    Ok(rows.into_iter().map(account).collect())
}

/// Returns the rights in a grant, each with the table it is on.
fn wanted(grant: &Grant) -> impl Iterator<Item = (String, String)> {
    let table = match &grant.on {
        GrantScope::Database(_) => "*",
        GrantScope::Table(name) | GrantScope::Routine { name, .. } => name,
    };
    let rights = grant.rights.iter();
    rights.map(move |right| (right.right.clone(), table.to_owned()))
}

async fn give(link: &mut Link, grants: &[Grant]) -> Result<Vec<String>> {
    let is_literal = if link.server.is_mariadb {
        // Without this mode it would make the accounts that are not there, with no password.
        link.run("SET SESSION sql_mode = CONCAT(@@SESSION.sql_mode, ',NO_AUTO_CREATE_USER')")
            .await?;
        false
    } else {
        link.one("SELECT @@GLOBAL.partial_revokes").await?.as_deref() == Some("1")
    };
    let database = link.database.clone();
    let mut refused = Vec::new();
    for grant in grants {
        let sql = statement(grant, Target::Named(&database, is_literal))?;
        match link.run(&sql).await {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Interrupted) => {
                return Err(error);
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
                refused.push(format!("{grant} were refused{}", cause.unwrap_or_default()));
            }
        }
    }
    Ok(refused)
}
