//! The servers that are measured on, and databases on them.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::services::{self, Standing};

/// Servers that were there, or were brought up for this.
pub(crate) struct Servers {
    standing: Standing,
}

/// Where a server is, and who may do everything on it.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) scheme: String,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) host: String,
    pub(crate) port: String,
}

impl Servers {
    /// Finds servers by the variables that lead to them, and starts those that are not there.
    pub(crate) fn up(root: &Path, names: &[&str]) -> Result<Self> {
        let known = |name: &str| std::env::var(variable(name)).ok();
        let absent: Vec<_> = names
            .iter()
            .copied()
            .filter(|name| known(name).is_none())
            .collect();
        let mut standing = services::up(root, &absent)?;
        standing.variables.extend(
            names
                .iter()
                .filter_map(|name| Some((variable(name), known(name)?))),
        );
        Ok(Self { standing })
    }

    /// Returns the server of a name.
    pub(crate) fn find(&self, name: &str) -> Option<Server> {
        let variable = variable(name);
        let (_, url) = self
            .standing
            .variables
            .iter()
            .find(|(known, _)| *known == variable)?;
        Server::of(name, url).ok()
    }

    /// Stops what was started for this.
    pub(crate) fn down(&self, root: &Path) -> Result<()> {
        services::down(root, &self.standing)
    }
}

fn variable(name: &str) -> String {
    format!("WALKBACK_TEST_{}_URL", name.to_uppercase().replace('-', "_"))
}

impl Server {
    fn of(name: &str, url: &str) -> Result<Self> {
        let whole = || format!("the URL of {name} is not one of a server");
        let (scheme, rest) = url.split_once("://").with_context(whole)?;
        let (who, place) = rest.rsplit_once('@').with_context(whole)?;
        let (user, password) = who.split_once(':').unwrap_or((who, ""));
        let place = place.split('/').next().unwrap_or_default();
        let (host, port) = place.rsplit_once(':').with_context(whole)?;
        Ok(Self {
            name: name.to_owned(),
            scheme: scheme.to_owned(),
            user: user.to_owned(),
            password: password.to_owned(),
            host: host.to_owned(),
            port: port.to_owned(),
        })
    }

    /// Returns the URL of a database on it.
    pub(crate) fn url(&self, database: &str) -> String {
        let Self {
            scheme,
            user,
            password,
            host,
            port,
            ..
        } = self;
        format!("{scheme}://{user}:{password}@{host}:{port}/{database}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_read_from_its_url() {
        let server = Server::of("mysql", "mysql://root:abc@127.0.0.1:3306/").expect("it is one");
        assert_eq!(server.url("x"), "mysql://root:abc@127.0.0.1:3306/x");
        Server::of("mysql", "sqlite:x").expect_err("a file");
        assert_eq!(variable("postgres-newest"), "WALKBACK_TEST_POSTGRES_NEWEST_URL");
    }
}
