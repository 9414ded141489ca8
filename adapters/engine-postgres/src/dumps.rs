//! Loading what `pg_dump` has written, by the programs it belongs to: `psql` for plain SQL, `pg_restore` for the
//! archives. Everything they need to connect is in libpq's own variables.

use std::path::Path;

use async_trait::async_trait;
use walkback_core::dump::{DumpFormat, Dumps, Program};
use walkback_core::{Cx, Error, Result};

use crate::config::{Config, SslMode};
use crate::engine::PostgresEngine;

/// How both are installed.
const PACKAGE: &str = "Debian and Ubuntu: `apt install postgresql-client`, Homebrew: `brew install libpq`";

/// How many tables of an archive are loaded at once.
const JOBS: &str = "--jobs=2";

#[async_trait]
impl Dumps for PostgresEngine {
    fn program(&self, format: DumpFormat, from_path: bool) -> Result<Option<Program>> {
        let mut program = match format {
            DumpFormat::PostgresSql => psql(),
            DumpFormat::PostgresCustom | DumpFormat::PostgresDirectory | DumpFormat::PostgresTar => {
                pg_restore(self.config(), format, from_path)
            }
            other => return Err(another(other)),
        };
        program.environment = variables(self.config())?;
        Ok(Some(program))
    }

    async fn load(&self, _: &Cx, format: DumpFormat, _: &Path) -> Result<()> {
        Err(Error::unsupported(
            format!("loading the {} without the server's own program", format.words()),
            "PostgreSQL",
        ))
    }
}

fn another(format: DumpFormat) -> Error {
    Error::unsupported(
        format!("loading a dump of another engine ({})", format.words()),
        "PostgreSQL",
    )
}

fn psql() -> Program {
    let mut program = Program::new(vec!["psql"], PACKAGE);
    program.arguments = words(&[
        "--no-psqlrc",
        "--quiet",
        "--no-password",
        "--set=ON_ERROR_STOP=1",
        "--single-transaction",
        "--output=/dev/null",
        "--file=-",
    ]);
    program
}

fn pg_restore(config: &Config, format: DumpFormat, from_path: bool) -> Program {
    let mut program = Program::new(vec!["pg_restore"], PACKAGE);
    program.arguments = words(&["--exit-on-error", "--no-password"]);
    program.takes_path = from_path;
    // A tar archive, and one that is read as it comes, can only be read once.
    if from_path && format != DumpFormat::PostgresTar {
        program.arguments.push(JOBS.to_owned());
    } else {
        program.arguments.push("--single-transaction".to_owned());
    }
    program.arguments.push(format!("--dbname={}", config.database()));
    program
}

fn words(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|argument| (*argument).to_owned()).collect()
}

/// Returns what libpq is told.
fn variables(config: &Config) -> Result<Vec<(&'static str, String)>> {
    let (hosts, ports): (Vec<_>, Vec<_>) = config
        .places()
        .into_iter()
        .map(|(host, port)| (host.to_owned(), port.to_string()))
        .unzip();
    let mut variables = vec![
        ("PGHOST", hosts.join(",")),
        ("PGPORT", ports.join(",")),
        ("PGUSER", config.user()?.to_owned()),
        ("PGDATABASE", config.database().to_owned()),
        ("PGSSLMODE", ssl_mode(config.ssl_mode).to_owned()),
        ("PGAPPNAME", "walkback".to_owned()),
        (
            "PGOPTIONS",
            "-cclient_min_messages=warning -cdefault_transaction_read_only=off".to_owned(),
        ),
    ];
    let path = |path: &Path| path.display().to_string();
    let given = [
        ("PGPASSWORD", config.password().map(str::to_owned)),
        ("PGPASSFILE", config.passfile.as_deref().map(path)),
        ("PGSSLROOTCERT", config.ssl_root.as_deref().map(path)),
        ("PGSSLCERT", config.ssl_certificate.as_deref().map(path)),
        ("PGSSLKEY", config.ssl_key.as_deref().map(path)),
    ];
    variables.extend(given.into_iter().filter_map(|(name, value)| Some((name, value?))));
    Ok(variables)
}

fn ssl_mode(mode: SslMode) -> &'static str {
    match mode {
        SslMode::Disable => "disable",
        SslMode::Allow => "allow",
        SslMode::Prefer => "prefer",
        SslMode::Require => "require",
        SslMode::VerifyCa => "verify-ca",
        SslMode::VerifyFull => "verify-full",
    }
}

#[cfg(test)]
mod tests {
    use walkback_core::{AdapterConfig, Environment};

    use super::*;

    fn engine(url: &str) -> PostgresEngine {
        let mut given = AdapterConfig::new("env.test", "/base");
        given.environment = Environment::default();
        PostgresEngine::new(Config::parse(url, &given).unwrap())
    }

    #[test]
    fn a_password_is_in_a_variable_and_in_no_argument() {
        let engine =
            engine("postgres://alice:s%20ecret@[::1]:6000/app?sslmode=verify-full&sslrootcert=ca.pem");
        for format in [
            DumpFormat::PostgresSql,
            DumpFormat::PostgresCustom,
            DumpFormat::PostgresTar,
        ] {
            let program = engine.program(format, true).unwrap().unwrap();
            assert!(program.arguments.iter().all(|word| !word.contains("ecret")));
            assert!(!format!("{program:?}").contains("ecret"));
            let value = |name| {
                program
                    .environment
                    .iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, value)| value.as_str())
            };
            assert_eq!(value("PGPASSWORD"), Some("s ecret"));
            assert_eq!((value("PGHOST"), value("PGPORT")), (Some("::1"), Some("6000")));
            assert_eq!(value("PGSSLROOTCERT"), Some("/base/ca.pem"));
        }
        let error = engine.program(DumpFormat::MysqlSql, true).unwrap_err();
        assert!(error.message().contains("mysqldump"), "{error}");
    }
}
