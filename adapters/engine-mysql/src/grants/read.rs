//! Reading who has which rights.

use std::collections::BTreeMap;

use walkback_core::Result;
use walkback_core::grants::{Account, Grant, GrantScope, Right};

use super::may_not_read;
use crate::catalog::is_own;
use crate::dialect::{literal, quoted};
use crate::link::Link;

/// The tables of the server that say who may do what in one database, and nothing else.
const TABLES: &[&str] = &["db", "tables_priv", "columns_priv", "procs_priv"];

/// Reads all rights on the database and on what is in it.
pub(super) async fn held(link: &mut Link) -> Result<Vec<Grant>> {
    match all(link).await {
        Err(error) => {
            let needed: Vec<_> = TABLES.iter().map(|table| ("SELECT", *table)).collect();
            let what = format!("who has which rights on `{}`", link.database);
            Err(may_not_read(link, error, &what, &needed).await?)
        }
        held => held,
    }
}

async fn all(link: &mut Link) -> Result<Vec<Grant>> {
    let mut grants = of_database(link).await?;
    grants.extend(of_tables(link).await?);
    grants.extend(of_routines(link).await?);
    Ok(grants)
}

/// Returns the condition that a row is about this database.
fn is_here(column: &str) -> String {
    format!("{column} = IF(@@lower_case_table_names = 0, DATABASE(), LOWER(DATABASE()))")
}

/// Reads the rights on the database as a whole. Names there are patterns; one that stands for several databases is
/// no right on this one.
async fn of_database(link: &mut Link) -> Result<Vec<Grant>> {
    let columns = link.texts("SHOW COLUMNS FROM mysql.db").await?;
    let columns: Vec<String> = columns
        .into_iter()
        .filter_map(|row| row.into_iter().next().flatten())
        .filter(|name| name.ends_with("_priv"))
        .collect();
    let list: Vec<_> = columns.iter().map(|name| quoted(name)).collect();
    let plain = format!(
        "REPLACE(REPLACE(Db, {}, '_'), {}, '%')",
        literal("\\_"),
        literal("\\%")
    );
    let sql = format!(
        "SELECT User, Host, Db, {} FROM mysql.db WHERE {} ORDER BY User, Host, Db",
        list.join(", "),
        is_here(&plain)
    );
    let mut grants = Vec::new();
    for row in link.texts(&sql).await? {
        let mut cells = row.into_iter().map(Option::unwrap_or_default);
        let mut next = || cells.next().unwrap_or_default();
        let (account, written) = (account(link, next(), next()), next());
        let given = columns.iter().zip(cells).filter(|(_, cell)| cell == "Y");
        let words = given.map(|(column, _)| word(column.trim_end_matches("_priv")));
        grants.extend(grant(account, GrantScope::Database(written), words.map(whole)));
    }
    Ok(grants)
}

/// Reads the rights on tables and views, and on columns of them.
async fn of_tables(link: &mut Link) -> Result<Vec<Grant>> {
    let there = link.texts("SHOW TABLES").await?;
    // The server keeps rights on tables that are gone.
    let is_there = |name: &str| {
        let mut names = there.iter().filter_map(|row| row.first()?.as_ref());
        !is_own(name) && names.any(|other| other.eq_ignore_ascii_case(name))
    };
    let mut found: BTreeMap<(String, Account), Vec<Right>> = BTreeMap::new();
    for (columns, table) in [
        ("Table_priv, ''", "tables_priv"),
        ("Column_priv, Column_name", "columns_priv"),
    ] {
        let sql = format!(
            "SELECT User, Host, Table_name, {columns} FROM mysql.{table} WHERE {} ORDER BY 1, 2, 3, 5",
            is_here("Db")
        );
        for row in link.texts(&sql).await? {
            let [user, host, name, words, column] = texts(row);
            if !is_there(&name) {
                continue;
            }
            let rights = found.entry((name, account(link, user, host))).or_default();
            for word in words.split(',').filter(|word| !word.is_empty()).map(word) {
                add(rights, word, &column);
            }
        }
    }
    let of = |((name, account), rights)| grant(account, GrantScope::Table(name), rights);
    Ok(found.into_iter().filter_map(of).collect())
}

/// Adds a right of a column, or with no column of all.
fn add(rights: &mut Vec<Right>, word: String, column: &str) {
    let same = rights
        .iter_mut()
        .find(|right| right.right == word && !right.columns.is_empty());
    match same {
        Some(right) if !column.is_empty() => right.columns.push(column.to_owned()),
        _ if column.is_empty() => rights.push(whole(word)),
        _ => rights.push(Right {
            right: word,
            columns: vec![column.to_owned()],
        }),
    }
}

async fn of_routines(link: &mut Link) -> Result<Vec<Grant>> {
    let sql = format!(
        "SELECT User, Host, Routine_type, Routine_name, Proc_priv FROM mysql.procs_priv WHERE {} ORDER BY 3, 4, 1, 2",
        is_here("Db")
    );
    let rows = link.texts(&sql).await?;
    let of = |row| {
        let [user, host, sort, name, words] = texts(row);
        let words = words.split(',').filter(|word| !word.is_empty()).map(word);
        let on = GrantScope::Routine { sort, name };
        grant(account(link, user, host), on, words.map(whole))
    };
    Ok(rows.into_iter().filter_map(of).collect())
}

pub(super) fn texts<const N: usize>(row: Vec<Option<String>>) -> [String; N] {
    let mut cells = row.into_iter();
    std::array::from_fn(|_| cells.next().flatten().unwrap_or_default())
}

/// A role of MariaDB has no host.
pub(super) fn account(link: &Link, name: String, host: String) -> Account {
    let host = Some(host).filter(|host| !(link.server.is_mariadb && host.is_empty()));
    Account { name, host }
}

/// Puts a right as the tables spell it (`Create_tmp_table`, `Show view`) into the word that `GRANT` knows.
fn word(spelt: &str) -> String {
    let word = spelt.replace('_', " ").to_ascii_uppercase();
    match word.as_str() {
        "CREATE TMP TABLE" => "CREATE TEMPORARY TABLES".to_owned(),
        "DELETE VERSIONING ROWS" => "DELETE HISTORY".to_owned(),
        _ => word,
    }
}

fn whole(right: String) -> Right {
    Right {
        right,
        columns: Vec::new(),
    }
}

/// Makes one of rights, of which `GRANT` is that of passing the others on. `None` if there is nothing in it.
fn grant(account: Account, on: GrantScope, rights: impl IntoIterator<Item = Right>) -> Option<Grant> {
    let (option, rights): (Vec<_>, Vec<_>) = rights.into_iter().partition(|right| right.right == "GRANT");
    let with_grant_option = !option.is_empty();
    (with_grant_option || !rights.is_empty()).then_some(Grant {
        account,
        on,
        rights,
        with_grant_option,
    })
}
