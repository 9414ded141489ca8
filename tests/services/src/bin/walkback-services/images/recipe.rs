//! What each image is made of.

use anyhow::{Result, bail};

/// An image: its tag, the packages it holds and the script it begins with.
#[derive(Debug)]
pub(super) struct Recipe {
    pub(super) tag: &'static str,
    /// The suite of Debian that has this version.
    pub(super) suite: &'static str,
    pub(super) packages: &'static str,
    /// What comes before the usual `PATH`.
    pub(super) path: &'static str,
    pub(super) port: u16,
    /// What runs if nothing else is asked for.
    pub(super) command: &'static str,
    pub(super) entrypoint: &'static str,
    /// Whether the server can run from the folder, with the libraries in it.
    pub(super) runs_unpacked: bool,
}

static RECIPES: [Recipe; 4] = [
    Recipe {
        tag: "postgres:15",
        suite: "bookworm",
        packages: "postgresql-15",
        path: "/usr/lib/postgresql/15/bin:",
        port: 5432,
        command: "postgres",
        entrypoint: include_str!("postgres.sh"),
        runs_unpacked: false,
    },
    Recipe {
        tag: "postgres:18",
        suite: "sid",
        packages: "postgresql-18",
        path: "/usr/lib/postgresql/18/bin:",
        port: 5432,
        command: "postgres",
        entrypoint: include_str!("postgres.sh"),
        runs_unpacked: false,
    },
    Recipe {
        tag: "mysql:9.7",
        suite: "sid",
        packages: "mysql-server",
        path: "",
        port: 3306,
        command: "mysqld",
        entrypoint: include_str!("mysql.sh"),
        runs_unpacked: true,
    },
    Recipe {
        tag: "mariadb:10.11",
        suite: "bookworm",
        packages: "mariadb-server",
        path: "",
        port: 3306,
        command: "mariadbd",
        entrypoint: include_str!("mariadb.sh"),
        runs_unpacked: false,
    },
];

impl Recipe {
    /// Returns a name for a folder.
    pub(super) fn folder(&self) -> String {
        self.tag.replace(':', "-")
    }
}

/// Returns the recipes of some tags; all of them if none is given.
pub(super) fn named(tags: &[String]) -> Result<Vec<&'static Recipe>> {
    if let Some(unknown) = tags
        .iter()
        .find(|tag| RECIPES.iter().all(|recipe| recipe.tag != tag.trim()))
    {
        let known = RECIPES.each_ref().map(|recipe| recipe.tag).join("`, `");
        bail!("there is no recipe for `{unknown}`; there are `{known}`");
    }
    let wanted = |recipe: &&Recipe| tags.is_empty() || tags.iter().any(|tag| tag.trim() == recipe.tag);
    Ok(RECIPES.iter().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_tag_is_refused_and_none_means_all() {
        assert_eq!(named(&[]).expect("all").len(), RECIPES.len());
        let one = named(&["mysql:9.7".to_owned()]).expect("a known one");
        assert_eq!(one.len(), 1);
        assert_eq!(one[0].folder(), "mysql-9.7");
        let error = named(&["mysql:8".to_owned()]).expect_err("nobody has that");
        assert!(error.to_string().contains("`mysql:8`"), "{error}");
    }
}
