//! Shadows: empty tables like others, under another name.
//!
//! What a shadow cannot have yet, because the table it is to replace has it (names of indexes, sequences, a place
//! among partitions, foreign keys), is noted in a comment on it and made by [the exchange](crate::swap). So are its
//! keys: rows go in faster before [they are made](crate::index).

use serde::{Deserialize, Serialize};
use walkback_core::catalog::{Object, Table};
use walkback_core::{Cx, Error, ErrorKind, Result, TableName};

use crate::dialect::{quoted, quoted_table, text_literal};
use crate::link::Link;

/// What the comment on a shadow begins with.
const MARK: &str = "walkback shadow: ";

/// Longest name, in bytes.
const LONGEST: usize = 63;

/// What is to be made of a shadow once it has the name of its table.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Note {
    /// Constraints that come with an index: their names now and then.
    pub(crate) renames: Vec<(String, String)>,
    /// Those that are not made yet: names and clauses.
    pub(crate) keys: Vec<(String, String)>,
    /// Indexes that are made: their names now and then, and what they are then.
    pub(crate) indexes: Vec<(String, String, String)>,
    /// Constraints that hold for new rows only, and foreign keys.
    pub(crate) constraints: Vec<(String, String)>,
    pub(crate) foreign_keys: Vec<(String, String)>,
    /// Defaults that draw from a sequence.
    pub(crate) defaults: Vec<(String, String)>,
    pub(crate) identities: Vec<(String, String)>,
    pub(crate) partition_of: Option<(String, String)>,
    pub(crate) inherits: Option<String>,
    pub(crate) of_type: Option<String>,
}

/// Returns whether a comment is one of ours.
pub(crate) fn is_note(comment: &str) -> bool {
    comment.starts_with(MARK)
}

impl Note {
    /// Returns whether an index is made.
    pub(crate) fn has(&self, index: &Object) -> bool {
        let mut made = self.indexes.iter();
        made.any(|(_, name, definition)| *name == index.name.name && *definition == index.definition)
    }

    /// Returns the statement that writes it down.
    pub(crate) fn comment(&self, shadow: &TableName) -> Result<String> {
        let note = serde_json::to_string(self)
            .map_err(|error| Error::internal("a note cannot be written").with_source(error))?;
        let note = text_literal(&format!("{MARK}{note}"));
        Ok(format!("COMMENT ON TABLE {} IS {note}", quoted_table(shadow)))
    }
}

impl Link {
    /// Creates an empty table like another one, under another name.
    pub(crate) async fn create_shadow(&mut self, cx: &Cx, table: &Table, shadow: &TableName) -> Result<()> {
        cx.check()?;
        self.tidy().await?;
        self.must_write()?;
        let name = quoted_table(shadow);
        let taken = self
            .texts(cx, "SELECT pg_catalog.to_regclass($1)::text", &[&name])
            .await?;
        if taken.first().is_some_and(|row| row.find(0).is_some()) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("the table `{shadow}` exists already"),
            ));
        }
        let (sql, note) = statement(table, shadow);
        let comment = note.comment(shadow)?;
        // One message is one transaction, where there is none around it.
        self.batch(cx, &format!("{sql}; {comment}"))
            .await
            .map_err(|error| error.wrap(format!("a shadow of table `{}` cannot be made", table.name)))
    }

    /// Reads what is noted on a shadow.
    pub(crate) async fn note_of(&mut self, cx: &Cx, shadow: &TableName) -> Result<Note> {
        let name = quoted_table(shadow);
        let sql = "SELECT pg_catalog.obj_description(c.oid, 'pg_class') FROM pg_catalog.pg_class c \
                   WHERE c.oid = pg_catalog.to_regclass($1)";
        let rows = self.texts(cx, sql, &[&name]).await?;
        let row = rows
            .first()
            .ok_or_else(|| Error::not_found(format!("there is no shadow `{shadow}`")))?;
        match row.get(0).strip_prefix(MARK) {
            None => Ok(Note::default()),
            Some(text) => serde_json::from_str(text).map_err(|error| {
                Error::new(
                    ErrorKind::Damaged,
                    format!("the comment on the shadow `{shadow}` cannot be read"),
                )
                .with_source(error)
            }),
        }
    }
}

/// Returns the statement that creates a shadow, and what is to be done later.
fn statement(table: &Table, shadow: &TableName) -> (String, Note) {
    let mut note = Note::default();
    let mut lines = Vec::new();
    for column in &table.columns {
        lines.push(column_line(table, &column.name, &mut note));
    }
    for (fact, name) in &table.facts {
        let clause = fact.strip_prefix("inherited ").unwrap_or(fact).trim_end();
        if clause.starts_with("foreign key") {
            // Those of a partition come from its parent.
            if !fact.starts_with("inherited ") {
                note.foreign_keys.push((name.clone(), clause.to_owned()));
            }
        } else if clause.starts_with("check ") && clause.ends_with("NOT VALID") {
            note.constraints.push((name.clone(), clause.to_owned()));
        } else if clause.starts_with("check ") {
            lines.push(format!("CONSTRAINT {} {clause}", quoted(name)));
        } else if ["primary key ", "unique ", "exclude "]
            .iter()
            .any(|sort| clause.starts_with(sort))
        {
            if table.facts.contains_key("partition by") {
                let other = stand_in(shadow, name);
                lines.push(format!("CONSTRAINT {} {clause}", quoted(&other)));
                note.renames.push((other, name.clone()));
            } else {
                note.keys.push((name.clone(), clause.to_owned()));
            }
        }
    }
    let find = |name: &str| table.facts.get(name);
    note.partition_of = find("partition of")
        .cloned()
        .zip(find("partition bound").cloned());
    note.inherits = find("inherits").cloned();
    note.of_type = find("of type").cloned();
    let unlogged = if find("unlogged").is_some() {
        "UNLOGGED "
    } else {
        ""
    };
    let mut sql = format!(
        "CREATE {unlogged}TABLE {} (\n    {}\n)",
        quoted_table(shadow),
        lines.join(",\n    ")
    );
    for (fact, word, quote) in [
        ("partition by", "PARTITION BY", false),
        ("access method", "USING", true),
        ("with", "WITH (", false),
        ("tablespace", "TABLESPACE", true),
    ] {
        if let Some(value) = find(fact) {
            let value = if quote { quoted(value) } else { value.clone() };
            let end = if word.ends_with('(') { ")" } else { "" };
            sql.push_str(&format!(" {word} {value}{end}"));
        }
    }
    (sql, note)
}

fn column_line(table: &Table, name: &str, note: &mut Note) -> String {
    let find = |what: &str| table.facts.get(&format!("{what} {name}"));
    let column = table.columns.iter().find(|column| column.name == name);
    let of_type = find("column")
        .cloned()
        .or_else(|| column.map(|column| column.data_type.clone()));
    let mut line = format!("{} {}", quoted(name), of_type.unwrap_or_default());
    if let Some(generated) = find("generated") {
        line.push_str(&format!(" GENERATED ALWAYS AS {generated}"));
    }
    match find("default") {
        Some(default) if default.contains("nextval(") => {
            note.defaults.push((name.to_owned(), default.clone()))
        }
        Some(default) => line.push_str(&format!(" DEFAULT {default}")),
        None => {}
    }
    if let Some(identity) = find("identity") {
        note.identities.push((name.to_owned(), identity.clone()));
    }
    if find("not null").is_some() {
        // Newer servers give these names as well, after the table; a partition that is made as one has those of the whole.
        let whole = find_whole(table).unwrap_or(&table.name);
        let constraint = format!("{}_{name}_not_null", whole.name);
        if constraint.len() <= LONGEST {
            line.push_str(&format!(" CONSTRAINT {}", quoted(&constraint)));
        }
        line.push_str(" NOT NULL");
    }
    line
}

fn find_whole(table: &Table) -> Option<&TableName> {
    let is_part = table.facts.contains_key("partition of");
    table.parents.first().filter(|_| is_part)
}

/// Returns a name for an index of a shadow that nobody has.
pub(crate) fn stand_in(shadow: &TableName, name: &str) -> String {
    let hash = blake3::hash(format!("{shadow}\0{name}").as_bytes());
    format!("_walkback_{}", &hash.to_hex().as_str()[..16])
}
