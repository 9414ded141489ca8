//! The statements that give rights.

use walkback_core::grants::{Account, Grant, GrantScope, Right};
use walkback_core::{Error, ErrorKind, Result};

use crate::dialect::quoted;

/// To the rights of MariaDB everybody is a role of this name.
pub(super) const EVERYBODY: &str = "PUBLIC";

/// Where a statement gives its rights.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target<'t> {
    /// In the database in which it is run.
    Current,
    /// In this one. `true`: the server reads `_` and `%` in its name as they stand.
    Named(&'t str, bool),
}

/// Returns the statement that gives a right.
pub(super) fn statement(grant: &Grant, target: Target<'_>) -> Result<String> {
    let rights = grant.rights.iter().map(right).collect::<Result<Vec<_>>>()?;
    let rights = if rights.is_empty() {
        "USAGE".to_owned()
    } else {
        rights.join(", ")
    };
    let option = if grant.with_grant_option {
        " WITH GRANT OPTION"
    } else {
        ""
    };
    Ok(format!(
        "GRANT {rights} ON {} TO {}{option}",
        place(&grant.on, target)?,
        called(&grant.account)
    ))
}

fn right(right: &Right) -> Result<String> {
    let word = checked(&right.right)?;
    let columns: Vec<_> = right.columns.iter().map(|column| quoted(column)).collect();
    Ok(if columns.is_empty() {
        word.to_owned()
    } else {
        format!("{word} ({})", columns.join(", "))
    })
}

/// A backup may come from anywhere: nothing but words goes unquoted into a statement.
fn checked(word: &str) -> Result<&str> {
    let is_word = !word.is_empty() && word.chars().all(|c| c.is_ascii_alphabetic() || c == ' ');
    if is_word {
        return Ok(word);
    }
    Err(Error::new(
        ErrorKind::Damaged,
        format!("`{word}` is no right that a server knows"),
    )
    .hint("somebody has changed the backup: restore it without `--grants`, and give the rights by hand"))
}

fn place(on: &GrantScope, target: Target<'_>) -> Result<String> {
    let named = |name: &str| match target {
        Target::Current => quoted(name),
        Target::Named(database, _) => format!("{}.{}", quoted(database), quoted(name)),
    };
    Ok(match (on, target) {
        (GrantScope::Database(_), Target::Current) => "*".to_owned(),
        (GrantScope::Database(written), Target::Named(database, is_literal)) => {
            let here = match is_literal {
                true => database.to_owned(),
                false if plain(written) == database => written.clone(),
                false => database.replace('_', "\\_").replace('%', "\\%"),
            };
            format!("{}.*", quoted(&here))
        }
        (GrantScope::Table(name), _) => named(name),
        (GrantScope::Routine { sort, name }, _) => format!("{} {}", checked(sort)?, named(name)),
    })
}

/// Returns the database that a pattern without wildcards stands for.
fn plain(written: &str) -> String {
    written.replace("\\_", "_").replace("\\%", "%")
}

fn called(account: &Account) -> String {
    match &account.host {
        Some(host) => format!("{}@{}", quoted(&account.name), quoted(host)),
        None if account.name == EVERYBODY => EVERYBODY.to_owned(),
        None => quoted(&account.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(on: GrantScope, rights: &[(&str, &[&str])]) -> Grant {
        let right = |(word, columns): &(&str, &[&str])| Right {
            right: (*word).to_owned(),
            columns: columns.iter().map(|column| (*column).to_owned()).collect(),
        };
        Grant {
            account: Account {
                name: "o'`b".into(),
                host: Some("%".into()),
            },
            on,
            rights: rights.iter().map(right).collect(),
            with_grant_option: false,
        }
    }

    #[test]
    fn a_right_is_given_in_the_database_it_is_brought_back_to() {
        let database = of(GrantScope::Database("app\\_1".into()), &[("SELECT", &[])]);
        let sql = |target| statement(&database, target).unwrap();
        assert_eq!(sql(Target::Current), "GRANT SELECT ON * TO `o'``b`@`%`");
        assert_eq!(
            sql(Target::Named("app_1", false)),
            "GRANT SELECT ON `app\\_1`.* TO `o'``b`@`%`"
        );
        assert_eq!(
            sql(Target::Named("my_app", false)),
            "GRANT SELECT ON `my\\_app`.* TO `o'``b`@`%`"
        );
        assert_eq!(
            sql(Target::Named("my_app", true)),
            "GRANT SELECT ON `my_app`.* TO `o'``b`@`%`"
        );
        let columns = of(
            GrantScope::Table("t`".into()),
            &[("SELECT", &["a", "b"]), ("INSERT", &[])],
        );
        assert_eq!(
            statement(&columns, Target::Named("my_app", false)).unwrap(),
            "GRANT SELECT (`a`, `b`), INSERT ON `my_app`.`t``` TO `o'``b`@`%`"
        );
    }

    #[test]
    fn nothing_but_words_goes_unquoted_into_a_statement() {
        let forged = of(GrantScope::Table("t".into()), &[("ALL ON *.* TO `x`; --", &[])]);
        let error = statement(&forged, Target::Current).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
        let sort = "FUNCTION `other`.`f` TO `x`; --".to_owned();
        let forged = of(
            GrantScope::Routine {
                sort,
                name: "f".into(),
            },
            &[("EXECUTE", &[])],
        );
        assert!(statement(&forged, Target::Current).is_err());
    }

    #[test]
    fn a_forged_name_of_a_database_stays_a_name_of_this_one() {
        let forged = of(GrantScope::Database("%".into()), &[("SELECT", &[])]);
        let sql = statement(&forged, Target::Named("app", false)).unwrap();
        assert_eq!(sql, "GRANT SELECT ON `app`.* TO `o'``b`@`%`");
    }
}
