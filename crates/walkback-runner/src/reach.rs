//! What statements change beyond the tables they name: by foreign keys that cascade, and by triggers.

use std::collections::BTreeMap;
use std::path::Path;

use walkback_core::catalog::{Object, Schema, Table};
use walkback_core::name::ObjectKind;
use walkback_core::statement::Action;
use walkback_core::{Dialect, Effect, TableName};
use walkback_sql::lexer::{Token, TokenKind};

use crate::plan::PlannedStatement;

/// What may set off a trigger or a foreign key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Insert,
    Update,
    Delete,
}

/// A trigger, as far as its text can be read.
#[derive(Debug)]
struct Trigger {
    on: TableName,
    /// Empty: any.
    events: Vec<Event>,
    /// `None`: it calls something that cannot be read here.
    actions: Option<Vec<Action>>,
}

/// Finds what statements change beyond the tables they name.
#[derive(Debug)]
pub(crate) struct Reach<'a> {
    schema: &'a Schema,
    triggers: Vec<Trigger>,
    /// Whether foreign keys are enforced while the statements run.
    cascades: bool,
}

impl<'a> Reach<'a> {
    /// Looks at a schema.
    pub(crate) fn new(dialect: &dyn Dialect, schema: &'a Schema, cascades: bool) -> Self {
        let mut reach = Self {
            schema,
            triggers: Vec::new(),
            cascades,
        };
        reach.add_triggers(dialect, &schema.objects);
        reach
    }

    /// Looks also at triggers that are not in the schema now, and will be when the statements run.
    pub(crate) fn add_triggers(&mut self, dialect: &dyn Dialect, objects: &[Object]) {
        let triggers = objects.iter().filter(|object| object.kind == ObjectKind::Trigger);
        for object in triggers {
            let fallback = object.on.clone().unwrap_or_else(|| object.name.clone());
            self.triggers
                .push(Trigger::read(dialect, &object.definition, &fallback));
        }
    }

    /// Returns every table that the statements change, with those reached by foreign keys and triggers, under
    /// the names of the catalog where it has them. `None`: it cannot be known.
    pub(crate) fn of(self, dialect: &dyn Dialect, statements: &[PlannedStatement]) -> Option<Vec<TableName>> {
        let effects: Vec<_> = statements
            .iter()
            .map(|statement| (statement.sql.clone(), statement.effect.clone()))
            .collect();
        self.of_effects(dialect, &effects)
    }

    /// As [`Reach::of`], for statements of the journal: each with what it does.
    pub(crate) fn of_effects(
        mut self,
        dialect: &dyn Dialect,
        effects: &[(String, Effect)],
    ) -> Option<Vec<TableName>> {
        let own: Vec<_> = effects
            .iter()
            .flat_map(|(sql, effect)| triggers_in(sql, effect))
            .collect();
        self.add_triggers(dialect, &own);
        let actions = effects
            .iter()
            .flat_map(|(_, effect)| effect.actions.iter().cloned());
        self.closure(dialect, actions.collect())
    }

    fn closure(&self, dialect: &dyn Dialect, actions: Vec<Action>) -> Option<Vec<TableName>> {
        let renames: Vec<(TableName, TableName)> = actions
            .iter()
            .filter_map(|action| match action {
                Action::RenameTable { from, to } => Some((from.clone(), to.clone())),
                _ => None,
            })
            .collect();
        let mut touched: Vec<TableName> = Vec::new();
        let mut seen: Vec<(TableName, Event)> = Vec::new();
        let mut seen_views: Vec<TableName> = Vec::new();
        let mut waiting = actions;
        while let Some(action) = waiting.pop() {
            if matches!(action, Action::Unknown { .. }) {
                return None;
            }
            let Some(named) = action.changed_table() else {
                continue;
            };
            if let Some(view) = self.view(named)
                && !seen_views.contains(&view.name)
            {
                // Rows written through a view are rows of the tables it reads.
                seen_views.push(view.name.clone());
                let read = self.read_by(dialect, view);
                waiting.extend(read.iter().filter_map(|name| on_another(&action, name)));
            }
            for table in self.with_parts(self.names_of(named, &renames)) {
                if !touched.contains(&table) {
                    touched.push(table.clone());
                }
                for event in events(&action) {
                    if seen.contains(&(table.clone(), *event)) {
                        continue;
                    }
                    seen.push((table.clone(), *event));
                    waiting.extend(self.set_off(&table, *event)?);
                }
            }
        }
        touched.sort();
        Some(touched)
    }

    /// Returns the names a table has, or had before the same script renamed it.
    fn names_of(&self, table: &TableName, renames: &[(TableName, TableName)]) -> Vec<TableName> {
        let mut names = vec![self.in_catalog(table)];
        let mut next = 0;
        while let Some(name) = names.get(next).cloned() {
            for (from, to) in renames {
                let from = self.in_catalog(from);
                if same(&self.in_catalog(to), &name) && !names.contains(&from) {
                    names.push(from);
                }
            }
            next += 1;
        }
        names
    }

    /// Returns tables with their partitions and those that inherit from them, at any depth: a statement on a
    /// table reaches their rows.
    fn with_parts(&self, mut names: Vec<TableName>) -> Vec<TableName> {
        let mut next = 0;
        while let Some(name) = names.get(next).cloned() {
            let parts = self
                .schema
                .tables
                .iter()
                .filter(|table| table.parents.iter().any(|parent| same(parent, &name)))
                .map(|table| table.name.clone());
            let new: Vec<_> = parts.filter(|part| !names.contains(part)).collect();
            names.extend(new);
            next += 1;
        }
        names
    }

    fn view(&self, name: &TableName) -> Option<&'a Object> {
        self.schema.object(ObjectKind::View, name)
    }

    /// Returns the tables and views whose names stand in the definition of a view: more than it reads, perhaps,
    /// and never less.
    fn read_by(&self, dialect: &dyn Dialect, view: &Object) -> Vec<TableName> {
        let tokens = walkback_sql::lexer::significant_tokens(dialect.kind(), &view.definition);
        let stands =
            |name: &TableName| name != &view.name && tokens.iter().any(|token| is_name(token, &name.name));
        let tables = self.schema.tables.iter().map(|table| &table.name);
        let views = self
            .schema
            .objects
            .iter()
            .filter(|object| object.kind == ObjectKind::View)
            .map(|object| &object.name);
        tables.chain(views).filter(|name| stands(name)).cloned().collect()
    }

    fn in_catalog(&self, table: &TableName) -> TableName {
        find(self.schema, table).map_or_else(|| table.clone(), |table| table.name.clone())
    }

    /// Returns what the server does by itself when rows of a table change. `None`: it cannot be known.
    fn set_off(&self, table: &TableName, event: Event) -> Option<Vec<Action>> {
        let mut actions = Vec::new();
        for trigger in &self.triggers {
            let fires = trigger.events.is_empty() || trigger.events.contains(&event);
            if fires && same(&trigger.on, table) {
                actions.extend(trigger.actions.clone()?);
            }
        }
        if self.cascades && event != Event::Insert {
            let children = self.schema.tables.iter().filter(|child| {
                child
                    .foreign_keys
                    .iter()
                    .any(|key| key.cascades && same(&key.references, table))
            });
            for child in children {
                let table = child.name.clone();
                actions.push(Action::Update { table: table.clone() });
                actions.push(Action::Delete { table });
            }
        }
        Some(actions)
    }
}

impl Trigger {
    fn read(dialect: &dyn Dialect, sql: &str, on: &TableName) -> Self {
        let unread = Self {
            on: on.clone(),
            events: Vec::new(),
            actions: None,
        };
        let tokens = walkback_sql::lexer::significant_tokens(dialect.kind(), sql);
        let Some(head) = tokens.iter().position(|token| token.is_word("ON")) else {
            return unread;
        };
        let words = [
            ("INSERT", Event::Insert),
            ("UPDATE", Event::Update),
            ("DELETE", Event::Delete),
            ("TRUNCATE", Event::Delete),
        ];
        let events = words
            .iter()
            .filter(|(word, _)| tokens[..head].iter().any(|token| token.is_word(word)))
            .map(|(_, event)| *event)
            .collect();
        let begin = tokens[head..].iter().find(|token| token.is_word("BEGIN"));
        let end = tokens.iter().rev().find(|token| token.is_word("END"));
        let (Some(begin), Some(end)) = (begin, end) else {
            return Self { events, ..unread };
        };
        let body = sql.get(begin.end()..end.offset).unwrap_or_default();
        let actions = dialect.split(body, Path::new("trigger")).ok().map(|statements| {
            let effects = statements.iter().map(|statement| dialect.effect(statement));
            effects.flat_map(|effect| effect.actions).collect()
        });
        Self {
            on: on.clone(),
            events,
            actions,
        }
    }
}

/// Returns the triggers that statements create.
pub(crate) fn triggers_of(statements: &[PlannedStatement]) -> impl Iterator<Item = Object> {
    statements
        .iter()
        .flat_map(|statement| triggers_in(&statement.sql, &statement.effect))
}

fn triggers_in<'a>(sql: &'a str, effect: &'a Effect) -> impl Iterator<Item = Object> + 'a {
    effect.actions.iter().filter_map(move |action| match action {
        Action::Create {
            kind: ObjectKind::Trigger,
            name,
            on,
            ..
        } => Some(Object {
            kind: ObjectKind::Trigger,
            name: name.clone(),
            on: on.clone(),
            definition: sql.to_owned(),
            facts: BTreeMap::new(),
        }),
        _ => None,
    })
}

/// Finds a table by a name as a statement has it: in another case, or with the schema it is in anyway.
pub(crate) fn find<'a>(schema: &'a Schema, name: &TableName) -> Option<&'a Table> {
    schema
        .table(name)
        .or_else(|| schema.table(&TableName::new(&name.name)))
}

fn same(left: &TableName, right: &TableName) -> bool {
    left.name.eq_ignore_ascii_case(&right.name)
        && (left.schema.is_none() || right.schema.is_none() || left.schema == right.schema)
}

/// Returns whether a token is this name, quoted or not, in any case.
fn is_name(token: &Token<'_>, name: &str) -> bool {
    match token.kind {
        TokenKind::Word => token.text.eq_ignore_ascii_case(name),
        TokenKind::QuotedName => {
            let mut inner = token.text.chars();
            let quote = inner.next();
            inner.next_back();
            let closing = match quote {
                Some('[') => ']',
                Some(other) => other,
                None => return false,
            };
            let doubled = format!("{closing}{closing}");
            let plain = inner.as_str().replace(&doubled, &closing.to_string());
            plain.eq_ignore_ascii_case(name)
        }
        _ => false,
    }
}

/// Returns the same change of rows on another table.
fn on_another(action: &Action, table: &TableName) -> Option<Action> {
    let table = table.clone();
    match action {
        Action::Insert { may_overwrite, .. } => Some(Action::Insert {
            table,
            may_overwrite: *may_overwrite,
        }),
        Action::Update { .. } => Some(Action::Update { table }),
        Action::Delete { .. } => Some(Action::Delete { table }),
        _ => None,
    }
}

fn events(action: &Action) -> &'static [Event] {
    match action {
        Action::Insert {
            may_overwrite: false, ..
        } => &[Event::Insert],
        Action::Insert { .. } => &[Event::Insert, Event::Update, Event::Delete],
        Action::Update { .. } => &[Event::Update],
        Action::Delete { .. } | Action::Truncate { .. } | Action::DropTable { .. } => &[Event::Delete],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_in_any_case_and_with_the_schema_left_out() {
        let main = TableName::in_schema("main", "T");
        assert!(same(&main, &TableName::new("t")));
        assert!(!same(&main, &TableName::in_schema("other", "t")));
        assert!(!same(&main, &TableName::new("tt")));
    }

    #[test]
    fn a_name_is_found_in_any_quotes_and_case() {
        let tokens = walkback_sql::lexer::significant_tokens(
            walkback_core::DialectKind::Sqlite,
            "T \"a\"\"b\" `C` [d] 'e'",
        );
        let found = |name: &str| tokens.iter().any(|token| is_name(token, name));
        for name in ["t", "a\"b", "c", "d"] {
            assert!(found(name), "{name}");
        }
        assert!(!found("e") && !found("a"), "{tokens:?}");
    }

    #[test]
    fn what_overwrites_sets_off_every_event_and_what_renames_none() {
        let table = TableName::new("t");
        let of = |action: Action| events(&action).len();
        assert_eq!(
            of(Action::Insert {
                table: table.clone(),
                may_overwrite: true
            }),
            3
        );
        assert_eq!(
            of(Action::Insert {
                table: table.clone(),
                may_overwrite: false
            }),
            1
        );
        assert_eq!(of(Action::Truncate { table: table.clone() }), 1);
        assert_eq!(
            of(Action::RenameTable {
                from: table.clone(),
                to: table
            }),
            0
        );
    }
}
