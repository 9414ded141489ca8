//! What the journeys share: a folder to work in, the binary, and the database looked at from outside.

mod database;
mod output;
mod sandbox;

pub use database::{Contents, contents};
pub use output::{Output, redact};
pub use sandbox::Sandbox;

/// Prints a line past the test runner's capture: figures are there to be seen also when all is well.
pub fn report(line: &str) {
    use std::io::Write as _;
    // A closed stderr is no reason to fail.
    writeln!(std::io::stderr().lock(), "{line}").ok();
}
