//! Every kind of object is created again by its definition, and equals itself in another database.

mod support;

use support::{Kind, Place};
use walkback_core::catalog::Schema;
use walkback_core::name::ObjectKind;
use walkback_core::{Access, Cx, Result, Session, TableName};

fn cx() -> Cx {
    Cx::background()
}

async fn run(session: &mut dyn Session, sql: &str) -> Result<u64> {
    session.execute(&cx(), sql, &[]).await
}

/// Something of everything that both servers have.
const EVERYTHING: [&str; 17] = [
    "CREATE TABLE `pa``rent` (`order` INT NOT NULL AUTO_INCREMENT, b VARCHAR(10) CHARACTER SET latin1 DEFAULT 'it''s \\\\', \
     e ENUM('a,(', 'b)') NOT NULL DEFAULT 'b)', s SET('x', 'y'), t TIMESTAMP(3) NULL DEFAULT CURRENT_TIMESTAMP(3) \
     ON UPDATE CURRENT_TIMESTAMP(3), x INT DEFAULT (1 + 2), g INT AS (x * 2) STORED, h INT AS (x + 1) VIRTUAL, \
     bits BIT(8) DEFAULT b'101', j JSON, z INT(6) UNSIGNED ZEROFILL COMMENT 'a, ) comment''s', \
     PRIMARY KEY (`order`), UNIQUE KEY u (b), CONSTRAINT positive CHECK (x > 0), CHECK (x < 1000)) \
     AUTO_INCREMENT = 41 COMMENT = 'AUTO_INCREMENT=7'",
    "CREATE TABLE child (id INT PRIMARY KEY, up INT, p INT, note VARCHAR(50), d DATETIME, \
     CONSTRAINT to_parent FOREIGN KEY (p) REFERENCES `pa``rent` (`order`) ON DELETE CASCADE ON UPDATE SET NULL, \
     CONSTRAINT to_itself FOREIGN KEY (up) REFERENCES child (id)) ROW_FORMAT = DYNAMIC",
    "CREATE TABLE counts (a INT NOT NULL, n INT NOT NULL AUTO_INCREMENT, PRIMARY KEY (a, n), KEY (n)) ENGINE = InnoDB",
    "CREATE TABLE parts (id INT NOT NULL, d DATE NOT NULL, PRIMARY KEY (id, d)) \
     PARTITION BY RANGE (TO_DAYS(d)) (PARTITION p0 VALUES LESS THAN (TO_DAYS('2026-01-01')), \
     PARTITION p1 VALUES LESS THAN MAXVALUE)",
    "CREATE TABLE spots (id INT PRIMARY KEY, at POINT NOT NULL, doc TEXT)",
    "CREATE INDEX same_name ON child (note(5), d DESC)",
    "CREATE INDEX same_name ON parts (d)",
    "CREATE FULLTEXT INDEX words ON spots (doc)",
    "CREATE SPATIAL INDEX place ON spots (at)",
    "CREATE FUNCTION twice(n INT) RETURNS INT DETERMINISTIC RETURN n * 2",
    "CREATE PROCEDURE twice(IN n INT) BEGIN DECLARE i INT DEFAULT 0; WHILE i < n DO SET i = i + 1; END WHILE; END",
    "CREATE VIEW b_view AS SELECT id, note FROM child",
    "CREATE ALGORITHM = MERGE SQL SECURITY INVOKER VIEW a_view AS SELECT id, twice(id) AS two FROM b_view WHERE note LIKE 'a%' WITH CHECK OPTION",
    "CREATE TRIGGER second BEFORE INSERT ON child FOR EACH ROW SET NEW.note = UPPER(NEW.note)",
    "CREATE TRIGGER first BEFORE INSERT ON child FOR EACH ROW PRECEDES second SET NEW.note = TRIM(NEW.note)",
    "CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 03:00:00' DISABLE COMMENT 'x' DO DELETE FROM child WHERE id < 0",
    "CREATE EVENT named ON SCHEDULE AT '2035-05-05 05:05:05' ON COMPLETION PRESERVE DISABLE DO SELECT 'größe 😀'",
];

/// What only one of them has.
fn more(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Mysql => &[
            "CREATE TABLE hidden (id INT PRIMARY KEY, secret INT INVISIBLE, expr JSON DEFAULT (JSON_ARRAY()), \
             p POINT SRID 4326, INDEX by_expression ((id + 1)), KEY unseen (secret) INVISIBLE, \
             CONSTRAINT lax CHECK (secret > 5) NOT ENFORCED)",
        ],
        Kind::Mariadb => &[
            "CREATE SEQUENCE numbers START WITH 100 INCREMENT BY 5 CACHE 10 CYCLE",
            "CREATE TABLE hidden (id INT PRIMARY KEY DEFAULT NEXTVAL(numbers), secret INT INVISIBLE DEFAULT 3, u UUID)",
            "CREATE TABLE versions (id INT PRIMARY KEY, v INT) WITH SYSTEM VERSIONING",
        ],
    }
}

async fn schema(session: &mut dyn Session) -> Result<Schema> {
    session.schema(&cx()).await
}

fn differences(one: &Schema, other: &Schema) -> Vec<String> {
    one.differences(other).iter().map(ToString::to_string).collect()
}

async fn made_again(kind: Kind) -> Result<()> {
    let place = match Place::new(kind) {
        Ok(place) => place,
        Err(why) => return support::absent(kind, &why),
    };
    let engine = place.engine();
    let mut session = engine.connect(&cx(), Access::Write).await?;
    run(&mut *session, "SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'").await?;
    run(&mut *session, "CREATE PROCEDURE odd() SELECT 'a\\' AS \"column\"").await?;
    run(&mut *session, "SET sql_mode = ''").await?;
    run(
        &mut *session,
        "CREATE TABLE zeros (id INT PRIMARY KEY, d DATE NOT NULL DEFAULT '0000-00-00')",
    )
    .await?;
    run(&mut *session, "SET sql_mode = DEFAULT").await?;
    for sql in EVERYTHING.iter().chain(more(kind)) {
        run(&mut *session, sql).await?;
    }
    let before = schema(&mut *session).await?;
    let again = schema(&mut *engine.connect(&cx(), Access::Read).await?).await?;
    assert_eq!(before, again, "two readings of one schema differ");

    let scratch = engine
        .scratch()
        .expect("there are scratch databases")
        .create(&cx())
        .await?;
    let mut other = scratch.engine().connect(&cx(), Access::Write).await?;
    let (first, rest): (Vec<_>, Vec<_>) = before
        .objects
        .iter()
        .partition(|object| object.kind == ObjectKind::Sequence && object.on.is_none());
    for object in first {
        run(&mut *other, &object.definition).await?;
    }
    for table in &before.tables {
        run(&mut *other, &table.definition).await?;
    }
    for object in rest {
        run(&mut *other, &object.definition).await?;
    }
    let after = schema(&mut *other).await?;
    assert_eq!(differences(&before, &after), [""; 0], "{kind:?}");
    assert_eq!(before.hash(), after.hash());
    let position = |schema: &Schema| {
        let object = schema.object(ObjectKind::Sequence, &TableName::new("pa`rent"));
        object.map(|object| object.definition.clone())
    };
    assert!(
        position(&before).is_some_and(|sql| sql.ends_with("= 41")),
        "{:?}",
        position(&before)
    );
    assert_eq!(position(&before), position(&after));
    let mode = walkback_core::engine::SessionExt::fetch_all(
        &mut *other,
        &cx(),
        "SELECT @@sql_mode, @@character_set_client",
        &[],
    )
    .await?;
    assert!(
        mode[0][0]
            .as_str()
            .is_some_and(|mode| mode.contains("STRICT_TRANS_TABLES")),
        "{mode:?}"
    );
    assert_eq!(mode[0][1].as_str(), Some("utf8mb4"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_object_of_mysql_is_made_again_by_its_definition() -> Result<()> {
    made_again(Kind::Mysql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_object_of_mariadb_is_made_again_by_its_definition() -> Result<()> {
    made_again(Kind::Mariadb).await
}
