//! What the journeys share: a folder to work in, the binary, and the database looked at from outside.

mod database;
mod output;
mod sandbox;

pub use database::{Contents, contents};
pub use output::{Output, redact};
pub use sandbox::Sandbox;
