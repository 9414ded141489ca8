//! What only a server does: encryption and logins, statements that are stopped, rights that are missing.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use support::{Kind, Place};
use walkback_core::engine::{Begin, LockHolder, SessionExt as _};
use walkback_core::name::ObjectKind;
use walkback_core::statement::Action;
use walkback_core::{Access, Cx, Error, ErrorKind, Result, Session, TableName};

/// A statement that is stopped must be stopped in less than this.
const SOON: Duration = Duration::from_secs(15);

fn cx() -> Cx {
    Cx::background()
}

async fn run(session: &mut dyn Session, sql: &str) -> Result<u64> {
    session.execute(&cx(), sql, &[]).await
}

async fn text(session: &mut dyn Session, sql: &str) -> Result<String> {
    let rows = session.fetch_all(&cx(), sql, &[]).await?;
    let cell = rows.first().and_then(|row| row.last());
    Ok(cell.and_then(|cell| cell.as_str()).unwrap_or_default().to_owned())
}

async fn each(check: impl AsyncFn(Kind, Place) -> Result<()>) -> Result<()> {
    for kind in Kind::ALL {
        match Place::new(kind) {
            Ok(place) => check(kind, place).await?,
            Err(why) => support::absent(kind, &why)?,
        }
    }
    Ok(())
}

/// A user of a name of its own, gone when dropped.
struct User<'p> {
    place: &'p Place,
    name: String,
}

impl<'p> User<'p> {
    fn new(place: &'p Place, identified: &str) -> std::result::Result<Self, String> {
        let name = format!("wb_{:012x}", rand::random::<u64>() & 0xffff_ffff_ffff);
        place.administer(&format!("CREATE USER '{name}'@'%' IDENTIFIED {identified}"))?;
        Ok(Self { place, name })
    }

    fn may(&self, rights: &str) {
        let database = &self.place.database;
        let sql = format!("GRANT {rights} ON {database}.* TO '{}'@'%'", self.name);
        self.place.administer(&sql).expect("the right can be granted");
    }

    fn url(&self, parameters: &str) -> String {
        format!("{}{parameters}", self.place.url_as(&self.name, "p@ss"))
    }
}

impl Drop for User<'_> {
    fn drop(&mut self) {
        self.place
            .administer(&format!("DROP USER IF EXISTS '{}'@'%'", self.name))
            .ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_log_in_by_every_plugin_that_the_driver_has() -> Result<()> {
    each(async |kind, place| {
        let plugins: &[&str] = match kind {
            Kind::Mysql => &["WITH caching_sha2_password BY 'p@ss'"],
            Kind::Mariadb => &[
                "VIA mysql_native_password USING PASSWORD('p@ss')",
                "VIA ed25519 USING PASSWORD('p@ss')",
            ],
        };
        for plugin in plugins {
            let user = match User::new(&place, plugin) {
                Ok(user) => user,
                // The plugin is not installed on every server.
                Err(why) if plugin.contains("ed25519") && why.contains("ed25519") => {
                    place
                        .administer("INSTALL SONAME 'auth_ed25519'")
                        .expect("the plugin can be installed");
                    User::new(&place, plugin).expect("the user can be created")
                }
                Err(why) => panic!("{plugin}: {why}"),
            };
            user.may("SELECT");
            for mode in ["disabled", "preferred"] {
                let engine = support::open(&user.url(&format!("?ssl-mode={mode}")));
                let mut session = engine.connect(&cx(), Access::Read).await?;
                assert!(
                    text(&mut *session, "SELECT CURRENT_USER()")
                        .await?
                        .starts_with(&user.name)
                );
            }
            let wrong = place.url_as(&user.name, "wrong");
            let error = support::open(&wrong)
                .connect(&cx(), Access::Read)
                .await
                .expect_err("a wrong password");
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:?}");
            assert!(!format!("{error:?}").contains("wrong"), "{error:?}");
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_encrypted_as_the_url_says() -> Result<()> {
    each(async |_, place| {
        let mut plain = place.engine().connect(&cx(), Access::Read).await?;
        let offers = text(&mut *plain, "SHOW VARIABLES LIKE 'have_ssl'").await?;
        let certificate = text(&mut *plain, "SHOW VARIABLES LIKE 'ssl_cert'").await?;
        let offers = offers == "YES" || !certificate.is_empty();
        let open = |mode: &str| support::open(&format!("{}?ssl-mode={mode}", place.url()));
        let cipher = "SHOW STATUS LIKE 'Ssl_cipher'";
        let mut off = open("disabled").connect(&cx(), Access::Read).await?;
        assert_eq!(text(&mut *off, cipher).await?, "");
        let required = open("required").connect(&cx(), Access::Read).await;
        if offers {
            assert_ne!(text(&mut *required?, cipher).await?, "");
            // Nobody whom the web trusts has signed for this server.
            let error = open("verify-identity")
                .connect(&cx(), Access::Read)
                .await
                .expect_err("a stranger");
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        } else {
            let error = required.expect_err("the server offers no encryption");
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
            open("preferred").connect(&cx(), Access::Read).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_there_is_named_with_the_statement_that_makes_it() -> Result<()> {
    each(async |_, place| {
        let engine = support::open(&format!("{}_missing", place.url()));
        for access in [Access::Write, Access::Read] {
            let error = engine.connect(&cx(), access).await.expect_err("there is none");
            assert_eq!(error.kind(), ErrorKind::NotFound);
            assert!(error.hints()[0].contains("CREATE DATABASE"), "{error:?}");
        }
        Ok(())
    })
    .await
}

async fn many_rows(place: &Place) -> Result<Box<dyn Session>> {
    let mut session = place.engine().connect(&cx(), Access::Write).await?;
    run(
        &mut *session,
        "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, n INT NOT NULL, s VARCHAR(200))",
    )
    .await?;
    run(&mut *session, "INSERT INTO t (n, s) VALUES (1, REPEAT('x', 200))").await?;
    for _ in 0..16 {
        run(&mut *session, "INSERT INTO t (n, s) SELECT n, s FROM t").await?;
    }
    Ok(session)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_change_is_stopped_and_leaves_everything_as_it_was() -> Result<()> {
    each(async |_, place| {
        let mut session = many_rows(&place).await?;
        let before = session.schema(&cx()).await?;
        for (sql, delay) in [
            ("UPDATE t SET n = n + 1 + SLEEP(0.01)", 300),
            ("ALTER TABLE t ADD COLUMN m INT, ALGORITHM = COPY", 60),
        ] {
            let context = cx();
            let canceller = context.canceller();
            let start = Instant::now();
            let (outcome, ()) = tokio::join!(session.execute(&context, sql, &[]), async {
                tokio::time::sleep(Duration::from_millis(delay)).await;
                canceller.cancel();
            });
            assert!(
                start.elapsed() < SOON,
                "{sql}: it took {:?} to stop",
                start.elapsed()
            );
            let error = outcome.expect_err("it was stopped");
            assert_eq!(error.kind(), ErrorKind::Interrupted, "{sql}: {error:?}");
            let changed = session
                .fetch_all(&cx(), "SELECT COUNT(*) FROM t WHERE n <> 1", &[])
                .await?;
            assert_eq!(changed[0][0].as_i64(), Some(0), "{sql}");
            assert_eq!(before.hash(), session.schema(&cx()).await?.hash(), "{sql}");
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_comes_too_late_does_not_hit_the_next_statement() -> Result<()> {
    each(async |_, place| {
        let mut session = place.engine().connect(&cx(), Access::Write).await?;
        for round in 0..30_u64 {
            let context = cx().with_timeout(Duration::from_micros(200 * round));
            // It may or may not come in time; what follows must not notice.
            session.execute(&context, "DO SLEEP(0.002)", &[]).await.ok();
            run(&mut *session, "DO 1 + 1").await?;
            assert_eq!(text(&mut *session, "SELECT 'whole'").await?, "whole");
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_inside_a_transaction_is_known_to_commit_it() -> Result<()> {
    each(async |_, place| {
        let mut session = place.engine().connect(&cx(), Access::Write).await?;
        run(&mut *session, "CREATE TABLE t (id INT PRIMARY KEY)").await?;
        session.begin(&cx(), Begin::Write).await?;
        run(&mut *session, "INSERT INTO t VALUES (1)").await?;
        assert!(
            run(&mut *session, "ALTER TABLE t ADD COLUMN id INT")
                .await
                .is_err()
        );
        session.commit(&cx()).await?;
        session.begin(&cx(), Begin::Write).await?;
        run(&mut *session, "INSERT INTO t VALUES (2)").await?;
        session.rollback(&cx()).await?;
        let rows = session.fetch_all(&cx(), "SELECT COUNT(*) FROM t", &[]).await?;
        assert_eq!(
            rows[0][0].as_i64(),
            Some(1),
            "a failed definition commits as well"
        );
        Ok(())
    })
    .await
}

/// The driver would take `:name` for a parameter, and change the text that it sends.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_reaches_the_server_as_it_is_written() -> Result<()> {
    each(async |_, place| {
        let mut session = place.engine().connect(&cx(), Access::Write).await?;
        run(&mut *session, "CREATE TABLE t (id INT PRIMARY KEY, s TEXT)").await?;
        let odd = "INSERT INTO t /* don't */ VALUES (1, ':name ? :other') -- it's :this";
        assert_eq!(run(&mut *session, odd).await?, 1);
        assert_eq!(
            text(&mut *session, "SELECT s FROM t /* ' */ WHERE s LIKE ':name%'").await?,
            ":name ? :other"
        );
        let error = run(&mut *session, "INSERT INTO t VALUES (2, ':a'); DELETE FROM t").await;
        assert!(error.is_err(), "two statements were accepted");
        let error = run(
            &mut *session,
            "LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE t",
        )
        .await;
        assert_eq!(
            error.expect_err("a file of this machine").kind(),
            ErrorKind::Unsupported
        );
        run(&mut *session, "INSERT INTO t VALUES (3, 'the connection lives')").await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_are_missing_are_named_with_the_statement_that_grants_them() -> Result<()> {
    each(async |_, place| {
        let mut owner = place.engine().connect(&cx(), Access::Write).await?;
        run(&mut *owner, "CREATE TABLE t (id INT PRIMARY KEY)").await?;
        let user = User::new(&place, "BY 'p@ss'").expect("the user can be created");
        user.may("SELECT, INSERT, UPDATE");
        let t = TableName::new("t");
        let actions = [
            Action::Insert {
                table: t.clone(),
                may_overwrite: false,
            },
            Action::Update { table: t.clone() },
            Action::DropTable { table: t.clone() },
            Action::AddColumn {
                table: t.clone(),
                column: "c".to_owned(),
            },
            Action::Create {
                kind: ObjectKind::Trigger,
                name: TableName::new("on_t"),
                on: Some(t.clone()),
                or_replace: false,
                if_not_exists: false,
            },
        ];
        let mut session = support::open(&user.url("")).connect(&cx(), Access::Write).await?;
        let missing = session.missing_rights(&cx(), &actions).await?;
        let all = missing.join("\n");
        for right in ["GRANT DROP ON", "GRANT ALTER ON", "GRANT TRIGGER ON"] {
            assert!(all.contains(right), "{right}: {all}");
        }
        assert!(
            !all.contains("GRANT INSERT") && !all.contains("GRANT UPDATE"),
            "{all}"
        );
        for line in missing.iter().filter(|line| !line.contains("binary log")) {
            let (_, grant) = line.split_once(": ").expect("a statement follows");
            place.administer(grant).expect("the statement grants it");
        }
        let mut session = support::open(&user.url("")).connect(&cx(), Access::Write).await?;
        let left = session.missing_rights(&cx(), &actions).await?;
        assert!(left.iter().all(|line| line.contains("binary log")), "{left:?}");
        run(&mut *session, "ALTER TABLE t ADD COLUMN c INT").await?;
        Ok(())
    })
    .await
}

/// MySQL refuses a statement with a deadlock that finds a table flushed which it has opened once already, if its session holds
/// any lock. Whoever backs the server up flushes the tables of all.
#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_answered_also_while_its_tables_are_flushed() -> Result<()> {
    each(async |_, place| {
        let engine = place.engine();
        let mut session = engine.connect(&cx(), Access::Write).await?;
        run(&mut *session, "CREATE TABLE t (a INTEGER)").await?;
        run(&mut *session, "INSERT INTO t VALUES (7)").await?;
        let holder = LockHolder {
            who: "the test".to_owned(),
            since: None,
        };
        session.try_lock(&cx(), "flushed", &holder).await?;
        let mut other = engine.connect(&cx(), Access::Write).await?;
        let is_over = Arc::new(AtomicBool::new(false));
        let flushing = tokio::spawn({
            let is_over = Arc::clone(&is_over);
            async move {
                while !is_over.load(Ordering::SeqCst) {
                    run(&mut *other, "FLUSH TABLES t").await?;
                }
                Ok::<(), Error>(())
            }
        });
        let mut answers = Ok(());
        for _ in 0..2000 {
            let sql = "SELECT CONCAT((SELECT max(a) FROM t), (SELECT min(a) FROM t))";
            answers = text(&mut *session, sql).await.map(|text| assert_eq!(text, "77"));
            if answers.is_err() {
                break;
            }
        }
        is_over.store(true, Ordering::SeqCst);
        flushing.await.expect("it ends")?;
        answers
    })
    .await
}
