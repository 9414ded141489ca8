//! The URL of a MySQL database, and what its parameters mean.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mysql_async::{Opts, OptsBuilder, SslOpts};
use percent_encoding::percent_decode_str;
use walkback_core::engine::Login;
use walkback_core::{Error, Result};

/// How long to wait for the server, unless the URL says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How a connection is encrypted; the words are those of the server's own clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SslMode {
    /// Never.
    Disabled,
    /// Where the server can.
    Preferred,
    /// Always, with whoever answers.
    Required,
    /// Always, with a server whose certificate is signed by who is trusted.
    VerifyCa,
    /// Always, with the server of that name.
    VerifyIdentity,
}

/// Everything that is known of a database before it is connected to.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// The scheme of the URL, for messages.
    pub(crate) scheme: &'static str,
    user: Option<String>,
    password: Option<String>,
    host: String,
    port: u16,
    socket: Option<PathBuf>,
    /// The database.
    pub(crate) database: String,
    /// How the connection is encrypted.
    pub(crate) ssl_mode: SslMode,
    ssl_ca: Option<PathBuf>,
    /// Whether rows may be loaded as a file of the client.
    pub(crate) local_infile: bool,
    /// How long to wait for the server.
    pub(crate) connect_timeout: Duration,
}

/// Without the password.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("location", &self.location())
            .field("ssl_mode", &self.ssl_mode)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// Reads a URL such as `mysql://user:password@host/database?ssl-mode=required`. A relative path in it is
    /// meant from `base`.
    pub(crate) fn parse(url: &str, base: &Path) -> Result<Self> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", ""));
        let Some(scheme) = crate::SCHEMES.iter().find(|known| **known == scheme) else {
            return Err(wrong("it does not begin with `mysql://`"));
        };
        let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = address.split_once('/').unwrap_or((address, ""));
        let (login, place) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (user, Some(decode(password)?)),
            None => (login, None),
        };
        let (host, port) = host_and_port(place)?;
        let mut config = Self {
            scheme,
            user: Some(decode(user)?).filter(|user| !user.is_empty()),
            password,
            host,
            port,
            socket: None,
            database: decode(database)?,
            ssl_mode: SslMode::Preferred,
            ssl_ca: None,
            local_infile: true,
            connect_timeout: CONNECT_TIMEOUT,
        };
        config.refuse_unnamed(scheme)?;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            config.set(&decode(key)?, &decode(value)?, base)?;
        }
        Ok(config)
    }

    fn refuse_unnamed(&self, scheme: &str) -> Result<()> {
        if self.database.is_empty() {
            return Err(wrong("it names no database").hint(format!(
                "write the database behind the host: `{scheme}://user@{}/app`",
                self.host
            )));
        }
        if self.database.contains(['/', '\0']) {
            return Err(wrong("the name of its database holds a `/` or a zero byte"));
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: &str, base: &Path) -> Result<()> {
        match key {
            "ssl-mode" => self.ssl_mode = ssl_mode(value)?,
            "ssl-ca" => self.ssl_ca = Some(base.join(value)),
            "socket" => self.socket = Some(base.join(value)),
            "local-infile" => {
                self.local_infile = match value {
                    "enabled" => true,
                    "disabled" => false,
                    _ => {
                        return Err(wrong(&format!(
                            "`local-infile` is `enabled` or `disabled`, not `{value}`"
                        )));
                    }
                }
            }
            "charset" if value.eq_ignore_ascii_case("utf8mb4") => {}
            "charset" => {
                return Err(wrong(&format!(
                    "`charset` is `utf8mb4`, which holds every other one, not `{value}`"
                )));
            }
            "connect-timeout" => {
                let seconds = value.parse().ok().filter(|seconds| *seconds > 0);
                self.connect_timeout = seconds.map(Duration::from_secs).ok_or_else(|| {
                    wrong(&format!(
                        "`connect-timeout` is a number of seconds, not `{value}`"
                    ))
                })?;
            }
            _ => {
                return Err(wrong(&format!("it has an unknown parameter `{key}`")).hint(
                    "the parameters are: ssl-mode, ssl-ca, socket, charset, local-infile, connect-timeout",
                ));
            }
        }
        Ok(())
    }

    /// Returns the same settings for another database of the same server.
    pub(crate) fn with_database(&self, database: &str) -> Self {
        Self {
            database: database.to_owned(),
            ..self.clone()
        }
    }

    /// Returns where the database is, for messages.
    pub(crate) fn location(&self) -> String {
        let database = &self.database;
        match (&self.socket, &self.user) {
            (Some(socket), _) => format!("{}/{database}", socket.display()),
            (None, Some(user)) => format!("{user}@{}:{}/{database}", self.host, self.port),
            (None, None) => format!("{}:{}/{database}", self.host, self.port),
        }
    }

    /// Returns where the server is, for messages.
    pub(crate) fn server(&self) -> String {
        match &self.socket {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", self.host, self.port),
        }
    }

    /// Returns what other clients need to connect to the same database.
    pub(crate) fn login(&self) -> Login {
        let mut login = Login::to(&self.database);
        login.host = Some(self.host.clone());
        login.port = Some(self.port);
        login.socket.clone_from(&self.socket);
        login.user = Some(self.user().to_owned());
        login.password.clone_from(&self.password);
        let authority = self.ssl_ca.as_ref().map(|path| path.display().to_string());
        let mode = match self.ssl_mode {
            SslMode::Disabled => "DISABLED",
            SslMode::Preferred => "PREFERRED",
            SslMode::Required => "REQUIRED",
            SslMode::VerifyCa => "VERIFY_CA",
            SslMode::VerifyIdentity => "VERIFY_IDENTITY",
        };
        login.parameters.insert("ssl-mode", mode.to_owned());
        login
            .parameters
            .extend(authority.map(|authority| ("ssl-ca", authority)));
        login
    }

    /// Returns the user, for messages.
    pub(crate) fn user(&self) -> &str {
        self.user.as_deref().unwrap_or_default()
    }

    /// Returns the password, if the URL has one.
    pub(crate) fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    /// Returns the host.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the socket, if one is to be used instead.
    pub(crate) fn socket(&self) -> Option<&Path> {
        self.socket.as_deref()
    }

    /// Returns the authorities that are trusted, if not those of the system.
    pub(crate) fn ssl_ca(&self) -> Option<&Path> {
        self.ssl_ca.as_deref()
    }

    /// Returns the settings of the driver, with or without encryption and the database.
    pub(crate) fn options(&self, is_encrypted: bool, database: Option<&str>) -> Opts {
        let options = OptsBuilder::default()
            .ip_or_hostname(self.host.clone())
            .tcp_port(self.port)
            .user(self.user.clone())
            .pass(self.password.clone())
            .db_name(database)
            .socket(self.socket.as_ref().map(|path| path.display().to_string()))
            // The driver would otherwise leave the address for a socket that the server names.
            .prefer_socket(false)
            .client_found_rows(true)
            // A statement in the cache keeps the columns it had when it was prepared.
            .stmt_cache_size(0)
            .ssl_opts(is_encrypted.then(|| self.ssl()));
        options.into()
    }

    fn ssl(&self) -> SslOpts {
        let options = SslOpts::default();
        let options = match &self.ssl_ca {
            Some(file) => options
                .with_root_certs(vec![file.clone().into()])
                .with_disable_built_in_roots(true),
            None => options,
        };
        match self.ssl_mode {
            SslMode::VerifyIdentity => options,
            SslMode::VerifyCa => options.with_danger_skip_domain_validation(true),
            _ => options.with_danger_accept_invalid_certs(true),
        }
    }
}

/// Says that a URL is wrong, without showing it: it may hold a password.
fn wrong(why: &str) -> Error {
    Error::config(format!("this is not the URL of a MySQL database: {why}"))
}

fn decode(text: &str) -> Result<String> {
    percent_decode_str(text)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|error| wrong("what is written with `%` in it is not UTF-8").with_source(error))
}

fn host_and_port(place: &str) -> Result<(String, u16)> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest
                .split_once(']')
                .ok_or_else(|| wrong("the `[` of its address has no `]`"))?;
            (host.to_owned(), port.strip_prefix(':').unwrap_or(port))
        }
        None => {
            let (host, port) = place.split_once(':').unwrap_or((place, ""));
            (decode(host)?, port)
        }
    };
    let port = match port {
        "" => 3306,
        port => port
            .parse()
            .map_err(|_| wrong(&format!("`{port}` in it is not a port")))?,
    };
    let host = if host.is_empty() {
        "localhost".to_owned()
    } else {
        host
    };
    Ok((host, port))
}

fn ssl_mode(value: &str) -> Result<SslMode> {
    match value.to_ascii_lowercase().replace('_', "-").as_str() {
        "disabled" => Ok(SslMode::Disabled),
        "preferred" => Ok(SslMode::Preferred),
        "required" => Ok(SslMode::Required),
        "verify-ca" => Ok(SslMode::VerifyCa),
        "verify-identity" => Ok(SslMode::VerifyIdentity),
        _ => Err(wrong(&format!(
            "`ssl-mode` is `disabled`, `preferred`, `required`, `verify-ca` or `verify-identity`, not `{value}`"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use walkback_core::ErrorKind;

    use super::*;

    fn parse(url: &str) -> Result<Config> {
        Config::parse(url, Path::new("/base"))
    }

    #[test]
    fn every_part_of_a_url_is_read() {
        let config =
            parse("mysql://a%40b:p%3Aw%2F@db.example.com:3307/my%20db?ssl-mode=verify-ca&ssl-ca=ca.pem")
                .unwrap();
        assert_eq!(config.user(), "a@b");
        assert_eq!(config.password.as_deref(), Some("p:w/"));
        assert_eq!((config.host.as_str(), config.port), ("db.example.com", 3307));
        assert_eq!(config.database, "my db");
        assert_eq!(config.ssl_mode, SslMode::VerifyCa);
        assert_eq!(config.ssl_ca.as_deref(), Some(Path::new("/base/ca.pem")));
        let config =
            parse("mariadb://[::1]/app?socket=/run/m.sock&connect-timeout=3&charset=UTF8MB4").unwrap();
        assert_eq!((config.host.as_str(), config.port), ("::1", 3306));
        assert_eq!(config.location(), "/run/m.sock/app");
        assert_eq!(config.connect_timeout, Duration::from_secs(3));
        assert_eq!(parse("mysql:///app").unwrap().location(), "localhost:3306/app");
    }

    #[test]
    fn what_is_wrong_is_refused_and_the_password_never_shown() {
        for url in [
            "mysql://root:secret@localhost",
            "mysql://root:secret@localhost/",
            "mysql://root:secret@localhost/a/b",
            "mysql://root:secret@localhost:port/a",
            "mysql://root:secret@localhost:99999/a",
            "mysql://root:secret@[::1/a",
            "mysql://root:secret@localhost/a?ssl-mode=maybe",
            "mysql://root:secret@localhost/a?ssl_mode=required",
            "mysql://root:secret@localhost/a?charset=latin1",
            "mysql://root:secret@localhost/a?connect-timeout=0",
            "mysql://root:secret%FF@localhost/a",
            "mysql:root:secret@localhost/a",
            "postgres://root:secret@localhost/a",
        ] {
            let error = parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
        let config = parse("mysql://root:secret@localhost/a").unwrap();
        assert!(!format!("{config:?} {}", config.location()).contains("secret"));
    }
}
