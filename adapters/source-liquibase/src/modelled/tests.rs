//! What Liquibase 4.28.0 writes for these changes (`update-sql`), but for quotes and schemas.

use std::path::Path;

use walkback_core::DialectKind::{self, Mysql, Postgres, Sqlite};

use super::{Model, description, render};
use crate::tree::{Node, of_xml};

fn node(xml: &str) -> Node {
    of_xml(Path::new("c.xml"), xml).unwrap()
}

fn sql(dialect: DialectKind, xml: &str) -> String {
    let node = node(xml);
    let model = Model { dialect, node: &node };
    match render(model) {
        Ok(statements) => statements.join("; ").replace(['"', '`'], ""),
        Err(why) => format!("refused: {why}"),
    }
}

#[test]
fn a_table_is_made_as_liquibase_makes_it() {
    let xml = "<createTable tableName=\"c\"><column name=\"id\" type=\"int\"><constraints primaryKey=\"true\" nullable=\"false\"/></column>\
        <column name=\"p_id\" type=\"int\"><constraints nullable=\"false\" foreignKeyName=\"fk_c_p\" references=\"p(id)\"/></column>\
        <column name=\"q\" type=\"boolean\" defaultValueBoolean=\"true\"><constraints unique=\"true\"/></column>\
        <column name=\"dd\" type=\"datetime\" defaultValueDate=\"2020-01-02T03:04:05\"/>\
        <column name=\"ch\" type=\"char(3)\" defaultValue=\"it's\"/></createTable>";
    assert_eq!(
        sql(Postgres, xml),
        "CREATE TABLE c (id INTEGER NOT NULL, p_id INTEGER NOT NULL, q BOOLEAN DEFAULT TRUE, \
         dd TIMESTAMP WITHOUT TIME ZONE DEFAULT '2020-01-02 03:04:05', ch CHAR(3) DEFAULT 'it''s', \
         CONSTRAINT c_pkey PRIMARY KEY (id), CONSTRAINT fk_c_p FOREIGN KEY (p_id) REFERENCES p (id), UNIQUE (q))"
    );
    assert_eq!(
        sql(Mysql, xml),
        "CREATE TABLE c (id INT NOT NULL, p_id INT NOT NULL, q TINYINT(1) DEFAULT 1 NULL, \
         dd DATETIME DEFAULT '2020-01-02 03:04:05' NULL, ch CHAR(3) DEFAULT 'it''s' NULL, \
         CONSTRAINT PK_C PRIMARY KEY (id), CONSTRAINT fk_c_p FOREIGN KEY (p_id) REFERENCES p (id), UNIQUE (q))"
    );
    assert!(sql(Sqlite, xml).contains("CONSTRAINT PK_C PRIMARY KEY (id)"));
}

#[test]
fn changes_of_tables_are_written_as_liquibase_writes_them() {
    for (xml, postgres, mysql) in [
        (
            "<addPrimaryKey tableName=\"k\" columnNames=\"a, b\" constraintName=\"pk_k\"/>",
            "ALTER TABLE k ADD CONSTRAINT pk_k PRIMARY KEY (a, b)",
            "ALTER TABLE k ADD CONSTRAINT pk_k PRIMARY KEY (a, b)",
        ),
        (
            "<addForeignKeyConstraint baseTableName=\"k\" baseColumnNames=\"a\" constraintName=\"fk\" referencedTableName=\"p\" referencedColumnNames=\"id\" onDelete=\"CASCADE\"/>",
            "ALTER TABLE k ADD CONSTRAINT fk FOREIGN KEY (a) REFERENCES p (id) ON DELETE CASCADE",
            "ALTER TABLE k ADD CONSTRAINT fk FOREIGN KEY (a) REFERENCES p (id) ON DELETE CASCADE",
        ),
        (
            "<dropForeignKeyConstraint baseTableName=\"k\" constraintName=\"fk\"/>",
            "ALTER TABLE k DROP CONSTRAINT fk",
            "ALTER TABLE k DROP FOREIGN KEY fk",
        ),
        (
            "<modifyDataType tableName=\"p\" columnName=\"n\" newDataType=\"bigint\"/>",
            "ALTER TABLE p ALTER COLUMN n TYPE BIGINT USING (n::BIGINT)",
            "ALTER TABLE p MODIFY n BIGINT",
        ),
        (
            "<addNotNullConstraint tableName=\"p\" columnName=\"d\" columnDataType=\"double\" defaultNullValue=\"0\"/>",
            "UPDATE p SET d = '0' WHERE d IS NULL; ALTER TABLE p ALTER COLUMN d SET NOT NULL",
            "UPDATE p SET d = '0' WHERE d IS NULL; ALTER TABLE p MODIFY d DOUBLE NOT NULL",
        ),
        (
            "<createIndex tableName=\"p\" indexName=\"ix\" unique=\"true\"><column name=\"d\"/><column name=\"g\" descending=\"true\"/></createIndex>",
            "CREATE UNIQUE INDEX ix ON p (d, g DESC)",
            "CREATE UNIQUE INDEX ix ON p (d, g DESC)",
        ),
        (
            "<insert tableName=\"p\"><column name=\"id\" valueNumeric=\"1\"/><column name=\"m\" value=\"x'y\"/><column name=\"b\" valueBoolean=\"true\"/><column name=\"da\" valueComputed=\"CURRENT_DATE\"/></insert>",
            "INSERT INTO p (id, m, b, da) VALUES (1, 'x''y', TRUE, CURRENT_DATE)",
            "INSERT INTO p (id, m, b, da) VALUES (1, 'x''y', 1, CURRENT_DATE)",
        ),
        (
            "<update tableName=\"p\"><column name=\"d\" valueNumeric=\"2\"/><column name=\"ch\" value=\"NULL\"/><where>id = 1</where></update>",
            "UPDATE p SET d = 2, ch = NULL WHERE id = 1",
            "UPDATE p SET d = 2, ch = NULL WHERE id = 1",
        ),
    ] {
        assert_eq!(sql(Postgres, xml), postgres);
        assert_eq!(sql(Mysql, xml), mysql);
    }
}

#[test]
fn what_stands_behind_a_type_is_kept() {
    let column =
        |name: &str| format!("<addColumn tableName=\"t\"><column name=\"a\" type=\"{name}\"/></addColumn>");
    for (written, expected) in [
        ("int(11) unsigned", "INT unsigned"),
        ("int unsigned", "INT unsigned"),
        ("bigint(20) unsigned zerofill", "BIGINT unsigned zerofill"),
        ("smallint(5) unsigned", "SMALLINT unsigned"),
        ("tinyint(3) unsigned", "TINYINT(3) unsigned"),
        ("decimal(10,2) unsigned", "DECIMAL(10,2) unsigned"),
        ("integer", "INT"),
    ] {
        let sql = sql(Mysql, &column(written));
        assert_eq!(sql, format!("ALTER TABLE t ADD COLUMN a {expected} NULL"));
    }
    for dialect in [Postgres, Sqlite] {
        let said = sql(dialect, &column("int(11) unsigned"));
        assert_eq!(
            said, "refused: `unsigned` behind the type `int(11)`",
            "{dialect:?}"
        );
    }
    let said = sql(Postgres, &column("timestamp(6) with time zone"));
    assert!(said.ends_with("TIMESTAMP(6) with time zone"), "{said}");
}

#[test]
fn a_computed_default_is_written_as_liquibase_writes_it() {
    let default = |value: &str| format!("<addDefaultValue tableName=\"t\" columnName=\"a\" {value}/>");
    for (value, postgres, mysql) in [
        ("defaultValueComputed=\"NOW()\"", "NOW()", "(NOW())"),
        (
            "defaultValueDate=\"CURRENT_TIMESTAMP\"",
            "CURRENT_TIMESTAMP",
            "(CURRENT_TIMESTAMP)",
        ),
        ("defaultValueDate=\"2020-01-01\"", "'2020-01-01'", "'2020-01-01'"),
        ("defaultValueNumeric=\"3\"", "3", "3"),
        ("defaultValueComputed=\"'x'\"", "'x'", "('x')"),
    ] {
        let of = |value: &str| format!("ALTER TABLE t ALTER COLUMN a SET DEFAULT {value}");
        assert_eq!(sql(Postgres, &default(value)), of(postgres));
        assert_eq!(sql(Mysql, &default(value)), of(mysql));
    }
}

#[test]
fn what_is_null_already_is_not_made_null() {
    let xml = "<addNotNullConstraint tableName=\"p\" columnName=\"d\" columnDataType=\"int\" defaultNullValue=\"NULL\"/>";
    assert_eq!(sql(Postgres, xml), "ALTER TABLE p ALTER COLUMN d SET NOT NULL");
}

#[test]
fn what_cannot_be_followed_is_refused_by_name() {
    for (xml, why) in [
        (
            "<createView viewName=\"v\">select 1</createView>",
            "the change `createView`",
        ),
        (
            "<createTable tableName=\"t\" tablespace=\"x\"/>",
            "`tablespace` of `createTable`",
        ),
        (
            "<addColumn tableName=\"t\"><column name=\"a\" type=\"int\" valueNumeric=\"1\"/></addColumn>",
            "`valueNumeric` of a column that is added",
        ),
    ] {
        assert_eq!(sql(Postgres, xml), format!("refused: {why}"));
    }
    let xml = "<modifyDataType tableName=\"p\" columnName=\"n\" newDataType=\"bigint\"/>";
    assert!(sql(Sqlite, xml).starts_with("refused: `modifyDataType` on SQLite"));
}

#[test]
fn the_ledger_describes_changes_as_liquibase_does() {
    for (xml, expected) in [
        (
            "<addForeignKeyConstraint baseTableName=\"k\" baseColumnNames=\"a\" constraintName=\"fk_k_p\" referencedTableName=\"p\"/>",
            "addForeignKeyConstraint baseTableName=k, constraintName=fk_k_p, referencedTableName=p",
        ),
        (
            "<renameColumn tableName=\"p\" oldColumnName=\"f\" newColumnName=\"g\" columnDataType=\"float\"/>",
            "renameColumn newColumnName=g, oldColumnName=f, tableName=p",
        ),
        ("<tagDatabase tag=\"v1\"/>", "tagDatabase"),
    ] {
        assert_eq!(description(&node(xml)), expected);
    }
}
