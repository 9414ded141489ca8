//! Tables and columns that a migration gave other names: what is written to them since is written under those.

use walkback_core::catalog::{Object, Schema, Table};
use walkback_core::name::ObjectKind;
use walkback_core::statement::Action;
use walkback_core::{Dialect, Effect, Error, ErrorKind, TableName};
use walkback_vault::Manifest;

use super::parts::{is_of, with_wholes};

/// What each table and column of the time before a migration is called behind it, of those that have another name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Before the migration, and behind it.
    tables: Vec<(TableName, TableName)>,
    /// The table before it, and its columns.
    columns: Vec<(TableName, Vec<(String, String)>)>,
}

/// A table that is followed through the statements of a migration.
struct Followed {
    /// With all that it is a part of.
    then: Table,
    called: TableName,
    /// Before the migration, and what each is called so far: nothing, if it was dropped.
    columns: Vec<(String, String)>,
    is_dropped: bool,
}

impl Names {
    /// Follows the names of all that is there before a migration, statement by statement.
    ///
    /// # Errors
    /// Says which name leads to two things, so that nobody can tell what is written to which.
    pub(crate) fn follow<'a>(
        statements: impl Iterator<Item = &'a [Action]>,
        before: &Schema,
        after: &Schema,
    ) -> Result<Self, String> {
        let mut all: Vec<Followed> = before
            .tables
            .iter()
            .map(|then| Followed::of(then, before))
            .collect();
        for actions in statements {
            note(&mut all, actions, before);
        }
        let mut names = Self::default();
        for one in all.iter().filter(|one| !one.is_dropped) {
            let exchanged = |other: &&Followed| {
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
        let statements = effects.map(|(_, effect)| effect.actions.as_slice());
        Self::follow(statements, &before.schema, &after.schema).map_err(|why| {
            Error::new(
                ErrorKind::Unsupported,
                format!("what was written since cannot be told apart: {why}"),
            )
        })
    }

    fn add(&mut self, one: &Followed, before: &Schema, after: &Schema) -> Result<(), String> {
        let name = &one.then.name;
        // It was dropped, or made anew under its first name.
        let Some(left) = left_as(&one.called, before, after) else {
            return Ok(());
        };
        let is_another =
            left.name != *name && !(is_case(&left.name, name) && after.exact_table(name).is_none());
        if is_another {
            if after.exact_table(name).is_some() {
                return Err(format!(
                    "`{name}` is called `{}` behind the migration, and there is another of its name",
                    left.name
                ));
            }
            // It took the place of a table that is gone: that one is written to.
            if before.exact_table(&left.name).is_some() {
                return Ok(());
            }
        }
        if left.name != *name {
            self.tables.push((name.clone(), left.name.clone()));
        }
        let has = |table: &Table, name: &str| table.columns.iter().any(|column| column.name == name);
        let mut columns = Vec::new();
        for (then, called) in &one.columns {
            let mut now = left.columns.iter();
            let now = now.find(|column| column.name.eq_ignore_ascii_case(called));
            let Some(now) = now.filter(|now| now.name != *then) else {
                continue;
            };
            if has(left, then) || has(&one.then, &now.name) {
                return Err(format!(
                    "column `{then}` of `{name}` is called `{}` behind the migration, and of these names there were two",
                    now.name
                ));
            }
            columns.push((then.clone(), now.name.clone()));
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
        // The sequence may have another name as well.
        let live: Vec<_> = live.by_ref().collect();
        let named = live
            .iter()
            .find(|object| object.name == then.name || object.name == *left);
        let live = named.or_else(|| live.first().filter(|_| live.len() == 1))?;
        let definition = with_number(&then.definition, &live.definition)?;
        Some(Object {
            definition,
            ..then.clone()
        })
    }
}

/// Returns the table that a migration has left under a name, which may be written in another case. One that was there before is
/// another one then.
fn left_as<'a>(name: &TableName, before: &Schema, after: &'a Schema) -> Option<&'a Table> {
    let name = after.at_home(name);
    let is_new = |table: &&Table| is_case(&table.name, &name) && before.exact_table(&table.name).is_none();
    let in_another_case = || after.tables.iter().find(is_new);
    after.exact_table(&name).or_else(in_another_case)
}

/// Returns whether two names are the same but for upper and lower case.
fn is_case(one: &TableName, other: &TableName) -> bool {
    one.schema == other.schema && one.name.eq_ignore_ascii_case(&other.name)
}

/// Does to names what a statement does to them. What it says of columns it says of those before it, whatever it does to
/// others: MySQL renames several at once.
fn note(all: &mut [Followed], actions: &[Action], before: &Schema) {
    let mut renamed = Vec::new();
    for action in actions {
        let (table, column, to) = match action {
            Action::RenameColumn { table, from, to } => (table, from, Some(to)),
            Action::DropColumn { table, column } => (table, column, None),
            _ => continue,
        };
        let Some(whole) = called(all, table, before).map(|at| all[at].then.name.clone()) else {
            continue;
        };
        // Those of a partition are called as those of the whole.
        for (at, one) in all.iter().enumerate().filter(|(_, one)| is_of(&one.then, &whole)) {
            renamed.extend(one.column(column).map(|column| (at, column, to)));
        }
    }
    for (at, column, to) in renamed {
        let called = &mut all[at].columns[column].1;
        *called = to.cloned().unwrap_or_default();
    }
    for action in actions {
        match action {
            Action::RenameTable { from, to } => {
                if let Some(at) = called(all, from, before) {
                    let one = &mut all[at];
                    let to = before.at_home(to);
                    // Where only one of the two has a schema, it is that of both.
                    let schema = to.schema.or_else(|| one.called.schema.clone());
                    one.called = TableName {
                        schema,
                        name: to.name,
                    };
                }
            }
            Action::DropTable { table } => {
                if let Some(at) = called(all, table, before) {
                    all[at].is_dropped = true;
                }
            }
            _ => {}
        }
    }
}

/// Returns which table is called so by now: in its own schema first, then in any; names as they are, then in any case.
fn called(all: &[Followed], name: &TableName, before: &Schema) -> Option<usize> {
    let name = before.at_home(name);
    let there =
        |is_it: &dyn Fn(&TableName) -> bool| all.iter().position(|one| !one.is_dropped && is_it(&one.called));
    let any_schema = |called: &TableName| {
        let is_open = name.schema.is_none() || before.home.is_none() && called.schema.is_none();
        is_open && called.name.eq_ignore_ascii_case(&name.name)
    };
    there(&|called| *called == name)
        .or_else(|| there(&|called| is_case(called, &name)))
        .or_else(|| there(&any_schema))
}

impl Followed {
    fn of(then: &Table, before: &Schema) -> Self {
        let columns = then.columns.iter();
        Self {
            then: with_wholes(then, before),
            called: then.name.clone(),
            columns: columns
                .map(|column| (column.name.clone(), column.name.clone()))
                .collect(),
            is_dropped: false,
        }
    }

    fn column(&self, name: &str) -> Option<usize> {
        let exact = self.columns.iter().position(|(_, called)| called == name);
        exact.or_else(|| {
            let mut columns = self.columns.iter();
            columns.position(|(_, called)| called.eq_ignore_ascii_case(name))
        })
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

    /// Each in a statement of its own.
    fn each(actions: &[Action]) -> impl Iterator<Item = &[Action]> {
        actions.chunks(1)
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
        let names = Names::follow(each(&actions), &before, &after).unwrap();
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
            let names = Names::follow(each(&actions), &before, &before).unwrap();
            assert_eq!(names, Names::default(), "{actions:?}");
        }
    }

    #[test]
    fn names_that_lead_to_two_things_are_told() {
        let two = schema(&[("t", &["id", "a", "b"]), ("u", &["id"])]);
        let exchanged = [renamed("t", "x"), renamed("u", "t"), renamed("x", "u")];
        assert!(Names::follow(each(&exchanged), &two, &two).is_err());
        let with_old = schema(&[("t", &["id"]), ("u", &["id"]), ("old", &["id"])]);
        assert!(Names::follow(each(&[renamed("t", "old")]), &two, &with_old).is_err());
        let taken = schema(&[("t", &["id", "b"]), ("u", &["id"])]);
        let dropped = Action::DropColumn {
            table: TableName::new("t"),
            column: "b".to_owned(),
        };
        assert!(Names::follow(each(&[dropped, column("t", "a", "b")]), &two, &taken).is_err());
    }

    #[test]
    fn several_columns_change_their_names_at_once() {
        let before = schema(&[("t", &["id", "a", "b", "d"])]);
        let after = schema(&[("u", &["id", "x", "y"])]);
        let drops = Action::DropColumn {
            table: TableName::new("t"),
            column: "d".to_owned(),
        };
        let at_once = [
            renamed("t", "u"),
            column("t", "a", "x"),
            drops,
            column("t", "b", "y"),
        ];
        let names = Names::follow([at_once.as_slice()].into_iter(), &before, &after).unwrap();
        let (a, b) = (("a".to_owned(), "x".to_owned()), ("b".to_owned(), "y".to_owned()));
        assert_eq!(names.of_columns(&TableName::new("t")), [a, b]);
        let after = schema(&[("t", &["id", "b", "c"])]);
        let moved = [column("t", "a", "b"), column("t", "b", "c")];
        assert!(Names::follow([moved.as_slice()].into_iter(), &before, &after).is_err());
        let exchanged = [
            column("t", "a", "x"),
            column("t", "b", "a"),
            column("t", "x", "b"),
        ];
        assert!(Names::follow(each(&exchanged), &before, &before).is_err());
        let again = schema(&[("t", &["id", "a", "old", "b", "d"])]);
        assert!(Names::follow(each(&[column("t", "a", "old")]), &before, &again).is_err());
    }

    #[test]
    fn what_makes_room_for_another_is_told_whatever_was_there() {
        let before = schema(&[("t", &["id"]), ("old", &["id"])]);
        let dropped = Action::DropTable {
            table: TableName::new("old"),
        };
        let actions = [dropped, renamed("t", "old")];
        assert!(Names::follow(each(&actions), &before, &before).is_err());
        let after = schema(&[("old", &["id"])]);
        assert_eq!(
            Names::follow(each(&actions), &before, &after).unwrap(),
            Names::default()
        );
    }

    #[test]
    fn tables_of_other_schemas_are_left_alone() {
        let elsewhere = |name: &str| TableName::in_schema("tenant", name);
        let mut before = schema(&[("t", &["id", "a"]), ("t2", &["id", "a"]), ("u2", &["id"])]);
        before.home = Some("public".to_owned());
        before.tables[1].name = elsewhere("t");
        before.tables[2].name = elsewhere("u");
        let mut after = before.clone();
        after.tables[0].name = TableName::new("u");
        after.tables[0].columns[1].name = "x".to_owned();
        for table in ["t", "public.t"] {
            let table = match table.split_once('.') {
                Some((schema, name)) => TableName::in_schema(schema, name),
                None => TableName::new(table),
            };
            let actions = [
                Action::RenameColumn {
                    table: table.clone(),
                    from: "a".to_owned(),
                    to: "x".to_owned(),
                },
                Action::RenameTable {
                    from: table,
                    to: TableName::new("u"),
                },
            ];
            let names = Names::follow(each(&actions), &before, &after).unwrap();
            assert_eq!(names.of_table(&TableName::new("t")), &TableName::new("u"));
            assert_eq!(names.of_columns(&TableName::new("t")).len(), 1);
            assert!(!names.renames(&elsewhere("t")));
        }
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
