//! Every type of PostgreSQL goes out and comes back bit for bit, through the bulk path and through the portable one.

mod support;

use std::collections::BTreeMap;
use std::process::ExitCode;

use futures::{StreamExt as _, TryStreamExt as _};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};
use walkback_conformance::runner::{self, Check, Fixture};
use walkback_core::bulk::{ImportTarget, TableSlice};
use walkback_core::engine::SessionExt as _;
use walkback_core::{Cx, Result, Session, TableName, Value};

use support::Fresh;

/// Types people have made, for the columns that need them.
const PRELUDE: &[&str] = &[
    "CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s 😀')",
    "CREATE TYPE pair AS (a integer, b text)",
    "CREATE TYPE nested AS (p pair, l mood[])",
    "CREATE DOMAIN positive AS numeric CHECK (VALUE > 0)",
    "CREATE DOMAIN moods AS mood[]",
    "CREATE TYPE span AS RANGE (SUBTYPE = float8)",
    "CREATE SCHEMA \"an other\"",
    "CREATE TYPE \"an other\".\"T y\" AS ENUM ('x')",
];

/// Each type with values at its edges, as literals.
const TYPES: &[(&str, &[&str])] = &[
    ("boolean", &["true", "false"]),
    ("smallint", &["-32768", "32767", "0"]),
    ("integer", &["-2147483648", "2147483647"]),
    ("bigint", &["-9223372036854775808", "9223372036854775807"]),
    (
        "numeric",
        &[
            "NaN",
            "Infinity",
            "-Infinity",
            "0",
            "0.00",
            "-0.0000000001",
            "10000",
            "1e1000",
            "1e-1000",
            "123456789012345678901234567890.123400",
        ],
    ),
    ("numeric(12,3)", &["1.5", "-999999999.999", "0.001"]),
    (
        "real",
        &[
            "-0",
            "NaN",
            "Infinity",
            "-Infinity",
            "1e-45",
            "3.4028235e38",
            "0.1",
        ],
    ),
    (
        "double precision",
        &[
            "-0",
            "NaN",
            "Infinity",
            "-Infinity",
            "5e-324",
            "1.7976931348623157e308",
            "0.1",
            "0.30000000000000004",
        ],
    ),
    (
        "money",
        &["-92233720368547758.08", "92233720368547758.07", "0.01"],
    ),
    ("oid", &["0", "4294967295"]),
    (
        "text",
        &[
            "",
            " ",
            "NULL",
            "\\N",
            "a\tb\nc\\d\r",
            "😀 ü 漢 \u{301}",
            "\u{1}\u{7f}",
            "'\"$$",
        ],
    ),
    ("varchar(20)", &["", "😀😀", "trailing  "]),
    ("char(6)", &["", "a", "😀", "sixsix"]),
    ("name", &["a \"name\"", "é"]),
    ("\"char\"", &["a", ""]),
    ("bytea", &["\\x", "\\x00", "\\xff00deadbeef5c"]),
    (
        "date",
        &[
            "infinity",
            "-infinity",
            "4713-01-01 BC",
            "0001-12-31 BC",
            "5874897-12-31",
            "2026-11-20",
        ],
    ),
    ("time", &["00:00:00", "24:00:00", "23:59:59.999999"]),
    (
        "timetz",
        &["00:00:00+15:59", "23:59:59.999999-15:59", "12:00:00+00"],
    ),
    (
        "timestamp",
        &[
            "infinity",
            "-infinity",
            "4713-01-01 00:00:00 BC",
            "294276-12-31 23:59:59.999999",
            "2026-11-20 12:00:00.000001",
        ],
    ),
    (
        "timestamptz",
        &[
            "infinity",
            "-infinity",
            "4713-01-02 00:00:00+00 BC",
            "2026-11-20 12:00:00.000001+05:45",
        ],
    ),
    (
        "interval",
        &[
            "0",
            "-178000000 years",
            "1 mon -1 days +00:00:00.000001",
            "-00:00:01",
        ],
    ),
    (
        "uuid",
        &[
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
        ],
    ),
    (
        "json",
        &["{\"b\":1,  \"a\":2, \"a\":3}", "null", "\"😀\\u0041\"", "1.10"],
    ),
    ("jsonb", &["{\"b\":1,  \"a\":2}", "null", "[1.10, {}]", "\"\""]),
    ("xml", &["<a b=\"1\">ü<!-- c --></a>", "text"]),
    ("inet", &["127.0.0.1", "10.0.0.1/8", "::1", "fe80::1/64"]),
    ("cidr", &["10.0.0.0/8", "::/0", "192.168.1.1/32"]),
    ("macaddr", &["08:00:2b:01:02:03"]),
    ("macaddr8", &["08:00:2b:01:02:03:04:05"]),
    ("bit(5)", &["00000", "10101"]),
    ("varbit", &["", "1", "1010101010101010101"]),
    ("point", &["(-0,1e308)", "(NaN,Infinity)", "(0.1,0.2)"]),
    ("box", &["(3,4),(1,2)"]),
    ("path", &["[(0,0),(1,1)]", "((0,0),(1,1),(2,0))"]),
    ("polygon", &["((0,0),(1,1),(2,0))"]),
    ("circle", &["<(0.1,0.2),3>"]),
    ("lseg", &["[(0,0),(1,1)]"]),
    ("line", &["{1,2,3}"]),
    ("int4range", &["empty", "(,)", "[1,5)"]),
    ("numrange", &["[1.10,2.200]", "(,1]", "[1,)"]),
    ("tstzrange", &["[2026-01-01 00:00:00+00,infinity)"]),
    (
        "datemultirange",
        &["{}", "{[2026-01-01,2026-02-01),[2026-03-01,)}"],
    ),
    ("span", &["[0.1,0.2)", "empty"]),
    ("integer[]", &["{}", "{1,NULL,3}", "{{1,2},{3,4}}", "[0:1]={5,6}"]),
    (
        "text[]",
        &["{\"\",NULL,\"NULL\",\"a,b\",\"q\\\"\\\\\"}", "{{a,b},{c,d}}"],
    ),
    ("timestamptz[]", &["{infinity,\"2026-11-20 12:00:00+00\"}"]),
    ("mood", &["sad", "it's 😀"]),
    ("mood[]", &["{sad,NULL,\"it's 😀\"}", "{}"]),
    ("\"an other\".\"T y\"", &["x"]),
    ("positive", &["0.10", "1e100"]),
    ("moods", &["{ok}"]),
    ("pair", &["(1,)", "(,\"\")", "(-1,\"a,\"\"b\"\"\")"]),
    ("pair[]", &["{\"(1,x)\",NULL}"]),
    ("nested", &["(\"(1,\"\"x y\"\")\",\"{sad,ok}\")"]),
    ("tsvector", &["'a':1A,3 'b c':2", ""]),
    ("tsquery", &["'a' & !'b' <-> 'c':*A"]),
    ("pg_lsn", &["0/0", "FFFFFFFF/FFFFFFFF"]),
    ("regclass", &["pg_class", "\"T\""]),
    ("regtype", &["integer", "pair"]),
    ("jsonpath", &["$.\"a\"[*]?(@ > 1)"]),
    ("int2vector", &["1 2 3"]),
];

static CHECKS: &[Check<Fresh>] = walkback_conformance::checks![
    every_value_comes_back_through_bulk,
    every_value_comes_back_through_literals,
    every_value_comes_back_through_parameters,
    generated_values_come_back_by_every_path,
    settings_of_the_session_neither_matter_nor_change,
];

fn main() -> ExitCode {
    let mut trials = Vec::new();
    for service in support::SERVICES {
        trials.extend(runner::trials(service.name(), CHECKS, move || {
            match Fresh::on(service) {
                Fixture::Ready(fresh) => Fixture::Ready(fresh),
                Fixture::Absent(why) => Fixture::Absent(why),
            }
        }));
    }
    runner::run(trials)
}

fn cx() -> Cx {
    Cx::background()
}

async fn run(session: &mut dyn Session, sql: &str) -> Result<u64> {
    session.execute(&cx(), sql, &[]).await
}

/// Makes a table of every type below `t0`, `t1` ..: one column each, with its values, and one with a NULL.
async fn fill(fresh: &Fresh) -> Result<Box<dyn Session>> {
    let mut session = fresh.writer().await?;
    for sql in PRELUDE {
        run(&mut *session, sql).await?;
    }
    run(&mut *session, "CREATE TABLE \"T\" (x integer)").await?;
    let dialect = fresh.engine.dialect();
    for (index, (of_type, values)) in TYPES.iter().enumerate() {
        for name in [format!("t{index}"), format!("u{index}")] {
            run(
                &mut *session,
                &format!("CREATE TABLE {name} (id integer PRIMARY KEY, v {of_type})"),
            )
            .await?;
        }
        for (id, value) in values.iter().enumerate() {
            let literal = dialect.literal(&Value::Text((*value).to_owned()));
            run(
                &mut *session,
                &format!("INSERT INTO t{index} VALUES ({id}, {literal})"),
            )
            .await?;
        }
        run(&mut *session, &format!("INSERT INTO t{index} VALUES (-1, NULL)")).await?;
    }
    Ok(session)
}

/// Returns the rows of a table as the server sees them: the text of each value, and its binary form where it has one
/// that means the same in every row.
async fn seen(session: &mut dyn Session, table: &str, of_type: &str) -> Result<Vec<Vec<Value>>> {
    let binary = match of_type {
        "real" => "float4send(v)",
        "double precision" => "float8send(v)",
        "numeric" | "numeric(12,3)" => "numeric_send(v)",
        "text" => "textsend(v)",
        "interval" => "interval_send(v)",
        "timetz" => "timetz_send(v)",
        "integer[]" | "text[]" => "array_send(v)",
        "point" => "point_send(v)",
        "inet" => "inet_send(v)",
        "jsonb" => "jsonb_send(v)",
        _ => "NULL::bytea",
    };
    let sql = format!("SELECT id, format('%s', v), v IS NULL, {binary} FROM {table} ORDER BY id");
    session.fetch_all(&cx(), &sql, &[]).await
}

async fn compare(session: &mut dyn Session) -> Result<()> {
    for (index, (of_type, values)) in TYPES.iter().enumerate() {
        let before = seen(session, &format!("t{index}"), of_type).await?;
        let after = seen(session, &format!("u{index}"), of_type).await?;
        assert_eq!(before.len(), values.len() + 1);
        assert_eq!(before, after, "{of_type}");
    }
    Ok(())
}

/// Copies a table by the bulk path.
async fn copy(session: &mut dyn Session, from: &str, to: &str) -> Result<String> {
    let columns = vec!["id".to_owned(), "v".to_owned()];
    let slice = TableSlice::new(TableName::new(from), columns.clone(), vec!["id".to_owned()]);
    let chunks: Vec<_> = session.export(&cx(), &slice).await?.try_collect().await?;
    let encoding = chunks
        .first()
        .map(|chunk| chunk.encoding.0.clone())
        .unwrap_or_default();
    let target = ImportTarget {
        table: TableName::new(to),
        columns,
    };
    let chunks = futures::stream::iter(chunks.into_iter().map(Ok)).boxed();
    session.import(&cx(), &target, chunks).await?;
    Ok(encoding)
}

async fn every_value_comes_back_through_bulk(fresh: Fresh) -> Result<()> {
    let mut session = fill(&fresh).await?;
    let mut encodings = BTreeMap::new();
    for (index, (of_type, _)) in TYPES.iter().enumerate() {
        let encoding = copy(&mut *session, &format!("t{index}"), &format!("u{index}")).await?;
        encodings.insert(*of_type, encoding);
        let schema = session.schema(&cx()).await?;
        let find = |name: String| {
            schema
                .table(&TableName::new(name))
                .expect("the table is there")
                .clone()
        };
        let (from, to) = (find(format!("t{index}")), find(format!("u{index}")));
        let prints = (
            session.fingerprint(&cx(), &from).await?,
            session.fingerprint(&cx(), &to).await?,
        );
        assert_eq!(prints.0, prints.1, "{of_type}");
    }
    for of_type in [
        "pair", "nested", "mood[]", "regclass", "regtype", "pair[]", "moods",
    ] {
        assert_eq!(
            encodings[of_type], "pg-copy-text-v1",
            "{of_type} holds numbers of this database"
        );
    }
    for of_type in [
        "integer",
        "text",
        "integer[]",
        "mood",
        "positive",
        "timestamptz",
        "jsonb",
    ] {
        assert_eq!(encodings[of_type], "pg-copy-binary-v1", "{of_type}");
    }
    compare(&mut *session).await
}

async fn portable(session: &mut dyn Session, index: usize) -> Result<Vec<Vec<Value>>> {
    session
        .fetch_all(&cx(), &format!("SELECT id, v FROM t{index} ORDER BY id"), &[])
        .await
}

async fn every_value_comes_back_through_literals(fresh: Fresh) -> Result<()> {
    let mut session = fill(&fresh).await?;
    let dialect = fresh.engine.dialect();
    for index in 0..TYPES.len() {
        for row in portable(&mut *session, index).await? {
            let (id, v) = (dialect.literal(&row[0]), dialect.literal(&row[1]));
            run(
                &mut *session,
                &format!("INSERT INTO u{index} (id, v) VALUES ({id}, {v})"),
            )
            .await?;
        }
    }
    compare(&mut *session).await
}

async fn every_value_comes_back_through_parameters(fresh: Fresh) -> Result<()> {
    let mut session = fill(&fresh).await?;
    for (index, (of_type, _)) in TYPES.iter().enumerate() {
        for row in portable(&mut *session, index).await? {
            // The same row again, by a query with a parameter: it takes another way.
            let sql = format!("SELECT id, v FROM t{index} WHERE id = $1");
            let again = session.fetch_all(&cx(), &sql, &row[..1]).await?;
            // A NaN is not equal to itself.
            assert_eq!(format!("{again:?}"), format!("{:?}", [&row]), "{}", of_type);
            let insert = format!("INSERT INTO u{index} (id, v) VALUES ($1, $2)");
            session.execute(&cx(), &insert, &row).await?;
        }
    }
    compare(&mut *session).await
}

/// Makes values of the types whose values are many.
fn generated() -> impl Strategy<Value = (f64, f32, String, Vec<u8>, String, i64, Vec<Option<String>>)> {
    let digits = ("-?[0-9]{1,60}", proptest::option::of("[0-9]{1,40}"));
    let numeric =
        digits.prop_map(|(whole, part)| part.map_or(whole.clone(), |part| format!("{whole}.{part}")));
    let text = proptest::collection::vec(
        any::<char>().prop_filter("PostgreSQL has no zero byte", |c| *c != '\0'),
        0..40,
    )
    .prop_map(String::from_iter);
    (
        proptest::num::f64::ANY,
        proptest::num::f32::ANY,
        text.clone(),
        proptest::collection::vec(any::<u8>(), 0..60),
        numeric,
        any::<i64>(),
        proptest::collection::vec(proptest::option::of(text), 0..5),
    )
}

async fn generated_values_come_back_by_every_path(fresh: Fresh) -> Result<()> {
    let mut session = fresh.writer().await?;
    let shape = "(id integer PRIMARY KEY, d float8, r real, s text, b bytea, n numeric, i bigint, l text[])";
    for name in ["t", "u", "w", "x"] {
        run(&mut *session, &format!("CREATE TABLE {name} {shape}")).await?;
    }
    let dialect = fresh.engine.dialect();
    let mut runner = TestRunner::new(Config::default());
    let strategy = generated();
    let columns = ["id", "d", "r", "s", "b", "n", "i", "l"]
        .map(str::to_owned)
        .to_vec();
    let insert = |table: &str| format!("INSERT INTO {table} VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
    for id in 0..300 {
        let (d, r, s, b, n, i, l) = strategy
            .new_tree(&mut runner)
            .expect("a value can be made")
            .current();
        let sql = "SELECT ARRAY(SELECT CASE WHEN e = 'n' THEN NULL ELSE substr(e, 2) END \
                   FROM jsonb_array_elements_text($1::jsonb) e)";
        let parts: Vec<_> = l
            .iter()
            .map(|item| item.as_ref().map_or("n".to_owned(), |item| format!("t{item}")))
            .collect();
        let json = serde_json::to_string(&parts).expect("text is JSON");
        let list = session
            .fetch_all(&cx(), sql, &[Value::Text(json)])
            .await?
            .remove(0)
            .remove(0);
        let row = [
            Value::Integer(id),
            Value::Float(d),
            Value::Float(r.into()),
            Value::Text(s),
            Value::Bytes(b),
            Value::Decimal(n.clone()),
            Value::Integer(i),
            list,
        ];
        session.execute(&cx(), &insert("t"), &row).await?;
        let read = session
            .fetch_all(&cx(), "SELECT * FROM t WHERE id = $1", &row[..1])
            .await?
            .remove(0);
        assert_eq!(format!("{:?}", &read[..5]), format!("{:?}", &row[..5]));
        session.execute(&cx(), &insert("u"), &read).await?;
        let literals: Vec<_> = read.iter().map(|value| dialect.literal(value)).collect();
        run(
            &mut *session,
            &format!("INSERT INTO w VALUES ({})", literals.join(", ")),
        )
        .await?;
    }
    let slice = TableSlice::new(TableName::new("t"), columns.clone(), vec!["id".to_owned()]);
    let chunks: Vec<_> = session.export(&cx(), &slice).await?.try_collect().await?;
    let target = ImportTarget {
        table: TableName::new("x"),
        columns,
    };
    let chunks = futures::stream::iter(chunks.into_iter().map(Ok)).boxed();
    session.import(&cx(), &target, chunks).await?;
    for other in ["u", "w", "x"] {
        let sql = format!(
            "SELECT count(*) FROM t JOIN {other} o USING (id) WHERE \
             (float8send(t.d), float4send(t.r), textsend(t.s), t.b, numeric_send(t.n), t.i, array_send(t.l)) \
             IS NOT DISTINCT FROM \
             (float8send(o.d), float4send(o.r), textsend(o.s), o.b, numeric_send(o.n), o.i, array_send(o.l))"
        );
        let rows = session.fetch_all(&cx(), &sql, &[]).await?;
        assert_eq!(rows[0][0], Value::Integer(300), "{other}");
    }
    Ok(())
}

async fn settings_of_the_session_neither_matter_nor_change(fresh: Fresh) -> Result<()> {
    let mut session = fill(&fresh).await?;
    let settings = [
        ("datestyle", "SQL, DMY"),
        ("intervalstyle", "sql_standard"),
        ("timezone", "Asia/Kathmandu"),
        ("bytea_output", "escape"),
        ("search_path", "public, \"an other\""),
    ];
    let plain = |index: usize| {
        TYPES
            .iter()
            .position(|(of_type, _)| *of_type == "pair")
            .unwrap_or(index)
    };
    let (from, to) = (format!("t{}", plain(0)), format!("u{}", plain(0)));
    for (name, value) in settings {
        run(
            &mut *session,
            &format!("SELECT set_config('{name}', '{value}', false)"),
        )
        .await?;
    }
    let schema = session.schema(&cx()).await?;
    let table = schema
        .table(&TableName::new(&from))
        .expect("the table is there")
        .clone();
    let print = session.fingerprint(&cx(), &table).await?;
    copy(&mut *session, &from, &to).await?;
    for in_transaction in [false, true] {
        if in_transaction {
            session.begin(&cx(), walkback_core::engine::Begin::Write).await?;
            assert_eq!(session.fingerprint(&cx(), &table).await?, print);
            session.schema(&cx()).await?;
        }
        for (name, value) in settings {
            let rows = session
                .fetch_all(&cx(), &format!("SELECT current_setting('{name}')"), &[])
                .await?;
            assert_eq!(rows[0][0], Value::Text(value.to_owned()), "{name}");
        }
    }
    session.rollback(&cx()).await?;
    let index = TYPES
        .iter()
        .position(|(of_type, _)| *of_type == "bytea")
        .unwrap_or_default();
    let read = session
        .fetch_all(&cx(), &format!("SELECT v, now() FROM t{index} WHERE id = 2"), &[])
        .await?;
    assert_eq!(read[0][0], Value::Bytes(b"\xff\0\xde\xad\xbe\xef\x5c".to_vec()));
    Ok(())
}
