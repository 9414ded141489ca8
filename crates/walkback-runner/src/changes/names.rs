//! Tables and columns that a migration gave other names: what is written to them since is written under those.

use walkback_core::catalog::{Object, Schema, Table};
use walkback_core::name::ObjectKind;
use walkback_core::statement::Action;
use walkback_core::{Dialect, Effect, Error, ErrorKind, TableName};
use walkback_vault::Manifest;

use crate::reach::find;

/// What each table and column of the time before a migration is called behind it, of those that have another name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Before the migration, and behind it.
    tables: Vec<(TableName, TableName)>,
    /// The table before it, and its columns.
    columns: Vec<(TableName, Vec<(String, String)>)>,
}

/// A table that is followed through the statements of a migration.
struct Followed<'a> {
    then: &'a Table,
    called: TableName,
    /// Before the migration, and what each is called so far.
    columns: Vec<(&'a str, String)>,
    is_dropped: bool,
}

impl Names {
    /// Follows the names of all that is there before a migration.
    ///
    /// # Errors
    /// Says which name leads to two things, so that nobody can tell what is written to which.
    pub(crate) fn follow<'a>(
        actions: impl Iterator<Item = &'a Action>,
        before: &Schema,
        after: &Schema,
    ) -> Result<Self, String> {
        let followed = |then| Followed {
            then,
            called: then.name.clone(),
            columns: then
                .columns
                .iter()
                .map(|column| (column.name.as_str(), column.name.clone()))
                .collect(),
            is_dropped: false,
        };
        let mut all: Vec<Followed<'_>> = before.tables.iter().map(followed).collect();
        for action in actions {
            note(&mut all, action);
        }
        let mut names = Self::default();
        for one in all.iter().filter(|one| !one.is_dropped) {
            let exchanged = |other: &&Followed<'_>| {
                let has_left = other.called != other.then.name && !other.is_dropped;
                has_left && other.then.name != one.then.name && other.then.name == one.called
            };
            if let Some(other) = all.iter().find(exchanged) {
                return Err(format!(
                    "`{}` has the name of `{}`, which has another one",
                    one.then.name, other.then.name
                ));
            }
            names.add(one, before, after)?;
        }
        Ok(names)
    }

    /// Follows the names of all that is there before a migration whose statements are known. `None`: nobody knows them, or another
    /// tool ran them, and each has the name that it had.
    ///
    /// # Errors
    /// `Unsupported` where a name cannot be followed.
    pub(crate) fn between(
        (before, after): (&Manifest, &Manifest),
        effects: Option<&[(String, Effect)]>,
    ) -> walkback_core::Result<Self> {
        let effects = effects.unwrap_or_default().iter();
        let actions = effects.flat_map(|(_, effect)| &effect.actions);
        Self::follow(actions, &before.schema, &after.schema).map_err(|why| {
            Error::new(
                ErrorKind::Unsupported,
                format!("what was written since cannot be told apart: {why}"),
            )
        })
    }

    fn add(&mut self, one: &Followed<'_>, before: &Schema, after: &Schema) -> Result<(), String> {
        let name = &one.then.name;
        let is_another = find(before, &one.called).is_none_or(|table| table.name != *name);
        let left = match find(after, &one.called) {
            // It was dropped, or made anew under its first name.
            None => return Ok(()),
            // It took the place of a table that is gone: that one is written to.
            Some(left) if is_another && find(before, &one.called).is_some() && left.name != *name => {
                return Ok(());
            }
            Some(left) => left,
        };
        if is_another {
            if after.table(name).is_some() {
                return Err(format!(
                    "`{name}` is called `{}` behind the migration, and there is another of its name",
                    left.name
                ));
            }
            self.tables.push((name.clone(), left.name.clone()));
        }
        let has = |table: &Table, name: &str| table.columns.iter().any(|column| column.name == name);
        let mut columns = Vec::new();
        for (then, called) in &one.columns {
            let now = left
                .columns
                .iter()
                .find(|column| column.name.eq_ignore_ascii_case(called));
            let Some(now) = now.filter(|now| now.name != *then && !has(left, then)) else {
                continue;
            };
            if has(one.then, &now.name) {
                return Err(format!(
                    "column `{then}` of `{name}` has the name of another one that was there, `{called}`"
                ));
            }
            columns.push(((*then).to_owned(), now.name.clone()));
        }
        if !columns.is_empty() {
            self.columns.push((name.clone(), columns));
        }
        Ok(())
    }

    /// Returns what a table is called behind the migration.
    pub(crate) fn of_table<'a>(&'a self, then: &'a TableName) -> &'a TableName {
        let mut tables = self.tables.iter();
        tables
            .find(|(name, _)| name == then)
            .map_or(then, |(_, left)| left)
    }

    /// Returns the columns of a table that are called otherwise behind the migration.
    pub(crate) fn of_columns(&self, then: &TableName) -> &[(String, String)] {
        let mut columns = self.columns.iter();
        columns
            .find(|(name, _)| name == then)
            .map_or(&[], |(_, columns)| columns)
    }

    /// Returns the columns that are called otherwise behind the migration: the table before it, and the names behind and before.
    pub(crate) fn columns(&self) -> impl Iterator<Item = (&TableName, &String, &String)> {
        self.columns
            .iter()
            .flat_map(|(table, columns)| columns.iter().map(move |(then, left)| (table, left, then)))
    }

    /// Returns whether a table or one of its columns has another name behind the migration.
    pub(super) fn renames(&self, then: &TableName) -> bool {
        self.of_table(then) != then || !self.of_columns(then).is_empty()
    }

    /// Returns what a table of behind the migration was called before it.
    pub(crate) fn table_before<'a>(&'a self, left: &'a TableName) -> &'a TableName {
        let mut tables = self.tables.iter();
        tables
            .find(|(_, name)| name == left)
            .map_or(left, |(then, _)| then)
    }

    /// Returns a table of behind the migration with its columns called as before it. `None`: one of those names is taken.
    pub(super) fn as_then(&self, then: &TableName, table: &Table) -> Option<Table> {
        let mut table = table.clone();
        for (before, left) in self.of_columns(then) {
            if table.columns.iter().any(|column| column.name == *before) {
                return None;
            }
            let keys = table.foreign_keys.iter_mut().flat_map(|key| &mut key.columns);
            let columns = table.columns.iter_mut().map(|column| &mut column.name);
            let named = columns.chain(&mut table.primary_key).chain(keys);
            named
                .filter(|name| *name == left)
                .for_each(|name| name.clone_from(before));
        }
        Some(table)
    }

    /// Returns where the rows of a table are read, with its columns called as before the migration. `table` has them so.
    pub(super) fn source(
        &self,
        dialect: &dyn Dialect,
        then: &TableName,
        (from, table): (&TableName, &Table),
    ) -> String {
        let names = self.of_columns(then);
        let quoted = dialect.quote_table(from);
        if names.is_empty() {
            return quoted;
        }
        let columns = table.columns.iter().map(|column| {
            let name = dialect.quote_identifier(&column.name);
            let real = names.iter().find(|(before, _)| *before == column.name);
            match real {
                Some((_, left)) => format!("{} AS {name}", dialect.quote_identifier(left)),
                None => name,
            }
        });
        let columns: Vec<_> = columns.collect();
        format!("(SELECT {} FROM {quoted})", columns.join(", "))
    }

    /// Returns what says where the numbering of a table goes on, from the one that goes on under another name.
    pub(crate) fn numbered_on(&self, then: &Object, now: &Schema) -> Option<Object> {
        let table = then.on.as_ref()?;
        let left = self.of_table(table);
        // The second on PostgreSQL, where facts say whose it is.
        let is_counter = matches!(then.kind, ObjectKind::Sequence | ObjectKind::Other);
        if !is_counter || !self.renames(table) {
            return None;
        }
        let mut live = now.objects.iter().filter(|object| {
            let is_same = object.kind == ObjectKind::Other || object.facts == then.facts;
            object.kind == then.kind && object.on.as_ref() == Some(left) && is_same
        });
        let live = live.find(|object| object.name == then.name || object.name == *left)?;
        let definition = with_number(&then.definition, &live.definition)?;
        Some(Object {
            definition,
            ..then.clone()
        })
    }
}

/// Does to names what a statement does to them.
fn note(all: &mut [Followed<'_>], action: &Action) {
    match action {
        Action::RenameTable { from, to } => {
            if let Some(one) = called(all, from) {
                let schema = to.schema.clone().or_else(|| one.called.schema.clone());
                one.called = TableName {
                    schema,
                    name: to.name.clone(),
                };
            }
        }
        Action::DropTable { table } => {
            if let Some(one) = called(all, table) {
                one.is_dropped = true;
            }
        }
        Action::RenameColumn { table, from, to } => {
            if let Some(column) = called(all, table).and_then(|one| one.column(from)) {
                column.clone_from(to);
            }
        }
        Action::DropColumn { table, column } => {
            if let Some(one) = called(all, table) {
                one.columns
                    .retain(|(_, called)| !called.eq_ignore_ascii_case(column));
            }
        }
        _ => {}
    }
}

/// Returns the table that is called so by now: names are compared as they are, then without regard to case.
fn called<'a, 'b>(all: &'a mut [Followed<'b>], name: &TableName) -> Option<&'a mut Followed<'b>> {
    let is_it = |one: &Followed<'_>, exactly: bool| {
        let (own, other) = (&one.called, name);
        let is_home = own.schema.is_none() || other.schema.is_none() || own.schema == other.schema;
        let is_called = own.name == other.name || !exactly && own.name.eq_ignore_ascii_case(&other.name);
        !one.is_dropped && is_home && is_called
    };
    let mut ways = [true, false].into_iter();
    let at = ways.find_map(|exactly| all.iter().position(|one| is_it(one, exactly)))?;
    Some(&mut all[at])
}

impl Followed<'_> {
    fn column(&mut self, name: &str) -> Option<&mut String> {
        let exact = self.columns.iter().position(|(_, called)| called == name);
        let any = || {
            let mut columns = self.columns.iter();
            columns.position(|(_, called)| called.eq_ignore_ascii_case(name))
        };
        let at = exact.or_else(any)?;
        Some(&mut self.columns[at].1)
    }
}

/// Returns a text with the last number of another that ends as it does.
fn with_number(text: &str, other: &str) -> Option<String> {
    let parts = |text: &str| {
        let end = text.rfind(|c: char| c.is_ascii_digit())? + 1;
        let start = text[..end]
            .rfind(|c: char| !c.is_ascii_digit() && c != '-')
            .map_or(0, |at| at + 1);
        Some((start, end))
    };
    let ((start, end), (from, to)) = (parts(text)?, parts(other)?);
    let is_number = text[..start].ends_with(' ') && ["", ")"].contains(&&text[end..]);
    (is_number && text[end..] == other[to..])
        .then(|| format!("{}{}{}", &text[..start], &other[from..to], &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(tables: &[(&str, &[&str])]) -> Schema {
        let table = |(name, columns): &(&str, &[&str])| {
            let column = |name: &&str| serde_json::json!({"name": name, "data_type": "int", "nullable": true, "default": null, "generated": false});
            serde_json::from_value(serde_json::json!({
                "name": {"name": name}, "columns": columns.iter().map(column).collect::<Vec<_>>(), "primary_key": ["id"],
                "foreign_keys": [], "parents": [], "definition": "", "facts": {},
            }))
        };
        Schema {
            tables: tables.iter().map(table).collect::<Result<_, _>>().unwrap(),
            ..Schema::default()
        }
    }

    fn renamed(from: &str, to: &str) -> Action {
        let [from, to] = [from, to].map(TableName::new);
        Action::RenameTable { from, to }
    }

    fn column(table: &str, from: &str, to: &str) -> Action {
        Action::RenameColumn {
            table: TableName::new(table),
            from: from.to_owned(),
            to: to.to_owned(),
        }
    }

    #[test]
    fn names_are_followed_from_statement_to_statement() {
        let before = schema(&[("t", &["id", "a", "b"])]);
        let after = schema(&[("v", &["id", "y", "b"])]);
        let actions = [
            column("T", "a", "x"),
            renamed("t", "u"),
            column("u", "X", "y"),
            renamed("u", "v"),
        ];
        let names = Names::follow(actions.iter(), &before, &after).unwrap();
        let (t, v) = (TableName::new("t"), TableName::new("v"));
        assert_eq!((names.of_table(&t), names.table_before(&v)), (&v, &t));
        assert_eq!(names.of_columns(&t), [("a".to_owned(), "y".to_owned())]);
        let as_then = names.as_then(&t, &after.tables[0]).unwrap();
        assert_eq!(
            as_then
                .columns
                .iter()
                .map(|column| column.name.as_str())
                .collect::<Vec<_>>(),
            ["id", "a", "b"]
        );
        assert!(
            names
                .as_then(&t, &schema(&[("v", &["y", "a"])]).tables[0])
                .is_none()
        );
    }

    #[test]
    fn what_is_made_anew_under_its_name_has_it_still() {
        let before = schema(&[("t", &["id", "a"])]);
        let dropped = |table: &str| Action::DropTable {
            table: TableName::new(table),
        };
        for actions in [
            vec![renamed("t", "old"), dropped("old")],
            vec![dropped("t"), renamed("new", "t")],
            vec![column("t", "a", "x"), column("t", "x", "a")],
        ] {
            let names = Names::follow(actions.iter(), &before, &before).unwrap();
            assert_eq!(names, Names::default(), "{actions:?}");
        }
    }

    #[test]
    fn names_that_lead_to_two_things_are_told() {
        let two = schema(&[("t", &["id", "a", "b"]), ("u", &["id"])]);
        let exchanged = [renamed("t", "x"), renamed("u", "t"), renamed("x", "u")];
        assert!(Names::follow(exchanged.iter(), &two, &two).is_err());
        let with_old = schema(&[("t", &["id"]), ("u", &["id"]), ("old", &["id"])]);
        assert!(Names::follow([renamed("t", "old")].iter(), &two, &with_old).is_err());
        let taken = schema(&[("t", &["id", "b"]), ("u", &["id"])]);
        let dropped = Action::DropColumn {
            table: TableName::new("t"),
            column: "b".to_owned(),
        };
        assert!(Names::follow([dropped, column("t", "a", "b")].iter(), &two, &taken).is_err());
    }

    #[test]
    fn numbers_are_taken_over_and_nothing_else() {
        for (then, now, is) in [
            (
                "ALTER TABLE `a` AUTO_INCREMENT = 5",
                "ALTER TABLE `b2` AUTO_INCREMENT = 77",
                Some("ALTER TABLE `a` AUTO_INCREMENT = 77"),
            ),
            (
                "INSERT INTO s (name, seq) VALUES ('a', 5)",
                "INSERT INTO s (name, seq) VALUES ('b', -7)",
                Some("INSERT INTO s (name, seq) VALUES ('a', -7)"),
            ),
            (
                "ALTER SEQUENCE a OWNED BY t.\"c 1\"",
                "ALTER SEQUENCE a OWNED BY t.\"c 2\"",
                None,
            ),
            (
                "ALTER SEQUENCE a OWNED BY t.c1",
                "ALTER SEQUENCE a OWNED BY t.c2",
                None,
            ),
            ("ALTER TABLE `a` AUTO_INCREMENT = 5", "ALTER TABLE `a`", None),
        ] {
            assert_eq!(with_number(then, now).as_deref(), is, "{then}");
        }
    }
}
