//! One question over HTTP.

use std::time::Duration;

use walkback_core::{Error, ErrorKind, Result};

/// How much of an answer is shown.
const SHOWN: usize = 400;

/// Asks a URL. Returns what it answered, if with a status of success, or why not.
pub(super) async fn ask(url: &str, timeout: Duration) -> Result<Result<String, String>> {
    let client = client(timeout)?;
    let response = match client.get(url).send().await {
        Ok(response) => response,
        Err(error) => return Ok(Err(reason(&error.without_url(), timeout))),
    };
    let status = response.status();
    // The status decides; an answer whose text does not come is one all the same.
    let text = response.text().await.unwrap_or_default();
    let text: String = text.trim().chars().take(SHOWN).collect();
    let text = text.replace('\0', "\u{fffd}");
    let said = match text.is_empty() {
        true => format!("it answered {status}"),
        false => format!("it answered {status}: {text}"),
    };
    Ok(if status.is_success() { Ok(said) } else { Err(said) })
}

fn client(timeout: Duration) -> Result<reqwest::Client> {
    // Another part of the program may have chosen the same already.
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::builder()
        .timeout(timeout)
        .no_proxy()
        // Where it leads to may be a page for people, which is always well.
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("walkback/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| {
            Error::new(ErrorKind::Hook, "no health check over HTTP can be made").with_source(error)
        })
}

/// Returns the innermost cause: what stands above it only says that something failed.
fn reason(error: &reqwest::Error, timeout: Duration) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", timeout.as_secs_f32());
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(below) = cause.source() {
        cause = below;
    }
    format!("no answer: {cause}")
}
