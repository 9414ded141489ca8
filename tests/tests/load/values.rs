//! Values and names of all kinds, and what types refuse.

use std::fs;

use walkback_tests::Backend;

use super::{how_many, project};

pub(super) fn values_and_names_of_all_kinds_arrive_as_they_are(backend: Backend) {
    let sandbox = project(backend);
    let (table, select, euro) = (
        backend.quoted("or\"d`er?"),
        backend.quoted("select"),
        backend.quoted("größe €"),
    );
    let huge = if backend == Backend::Sqlite {
        "TEXT"
    } else {
        "DECIMAL(40,10)"
    };
    let (bytes, float) = (backend.bytes_type(), backend.float_type());
    sandbox.migration(
        "001_table",
        &format!(
            "CREATE TABLE {table} (id INTEGER PRIMARY KEY, {select} VARCHAR(100), {euro} {float}, big BIGINT, huge {huge}, \
             data {bytes}, at TIMESTAMP NULL, kept VARCHAR(10) DEFAULT 'x');"
        ),
        "",
    );
    sandbox.ok(&["up", "-y"]);
    let digits = "123456789012345678901234567890.0123456789";
    let lines = format!(
        "{{\"id\":1,\"select\":\"it's \\\"😀\\\"; DROP TABLE x -- \\\\N\",\"größe €\":2.5e-3,\"big\":9223372036854775807,\"huge\":{digits},\
         \"data\":\"\\\\x00ff\",\"at\":\"2026-02-03 10:11:12\"}}\n\
         {{\"id\":\"2\",\"select\":null,\"big\":\"-9223372036854775808\",\"kept\":null,\"data\":{{\"hex\":\"41\"}}}}\n\
         {{\"id\":3,\"select\":\"\"}}\n"
    );
    sandbox.write("file.jsonl", &lines);
    sandbox.ok(&["load", "or\"d`er?", "file.jsonl"]);
    let value = |what: &str, id: u32| sandbox.value(&format!("SELECT {what} FROM {table} WHERE id = {id}"));
    assert_eq!(value(&select, 1), "it's \"😀\"; DROP TABLE x -- \\N");
    assert_eq!(
        value(
            &format!("CASE WHEN {euro} = 0.0025 THEN 'is' ELSE 'is not' END"),
            1
        ),
        "is"
    );
    assert_eq!(value("big", 1), "9223372036854775807");
    assert_eq!(value("big", 2), "-9223372036854775808");
    assert_eq!(value("huge", 1), digits);
    let hex = if backend.is_postgres() {
        "encode(data, 'hex')"
    } else {
        "lower(hex(data))"
    };
    assert_eq!(
        (value(hex, 1), value(hex, 2)),
        ("00ff".to_owned(), "41".to_owned())
    );
    let null = |what: &str, id| {
        value(
            &format!("CASE WHEN {what} IS NULL THEN 'null' ELSE 'not' END"),
            id,
        )
    };
    assert_eq!(
        (null(&select, 2), null("kept", 2), null(&select, 3)),
        ("null".into(), "null".into(), "not".into())
    );
    assert_eq!(
        (value("kept", 1), value("kept", 3)),
        ("x".to_owned(), "x".to_owned())
    );
    // The same as CSV, under other names and with another spelling of NULL.
    let csv = "nr;text;note;big\n11;\"a;\"\"b\"\"\nc\";-;\n12;😀;-;5\n";
    sandbox.write("file.csv", csv);
    sandbox.ok(&[
        "load",
        "or\"d`er?",
        "file.csv",
        "--delimiter",
        ";",
        "--null",
        "",
        "--map",
        "nr=id",
        "--map",
        "text=select",
        "--skip",
        "note",
    ]);
    assert_eq!(value(&select, 11), "a;\"b\"\nc");
    assert_eq!(null("big", 11), "null");
    assert_eq!(value("big", 12), "5");
    sandbox.ok(&["rollback", "-y"]);
    assert_eq!(how_many(&sandbox, &table), 3);
    let unset = sandbox.run(&["rollback", "-y"]);
    assert_eq!(unset.code, Some(0), "{}", unset.transcript());
}

pub(super) fn what_a_type_does_not_take_is_rejected_with_its_reason(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration(
        "001_table",
        &format!(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, small SMALLINT, price DECIMAL(5,2), f {}, word VARCHAR(3), day DATE, \
             must INTEGER DEFAULT 0 NOT NULL);",
            backend.float_type()
        ),
        "",
    );
    sandbox.ok(&["up", "-y"]);
    let mut bad = vec![
        ("small", "\"1.5\"", "no whole number"),
        ("small", "\"\"", "no whole number"),
        ("price", "\"12,5\"", "is no number"),
        ("word", "\"abcd\"", "4 characters, and 3 fit"),
        ("word", "{\"text_hex\":\"ff\"}", "is not UTF-8"),
        ("day", "\"2026-02-30\"", "is no date"),
        ("day", "\"2026-02-03 10:00:00\"", "is no date"),
        ("f", "\"1e999\"", "is too large"),
        ("must", "null", "must not be NULL"),
        ("other", "1", "no column `other`"),
    ];
    if backend != Backend::Sqlite {
        bad.push(("small", "40000", "is beyond"));
        bad.push(("price", "1.234", "3 digits after the point"));
        bad.push(("price", "1234.5", "4 digits before the point"));
    }
    if !backend.is_postgres() {
        bad.push(("f", "{\"number\":\"NaN\"}", "NaN"));
    }
    let mut lines =
        "{\"id\":1,\"small\":1,\"price\":1.25,\"f\":1,\"word\":\"😀é1\",\"day\":\"2026-02-28\"}\n".to_owned();
    for (number, (field, value, _)) in bad.iter().enumerate() {
        let id = number + 10;
        lines.push_str(&format!("{{\"id\":{id},\"{field}\":{value}}}\n"));
    }
    sandbox.write("t.jsonl", &lines);
    sandbox.ok(&["load", "t", "t.jsonl", "--max-failures", "100%"]);
    assert_eq!(how_many(&sandbox, "t"), 1);
    let rejects = fs::read_to_string(sandbox.path("t.jsonl.rejects.jsonl")).expect("all others are there");
    let rejects: Vec<_> = rejects.lines().collect();
    assert_eq!(rejects.len(), bad.len());
    for (line, (field, value, why)) in rejects.iter().zip(&bad) {
        assert!(line.contains(why), "{field} {value}: {line}");
    }
}

/// Two exact numbers that are one double were taken for one key on MySQL, and a rollback removed both.
pub(super) fn exact_keys_that_are_one_double_are_two_keys(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration(
        "001_table",
        "CREATE TABLE t (id DECIMAL(30,2), part VARCHAR(5), PRIMARY KEY (id, part));\n\
         CREATE TABLE u (id DECIMAL(30,2) PRIMARY KEY);\n\
         INSERT INTO t VALUES (90071992547409930000.01, 'a'); INSERT INTO u VALUES (90071992547409930000.01);",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.write(
        "t.csv",
        "id,part\n90071992547409930000.02,a\n90071992547409930000.03,b\n",
    );
    sandbox.write("u.csv", "id\n90071992547409930000.02\n90071992547409930000.03\n");
    for table in ["t", "u"] {
        sandbox.ok(&["load", table, &format!("{table}.csv")]);
        assert_eq!(how_many(&sandbox, table), 3);
        sandbox.ok(&["rollback", "-y"]);
        assert_eq!(
            sandbox.value(&format!("SELECT id FROM {table}")),
            "90071992547409930000.01"
        );
    }
}

pub(super) fn a_table_without_transactions_is_refused(backend: Backend) {
    let sandbox = project(backend);
    sandbox.sql("CREATE TABLE t (id INTEGER PRIMARY KEY) ENGINE=MyISAM COMMENT='ENGINE=InnoDB'");
    sandbox.write("t.csv", "id\n1\n");
    let output = sandbox.run(&["load", "t", "t.csv"]);
    assert_eq!(output.code, Some(2), "{}", output.transcript());
    assert!(
        output.stderr.contains("without transactions"),
        "{}",
        output.transcript()
    );
    assert_eq!(how_many(&sandbox, "t"), 0);
}

pub(super) fn keys_that_the_server_counts_are_known_to_the_way_back(backend: Backend) {
    let sandbox = project(backend);
    let key = backend.counted_key();
    sandbox.migration(
        "001_table",
        &format!(
            "CREATE TABLE t (id {key}, word VARCHAR(10) NOT NULL);\nINSERT INTO t (word) VALUES ('theirs');"
        ),
        "",
    );
    sandbox.ok(&["up", "-y"]);
    let before = sandbox.contents().rows;
    sandbox.write("t.csv", &format!("word\n{}", "same\n".repeat(250)));
    sandbox.ok(&["load", "t", "t.csv"]);
    sandbox.sql("INSERT INTO t (word) VALUES ('later')");
    sandbox.ok(&["rollback", "-y"]);
    assert_eq!(sandbox.value(&backend.joined("word", "t")), "later,theirs");
    sandbox.sql("DELETE FROM t WHERE word = 'later'");
    assert_eq!(sandbox.contents().rows["t"], before["t"]);
    // A key of zero is a key, and one of NULL is counted.
    sandbox.write(
        "t.jsonl",
        "{\"id\":0,\"word\":\"zero\"}\n{\"id\":null,\"word\":\"next\"}\n",
    );
    sandbox.ok(&["load", "t", "t.jsonl"]);
    assert_eq!(sandbox.value("SELECT word FROM t WHERE id = 0"), "zero");
    assert_eq!(how_many(&sandbox, "t"), 3);
    sandbox.ok(&["rollback", "-y"]);
    assert_eq!(how_many(&sandbox, "t"), 1);
}
