//! What the user may do, read from `SHOW GRANTS`.

mod needs;

use std::collections::BTreeSet;

use walkback_core::Result;
use walkback_core::name::ObjectKind;
use walkback_core::statement::Action;
use walkback_sql::lexer::{Token, TokenKind, significant_tokens};

use crate::dialect::{KIND, literal, quoted};
use crate::link::Link;

use needs::needs;

/// A line of `SHOW GRANTS`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Grant {
    /// Whether it takes away what a wider one gives.
    is_revoke: bool,
    /// The rights, in upper case.
    rights: BTreeSet<String>,
    /// The database, as a pattern; `*` is every one.
    database: String,
    /// The table; `*` is every one.
    table: String,
    /// Whether the rights may be passed on.
    is_grantable: bool,
}

impl Link {
    /// Returns the rights that the user lacks for these actions.
    pub(crate) async fn missing_rights(&mut self, actions: &[Action]) -> Result<Vec<String>> {
        let grants = self.grants().await?;
        let database = self.database.clone();
        let user = self.quoted_user().await?;
        let mut missing = Vec::new();
        let mut said = BTreeSet::new();
        for need in actions.iter().flat_map(needs) {
            let table = need.table.as_deref().unwrap_or("*");
            if need
                .rights
                .iter()
                .any(|right| allows(&grants, right, &database, table))
            {
                continue;
            }
            let on = match &need.table {
                Some(table) => format!("{}.{}", quoted(&database), quoted(table)),
                None => format!("{}.*", quoted(&database)),
            };
            let grant = format!("GRANT {} ON {on} TO {user}", need.rights[0]);
            if said.insert(grant.clone()) {
                missing.push(format!("{user} may not {}: {grant}", need.what));
            }
        }
        if let Some(line) = self.missing_for_programs(actions, &grants, &user).await? {
            missing.push(line);
        }
        Ok(missing)
    }

    /// Triggers and functions need more where the server keeps a binary log.
    async fn missing_for_programs(
        &mut self,
        actions: &[Action],
        grants: &[Grant],
        user: &str,
    ) -> Result<Option<String>> {
        let is_program = |action: &Action| {
            let (Action::Create { kind, .. } | Action::Drop { kind, .. } | Action::Alter { kind, .. }) =
                action
            else {
                return false;
            };
            matches!(kind, ObjectKind::Trigger | ObjectKind::Routine)
        };
        if !actions.iter().any(is_program) || allows(grants, "SUPER", "*", "*") {
            return Ok(None);
        }
        let guarded = self
            .one("SELECT @@GLOBAL.log_bin AND NOT @@GLOBAL.log_bin_trust_function_creators")
            .await?;
        Ok((guarded.as_deref() == Some("1")).then(|| {
            format!(
                "{user} may not create triggers and functions, because the server keeps a binary log: SET GLOBAL \
                 log_bin_trust_function_creators = 1, or GRANT SUPER ON *.* TO {user}"
            )
        }))
    }

    /// Returns whether the user can write while the server is read-only.
    pub(crate) async fn writes_past_read_only(&mut self) -> Result<bool> {
        let grants = self.grants().await?;
        let right = self.right_past_read_only();
        Ok(allows(&grants, right, "*", "*") || allows(&grants, "SUPER", "*", "*"))
    }

    /// Returns the right to write while the server is read-only.
    pub(crate) fn right_past_read_only(&self) -> &'static str {
        if self.server.is_mariadb {
            "READ_ONLY ADMIN"
        } else {
            "CONNECTION_ADMIN"
        }
    }

    /// Returns the user as a statement names it.
    pub(crate) async fn quoted_user(&mut self) -> Result<String> {
        let user = self.one("SELECT CURRENT_USER()").await?.unwrap_or_default();
        let (name, host) = user.rsplit_once('@').unwrap_or((&user, "%"));
        Ok(format!("{}@{}", literal(name), literal(host)))
    }

    /// Returns what the user lacks to give others these rights, each on a table or on all (`*`).
    pub(crate) async fn not_to_be_passed_on(&mut self, wanted: &[(String, String)]) -> Result<Vec<String>> {
        let grants = self.grants().await?;
        let mut passing: Vec<_> = grants
            .iter()
            .filter(|grant| grant.is_grantable)
            .cloned()
            .collect();
        // One of its own may be given with the option of another.
        passing
            .iter_mut()
            .for_each(|grant| grant.rights = BTreeSet::from(["GRANT OPTION".to_owned()]));
        let database = self.database.clone();
        let missing: BTreeSet<&str> = wanted
            .iter()
            .filter(|(right, on)| {
                !allows(&grants, right, &database, on) || !allows(&passing, "GRANT OPTION", &database, on)
            })
            .map(|(right, _)| right.as_str())
            .collect();
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        let (user, rights) = (self.quoted_user().await?, Vec::from_iter(missing).join(", "));
        let grant = format!(
            "GRANT {rights} ON {}.* TO {user} WITH GRANT OPTION",
            quoted(&database)
        );
        Ok(vec![format!(
            "{user} may not give rights on `{database}`: {grant}"
        )])
    }

    async fn grants(&mut self) -> Result<Vec<Grant>> {
        let roles = self.one("SELECT CURRENT_ROLE()").await?;
        // MySQL tells what roles give only if it is asked for them; MariaDB tells it anyway.
        let using = match roles.as_deref() {
            Some(roles) if !self.server.is_mariadb && roles != "NONE" => format!(" USING {roles}"),
            _ => String::new(),
        };
        let sql = if self.server.is_mariadb {
            "SHOW GRANTS".to_owned()
        } else {
            format!("SHOW GRANTS FOR CURRENT_USER(){using}")
        };
        let rows = self.texts(&sql).await?;
        Ok(rows
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|line| read(&line))
            .collect())
    }
}

/// Reads `GRANT SELECT, INSERT (..) ON `db`.`table` TO ..`; a line that grants a role or a proxy has no scope.
fn read(line: &str) -> Option<Grant> {
    let tokens = significant_tokens(KIND, line);
    let is_revoke = tokens.first()?.is_word("REVOKE");
    let on = depth_zero(&tokens).find(|index| tokens[*index].is_word("ON"))?;
    let scope = &tokens[on + 1..];
    let scope: Vec<_> = scope
        .iter()
        .skip_while(|token| {
            ["TABLE", "FUNCTION", "PROCEDURE", "PACKAGE", "BODY"]
                .iter()
                .any(|word| token.is_word(word))
        })
        .take(3)
        .collect();
    let (database, table) = match scope.as_slice() {
        // The lexer may take `*.*` for one sign or for three.
        [all, ..] if all.text == "*.*" => ("*".to_owned(), "*".to_owned()),
        [database, dot, table] if dot.text == "." => (name(database), name(table)),
        [database, star, ..] if star.text == ".*" => (name(database), "*".to_owned()),
        _ => return None,
    };
    let mut rights = BTreeSet::new();
    let mut right = String::new();
    for index in depth_zero(&tokens).filter(|index| (1..on).contains(index)) {
        let token = &tokens[index];
        if token.is_symbol(",") {
            rights.insert(std::mem::take(&mut right));
        } else if token.kind == TokenKind::Word {
            if !right.is_empty() {
                right.push(' ');
            }
            right.push_str(&token.text.to_ascii_uppercase());
        }
    }
    rights.insert(right);
    Some(Grant {
        is_revoke,
        rights,
        database,
        table,
        is_grantable: tokens[on..]
            .windows(2)
            .any(|two| two[0].is_word("GRANT") && two[1].is_word("OPTION")),
    })
}

fn depth_zero<'t>(tokens: &'t [Token<'_>]) -> impl Iterator<Item = usize> + 't {
    let mut depth = 0_usize;
    tokens.iter().enumerate().filter_map(move |(index, token)| {
        if token.is_symbol("(") {
            depth += 1;
        } else if token.is_symbol(")") {
            depth = depth.saturating_sub(1);
            return None;
        }
        (depth == 0).then_some(index)
    })
}

fn name(token: &Token<'_>) -> String {
    crate::catalog::definition::unquoted(token.text)
}

fn allows(grants: &[Grant], right: &str, database: &str, table: &str) -> bool {
    let gives = |grant: &&Grant| {
        grant.rights.contains(right)
            || grant.rights.contains("ALL PRIVILEGES")
            || grant.rights.contains("ALL")
    };
    let covers = |grant: &&Grant| {
        like(&grant.database, database) && (grant.table == "*" || grant.table.eq_ignore_ascii_case(table))
    };
    let giving: Vec<_> = grants.iter().filter(gives).collect();
    let is_global = giving
        .iter()
        .any(|grant| !grant.is_revoke && grant.database == "*");
    // What is revoked of one database is what is granted for all of them.
    let is_revoked = giving
        .iter()
        .any(|grant| grant.is_revoke && like(&grant.database, database));
    let is_own = giving
        .iter()
        .copied()
        .filter(|grant| !grant.is_revoke)
        .filter(covers);
    is_own.count() > 0 || is_global && !is_revoked
}

/// Compares as `LIKE` does: grants name databases by patterns.
fn like(pattern: &str, text: &str) -> bool {
    let mut letters = pattern.chars();
    match letters.next() {
        None => text.is_empty(),
        Some('%') => {
            let rest = letters.as_str();
            text.char_indices()
                .map(|(index, _)| index)
                .chain([text.len()])
                .any(|index| like(rest, &text[index..]))
        }
        Some(letter) => {
            let letter = match letter {
                '_' => None,
                '\\' => letters.next().or(Some('\\')),
                letter => Some(letter),
            };
            let mut found = text.chars();
            match (found.next(), letter) {
                (Some(_), None) => like(letters.as_str(), found.as_str()),
                (Some(found_letter), Some(letter)) if found_letter == letter => {
                    like(letters.as_str(), found.as_str())
                }
                _ => false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(lines: &[&str]) -> Vec<Grant> {
        lines.iter().filter_map(|line| read(line)).collect()
    }

    #[test]
    fn grants_are_read_with_their_patterns_columns_and_revokes() {
        let all = grants(&[
            "GRANT USAGE ON *.* TO `u`@`%`",
            "GRANT `role`@`%` TO `u`@`%`",
            "GRANT SELECT, INSERT (`a`, `b`), CREATE VIEW ON `app\\_%`.* TO `u`@`%`",
            "GRANT UPDATE ON `other`.`t` TO `u`@`%` WITH GRANT OPTION",
            "GRANT ALL PRIVILEGES ON `mine`.* TO `u`@`%`",
        ]);
        assert_eq!(all.len(), 4);
        assert!(allows(&all, "SELECT", "app_1", "t"));
        assert!(allows(&all, "CREATE VIEW", "app_", "t"));
        assert!(!allows(&all, "SELECT", "appx1", "t"));
        assert!(!allows(&all, "DELETE", "app_1", "t"));
        assert!(allows(&all, "UPDATE", "other", "t"));
        assert!(!allows(&all, "UPDATE", "other", "u"));
        assert!(allows(&all, "TRIGGER", "mine", "t"));
        assert!(!allows(&all, "SUPER", "*", "*"));
        let root = grants(&[
            "GRANT SELECT, SUPER, DROP ON *.* TO `root`@`%` WITH GRANT OPTION",
            "GRANT CONNECTION_ADMIN,BACKUP_ADMIN ON *.* TO `root`@`%`",
            "REVOKE DROP ON `kept`.* FROM `root`@`%`",
        ]);
        assert!(allows(&root, "SUPER", "*", "*") && allows(&root, "CONNECTION_ADMIN", "*", "*"));
        assert!(allows(&root, "DROP", "app", "t"));
        assert!(!allows(&root, "DROP", "kept", "t"));
        assert!(allows(&root, "SELECT", "kept", "t"));
    }
}
