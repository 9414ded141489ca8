//! What the comments of a script say to walkback: directives in the header, and the section lines of a
//! single file.

use std::path::Path;
use std::time::Duration;

use walkback_core::{Direction, Error, MigrationId, Phase, Result};

use crate::error::at;

const KNOWN: [&str; 10] = [
    "parents",
    "label",
    "depends_on",
    "transaction",
    "irreversible",
    "phase",
    "protect",
    "lock_timeout",
    "statement_timeout",
    ALLOW,
];

/// Silences rules of `walkback lint`. What reads it is there; here it must only stand where it may.
const ALLOW: &str = "allow";

/// Directives that concern one direction, and so may stand in a way down.
const OF_A_SCRIPT: [&str; 5] = [
    "transaction",
    "protect",
    "lock_timeout",
    "statement_timeout",
    ALLOW,
];
const PROTECT: [&str; 6] = ["auto", "soft-delete", "backup-table", "capture", "vault", "off"];

/// What the header of a script says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Header {
    /// `None` says nothing; an empty list is `parents=none`.
    pub(crate) parents: Option<Vec<MigrationId>>,
    pub(crate) labels: Option<Vec<String>>,
    pub(crate) depends_on: Option<Vec<MigrationId>>,
    pub(crate) transaction: Option<bool>,
    pub(crate) irreversible: Option<String>,
    pub(crate) phase: Option<Phase>,
    pub(crate) protect: Option<String>,
    pub(crate) lock_timeout: Option<Duration>,
    pub(crate) statement_timeout: Option<Duration>,
}

/// A line that speaks to walkback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speech<'a> {
    /// `-- walkback: up`, with what follows.
    Section(Direction, &'a str),
    /// `-- walkback: key=value ..`.
    Directives(&'a str),
    /// `-- walkback: touches ..`: belongs to a statement, and is read where statements are.
    Touches,
}

/// Reads a script line by line, as far as its header goes or to its end.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    file: &'a Path,
    /// The direction of the whole file; `None` is a single file with sections.
    only: Option<Direction>,
    state: State,
    in_comment: bool,
    pub(crate) sections: Vec<Section>,
}

/// One direction of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) direction: Direction,
    pub(crate) header: Header,
    /// The line its text begins on, from 1.
    pub(crate) first_line: usize,
    /// Whether it holds anything but comments and blanks.
    pub(crate) has_statement: bool,
    /// Whether a section line began it.
    announced: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Header,
    Body,
}

impl<'a> Reader<'a> {
    /// Creates a reader of a file that holds one direction, or of a single file (`None`).
    pub(crate) fn new(file: &'a Path, only: Option<Direction>) -> Self {
        Self {
            file,
            only,
            state: State::Header,
            in_comment: false,
            sections: vec![Section::new(only.unwrap_or(Direction::Up), 1, false)],
        }
    }

    /// Returns whether the header goes on: a file of one direction need not be read any further to know it.
    pub(crate) fn in_header(&self) -> bool {
        self.state == State::Header
    }

    /// Returns whether this line may still be a comment or blank, so that it belongs to a header.
    pub(crate) fn is_comment(&self, line: &[u8]) -> bool {
        let line = line.trim_ascii_start();
        self.in_comment
            || line.is_empty()
            || line.starts_with(b"--")
            || line.starts_with(b"#")
            || (line.starts_with(b"/*") && !line.starts_with(b"/*!"))
    }

    /// Notes that a statement begins.
    pub(crate) fn statement(&mut self) {
        self.state = State::Body;
        if let Some(section) = self.sections.last_mut() {
            section.has_statement = true;
        }
    }

    /// Reads the next line.
    pub(crate) fn line(&mut self, number: usize, line: &str) -> Result<()> {
        match speech(line) {
            Some(Ok(_)) if self.in_comment => {}
            Some(Ok(Speech::Touches)) => {}
            Some(Ok(Speech::Section(direction, rest))) => self.section(number, direction, rest)?,
            // Behind a statement it belongs to the next one.
            Some(Ok(Speech::Directives(text))) if self.state == State::Body => {
                self.of_statement(number, text)?;
            }
            Some(Ok(Speech::Directives(text))) => self.directives(number, text)?,
            Some(Err(spelling)) => {
                return Err(at(
                    self.file,
                    number,
                    format!("`{spelling}` is not how a directive begins"),
                )
                .hint("write `-- walkback:` in lower case"));
            }
            None => self.other(line),
        }
        Ok(())
    }

    /// Checks what is said of the statement that follows.
    fn of_statement(&self, number: usize, text: &str) -> Result<()> {
        for (key, value) in items(self.file, number, text)? {
            match key {
                ALLOW => {
                    names(self.file, number, key, &value)?;
                }
                "protect" if PROTECT.contains(&value.as_str()) => {}
                "protect" => return Err(wrong(self.file, number, key, &value, &PROTECT)),
                _ => return Err(behind(self.file, number)),
            }
        }
        Ok(())
    }

    /// Checks what can only be known at the end of a single file.
    pub(crate) fn finish(&self) -> Result<()> {
        let down = self
            .sections
            .iter()
            .find(|section| section.direction == Direction::Down);
        let up = self
            .sections
            .iter()
            .any(|section| section.announced && section.direction == Direction::Up);
        match down {
            Some(down) if down.announced && !up => Err(at(
                self.file,
                down.first_line - 1,
                "the file has a section `-- walkback: down` and none for `up`",
            )
            .hint("write `-- walkback: up` on a line before the first statement of the way up")),
            _ => Ok(()),
        }
    }

    fn other(&mut self, line: &str) {
        if !self.is_comment(line.as_bytes()) {
            self.statement();
            return;
        }
        let line = line.trim_start();
        let rest = if self.in_comment {
            line
        } else if let Some(rest) = line.strip_prefix("/*") {
            rest
        } else {
            return;
        };
        match rest.split_once("*/") {
            None => self.in_comment = true,
            Some((_, behind)) => {
                self.in_comment = false;
                self.other(behind);
            }
        }
    }

    fn section(&mut self, number: usize, direction: Direction, rest: &str) -> Result<()> {
        if self.only.is_some() {
            return Err(at(
                self.file,
                number,
                format!("a section `-- walkback: {direction}` stands in a file of one direction"),
            )
            .hint("sections belong into a single file `<id>_<slug>.sql`; remove the line here"));
        }
        if let Some(earlier) = self
            .sections
            .iter()
            .find(|section| section.announced && section.direction == direction)
        {
            return Err(at(
                self.file,
                number,
                format!(
                    "a second section `-- walkback: {direction}`; the first begins on line {}",
                    earlier.first_line - 1
                ),
            ));
        }
        let mut section = Section::new(direction, number + 1, true);
        if let [before] = &mut self.sections[..]
            && !before.announced
        {
            if before.has_statement {
                return Err(at(self.file, number, "statements stand before the first section")
                    .hint("put `-- walkback: up` on a line before the first statement of the way up"));
            }
            // What the head of the file says, it says of the migration, and so of its way up.
            let head = std::mem::take(&mut before.header);
            if direction == Direction::Up {
                section.header = head;
                self.sections.clear();
            } else {
                before.header = head;
            }
        }
        if direction == Direction::Up
            && let Some(place) = self.sections.iter().position(|section| !section.announced)
        {
            section.header = self.sections.remove(place).header;
        }
        self.sections.push(section);
        self.state = State::Header;
        self.directives(number, rest)
    }

    fn directives(&mut self, number: usize, text: &str) -> Result<()> {
        let file = self.file;
        let section = self
            .sections
            .last_mut()
            .ok_or_else(|| Error::internal("a script without a section"))?;
        for (key, value) in items(file, number, text)? {
            section.header.set(file, number, section.direction, key, value)?;
        }
        Ok(())
    }
}

impl Section {
    fn new(direction: Direction, first_line: usize, announced: bool) -> Self {
        Self {
            direction,
            header: Header::default(),
            first_line,
            has_statement: false,
            announced,
        }
    }
}

impl Header {
    fn set(
        &mut self,
        file: &Path,
        line: usize,
        direction: Direction,
        key: &str,
        value: String,
    ) -> Result<()> {
        if !KNOWN.contains(&key) {
            let error = at(file, line, format!("`{key}` is not a directive"));
            return Err(match close(key, &KNOWN) {
                Some(close) => error.hint(format!("did you mean `{close}`?")),
                None => error.hint(format!("the directives are {}", KNOWN.join(", "))),
            });
        }
        if direction == Direction::Down && !OF_A_SCRIPT.contains(&key) {
            return Err(at(
                file,
                line,
                format!("`{key}` says something of the migration, not of its way down"),
            )
            .hint("move it to the head of the up script"));
        }
        let again = || at(file, line, format!("`{key}` is given twice"));
        let list = || names(file, line, key, &value);
        let ids = || Ok(list()?.into_iter().map(MigrationId::new).collect());
        match key {
            ALLOW => list().map(|_| ()),
            "parents" if value == "none" => put(&mut self.parents, Vec::new(), again),
            "parents" => put(&mut self.parents, ids()?, again),
            "depends_on" => put(&mut self.depends_on, ids()?, again),
            "label" => put(&mut self.labels, list()?, again),
            "transaction" => {
                let on = match value.as_str() {
                    "on" => true,
                    "off" => false,
                    _ => return Err(wrong(file, line, key, &value, &["on", "off"])),
                };
                put(&mut self.transaction, on, again)
            }
            "protect" if PROTECT.contains(&value.as_str()) => put(&mut self.protect, value, again),
            "protect" => Err(wrong(file, line, key, &value, &PROTECT)),
            "phase" => match Phase::from_word(&value) {
                Some(phase) => put(&mut self.phase, phase, again),
                None => Err(wrong(file, line, key, &value, &["expand", "contract"])),
            },
            "lock_timeout" => put(&mut self.lock_timeout, time(file, line, key, &value)?, again),
            "statement_timeout" => put(&mut self.statement_timeout, time(file, line, key, &value)?, again),
            _ if value.trim().is_empty() => Err(at(file, line, "`irreversible` gives no reason")
                .hint("say why: `-- walkback: irreversible=\"the old values are not kept\"`")),
            _ => put(&mut self.irreversible, value, again),
        }
    }
}

fn behind(file: &Path, line: usize) -> Error {
    at(file, line, "a directive stands behind a statement")
        .hint("move it into the comments before the first statement")
}

fn put<T>(slot: &mut Option<T>, value: T, again: impl Fn() -> Error) -> Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(again()),
    }
}

fn wrong(file: &Path, line: usize, key: &str, value: &str, allowed: &[&str]) -> Error {
    let error = at(
        file,
        line,
        format!("`{key}={value}` is not one of {}", allowed.join(", ")),
    );
    match close(value, allowed) {
        Some(close) => error.hint(format!("did you mean `{key}={close}`?")),
        None => error,
    }
}

fn time(file: &Path, line: usize, key: &str, value: &str) -> Result<Duration> {
    humantime::parse_duration(value)
        .ok()
        .filter(|time| !time.is_zero())
        .ok_or_else(|| {
            at(file, line, format!("`{key}={value}` is not a time")).hint(format!(
                "write it with its unit: `{key}=5s`, `{key}=500ms`, `{key}=10m`"
            ))
        })
}

fn names(file: &Path, line: usize, key: &str, value: &str) -> Result<Vec<String>> {
    let names: Vec<String> = value.split(',').map(|name| name.trim().to_owned()).collect();
    if names.iter().any(String::is_empty) {
        return Err(at(file, line, format!("`{key}={value}` leaves a name out"))
            .hint(format!("write `{key}=a` or `{key}=a,b`")));
    }
    Ok(names)
}

fn close<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .copied()
        .filter(|known| {
            strsim::damerau_levenshtein(known, word) <= 2
                || known.trim_end_matches('s') == word.trim_end_matches('s')
        })
        .min_by_key(|known| strsim::damerau_levenshtein(known, word))
}

/// Returns what a line says to walkback, if it does; `Err` is a beginning in the wrong case.
fn speech(line: &str) -> Option<Result<Speech<'_>, &str>> {
    let text = line.trim_start().strip_prefix("--")?.trim_start();
    let (word, rest) = text.split_at_checked("walkback:".len())?;
    if !word.eq_ignore_ascii_case("walkback:") {
        return None;
    }
    if word != "walkback:" {
        return Some(Err(word));
    }
    let rest = rest.trim();
    let (first, tail) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    Some(Ok(match first {
        "up" => Speech::Section(Direction::Up, tail),
        "down" => Speech::Section(Direction::Down, tail),
        first if first == "touches" || first.starts_with("touches=") => Speech::Touches,
        _ => Speech::Directives(rest),
    }))
}

/// Splits `a=b c="d e"` into its pairs.
fn items<'t>(file: &Path, line: usize, text: &'t str) -> Result<Vec<(&'t str, String)>> {
    let mut items = Vec::new();
    let mut rest = text.trim();
    if rest.is_empty() {
        return Ok(items);
    }
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| c == '=' || c.is_whitespace())
            .unwrap_or(rest.len());
        let (key, tail) = rest.split_at(end);
        let Some(tail) = tail.strip_prefix('=') else {
            let error = at(file, line, format!("the directive `{key}` has no value"));
            return Err(match close(key, &KNOWN) {
                Some(known) => error.hint(format!("write `{known}=<value>`, without blanks round the `=`")),
                None => error.hint(format!("the directives are {}", KNOWN.join(", "))),
            });
        };
        let (value, tail) = value(tail).ok_or_else(|| {
            at(file, line, format!("the value of `{key}` does not end")).hint("end it with `\"`")
        })?;
        if value.is_empty() {
            return Err(at(file, line, format!("the directive `{key}` has no value"))
                .hint(format!("write `{key}=<value>`, without blanks round the `=`")));
        }
        items.push((key, value));
        rest = tail.trim_start();
    }
    Ok(items)
}

/// Reads a value up to a blank, or in double quotes with `\"` and `\\` inside.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            c => value.push(c),
        }
    }
    None
}
