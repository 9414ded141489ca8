//! Looks for a server, once in a process.

use std::sync::OnceLock;

use anyhow::Error;

use crate::server::{Lifetime, Server, Way, start};
use crate::service::Service;

/// The environment variable that lists what must be there, separated by commas.
pub const REQUIRE: &str = "WALKBACK_REQUIRE";

/// What this machine gives.
#[derive(Debug, Clone)]
pub enum Found {
    /// A server that answers.
    Ready(Server),
    /// None, for this reason.
    Absent(String),
}

/// Returns the server of this process for a service, and starts one if need be.
///
/// - A URL in the environment goes first; what is started lives as long as the process, whatever ends it.
/// - The second call returns what the first did: one server for all tests.
///
/// # Panics
/// If the environment names a server and it does not answer, or is not what it should be: whoever named it meant
/// it, and falling back to another would test the wrong one.
#[must_use]
pub fn resolve(service: Service) -> Found {
    static FOUND: [OnceLock<Found>; Service::ALL.len()] = [const { OnceLock::new() }; Service::ALL.len()];
    FOUND[service as usize]
        .get_or_init(|| match find(service) {
            Ok(server) => Found::Ready(server),
            Err(why) => Found::Absent(why),
        })
        .clone()
}

fn find(service: Service) -> Result<Server, String> {
    let variable = service.variable();
    if std::env::var_os(variable).is_none() {
        return start_somehow(service, Lifetime::Process)
            .map_err(|why| format!("`{variable}` is not set; {why}"));
    }
    let named = start(service, Way::Url, Lifetime::Process);
    Ok(named.unwrap_or_else(|error| panic!("`{variable}`: {error:#}")))
}

/// Starts a server in a container, or else from a local binary.
///
/// # Errors
/// Why neither way leads to one.
pub fn start_somehow(service: Service, lifetime: Lifetime) -> Result<Server, String> {
    let mut reasons = Vec::new();
    for (way, name) in [(Way::Container, "container"), (Way::Local, "local binary")] {
        match start(service, way, lifetime) {
            Ok(server) => return Ok(server),
            Err(error) => reasons.push(format!("{name}: {}", one_line(&error))),
        }
    }
    Err(reasons.join("; "))
}

fn one_line(error: &Error) -> String {
    format!("{error:#}").replace('\n', " ").trim().to_owned()
}

/// Returns whether `WALKBACK_REQUIRE` says that something must be there.
#[must_use]
pub fn is_required(name: &str) -> bool {
    std::env::var(REQUIRE).is_ok_and(|list| list.split(',').any(|item| item.trim() == name))
}
