//! Tables, their keys and their indexes.

use walkback_core::DialectKind;

use super::column::{Column, comments};
use super::{Model, Rendered, only};

pub(super) fn create(model: Model<'_>) -> Rendered {
    model.only(&["tableName", "schemaName", "remarks", "ifNotExists"])?;
    let table = model.own_table()?;
    let (mut lines, mut keys, mut others) = (Vec::new(), Vec::new(), Vec::new());
    let mut key_name = None;
    let columns: Vec<Column<'_>> = model
        .node
        .all("column")
        .map(|node| Column::of(model, node))
        .collect::<Result<_, _>>()?;
    for column in &columns {
        lines.push(column.definition(true)?);
        if column.is_key() {
            keys.push(column.name());
            key_name = key_name.or(column.constraint("primaryKeyName"));
        }
        others.extend(column.unique());
        others.extend(column.reference()?);
    }
    let makes_its_own = model.dialect == DialectKind::Sqlite && columns.iter().any(Column::is_counted);
    if !keys.is_empty() && !makes_its_own {
        lines.push(primary_key(model, key_name, &keys)?);
    }
    lines.extend(others);
    let unless = if model.node.is("ifNotExists", false) {
        "IF NOT EXISTS "
    } else {
        ""
    };
    let remarks = model
        .node
        .get("remarks")
        .filter(|_| model.dialect == DialectKind::Mysql);
    let remarks = remarks.map(|text| format!(" COMMENT={}", model.literal(text)));
    let mut statements = vec![format!(
        "CREATE TABLE {unless}{table} ({}){}",
        lines.join(", "),
        remarks.unwrap_or_default()
    )];
    statements.extend(comments(model, &table, &columns));
    Ok(statements)
}

/// Returns the primary key of a new table, under its own name or that which Liquibase gives it.
fn primary_key(model: Model<'_>, name: Option<&str>, columns: &[String]) -> Result<String, String> {
    let table = model.needed("tableName")?;
    let name = name.map_or_else(
        || match model.dialect {
            DialectKind::Postgres => format!("{table}_pkey"),
            DialectKind::Mysql | DialectKind::Sqlite => format!("PK_{}", table.to_uppercase()),
        },
        str::to_owned,
    );
    Ok(format!(
        "CONSTRAINT {} PRIMARY KEY ({})",
        model.quoted(&name),
        columns.join(", ")
    ))
}

pub(super) fn drop(model: Model<'_>) -> Rendered {
    model.only(&["tableName", "schemaName", "cascadeConstraints"])?;
    let cascades = model.node.is("cascadeConstraints", false) && model.dialect == DialectKind::Postgres;
    Ok(vec![format!(
        "DROP TABLE {}{}",
        model.own_table()?,
        if cascades { " CASCADE" } else { "" }
    )])
}

pub(super) fn rename(model: Model<'_>) -> Rendered {
    model.only(&["oldTableName", "newTableName", "schemaName"])?;
    let schema = model.node.get("schemaName");
    let old = model.table(model.needed("oldTableName")?, schema);
    let new = model.needed("newTableName")?;
    let new = match model.dialect {
        DialectKind::Mysql => model.table(new, schema),
        DialectKind::Postgres | DialectKind::Sqlite => model.quoted(new),
    };
    Ok(vec![format!("ALTER TABLE {old} RENAME TO {new}")])
}

pub(super) fn create_index(model: Model<'_>) -> Rendered {
    model.only(&["tableName", "schemaName", "indexName", "unique", "associatedWith"])?;
    let mut columns = Vec::new();
    for column in model.node.all("column") {
        only(column, &["name", "descending", "computed", "type", "value"])?;
        let name = column.get("name").unwrap_or_default();
        let name = if column.is("computed", false) {
            name.to_owned()
        } else {
            model.quoted(name)
        };
        let order = if column.is("descending", false) {
            " DESC"
        } else {
            ""
        };
        columns.push(format!("{name}{order}"));
    }
    let unique = if model.node.is("unique", false) {
        "UNIQUE "
    } else {
        ""
    };
    Ok(vec![format!(
        "CREATE {unique}INDEX {} ON {} ({})",
        model.quoted(model.needed("indexName")?),
        model.own_table()?,
        columns.join(", ")
    )])
}

pub(super) fn drop_index(model: Model<'_>) -> Rendered {
    model.only(&["tableName", "schemaName", "indexName", "associatedWith"])?;
    let index = model.needed("indexName")?;
    Ok(vec![match model.dialect {
        DialectKind::Mysql => format!("DROP INDEX {} ON {}", model.quoted(index), model.own_table()?),
        DialectKind::Postgres | DialectKind::Sqlite => {
            format!("DROP INDEX {}", model.table(index, model.node.get("schemaName")))
        }
    }])
}

pub(super) fn add_key(model: Model<'_>, kind: &str) -> Rendered {
    model.only(&["tableName", "schemaName", "columnNames", "constraintName"])?;
    let (table, columns) = (model.own_table()?, model.list(model.needed("columnNames")?));
    if model.dialect == DialectKind::Sqlite && kind == "UNIQUE" {
        let name = model.quoted(model.needed("constraintName")?);
        return Ok(vec![format!("CREATE UNIQUE INDEX {name} ON {table} ({columns})")]);
    }
    model.not_on_sqlite()?;
    let name = model.node.get("constraintName");
    let name = name.map_or_else(String::new, |name| format!("CONSTRAINT {} ", model.quoted(name)));
    Ok(vec![format!("ALTER TABLE {table} ADD {name}{kind} ({columns})")])
}

pub(super) fn drop_unique(model: Model<'_>) -> Rendered {
    model.only(&["tableName", "schemaName", "constraintName", "uniqueColumns"])?;
    let (table, name) = (model.own_table()?, model.quoted(model.needed("constraintName")?));
    Ok(vec![match model.dialect {
        DialectKind::Postgres => format!("ALTER TABLE {table} DROP CONSTRAINT {name}"),
        DialectKind::Mysql => format!("ALTER TABLE {table} DROP KEY {name}"),
        DialectKind::Sqlite => format!("DROP INDEX {name}"),
    }])
}

pub(super) fn add_foreign_key(model: Model<'_>) -> Rendered {
    model.only(&[
        "baseTableName",
        "baseColumnNames",
        "baseTableSchemaName",
        "constraintName",
        "referencedTableName",
        "referencedColumnNames",
        "referencedTableSchemaName",
        "onDelete",
        "onUpdate",
        "deferrable",
        "initiallyDeferred",
    ])?;
    model.not_on_sqlite()?;
    let node = model.node;
    let mut sql = format!(
        "ALTER TABLE {} ADD CONSTRAINT {} FOREIGN KEY ({}) REFERENCES {} ({})",
        model.table(model.needed("baseTableName")?, node.get("baseTableSchemaName")),
        model.quoted(model.needed("constraintName")?),
        model.list(model.needed("baseColumnNames")?),
        model.table(
            model.needed("referencedTableName")?,
            node.get("referencedTableSchemaName")
        ),
        model.list(model.needed("referencedColumnNames")?)
    );
    for (name, words) in [("onUpdate", "ON UPDATE"), ("onDelete", "ON DELETE")] {
        if let Some(action) = node.get(name).filter(|action| !action.trim().is_empty()) {
            sql.push_str(&format!(" {words} {}", rule(action)?));
        }
    }
    if model.dialect == DialectKind::Postgres {
        if node.is("deferrable", false) {
            sql.push_str(" DEFERRABLE");
        }
        if node.is("initiallyDeferred", false) {
            sql.push_str(" INITIALLY DEFERRED");
        }
    }
    Ok(vec![sql])
}

fn rule(action: &str) -> Result<&'static str, String> {
    let action = action
        .trim()
        .to_uppercase()
        .replace("IMPORTEDKEY", "")
        .replace(' ', "");
    match action.as_str() {
        "CASCADE" => Ok("CASCADE"),
        "SETNULL" => Ok("SET NULL"),
        "SETDEFAULT" => Ok("SET DEFAULT"),
        "RESTRICT" => Ok("RESTRICT"),
        "NOACTION" => Ok("NO ACTION"),
        other => Err(format!("the rule `{other}` of a foreign key")),
    }
}

pub(super) fn drop_foreign_key(model: Model<'_>) -> Rendered {
    model.only(&["baseTableName", "baseTableSchemaName", "constraintName"])?;
    model.not_on_sqlite()?;
    let table = model.table(
        model.needed("baseTableName")?,
        model.node.get("baseTableSchemaName"),
    );
    let word = match model.dialect {
        DialectKind::Mysql => "FOREIGN KEY",
        DialectKind::Postgres | DialectKind::Sqlite => "CONSTRAINT",
    };
    Ok(vec![format!(
        "ALTER TABLE {table} DROP {word} {}",
        model.quoted(model.needed("constraintName")?)
    )])
}
