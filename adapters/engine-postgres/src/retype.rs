//! Types that an exchange makes anew, or gives another name, while tables have columns of them.
//!
//! No statement takes a value out of an enum. So the type steps aside under another name, the one that was before is
//! made, and each column moves over to it by its text: of tables that stay, of shadows, and of copies that are kept.
//! Rows that the type could not hold before make the server refuse, and nothing has changed.

use std::collections::BTreeSet;

use walkback_core::catalog::Object;
use walkback_core::engine::Swap;
use walkback_core::name::ObjectKind;
use walkback_core::{Cx, Error, ErrorKind, Result};

use crate::catalog::{Catalog, Entry};
use crate::dialect::{quoted, quoted_table};
use crate::link::Link;

/// Columns of given types, or of arrays of them, without those of given tables, those of parents first: table, column, type,
/// default, whether a statement computes it, number of the table, number of the column, whether rows are divided by it,
/// whether it is that of a parent.
const COLUMNS: &str = "\
SELECT a.attrelid::pg_catalog.regclass::text, pg_catalog.quote_ident(a.attname), \
  pg_catalog.format_type(a.atttypid, a.atttypmod), pg_catalog.pg_get_expr(d.adbin, d.adrelid), (a.attgenerated <> '')::text, \
  a.attrelid::text, a.attnum::text, \
  EXISTS (SELECT FROM pg_catalog.pg_partitioned_table p WHERE p.partrelid = a.attrelid AND a.attnum = ANY (p.partattrs))::text, \
  (a.attinhcount > 0)::text \
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p') \
  AND c.relpersistence <> 't' \
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
WHERE NOT a.attisdropped AND a.attrelid <> ALL ($2::text::oid[]) \
  AND (a.atttypid = ANY ($1::text::oid[]) OR t.typlen = -1 AND t.typelem = ANY ($1::text::oid[])) \
ORDER BY a.attinhcount, (SELECT count(*) FROM pg_catalog.pg_partition_ancestors(a.attrelid)), a.attrelid, a.attnum";

/// Views, triggers and policies that stand on given columns (`table:column`), and what says how a trigger fires.
const STANDING: &str = "\
SELECT DISTINCT coalesce(r.ev_class, d.objid)::text, \
  CASE WHEN t.tgenabled <> 'O' THEN pg_catalog.format('ALTER TABLE %s %s TRIGGER %I', t.tgrelid::pg_catalog.regclass, \
    CASE t.tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE ALWAYS' END, t.tgname) END \
FROM pg_catalog.pg_depend d \
LEFT JOIN pg_catalog.pg_trigger t ON d.classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass AND t.oid = d.objid \
LEFT JOIN pg_catalog.pg_rewrite r ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND r.oid = d.objid \
WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid || ':' || d.refobjsubid = ANY ($1::text::text[]) \
  AND d.classid IN ('pg_catalog.pg_rewrite'::pg_catalog.regclass, 'pg_catalog.pg_trigger'::pg_catalog.regclass, \
    'pg_catalog.pg_policy'::pg_catalog.regclass)";

/// Constraints that compare values of given types: checks that name one, and foreign keys between columns of them.
const CONSTRAINTS: &str = "\
SELECT o.conrelid::pg_catalog.regclass::text, pg_catalog.quote_ident(o.conname), pg_catalog.pg_get_constraintdef(o.oid) \
FROM pg_catalog.pg_constraint o JOIN pg_catalog.pg_class c ON c.oid = o.conrelid \
WHERE o.conparentid = 0 AND o.coninhcount = 0 AND o.conrelid <> ALL ($2::text::oid[]) AND o.confrelid <> ALL ($2::text::oid[]) \
  AND (o.contype IN ('c', 'x') AND EXISTS (SELECT FROM pg_catalog.pg_depend d \
        WHERE d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid = o.oid \
          AND d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.refobjid = ANY ($1::text::oid[])) \
    OR o.contype = 'f' AND EXISTS (SELECT FROM pg_catalog.pg_attribute a \
        WHERE a.attrelid = o.conrelid AND a.attnum = ANY (o.conkey) AND a.atttypid = ANY ($1::text::oid[])))";

/// Indexes of walkback's own tables, which the catalog does not show, whose definition names given types.
const INDEXES: &str = "\
SELECT i.indexrelid::pg_catalog.regclass::text, pg_catalog.pg_get_indexdef(i.indexrelid) FROM pg_catalog.pg_index i \
JOIN pg_catalog.pg_class c ON c.oid = i.indrelid AND c.relname ~ '^_walkback_' \
WHERE EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass \
    AND d.objid = i.indexrelid AND d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.refobjid = ANY ($1::text::oid[])) \
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint o WHERE o.conindid = i.indexrelid)";

/// What becomes of types, worked out before anything changes.
#[derive(Debug, Default)]
pub(crate) struct Retyping {
    /// Numbers of the types that are made anew.
    pub(crate) anew: BTreeSet<String>,
    /// Numbers of the types that only get their former name, or name one that does, and the name each had.
    pub(crate) renamed: Vec<(String, String)>,
    /// Numbers of what stands on columns that move over, and has to be made again.
    pub(crate) standing: BTreeSet<String>,
    /// What has to be gone before.
    pub(crate) before: Vec<String>,
    /// What makes the types and moves the columns, once everything that stands on them is gone.
    pub(crate) moves: Vec<Move>,
    /// Names that types have now, and those they had.
    names: Vec<(String, String)>,
    /// Triggers that do not fire, or not as others do, say so when they are made again.
    pub(crate) states: Vec<(String, String)>,
}

/// A statement, and the column that it moves over.
#[derive(Debug)]
pub(crate) struct Move {
    sql: String,
    /// Table and column, quoted.
    column: Option<(String, String)>,
}

impl From<String> for Move {
    fn from(sql: String) -> Self {
        Self { sql, column: None }
    }
}

impl Retyping {
    /// Writes the definition of an object with the names that types had where those stand that they have now.
    pub(crate) fn in_former_words(&self, object: &Object) -> String {
        let place = match object.kind {
            ObjectKind::Grant | ObjectKind::Comment => In::Types,
            _ => In::Expression,
        };
        self.formerly(&object.definition, place)
    }

    fn formerly(&self, text: &str, place: In) -> String {
        let names = self.names.iter();
        names.fold(text.to_owned(), |text, (now, then)| {
            with_name(&text, now, then, place)
        })
    }

    /// Returns whether a type only gets its former name, or keeps the one it has.
    pub(crate) fn is_renamed(&self, entry: &Entry) -> bool {
        self.renamed.iter().any(|(oid, _)| *oid == entry.oid)
    }
}

impl Link {
    /// Makes the types and moves the columns.
    pub(crate) async fn move_over(&mut self, cx: &Cx, moves: &[Move]) -> Result<()> {
        for one in moves {
            let done = self.batch(cx, &one.sql).await;
            let Some((table, column)) = one.column.as_ref().filter(|_| done.is_err()) else {
                done?;
                continue;
            };
            let what = format!(
                "column {column} of table {table} holds what its type could not hold before the migration"
            );
            let hint = format!(
                "nothing was changed; `SELECT DISTINCT {column} FROM {table}` shows what it holds: give those rows a value that \
                 the type had before, and run the command again"
            );
            return done.map_err(|error| error.wrap(what).hint(hint));
        }
        Ok(())
    }

    /// Works out which types are made anew and what that takes.
    pub(crate) async fn retype(
        &mut self,
        cx: &Cx,
        swap: &Swap,
        catalog: &Catalog,
        needs: &[(String, String)],
        doomed: &str,
    ) -> Result<Retyping> {
        let types = || catalog.entries.iter().filter(|entry| is_type(entry));
        let is_dropped = |entry: &Entry| catalog_has(&swap.drop_objects, entry);
        // One of the former name may be there already, made for the shadows: then the columns move over to it.
        let is_there = |name: &str| types().any(|entry| entry.object.name.name == *name);
        let names = former_names(swap, types().filter(|entry| is_dropped(entry)).collect());
        let in_words = names
            .iter()
            .map(|(entry, then)| (entry.object.name.name.clone(), then.name.name.clone()))
            .collect();
        let (moved, renamed): (Vec<_>, Vec<_>) = names
            .into_iter()
            .partition(|(entry, then)| entry.object.name.name != then.name.name && is_there(&then.name.name));
        let mut retyping = Retyping {
            anew: moved.iter().map(|(entry, _)| entry.oid.clone()).collect(),
            renamed: renamed
                .into_iter()
                .map(|(entry, then)| (entry.oid.clone(), then.name.name.clone()))
                .collect(),
            names: in_words,
            ..Retyping::default()
        };
        for entry in types().filter(|entry| is_dropped(entry)) {
            if !retyping.is_renamed(entry) && catalog_has(&swap.create_objects, entry) {
                retyping.anew.insert(entry.oid.clone());
            }
        }
        if retyping.anew.is_empty() {
            return Ok(retyping);
        }
        extend_to_dependents(
            &mut retyping.anew,
            types().map(|entry| &entry.oid).collect(),
            needs,
        );
        let anew: Vec<&Entry> = types()
            .filter(|entry| retyping.anew.contains(&entry.oid))
            .collect();
        let numbers: Vec<&str> = anew.iter().map(|entry| entry.oid.as_str()).collect();
        let numbers = format!("{{{}}}", numbers.join(","));
        let behind = self
            .standing_on_types(cx, &numbers, doomed, &mut retyping)
            .await?;
        let is_moved = |entry: &Entry| moved.iter().any(|(other, _)| other.oid == entry.oid);
        let steps_aside: Vec<&Entry> = anew.iter().copied().filter(|entry| !is_moved(entry)).collect();
        for (index, entry) in steps_aside.iter().enumerate() {
            let aside = format!("_walkback_type_{index}");
            retyping
                .moves
                .push(format!("ALTER {} RENAME TO {}", entry.called, quoted(&aside)).into());
        }
        for entry in &steps_aside {
            let then = swap.create_objects.iter().find(|object| is_same(object, entry));
            let definition = then.map_or(&entry.object.definition, |object| &object.definition);
            retyping.moves.push(definition.clone().into());
        }
        self.columns(cx, swap, &numbers, doomed, &mut retyping).await?;
        retyping.moves.extend(behind);
        for entry in anew.iter().rev() {
            let (word, _) = entry.called.split_once(' ').unwrap_or_default();
            let aside = steps_aside.iter().position(|other| other.oid == entry.oid);
            let name = aside.map_or_else(
                || entry.object.name.clone(),
                |index| entry.object.name.renamed(format!("_walkback_type_{index}")),
            );
            retyping
                .moves
                .push(format!("DROP {word} {}", quoted_table(&name)).into());
        }
        Ok(retyping)
    }

    /// Notes the constraints and indexes that have to be gone before, and returns what makes them again.
    async fn standing_on_types(
        &mut self,
        cx: &Cx,
        numbers: &str,
        doomed: &str,
        retyping: &mut Retyping,
    ) -> Result<Vec<Move>> {
        let mut behind = Vec::new();
        for row in self.texts(cx, CONSTRAINTS, &[numbers, doomed]).await? {
            let (table, name) = (row.get(0), row.get(1));
            let (drop, add) = (
                format!("ALTER TABLE {table} DROP CONSTRAINT {name}"),
                format!("ALTER TABLE {table} ADD CONSTRAINT {name} {}", row.get(2)),
            );
            retyping.before.push(drop);
            behind.push(retyping.formerly(&add, In::Expression).into());
        }
        for row in self.texts(cx, INDEXES, &[numbers]).await? {
            retyping.before.push(format!("DROP INDEX {}", row.get(0)));
            behind.push(retyping.formerly(row.get(1), In::Expression).into());
        }
        Ok(behind)
    }

    /// Moves the columns, and finds what stands on them.
    async fn columns(
        &mut self,
        cx: &Cx,
        swap: &Swap,
        numbers: &str,
        doomed: &str,
        retyping: &mut Retyping,
    ) -> Result<()> {
        let mut moved = Vec::new();
        let (mut drops, mut types, mut defaults): (Vec<Move>, Vec<Move>, Vec<Move>) = Default::default();
        for row in self.texts(cx, COLUMNS, &[numbers, doomed]).await? {
            let (table, column, data_type) =
                (row.get(0), row.get(1), retyping.formerly(row.get(2), In::Types));
            if row.is(4) || row.is(7) {
                let why = if row.is(4) {
                    "computed from others"
                } else {
                    "what its rows are divided by"
                };
                return Err(Error::new(
                    ErrorKind::Refused,
                    format!("the type of column {column} of table {table} is to be as it was before, and the column is {why}: \
                             PostgreSQL changes the type of no such column"),
                )
                .hint("nothing was changed; give the column another type, or drop it, and run the command again"));
            }
            let (head, default) = (format!("ALTER TABLE {table} ALTER COLUMN {column}"), row.find(3));
            let is_of_parent = row.is(8);
            if default.is_some() {
                drops.push(format!("{head} DROP DEFAULT").into());
            }
            // That of a parent takes those of its children with it, and gives them its default.
            if !is_of_parent {
                types.push(Move {
                    sql: format!("{head} TYPE {data_type} USING {column}::text::{data_type}"),
                    column: Some((known_as(swap, table), column.to_owned())),
                });
            }
            match default {
                Some(default) => {
                    let default = retyping.formerly(default, In::Expression);
                    defaults.push(format!("{head} SET DEFAULT {default}").into());
                }
                None if is_of_parent => defaults.push(format!("{head} DROP DEFAULT").into()),
                None => {}
            }
            moved.push(format!("{}:{}", row.get(5), row.get(6)));
        }
        for moves in [drops, types, defaults] {
            retyping.moves.extend(moves);
        }
        let moved = format!("{{{}}}", moved.join(","));
        for row in self.texts(cx, STANDING, &[&moved]).await? {
            retyping.standing.insert(row.get(0).to_owned());
            if let Some(state) = row.find(1) {
                retyping.states.push(("trigger".to_owned(), state.to_owned()));
            }
        }
        Ok(())
    }
}

/// Adds the types that are made of others: a domain over an enum, and a row that has one in it, are made anew with it.
fn extend_to_dependents(anew: &mut BTreeSet<String>, types: Vec<&String>, needs: &[(String, String)]) {
    loop {
        let is_made_of_one = |oid: &String| {
            let mut needs = needs.iter();
            needs.any(|(one, other)| one == oid && anew.contains(other))
        };
        let more: Vec<String> = types
            .iter()
            .copied()
            .filter(|oid| !anew.contains(*oid) && is_made_of_one(oid))
            .cloned()
            .collect();
        if more.is_empty() {
            return;
        }
        anew.extend(more);
    }
}

/// Returns what people call a table: a shadow has the name of the one it replaces.
fn known_as(swap: &Swap, table: &str) -> String {
    let mut shadows = swap.shadows.iter();
    let shadow = shadows.find(|(shadow, _)| quoted_table(shadow).replace('"', "") == table.replace('"', ""));
    shadow.map_or_else(|| table.to_owned(), |(_, name)| quoted_table(name))
}

fn is_type(entry: &Entry) -> bool {
    entry.object.kind == ObjectKind::Type && !entry.oid.is_empty()
}

fn is_same(object: &Object, entry: &Entry) -> bool {
    object.kind == entry.object.kind && object.name == entry.object.name
}

fn catalog_has(objects: &[Object], entry: &Entry) -> bool {
    objects.iter().any(|object| is_same(object, entry))
}

/// Returns the types that only had another name before, or name one that had, with the name they had: the only one
/// among those that come back that is made of the same.
fn former_names<'a>(swap: &'a Swap, dropped: Vec<&'a Entry>) -> Vec<(&'a Entry, &'a Object)> {
    let created: Vec<&Object> = swap
        .create_objects
        .iter()
        .filter(|object| object.kind == ObjectKind::Type)
        .collect();
    let mut found: Vec<(&Entry, &Object)> = Vec::new();
    loop {
        let made_of = |entry: &Entry| {
            let made_of = made_of(&entry.object);
            found.iter().fold(made_of, |text, (now, then)| {
                with_name(&text, &now.object.name.name, &then.name.name, In::Types)
            })
        };
        let is_found = |entry: &Entry| found.iter().any(|(other, _)| other.oid == entry.oid);
        let left: Vec<&Entry> = dropped.iter().copied().filter(|entry| !is_found(entry)).collect();
        let next = left.iter().find_map(|entry| {
            let text = made_of(entry);
            let alike = left
                .iter()
                .filter(|other| spelled(&made_of(other)) == spelled(&text))
                .count();
            let mut then = created.iter().filter(|object| {
                object.name.schema == entry.object.name.schema
                    && spelled(&self::made_of(object)) == spelled(&text)
            });
            match (then.next(), then.next(), alike) {
                (Some(object), None, 1) => Some((*entry, *object)),
                _ => None,
            }
        });
        match next {
            Some(pair) => found.push(pair),
            None => return found,
        }
    }
}

/// Returns what a type is made of: its definition without its name.
fn made_of(object: &Object) -> String {
    object
        .definition
        .replacen(&format!(" {} ", quoted_table(&object.name)), " ", 1)
}

/// Returns a text in which names are spelled in one way only.
fn spelled(text: &str) -> String {
    text.replace('"', "")
}

/// Where the name of a type is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum In {
    /// A text in which only types have such names: every word.
    Types,
    /// An expression, in which a column may have the same name: behind `::`.
    Expression,
}

/// Writes another name wherever that of a type stands in a text; never inside of what is quoted.
fn with_name(text: &str, now: &str, then: &str, place: In) -> String {
    let mut written = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word = match first {
            '\'' | '"' => quoted_length(rest, first),
            _ if is_of_word(first) => rest.find(|c| !is_of_word(c)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (word, behind) = rest.split_at(word);
        let is_it = word == now || word == quoted(now);
        if is_it && (place == In::Types || is_cast(&written)) {
            written.push_str(&quoted(then));
        } else {
            written.push_str(word);
        }
        rest = behind;
    }
    written
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// Returns how long what is quoted at the beginning of a text is, quotes and doubled quotes included.
fn quoted_length(text: &str, quote: char) -> usize {
    let mut end = 1;
    loop {
        match text[end..].find(quote) {
            None => return text.len(),
            Some(at) if text[end + at + 1..].starts_with(quote) => end += at + 2,
            Some(at) => return end + at + 1,
        }
    }
}

/// Returns whether the next word is what something is cast to, by itself or behind its schema.
fn is_cast(before: &str) -> bool {
    let schema = before
        .strip_suffix('.')
        .map(|before| before.trim_end_matches(|c: char| is_of_word(c) || c == '"'));
    schema.unwrap_or(before).ends_with("::")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_named_otherwise_and_nothing_else() {
        let types = |text| with_name(text, "feeling", "mood", In::Types);
        assert_eq!(types("feeling[]"), "\"mood\"[]");
        assert_eq!(types("AS (a integer, m feeling)"), "AS (a integer, m \"mood\")");
        assert_eq!(
            types("public.feeling, feelings, my_feeling"),
            "public.\"mood\", feelings, my_feeling"
        );
        assert_eq!(
            types("'feeling' \"the feeling\" \"feeling\""),
            "'feeling' \"the feeling\" \"mood\""
        );
        assert_eq!(types("'it''s feeling' feeling"), "'it''s feeling' \"mood\"");
        let expression = |text| with_name(text, "feeling", "mood", In::Expression);
        assert_eq!(
            expression("CHECK ((feeling <> 'feeling'::feeling))"),
            "CHECK ((feeling <> 'feeling'::\"mood\"))"
        );
        assert_eq!(expression("'ok'::public.feeling"), "'ok'::public.\"mood\"");
        assert_eq!(expression("t.feeling"), "t.feeling");
    }
}
