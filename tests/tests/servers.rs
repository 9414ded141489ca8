//! Servers that are not there, do not let us in, or do not let us do it.

use std::process::ExitCode;

use walkback_tests::{Backend, MYSQL, Output, POSTGRES, SERVERS, Sandbox, journeys};

fn main() -> ExitCode {
    walkback_tests::main(
        "servers",
        &journeys! {
            SERVERS => [
                a_wrong_password_is_said_to_be_wrong_and_never_shown,
                a_host_or_port_that_does_not_answer_is_named,
                a_database_that_does_not_exist_is_named,
                a_url_that_makes_no_sense_is_refused_before_anything_is_asked,
                a_right_that_is_missing_is_named_before_anything_changes,
                a_user_with_just_the_rights_that_are_needed_can_do_it_all,
            ],
            POSTGRES => [postgres_speaks_tls_as_asked],
            MYSQL => [mysql_speaks_tls_as_asked],
        },
    )
}

/// A migration applied, and a second one written.
fn begun(backend: Backend) -> Sandbox {
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(20)); INSERT INTO t VALUES (1, 'x');",
        "DROP TABLE t;",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.migration(
        "002_change",
        "ALTER TABLE t ADD COLUMN b INTEGER; UPDATE t SET b = 1;",
        "",
    );
    sandbox
}

/// Runs commands that must fail alike, say why with a hint, and give no password away.
fn refused(sandbox: &Sandbox, url: &str, password: &str) -> Output {
    let mut last = None;
    for arguments in [
        &["-u", url, "status"][..],
        &["-u", url, "up", "-y"],
        &["-u", url, "rollback", "-y"],
    ] {
        let output = sandbox.run(arguments);
        let said = output.transcript();
        assert!(matches!(output.code, Some(1 | 2)), "{said}");
        assert!(output.stderr.starts_with("error: "), "{said}");
        // What is wrong with a setting is said by naming what is right; all else needs a next step.
        assert!(
            output.code == Some(2) || output.stderr.contains("hint: "),
            "{said}"
        );
        assert!(output.stdout.is_empty(), "{said}");
        if !password.is_empty() {
            let shown = [format!(":{password}@"), format!("`{password}`")];
            assert!(
                !shown.iter().any(|shown| output.stderr.contains(shown)),
                "the password is shown: {said}"
            );
        }
        last = Some(output);
    }
    last.expect("there is one")
}

/// Returns a URL with something else in it.
fn changed(sandbox: &Sandbox, change: impl Fn(&mut Url)) -> String {
    let mut url = Url::of(&sandbox.url());
    change(&mut url);
    url.text()
}

/// The parts of a server's URL.
struct Url {
    scheme: String,
    user: String,
    password: String,
    host: String,
    port: String,
    database: String,
    query: String,
}

impl Url {
    fn of(url: &str) -> Self {
        let own = |text: &str| text.to_owned();
        let (scheme, rest) = url.split_once("://").expect("a scheme");
        let (account, rest) = rest.rsplit_once('@').expect("an account");
        let (user, password) = account.split_once(':').expect("a password");
        let (server, database) = rest.split_once('/').expect("a database");
        let (host, port) = server.split_once(':').expect("a port");
        Self {
            scheme: own(scheme),
            user: own(user),
            password: own(password),
            host: own(host),
            port: own(port),
            database: own(database),
            query: String::new(),
        }
    }

    fn text(&self) -> String {
        let Self {
            scheme,
            user,
            password,
            host,
            port,
            database,
            query,
        } = self;
        format!("{scheme}://{user}:{password}@{host}:{port}/{database}{query}")
    }
}

fn a_wrong_password_is_said_to_be_wrong_and_never_shown(backend: Backend) {
    let sandbox = begun(backend);
    let before = sandbox.contents();
    let url = changed(&sandbox, |url| url.password = "not-the-pass%2Fword".to_owned());
    let output = refused(&sandbox, &url, "not-the-pass");
    let user = Url::of(&sandbox.url()).user;
    assert!(
        output.stderr.contains("password") && output.stderr.contains(&user),
        "{}",
        output.transcript()
    );
    let unknown = changed(&sandbox, |url| url.user = "nobody_here".to_owned());
    let output = refused(&sandbox, &unknown, &Url::of(&sandbox.url()).password);
    assert!(output.stderr.contains("nobody_here"), "{}", output.transcript());
    sandbox.assert_contents(&before, "nothing was done");
}

fn a_host_or_port_that_does_not_answer_is_named(backend: Backend) {
    let sandbox = begun(backend);
    let password = Url::of(&sandbox.url()).password;
    let output = refused(
        &sandbox,
        &changed(&sandbox, |url| url.port = "1".to_owned()),
        &password,
    );
    assert!(output.stderr.contains("127.0.0.1:1"), "{}", output.transcript());
    let output = refused(
        &sandbox,
        &changed(&sandbox, |url| url.host = "no-such-host.invalid".to_owned()),
        &password,
    );
    assert!(
        output.stderr.contains("no-such-host.invalid"),
        "{}",
        output.transcript()
    );
    let json = sandbox.run(&[
        "-u",
        &changed(&sandbox, |url| url.port = "1".to_owned()),
        "status",
        "--json",
    ]);
    assert_eq!(
        json.json()["error"]["kind"],
        "unavailable",
        "{}",
        json.transcript()
    );
}

fn a_database_that_does_not_exist_is_named(backend: Backend) {
    let sandbox = begun(backend);
    let url = changed(&sandbox, |url| url.database = "no_such_database".to_owned());
    let output = refused(&sandbox, &url, &Url::of(&sandbox.url()).password);
    assert!(
        output.stderr.contains("no_such_database"),
        "{}",
        output.transcript()
    );
    let said = output.stderr.to_lowercase();
    assert!(
        said.contains("create database") || said.contains("createdb"),
        "{}",
        output.transcript()
    );
}

fn a_url_that_makes_no_sense_is_refused_before_anything_is_asked(backend: Backend) {
    let sandbox = begun(backend);
    let password = Url::of(&sandbox.url()).password;
    for (query, named) in [
        ("?no_such_option=1", "no_such_option"),
        ("?sslmode=sometimes&ssl-mode=sometimes", "mode"),
    ] {
        let url = changed(&sandbox, |url| url.query = query.to_owned());
        let output = refused(&sandbox, &url, &password);
        assert_eq!(output.code, Some(2), "{}", output.transcript());
        assert!(output.stderr.contains(named), "{}", output.transcript());
    }
    let url = changed(&sandbox, |url| url.port = "many".to_owned());
    let output = refused(&sandbox, &url, &password);
    assert_eq!(output.code, Some(2), "{}", output.transcript());
}

/// A user with few rights, gone at the end.
struct User<'a> {
    sandbox: &'a Sandbox,
    name: String,
}

impl<'a> User<'a> {
    fn create(sandbox: &'a Sandbox) -> Self {
        let name = format!("u_{}", sandbox.server().name());
        let name = name.chars().take(30).collect::<String>();
        let sql = if sandbox.backend().is_postgres() {
            format!("CREATE ROLE {name} LOGIN PASSWORD 'few rights'")
        } else {
            format!("CREATE USER {name}@'%' IDENTIFIED BY 'few rights'")
        };
        sandbox.server().administrate(&sql);
        Self { sandbox, name }
    }

    fn url(&self) -> String {
        self.sandbox.server().url_as(&self.name, "few rights")
    }

    fn grant(&self, rights: &[&str]) {
        for right in rights {
            let right = right
                .replace("$USER", &self.name)
                .replace("$DATABASE", self.sandbox.server().name());
            self.sandbox.sql(&right);
        }
    }
}

impl Drop for User<'_> {
    fn drop(&mut self) {
        let mut session = self.sandbox.session();
        let drops = if self.sandbox.backend().is_postgres() {
            format!(
                "REASSIGN OWNED BY {0} TO CURRENT_USER; DROP OWNED BY {0}; DROP ROLE {0}",
                self.name
            )
        } else {
            format!("DROP USER {}@'%'", self.name)
        };
        // A test that has failed says so itself.
        session.try_sql(&drops).ok();
    }
}

/// Rights to look at everything, and to write rows.
fn rows_only(backend: Backend) -> &'static [&'static str] {
    if backend.is_postgres() {
        &["GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO $USER"]
    } else {
        &["GRANT SELECT, INSERT, UPDATE, DELETE ON $DATABASE.* TO $USER@'%'"]
    }
}

fn a_right_that_is_missing_is_named_before_anything_changes(backend: Backend) {
    // On a database with a journal, and on one where even that is missing.
    for applied in [true, false] {
        let sandbox = begun(backend);
        if !applied {
            sandbox.ok(&["down", "-y"]);
            let mut session = sandbox.session();
            for table in session.own_tables().into_keys() {
                session.sql(&if backend.is_postgres() {
                    format!("DROP TABLE IF EXISTS {table} CASCADE")
                } else {
                    format!("SET FOREIGN_KEY_CHECKS = 0; DROP TABLE IF EXISTS {table}")
                });
            }
        }
        let user = User::create(&sandbox);
        user.grant(rows_only(backend));
        let before = sandbox.contents();
        let own = sandbox.session().own_tables();
        let url = user.url();
        let output = sandbox.run(&["-u", &url, "up", "-y"]);
        let said = output.transcript();
        assert!(!matches!(output.code, Some(0 | 4)), "{said}");
        let named = if backend.is_postgres() {
            output.stderr.contains("OWNER") || output.stderr.contains("GRANT")
        } else {
            output.stderr.contains("GRANT")
                && (output.stderr.contains("ALTER") || output.stderr.contains("CREATE"))
        };
        assert!(named, "the right is not named: {said}");
        assert!(!output.stderr.contains("few rights"), "the password is shown");
        sandbox.assert_contents(&before, &said);
        assert_eq!(sandbox.session().own_tables(), own, "{said}");
        // Who may only look, can look.
        sandbox.ok(&["-u", &url, "status"]);
        sandbox.ok(&["-u", &url, "up", "--dry-run"]);
    }
}

fn a_user_with_just_the_rights_that_are_needed_can_do_it_all(backend: Backend) {
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    let user = User::create(&sandbox);
    user.grant(if backend.is_postgres() {
        &["GRANT CREATE, USAGE ON SCHEMA public TO $USER"]
    } else {
        &["GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, CREATE VIEW, SHOW VIEW, LOCK TABLES, TRIGGER ON $DATABASE.* TO $USER@'%'"]
    });
    let url = user.url();
    let walkback = |arguments: &[&str]| sandbox.ok(&[&["-u", url.as_str()], arguments].concat());
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(20)); INSERT INTO t VALUES (1, 'x'); CREATE TABLE s (a INTEGER);\nCREATE VIEW v AS SELECT a FROM t;",
        "",
    );
    walkback(&["up", "-y"]);
    let before = sandbox.contents();
    sandbox.migration(
        "002_change",
        "UPDATE t SET a = 'y';\nALTER TABLE t DROP COLUMN id;\nDROP TABLE s;",
        "",
    );
    walkback(&["up", "-y"]);
    let after = sandbox.contents();
    walkback(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "walked back by the user");
    walkback(&["rollback", "-y"]);
    sandbox.assert_contents(&after, "and forward again");
    let backup = walkback(&["backup", "create", "--json"]).json();
    let id = backup["backup"]["id"].as_str().expect("an id").to_owned();
    walkback(&["rollback", "--to", "001", "-y"]);
    walkback(&["restore", &id, "-y"]);
    sandbox.assert_contents(&after, "restored by the user");
}

fn postgres_speaks_tls_as_asked(backend: Backend) {
    let sandbox = begun(backend);
    let ca = sandbox
        .server()
        .server()
        .tls_ca_file()
        .map(|path| path.display().to_string());
    let on = sandbox.value("SHOW ssl");
    let password = Url::of(&sandbox.url()).password;
    for (mode, works) in [
        ("disable", true),
        ("prefer", true),
        ("allow", true),
        ("require", on == "on"),
        ("verify-full", false),
    ] {
        let url = changed(&sandbox, |url| url.query = format!("?sslmode={mode}"));
        if works {
            sandbox.ok(&["-u", &url, "status"]);
        } else {
            // Nobody has signed this server's certificate whom this machine knows.
            let output = refused(&sandbox, &url, &password);
            let said = output.stderr.to_lowercase();
            assert!(
                said.contains("certificate") || said.contains("tls"),
                "{}",
                output.transcript()
            );
        }
    }
    if let Some(ca) = ca.filter(|_| on == "on") {
        let url = changed(&sandbox, |url| {
            url.query = format!("?sslmode=verify-full&sslrootcert={ca}")
        });
        sandbox.ok(&["-u", &url, "status"]);
    }
}

fn mysql_speaks_tls_as_asked(backend: Backend) {
    let sandbox = begun(backend);
    let password = Url::of(&sandbox.url()).password;
    let can = sandbox.value("SELECT COUNT(*) FROM (SELECT @@ssl_cert AS c) AS s WHERE c <> ''") == "1";
    for (mode, works) in [
        ("disabled", true),
        ("preferred", true),
        ("required", can),
        ("verify-identity", false),
    ] {
        let url = changed(&sandbox, |url| url.query = format!("?ssl-mode={mode}"));
        if works {
            sandbox.ok(&["-u", &url, "status"]);
        } else {
            let output = refused(&sandbox, &url, &password);
            let said = output.stderr.to_lowercase();
            let named = if can {
                said.contains("certificate") || said.contains("tls")
            } else {
                said.contains("no encryption")
            };
            assert!(named, "{}", output.transcript());
        }
    }
    if !can {
        return;
    }
    // A user who must come over TLS.
    let user = User::create(&sandbox);
    user.grant(&[
        "GRANT ALL ON $DATABASE.* TO $USER@'%'",
        "ALTER USER $USER@'%' REQUIRE SSL",
    ]);
    let output = refused(
        &sandbox,
        &format!("{}?ssl-mode=disabled", user.url()),
        "few rights",
    );
    assert!(
        !format!("{}{}", output.stdout, output.stderr).contains("few%20rights"),
        "the password is shown"
    );
    sandbox.ok(&["-u", &format!("{}?ssl-mode=required", user.url()), "status"]);
}
