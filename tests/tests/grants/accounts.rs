//! Users, roles and what they may do.

use walkback_tests::{Output, Sandbox};

/// Users and roles that no other test has, gone at the end.
pub(crate) struct Accounts<'s> {
    sandbox: &'s Sandbox,
    /// `'..'@'%'`, with quotes of all sorts in it.
    pub(crate) user: String,
    pub(crate) role: String,
}

impl<'s> Accounts<'s> {
    pub(crate) fn create(sandbox: &'s Sandbox) -> Self {
        let id = &sandbox.server().name()[sandbox.server().name().len() - 6..];
        let accounts = Self {
            sandbox,
            user: format!("`o'b\"r``{id}`@`%`"),
            role: format!("`role_{id}`"),
        };
        sandbox.sql(&format!("CREATE USER {} IDENTIFIED BY 'Secret-1'", accounts.user));
        sandbox.sql(&format!("CREATE ROLE {}", accounts.role));
        accounts
    }

    /// Takes all rights away.
    pub(crate) fn revoke(&self) {
        for account in [&self.user, &self.role] {
            self.sandbox
                .sql(&format!("REVOKE ALL PRIVILEGES, GRANT OPTION FROM {account}"));
        }
    }

    /// The name of the user, as it is.
    pub(crate) fn name(&self) -> String {
        let quoted = self.user.split_once('@').expect("a host").0;
        quoted.trim_matches('`').replace("``", "`")
    }
}

impl Drop for Accounts<'_> {
    fn drop(&mut self) {
        self.sandbox.sql(&format!("DROP USER IF EXISTS {}", self.user));
        self.sandbox.sql(&format!("DROP ROLE IF EXISTS {}", self.role));
    }
}

/// Gives rights of every sort.
pub(crate) fn give(sandbox: &Sandbox, accounts: &Accounts<'_>) {
    let (user, role) = (&accounts.user, &accounts.role);
    for right in [
        format!("GRANT CREATE TEMPORARY TABLES, LOCK TABLES, SHOW VIEW ON * TO {user}"),
        format!("GRANT SELECT, CREATE VIEW ON t TO {user} WITH GRANT OPTION"),
        format!("GRANT UPDATE (a, `b c`), INSERT (id) ON t TO {user}"),
        format!("GRANT EXECUTE ON FUNCTION f TO {user}"),
        format!("GRANT SELECT ON v TO {role}"),
        format!("GRANT INSERT, DELETE ON * TO {role}"),
    ] {
        sandbox.sql(&right);
    }
}

/// Returns what the server says that an account may do in this database.
pub(crate) fn rights(sandbox: &Sandbox, account: &str) -> Vec<String> {
    let database = sandbox.server().name();
    let mut lines = sandbox.session().column(&format!("SHOW GRANTS FOR {account}"));
    // An underscore in a name is written as a pattern or as it is.
    lines.iter_mut().for_each(|line| *line = line.replace("\\_", "_"));
    lines.retain(|line| line.contains(&format!("`{database}`.")));
    lines
        .iter_mut()
        .for_each(|line| *line = line.replace(database, "db"));
    lines.sort();
    lines
}

pub(crate) fn backup(sandbox: &Sandbox) -> String {
    let made = sandbox.ok(&["backup", "create", "--grants", "--json"]).json();
    made["backup"]["id"].as_str().expect("an id").to_owned()
}

pub(crate) fn both(sandbox: &Sandbox, accounts: &Accounts<'_>) -> (Vec<String>, Vec<String>) {
    (rights(sandbox, &accounts.user), rights(sandbox, &accounts.role))
}

/// Returns what a command says as another user, who may do all but what is about others.
pub(crate) fn as_other(sandbox: &Sandbox, more: &[String], arguments: &[&str]) -> Output {
    let name = format!("u_{}", sandbox.server().name());
    let name = &name[..name.len().min(30)];
    sandbox.sql(&format!("DROP USER IF EXISTS '{name}'@'%'"));
    sandbox.sql(&format!("CREATE USER '{name}'@'%' IDENTIFIED BY 'Secret-1'"));
    sandbox.sql(&format!("GRANT ALL PRIVILEGES ON * TO '{name}'@'%'"));
    for right in more {
        sandbox.sql(&format!("{right} TO '{name}'@'%'"));
    }
    let url = sandbox.server().url_as(name, "Secret-1");
    let line: Vec<_> = ["-u", &url]
        .into_iter()
        .chain(arguments.iter().copied())
        .collect();
    let output = sandbox.run(&line);
    sandbox.sql(&format!("DROP USER '{name}'@'%'"));
    output
}
