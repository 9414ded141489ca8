//! A new revision, written by the project's own Alembic from its own template.

use walkback_core::ledger::LedgerFormat;
use walkback_core::source::NewMigration;
use walkback_core::{Error, ErrorKind, Result};

/// Refuses an identity that Alembic or its table has no place for.
pub(crate) fn check(new: &NewMigration) -> Result<()> {
    let usage = |what: String| Error::new(ErrorKind::Usage, what);
    let longest = usize::from(LedgerFormat::LONGEST_OF_ALEMBIC);
    if new.id.chars().count() > longest {
        return Err(usage(format!(
            "the identity `{}` is too long: the version table of Alembic holds {longest} characters",
            new.id
        )));
    }
    let leads_out = |text: &str| {
        text.is_empty() || text == ".." || text.contains(['/', '\\']) || text.contains(char::is_control)
    };
    if let Some(text) = [&new.id, &new.slug].into_iter().find(|text| leads_out(text)) {
        return Err(usage(format!(
            "`{}` cannot be part of the name of a file",
            text.escape_default()
        )));
    }
    let letter = new.id.chars().find(|letter| {
        matches!(letter, '@' | '-' | '+' | ':' | '/' | '\\') || letter.is_whitespace() || letter.is_control()
    });
    match letter {
        Some(letter) => Err(usage(format!(
            "the identity `{}` holds `{}`, which Alembic does not take",
            new.id,
            letter.escape_default()
        ))),
        None => Ok(()),
    }
}
