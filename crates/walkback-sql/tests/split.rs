//! What a script is cut into, in each dialect.

use std::path::Path;

use walkback_core::DialectKind::{self, Mysql, Postgres, Sqlite};
use walkback_core::{Error, Statement, TableName};

fn split(kind: DialectKind, script: &str) -> Vec<Statement> {
    walkback_sql::split(kind, script, Path::new("up.sql"))
        .unwrap_or_else(|error| panic!("{script}\n{error:?}"))
}

fn texts(kind: DialectKind, script: &str) -> Vec<String> {
    split(kind, script)
        .into_iter()
        .map(|statement| statement.sql)
        .collect()
}

fn error(kind: DialectKind, script: &str) -> Error {
    match walkback_sql::split(kind, script, Path::new("up.sql")) {
        Ok(statements) => panic!("{script:?} was split into {statements:?}"),
        Err(error) => error,
    }
}

#[track_caller]
fn expect(kind: DialectKind, script: &str, wanted: &[&str]) {
    assert_eq!(texts(kind, script), wanted, "{kind}: {script}");
}

/// Checks that a script is one statement, whole.
#[track_caller]
fn whole(kind: DialectKind, statement: &str) {
    expect(
        kind,
        &format!("{statement};\nSELECT 2;"),
        &[statement, "SELECT 2"],
    );
}

#[test]
fn a_script_of_nothing_has_no_statements() {
    for kind in DialectKind::ALL {
        for script in [
            "",
            " \n\t",
            ";",
            ";;\n;",
            "-- only a comment",
            "/* only */ -- comments\n;",
            "\u{feff}",
            "\u{feff}-- x",
        ] {
            expect(kind, script, &[]);
        }
    }
}

#[test]
fn statements_keep_their_bytes_and_lose_their_surroundings() {
    for kind in DialectKind::ALL {
        expect(
            kind,
            "-- first\n  SELECT  1 /* inside */ ,\t2 -- behind\n ;\n/* before */ SELECT 3",
            &["SELECT  1 /* inside */ ,\t2", "SELECT 3"],
        );
    }
}

#[test]
fn a_statement_has_the_line_of_its_first_token() {
    for kind in DialectKind::ALL {
        let script = "\u{feff}-- one\r\n\r\nSELECT 1;\r\n/* a\r\n b */ SELECT\r\n 2\r\n;SELECT 3";
        let lines: Vec<_> = split(kind, script)
            .into_iter()
            .map(|statement| (statement.line, statement.sql))
            .collect();
        assert_eq!(
            lines,
            [
                (3, "SELECT 1".to_owned()),
                (5, "SELECT\r\n 2".to_owned()),
                (7, "SELECT 3".to_owned())
            ]
        );
    }
}

#[test]
fn quotes_hide_the_semicolon() {
    for kind in DialectKind::ALL {
        whole(kind, "INSERT INTO t VALUES ('a;b', 'it''s; fine', '--', '/*')");
        whole(kind, "SELECT \"a;b\", \"a\"\"b;\"");
        whole(kind, "SELECT 'größe; 🦀;'");
    }
    whole(Sqlite, "SELECT `a;b`, [a;'b]");
    whole(Mysql, "SELECT `a;``b`");
    whole(Mysql, r"SELECT 'it\'s; fine', 'back\\', 1");
    whole(Mysql, r#"SELECT "it\"s; fine""#);
    whole(Postgres, r"SELECT E'it\'s; fine', e'\\'");
    whole(Postgres, "SELECT U&'d\\0061;', U&\"a;b\", B'1', X'00', N'a;'");
    // A backslash is no escape here, so the literal ends before the semicolon.
    expect(Sqlite, r"SELECT 'a\'; SELECT 2", &[r"SELECT 'a\'", "SELECT 2"]);
    expect(Postgres, r"SELECT 'a\'; SELECT 2", &[r"SELECT 'a\'", "SELECT 2"]);
}

#[test]
fn dollar_quotes_hide_everything_in_postgresql() {
    whole(Postgres, "DO $$ BEGIN PERFORM 1; END; $$");
    whole(
        Postgres,
        "CREATE FUNCTION f() RETURNS int AS $body$ SELECT '$$;'; $body$ LANGUAGE sql",
    );
    whole(Postgres, "SELECT $1, $2");
    whole(Postgres, "SELECT a$b$c FROM t");
    whole(Postgres, "SELECT $ü$;$ü$");
}

#[test]
fn comments_hide_the_semicolon_as_each_dialect_reads_them() {
    expect(Postgres, "/* a /* b; */ c; */ SELECT 1;", &["SELECT 1"]);
    expect(Sqlite, "/* a /* b; */ SELECT 1;", &["SELECT 1"]);
    expect(Mysql, "# a; b\nSELECT 1; # c;\n", &["SELECT 1"]);
    // Two dashes begin a comment on MySQL only before a blank.
    expect(Mysql, "SELECT 5--3; SELECT 2", &["SELECT 5--3", "SELECT 2"]);
    expect(Sqlite, "SELECT 5--3; SELECT 2", &["SELECT 5"]);
    expect(Mysql, "--\nSELECT 1", &["SELECT 1"]);
    whole(Postgres, "SELECT a #> b, a # b FROM t");
    whole(Postgres, "SELECT a::text, b -> 'c' ->> 'd'");
}

#[test]
fn executed_comments_of_mysql_are_code() {
    expect(
        Mysql,
        "/*!40101 SET NAMES utf8 */;\n/*!50003 CREATE TABLE a (b int); */;SELECT 1;",
        &[
            "/*!40101 SET NAMES utf8 */",
            "/*!50003 CREATE TABLE a (b int); */",
            "SELECT 1",
        ],
    );
    expect(
        Mysql,
        "/*! */; SELECT /*+ NO_MERGE() */ 1",
        &["SELECT /*+ NO_MERGE() */ 1"],
    );
    expect(Mysql, "/*M!100100 SELECT 1 */", &["/*M!100100 SELECT 1 */"]);
}

#[test]
fn triggers_of_sqlite_are_whole() {
    whole(
        Sqlite,
        "CREATE TRIGGER t AFTER UPDATE ON a BEGIN\n UPDATE b SET c = CASE WHEN d THEN 1 ELSE 2 END;\n SELECT 1; END",
    );
    whole(
        Sqlite,
        "create temp trigger t after insert on a begin delete from b; end",
    );
    whole(
        Sqlite,
        "CREATE TRIGGER IF NOT EXISTS \"begin\" INSTEAD OF DELETE ON v FOR EACH ROW WHEN 1 BEGIN SELECT 1; /* c */ END",
    );
    whole(
        Sqlite,
        "EXPLAIN CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; END",
    );
    expect(
        Sqlite,
        "BEGIN; INSERT INTO a VALUES (1); END; SELECT 1;",
        &["BEGIN", "INSERT INTO a VALUES (1)", "END", "SELECT 1"],
    );
}

#[test]
fn bodies_in_sql_of_postgresql_are_whole() {
    whole(
        Postgres,
        "CREATE OR REPLACE FUNCTION f(a int, b text) RETURNS int LANGUAGE sql SECURITY DEFINER STABLE COST 10\n\
         BEGIN ATOMIC\n SELECT CASE WHEN a > 1 THEN 1 ELSE 2 END;\n SELECT 2;\nEND",
    );
    whole(Postgres, "CREATE PROCEDURE p() BEGIN ATOMIC END");
    whole(
        Postgres,
        "CREATE RULE r AS ON INSERT TO t DO ALSO (INSERT INTO a VALUES (1); DELETE FROM b)",
    );
    whole(
        Postgres,
        "CREATE TRIGGER t AFTER INSERT ON a FOR EACH ROW EXECUTE FUNCTION f()",
    );
    expect(Postgres, "BEGIN; SELECT 1; END;", &["BEGIN", "SELECT 1", "END"]);
}

#[test]
fn routines_of_mysql_are_whole_without_a_delimiter() {
    for body in [
        "CREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2; END",
        "CREATE DEFINER=`root`@`localhost` PROCEDURE `p`(IN a INT) BEGIN IF a THEN SELECT 1; ELSE SELECT 2; END IF; END",
        "CREATE PROCEDURE p() BEGIN SELECT IF(1, 2, 3); SELECT REPEAT('a', 3); END",
        "CREATE PROCEDURE p() BEGIN CASE a WHEN 1 THEN SELECT 1; ELSE SELECT CASE WHEN b THEN 1 END; END CASE; END",
        "CREATE PROCEDURE p() l: BEGIN WHILE a DO SET a = a - 1; END WHILE; LOOP SELECT 1; END LOOP; REPEAT SET a = 1; UNTIL a END REPEAT; END l",
        "CREATE PROCEDURE p() BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END; SELECT 1; END",
        "CREATE PROCEDURE p() BEGIN x: LOOP LEAVE x; END LOOP x; END",
        "CREATE PROCEDURE p() BEGIN IF NOT EXISTS (SELECT 1) THEN SELECT 1; ELSEIF IF(a, b, c) THEN SELECT IF(a, 1, 2); END IF; END",
        "CREATE PROCEDURE p() BEGIN SELECT begin, end FROM t; UPDATE t SET end = 1; END",
        "CREATE PROCEDURE p() BEGIN REPEAT SELECT 1; UNTIL CASE WHEN a THEN 1 ELSE 0 END END REPEAT; END",
        "CREATE FUNCTION f(a INT) RETURNS VARCHAR(10) CHARACTER SET utf8 DETERMINISTIC BEGIN RETURN a; END",
        "CREATE FUNCTION f(a INT) RETURNS INT DETERMINISTIC RETURN IF(a > 1, 1, CASE WHEN a THEN 1 END)",
        "CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW SET NEW.b = IF(NEW.b, 1, 2)",
        "CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW IF (NEW.b > 1) THEN SET NEW.b = 1; END IF",
        "CREATE TRIGGER IF NOT EXISTS t BEFORE INSERT ON a FOR EACH ROW FOLLOWS u BEGIN SET NEW.b = 1; END",
        "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO BEGIN DELETE FROM a; DELETE FROM b; END",
        "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DELETE FROM a",
        "ALTER EVENT e DO BEGIN DELETE FROM a; END",
        "CREATE OR REPLACE PROCEDURE p() BEGIN FOR i IN 1..3 DO SELECT i; END FOR; END",
        "BEGIN NOT ATOMIC SELECT 1; IF 1 THEN SELECT 2; END IF; END",
        "CREATE PROCEDURE p() SELECT 1",
        "CREATE PROCEDURE p() COMMENT 'BEGIN' SQL SECURITY INVOKER BEGIN SELECT 1; END",
        "/*!50003 CREATE*/ /*!50017 DEFINER=`a`@`b`*/ /*!50003 TRIGGER t BEFORE INSERT ON a FOR EACH ROW BEGIN SET NEW.b = 1; END */",
    ] {
        whole(Mysql, body);
    }
    expect(
        Mysql,
        "BEGIN; SELECT 1; COMMIT;",
        &["BEGIN", "SELECT 1", "COMMIT"],
    );
    expect(
        Mysql,
        "CREATE FUNCTION f RETURNS STRING SONAME 'f.so'; SELECT 1",
        &["CREATE FUNCTION f RETURNS STRING SONAME 'f.so'", "SELECT 1"],
    );
}

#[test]
fn the_delimiter_of_mysql_is_obeyed() {
    expect(
        Mysql,
        "DELIMITER //\nCREATE PROCEDURE p() BEGIN SELECT 1; END//\nCREATE PROCEDURE q() BEGIN SELECT 1; END //\nDELIMITER ;\nSELECT 1;",
        &[
            "CREATE PROCEDURE p() BEGIN SELECT 1; END",
            "CREATE PROCEDURE q() BEGIN SELECT 1; END",
            "SELECT 1",
        ],
    );
    expect(
        Mysql,
        "delimiter $$\nSELECT 1$$\nSELECT 2 $$",
        &["SELECT 1", "SELECT 2"],
    );
    expect(
        Mysql,
        "DELIMITER ;;\r\nCREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW BEGIN SET NEW.b = 1; END ;;\r\nDELIMITER ;\r\n",
        &["CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW BEGIN SET NEW.b = 1; END"],
    );
    // Several statements before one delimiter are still several, or the effect of the second would be missed.
    expect(
        Mysql,
        "DELIMITER //\nDROP PROCEDURE IF EXISTS p;\nCREATE PROCEDURE p() BEGIN SELECT ';//'; END;\n//",
        &[
            "DROP PROCEDURE IF EXISTS p",
            "CREATE PROCEDURE p() BEGIN SELECT ';//'; END",
        ],
    );
}

#[test]
fn the_rows_of_copy_are_part_of_the_statement() {
    let copy = "COPY public.t (a, b) FROM stdin;\n1\tit's; fine\n2\t\\N\n\\.";
    expect(
        Postgres,
        &format!("SELECT 0;\n{copy}\nSELECT 1;"),
        &["SELECT 0", copy, "SELECT 1"],
    );
    let crlf = "COPY t FROM STDIN WITH (FORMAT csv);\r\n1,2\r\n\\.";
    expect(Postgres, &format!("{crlf}\r\nSELECT 1;"), &[crlf, "SELECT 1"]);
    expect(
        Postgres,
        "COPY t FROM '/tmp/stdin'; COPY t TO STDOUT;",
        &["COPY t FROM '/tmp/stdin'", "COPY t TO STDOUT"],
    );
    let lines: Vec<_> = split(Postgres, &format!("{copy}\nSELECT 1;"))
        .iter()
        .map(|statement| statement.line)
        .collect();
    assert_eq!(lines, [1, 5]);
}

#[test]
fn touches_names_the_tables_of_the_next_statement() {
    for kind in DialectKind::ALL {
        let statements = split(
            kind,
            "-- walkback: touches a, shop.b\n-- why\nCALL p();\nCALL q();\n-- walkback:touches=c\nCALL r();",
        );
        let touches: Vec<_> = statements
            .into_iter()
            .map(|statement| statement.touches)
            .collect();
        assert_eq!(
            touches,
            [
                vec![TableName::new("a"), TableName::in_schema("shop", "b")],
                vec![],
                vec![TableName::new("c")]
            ]
        );
    }
    let quoted = split(
        Postgres,
        "-- walkback: touches Users, \"Weird, \"\" Name\".\"T\"\nCALL p()",
    );
    assert_eq!(
        quoted[0].touches,
        [
            TableName::new("users"),
            TableName::in_schema("Weird, \" Name", "T")
        ]
    );
}

#[test]
fn an_annotation_nobody_can_obey_is_an_error() {
    for (script, wanted, line) in [
        ("SELECT 1;\n-- walkback: touches\nCALL p();", "cannot be read", 2),
        ("-- walkback: touches a,\nCALL p();", "cannot be read", 1),
        ("CALL p() -- walkback: touches a\n;", "inside a statement", 1),
        (
            "CALL p(); -- walkback: touches a\nCALL q();",
            "behind a statement",
            1,
        ),
        ("CALL p();\n\n-- walkback: touches a\n", "before no statement", 3),
    ] {
        let error = error(Sqlite, script);
        assert!(error.message().contains(wanted), "{error:?}");
        assert!(error.message().contains(&format!("up.sql:{line}")), "{error:?}");
        assert!(!error.hints().is_empty());
    }
}

#[test]
fn what_does_not_end_is_named_where_it_begins() {
    for (kind, script, wanted) in [
        (
            Sqlite,
            "SELECT 1;\nSELECT 'abc;\nSELECT 2;",
            "quoted text is not terminated: `'abc;` (up.sql:2)",
        ),
        (
            Sqlite,
            "\nSELECT \"abc",
            "quoted name is not terminated: `\"abc` (up.sql:2)",
        ),
        (Sqlite, "SELECT [abc", "quoted name"),
        (Mysql, "SELECT `abc", "quoted name"),
        (Mysql, "SELECT 'abc\\'", "quoted text"),
        (
            Postgres,
            "SELECT 1;\n\n/* /* */ SELECT 1",
            "comment is not terminated: `/* /* */ SELECT 1` (up.sql:3)",
        ),
        (Sqlite, "SELECT 1; /* abc", "comment is not terminated"),
        (
            Mysql,
            "\n/*!50001 SELECT 1;",
            "comment is not terminated (up.sql:2)",
        ),
        (
            Postgres,
            "DO\n$x$ BEGIN END; $$",
            "dollar-quoted text is not terminated: `$x$ BEGIN END; $$` (up.sql:2)",
        ),
        (
            Sqlite,
            "CREATE TRIGGER t AFTER INSERT ON a\nBEGIN\nSELECT 1;\n",
            "`BEGIN` begins does not end (up.sql:2)",
        ),
        (
            Postgres,
            "CREATE FUNCTION f() RETURNS int\nBEGIN ATOMIC SELECT 1;",
            "`BEGIN` begins does not end (up.sql:2)",
        ),
        (
            Postgres,
            "CREATE TABLE t (\na int;\nSELECT 1;",
            "`(` begins does not end (up.sql:1)",
        ),
        (
            Mysql,
            "CREATE PROCEDURE p()\nBEGIN\nIF a THEN SELECT 1;\nEND;",
            "`BEGIN` begins does not end (up.sql:2)",
        ),
        (
            Postgres,
            "COPY t FROM stdin;\n1\n2\n",
            "rows of `COPY .. FROM stdin` do not end (up.sql:1)",
        ),
        (Postgres, "COPY t FROM stdin", "has no rows (up.sql:1)"),
        (
            Postgres,
            "COPY t FROM stdin; SELECT 1;\n1\n\\.",
            "text behind the `;`",
        ),
    ] {
        let error = error(kind, script);
        assert!(error.message().contains(wanted), "{kind}: {script}\n{error:?}");
        assert!(!error.hints().is_empty(), "{error:?}");
    }
}

#[test]
fn client_commands_are_refused_by_name() {
    for (kind, script, command, line) in [
        (Postgres, "\\connect shop\nSELECT 1;", "`\\connect`", 1),
        (Postgres, "SELECT 1;\n\\i other.sql\n", "`\\i`", 2),
        (Postgres, "\\restrict abc", "`\\restrict`", 1),
        (Postgres, "SELECT 1 \\gexec", "`\\gexec`", 1),
        (Postgres, "SELECT 1;\n\\.\n", "`\\.`", 2),
        (Mysql, "SELECT 1;\nsource other.sql;", "`source`", 2),
        (Mysql, "\\. other.sql", "`\\.`", 1),
        (Mysql, "system ls", "`system`", 1),
        (Mysql, "SELECT 1\\G", "`\\G`", 1),
        (Mysql, "DELIMITER\nSELECT 1", "`DELIMITER`", 1),
        (Sqlite, "SELECT 1;\n.read other.sql", "`.read`", 2),
    ] {
        let error = error(kind, script);
        assert!(error.message().contains(command), "{error:?}");
        assert!(error.message().contains(&format!("up.sql:{line}")), "{error:?}");
        assert!(!error.hints().is_empty(), "{error:?}");
    }
}

#[test]
fn words_of_clients_are_names_elsewhere() {
    whole(Mysql, "SELECT source, system, status FROM t");
    whole(Mysql, "CREATE TABLE t (source int,\ndelimiter int)");
    whole(Postgres, "SELECT '\\connect'");
    whole(Sqlite, "SELECT a.b FROM a");
    // MySQL lets a name begin with a digit.
    whole(Mysql, "SELECT * FROM 2fa_codes WHERE 1e5 > 0x1F");
}
