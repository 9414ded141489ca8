//! The servers that journeys run on, with a database of its own for each test.

use std::cell::RefCell;

use walkback_services::{Database, Found, Server, Service, resolve};

use crate::backend::Backend;
use crate::database::Session;

/// Returns the service that a backend needs; SQLite needs none.
fn service(backend: Backend) -> Option<Service> {
    match backend {
        Backend::Sqlite => None,
        Backend::Postgres => Some(Service::Postgres),
        Backend::PostgresNewest => Some(Service::PostgresNewest),
        Backend::Mysql => Some(Service::Mysql),
        Backend::Mariadb => Some(Service::Mariadb),
    }
}

/// Returns why the server of a backend is not there, if it is not.
pub fn absence(backend: Backend) -> Option<String> {
    match resolve(service(backend)?) {
        Found::Ready(_) => None,
        Found::Absent(why) => Some(why),
    }
}

/// Returns whether this backend must be there.
pub(crate) fn is_required(backend: Backend) -> bool {
    service(backend).is_none_or(|service| walkback_services::is_required(service.name()))
}

thread_local! {
    /// The server that this thread uses instead of that of all.
    static OF_THIS_THREAD: RefCell<Option<Server>> = const { RefCell::new(None) };
}

/// Makes this thread use a server of its own.
pub fn use_server(server: Option<Server>) {
    OF_THIS_THREAD.set(server);
}

/// A database on a server, dropped at the end.
#[derive(Debug)]
pub struct ServerDatabase {
    backend: Backend,
    database: Database,
}

impl ServerDatabase {
    /// Creates an empty database with a name that no other test has.
    ///
    /// # Panics
    /// If there is no server.
    #[must_use]
    pub fn create(backend: Backend) -> Self {
        if let Some(server) = OF_THIS_THREAD.with_borrow(Clone::clone) {
            let database = server.fresh_database();
            return Self { backend, database };
        }
        let service = service(backend).expect("only a backend with a server has a database on one");
        match resolve(service) {
            Found::Ready(server) => Self {
                backend,
                database: server.fresh_database(),
            },
            Found::Absent(why) => panic!("{backend} is absent: {why}"),
        }
    }

    /// Returns its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.database.name()
    }

    /// Returns its URL, as the server's administrator.
    #[must_use]
    pub fn url(&self) -> String {
        self.database.url().to_owned()
    }

    /// Returns its URL as another user.
    #[must_use]
    pub fn url_as(&self, user: &str, password: &str) -> String {
        self.database.url_as(user, password)
    }

    /// Returns the server it is on.
    #[must_use]
    pub fn server(&self) -> &Server {
        self.database.server()
    }

    /// Runs statements as the administrator, outside of this database.
    pub fn administrate(&self, sql: &str) {
        Session::open(self.backend, self.server().admin_url()).sql(sql);
    }

    /// Returns how many sessions there are in this database whose statement contains this text.
    #[must_use]
    pub fn sessions_that_run(&self, text: &str) -> usize {
        let statements = self.statements();
        statements.iter().filter(|sql| sql.contains(text)).count()
    }

    /// Returns how many sessions there are in this database.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.statements().len()
    }

    fn statements(&self) -> Vec<String> {
        Session::open(self.backend, self.server().admin_url()).statements_in(self.name())
    }
}
