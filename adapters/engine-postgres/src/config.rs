//! The URL of a PostgreSQL database, what its parameters mean, and what fills the gaps it leaves.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::config::{ChannelBinding, TargetSessionAttrs};
use walkback_core::engine::Login;
use walkback_core::{AdapterConfig, Environment, Error, Result};

/// How long opening a connection may take, unless the URL says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The parameters a URL may have, for messages.
const PARAMETERS: &str = "host, port, user, password, dbname, passfile, sslmode, sslrootcert, sslcert, sslkey, \
                          connect_timeout, application_name, options, search_path (or schema), \
                          target_session_attrs, channel_binding";

/// How much TLS is asked for, in the words of libpq.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SslMode {
    /// No TLS.
    Disable,
    /// TLS only if the server refuses without.
    Allow,
    /// TLS if the server has it.
    Prefer,
    /// TLS, whoever the server is.
    Require,
    /// TLS, and a certificate that a known authority has signed.
    VerifyCa,
    /// TLS, and such a certificate for this host.
    VerifyFull,
}

impl SslMode {
    /// Returns libpq's word for it.
    fn word(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Allow => "allow",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

/// Everything that is known of a database before a connection is opened.
#[derive(Clone)]
pub(crate) struct Config {
    /// The scheme of the URL, for messages.
    pub(crate) scheme: &'static str,
    hosts: Vec<String>,
    ports: Vec<u16>,
    user: Option<String>,
    password: Option<String>,
    pub(crate) database: Option<String>,
    pub(crate) passfile: Option<PathBuf>,
    pub(crate) ssl_mode: SslMode,
    pub(crate) ssl_root: Option<PathBuf>,
    pub(crate) ssl_certificate: Option<PathBuf>,
    pub(crate) ssl_key: Option<PathBuf>,
    connect_timeout: Duration,
    application_name: Option<String>,
    options: Option<String>,
    search_path: Option<String>,
    target: TargetSessionAttrs,
    channel_binding: ChannelBinding,
    base: PathBuf,
}

/// Without the password, and without what could hold one.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("location", &self.location())
            .field("ssl_mode", &self.ssl_mode)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// Reads a URL such as `postgres://user@host:5432/database?sslmode=verify-full`. What it leaves out is
    /// taken from the environment, as libpq does.
    pub(crate) fn parse(url: &str, given: &AdapterConfig) -> Result<Self> {
        let (scheme, rest) = url
            .split_once(':')
            .filter(|(scheme, _)| crate::SCHEMES.contains(scheme))
            .ok_or_else(|| not_a_url("it does not begin with `postgres://`"))?;
        let rest = rest.strip_prefix("//").ok_or_else(|| {
            not_a_url("`//` is missing after the scheme").hint("write it as `postgres://user@host/database`")
        })?;
        let mut config = Self::empty(
            if scheme == "postgresql" {
                "postgresql"
            } else {
                "postgres"
            },
            &given.base,
        );
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        config.read_place(place)?;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            config.set(&decode(key)?, &decode(value)?)?;
        }
        config.fill_from(&given.environment, query)?;
        Ok(config)
    }

    fn empty(scheme: &'static str, base: &Path) -> Self {
        Self {
            scheme,
            hosts: Vec::new(),
            ports: Vec::new(),
            user: None,
            password: None,
            database: None,
            passfile: None,
            ssl_mode: SslMode::Prefer,
            ssl_root: None,
            ssl_certificate: None,
            ssl_key: None,
            connect_timeout: CONNECT_TIMEOUT,
            application_name: None,
            options: None,
            search_path: None,
            target: TargetSessionAttrs::Any,
            channel_binding: ChannelBinding::Prefer,
            base: base.to_owned(),
        }
    }

    /// Reads `user:password@host:port,host:port/database`.
    fn read_place(&mut self, place: &str) -> Result<()> {
        let (authority, database) = match place.split_once('/') {
            Some((authority, database)) => (authority, Some(database)),
            None => (place, None),
        };
        if let Some(database) = database.filter(|database| !database.is_empty()) {
            self.database = Some(decode(database)?);
        }
        let (login, hosts) = authority
            .rsplit_once('@')
            .map_or((None, authority), |(login, hosts)| (Some(login), hosts));
        if let Some(login) = login {
            let (user, password) = login
                .split_once(':')
                .map_or((login, None), |(user, password)| (user, Some(password)));
            if !user.is_empty() {
                self.user = Some(decode(user)?);
            }
            self.password = password.map(decode).transpose()?;
        }
        for host in hosts.split(',').filter(|host| !host.is_empty()) {
            let (host, port) = host_and_port(host)?;
            self.hosts.push(decode(host)?);
            self.ports.extend(port);
        }
        if !self.ports.is_empty() && self.ports.len() != 1 && self.ports.len() != self.hosts.len() {
            return Err(not_a_url(
                "of several hosts, either all have a port or one port is for all",
            ));
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "host" => self.hosts = value.split(',').map(str::to_owned).collect(),
            "port" => self.ports = value.split(',').map(port).collect::<Result<_>>()?,
            "user" => self.user = Some(value.to_owned()),
            "password" => self.password = Some(value.to_owned()),
            "dbname" => self.database = Some(value.to_owned()),
            "passfile" => self.passfile = Some(self.base.join(value)),
            "sslmode" => self.ssl_mode = ssl_mode(value)?,
            "sslrootcert" => self.ssl_root = Some(self.certificate(value)),
            "sslcert" => self.ssl_certificate = Some(self.base.join(value)),
            "sslkey" => self.ssl_key = Some(self.base.join(value)),
            "connect_timeout" => self.connect_timeout = seconds(value)?,
            "application_name" => self.application_name = Some(value.to_owned()),
            "options" => self.options = Some(value.to_owned()),
            "search_path" | "schema" => self.search_path = Some(value.to_owned()),
            "target_session_attrs" => {
                self.target = match value {
                    "any" => TargetSessionAttrs::Any,
                    "read-write" => TargetSessionAttrs::ReadWrite,
                    _ => return Err(not_one_of(key, value, "`any` or `read-write`")),
                }
            }
            "channel_binding" => {
                self.channel_binding = match value {
                    "disable" => ChannelBinding::Disable,
                    "prefer" => ChannelBinding::Prefer,
                    "require" => ChannelBinding::Require,
                    _ => return Err(not_one_of(key, value, "`disable`, `prefer` or `require`")),
                }
            }
            _ => {
                return Err(not_a_url(&format!("it has an unknown parameter `{key}`"))
                    .hint(format!("the parameters are: {PARAMETERS}")));
            }
        }
        Ok(())
    }

    /// `system` means the authorities the operating system trusts.
    fn certificate(&self, value: &str) -> PathBuf {
        if value == "system" {
            PathBuf::from(value)
        } else {
            self.base.join(value)
        }
    }

    /// Fills what the URL leaves out from libpq's variables.
    fn fill_from(&mut self, environment: &Environment, query: &str) -> Result<()> {
        let in_url = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
        let absent = [
            (self.hosts.is_empty(), "PGHOST", "host"),
            (self.ports.is_empty(), "PGPORT", "port"),
            (self.user.is_none(), "PGUSER", "user"),
            (self.database.is_none(), "PGDATABASE", "dbname"),
            (self.password.is_none(), "PGPASSWORD", "password"),
            (self.passfile.is_none(), "PGPASSFILE", "passfile"),
            (!in_url("sslmode"), "PGSSLMODE", "sslmode"),
            (self.ssl_root.is_none(), "PGSSLROOTCERT", "sslrootcert"),
            (self.ssl_certificate.is_none(), "PGSSLCERT", "sslcert"),
            (self.ssl_key.is_none(), "PGSSLKEY", "sslkey"),
            (!in_url("connect_timeout"), "PGCONNECT_TIMEOUT", "connect_timeout"),
            (self.application_name.is_none(), "PGAPPNAME", "application_name"),
            (self.options.is_none(), "PGOPTIONS", "options"),
            (
                !in_url("target_session_attrs"),
                "PGTARGETSESSIONATTRS",
                "target_session_attrs",
            ),
            (!in_url("channel_binding"), "PGCHANNELBINDING", "channel_binding"),
        ];
        for (is_absent, variable, key) in absent {
            if let Some(value) = environment.get(variable).filter(|_| is_absent) {
                self.set(key, &value)
                    .map_err(|error| error.wrap(format!("the variable `{variable}` cannot be used")))?;
            }
        }
        let home = environment.get("HOME").map(PathBuf::from);
        if self.passfile.is_none() {
            self.passfile = home.as_ref().map(|home| home.join(".pgpass"));
        }
        if self.ssl_root.is_none() {
            let usual = home.map(|home| home.join(".postgresql/root.crt"));
            self.ssl_root = usual.filter(|file| file.is_file());
        }
        if self.user.is_none() {
            self.user = environment.get("USER").or_else(|| environment.get("LOGNAME"));
        }
        Ok(())
    }

    /// Returns the same settings for another database of the server.
    pub(crate) fn for_database(&self, database: &str) -> Self {
        Self {
            database: Some(database.to_owned()),
            ..self.clone()
        }
    }

    /// Returns the same settings for the server at the socket in a folder, which asks nobody for a password.
    pub(crate) fn at_socket(&self, folder: &str, port: u16) -> Self {
        Self {
            hosts: vec![folder.to_owned()],
            ports: vec![port],
            password: None,
            passfile: None,
            ssl_mode: SslMode::Disable,
            ssl_root: None,
            ssl_certificate: None,
            ssl_key: None,
            // It needs TLS, and a socket has none.
            channel_binding: ChannelBinding::Disable,
            ..self.clone()
        }
    }

    /// Returns the user.
    pub(crate) fn user(&self) -> Result<&str> {
        self.user.as_deref().ok_or_else(|| {
            Error::config("nobody says as which user to connect to PostgreSQL")
                .hint("write it as `postgres://user@host/database`, or set `PGUSER`")
        })
    }

    /// Returns what libpq, and what builds on it, needs to connect to the same database.
    pub(crate) fn login(&self) -> Login {
        let mut login = Login::to(self.database());
        login.host = self.hosts.first().cloned();
        login.port = self.ports.first().copied();
        login.user = self.user().ok().map(str::to_owned);
        login.password.clone_from(&self.password);
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let search_path = self.search_path.as_ref().map(|path| {
            let escaped = path.replace('\\', "\\\\").replace(' ', "\\ ");
            format!("-csearch_path={escaped}")
        });
        let options: Vec<String> = self.options.clone().into_iter().chain(search_path).collect();
        let parameters = [
            ("sslmode", Some(self.ssl_mode.word().to_owned())),
            ("sslrootcert", path(&self.ssl_root)),
            ("sslcert", path(&self.ssl_certificate)),
            ("sslkey", path(&self.ssl_key)),
            ("passfile", path(&self.passfile)),
            ("options", (!options.is_empty()).then(|| options.join(" "))),
        ];
        let given = parameters
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        login.parameters.extend(given);
        login
    }

    /// Returns the database: the one of the user's name if none is named.
    pub(crate) fn database(&self) -> &str {
        self.database
            .as_deref()
            .or(self.user.as_deref())
            .unwrap_or_default()
    }

    /// Returns the password, if the URL or the environment gives it.
    pub(crate) fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    /// Returns each host with its port.
    pub(crate) fn places(&self) -> Vec<(&str, u16)> {
        let hosts: Vec<&str> = match self.hosts.as_slice() {
            [] => vec!["localhost"],
            hosts => hosts.iter().map(String::as_str).collect(),
        };
        let port = |index: usize| match self.ports.as_slice() {
            [] => 5432,
            [only] => *only,
            ports => ports.get(index).copied().unwrap_or(5432),
        };
        hosts
            .into_iter()
            .enumerate()
            .map(|(index, host)| (host, port(index)))
            .collect()
    }

    /// Says where the database is, without a password.
    pub(crate) fn location(&self) -> String {
        let places: Vec<_> = self
            .places()
            .into_iter()
            .map(|(host, port)| {
                if host.contains(':') {
                    format!("[{host}]:{port}")
                } else {
                    format!("{host}:{port}")
                }
            })
            .collect();
        format!("{}/{}", places.join(","), self.database())
    }

    /// Returns the settings of a connection, without host, TLS and password.
    pub(crate) fn connection(&self) -> Result<tokio_postgres::Config> {
        let mut connection = tokio_postgres::Config::new();
        connection
            .user(self.user()?)
            .dbname(self.database())
            .connect_timeout(self.connect_timeout)
            .application_name(self.application_name.as_deref().unwrap_or("walkback"))
            .target_session_attrs(self.target)
            .channel_binding(self.channel_binding);
        let mut options = self.options.clone().unwrap_or_default();
        if let Some(path) = &self.search_path {
            // In the packet that opens the connection a blank ends an option, unless it is escaped.
            let path = path.replace('\\', "\\\\").replace(' ', "\\ ");
            options.push_str(&format!(" -csearch_path={path}"));
        }
        if !options.trim().is_empty() {
            connection.options(options.trim());
        }
        Ok(connection)
    }
}

fn host_and_port(text: &str) -> Result<(&str, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest
            .split_once(']')
            .ok_or_else(|| not_a_url("`]` is missing after the address"))?;
        return match rest.strip_prefix(':') {
            Some(number) => Ok((host, Some(port(number)?))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(not_a_url("after the address comes something else than a port")),
        };
    }
    match text.split_once(':') {
        Some((host, number)) => Ok((host, Some(port(number)?))),
        None => Ok((text, None)),
    }
}

fn port(text: &str) -> Result<u16> {
    text.parse().ok().filter(|port| *port > 0).ok_or_else(|| {
        not_a_url(&format!("`{text}` is not a port"))
            .hint("a port is a number up to 65535; write a `:`, `@`, `/` or `#` of the password with `%`")
    })
}

fn seconds(text: &str) -> Result<Duration> {
    let seconds = text
        .parse::<u64>()
        .map_err(|_| not_one_of("connect_timeout", text, "a number of seconds"))?;
    // For libpq, zero is for ever.
    Ok(Duration::from_secs(if seconds == 0 {
        24 * 60 * 60
    } else {
        seconds
    }))
}

fn ssl_mode(text: &str) -> Result<SslMode> {
    Ok(match text {
        "disable" => SslMode::Disable,
        "allow" => SslMode::Allow,
        "prefer" => SslMode::Prefer,
        "require" => SslMode::Require,
        "verify-ca" => SslMode::VerifyCa,
        "verify-full" => SslMode::VerifyFull,
        _ => {
            let words = "`disable`, `allow`, `prefer`, `require`, `verify-ca` or `verify-full`";
            return Err(not_one_of("sslmode", text, words));
        }
    })
}

/// The URL itself is never shown: it may hold a password.
fn not_a_url(why: &str) -> Error {
    Error::config(format!("this is not the URL of a PostgreSQL database: {why}"))
}

fn not_one_of(key: &str, value: &str, words: &str) -> Error {
    not_a_url(&format!("`{key}` is {words}, not `{value}`"))
}

fn decode(text: &str) -> Result<String> {
    let decoded = percent_decode_str(text)
        .decode_utf8()
        .map_err(|error| not_a_url("what is written with `%` in it is not UTF-8").with_source(error))?;
    if decoded.contains('\0') {
        return Err(not_a_url("it holds a zero byte"));
    }
    Ok(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use walkback_core::ErrorKind;

    use super::*;

    fn parse_in(url: &str, variables: &'static [(&str, &str)]) -> Result<Config> {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let given = AdapterConfig::new("--url", "/base").in_environment(Environment::new(lookup));
        Config::parse(url, &given)
    }

    fn parse(url: &str) -> Result<Config> {
        parse_in(url, &[])
    }

    #[test]
    fn a_url_says_where_and_who() {
        for (url, location) in [
            ("postgres://u:p@h:1234/d", "h:1234/d"),
            ("postgresql://u@h/d", "h:5432/d"),
            ("postgres://u@h", "h:5432/u"),
            ("postgres://u@[::1]:99/d", "[::1]:99/d"),
            ("postgres://u@a:1,b:2/d", "a:1,b:2/d"),
            ("postgres://u@/d?host=/run/pg", "/run/pg:5432/d"),
            ("postgres://u%40x:p%2F%3A@h/d%20e", "h:5432/d e"),
            ("postgres:///d", "localhost:5432/d"),
        ] {
            assert_eq!(parse(url).unwrap().location(), location, "{url}");
        }
        let config = parse("postgres://u%40x:p%2F%3A@h/d").unwrap();
        assert_eq!(config.user().unwrap(), "u@x");
        assert_eq!(config.password(), Some("p/:"));
        assert!(!format!("{config:?}").contains("p/:"));
        assert!(parse("postgres:///d").unwrap().user().is_err());
    }

    #[test]
    fn the_environment_fills_what_the_url_leaves_out() {
        let variables = &[
            ("PGHOST", "eh"),
            ("PGPORT", "77"),
            ("PGUSER", "eu"),
            ("PGPASSWORD", "ep"),
            ("PGDATABASE", "ed"),
            ("PGSSLMODE", "require"),
            ("HOME", "/h/x"),
        ];
        let all = parse_in("postgres://", variables).unwrap();
        assert_eq!(all.location(), "eh:77/ed");
        assert_eq!((all.user().unwrap(), all.password()), ("eu", Some("ep")));
        assert_eq!(all.ssl_mode, SslMode::Require);
        assert_eq!(all.passfile.as_deref(), Some(Path::new("/h/x/.pgpass")));
        let none = parse_in("postgres://u:p@h:1/d?sslmode=disable", variables).unwrap();
        assert_eq!(none.location(), "h:1/d");
        assert_eq!((none.user().unwrap(), none.password()), ("u", Some("p")));
        assert_eq!(none.ssl_mode, SslMode::Disable);
        let error = parse_in("postgres://", &[("PGPORT", "many")]).unwrap_err();
        assert!(error.message().contains("PGPORT"), "{error:?}");
    }

    #[test]
    fn bad_urls_are_refused_and_never_repeat_a_password() {
        for url in [
            "postgres:d",
            "postgres://u:secret@h:port/d",
            "postgres://u:secret@h/d?sslmod=require",
            "postgres://u:secret@h/d?sslmode=maybe",
            "postgres://u:secret@h/d?target_session_attrs=standby",
            "postgres://u:secret@h/d?connect_timeout=soon",
            "postgres://u:secret@h/d%FF",
            "postgres://u:secret@h/d%00",
            "postgres://u:secret@h:0/d",
            "postgres://u:secret@[::1/d",
            "postgres://u:secret@a:1,b:2,c/d",
            "mysql://u:secret@h/d",
        ] {
            let error = parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(!format!("{error:?}").contains("secret"), "{url}");
        }
    }

    #[test]
    fn the_search_path_is_an_option_of_the_connection() {
        let config = parse("postgres://u@h/d?schema=app,%20public&options=-cwork_mem=1MB").unwrap();
        let connection = config.connection().unwrap();
        assert_eq!(
            connection.get_options(),
            Some("-cwork_mem=1MB -csearch_path=app,\\ public")
        );
    }
}
