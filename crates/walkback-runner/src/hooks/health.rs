//! The health check: asked until it passes, or until the patience is at its end.

#[cfg(not(feature = "http"))]
use walkback_core::Error;
use walkback_core::{Cx, Result};

use super::shell::{self, End, Surroundings};
use super::{HealthCheck, Probe};

/// What the check said at its end.
#[derive(Debug)]
pub(super) struct Health {
    /// Why it does not pass.
    pub(super) end: End,
    /// What it said last.
    pub(super) output: String,
}

/// Asks until the check passes.
pub(super) async fn check(cx: &Cx, check: &HealthCheck, surroundings: Surroundings<'_>) -> Result<Health> {
    let mut asked = 0;
    loop {
        let (mut end, output) = ask(cx, check, surroundings).await?;
        asked += 1;
        if matches!(end, End::Done | End::Stopped(_)) {
            return Ok(Health { end, output });
        }
        if asked > check.retries {
            if let End::Failed(why) = &mut end {
                why.push_str(&format!(", asked {}", times(asked)));
            }
            return Ok(Health { end, output });
        }
        tokio::select! {
            () = tokio::time::sleep(check.interval) => {}
            error = cx.ended() => return Ok(Health { end: End::Stopped(error), output }),
        }
    }
}

async fn ask(cx: &Cx, check: &HealthCheck, surroundings: Surroundings<'_>) -> Result<(End, String)> {
    match &check.probe {
        Probe::Command(command) => shell::run(cx, command, check.timeout, surroundings).await,
        Probe::Http { url, .. } => tokio::select! {
            answer = over_http(url, check.timeout) => Ok(match answer? {
                Ok(said) => (End::Done, said),
                Err(why) => (End::Failed(why.clone()), why),
            }),
            error = cx.ended() => Ok((End::Stopped(error), String::new())),
        },
    }
}

#[cfg(feature = "http")]
async fn over_http(url: &str, timeout: std::time::Duration) -> Result<Result<String, String>> {
    super::http::ask(url, timeout).await
}

#[cfg(not(feature = "http"))]
async fn over_http(_: &str, _: std::time::Duration) -> Result<Result<String, String>> {
    Err(Error::unsupported("a health check over HTTP", "this build")
        .hint("build it with the feature `http`, or write `health_check = { command = \"..\" }`"))
}

fn times(number: usize) -> String {
    match number {
        1 => "once".to_owned(),
        number => format!("{number} times"),
    }
}
