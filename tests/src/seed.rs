//! Where random journeys begin.

use crate::{Backend, report};

/// Returns the seed of a random journey, and tells it: `WALKBACK_MODEL_SEED` repeats what failed.
#[must_use]
pub fn seed(what: &str, backend: Backend) -> u64 {
    let seed = std::env::var("WALKBACK_MODEL_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(rand::random);
    report(&format!("{what} on {backend}: WALKBACK_MODEL_SEED={seed}"));
    seed
}
