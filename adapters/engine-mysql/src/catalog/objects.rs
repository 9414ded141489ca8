//! Everything but tables: views, triggers, routines, events, sequences.

use std::collections::BTreeMap;

use walkback_core::catalog::Object;
use walkback_core::name::ObjectKind;
use walkback_core::{Result, TableName};
use walkback_sql::lexer::{TokenKind, significant_tokens};
use walkback_sql::normalise;

use super::is_own;
use crate::context::Context;
use crate::dialect::{KIND, quoted};
use crate::link::Link;
use crate::scheduled;

/// What is said of an object whose definition the server keeps from this user.
const HIDDEN: &str = "not shown to this user";

/// The fact that a view refers to what is not there, so that the server would not create it.
pub(crate) const BROKEN: &str = "broken";

/// What `SHOW CREATE` says of an object: its columns by name.
type Shown = BTreeMap<String, String>;

impl Link {
    async fn shown(&mut self, sql: &str, columns: &[&str]) -> Result<Shown> {
        let rows = self.texts(sql).await?;
        let row = rows.into_iter().next().unwrap_or_default();
        let named = columns.iter().zip(row).filter_map(|(name, value)| {
            let value = value.filter(|_| !name.is_empty())?;
            Some(((*name).to_owned(), value))
        });
        Ok(named.collect())
    }

    pub(super) async fn view(&mut self, name: &str) -> Result<Option<Object>> {
        let sql = format!("SHOW CREATE VIEW {}", quoted(name));
        let columns = ["", "text", "character_set_client", "collation_connection"];
        let shown = self.shown(&sql, &columns).await?;
        // The server says so of a view that refers to what is not there.
        let is_broken = self.conn.get_warnings() > 0;
        let mut view = object(ObjectKind::View, name, None, &shown);
        if is_broken {
            view.facts.insert(BROKEN.to_owned(), "holds".to_owned());
        }
        Ok(Some(view))
    }

    pub(super) async fn sequence(&mut self, name: &str) -> Result<Object> {
        let shown = self
            .shown(&format!("SHOW CREATE SEQUENCE {}", quoted(name)), &["", "text"])
            .await?;
        let next = self
            .one(&format!("SELECT next_not_cached_value FROM {}", quoted(name)))
            .await?
            .unwrap_or_else(|| "1".to_owned());
        let text = shown.get("text").cloned().unwrap_or_default();
        let (start, rest) = started_at(&text, &next);
        Ok(Object {
            kind: ObjectKind::Sequence,
            name: TableName::new(name),
            on: None,
            // It goes on where it stands; where it once began is not compared.
            definition: start,
            facts: BTreeMap::from([("definition".to_owned(), rest)]),
        })
    }

    pub(super) async fn triggers(&mut self) -> Result<Vec<Object>> {
        let rows = self
            .texts(
                "SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE, ACTION_ORDER FROM information_schema.TRIGGERS \
                 WHERE TRIGGER_SCHEMA = DATABASE() \
                 ORDER BY EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER",
            )
            .await?;
        let columns = [
            "",
            "sql_mode",
            "text",
            "character_set_client",
            "collation_connection",
        ];
        let mut triggers = Vec::new();
        for row in rows {
            let [Some(name), Some(table), order] = <[Option<String>; 3]>::try_from(row).unwrap_or_default()
            else {
                continue;
            };
            if is_own(&name) || is_own(&table) {
                continue;
            }
            let shown = self
                .shown(&format!("SHOW CREATE TRIGGER {}", quoted(&name)), &columns)
                .await?;
            let mut trigger = object(ObjectKind::Trigger, &name, Some(&table), &shown);
            trigger
                .facts
                .insert("order".to_owned(), order.unwrap_or_default());
            triggers.push(trigger);
        }
        Ok(triggers)
    }

    pub(super) async fn routines(&mut self) -> Result<Vec<Object>> {
        let rows = self
            .texts(
                "SELECT ROUTINE_NAME, ROUTINE_TYPE FROM information_schema.ROUTINES \
                 WHERE ROUTINE_SCHEMA = DATABASE() ORDER BY ROUTINE_TYPE, ROUTINE_NAME",
            )
            .await?;
        let columns = [
            "",
            "sql_mode",
            "text",
            "character_set_client",
            "collation_connection",
        ];
        let named: Vec<(String, String)> = rows
            .into_iter()
            .filter_map(|row| {
                let [name, sort] = <[Option<String>; 2]>::try_from(row).ok()?;
                Some((name?, sort?))
            })
            .collect();
        let mut routines = Vec::new();
        for (name, sort) in &named {
            let sql = format!("SHOW CREATE {sort} {}", quoted(name));
            let shown = self.shown(&sql, &columns).await?;
            let mut routine = object(ObjectKind::Routine, name, None, &shown);
            routine.facts.insert("sort".to_owned(), sort.to_ascii_lowercase());
            let namesakes = named
                .iter()
                .filter(|(other, _)| other.eq_ignore_ascii_case(name))
                .count();
            if namesakes > 1 {
                routine.name.name = format!("{name} ({})", sort.to_ascii_lowercase());
            }
            routines.push(routine);
        }
        Ok(routines)
    }

    pub(super) async fn events(&mut self) -> Result<Vec<Object>> {
        let rows = self
            .texts(
                "SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE() \
                 ORDER BY EVENT_NAME",
            )
            .await?;
        let columns = [
            "",
            "sql_mode",
            "time_zone",
            "text",
            "character_set_client",
            "collation_connection",
        ];
        let mut events = Vec::new();
        for name in rows.into_iter().flatten().flatten() {
            let mut shown = self
                .shown(&format!("SHOW CREATE EVENT {}", quoted(&name)), &columns)
                .await?;
            if let Some(text) = shown.get_mut("text")
                && let Some(meant) = scheduled::as_meant(&self.place.config().database, &name, text)
            {
                *text = meant;
            }
            events.push(object(ObjectKind::Event, &name, None, &shown));
        }
        Ok(events)
    }
}

fn object(kind: ObjectKind, name: &str, on: Option<&str>, shown: &Shown) -> Object {
    let (mut facts, mut context) = (BTreeMap::new(), Context::default());
    let text = shown.get("text");
    // A text that is not ASCII arrives in the connection's character set, and is read in it.
    let is_ascii = text.is_some_and(|text| text.is_ascii());
    for name in [
        "sql_mode",
        "character_set_client",
        "collation_connection",
        "time_zone",
    ] {
        let Some(value) = shown.get(name) else { continue };
        let is_unicode = value.starts_with("utf8");
        if is_ascii || is_unicode || !name.contains('_') || name == "sql_mode" || name == "time_zone" {
            context = context.with(name, value);
            facts.insert(name.replace('_', " "), value.clone());
        }
    }
    let definition = match text {
        Some(text) => {
            facts.insert("definition".to_owned(), normalise(KIND, text));
            context.before(text)
        }
        None => {
            facts.insert("definition".to_owned(), HIDDEN.to_owned());
            String::new()
        }
    };
    Object {
        kind,
        name: TableName::new(name),
        on: on.map(TableName::new),
        definition,
        facts,
    }
}

/// Returns the definition of a sequence that starts where another stands, and what is compared of it.
fn started_at(text: &str, next: &str) -> (String, String) {
    let tokens = significant_tokens(KIND, text);
    for three in tokens.windows(3) {
        let [start, with, number] = three else { continue };
        let is_start = start.is_word("START") && with.is_word("WITH");
        if is_start && matches!(number.kind, TokenKind::Number | TokenKind::Symbol) {
            // A negative number is a sign and a number.
            let end = text[number.offset..]
                .find(' ')
                .map_or(text.len(), |length| number.offset + length);
            let (before, after) = (&text[..number.offset], &text[end..]);
            let compared = format!("{}{after}", &text[..start.offset]);
            return (format!("{before}{next}{after}"), normalise(KIND, &compared));
        }
    }
    (text.to_owned(), normalise(KIND, text))
}

/// Puts views in an order in which they can be created: each after those it names.
pub(super) fn in_order(mut views: Vec<Object>) -> Vec<Object> {
    let mut ordered: Vec<Object> = Vec::new();
    while !views.is_empty() {
        let names: Vec<String> = views.iter().map(|view| quoted(&view.name.name)).collect();
        let is_free = |index: usize, view: &Object| {
            let mut others = names.iter().enumerate().filter(|(other, _)| *other != index);
            !others.any(|(_, name)| view.definition.contains(name.as_str()))
        };
        // Names that only look alike may make a circle where there is none; any order does then.
        let index = views
            .iter()
            .enumerate()
            .position(|(index, view)| is_free(index, view))
            .unwrap_or(0);
        ordered.push(views.remove(index));
    }
    ordered
}
