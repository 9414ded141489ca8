//! Servers that go on when we end, and the list of them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use walkback_services::{
    Lifetime, Server, Service, Stopper, Way, answers, home, is_required, start, start_somehow,
};

/// A server that `up` started.
#[derive(Debug, Serialize, Deserialize)]
struct Standing {
    url: String,
    how: String,
    ca: Option<PathBuf>,
    stopper: Stopper,
}

/// The list of what stands, held against every other process while we look and change.
#[derive(Debug)]
struct List {
    servers: BTreeMap<String, Standing>,
    file: PathBuf,
    _lock: File,
}

/// Starts what is not there.
pub(crate) fn up(services: &[Service]) -> Result<()> {
    let mut list = List::open()?;
    let mut missing = Vec::new();
    for service in services {
        match list.bring_up(*service)? {
            Ok(()) => {}
            Err(why) if is_required(service.name()) => {
                eprintln!("{}: absent: {why}", service.name());
                missing.push(format!("`{}`", service.name()));
            }
            Err(why) => eprintln!("{}: absent, its tests will be ignored: {why}", service.name()),
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "`WALKBACK_REQUIRE` names {}, and there is no way to one: see above, or set the URL of a server",
        missing.join(", ")
    );
}

/// Stops what `up` started.
pub(crate) fn down(services: &[Service]) -> Result<()> {
    let mut list = List::open()?;
    let mut stopped = 0;
    for service in services {
        if list.bring_down(*service)? {
            eprintln!("{}: stopped", service.name());
            stopped += 1;
        }
    }
    if stopped == 0 {
        eprintln!("nothing to stop: `up` has started none of these");
    }
    Ok(())
}

/// Shows what stands. Starts nothing.
pub(crate) fn status(services: &[Service]) -> Result<()> {
    let list = List::open()?;
    for service in services {
        let name = service.name();
        if std::env::var_os(service.variable()).is_some() {
            match start(*service, Way::Url, Lifetime::Stopped) {
                Ok(server) => println!("{name}: {}", server.how()),
                Err(error) => println!("{name}: `{}` leads nowhere: {error:#}", service.variable()),
            }
            continue;
        }
        match list.servers.get(name) {
            None => println!("{name}: not started"),
            Some(standing) => match standing.version(*service) {
                Ok(_) => println!("{name}: {}, standing", standing.how),
                Err(error) => println!("{name}: {}, does not answer: {error:#}", standing.how),
            },
        }
    }
    Ok(())
}

impl List {
    fn open() -> Result<Self> {
        let home = home();
        fs::create_dir_all(&home).with_context(|| format!("cannot make `{}`", home.display()))?;
        let lock = File::create(home.join("lock")).context("cannot make the lock")?;
        lock.lock().context("cannot lock the list of servers")?;
        let file = home.join("standing.json");
        let servers = match fs::read(&file) {
            Ok(text) => serde_json::from_slice(&text).with_context(|| {
                format!(
                    "`{}` cannot be read; stop by hand what it names, and remove it",
                    file.display()
                )
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", file.display())),
        };
        Ok(Self {
            servers,
            file,
            _lock: lock,
        })
    }

    fn save(&self) -> Result<()> {
        // Whole or not at all: the list is what `down` finds the processes by.
        let next = self.file.with_extension("next");
        fs::write(&next, serde_json::to_vec_pretty(&self.servers)?)
            .and_then(|()| fs::rename(&next, &self.file))
            .with_context(|| format!("cannot write `{}`", self.file.display()))
    }

    /// Finds or starts one; the inner error says why there is none.
    fn bring_up(&mut self, service: Service) -> Result<Result<(), String>> {
        let name = service.name();
        if std::env::var_os(service.variable()).is_some() {
            let server = start(service, Way::Url, Lifetime::Stopped)
                .with_context(|| format!("`{}` leads nowhere", service.variable()))?;
            eprintln!("{name}: {}", server.how());
            export(service, server.url(), server.tls_ca_file().map(PathBuf::from));
            return Ok(Ok(()));
        }
        if let Some(standing) = self.servers.get(name) {
            if standing.version(service).is_ok() {
                eprintln!("{name}: {}, standing already", standing.how);
                export(service, &standing.url, standing.ca.clone());
                return Ok(Ok(()));
            }
            eprintln!("{name}: {} does not answer any more", standing.how);
            self.bring_down(service)?;
        }
        match start_somehow(service, Lifetime::Stopped) {
            Ok(server) => self.record(service, &server).map(Ok),
            Err(why) => Ok(Err(why)),
        }
    }

    fn record(&mut self, service: Service, server: &Server) -> Result<()> {
        let standing = Standing {
            url: server.url().to_owned(),
            how: server.how().to_owned(),
            ca: server.tls_ca_file().map(PathBuf::from),
            stopper: server.stopper().context("nothing would stop it")?.clone(),
        };
        eprintln!("{}: {}, started", service.name(), standing.how);
        println!("# started {}", service.name());
        export(service, &standing.url, standing.ca.clone());
        let stopper = standing.stopper.clone();
        self.servers.insert(service.name().to_owned(), standing);
        if let Err(error) = self.save() {
            // What is not on the list would never be stopped.
            stopper.stop()?;
            return Err(error);
        }
        Ok(())
    }

    fn bring_down(&mut self, service: Service) -> Result<bool> {
        let Some(standing) = self.servers.get(service.name()) else {
            return Ok(false);
        };
        standing
            .stopper
            .stop()
            .with_context(|| format!("cannot stop {}: {}", service.name(), standing.how))?;
        self.servers.remove(service.name());
        self.save()?;
        Ok(true)
    }
}

impl Standing {
    fn version(&self, service: Service) -> Result<String> {
        answers(service, &self.url)
    }
}

/// Prints the variables that lead to a server, as a shell reads them.
fn export(service: Service, url: &str, ca: Option<PathBuf>) {
    println!("export {}={}", service.variable(), quoted(url));
    if let Some(ca) = ca {
        println!(
            "export {}={}",
            service.ca_variable(),
            quoted(&ca.to_string_lossy())
        );
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
