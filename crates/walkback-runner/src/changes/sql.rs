//! The statements that take changes of rows back, for the rows of one table at once: what they cost follows from how
//! many rows were changed.
//!
//! `t` is the table, `w` holds its changed rows as they were before the migration, `l` as the migration left them.
//! What was not changed may be in both; it is not touched.

use walkback_core::catalog::{Column, ForeignKey, Schema, Table};
use walkback_core::{Dialect, DialectKind, TableName};

use super::OnConflict;
use super::conflicts::Words;
use super::extent::Extent;
use super::parts::is_of;

/// Writes the statements for one table.
pub(super) struct Sql<'a> {
    pub(super) dialect: &'a dyn Dialect,
    pub(super) table: &'a Table,
    /// The columns that were kept.
    pub(super) columns: Vec<&'a Column>,
    pub(super) was: &'a TableName,
    pub(super) left: &'a TableName,
    pub(super) schema: &'a Schema,
    /// Tables that refer to this one in a circle, and this one: what comes back or goes with it is there or gone at the
    /// end, and not yet.
    pub(super) circle: Vec<Others<'a>>,
    pub(super) words: &'static Words,
    pub(super) extent: Extent,
}

/// Says that two cells of one type hold the same, byte by byte, whatever their collation or type thinks equal.
pub(crate) fn same(kind: DialectKind, data_type: &str, one: &str, other: &str) -> String {
    match kind {
        DialectKind::Sqlite => format!("quote({one}) IS quote({other})"),
        DialectKind::Postgres => format!("{one}::text IS NOT DISTINCT FROM {other}::text"),
        DialectKind::Mysql => {
            let of_type = data_type.to_ascii_lowercase();
            let is = |word: &str| of_type.starts_with(word);
            if is("float") || is("double") {
                format!("{one} <=> {other}")
            } else if is("json") {
                format!("CAST(CAST({one} AS CHAR) AS BINARY) <=> CAST(CAST({other} AS CHAR) AS BINARY)")
            } else if is("geom") || is("point") || is("line") || is("poly") || is("multi") {
                format!("ST_AsBinary({one}) <=> ST_AsBinary({other})")
            } else {
                format!("CAST({one} AS BINARY) <=> CAST({other} AS BINARY)")
            }
        }
    }
}

/// Returns a statement that sets cells of one table, `table` as `row`, by what others hold that it is joined with.
pub(super) fn update(
    dialect: &dyn Dialect,
    (table, row): (&str, &str),
    sets: &[(String, String)],
    from: &str,
    condition: &str,
) -> String {
    let is_mysql = dialect.kind() == DialectKind::Mysql;
    let prefix = if is_mysql {
        format!("{row}.")
    } else {
        String::new()
    };
    let sets: Vec<_> = sets
        .iter()
        .map(|(name, value)| format!("{prefix}{name} = {value}"))
        .collect();
    let sets = sets.join(", ");
    if is_mysql {
        format!("UPDATE {table} AS {row}, {from} SET {sets} WHERE {condition}")
    } else {
        format!("UPDATE {table} AS {row} SET {sets} FROM {from} WHERE {condition}")
    }
}

/// Returns what stands before the `FROM` of a statement that deletes rows of a table with another name.
pub(super) fn deleted(dialect: &dyn Dialect, row: &str) -> String {
    if dialect.kind() == DialectKind::Mysql {
        format!(" {row}")
    } else {
        String::new()
    }
}

/// The changed rows of another table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Others<'a> {
    pub(super) table: &'a Table,
    pub(super) was: &'a TableName,
    pub(super) left: &'a TableName,
}

impl Sql<'_> {
    pub(super) fn name(&self, name: &str) -> String {
        self.dialect.quote_identifier(name)
    }

    pub(super) fn live(&self) -> String {
        self.dialect.quote_table(&self.table.name)
    }

    pub(super) fn was(&self) -> String {
        self.dialect.quote_table(self.was)
    }

    pub(super) fn left(&self) -> String {
        self.dialect.quote_table(self.left)
    }

    fn is(&self, kind: DialectKind) -> bool {
        self.dialect.kind() == kind
    }

    /// Says that two rows have the same key. A column of a key may be `NULL` on SQLite.
    pub(super) fn keys(&self, one: &str, other: &str) -> String {
        let equals = if self.is(DialectKind::Sqlite) { "IS" } else { "=" };
        self.keys_of(self.table, equals, one, other)
    }

    /// Returns the columns of the key of a row.
    pub(super) fn key_columns(&self, row: &str) -> String {
        let key = self.table.primary_key.iter();
        let each: Vec<_> = key.map(|column| format!("{row}{}", self.name(column))).collect();
        each.join(", ")
    }

    fn keys_of(&self, table: &Table, equals: &str, one: &str, other: &str) -> String {
        let each = table.primary_key.iter().map(|column| {
            let column = self.name(column);
            format!("{one}.{column} {equals} {other}.{column}")
        });
        each.collect::<Vec<_>>().join(" AND ")
    }

    /// Says that a row of another table is in the first of two of its sets of changed rows, and not in the second.
    fn is_only_in(&self, others: Others<'_>, row: &str, (one, other): (&TableName, &TableName)) -> String {
        let within = |set: &TableName| {
            format!(
                "EXISTS (SELECT 1 FROM {} AS o WHERE {})",
                self.dialect.quote_table(set),
                self.keys_of(others.table, "=", "o", row)
            )
        };
        format!("{} AND NOT {}", within(one), within(other))
    }

    fn in_circle(&self, table: &TableName) -> impl Iterator<Item = Others<'_>> {
        let circle = self.circle.iter().copied();
        circle.filter(move |others| is_of(others.table, table))
    }

    /// Says that a cell of two rows holds the same, byte by byte, whatever its collation or type thinks equal.
    pub(super) fn same(&self, column: &Column, one: &str, other: &str) -> String {
        let name = self.name(&column.name);
        let (one, other) = (format!("{one}.{name}"), format!("{other}.{name}"));
        same(self.dialect.kind(), &column.data_type, &one, &other)
    }

    pub(super) fn all_same(&self, one: &str, other: &str) -> String {
        let each = self.columns.iter().map(|column| self.same(column, one, other));
        each.collect::<Vec<_>>().join(" AND ")
    }

    /// Returns the rows that are there in all three states.
    pub(super) fn in_all_states(&self) -> String {
        format!(
            "FROM {} AS w JOIN {} AS l ON {} JOIN {} AS t ON {}",
            self.was(),
            self.left(),
            self.keys("w", "l"),
            self.live(),
            self.keys("t", "w"),
        )
    }

    /// Says that there is no row of that key among others.
    pub(super) fn is_not_in(&self, others: &str, row: &str) -> String {
        format!(
            "NOT EXISTS (SELECT 1 FROM {others} AS o WHERE {})",
            self.keys("o", row)
        )
    }

    /// Says that the migration changed a cell.
    pub(super) fn was_changed(&self, column: &Column) -> String {
        format!("NOT ({})", self.same(column, "w", "l"))
    }

    /// Says that a cell goes back.
    pub(super) fn goes_back(&self, column: &Column, policy: OnConflict) -> String {
        let (changed, parent) = (self.was_changed(column), self.has_parent(column));
        let still = match policy {
            OnConflict::Revert => format!("NOT ({})", self.same(column, "t", "w")),
            OnConflict::Keep | OnConflict::Stop => self.same(column, "t", "l"),
        };
        format!("({changed} AND {still}{parent})")
    }

    /// Says that what a cell was refers to something that is there.
    pub(super) fn has_parent(&self, column: &Column) -> String {
        let keys = self.table.foreign_keys.iter();
        let own = keys.filter(|key| key.columns == [column.name.as_str()]);
        own.filter_map(|key| Some(format!(" AND {}", self.refers(key, "w")?)))
            .collect()
    }

    /// Says that a row refers to one that is there. `None`: that cannot be told, or it is in the same table.
    pub(super) fn refers(&self, key: &ForeignKey, row: &str) -> Option<String> {
        let parent = self.schema.table(&key.references)?;
        if parent.name == self.table.name {
            return None;
        }
        let theirs = if key.referenced_columns.is_empty() {
            &parent.primary_key
        } else {
            &key.referenced_columns
        };
        let pairs: Vec<_> = key.columns.iter().zip(theirs).collect();
        let nulls = pairs
            .iter()
            .map(|(own, _)| format!("{row}.{} IS NULL", self.name(own)));
        let equal = pairs
            .iter()
            .map(|(own, their)| format!("p.{} = {row}.{}", self.name(their), self.name(own)));
        let equal = equal.collect::<Vec<_>>().join(" AND ");
        let mut ways = nulls.collect::<Vec<_>>();
        let live = self.dialect.quote_table(&parent.name);
        ways.push(format!("EXISTS (SELECT 1 FROM {live} AS p WHERE {equal})"));
        for others in self.in_circle(&parent.name) {
            ways.push(format!(
                "EXISTS (SELECT 1 FROM {} AS p WHERE {equal} AND {})",
                self.dialect.quote_table(others.was),
                self.is_only_in(others, "p", (others.was, others.left))
            ));
        }
        Some(format!("({})", ways.join(" OR ")))
    }

    /// Says that a row that comes back refers to nothing that is gone.
    pub(super) fn refers_well(&self) -> String {
        let keys = self.table.foreign_keys.iter();
        keys.filter_map(|key| Some(format!(" AND {}", self.refers(key, "w")?)))
            .collect()
    }

    /// Says that no row of another table refers to a row that goes.
    pub(super) fn is_free(&self) -> String {
        let mut text = String::new();
        for child in &self.schema.tables {
            for key in child
                .foreign_keys
                .iter()
                .filter(|key| is_of(self.table, &key.references))
            {
                let theirs = if key.referenced_columns.is_empty() {
                    &self.table.primary_key
                } else {
                    &key.referenced_columns
                };
                let equal = key
                    .columns
                    .iter()
                    .zip(theirs)
                    .map(|(own, their)| format!("c.{} = t.{}", self.name(own), self.name(their)));
                let children = self.dialect.quote_table(&child.name);
                // MySQL reads no table that it deletes from, unless it is copied first.
                let children = if self.is(DialectKind::Mysql) && child.name == self.table.name {
                    format!("(SELECT * FROM {children})")
                } else {
                    children
                };
                let goes_too = self.in_circle(&child.name).map(|others| {
                    let goes = self.is_only_in(others, "c", (others.left, others.was));
                    format!(" AND NOT ({goes})")
                });
                let goes_too: String = goes_too.collect();
                text.push_str(&format!(
                    " AND NOT EXISTS (SELECT 1 FROM {children} AS c WHERE {}{})",
                    equal.collect::<Vec<_>>().join(" AND "),
                    goes_too
                ));
            }
        }
        text
    }

    /// Returns the columns whose cells can be written.
    fn writable(&self) -> impl Iterator<Item = &Column> {
        // PostgreSQL lets nobody change an identity column. Its keys are equal byte by byte or not at all; elsewhere a
        // collation may take two for one.
        let skips_key = self.is(DialectKind::Postgres);
        let columns = self.columns.iter().copied();
        columns.filter(move |column| !(skips_key && self.table.primary_key.contains(&column.name)))
    }

    /// Gives rows back of which every cell that the migration changed still holds what it wrote. `None`: nothing was changed, or
    /// it has to wait for rows that come or go.
    pub(super) fn change_whole_rows_back(&self) -> Option<String> {
        let names = self.extent.changed().filter(|names| !names.is_empty())?;
        let columns: Vec<_> = self
            .columns
            .iter()
            .filter(|column| names.contains(&column.name))
            .collect();
        if columns.iter().any(|column| self.is_of_key(&column.name)) {
            return None;
        }
        let sets: Vec<_> = columns
            .iter()
            .map(|column| {
                let (name, changed) = (self.name(&column.name), self.was_changed(column));
                let value = format!("CASE WHEN {changed} THEN w.{name} ELSE t.{name} END");
                (name, value)
            })
            .collect();
        let still = columns.iter().map(|column| {
            format!(
                "({} OR {})",
                self.same(column, "w", "l"),
                self.same(column, "t", "l")
            )
        });
        let still = still.collect::<Vec<_>>().join(" AND ");
        let changed = columns.iter().map(|column| self.was_changed(column));
        let changed = changed.collect::<Vec<_>>().join(" OR ");
        let from = format!(
            "{} AS w JOIN {} AS l ON {}",
            self.was(),
            self.left(),
            self.keys("w", "l")
        );
        let condition = format!("{} AND ({changed}) AND {still}", self.keys("t", "w"));
        Some(update(
            self.dialect,
            (&self.live(), "t"),
            &sets,
            &from,
            &condition,
        ))
    }

    /// Returns whether a column is one of the primary key, of a foreign key, or one that a foreign key refers to.
    pub(super) fn is_of_key(&self, column: &str) -> bool {
        let own = self.table.foreign_keys.iter().flat_map(|key| &key.columns);
        let mut others = self.schema.tables.iter().flat_map(|table| &table.foreign_keys);
        self.table
            .primary_key
            .iter()
            .chain(own)
            .any(|name| name == column)
            || others.any(|key| {
                is_of(self.table, &key.references) && key.referenced_columns.iter().any(|name| name == column)
            })
    }

    /// Gives cells back that still hold what the migration wrote.
    pub(super) fn change_back(&self, policy: OnConflict) -> Option<String> {
        let is_mysql = self.is(DialectKind::Mysql);
        let prefix = if is_mysql { "t." } else { "" };
        let (mut sets, mut any) = (Vec::new(), Vec::new());
        let changed = self
            .writable()
            .filter(|column| self.extent.has_changed(&column.name));
        for column in changed {
            let (name, goes) = (self.name(&column.name), self.goes_back(column, policy));
            sets.push(format!(
                "{prefix}{name} = CASE WHEN {goes} THEN w.{name} ELSE t.{name} END"
            ));
            any.push(goes);
        }
        if sets.is_empty() {
            return None;
        }
        let (live, was, left) = (self.live(), self.was(), self.left());
        let (sets, any) = (sets.join(", "), any.join(" OR "));
        let both = self.keys("w", "l");
        let own = self.keys("t", "w");
        Some(if is_mysql {
            format!(
                "UPDATE {live} AS t JOIN {was} AS w ON {own} JOIN {left} AS l ON {both} SET {sets} WHERE {any}"
            )
        } else {
            format!(
                "UPDATE {live} AS t SET {sets} FROM {was} AS w JOIN {left} AS l ON {both} WHERE {own} AND ({any})"
            )
        })
    }

    /// Puts rows back that the migration deleted, where their key is free and what they refer to is there.
    pub(super) fn bring_back(&self) -> String {
        let from = format!(
            "FROM {} AS w WHERE {} AND {}{}",
            self.was(),
            self.is_not_in(&self.left(), "w"),
            self.is_not_in(&self.live(), "w"),
            self.refers_well()
        );
        self.insert(&self.live(), &from)
    }

    /// Inserts rows `w` into a table, with the numbers that they had.
    pub(super) fn insert(&self, table: &str, from: &str) -> String {
        let columns = self.columns.iter();
        let names: Vec<_> = columns.map(|column| self.name(&column.name)).collect();
        let cells: Vec<_> = names.iter().map(|name| format!("w.{name}")).collect();
        let own_identity = if self.is(DialectKind::Postgres) {
            " OVERRIDING SYSTEM VALUE"
        } else {
            ""
        };
        format!(
            "INSERT INTO {table} ({}){own_identity} SELECT {} {from}",
            names.join(", "),
            cells.join(", ")
        )
    }

    /// Makes rows again what they were whose key was used again since the migration deleted them.
    pub(super) fn take_key_back(&self) -> Option<String> {
        let is_mysql = self.is(DialectKind::Mysql);
        let prefix = if is_mysql { "t." } else { "" };
        let sets: Vec<_> = self
            .writable()
            .map(|column| format!("{prefix}{0} = w.{0}", self.name(&column.name)))
            .collect();
        if sets.is_empty() {
            return None;
        }
        let (live, was, sets) = (self.live(), self.was(), sets.join(", "));
        let (own, gone) = (self.keys("t", "w"), self.is_not_in(&self.left(), "w"));
        let parents = self.refers_well();
        Some(if is_mysql {
            format!("UPDATE {live} AS t JOIN {was} AS w ON {own} SET {sets} WHERE {gone}{parents}")
        } else {
            format!("UPDATE {live} AS t SET {sets} FROM {was} AS w WHERE {own} AND {gone}{parents}")
        })
    }

    /// Says which rows go: those the migration inserted, if nobody has changed them or refers to them.
    fn goes(&self, policy: OnConflict) -> String {
        let unchanged = match policy {
            OnConflict::Revert => String::new(),
            OnConflict::Keep | OnConflict::Stop => format!(" AND {}", self.all_same("t", "l")),
        };
        format!(
            "{}{unchanged}{}",
            self.is_not_in(&self.was(), "l"),
            self.is_free()
        )
    }

    /// Removes rows that the migration inserted.
    pub(super) fn remove(&self, policy: OnConflict) -> String {
        let (live, left, own, goes) = (self.live(), self.left(), self.keys("t", "l"), self.goes(policy));
        match self.dialect.kind() {
            DialectKind::Mysql => format!("DELETE t FROM {live} AS t JOIN {left} AS l ON {own} WHERE {goes}"),
            DialectKind::Postgres => {
                format!("DELETE FROM {live} AS t USING {left} AS l WHERE {own} AND {goes}")
            }
            DialectKind::Sqlite => format!(
                "DELETE FROM {live} WHERE ({}) IN (SELECT {} FROM {left} AS l JOIN {live} AS t ON {own} WHERE {goes})",
                self.key_columns(""),
                self.key_columns("l.")
            ),
        }
    }
}
