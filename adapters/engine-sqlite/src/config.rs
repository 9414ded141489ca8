//! The URL of a SQLite database, and what its parameters mean.

use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::percent_decode_str;
use walkback_core::engine::Login;
use walkback_core::{Error, Result};

/// How long a statement waits for another writer, unless the URL says otherwise.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Everything that is known of a database before it is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// The database file, as the user named it, made absolute from the base folder.
    pub(crate) path: PathBuf,
    /// The scheme of the URL, for messages.
    pub(crate) scheme: &'static str,
    /// What the user called the file, for messages.
    pub(crate) location: String,
    /// Whether foreign keys are enforced outside of rebuilds.
    pub(crate) foreign_keys: bool,
    /// How long to wait for another writer.
    pub(crate) busy_timeout: Duration,
    /// Whether a commit must survive the loss of power. Only scratch databases say no.
    pub(crate) durable: bool,
}

impl Config {
    /// Returns where the file is, from wherever a program may look.
    pub(crate) fn login(&self) -> Login {
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        Login::to(path.display().to_string())
    }

    /// Reads a URL such as `sqlite:app.db?busy_timeout=10s`. A relative path is meant from `base`.
    pub(crate) fn parse(url: &str, base: &Path) -> Result<Self> {
        let (scheme, rest) = url
            .split_once(':')
            .filter(|(scheme, _)| crate::SCHEMES.contains(scheme))
            .ok_or_else(|| not_a_url(url, "it does not begin with `sqlite:`"))?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let location = decode(url, path.strip_prefix("//").unwrap_or(path))?;
        refuse_unnamed(url, &location)?;
        let mut config = Self::of(base.join(&location));
        config.scheme = if scheme == "sqlite3" { "sqlite3" } else { "sqlite" };
        config.location = location;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            config.set(url, &decode(url, key)?, &decode(url, value)?)?;
        }
        Ok(config)
    }

    /// Creates the settings of a database file with every default.
    pub(crate) fn of(path: PathBuf) -> Self {
        Self {
            location: path.display().to_string(),
            path,
            scheme: "sqlite",
            foreign_keys: true,
            busy_timeout: BUSY_TIMEOUT,
            durable: true,
        }
    }

    fn set(&mut self, url: &str, key: &str, value: &str) -> Result<()> {
        match key {
            "foreign_keys" => self.foreign_keys = switch(url, key, value)?,
            "busy_timeout" => self.busy_timeout = duration(url, key, value)?,
            _ => {
                return Err(not_a_url(url, &format!("it has an unknown parameter `{key}`"))
                    .hint("the parameters are: foreign_keys=on|off, busy_timeout=5s"));
            }
        }
        Ok(())
    }
}

fn not_a_url(url: &str, why: &str) -> Error {
    Error::config(format!("`{url}` is not the URL of a SQLite database: {why}"))
}

fn refuse_unnamed(url: &str, path: &str) -> Result<()> {
    if path.is_empty() {
        return Err(not_a_url(url, "it names no file").hint("write it as `sqlite:app.db`"));
    }
    if path == ":memory:" {
        return Err(Error::config(format!(
            "`{url}` cannot be migrated: a database in memory is gone when the session that made it ends, \
             and no two sessions see the same one"
        ))
        .hint("name a file, such as `sqlite:app.db`"));
    }
    if path.ends_with('/') {
        return Err(
            not_a_url(url, "it names a folder").hint(format!("name a file in it, such as `{path}app.db`"))
        );
    }
    if path.contains('\0') {
        return Err(not_a_url(url, "a path cannot hold a zero byte"));
    }
    Ok(())
}

fn decode(url: &str, text: &str) -> Result<String> {
    percent_decode_str(text)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|error| not_a_url(url, "what is written with `%` in it is not UTF-8").with_source(error))
}

fn switch(url: &str, key: &str, value: &str) -> Result<bool> {
    match value {
        "on" | "true" | "1" => Ok(true),
        "off" | "false" | "0" => Ok(false),
        _ => Err(not_a_url(
            url,
            &format!("`{key}` is `on` or `off`, not `{value}`"),
        )),
    }
}

fn duration(url: &str, key: &str, value: &str) -> Result<Duration> {
    let digits = value.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match &value[digits.len()..] {
        "ms" => Some(Duration::from_millis(1)),
        "s" => Some(Duration::from_secs(1)),
        "m" => Some(Duration::from_mins(1)),
        _ => None,
    };
    let amount = digits.parse::<u32>().ok();
    amount
        .zip(unit)
        .and_then(|(amount, unit)| unit.checked_mul(amount))
        .ok_or_else(|| {
            not_a_url(
                url,
                &format!("`{key}` is a time such as `500ms`, `5s` or `2m`, not `{value}`"),
            )
        })
}

#[cfg(test)]
mod tests {
    use walkback_core::ErrorKind;

    use super::*;

    fn parse(url: &str) -> Result<Config> {
        Config::parse(url, Path::new("/base"))
    }

    #[test]
    fn a_path_is_relative_to_the_base_unless_it_is_absolute() {
        for (url, path) in [
            ("sqlite:app.db", "/base/app.db"),
            ("sqlite3:app.db", "/base/app.db"),
            ("sqlite://data/app.db", "/base/data/app.db"),
            ("sqlite:/var/app.db", "/var/app.db"),
            ("sqlite:///var/app.db", "/var/app.db"),
            ("sqlite:a%20b%3F%25.db", "/base/a b?%.db"),
            ("sqlite:é.db?foreign_keys=off", "/base/é.db"),
        ] {
            assert_eq!(parse(url).unwrap().path, Path::new(path), "{url}");
        }
    }

    #[test]
    fn parameters_are_read_and_unknown_ones_refused() {
        let config = parse("sqlite:a.db?foreign_keys=off&busy_timeout=250ms").unwrap();
        assert!(!config.foreign_keys);
        assert_eq!(config.busy_timeout, Duration::from_millis(250));
        assert!(parse("sqlite:a.db").unwrap().foreign_keys);
        assert_eq!(
            parse("sqlite:a.db?busy_timeout=2m").unwrap().busy_timeout,
            Duration::from_secs(120)
        );
        for url in [
            "sqlite:a.db?foreign_key=off",
            "sqlite:a.db?foreign_keys=maybe",
            "sqlite:a.db?foreign_keys",
            "sqlite:a.db?busy_timeout=5",
            "sqlite:a.db?busy_timeout=-5s",
            "sqlite:a.db?busy_timeout=s",
            "sqlite:a.db?mode=ro",
            "sqlite:%FF.db",
            "sqlite:a%00.db",
            "sqlite:",
            "sqlite://",
            "sqlite:folder/",
            "sqlite::memory:",
            "postgres:a.db",
            "app.db",
        ] {
            assert_eq!(parse(url).unwrap_err().kind(), ErrorKind::Config, "{url}");
        }
    }
}
