//! What a changeset does and how it is taken back, as scripts.

use std::path::{Path, PathBuf};

use walkback_core::migration::{Condition, Otherwise, SqlScript};
use walkback_core::statement::Location;
use walkback_core::{Direction, Error, ErrorKind, Result, Script};

use crate::changelog::Changelog;
use crate::changeset::{Changeset, Check, Conditions, OnFail, Rollback, Text};
use crate::error;

/// Returns the script of a changeset in one direction; `None` where its author says nothing of the way back.
pub(crate) fn script(
    changelog: &Changelog,
    changeset: &Changeset,
    direction: Direction,
) -> Result<Option<Script>> {
    let sql = match (&changeset.refusal, direction) {
        (Some((why, line)), _) => Err(refused(changeset, *line, why)),
        (None, Direction::Up) => up(changeset).map(Some),
        (None, Direction::Down) => down(changelog, changeset),
    };
    match sql {
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            Err(with_ways(error, changelog, changeset, direction))
        }
        sql => Ok(sql?.map(Script::Sql)),
    }
}

/// Says what helps where a changeset cannot be followed.
fn with_ways(error: Error, changelog: &Changelog, changeset: &Changeset, direction: Direction) -> Error {
    if direction == Direction::Down {
        return error
            .hint("`liquibase rollback-count 1` walks back the newest changeset: both work on the same ledger, in turn")
            .hint("`walkback rollback --backup-file <BACKUP>` goes back to a whole backup, or to a dump");
    }
    let all = changelog.changesets.iter();
    let before = all.take_while(|(_, other)| other.key() != changeset.key()).last();
    let error = error.hint(
        "let `liquibase update` apply this changeset: both work on the same ledger, in turn; or write it as SQL",
    );
    match before {
        Some((id, _)) => error.hint(format!("`walkback up {id}` applies what stands before it")),
        None => error,
    }
}

fn up(changeset: &Changeset) -> Result<SqlScript> {
    if !changeset.fails_on_error {
        return Err(refused(changeset, changeset.line, "`failOnError:false`")
            .hint("walkback never passes over a statement that fails: say what may be there already, `CREATE TABLE IF NOT EXISTS ..`"));
    }
    if let Some((why, line)) = &changeset.conditions.refusal {
        return Err(refused(changeset, *line, why));
    }
    for before in &changeset.before {
        if let Some((why, line)) = &before.conditions.refusal {
            return Err(error::beyond(
                &before.file,
                *line,
                format!(
                    "{why} of the whole changelog of the changeset `{}:{}` cannot be followed",
                    changeset.author, changeset.id
                ),
            ));
        }
    }
    let mut script = joined(&texts(changeset)?, &changeset.file, changeset.line);
    script.transaction = changeset.runs_in_transaction;
    script.known_as = Some(changeset.known_as());
    script.conditions = conditions(changeset);
    Ok(script)
}

/// Returns what is asked before it runs: of all that includes it, once in a run, and of it alone.
fn conditions(changeset: &Changeset) -> Vec<Condition> {
    let before = changeset.before.iter();
    before
        .flat_map(|before| asked(&before.conditions, &before.file, true))
        .chain(asked(&changeset.conditions, &changeset.file, false))
        .collect()
}

fn asked<'c>(conditions: &'c Conditions, file: &'c Path, once: bool) -> impl Iterator<Item = Condition> {
    let otherwise = match conditions.on_fail {
        OnFail::Halt => Otherwise::Stop,
        OnFail::Warn => Otherwise::Warn,
        OnFail::MarkRan => Otherwise::CountAsApplied,
        OnFail::Continue => Otherwise::Leave,
    };
    let of = move |check: &Check| Condition {
        sql: check.sql.clone(),
        expected: check.expected.clone(),
        location: Location {
            file: file.to_owned(),
            line: check.line,
        },
        otherwise,
        once,
    };
    conditions.checks.iter().map(of)
}

fn texts(changeset: &Changeset) -> Result<Vec<&Text>> {
    for change in &changeset.changes {
        if let Some(why) = &change.refusal {
            return Err(refused(changeset, change.line, why));
        }
    }
    Ok(changeset
        .changes
        .iter()
        .filter_map(|change| change.sql.as_ref())
        .collect())
}

fn down(changelog: &Changelog, changeset: &Changeset) -> Result<Option<SqlScript>> {
    let Some(rollback) = &changeset.rollback else {
        return Ok(None);
    };
    let mut script = match rollback {
        Rollback::Sql(texts) => {
            let texts: Vec<&Text> = texts.iter().collect();
            joined(&texts, &changeset.file, changeset.line)
        }
        Rollback::Refused { why, line } => return Err(refused(changeset, *line, why)),
        Rollback::Changeset {
            id,
            author,
            filename,
            line,
        } => {
            let key = [id.clone(), author.clone(), filename.clone()];
            let mut all = changelog.changesets.iter();
            let other = all.find(|(_, other)| other.key() == key).map(|(_, other)| other);
            let other = other.ok_or_else(|| {
                error::at(
                    &changeset.file,
                    *line,
                    format!(
                        "the rollback names the changeset `{filename}::{id}::{author}`, which is not there"
                    ),
                )
            })?;
            joined(&texts(other)?, &other.file, other.line)
        }
    };
    script.transaction = changeset.runs_in_transaction;
    Ok(Some(script))
}

fn refused(changeset: &Changeset, line: usize, what: impl std::fmt::Display) -> Error {
    error::beyond(
        &changeset.file,
        line,
        format!(
            "{what} of the changeset `{}:{}` cannot be followed",
            changeset.author, changeset.id
        ),
    )
}

/// Makes one script of texts, which says of each line where it stands in its file.
fn joined(texts: &[&Text], file: &Path, line: usize) -> SqlScript {
    if let [only] = texts
        && only.is_verbatim
    {
        let mut script = SqlScript::new(statements(only), &only.file);
        script.location.line = only.line.max(1);
        return script;
    }
    let is_of_one_file = texts.iter().all(|text| text.file == file);
    let mut all = String::new();
    let mut lines = Vec::new();
    for text in texts {
        let statements = terminated(statements(text));
        for (index, _) in statements.lines().enumerate() {
            let at = match (is_of_one_file, text.is_verbatim) {
                (true, true) => text.line + index,
                (true, false) => text.line,
                (false, _) => line,
            };
            lines.push(at);
        }
        all.push_str(&statements);
        all.push('\n');
    }
    let file: PathBuf = file.to_owned();
    let mut script = SqlScript::new(all, file);
    script.lines = lines;
    script
}

/// Ends the last statement of a text.
fn terminated(mut text: String) -> String {
    let end = text.trim_end().len();
    text.truncate(end);
    let last = text.lines().last().unwrap_or_default();
    if text.is_empty() || text.ends_with(';') {
        return text;
    }
    text.push_str(if last.contains("--") || last.contains('#') {
        "\n;"
    } else {
        ";"
    });
    text
}

/// Returns the text with a semicolon in the place of its own delimiter.
fn statements(text: &Text) -> String {
    match &text.delimiter {
        None => text.text.clone(),
        Some(delimiter) => with_semicolons(&text.text, delimiter),
    }
}

/// Puts semicolons in the place of a delimiter, where it is not in quotes or a comment. Liquibase writes a line end in it as
/// `\n`, which stays one.
fn with_semicolons(text: &str, delimiter: &str) -> String {
    let delimiter = delimiter.replace("\\n", "\n").replace("\\r", "");
    let ends: String = delimiter.chars().filter(|letter| *letter == '\n').collect();
    let mut written = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(delimiter.as_str()) {
            if !written.trim_end().ends_with(';') {
                written.push(';');
            }
            written.push_str(&ends);
            rest = after;
            continue;
        }
        let length = length_of_quoted(rest).unwrap_or_else(|| rest.chars().next().map_or(1, char::len_utf8));
        written.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    written
}

/// Returns how long the quoted text or the comment is that begins here, if one does.
fn length_of_quoted(text: &str) -> Option<usize> {
    let up_to = |from: usize, end: &str| {
        let found = text[from..].find(end);
        found.map_or(text.len(), |place| from + place + end.len())
    };
    let first = text.chars().next()?;
    match first {
        '\'' | '"' | '`' => Some(up_to(1, &first.to_string())),
        _ if text.starts_with("--") => Some(text.find('\n').unwrap_or(text.len())),
        _ if text.starts_with("/*") => Some(up_to(2, "*/")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delimiter_of_its_own_becomes_a_semicolon_and_lines_stay_where_they_are() {
        for (text, delimiter, expected) in [
            (
                "select '//' // -- a // b\nselect 2 //",
                "//",
                "select '//' ; -- a // b\nselect 2 ;",
            ),
            ("begin\n x;\nend;\n$$", "$$", "begin\n x;\nend;\n"),
            ("select 1\nGO\nselect 2", "\\nGO", "select 1;\n\nselect 2"),
        ] {
            assert_eq!(with_semicolons(text, delimiter), expected);
        }
    }

    #[test]
    fn texts_are_joined_and_keep_their_lines() {
        let text = |line, text: &str| Text {
            file: "c.xml".into(),
            line,
            text: text.to_owned(),
            delimiter: None,
            is_verbatim: true,
        };
        let (first, second) = (text(3, "select 1\n-- end"), text(9, "select 2;\nselect 3"));
        let script = joined(&[&first, &second], Path::new("c.xml"), 1);
        assert_eq!(script.text, "select 1\n-- end\n;\nselect 2;\nselect 3;\n");
        assert_eq!(script.lines, [3, 4, 5, 9, 10]);
    }
}
