//! Stepping aside: rows that do not stay get values that nothing has, until they go or go back.

use walkback_core::catalog::Column;
use walkback_core::engine::SessionExt as _;
use walkback_core::{Cx, DialectKind, Error, ErrorKind, Result, Session};

use super::OnConflict;
use super::sql::{Sql, update};
use super::unique::Unique;

/// How the values begin that rows step aside to, where they are texts.
const ASIDE: &str = "~wb";

/// The same of those that are of the type of PostgreSQL.
const NO_UUID: &str = "00000000-0000-0000-0000-";

/// A column of which rows have stepped aside: none of them may stay there.
#[derive(Debug)]
pub(super) struct Aside {
    /// Says of a row that it did.
    condition: String,
    column: String,
}

impl Sql<'_> {
    /// Sees that no row has stayed where it stepped aside to.
    pub(super) async fn nobody_is_aside(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        aside: &[Aside],
    ) -> Result<()> {
        for Aside { condition, column } in aside {
            let stays = format!("SELECT 1 FROM {} AS t WHERE {condition} LIMIT 1", self.live());
            if session.fetch_optional(cx, &stays, &[]).await?.is_some() {
                return Err(Error::new(
                    ErrorKind::Database,
                    format!(
                        "a row of `{}` that has to stay has what another one had before in `{column}`, which has to be unique",
                        self.table.name
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Returns the columns by which rows step aside: nothing refers to them, and a value can be made that nothing has.
    pub(super) fn movable(&self, unique: &Unique) -> Vec<&Column> {
        let columns = self.columns.iter().copied();
        let mut movable: Vec<_> = columns
            .filter(|column| {
                let mut parts = unique.parts.iter();
                parts.any(|part| part.column.as_ref() == Some(&column.name))
                    && !self.is_of_key(&column.name)
                    && sort_of(self.dialect.kind(), column).is_some()
            })
            .collect();
        movable.sort_by_key(|column| !self.extent.has_changed(&column.name));
        movable
    }

    /// Gives rows that do not stay another value, and says that the migration left them so.
    pub(super) async fn step_aside(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        (unique, column, policy): (&Unique, &Column, OnConflict),
    ) -> Result<Aside> {
        let name = self.name(&column.name);
        let sort = sort_of(self.dialect.kind(), column).unwrap_or(Sort::Text);
        let highest = self.highest(cx, session, (&name, sort)).await?;
        let value = match sort {
            Sort::Number => format!("{highest} + c._walkback_number"),
            Sort::Text if self.dialect.kind() == DialectKind::Mysql => {
                format!("CONCAT('{ASIDE}', c._walkback_number)")
            }
            Sort::Uuid => format!("('{NO_UUID}' || lpad(to_hex(c._walkback_number), 12, '0'))::uuid"),
            Sort::Text => format!("'{ASIDE}' || c._walkback_number"),
        };
        let is_aside = |row: &str| match sort {
            Sort::Number => format!("{row}.{name} > {highest}"),
            Sort::Text => format!("{row}.{name} LIKE '{ASIDE}%'"),
            Sort::Uuid => format!("{row}.{name}::text LIKE '{NO_UUID}%'"),
        };
        let key = self.key_columns("o.");
        let those = format!(
            "(SELECT d.*, ROW_NUMBER() OVER (ORDER BY {}) AS _walkback_number FROM (SELECT DISTINCT {key} {} WHERE {}) AS d) AS c",
            self.key_columns("d."),
            self.collisions(unique, policy),
            self.is_moving(&[column], policy),
        );
        let sets = [(name.clone(), value)];
        let aside = update(
            self.dialect,
            (&self.live(), "t"),
            &sets,
            &those,
            &self.keys("t", "c"),
        );
        session.execute(cx, &aside, &[]).await?;
        let sets = [(name.clone(), format!("t.{name}"))];
        let from = format!("{} AS t", self.live());
        let condition = format!("{} AND {}", self.keys("t", "l"), is_aside("t"));
        let left = update(self.dialect, (&self.left(), "l"), &sets, &from, &condition);
        session.execute(cx, &left, &[]).await?;
        Ok(Aside {
            condition: is_aside("t"),
            column: column.name.clone(),
        })
    }

    /// Returns a number that no row has more than, or sees that no row begins as those that step aside.
    async fn highest(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        (name, sort): (&str, Sort),
    ) -> Result<String> {
        let all =
            [self.live(), self.was(), self.left()].map(|table| format!("SELECT {name} AS v FROM {table}"));
        let all = format!("({}) AS a", all.join(" UNION ALL "));
        let kind = self.dialect.kind();
        let sql = match (sort, kind) {
            (Sort::Number, DialectKind::Mysql) => {
                format!("SELECT CAST(CEILING(MAX(v)) AS CHAR) FROM {all}")
            }
            (Sort::Number, DialectKind::Postgres) => format!("SELECT ceil(max(v)::numeric)::text FROM {all}"),
            (Sort::Number, DialectKind::Sqlite) => {
                format!("SELECT CAST(CAST(max(v) AS INTEGER) + 1 AS TEXT) FROM {all}")
            }
            (Sort::Text, _) => format!("SELECT min(v) FROM {all} WHERE v LIKE '{ASIDE}%'"),
            (Sort::Uuid, _) => format!("SELECT min(v::text) FROM {all} WHERE v::text LIKE '{NO_UUID}%'"),
        };
        let row = session.fetch_optional(cx, &sql, &[]).await?;
        let text = row.and_then(|row| row.first().and_then(|value| value.as_str().map(str::to_owned)));
        match (sort, text) {
            (Sort::Number, Some(number)) if number.parse::<i128>().is_ok() => Ok(number),
            (Sort::Text | Sort::Uuid, None) => Ok(String::new()),
            _ => Err(Error::new(
                ErrorKind::Database,
                format!("rows of `{}` cannot step aside by their {name}", self.table.name),
            )),
        }
    }
}

/// Of what sort the values are that rows step aside to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Number,
    Text,
    /// PostgreSQL's.
    Uuid,
}

fn sort_of(kind: DialectKind, column: &Column) -> Option<Sort> {
    let of_type = column.data_type.to_ascii_lowercase();
    let word = of_type.split(|c: char| !c.is_ascii_alphanumeric()).next()?;
    match word {
        _ if of_type.contains("[]") => None,
        "int" | "integer" | "bigint" | "smallint" | "tinyint" | "mediumint" | "int2" | "int4" | "int8"
        | "numeric" | "decimal" | "double" | "float" | "real" => Some(Sort::Number),
        "text" | "varchar" | "character" | "char" | "tinytext" | "mediumtext" | "longtext" | "citext" => {
            Some(Sort::Text)
        }
        "uuid" if kind == DialectKind::Postgres => Some(Sort::Uuid),
        _ => None,
    }
}
