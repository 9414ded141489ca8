//! Loading what `mysqldump` and `mariadb-dump` have written, by the server's own client. What it needs to connect
//! is in a file of options that nobody else can read.

use std::fmt::Write as _;
use std::path::Path;

use async_trait::async_trait;
use walkback_core::dump::{DumpFormat, Dumps, Program};
use walkback_core::{Cx, Error, Result};

use crate::config::{Config, SslMode};
use crate::engine::MysqlEngine;

/// How the client is installed.
const PACKAGE: &str =
    "Debian and Ubuntu: `apt install default-mysql-client`, Homebrew: `brew install mysql-client`";

#[async_trait]
impl Dumps for MysqlEngine {
    fn program(&self, format: DumpFormat, _: bool) -> Result<Option<Program>> {
        if format != DumpFormat::MysqlSql {
            return Err(Error::unsupported(
                format!("loading a dump of another engine ({})", format.words()),
                "MySQL",
            ));
        }
        let names = match self.config.scheme {
            "mariadb" => vec!["mariadb", "mysql"],
            _ => vec!["mysql", "mariadb"],
        };
        let mut program = Program::new(names, PACKAGE);
        // No command of the client is understood in binary mode, and line ends in texts stay as they are.
        let arguments = [
            "--batch",
            "--binary-mode",
            "--default-character-set=utf8mb4",
            "--max-allowed-packet=1G",
        ];
        program.arguments = arguments.map(str::to_owned).to_vec();
        program
            .arguments
            .push(format!("--database={}", self.config.database));
        // MySQL's client would read the accounts of the user last, over everything that it is told.
        program
            .environment
            .push(("MYSQL_TEST_LOGIN_FILE", "/dev/null/none".to_owned()));
        program.options = Some(("--defaults-file=", options(&self.config)));
        Ok(Some(program))
    }

    async fn load(&self, _: &Cx, format: DumpFormat, _: &Path) -> Result<()> {
        Err(Error::unsupported(
            format!("loading the {} without the server's own program", format.words()),
            "MySQL",
        ))
    }
}

/// Returns the file of options. What the clients of MySQL and MariaDB do not both know is marked as optional.
fn options(config: &Config) -> String {
    let mut text = "[client]\n".to_owned();
    let mut set = |name: &str, value: &str| {
        let value = value
            .replace('\\', "\\\\")
            .replace('\n', "\\n")
            .replace('\r', "\\r")
            .replace('\t', "\\t");
        writeln!(text, "{name}=\"{value}\"").ok();
    };
    match config.socket() {
        Some(socket) => set("socket", &socket.display().to_string()),
        None => {
            set("host", config.host());
            set("port", &config.port().to_string());
            set("protocol", "tcp");
        }
    }
    if !config.user().is_empty() {
        set("user", config.user());
    }
    if let Some(password) = config.password() {
        set("password", password);
    }
    if let Some(file) = config.ssl_ca() {
        set("ssl-ca", &file.display().to_string());
    }
    let mode = match config.ssl_mode {
        SslMode::Disabled => "loose-ssl-mode=DISABLED\nloose-skip-ssl",
        SslMode::Preferred => "loose-ssl-mode=PREFERRED\nloose-skip-ssl-verify-server-cert",
        SslMode::Required => "loose-ssl-mode=REQUIRED\nloose-ssl\nloose-skip-ssl-verify-server-cert",
        SslMode::VerifyCa => "loose-ssl-mode=VERIFY_CA\nloose-ssl",
        SslMode::VerifyIdentity => "loose-ssl-mode=VERIFY_IDENTITY\nloose-ssl\nloose-ssl-verify-server-cert",
    };
    text.push_str(mode);
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_password_is_in_the_file_of_options_and_in_no_argument() {
        let url = "mariadb://alice:s%5Cec%22ret%23@db:3307/app?ssl-mode=required";
        let config = Arc::new(Config::parse(url, Path::new("/base")).unwrap());
        let engine = MysqlEngine { config };
        let program = engine.program(DumpFormat::MysqlSql, false).unwrap().unwrap();
        assert_eq!(program.names, ["mariadb", "mysql"]);
        let arguments = program.arguments.join(" ");
        assert!(!arguments.contains("ret") && arguments.contains("--database=app"));
        assert!(!format!("{program:?}").contains("ret#"));
        let (_, options) = program.options.unwrap();
        assert!(options.contains("password=\"s\\\\ec\"ret#\"\n"), "{options}");
        assert!(options.contains("host=\"db\"\nport=\"3307\"\n"), "{options}");
        assert!(options.contains("loose-ssl-mode=REQUIRED\n"), "{options}");
        assert!(engine.program(DumpFormat::PostgresTar, true).is_err());
    }
}
