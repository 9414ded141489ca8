//! Formatted SQL: `--liquibase formatted sql`, and what its comments say.

use std::path::Path;

use walkback_core::Result;

use crate::attributes::{Header, pairs};
use crate::changelog::{Place, Property, Reading};
use crate::changeset::{Change, Changeset, Check, Conditions, OnFail, Order, Rollback, Text, without_blanks};
use crate::error;
use crate::expression;
use crate::identity::plain;
use crate::parameters;

/// What a line of a file is.
#[derive(Debug, PartialEq, Eq)]
enum Line<'t> {
    Changeset(&'t str),
    Rollback(&'t str),
    RollbackBlock,
    Comment(&'t str),
    Preconditions(&'t str),
    Precondition(&'t str),
    Property(&'t str),
    IgnoreLines(&'t str),
    ValidChecksum(&'t str),
    Body,
}

/// Says what a line is, by its first word behind `--`.
fn classify(line: &str) -> Line<'_> {
    let trimmed = line.trim();
    if let Some(inside) = trimmed.strip_prefix("/*") {
        let words: Vec<String> = inside.split_whitespace().map(str::to_lowercase).collect();
        let is_block = words == ["liquibase", "rollback"];
        return if is_block { Line::RollbackBlock } else { Line::Body };
    }
    let Some(said) = trimmed.strip_prefix("--") else {
        return Line::Body;
    };
    let said = said.trim_start();
    let end = said.find([' ', '\t', ':']).unwrap_or(said.len());
    let (word, rest) = said.split_at(end);
    let value = rest.strip_prefix(':').unwrap_or(rest).trim();
    match word.to_lowercase().as_str() {
        "changeset" => Line::Changeset(rest),
        "rollback" => Line::Rollback(rest.strip_prefix([' ', '\t']).unwrap_or(rest)),
        "comment" => Line::Comment(value),
        "preconditions" => Line::Preconditions(rest),
        "property" => Line::Property(rest),
        "ignorelines" => Line::IgnoreLines(value),
        "validchecksum" => Line::ValidChecksum(value),
        word if word.starts_with("precondition-") => Line::Precondition(&said["precondition-".len()..]),
        _ => Line::Body,
    }
}

/// A changeset while its lines are read.
#[derive(Debug)]
struct Draft {
    header: Header,
    line: usize,
    filename: String,
    /// The lines of the file from the first behind the header; those that are no SQL are empty.
    body: Vec<String>,
    /// What is taken back, on the same lines.
    rollback: Vec<String>,
    has_rollback: bool,
    comment: Option<String>,
    refusal: Option<String>,
    conditions: Conditions,
    accepts: Vec<String>,
}

/// Reads a file of SQL into a changelog.
pub(crate) fn read(reading: &mut Reading<'_>, place: &Place) -> Result<()> {
    let text = error::read(&place.file)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let first = text.lines().next().unwrap_or_default();
    let Some(said) = formatted_header(first) else {
        return add_raw(reading, place, text);
    };
    let said = pairs(said).map_err(|why| error::at(&place.file, 1, why))?;
    let logical = said.iter().find(|(name, _)| name == "logicalfilepath");
    let filename = logical.map_or_else(|| place.filename.clone(), |(_, path)| plain(path));
    Reader {
        reading,
        place,
        filename,
        draft: None,
        in_block: false,
        ignored: Ignored::Nothing,
    }
    .all(text)
}

/// Returns what stands behind `--liquibase formatted sql`.
fn formatted_header(line: &str) -> Option<&str> {
    let said = line.trim_start().strip_prefix("--")?.trim_start();
    let lower = said.to_lowercase();
    let rest = lower.strip_prefix("liquibase")?.trim_start();
    let rest = rest.strip_prefix("formatted")?.trim_start();
    let rest = rest.strip_prefix("sql")?;
    Some(&said[said.len() - rest.len()..])
}

/// Adds a file without changesets, which Liquibase takes for one.
fn add_raw(reading: &mut Reading<'_>, place: &Place, text: &str) -> Result<()> {
    if !reading.is_wanted((place, 1), None, None, &place.labels)? {
        return Ok(());
    }
    let sql = reading.parameters.expand(text);
    let open = reading.parameters.open(text);
    reading.add(Changeset {
        id: "raw".to_owned(),
        author: "includeAll".to_owned(),
        filename: place.filename.clone(),
        file: place.file.clone(),
        line: 1,
        changes: vec![Change::of_sql(
            Text {
                file: place.file.clone(),
                line: 1,
                text: sql.clone(),
                delimiter: None,
                is_verbatim: true,
            },
            without_blanks(&sql),
            "sql",
        )],
        contexts: shown_contexts(place, None),
        labels: place.labels.clone(),
        before: place.before.clone(),
        runs_in_transaction: true,
        fails_on_error: true,
        refusal: open.map(|name| (parameters::refusal(&name), 1)),
        ..Changeset::default()
    })
}

/// Which lines are passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ignored {
    Nothing,
    Lines(usize),
    UntilEnd,
}

struct Reader<'r, 'a> {
    reading: &'r mut Reading<'a>,
    place: &'r Place,
    filename: String,
    draft: Option<Draft>,
    in_block: bool,
    ignored: Ignored,
}

impl Reader<'_, '_> {
    fn all(mut self, text: &str) -> Result<()> {
        for (index, line) in text.lines().enumerate() {
            self.line(index + 1, line)?;
        }
        if self.in_block {
            let line = self.draft.as_ref().map_or(1, |draft| draft.line);
            return Err(error::at(
                &self.place.file,
                line,
                "`/* liquibase rollback` has no `*/`",
            ));
        }
        self.end()
    }

    fn line(&mut self, number: usize, line: &str) -> Result<()> {
        if self.passes_over(line) {
            return self.keep("", "");
        }
        if self.in_block {
            let end = line.trim_end().strip_suffix("*/");
            self.in_block = end.is_none();
            return self.keep("", end.unwrap_or(line));
        }
        match classify(line) {
            Line::Changeset(said) => self.begin(said, number),
            Line::Property(said) => {
                self.property(said, number)?;
                self.keep("", "")
            }
            Line::IgnoreLines(what) => {
                self.ignored = match what.parse() {
                    Ok(0) => Ignored::Nothing,
                    Ok(count) => Ignored::Lines(count),
                    Err(_) => Ignored::UntilEnd,
                };
                self.keep("", "")
            }
            Line::Body => self.keep(line, ""),
            said => self.say(said, number),
        }
    }

    /// Says whether a line is passed over because of `--ignoreLines`.
    fn passes_over(&mut self, line: &str) -> bool {
        match self.ignored {
            Ignored::Nothing => false,
            Ignored::Lines(count) => {
                self.ignored = match count {
                    1 => Ignored::Nothing,
                    more => Ignored::Lines(more - 1),
                };
                true
            }
            Ignored::UntilEnd => {
                if let Line::IgnoreLines(what) = classify(line)
                    && what.eq_ignore_ascii_case("end")
                {
                    self.ignored = Ignored::Nothing;
                }
                true
            }
        }
    }

    /// Keeps what a line is of the statements, and of those that take them back.
    fn keep(&mut self, body: &str, rollback: &str) -> Result<()> {
        match &mut self.draft {
            Some(draft) => {
                draft.body.push(body.to_owned());
                draft.rollback.push(rollback.to_owned());
            }
            None if body.trim().is_empty() || body.trim_start().starts_with("--") => {}
            None => {
                return Err(error::at(
                    &self.place.file,
                    1,
                    format!(
                        "`{}` stands before the first changeset",
                        body.trim().chars().take(40).collect::<String>()
                    ),
                )
                .hint("put `--changeset author:id` before it"));
            }
        }
        Ok(())
    }

    /// Takes up what a comment says of the changeset it stands in.
    fn say(&mut self, said: Line<'_>, number: usize) -> Result<()> {
        let file = self.place.file.clone();
        let Some(draft) = &mut self.draft else {
            return Err(error::at(&file, number, "it stands before the first changeset")
                .hint("put `--changeset author:id` before it"));
        };
        let mut rollback = String::new();
        match said {
            Line::Rollback(sql) => {
                draft.has_rollback = true;
                sql.clone_into(&mut rollback);
            }
            Line::RollbackBlock => {
                draft.has_rollback = true;
                self.in_block = true;
            }
            Line::Comment(comment) => draft.comment = Some(comment.to_owned()),
            Line::ValidChecksum(sum) => draft.accepts.push(sum.to_owned()),
            Line::Preconditions(said) => conditions(&mut draft.conditions, said, number)
                .map_err(|why| error::at(&file, number, why))?,
            Line::Precondition(said) => condition(&mut draft.conditions, said, number),
            _ => {}
        }
        self.keep("", &rollback)
    }

    fn begin(&mut self, said: &str, number: usize) -> Result<()> {
        self.end()?;
        let open = self.reading.parameters.open(said);
        let said = self.reading.parameters.expand(said);
        let header = Header::read(&said, &self.place.file, number)?;
        for name in header.unknown() {
            let why = format!("Liquibase does not know the attribute `{name}`, and passes it over");
            self.reading.notice(&self.place.file, number, why);
        }
        let logical = header.get("logicalfilepath").map(plain);
        self.draft = Some(Draft {
            filename: logical.unwrap_or_else(|| self.filename.clone()),
            refusal: open
                .map(|name| parameters::refusal(&name))
                .or_else(|| refused(&header)),
            header,
            line: number,
            body: Vec::new(),
            rollback: Vec::new(),
            has_rollback: false,
            comment: None,
            conditions: Conditions::default(),
            accepts: Vec::new(),
        });
        Ok(())
    }

    fn property(&mut self, said: &str, number: usize) -> Result<()> {
        let pairs = pairs(said).map_err(|why| error::at(&self.place.file, number, why))?;
        let get = |name: &str| {
            let found = pairs.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.as_str())
        };
        let (Some(name), Some(value)) = (get("name"), get("value")) else {
            return Err(error::at(
                &self.place.file,
                number,
                "a property is `--property name:.. value:..`",
            ));
        };
        let property = Property {
            name,
            value,
            dbms: get("dbms"),
            context: get("contextfilter").or(get("context")),
            labels: get("labels"),
            is_global: get("global").is_none_or(|value| value.eq_ignore_ascii_case("true")),
        };
        self.reading.property((self.place, number), &property)
    }

    /// Ends the changeset that is being read.
    fn end(&mut self) -> Result<()> {
        let Some(draft) = self.draft.take() else {
            return Ok(());
        };
        let (header, place) = (&draft.header, self.place);
        let mut labels = place.labels.clone();
        labels.extend(split_names(header.get("labels").unwrap_or_default()));
        let context = header.get("contextfilter").or(header.get("context"));
        let at = (place, draft.line);
        let is_wanted = self.reading.is_wanted(at, header.get("dbms"), context, &labels)?;
        if !is_wanted || header.is("ignore", false) {
            return Ok(());
        }
        let changeset = self.changeset(&draft, context, labels)?;
        self.reading.add(changeset)
    }

    fn changeset(&self, draft: &Draft, context: Option<&str>, labels: Vec<String>) -> Result<Changeset> {
        let (header, place) = (&draft.header, self.place);
        let delimiter = delimiter(header.get("enddelimiter"), header.is("splitstatements", true));
        let sql = self.text(&draft.body, draft.line + 1, delimiter.clone());
        if sql.text.is_empty() {
            return Err(error::at(
                &place.file,
                draft.line,
                format!("the changeset `{}:{}` has no SQL", header.author, header.id),
            )
            .hint("Liquibase refuses it as well"));
        }
        let checked = without_blanks(&sql.text);
        let rollback = if draft.has_rollback {
            Some(self.rollback(draft)?)
        } else {
            None
        };
        let mut conditions = draft.conditions.clone();
        for check in &mut conditions.checks {
            check.sql = self.reading.parameters.expand(&check.sql);
        }
        Ok(Changeset {
            id: header.id.clone(),
            author: header.author.clone(),
            filename: draft.filename.clone(),
            file: place.file.clone(),
            line: draft.line,
            changes: vec![Change::of_sql(sql, checked, "sql")],
            rollback,
            conditions,
            before: place.before.clone(),
            comment: draft.comment.clone(),
            contexts: shown_contexts(place, context),
            labels,
            tag: None,
            accepts: draft.accepts.clone(),
            runs_in_transaction: header.is("runintransaction", true),
            fails_on_error: header.is("failonerror", true),
            runs_again: ["runAlways", "runOnChange"]
                .into_iter()
                .find(|name| header.is(&name.to_lowercase(), false)),
            order: Order::InPlace,
            refusal: self.refusal(draft),
        })
    }

    /// Returns why nothing of a changeset can be followed, and where that stands.
    fn refusal(&self, draft: &Draft) -> Option<(String, usize)> {
        if let Some(why) = &draft.refusal {
            return Some((why.clone(), draft.line));
        }
        let parameters = &self.reading.parameters;
        let in_lines = |lines: &[String]| {
            let mut numbered = lines.iter().enumerate();
            numbered.find_map(|(index, line)| Some((parameters.open(line)?, draft.line + 1 + index)))
        };
        let mut checks = draft.conditions.checks.iter();
        let in_check = || checks.find_map(|check| Some((parameters.open(&check.sql)?, check.line)));
        in_lines(&draft.body)
            .or_else(|| in_lines(&draft.rollback))
            .or_else(in_check)
            .map(|(name, line)| (parameters::refusal(&name), line))
    }

    /// Returns lines as statements, without the empty ones around them.
    fn text(&self, lines: &[String], first: usize, delimiter: Option<String>) -> Text {
        let is_said = |line: &String| !line.trim().is_empty();
        let start = lines.iter().position(is_said).unwrap_or(lines.len());
        let end = lines.iter().rposition(is_said).map_or(start, |last| last + 1);
        let text: String = lines[start..end]
            .iter()
            .flat_map(|line| [line.as_str(), "\n"])
            .collect();
        Text {
            file: self.place.file.clone(),
            line: first + start,
            text: self.reading.parameters.expand(&text),
            delimiter,
            is_verbatim: true,
        }
    }

    fn rollback(&self, draft: &Draft) -> Result<Rollback> {
        let header = &draft.header;
        let delimiter = delimiter(
            header.get("rollbackenddelimiter"),
            header.is("rollbacksplitstatements", true),
        );
        let text = self.text(&draft.rollback, draft.line + 1, delimiter);
        let lower = text.text.to_lowercase();
        let lower = lower.trim();
        if lower == "empty" || lower.starts_with("not required") || lower.is_empty() {
            return Ok(Rollback::Sql(Vec::new()));
        }
        if lower.starts_with("changesetid:") {
            let pairs = pairs(&text.text).map_err(|why| error::at(&text.file, text.line, why))?;
            let get = |name: &str| {
                let found = pairs.iter().find(|(known, _)| known == name);
                found.map(|(_, value)| value.clone())
            };
            return Ok(Rollback::Changeset {
                id: get("changesetid").unwrap_or_default(),
                author: get("changesetauthor").unwrap_or_default(),
                filename: get("changesetpath").map_or_else(|| draft.filename.clone(), |path| plain(&path)),
                line: text.line,
            });
        }
        Ok(Rollback::Sql(vec![text]))
    }
}

/// Returns what of a header cannot be followed.
fn refused(header: &Header) -> Option<String> {
    let with = header
        .get("runwith")
        .filter(|value| !value.eq_ignore_ascii_case("jdbc"));
    with.map(|value| format!("`runWith:{value}`")).or_else(|| {
        header
            .get("runwithspoolfile")
            .map(|_| "`runWithSpoolFile`".to_owned())
    })
}

/// Returns what ends a statement, where that is not a semicolon.
fn delimiter(said: Option<&str>, splits: bool) -> Option<String> {
    said.filter(|said| splits && *said != ";").map(str::to_owned)
}

/// Returns names of a list.
pub(crate) fn split_names(list: &str) -> Vec<String> {
    let names = list.split(',').map(|name| name.trim().to_owned());
    names.filter(|name| !name.is_empty()).collect()
}

/// Returns the contexts of a changeset as the ledger shows them.
pub(crate) fn shown_contexts(place: &Place, own: Option<&str>) -> Option<String> {
    let all: Vec<String> = place
        .contexts
        .iter()
        .map(String::as_str)
        .chain(own)
        .map(expression::shown)
        .collect();
    (!all.is_empty()).then(|| all.join(" AND "))
}

/// Reads `--preconditions onFail:.. onError:..`.
fn conditions(conditions: &mut Conditions, said: &str, line: usize) -> std::result::Result<(), String> {
    for (name, value) in pairs(said)? {
        match name.as_str() {
            "onfail" => conditions.on_fail = on_fail(&value, line, &mut conditions.refusal),
            "onerror" if value.eq_ignore_ascii_case("halt") => {}
            "onfailmessage" | "onerrormessage" => {}
            _ => {
                let why = format!("`{name}:{value}` of a precondition");
                conditions.refuse(why, line);
            }
        }
    }
    Ok(())
}

/// Returns what is to happen where a condition does not hold.
pub(crate) fn on_fail(value: &str, line: usize, refusal: &mut Option<(String, usize)>) -> OnFail {
    match value.to_lowercase().as_str() {
        "halt" => OnFail::Halt,
        "warn" => OnFail::Warn,
        "mark_ran" => OnFail::MarkRan,
        "continue" => OnFail::Continue,
        _ => {
            refusal.get_or_insert((format!("`onFail:{value}` of a precondition"), line));
            OnFail::Halt
        }
    }
}

/// Reads `--precondition-sql-check expectedResult:0 SELECT ..`.
fn condition(conditions: &mut Conditions, said: &str, line: usize) {
    let (kind, rest) = said.split_once(char::is_whitespace).unwrap_or((said, ""));
    let rest = rest.trim();
    let is_check = kind.eq_ignore_ascii_case("sql-check");
    let prefix = "expectedresult:";
    let has_prefix = rest
        .get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    if !is_check || !has_prefix {
        let why = format!("the precondition `{kind}`");
        conditions.refusal.get_or_insert((why, line));
        return;
    }
    let rest = &rest[prefix.len()..];
    let (expected, sql) = match rest.chars().next() {
        Some(quote @ ('"' | '\'')) => rest[1..].split_once(quote).unwrap_or((rest, "")),
        _ => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
    };
    conditions.checks.push(Check {
        sql: sql.trim().to_owned(),
        expected: expected.to_owned(),
        line,
    });
}

/// Says whether a file is formatted SQL.
pub(crate) fn is_formatted(file: &Path) -> bool {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .next()
        .is_some_and(|first| formatted_header(first).is_some())
}
