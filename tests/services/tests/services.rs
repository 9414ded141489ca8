//! Each way to come by a server, seen to lead to one that can be relied upon.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use walkback_services::{
    Database, Family, Found, Lifetime, Server, Service, Way, is_required, resolve, start,
};

type Check = fn(&Server);
type Life = fn(Service, Way);

/// What holds of every server, however it was come by.
const CHECKS: &[(&str, Check)] = &[
    ("fresh_databases_are_empty_and_differ", fresh_databases_differ),
    ("a_database_is_gone_after_its_test", gone_afterwards),
    ("a_database_in_use_is_dropped_all_the_same", dropped_while_in_use),
    ("an_account_can_be_made_and_used", makes_accounts),
    ("is_set_as_engines_have_to_cope_with", is_set_as_agreed),
    (
        "an_error_of_a_later_statement_is_seen",
        errors_of_later_statements,
    ),
    ("can_be_used_inside_a_runtime", inside_a_runtime),
    (CERTIFICATE, tls::verified),
];

/// The one that takes a server of which we know the authority.
const CERTIFICATE: &str = "its_certificate_is_of_its_authority";

/// What holds of a server that was started here.
const LIVES: &[(&str, Life)] = &[
    ("ends_when_it_is_dropped", ends_with_its_value),
    ("ends_when_its_process_is_killed", ends_with_its_process),
    ("stands_until_it_is_stopped", stands_until_stopped),
];

/// The argument by which this program becomes one that holds a server until it is killed.
const HOLD: &str = "hold-a-server-of";

#[path = "tls/mod.rs"]
mod tls;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(HOLD) {
        return hold(
            &arguments.next().unwrap_or_default(),
            &arguments.next().unwrap_or_default(),
        );
    }
    let mut trials = Vec::new();
    for service in Service::ALL {
        resolved(service, &mut trials);
        local(service, &mut trials);
    }
    containers(&mut trials);
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// The server that a suite gets: the same for all trials.
fn resolved(service: Service, trials: &mut Vec<Trial>) {
    let name = service.name();
    let found = resolve(service);
    match &found {
        Found::Ready(server) => note(&format!("{name}: {}", server.how())),
        Found::Absent(why) => note(&format!("{name} is absent: {why}")),
    }
    let absent = matches!(found, Found::Absent(_)) && !is_required(name);
    let authority = matches!(&found, Found::Ready(server) if server.tls_ca_file().is_some());
    for (statement, check) in CHECKS {
        let found = found.clone();
        let trial = Trial::test(format!("{name}::{statement}"), move || match &found {
            Found::Ready(server) => {
                check(server);
                Ok(())
            }
            Found::Absent(why) => Err(Failed::from(why.as_str())),
        });
        // Somebody else's server shows a certificate of whom it likes.
        let unknown = !absent && !authority && *statement == CERTIFICATE;
        trials.push(trial.with_ignored_flag(absent || unknown));
    }
}

/// A server of a local binary ends with what holds it.
fn local(service: Service, trials: &mut Vec<Trial>) {
    let absent = match start(service, Way::Local, Lifetime::Process) {
        Ok(_) => false,
        Err(error) => {
            note(&format!("{}: no local binary: {error:#}", service.name()));
            true
        }
    };
    for (statement, check) in LIVES {
        let name = format!("{}::local::{statement}", service.name());
        let trial = Trial::test(name, move || {
            check(service, Way::Local);
            Ok(())
        });
        trials.push(trial.with_ignored_flag(absent));
    }
}

/// A container by testcontainers: of MySQL, or of whatever else this machine has an image of.
fn containers(trials: &mut Vec<Trial>) {
    let candidates = [
        Service::Mysql,
        Service::PostgresNewest,
        Service::Postgres,
        Service::Mariadb,
    ];
    let mut reasons = Vec::new();
    let server = candidates.into_iter().find_map(|service| {
        start(service, Way::Container, Lifetime::Process)
            .map_err(|error| reasons.push(format!("{error:#}")))
            .ok()
    });
    match &server {
        Some(server) => note(&format!("testcontainers: {}", server.how())),
        None => note(&format!("testcontainers: {}", reasons.join("; "))),
    }
    let why = reasons.join("; ");
    let service = server.as_ref().map(Server::service);
    let ignored = server.is_none() && !is_required("testcontainers");
    let shared = Arc::new(Mutex::new(server));
    for (statement, check) in CHECKS {
        let (shared, why) = (Arc::clone(&shared), why.clone());
        let trial = Trial::test(format!("testcontainers::{statement}"), move || {
            let server = shared.lock().map_err(|_| "a trial before it panicked")?.clone();
            check(&server.ok_or(why.as_str())?);
            Ok(())
        });
        trials.push(trial.with_ignored_flag(ignored));
    }
    for (statement, check) in LIVES {
        let why = why.clone();
        let trial = Trial::test(format!("testcontainers::{statement}"), move || {
            check(service.ok_or(why.as_str())?, Way::Container);
            Ok(())
        });
        trials.push(trial.with_ignored_flag(ignored));
    }
}

fn fresh_databases_differ(server: &Server) {
    let (one, other) = (server.fresh_database(), server.fresh_database());
    assert_ne!(one.name(), other.name());
    assert_ne!(one.url(), other.url());
    one.run("CREATE TABLE t (a INT)").expect("a table");
    one.run("INSERT INTO t VALUES (7)").expect("a row");
    assert_eq!(one.ask("SELECT a FROM t").expect("a value"), Some("7".to_owned()));
    other.ask("SELECT a FROM t").expect_err("nobody made it there");
    assert_eq!(one.ask("SELECT NULL").expect("an answer"), None);
}

fn gone_afterwards(server: &Server) {
    let database = server.fresh_database();
    let url = database.url().to_owned();
    assert!(url.ends_with(database.name()), "{url}");
    assert!(exists(server, database.name()));
    let name = database.name().to_owned();
    drop(database);
    assert!(!exists(server, &name));
}

/// A test that leaves a connection in the middle of a transaction must not keep its database alive.
fn dropped_while_in_use(server: &Server) {
    let database = server.fresh_database();
    database.run("CREATE TABLE t (a INT)").expect("a table");
    let name = database.name().to_owned();
    let sleeper = thread::spawn({
        let (service, url) = (server.service(), database.url().to_owned());
        move || match service.family() {
            Family::Postgres => block(async {
                let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
                    .await
                    .expect("a connection");
                tokio::spawn(connection);
                client
                    .batch_execute("BEGIN; INSERT INTO t VALUES (1); SELECT pg_sleep(60)")
                    .await
                    .is_err()
            }),
            _ => block(async {
                use mysql_async::prelude::Queryable as _;
                let mut client = mysql_async::Conn::from_url(&url).await.expect("a connection");
                client
                    .query_drop("START TRANSACTION; INSERT INTO t VALUES (1); DO SLEEP(60)")
                    .await
                    .is_err()
            }),
        }
    });
    // Until it holds the table there is nothing to see.
    let busy = match server.service().family() {
        Family::Postgres => {
            format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND query LIKE '%sleep%'")
        }
        _ => format!(
            "SELECT count(*) FROM information_schema.processlist WHERE db = '{name}' AND info LIKE '%SLEEP%'"
        ),
    };
    until("the sleeper sleeps", || {
        server.ask(&busy).expect("an answer").as_deref() == Some("1")
    });
    let begin = Instant::now();
    drop(database);
    assert!(!exists(server, &name));
    assert!(
        begin.elapsed() < Duration::from_secs(15),
        "it waited for the sleeper"
    );
    assert!(
        sleeper.join().expect("a thread that ends"),
        "the sleeper was told"
    );
}

fn makes_accounts(server: &Server) {
    let database = server.fresh_database();
    let user = format!("u{:08x}", rand::random::<u32>());
    let (make, remove) = match server.service().family() {
        Family::Postgres => (
            format!("CREATE USER {user} PASSWORD 'it''s @ secret/'"),
            format!("DROP USER {user}"),
        ),
        _ => (
            format!("CREATE USER {user}@'%' IDENTIFIED BY 'it''s @ secret/'"),
            format!("DROP USER {user}"),
        ),
    };
    server.run(&make).expect("an account");
    let url = database.url_as(&user, "it's @ secret/");
    let wrong = database.url_as(&user, "wrong");
    if server.service().family() == Family::Postgres {
        walkback_services::answers(server.service(), &url).expect("the account is let in");
        walkback_services::answers(server.service(), &wrong).expect_err("a wrong password");
    } else {
        // Without a right to the database it is let in to the server only.
        let grant = format!("GRANT SELECT ON {}.* TO {user}", database.name());
        walkback_services::answers(server.service(), &url).expect_err("no right to the database");
        server.run(&grant).expect("a right");
        walkback_services::answers(server.service(), &url).expect("the account is let in");
        walkback_services::answers(server.service(), &wrong).expect_err("a wrong password");
    }
    server.run(&remove).expect("the account goes");
}

fn is_set_as_agreed(server: &Server) {
    let database = server.fresh_database();
    if server.service().family() == Family::Postgres {
        assert_eq!(ask(&database, "SHOW server_encoding"), "UTF8");
        assert_eq!(
            ask(
                &database,
                "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
            ),
            "t"
        );
        assert_eq!(ask(&database, "SELECT upper('é')"), "É");
        return;
    }
    assert_eq!(ask(&database, "SELECT @@character_set_database"), "utf8mb4");
    assert_eq!(ask(&database, "SELECT @@log_bin"), "1");
    assert_eq!(ask(&database, "SELECT @@local_infile"), "1");
}

fn errors_of_later_statements(server: &Server) {
    let database = server.fresh_database();
    let error = database
        .run("SELECT 1; CREATE TABLE t (a INT); SELECT nothing_of_that_name")
        .expect_err("the last statement fails");
    assert!(format!("{error:#}").contains("nothing_of_that_name"), "{error:#}");
}

fn inside_a_runtime(server: &Server) {
    block(async {
        let database = server.fresh_database();
        assert_eq!(ask(&database, "SELECT 1"), "1");
    });
}

fn ends_with_its_value(service: Service, way: Way) {
    let server = start(service, way, Lifetime::Process).expect("it starts again");
    let address = address(server.url());
    let ca = server.tls_ca_file().map(std::path::Path::to_path_buf);
    assert!(TcpStream::connect(&address).is_ok(), "it listens");
    drop(server);
    assert!(TcpStream::connect(&address).is_err(), "it is gone");
    let ca = ca.expect("it had a certificate");
    assert!(!ca.exists(), "`{}` is left", ca.display());
}

/// A test that is killed cannot drop anything.
fn ends_with_its_process(service: Service, way: Way) {
    let way = match way {
        Way::Container => "container",
        _ => "local",
    };
    let mut holder = Command::new(std::env::current_exe().expect("our own path"))
        .args([HOLD, service.name(), way])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("we start again");
    let mut lines = BufReader::new(holder.stdout.take().expect("a pipe")).lines();
    let url = lines.next().expect("a line").expect("text");
    let ca = lines.next().expect("a line").expect("text");
    let address = address(&url);
    assert!(TcpStream::connect(&address).is_ok(), "it listens");
    holder.kill().expect("it is killed");
    holder.wait().expect("it ends");
    until("the server ends", || TcpStream::connect(&address).is_err());
    until("its files go", || !std::path::Path::new(&ca).exists());
}

/// Holds a server until our input ends, or we are killed.
fn hold(service: &str, way: &str) -> ExitCode {
    let service = Service::of(service).expect("a service");
    let way = match way {
        "container" => Way::Container,
        _ => Way::Local,
    };
    let server = start(service, way, Lifetime::Process).expect("it starts");
    let ca = server.tls_ca_file().expect("it has a certificate").display();
    let mut out = std::io::stdout();
    writeln!(out, "{}\n{ca}", server.url()).expect("somebody listens");
    out.flush().expect("somebody listens");
    std::io::stdin().read_to_end(&mut Vec::new()).ok();
    ExitCode::SUCCESS
}

fn stands_until_stopped(service: Service, way: Way) {
    let server = start(service, way, Lifetime::Stopped).expect("it starts again");
    let address = address(server.url());
    let stopper = server.stopper().expect("it can be stopped").clone();
    drop(server);
    assert!(TcpStream::connect(&address).is_ok(), "it listens still");
    assert!(stopper.is_running().expect("an answer"));
    stopper.stop().expect("it stops");
    assert!(!stopper.is_running().expect("an answer"));
    assert!(TcpStream::connect(&address).is_err(), "it is gone");
    stopper.stop().expect("to stop what is gone is no error");
}

fn ask(database: &Database, sql: &str) -> String {
    database.ask(sql).expect("an answer").expect("a value")
}

fn exists(server: &Server, name: &str) -> bool {
    let sql = match server.service().family() {
        Family::Postgres => format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'"),
        _ => format!("SELECT count(*) FROM information_schema.schemata WHERE schema_name = '{name}'"),
    };
    server.ask(&sql).expect("an answer").as_deref() == Some("1")
}

fn address(url: &str) -> String {
    let url = url::Url::parse(url).expect("a URL");
    format!(
        "{}:{}",
        url.host_str().expect("a host"),
        url.port().expect("a port")
    )
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(30), "never: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

#[expect(clippy::print_stderr, reason = "a test binary tells what it does without")]
fn note(text: &str) {
    eprintln!("{text}");
}
