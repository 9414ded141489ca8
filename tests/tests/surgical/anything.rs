//! Migrations put together at random, and writes at random behind them: what is there afterwards is told by rules alone.
//! The definitions are those of before; what was written since is there, or its table is named among conflicts and losses;
//! and a rollback of the rollback leads back to what was there.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;
use walkback_tests::{Backend, Contents, Sandbox};

/// A table as the test knows it: its columns of text with what they were called first, and whether rows have a key.
#[derive(Debug, Clone)]
struct Table {
    was: String,
    columns: BTreeMap<String, String>,
    has_key: bool,
}

type Tables = BTreeMap<String, Table>;

/// What applications did.
#[derive(Debug, Default)]
struct Written {
    /// In which table and column a value was written: each is written once.
    values: BTreeMap<String, (String, String)>,
    /// Rows that may have been there and are not any more.
    deleted: BTreeSet<(String, u32)>,
}

struct World {
    backend: Backend,
    random: StdRng,
    tables: Tables,
    /// Numbers names and values.
    count: u32,
    /// Whether one of the tables is in partitions.
    is_divided: bool,
}

impl World {
    fn new(backend: Backend, seed: u64) -> Self {
        let table = |name: &str, has_key: bool| Table {
            was: name.to_owned(),
            columns: ["a", "b", "c"]
                .map(|column| (column.to_owned(), column.to_owned()))
                .into(),
            has_key,
        };
        let tables = [("p", true), ("q", true), ("r", true), ("bare", false)];
        let mut random = StdRng::seed_from_u64(seed);
        Self {
            backend,
            is_divided: backend != Backend::Sqlite && random.random_bool(0.3),
            random,
            tables: tables
                .map(|(name, has_key)| (name.to_owned(), table(name, has_key)))
                .into(),
            count: 0,
        }
    }

    /// Returns how the table `r` is divided, and the partitions that are made by themselves.
    fn divided(&self) -> (&str, &str) {
        if !self.is_divided {
            ("", "")
        } else if self.backend.is_mysql() {
            let within = " PARTITION BY RANGE (id) (PARTITION low VALUES LESS THAN (6), PARTITION high VALUES LESS THAN MAXVALUE)";
            (within, "")
        } else {
            let parts = "CREATE TABLE r_low PARTITION OF r FOR VALUES FROM (MINVALUE) TO (6);\n\
                CREATE TABLE r_high PARTITION OF r FOR VALUES FROM (6) TO (MAXVALUE);\n";
            (" PARTITION BY RANGE (id)", parts)
        }
    }

    fn begin(&self) -> String {
        let (divided, parts) = self.divided();
        let rows = |table: &str| {
            let row = |id: u32| match table {
                "bare" => format!("('a{}', 'b{id}', NULL)", id % 3),
                "q" => format!("({id}, 'a{id}', 'b{id}', NULL, {})", id % 4 + 1),
                _ => format!("({id}, 'a{id}', 'b{id}', NULL)"),
            };
            let rows: Vec<_> = (1..=12).map(row).collect();
            format!("INSERT INTO {table} VALUES {};\n", rows.join(", "))
        };
        format!(
            "CREATE TABLE p (id INTEGER NOT NULL PRIMARY KEY, a VARCHAR(40), b VARCHAR(40), c VARCHAR(40));\n\
             CREATE TABLE q (id INTEGER NOT NULL PRIMARY KEY, a VARCHAR(40), b VARCHAR(40), c VARCHAR(40), p INTEGER, \
             FOREIGN KEY (p) REFERENCES p (id));\n\
             CREATE TABLE r (id INTEGER NOT NULL PRIMARY KEY, a VARCHAR(40) NOT NULL, b VARCHAR(40), c VARCHAR(40)){divided};\n\
             {parts}CREATE TABLE bare (a VARCHAR(40), b VARCHAR(40), c VARCHAR(40));\n\
             CREATE INDEX r_by_b ON r (b);\n{}{}{}{}",
            rows("p"),
            rows("q"),
            rows("r"),
            rows("bare")
        )
    }

    fn fresh(&mut self, word: &str) -> String {
        self.count += 1;
        format!("{word}{}x", self.count)
    }

    fn table(&mut self) -> Option<String> {
        let names: Vec<_> = self.tables.keys().cloned().collect();
        names.choose(&mut self.random).cloned()
    }

    fn column(&mut self, table: &str) -> Option<String> {
        let columns: Vec<_> = self.tables[table].columns.keys().cloned().collect();
        columns.choose(&mut self.random).cloned()
    }

    /// Returns a condition that some rows of a table meet.
    fn some(&mut self, table: &str) -> String {
        if self.tables[table].has_key {
            format!("id % {} = 0", self.random.random_range(2..6))
        } else {
            "b LIKE '%1%'".to_owned()
        }
    }

    /// Returns one statement of a migration, and does the same to what is known.
    fn change(&mut self) -> Option<String> {
        let table = self.table()?;
        let column = self.column(&table)?;
        let value = self.fresh("m");
        match self.random.random_range(0..14) {
            0 | 1 => {
                let new = self.fresh("n");
                let default = if self.random.random_bool(0.5) {
                    " DEFAULT 'd'"
                } else {
                    ""
                };
                self.tables
                    .get_mut(&table)?
                    .columns
                    .insert(new.clone(), new.clone());
                Some(format!(
                    "ALTER TABLE {table} ADD COLUMN {new} VARCHAR(40){default}"
                ))
            }
            // What the conditions of this test and its index read stays.
            2 | 3 if column != "b" => {
                self.tables.get_mut(&table)?.columns.remove(&column);
                Some(format!("ALTER TABLE {table} DROP COLUMN {column}"))
            }
            4 | 5 => {
                let some = self.some(&table);
                Some(format!("UPDATE {table} SET {column} = '{value}' WHERE {some}"))
            }
            6 if self.tables[&table].was != "p" => {
                let some = self.some(&table);
                Some(format!("DELETE FROM {table} WHERE {some}"))
            }
            7 if self.tables[&table].has_key && self.tables[&table].was != "r" => Some(format!(
                "INSERT INTO {table} (id, b) VALUES ({}, '{value}')",
                500 + self.count
            )),
            8 => {
                let index = self.fresh("by");
                Some(format!("CREATE INDEX {index} ON {table} (b)"))
            }
            9 if ["r", "bare"].contains(&self.tables[&table].was.as_str()) => {
                self.tables.remove(&table);
                Some(format!("DROP TABLE {table}"))
            }
            10 => {
                let new = self.fresh("t");
                let made = Table {
                    was: new.clone(),
                    columns: [("b".to_owned(), "b".to_owned())].into(),
                    has_key: true,
                };
                self.tables.insert(new.clone(), made);
                Some(format!(
                    "CREATE TABLE {new} (id INTEGER NOT NULL PRIMARY KEY, b VARCHAR(40))"
                ))
            }
            11 if column != "b" && self.backend.is_mysql() => {
                Some(format!("ALTER TABLE {table} MODIFY {column} VARCHAR(80)"))
            }
            11 if column != "b" && self.backend.is_postgres() => Some(format!(
                "ALTER TABLE {table} ALTER COLUMN {column} TYPE VARCHAR(80)"
            )),
            12 if column != "b" => {
                let new = self.fresh("n");
                let columns = &mut self.tables.get_mut(&table)?.columns;
                let was = columns.remove(&column)?;
                columns.insert(new.clone(), was);
                Some(format!("ALTER TABLE {table} RENAME COLUMN {column} TO {new}"))
            }
            13 => {
                let new = self.fresh("t");
                let renamed = self.tables.remove(&table)?;
                self.tables.insert(new.clone(), renamed);
                Some(format!("ALTER TABLE {table} RENAME TO {new}"))
            }
            _ => None,
        }
    }

    fn migration(&mut self) -> String {
        let wanted = self.random.random_range(1..6);
        let mut statements = Vec::new();
        while statements.len() < wanted {
            statements.extend(self.change());
        }
        format!("{};", statements.join(";\n"))
    }

    /// Returns what an application writes, and notes where its values have to be.
    fn write(&mut self, written: &mut Written) -> Option<String> {
        let table = self.table()?;
        let column = self.column(&table)?;
        let value = self.fresh("since");
        let id = self.random.random_range(1..16);
        let noted = (table.clone(), column.clone());
        match self.random.random_range(0..3) {
            0 if self.tables[&table].has_key => {
                written.values.insert(value.clone(), noted);
                Some(format!("UPDATE {table} SET {column} = '{value}' WHERE id = {id}"))
            }
            1 if self.tables[&table].has_key => {
                written.values.insert(value.clone(), noted);
                let must = self.tables[&table].columns.iter().find(|(_, was)| *was == "a");
                let must = must.map(|(column, _)| column).filter(|must| **must != column);
                let needed = match must.filter(|_| self.tables[&table].was == "r") {
                    Some(must) => (format!(", {must}"), ", 'must'"),
                    None => (String::new(), ""),
                };
                Some(format!(
                    "INSERT INTO {table} (id, {column}{}) VALUES ({}, '{value}'{})",
                    needed.0,
                    1000 + self.count,
                    needed.1
                ))
            }
            1 => {
                written.values.insert(value.clone(), noted);
                Some(format!("INSERT INTO {table} ({column}) VALUES ('{value}')"))
            }
            2 if self.tables[&table].was != "p" && self.tables[&table].has_key => {
                written.deleted.insert((table.clone(), id));
                Some(format!("DELETE FROM {table} WHERE id = {id}"))
            }
            _ => None,
        }
    }
}

/// Returns the tables of which a rollback says that something was not kept, other than in columns that go with the migration.
fn told(done: &Value) -> BTreeSet<String> {
    let name = |one: &Value| {
        let name = one["table"]["name"].as_str().expect("a table has a name");
        if ["r_low", "r_high"].contains(&name) {
            "r".to_owned()
        } else {
            name.to_owned()
        }
    };
    let mut told = BTreeSet::new();
    for step in done["plan"]["steps"].as_array().expect("the steps") {
        let losses = step["loss"].as_array().expect("a list").iter();
        let of_rows = |loss: &&Value| !loss["what"].to_string().contains(" of column `");
        told.extend(losses.filter(of_rows).map(name));
    }
    for table in done["report"]["changes"].as_array().into_iter().flatten() {
        if table["conflicts"].as_u64().is_some_and(|conflicts| conflicts > 0) {
            told.insert(name(table));
        }
    }
    told
}

/// What the application sees, without what was moved aside.
fn visible(sandbox: &Sandbox) -> Contents {
    let is_aside = |name: &String| name.contains("_deprecated_") || name.contains("_walkback_dropped_");
    let mut contents = sandbox.contents();
    contents.definitions.retain(|name, _| !is_aside(name));
    contents.rows.retain(|name, _| !is_aside(name));
    contents
}

fn assert_visible(sandbox: &Sandbox, expected: &Contents, when: &str) {
    let is = visible(sandbox);
    assert!(is == *expected, "{when}: {}", is.difference(expected));
}

pub(crate) fn whatever_a_migration_did_it_goes_back_and_nothing_is_lost_in_silence(backend: Backend) {
    let seed = walkback_tests::seed("surgical, anything", backend);
    let rounds = if backend == Backend::Sqlite { 12 } else { 4 };
    for round in 0..rounds {
        one(backend, seed.wrapping_add(round));
    }
}

fn one(backend: Backend, seed: u64) {
    let mut world = World::new(backend, seed);
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.migration("001_begin", &world.begin(), "");
    sandbox.ok(&["up", "-y"]);
    let ways = ["auto", "auto", "soft-delete"];
    let protect = ways.choose(&mut world.random).expect("there are some");
    let configuration = std::fs::read_to_string(sandbox.path("walkback.toml")).expect("there is one");
    sandbox.write(
        "walkback.toml",
        &format!("{configuration}protect = \"{protect}\"\n"),
    );
    let (before, then) = (visible(&sandbox), world.tables.clone());
    let up = world.migration();
    let about = format!("seed {seed}, {protect}:\n{up}");
    sandbox.migration("002_random", &up, "");
    sandbox.ok(&["up", "-y"]);
    let there =
        |table: &str, id: u32| sandbox.value(&format!("SELECT count(*) FROM {table} WHERE id = {id}")) == "1";
    let left: BTreeMap<_, _> = world
        .tables
        .iter()
        .filter(|(_, table)| table.has_key)
        .map(|(name, _)| {
            (
                name.clone(),
                (1..16).filter(|id| there(name, *id)).collect::<Vec<_>>(),
            )
        })
        .collect();
    let mut written = Written::default();
    for _ in 0..15 {
        if let Some(sql) = world.write(&mut written) {
            sandbox.sql(&sql);
        }
    }
    let now = visible(&sandbox);
    let done = sandbox.ok(&["rollback", "-y", "--json"]).json();
    let after = visible(&sandbox);
    let told = told(&done);
    assert_eq!(
        after.definitions, before.definitions,
        "the definitions are other ones: {about}\n{done:#}"
    );
    let was = |table: &str| &world.tables[table].was;
    let is_told = |table: &String| told.contains(table) || told.contains(was(table));
    for (table, id) in &written.deleted {
        let was_there = left[table].contains(id) && then.contains_key(was(table));
        assert!(
            !was_there || is_told(table) || !there(was(table), *id),
            "row {id} of `{table}` is there again, and nothing says so: {about}\n{done:#}"
        );
    }
    for (value, (table, column)) in &written.values {
        let first = &world.tables[table].columns[column];
        let had = then
            .get(was(table))
            .is_some_and(|then| then.columns.contains_key(first));
        // What was written over by a later write is not there now.
        let of = |rows: &BTreeMap<String, Vec<String>>, table: &str| {
            let mut rows = rows.get(table).into_iter().flatten();
            rows.any(|row| row.contains(value))
        };
        assert!(
            of(&after.rows, was(table)) || !of(&now.rows, table) || !had || is_told(table),
            "`{value}` of `{table}.{column}` is gone, and nothing says so: {about}\n{done:#}"
        );
    }
    sandbox.assert_sound();
    sandbox.ok(&["rollback", "-y"]);
    assert_visible(
        &sandbox,
        &now,
        &format!("after a rollback of the rollback: {about}"),
    );
    sandbox.ok(&["rollback", "-y"]);
    assert_visible(&sandbox, &after, &format!("walked back again: {about}"));
}
