//! What a user may do, asked before anything changes.

use std::collections::BTreeSet;

use walkback_core::name::ObjectKind;
use walkback_core::statement::Action;
use walkback_core::{Cx, Result, TableName};

use crate::dialect::{quoted, quoted_table};
use crate::link::Link;

/// A right that an action needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Right {
    /// Being the owner of a relation, or a member of the role that is.
    Own(TableName),
    /// A privilege on a table.
    Table(TableName, &'static str),
    /// Creating in a schema; `None` is the first of the search path.
    CreateIn(Option<String>),
    /// Creating in the database: schemas and extensions.
    CreateInDatabase,
}

/// Returns the rights that an action needs.
fn needed(action: &Action) -> Vec<Right> {
    let own = |table: &TableName| vec![Right::Own(table.clone())];
    let privilege = |table: &TableName, right| vec![Right::Table(table.clone(), right)];
    match action {
        Action::Create {
            kind: ObjectKind::Schema | ObjectKind::Extension,
            ..
        } => vec![Right::CreateInDatabase],
        Action::Create {
            kind: ObjectKind::Trigger,
            on: Some(on),
            ..
        } => privilege(on, "TRIGGER"),
        Action::Create { on: Some(on), .. } => own(on),
        Action::Create { name, kind, .. } if is_in_schema(*kind) => {
            vec![Right::CreateIn(name.schema.clone())]
        }
        Action::Drop { kind, name, .. } if is_relation(*kind) => own(name),
        Action::Drop { on: Some(on), .. } => own(on),
        Action::DropTable { table }
        | Action::AddColumn { table, .. }
        | Action::DropColumn { table, .. }
        | Action::RenameColumn { table, .. }
        | Action::AlterColumn { table, .. } => own(table),
        Action::RenameTable { from, .. } => {
            vec![Right::Own(from.clone()), Right::CreateIn(from.schema.clone())]
        }
        Action::Alter { kind, name } if *kind == ObjectKind::Table || is_relation(*kind) => own(name),
        Action::Insert {
            table,
            may_overwrite: false,
        } => privilege(table, "INSERT"),
        Action::Insert {
            table,
            may_overwrite: true,
        } => {
            vec![
                Right::Table(table.clone(), "INSERT"),
                Right::Table(table.clone(), "UPDATE"),
            ]
        }
        Action::Update { table } => privilege(table, "UPDATE"),
        Action::Delete { table } => privilege(table, "DELETE"),
        Action::Truncate { table } => privilege(table, "TRUNCATE"),
        _ => Vec::new(),
    }
}

fn is_in_schema(kind: ObjectKind) -> bool {
    matches!(
        kind,
        ObjectKind::Table
            | ObjectKind::View
            | ObjectKind::MaterializedView
            | ObjectKind::Sequence
            | ObjectKind::Routine
            | ObjectKind::Type
    )
}

fn is_relation(kind: ObjectKind) -> bool {
    matches!(
        kind,
        ObjectKind::View | ObjectKind::MaterializedView | ObjectKind::Sequence | ObjectKind::Index
    )
}

impl Link {
    /// Returns the rights that are missing for some actions, in words. What is not there is not asked about: it
    /// may be made on the way.
    pub(crate) async fn missing_rights(&mut self, cx: &Cx, actions: &[Action]) -> Result<Vec<String>> {
        cx.check()?;
        self.tidy().await?;
        let rights: BTreeSet<Right> = actions.iter().flat_map(needed).collect();
        let user = self
            .one_text(cx, "SELECT pg_catalog.quote_ident(current_user)")
            .await?;
        let mut missing = Vec::new();
        for right in rights {
            missing.extend(self.missing_right(cx, &right, &user).await?);
        }
        Ok(missing)
    }

    async fn missing_right(&mut self, cx: &Cx, right: &Right, user: &str) -> Result<Option<String>> {
        match right {
            Right::Own(table) => {
                let sql = "SELECT pg_catalog.pg_has_role(c.relowner, 'USAGE')::text, \
                           pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(c.relowner)), \
                           CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' \
                             WHEN 'i' THEN 'INDEX' WHEN 'I' THEN 'INDEX' ELSE 'TABLE' END \
                           FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass($1)";
                let name = quoted_table(table);
                let rows = self.texts(cx, sql, &[&name]).await?;
                Ok(rows.first().filter(|row| !row.is(0)).map(|row| {
                    let word = row.get(2);
                    format!(
                        "{user} is not the owner of {} `{table}`, which {} is: `ALTER {word} {name} OWNER TO {user}`, \
                         or `GRANT {} TO {user}`",
                        word.to_lowercase(),
                        row.get(1),
                        row.get(1)
                    )
                }))
            }
            Right::Table(table, privilege) => {
                let sql = "SELECT pg_catalog.has_table_privilege(c.oid, $2)::text FROM pg_catalog.pg_class c \
                           WHERE c.oid = pg_catalog.to_regclass($1)";
                let name = quoted_table(table);
                let rows = self.texts(cx, sql, &[&name, privilege]).await?;
                Ok(rows.first().filter(|row| !row.is(0)).map(|_| {
                    format!(
                        "{user} lacks {privilege} on table `{table}`: `GRANT {privilege} ON {name} TO {user}`"
                    )
                }))
            }
            Right::CreateIn(schema) => {
                let sql = "SELECT n.nspname::text, pg_catalog.has_schema_privilege(n.oid, 'CREATE')::text \
                           FROM pg_catalog.pg_namespace n WHERE n.nspname = coalesce(nullif($1, ''), current_schema()::text)";
                let given = schema.as_deref().unwrap_or_default();
                let rows = self.texts(cx, sql, &[given]).await?;
                match rows.first() {
                    Some(row) if !row.is(1) => {
                        let name = row.get(0);
                        let grant = format!("GRANT CREATE ON SCHEMA {} TO {user}", quoted(name));
                        Ok(Some(format!("{user} may not create anything in schema `{name}`: `{grant}`")))
                    }
                    None if schema.is_none() => Ok(Some(
                        "there is no schema to create in: the search path names none that exists and may be used; \
                         `CREATE SCHEMA` one, or name another with `?search_path=` in the URL"
                            .to_owned(),
                    )),
                    _ => Ok(None),
                }
            }
            Right::CreateInDatabase => {
                let sql = "SELECT current_database()::text, \
                           pg_catalog.has_database_privilege(current_database(), 'CREATE')::text";
                let rows = self.texts(cx, sql, &[]).await?;
                Ok(rows.first().filter(|row| !row.is(1)).map(|row| {
                    let database = row.get(0);
                    format!(
                        "{user} may not create schemas or extensions in database `{database}`: \
                         `GRANT CREATE ON DATABASE {} TO {user}`",
                        quoted(database)
                    )
                }))
            }
        }
    }

    /// Keeps others from writing to tables until the transaction ends.
    pub(crate) async fn hold_tables(&mut self, cx: &Cx, tables: &[TableName]) -> Result<()> {
        cx.check()?;
        if tables.is_empty() {
            return Ok(());
        }
        if self.transaction.is_none() {
            return Err(crate::error::misused("tables are held inside a transaction"));
        }
        // In one order everywhere, so that two who hold tables do not wait for each other.
        let names: BTreeSet<String> = tables.iter().map(quoted_table).collect();
        let names: Vec<String> = names.into_iter().collect();
        self.batch(
            cx,
            &format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", names.join(", ")),
        )
        .await
    }
}
