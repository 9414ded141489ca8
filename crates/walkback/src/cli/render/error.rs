//! Errors, for a person and for a program.

use std::error::Error as _;
use std::fmt::Write as _;

use serde_json::{Value, json};
use walkback_core::Error;

use super::style;
use crate::cli::exit;
use crate::config::place::redact_urls;

/// Renders an error for stderr: `error:`, the line of the file it is about, `caused by:`, what had been done
/// before it, `hint:`.
pub(crate) fn text(error: &Error) -> String {
    let mut text = format!("{}: {}\n", style::error("error"), redact_urls(error.message()));
    text.push_str(&excerpt(error).unwrap_or_default());
    for cause in causes(error) {
        writeln!(text, "{}: {cause}", style::error("caused by")).ok();
    }
    for success in error.successes() {
        writeln!(text, "{}: {}", style::good("done before"), redact_urls(success)).ok();
    }
    for hint in error.hints() {
        writeln!(text, "{}: {}", style::good("hint"), redact_urls(hint)).ok();
    }
    text
}

/// Renders an error as the one object of `--json`.
pub(crate) fn object(error: &Error) -> Value {
    let context: serde_json::Map<_, _> = error
        .context()
        .iter()
        .map(|(key, value)| ((*key).to_owned(), Value::from(redact_urls(value))))
        .collect();
    json!({
        "error": {
            "kind": error.kind().name(),
            "message": redact_urls(error.message()),
            "causes": causes(error),
            "hints": redacted(error.hints()),
            "context": context,
            "succeeded": redacted(error.successes()),
            "exit_code": exit::code(error.kind()),
        }
    })
}

fn redacted(texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| redact_urls(text)).collect()
}

/// Returns the messages of the causes, without those that only repeat the one before.
fn causes(error: &Error) -> Vec<String> {
    let mut causes: Vec<String> = Vec::new();
    let mut before = error.message().to_owned();
    let mut next = error.source();
    while let Some(cause) = next {
        let message = cause.to_string();
        if message != before {
            causes.push(redact_urls(&message));
        }
        before = message;
        next = cause.source();
    }
    causes
}

fn excerpt(error: &Error) -> Option<String> {
    let get = |key| {
        error
            .context()
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value.as_str())
    };
    let (line, text) = (get("line")?, get("text")?);
    let column: usize = get("column")?.parse().ok()?;
    let width: usize = get("width")?.parse().ok()?;
    let margin = " ".repeat(line.len());
    // A line whose secret was left out is shorter than the place says.
    let (before, width) = match text.chars().count() {
        length if column <= length => (column - 1, width.min(length + 1 - column)),
        length => (length, 1),
    };
    let text = text.replace('\t', " ");
    Some(format!(
        "  {line} | {text}\n  {margin} | {}{}\n",
        " ".repeat(before),
        "^".repeat(width)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use walkback_core::ErrorKind;

    fn plain(error: &Error) -> String {
        anstream::adapter::strip_str(&text(error)).to_string()
    }

    #[test]
    fn an_error_is_told_with_its_causes_successes_and_hints() {
        let error = Error::new(
            ErrorKind::Database,
            "migration `b` failed (migrations/b.up.sql:3)",
        )
        .with_source(Error::new(ErrorKind::Database, "no such table: t").with_source(std::fmt::Error))
        .succeeded("migration `a` is applied")
        .hint("run `walkback status`");
        assert_eq!(
            plain(&error),
            "error: migration `b` failed (migrations/b.up.sql:3)\n\
             caused by: no such table: t\n\
             caused by: an error occurred when formatting an argument\n\
             done before: migration `a` is applied\n\
             hint: run `walkback status`\n"
        );
    }

    #[test]
    fn the_line_of_a_file_is_shown_with_a_mark_below() {
        let error = crate::config::FileConfig::parse("w.toml".as_ref(), "[env.a]\nurll = 1\n").unwrap_err();
        assert_eq!(
            plain(&error),
            "error: unknown key `urll` in `[env.a]` (w.toml:2:1)\n  2 | urll = 1\n    | ^^^^\nhint: did you mean `url`?\n"
        );
    }

    #[test]
    fn the_object_of_a_failure_has_every_documented_field() {
        let error = Error::new(ErrorKind::Refused, "not confirmed")
            .wrap("outer")
            .with_context("url", "postgres://a:pw@h/d")
            .hint("add `--yes`");
        let expected = json!({"error": {
            "kind": "refused",
            "message": "outer",
            "causes": ["not confirmed"],
            "hints": ["add `--yes`"],
            "context": {"url": "postgres://a:***@h/d"},
            "succeeded": [],
            "exit_code": 6,
        }});
        assert_eq!(object(&error), expected);
    }
}
