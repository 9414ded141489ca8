//! The second reader: what the parsed statement says, where the parser reads the dialect.
//!
//! It finds what is nested (a `DELETE` inside a `WITH`), and knows nothing the server does not do when it
//! runs the statement: the body of a trigger or a routine is left alone.

use std::ops::ControlFlow;

use sqlparser::ast::{
    AlterTable, AlterTableOperation, Delete, FromTable, Ident, Insert, MergeAction, ObjectName, ObjectType,
    OnConflictAction, OnInsert, RenameTableNameKind, SqliteOnConflict, Statement as Parsed, TableFactor,
    TableObject, Update, Visit, Visitor,
};
use sqlparser::dialect::{Dialect, MySqlDialect, PostgreSqlDialect, SQLiteDialect};
use sqlparser::parser::Parser;
use walkback_core::name::ObjectKind;
use walkback_core::statement::Action;
use walkback_core::{DialectKind, TableName};

/// Returns whether the parser reads the statement at all.
pub(crate) fn parses(kind: DialectKind, sql: &str) -> bool {
    parse(kind, sql).is_some()
}

/// Says what a statement changes, or `None` where the parser cannot read it or its sort is not looked into here.
pub(super) fn read(kind: DialectKind, sql: &str) -> Option<Vec<Action>> {
    let parsed = parse(kind, sql)?;
    let mut changes = Changes {
        kind,
        actions: Vec::new(),
        complete: true,
    };
    if is_looked_into(&parsed) {
        let _: ControlFlow<()> = parsed.visit(&mut changes);
    } else {
        changes.complete = false;
    }
    // What was seen counts even where the rest was not understood; it only cannot stand for all of it.
    if changes.complete {
        Some(changes.actions)
    } else {
        None
    }
}

fn parse(kind: DialectKind, sql: &str) -> Option<Parsed> {
    let dialect: &dyn Dialect = match kind {
        DialectKind::Sqlite => &SQLiteDialect {},
        DialectKind::Postgres => &PostgreSqlDialect {},
        DialectKind::Mysql => &MySqlDialect {},
    };
    let mut statements = Parser::parse_sql(dialect, sql).ok()?;
    if statements.len() == 1 {
        statements.pop()
    } else {
        None
    }
}

fn is_looked_into(parsed: &Parsed) -> bool {
    matches!(
        parsed,
        Parsed::Query(_)
            | Parsed::Insert(_)
            | Parsed::Update(_)
            | Parsed::Delete(_)
            | Parsed::Merge(_)
            | Parsed::Truncate(_)
            | Parsed::Drop { .. }
            | Parsed::AlterTable(_)
            | Parsed::RenameTable(_)
            | Parsed::CreateTable(_)
    )
}

struct Changes {
    kind: DialectKind,
    actions: Vec<Action>,
    complete: bool,
}

impl Visitor for Changes {
    type Break = ();

    fn pre_visit_statement(&mut self, statement: &Parsed) -> ControlFlow<()> {
        let read = match statement {
            Parsed::Insert(insert) => self.insert(insert),
            Parsed::Update(update) => self.update(update),
            Parsed::Delete(delete) => self.delete(delete),
            Parsed::Merge(merge) => {
                self.merge(&merge.table, merge.clauses.iter().map(|clause| &clause.action))
            }
            Parsed::Truncate(truncate) => {
                let tables = truncate.table_names.iter().map(|target| self.table(&target.name));
                tables
                    .map(|table| table.map(|table| Action::Truncate { table }))
                    .collect::<Option<Vec<_>>>()
            }
            Parsed::Drop {
                object_type,
                names,
                temporary: false,
                table,
                ..
            } => self.dropped(*object_type, names, table.as_ref()),
            Parsed::AlterTable(alter) => self.alter(alter),
            Parsed::RenameTable(renames) => {
                let rename = |rename: &sqlparser::ast::RenameTable| {
                    Some(Action::RenameTable {
                        from: self.table(&rename.old_name)?,
                        to: self.table(&rename.new_name)?,
                    })
                };
                renames.iter().map(rename).collect()
            }
            Parsed::Query(_) | Parsed::CreateTable(_) => Some(Vec::new()),
            _ => None,
        };
        match read {
            Some(actions) => self.actions.extend(actions),
            None => self.complete = false,
        }
        ControlFlow::Continue(())
    }
}

impl Changes {
    fn identifier(&self, identifier: &Ident) -> String {
        if identifier.quote_style.is_none() && self.kind == DialectKind::Postgres {
            identifier.value.to_lowercase()
        } else {
            identifier.value.clone()
        }
    }

    fn table(&self, name: &ObjectName) -> Option<TableName> {
        let mut parts: Vec<String> = Vec::new();
        for part in &name.0 {
            parts.push(self.identifier(part.as_ident()?));
        }
        let last = parts.pop()?;
        Some(match parts.pop() {
            Some(schema) => TableName::in_schema(schema, last),
            None => TableName::new(last),
        })
    }

    fn factor(&self, factor: &TableFactor) -> Option<TableName> {
        match factor {
            // The parser takes the `ONLY` of PostgreSQL for the name in some places.
            TableFactor::Table { name, .. } => self.table(name).filter(|table| table.name != "only"),
            _ => None,
        }
    }

    fn insert(&self, insert: &Insert) -> Option<Vec<Action>> {
        let TableObject::TableName(name) = &insert.table else {
            return None;
        };
        let overwrites = match &insert.on {
            Some(OnInsert::OnConflict(conflict)) => matches!(conflict.action, OnConflictAction::DoUpdate(_)),
            Some(_) => true,
            None => false,
        };
        let replaces =
            insert.replace_into || insert.overwrite || insert.or == Some(SqliteOnConflict::Replace);
        Some(vec![Action::Insert {
            table: self.table(name)?,
            may_overwrite: overwrites || replaces,
        }])
    }

    /// The tokens know which table of a join is written.
    fn update(&self, update: &Update) -> Option<Vec<Action>> {
        if !update.table.joins.is_empty() {
            return None;
        }
        let table = self.factor(&update.table.relation)?;
        Some(vec![Action::Update { table }])
    }

    fn delete(&self, delete: &Delete) -> Option<Vec<Action>> {
        let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
        let joined = self.kind == DialectKind::Mysql && delete.using.is_some();
        if !delete.tables.is_empty() || joined || from.iter().any(|from| !from.joins.is_empty()) {
            return None;
        }
        let deleted = |table| Action::Delete { table };
        from.iter()
            .map(|from| self.factor(&from.relation).map(deleted))
            .collect()
    }

    fn merge<'m>(
        &self,
        table: &TableFactor,
        merged: impl Iterator<Item = &'m MergeAction>,
    ) -> Option<Vec<Action>> {
        let table = self.factor(table)?;
        let action = |action: &MergeAction| match action {
            MergeAction::Insert(_) => Some(Action::Insert {
                table: table.clone(),
                may_overwrite: false,
            }),
            MergeAction::Update { .. } => Some(Action::Update { table: table.clone() }),
            MergeAction::Delete { .. } => Some(Action::Delete { table: table.clone() }),
            MergeAction::DoNothing { .. } => None,
        };
        Some(merged.filter_map(action).collect())
    }

    fn dropped(
        &self,
        kind: ObjectType,
        names: &[ObjectName],
        on: Option<&ObjectName>,
    ) -> Option<Vec<Action>> {
        let kind = match kind {
            ObjectType::Table => ObjectKind::Table,
            ObjectType::View => ObjectKind::View,
            ObjectType::MaterializedView => ObjectKind::MaterializedView,
            ObjectType::Index => ObjectKind::Index,
            ObjectType::Schema | ObjectType::Database => ObjectKind::Schema,
            ObjectType::Role | ObjectType::User => ObjectKind::Grant,
            ObjectType::Sequence => ObjectKind::Sequence,
            ObjectType::Type => ObjectKind::Type,
            _ => return None,
        };
        let on = match on {
            Some(on) => Some(self.table(on)?),
            None => None,
        };
        let action = |name: &ObjectName| {
            let name = self.table(name)?;
            Some(match kind {
                ObjectKind::Table => Action::DropTable { table: name },
                _ => Action::Drop {
                    kind,
                    name,
                    on: on.clone(),
                },
            })
        };
        names.iter().map(action).collect()
    }

    /// Reads the operations that change columns or names; the tokens name the rest.
    fn alter(&self, alter: &AlterTable) -> Option<Vec<Action>> {
        let table = self.table(&alter.name)?;
        let mut actions = Vec::new();
        for operation in &alter.operations {
            actions.extend(self.operation(&table, operation)?);
        }
        Some(actions)
    }

    fn operation(&self, table: &TableName, operation: &AlterTableOperation) -> Option<Vec<Action>> {
        use AlterTableOperation as Op;
        let table = table.clone();
        Some(match operation {
            Op::AddColumn { column_def, .. } => vec![Action::AddColumn {
                table,
                column: self.identifier(&column_def.name),
            }],
            Op::DropColumn { column_names, .. } => {
                let dropped = |column| Action::DropColumn {
                    table: table.clone(),
                    column: self.identifier(column),
                };
                column_names.iter().map(dropped).collect()
            }
            Op::RenameColumn {
                old_column_name,
                new_column_name,
            } => vec![Action::RenameColumn {
                table,
                from: self.identifier(old_column_name),
                to: self.identifier(new_column_name),
            }],
            Op::RenameTable {
                table_name: RenameTableNameKind::As(name) | RenameTableNameKind::To(name),
            } => {
                let to = self.table(name)?;
                let to = match (&to.schema, self.kind) {
                    (None, DialectKind::Sqlite | DialectKind::Postgres) => table.renamed(to.name),
                    _ => to,
                };
                vec![Action::RenameTable { from: table, to }]
            }
            Op::AlterColumn {
                column_name: column, ..
            }
            | Op::ModifyColumn { col_name: column, .. } => {
                vec![Action::AlterColumn {
                    table,
                    column: self.identifier(column),
                }]
            }
            // Constraints, indexes, storage: the tokens have named them.
            Op::AddConstraint { .. }
            | Op::DropConstraint { .. }
            | Op::DropPrimaryKey { .. }
            | Op::DropForeignKey { .. }
            | Op::DropIndex { .. }
            | Op::RenameConstraint { .. }
            | Op::ValidateConstraint { .. }
            | Op::OwnerTo { .. }
            | Op::Algorithm { .. }
            | Op::Lock { .. }
            | Op::AutoIncrement { .. } => Vec::new(),
            _ => return None,
        })
    }
}
