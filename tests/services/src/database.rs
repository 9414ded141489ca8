//! A database of its own for each test.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use url::Url;

use crate::client;
use crate::server::Server;
use crate::service::Family;

/// How long a session that a test has closed may take to be gone.
const TIME_TO_GO: Duration = Duration::from_millis(500);

/// A fresh, empty database, dropped with this value: also when something is still connected to it.
#[derive(Debug)]
pub struct Database {
    server: Server,
    name: String,
    url: Url,
}

impl Database {
    pub(crate) fn create(server: &Server) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "walkback_{}_{}_{:08x}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed),
            rand::random::<u32>()
        );
        let sql = match server.service().family() {
            // The usual template may be in use by somebody, and then refuses.
            Family::Postgres => format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'"),
            Family::Mysql => format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"),
        };
        server.run(&sql)?;
        let mut url = server.parsed_url().clone();
        url.set_path(&name);
        Ok(Self {
            server: server.clone(),
            name,
            url,
        })
    }

    /// Returns the URL of the database, for the server's all-powerful account.
    #[must_use]
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Returns the URL of the database for another account.
    #[must_use]
    pub fn url_as(&self, user: &str, password: &str) -> String {
        let mut url = self.url.clone();
        let set = url
            .set_username(user)
            .and_then(|()| url.set_password(Some(password)));
        assert!(set.is_ok(), "a URL with a host takes an account");
        url.into()
    }

    /// Returns its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the server it is on.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Runs statements in it, by a connection of their own.
    ///
    /// # Errors
    /// What the server says.
    pub fn run(&self, sql: &str) -> Result<()> {
        client::rows(self.server.service(), &self.url, sql).map(drop)
    }

    /// Runs statements in it and returns the text of the first value of the first row, if there is one.
    ///
    /// # Errors
    /// What the server says.
    pub fn ask(&self, sql: &str) -> Result<Option<String>> {
        client::ask(self.server.service(), &self.url, sql)
    }

    fn remove(&self) -> Result<()> {
        let name = &self.name;
        if self.server.service().family() == Family::Postgres {
            return self
                .server
                .run(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        }
        self.end_sessions()?;
        self.server.run(&format!(
            "SET lock_wait_timeout = 20; DROP DATABASE IF EXISTS {name}"
        ))
    }

    /// Ends the sessions that a test left open: they would hold its tables, and with them the drop.
    ///
    /// One that is just going is left to go. MariaDB gives what a session leaves to the next one, which a `KILL` that
    /// comes at that moment ends instead: that of another test.
    fn end_sessions(&self) -> Result<()> {
        // The table that both have stops at statements of others with characters beyond the basic plane on MySQL.
        let sessions = format!(
            "SELECT id FROM /*!80022 performance_schema.processlist */ /*M!100000 information_schema.processlist */ \
             WHERE db = '{}'",
            self.name
        );
        let begin = Instant::now();
        loop {
            let open = self.server.rows(&sessions)?;
            if open.is_empty() {
                return Ok(());
            }
            if begin.elapsed() > TIME_TO_GO {
                for id in open.into_iter().flatten() {
                    // One that has gone by itself all the same is as good.
                    self.server.run(&format!("KILL {id}")).ok();
                }
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Database {
    #[expect(clippy::print_stderr, reason = "a test binary tells what it left behind")]
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            eprintln!(
                "warning: the database `{}` is left on {}: {error:#}",
                self.name,
                self.server.how()
            );
        }
    }
}
