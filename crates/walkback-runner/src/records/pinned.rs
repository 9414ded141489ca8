//! What a session may have set otherwise, and what values are read and written by.

use walkback_core::dialect::DialectKind;
use walkback_core::{Cx, Dialect, Result, Session};

/// Makes the session read and write moments, intervals and numbers in one spelling, whoever has connected: the hash and the
/// key of a row are of what is read. What names no zone is UTC.
///
/// It has to be called outside a transaction: one that is rolled back would take it along.
pub(super) async fn pin(dialect: &dyn Dialect, cx: &Cx, session: &mut dyn Session) -> Result<()> {
    let settings: &[&str] = match dialect.kind() {
        DialectKind::Postgres => &[
            "SET TimeZone = 'UTC'",
            "SET DateStyle = 'ISO, MDY'",
            "SET IntervalStyle = 'postgres'",
            "SET extra_float_digits = 1",
            "SET bytea_output = 'hex'",
        ],
        DialectKind::Mysql => &["SET SESSION time_zone = '+00:00'"],
        DialectKind::Sqlite => &[],
    };
    for setting in settings {
        session.execute(cx, setting, &[]).await?;
    }
    Ok(())
}
