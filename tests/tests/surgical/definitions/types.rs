//! Columns that have another type by then, or a default that has to be worked out.

use walkback_tests::Backend;

use super::{conflicts, rows, walk_back_with_loss};
use crate::project;

pub(crate) fn values_of_another_type_fit_or_are_told(backend: Backend) {
    let begin = "CREATE TYPE mood AS ENUM ('sad', 'ok');\n\
        CREATE TABLE v (id INTEGER NOT NULL PRIMARY KEY, n INTEGER NOT NULL, short VARCHAR(3), d DATE, mood mood, half NUMERIC(6,2), big SMALLINT);\n\
        INSERT INTO v SELECT i, i, 'abc', '2026-01-01', 'sad', 1.5, 7 FROM generate_series(1, 5) AS i;";
    let change = "ALTER TABLE v ALTER COLUMN n TYPE text, ALTER COLUMN n DROP NOT NULL, ALTER COLUMN short TYPE text, \
        ALTER COLUMN d TYPE timestamp, ALTER COLUMN mood TYPE text, ALTER COLUMN half TYPE double precision, ALTER COLUMN big TYPE bigint;\n\
        ALTER TABLE v ALTER COLUMN id TYPE bigint;\nDROP TYPE mood;\nDELETE FROM v WHERE id = 5;";
    let sandbox = project(backend, begin, change);
    for (id, values) in [
        (
            1,
            "n = '12', short = 'xyz', d = '2026-02-02', mood = 'ok', half = 2.25, big = 8",
        ),
        (
            2,
            "n = 'many', short = 'long', d = '2026-02-02 10:00', mood = 'glad', half = 2.125, big = 70000",
        ),
        (
            3,
            "n = NULL, short = NULL, d = NULL, mood = NULL, half = 'NaN', big = NULL",
        ),
    ] {
        sandbox.sql(&format!("UPDATE v SET {values} WHERE id = {id}"));
    }
    sandbox
        .sql("INSERT INTO v VALUES (6, '6', 'six', NULL, 'ok', 6, 6), (7, 'seven', 'six', NULL, 'ok', 6, 6)");
    let now = sandbox.contents();
    let changes = walk_back_with_loss(&sandbox, &[]);
    let unfit = "changed since to what the column could not hold before";
    let mut expected: Vec<_> = ["n", "short", "d", "mood", "half", "big"]
        .map(|column| format!("v id = 2 {column}: {unfit}"))
        .to_vec();
    expected.push(format!("v id = 3 n: {unfit}"));
    expected.push("v id = 7 -: written since, and the table could not hold it before".to_owned());
    expected.sort();
    assert_eq!(conflicts(&changes), expected);
    assert_eq!(
        rows(&sandbox, "v", "id, n, short, d, mood, half, big"),
        "1|12|xyz|2026-02-02|ok|2.25|8 2|2|abc|2026-01-01|sad|1.50|7 3|3|NaN 4|4|abc|2026-01-01|sad|1.50|7 \
         5|5|abc|2026-01-01|sad|1.50|7 6|6|six|ok|6.00|6"
    );
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&now, "after a rollback of the rollback");
}

pub(crate) fn values_of_another_type_fit_or_are_told_on_mysql(backend: Backend) {
    let begin = "CREATE TABLE v (id INTEGER NOT NULL PRIMARY KEY, n INTEGER NOT NULL, short VARCHAR(3), d DATE, mood ENUM('sad', 'ok'), \
        half DECIMAL(6,2), big SMALLINT, latin VARCHAR(20) CHARACTER SET latin1);\n\
        INSERT INTO v VALUES (1, 1, 'abc', '2026-01-01', 'sad', 1.5, 7, 'é'), (2, 2, 'abc', '2026-01-01', 'sad', 1.5, 7, 'é'), \
        (3, 3, 'abc', '2026-01-01', 'sad', 1.5, 7, 'é'), (4, 4, 'abc', '2026-01-01', 'sad', 1.5, 7, 'é'), (5, 5, 'abc', '2026-01-01', 'sad', 1.5, 7, 'é');";
    let change = "ALTER TABLE v MODIFY n VARCHAR(20), MODIFY short TEXT, MODIFY d DATETIME, MODIFY mood VARCHAR(20), MODIFY half DOUBLE, \
        MODIFY big BIGINT, MODIFY latin TEXT CHARACTER SET utf8mb4, MODIFY id BIGINT NOT NULL;\nDELETE FROM v WHERE id = 5;\n\
        UPDATE v SET big = 9 WHERE id IN (1, 4);";
    let sandbox = project(backend, begin, change);
    for (id, values) in [
        (
            1,
            "n = '12', short = 'xyz', d = '2026-02-02', mood = 'ok', half = 2.25, big = 8, latin = 'ü'",
        ),
        (
            2,
            "n = 'many', short = 'long', d = '2026-02-02 10:00', mood = 'glad', half = 2.125, big = 70000, latin = '😀'",
        ),
        (
            3,
            "n = NULL, short = NULL, d = NULL, mood = NULL, half = NULL, big = NULL, latin = NULL",
        ),
    ] {
        sandbox.sql(&format!("UPDATE v SET {values} WHERE id = {id}"));
    }
    sandbox.sql("INSERT INTO v VALUES (6, '6', 'six', NULL, 'ok', 6, 6, NULL), (7, 'seven', 'six', NULL, 'ok', 6, 6, NULL)");
    let now = sandbox.contents();
    let changes = walk_back_with_loss(&sandbox, &[]);
    let unfit = "changed since to what the column could not hold before";
    let mut expected: Vec<_> = ["n", "short", "d", "mood", "half", "big", "latin"]
        .map(|column| format!("v id = 2 {column}: {unfit}"))
        .to_vec();
    expected.push("v id = 1 big: changed since".to_owned());
    expected.push(format!("v id = 3 n: {unfit}"));
    expected.push("v id = 7 -: written since, and the table could not hold it before".to_owned());
    expected.sort();
    assert_eq!(conflicts(&changes), expected);
    assert_eq!(
        rows(&sandbox, "v", "id, n, short, d, mood, half, big, latin"),
        "1|12|xyz|2026-02-02|ok|2.25|8|ü 2|2|abc|2026-01-01|sad|1.50|7|é 3|3 4|4|abc|2026-01-01|sad|1.50|7|é \
         5|5|abc|2026-01-01|sad|1.50|7|é 6|6|six|ok|6.00|6"
    );
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&now, "after a rollback of the rollback");
}

pub(crate) fn a_default_that_is_an_expression_fills_what_has_no_value(backend: Backend) {
    let begin = "CREATE TABLE d (id INTEGER NOT NULL PRIMARY KEY, a VARCHAR(10), said TEXT DEFAULT ('it''s \\\\ [] '), \
        at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP, n INTEGER DEFAULT (1 + 2));\nINSERT INTO d (id, a) VALUES (1, 'x');";
    let change =
        "ALTER TABLE d DROP COLUMN said, DROP COLUMN at, DROP COLUMN n;\nDELETE FROM d WHERE id = 9;";
    let sandbox = project(backend, begin, change);
    sandbox.sql("INSERT INTO d VALUES (2, 'since')");
    walk_back_with_loss(&sandbox, &[]);
    assert_eq!(
        rows(&sandbox, "d", "id, a, said, n, at > '2020-01-01'"),
        "1|x|it's \\ [] |3|1 2|since|it's \\ [] |3|1"
    );
}
