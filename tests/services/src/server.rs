//! A server that answers, and how it was come by.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use url::Url;

use crate::database::Database;
use crate::service::Service;
use crate::stopper::{Guard, Stopper};
use crate::{client, container, local};

/// A way to come by a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A URL in the environment.
    Url,
    /// A container, by testcontainers.
    Container,
    /// A server binary of this machine.
    Local,
}

/// How long a server that is started here lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// As long as the value, and never longer than this process.
    Process,
    /// Until its `Stopper` is used, by whichever process.
    Stopped,
}

/// A server that answers. Clones are the same server.
#[derive(Debug, Clone)]
pub struct Server(Arc<Running>);

#[derive(Debug)]
struct Running {
    service: Service,
    url: Url,
    how: String,
    ca: Option<PathBuf>,
    stopper: Option<Stopper>,
    /// Stops the server when it is dropped.
    _guard: Option<Guard>,
}

/// A server that was just started, before it was seen to answer.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) url: Url,
    pub(crate) how: String,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) stopper: Option<Stopper>,
    pub(crate) guard: Option<Guard>,
}

/// Comes by a server in one particular way.
///
/// # Errors
/// Why this way leads nowhere: what is not there, what does not start, what does not answer.
pub fn start(service: Service, way: Way, lifetime: Lifetime) -> Result<Server> {
    let started = match way {
        Way::Url => named(service)?,
        Way::Container => container::start(service, lifetime)?,
        Way::Local => local::start(service, lifetime, None)?,
    };
    seen(service, started)
}

/// Starts a server from a binary of this machine, with all that it has within this folder.
///
/// # Errors
/// As [`start`].
pub fn start_within(service: Service, lifetime: Lifetime, folder: &Path) -> Result<Server> {
    seen(service, local::start(service, lifetime, Some(folder))?)
}

/// Sees that a server that was come by is of use.
fn seen(service: Service, started: Started) -> Result<Server> {
    let version = client::version(service, &started.url)
        .with_context(|| format!("the server at {} is no use", address(&started.url)))?;
    Ok(Server(Arc::new(Running {
        service,
        how: format!("{} ({version})", started.how),
        url: started.url,
        ca: started.ca,
        stopper: started.stopper,
        _guard: started.guard,
    })))
}

/// Sees that a server answers and is of its service, and returns its version.
///
/// # Errors
/// What keeps it from it.
pub fn answers(service: Service, url: &str) -> Result<String> {
    let url = Url::parse(url).context("not a URL")?;
    client::version(service, &url)
}

/// Takes the server that the environment names.
fn named(service: Service) -> Result<Started> {
    let variable = service.variable();
    let text = std::env::var(variable).with_context(|| format!("`{variable}` is not set"))?;
    let url = Url::parse(&text).with_context(|| format!("`{variable}` holds no URL"))?;
    Ok(Started {
        url,
        how: format!("URL in {variable}"),
        ca: std::env::var_os(service.ca_variable()).map(PathBuf::from),
        stopper: None,
        guard: None,
    })
}

/// Returns host and port: what may be shown of a URL.
pub(crate) fn address(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => "no host".to_owned(),
    }
}

impl Server {
    /// Returns which service it is.
    #[must_use]
    pub fn service(&self) -> Service {
        self.0.service
    }

    /// Returns the URL of an account that may do everything, and of no database in particular.
    #[must_use]
    pub fn url(&self) -> &str {
        self.0.url.as_str()
    }

    /// Returns the same as `url`, under a name that says what it is in a suite with several accounts.
    #[must_use]
    pub fn admin_url(&self) -> &str {
        self.url()
    }

    pub(crate) fn parsed_url(&self) -> &Url {
        &self.0.url
    }

    /// Tells in one line where it comes from and which version it is.
    #[must_use]
    pub fn how(&self) -> &str {
        &self.0.how
    }

    /// Returns the file with the certificate of the authority that signed the server's own, for `localhost` and
    /// `127.0.0.1`. `None` if the server was not started here and the environment does not tell.
    #[must_use]
    pub fn tls_ca_file(&self) -> Option<&Path> {
        self.0.ca.as_deref()
    }

    /// Returns what stops a server that was started to outlive this process.
    #[must_use]
    pub fn stopper(&self) -> Option<&Stopper> {
        self.0.stopper.as_ref()
    }

    /// Makes an empty database with a name that nobody else uses.
    ///
    /// # Panics
    /// If the server does not make it: a test has no way on from there.
    #[must_use]
    pub fn fresh_database(&self) -> Database {
        Database::create(self)
            .unwrap_or_else(|error| panic!("no fresh database on {}: {error:#}", self.how()))
    }

    /// Runs statements as the all-powerful account, by a connection of their own.
    ///
    /// # Errors
    /// What the server says.
    pub fn run(&self, sql: &str) -> Result<()> {
        self.rows(sql).map(drop)
    }

    /// Runs statements and returns the text of the first value of the first row, if there is one.
    ///
    /// # Errors
    /// What the server says.
    pub fn ask(&self, sql: &str) -> Result<Option<String>> {
        client::ask(self.service(), self.parsed_url(), sql)
    }

    pub(crate) fn rows(&self, sql: &str) -> Result<Vec<Option<String>>> {
        client::rows(self.service(), self.parsed_url(), sql)
    }
}
