//! Every type of both servers goes out and comes back bit for bit: in bulk, and value by value.

mod support;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use support::{Kind, Place};
use walkback_core::bulk::{Chunk, ImportTarget, TableSlice};
use walkback_core::engine::SessionExt as _;
use walkback_core::value::Row;
use walkback_core::{Access, Cx, Dialect, Result, Session, TableName, Value};

/// How many tables of values are tried for each type.
const CASES: usize = 4;

/// How the values of a type are made: each is an SQL expression.
struct Type {
    name: &'static str,
    values: BoxedStrategy<String>,
}

fn of(name: &'static str, values: impl Strategy<Value = String> + 'static) -> Type {
    Type {
        name,
        values: values.boxed(),
    }
}

/// These values, and random ones.
fn with_edges(edges: &[&str], random: impl Strategy<Value = String> + 'static) -> BoxedStrategy<String> {
    let edges: Vec<String> = edges.iter().map(|edge| (*edge).to_owned()).collect();
    prop_oneof![prop::sample::select(edges), random].boxed()
}

fn only(values: &[&str]) -> BoxedStrategy<String> {
    let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
    prop::sample::select(values).boxed()
}

fn integers(least: i128, most: i128) -> BoxedStrategy<String> {
    let edges = [least, most, 0.max(least), 1];
    prop_oneof![prop::sample::select(edges.to_vec()), least..=most]
        .prop_map(|number| number.to_string())
        .boxed()
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("X'{digits}'")
}

/// Text of a Unicode column, of so many characters at most.
fn text(most: usize) -> BoxedStrategy<String> {
    let letters = prop_oneof![
        Just(' '),
        Just('\0'),
        Just('\\'),
        Just('\''),
        Just('\u{1a}'),
        Just('😀'),
        Just('\u{301}'),
        any::<char>(),
    ];
    vec(letters, 0..=most)
        .prop_map(|letters| {
            let text: String = letters.into_iter().collect();
            format!("_utf8mb4 {}", hexadecimal(text.as_bytes()))
        })
        .boxed()
}

/// Bytes as they stand in a column of a character set in which all of them are letters.
fn letters(charset: &'static str, most: usize) -> BoxedStrategy<String> {
    vec(any::<u8>(), 0..=most)
        .prop_map(move |bytes| format!("_{charset} {}", hexadecimal(&bytes)))
        .boxed()
}

fn bytes(most: usize) -> BoxedStrategy<String> {
    vec(any::<u8>(), 0..=most)
        .prop_map(|bytes| hexadecimal(&bytes))
        .boxed()
}

fn floats() -> BoxedStrategy<String> {
    let edges = [
        0.0,
        -0.0,
        f32::MAX,
        f32::MIN,
        f32::MIN_POSITIVE,
        1e-45,
        0.1,
        16_777_217.0,
    ];
    prop_oneof![
        prop::sample::select(edges.to_vec()),
        any::<u32>().prop_map(f32::from_bits)
    ]
    .prop_filter("finite", |value| value.is_finite())
    .prop_map(|value| format!("{:e}", f64::from(value)))
    .boxed()
}

fn doubles() -> BoxedStrategy<String> {
    let edges = [
        0.0,
        -0.0,
        f64::MAX,
        f64::MIN,
        f64::MIN_POSITIVE,
        5e-324,
        0.1,
        1e15,
        -1e-300,
    ];
    prop_oneof![
        prop::sample::select(edges.to_vec()),
        any::<u64>().prop_map(f64::from_bits)
    ]
    .prop_filter("finite", |value| value.is_finite())
    .prop_map(|value| format!("{value:e}"))
    .boxed()
}

fn decimals(whole: usize, part: usize) -> BoxedStrategy<String> {
    let digit = || prop::sample::select(('0'..='9').collect::<Vec<_>>());
    (any::<bool>(), vec(digit(), 1..=whole), vec(digit(), part..=part))
        .prop_map(|(is_negative, whole, part)| {
            let sign = if is_negative { "-" } else { "" };
            let (whole, part): (String, String) = (whole.into_iter().collect(), part.into_iter().collect());
            if part.is_empty() {
                format!("{sign}{whole}")
            } else {
                format!("{sign}{whole}.{part}")
            }
        })
        .boxed()
}

fn dates() -> BoxedStrategy<String> {
    let random = (0..=9999_u32, 0..=12_u32, 0..=31_u32)
        .prop_map(|(year, month, day)| format!("'{year:04}-{month:02}-{day:02}'"));
    with_edges(
        &[
            "'0000-00-00'",
            "'2024-00-00'",
            "'2024-02-31'",
            "'9999-12-31'",
            "'1000-01-01'",
        ],
        random,
    )
}

fn moments(digits: usize) -> BoxedStrategy<String> {
    let random = (
        1000..=9999_u32,
        1..=12_u32,
        1..=28_u32,
        0..86_400_u32,
        0..1_000_000_u32,
    )
        .prop_map(move |(year, month, day, second, micro)| {
            let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
            let fraction = &format!("{micro:06}")[..digits];
            let point = if digits > 0 { "." } else { "" };
            format!("'{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}{point}{fraction}'")
        });
    with_edges(&["'0000-00-00 00:00:00'", "'2024-02-30 23:59:59'"], random)
}

fn timestamps() -> BoxedStrategy<String> {
    // The session of the tests is in UTC.
    let random = (1..=i64::from(i32::MAX), 0..1_000_000_u32)
        .prop_map(|(second, micro)| format!("FROM_UNIXTIME({second}.{micro:06})"));
    with_edges(&["'0000-00-00 00:00:00'", "FROM_UNIXTIME(1)"], random)
}

fn times() -> BoxedStrategy<String> {
    let random = (any::<bool>(), 0..=838_u32, 0..60_u32, 0..60_u32, 0..1_000_000_u32).prop_map(
        |(is_negative, hour, minute, second, micro)| {
            let sign = if is_negative { "-" } else { "" };
            format!("'{sign}{hour:02}:{minute:02}:{second:02}.{micro:06}'")
        },
    );
    let random = random.prop_filter("in range", |text| !text.contains("838:59:59"));
    with_edges(
        &["'00:00:00'", "'-838:59:59'", "'838:59:59'", "'-00:00:00.000001'"],
        random,
    )
}

fn documents(is_mariadb: bool) -> BoxedStrategy<String> {
    let random = vec((vec(any::<char>(), 0..4), any::<i64>()), 0..4).prop_map(|pairs| {
        let pairs: Vec<_> = pairs
            .into_iter()
            .map(|(name, value)| {
                let name: String = name.into_iter().collect();
                format!("_utf8mb4 {}, {value}", hexadecimal(name.as_bytes()))
            })
            .collect();
        format!("JSON_OBJECT({})", pairs.join(", "))
    });
    let mut edges = vec![
        "'null'",
        "'[]'",
        "'18446744073709551615'",
        "'[-0.0, 1e300, 0.1, true, \"a\"]'",
        "'{\"a\": {\"b\": [\"\\\\\\\\\", \"\\\\\"\"]}}'",
    ];
    if is_mariadb {
        // What is kept as it is written, blanks and all.
        edges.push("'{ \"a\":1 ,  \"a\":2}'");
    }
    with_edges(&edges, random)
}

fn shapes() -> BoxedStrategy<String> {
    only(&[
        "ST_GeomFromText('POINT(1 2)')",
        "ST_GeomFromText('POINT(-0.5 1e10)', 0)",
        "ST_GeomFromText('LINESTRING(0 0,1.5 2,3 4)', 4326)",
        "ST_GeomFromText('POLYGON((0 0,0 1,1 1,0 0))')",
        "ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))')",
    ])
}

fn common() -> Vec<Type> {
    vec![
        of("TINYINT", integers(-128, 127)),
        of("TINYINT UNSIGNED", integers(0, 255)),
        of("SMALLINT", integers(-32_768, 32_767)),
        of("MEDIUMINT UNSIGNED", integers(0, 16_777_215)),
        of("INT", integers(i32::MIN.into(), i32::MAX.into())),
        of("INT(8) UNSIGNED ZEROFILL", integers(0, u32::MAX.into())),
        of("BIGINT", integers(i64::MIN.into(), i64::MAX.into())),
        of("BIGINT UNSIGNED", integers(0, u64::MAX.into())),
        of("DECIMAL(65,30)", decimals(35, 30)),
        of("DECIMAL(5,0)", decimals(5, 0)),
        of("FLOAT", floats()),
        of("DOUBLE", doubles()),
        of("BIT(1)", only(&["b'0'", "b'1'"])),
        of("BIT(7)", integers(0, 127)),
        of("BIT(64)", integers(0, u64::MAX.into())),
        of("CHAR(10) CHARACTER SET utf8mb4", text(10)),
        of("VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", text(20)),
        of(
            "VARCHAR(20) CHARACTER SET utf8mb3",
            only(&["'ü漢'", "''", "'  '", "'a'"]),
        ),
        of("VARCHAR(20) CHARACTER SET ascii", only(&["'a '", "''", "'\\\\'"])),
        of("VARCHAR(20) CHARACTER SET latin1", letters("latin1", 20)),
        of("CHAR(20) CHARACTER SET latin1", letters("latin1", 20)),
        of("TEXT CHARACTER SET koi8r", letters("koi8r", 300)),
        of(
            "VARCHAR(20) CHARACTER SET sjis",
            only(&["_sjis X'8140'", "_sjis X'815f5c7e'", "_sjis X'b1'", "_sjis X''"]),
        ),
        of(
            "VARCHAR(20) CHARACTER SET cp932",
            only(&["_cp932 X'81cafa54'", "_cp932 X'eef9'", "_cp932 X'5c'"]),
        ),
        of(
            "VARCHAR(20) CHARACTER SET utf16",
            only(&[
                "_utf16 X'd83dde000041'",
                "_utf16 X'0000'",
                "_utf16 X'0020'",
                "_utf16 X''",
            ]),
        ),
        of("LONGTEXT CHARACTER SET utf8mb4", text(400)),
        of(
            "TINYTEXT CHARACTER SET ucs2",
            only(&["_ucs2 X'0041005c'", "_ucs2 X''", "_ucs2 X'00ff'"]),
        ),
        of("BINARY(8)", bytes(8)),
        of("VARBINARY(20)", bytes(20)),
        of("BLOB", bytes(3000)),
        of("ENUM('a','3','ü','it''s')", integers(0, 4)),
        of("SET('x','y','1','ü')", integers(0, 15)),
        of("DATE", dates()),
        of("DATETIME", moments(0)),
        of("DATETIME(3)", moments(3)),
        of("DATETIME(6)", moments(6)),
        of("TIMESTAMP(6) NULL", timestamps()),
        of("TIME(6)", times()),
        of("YEAR", with_edges(&["0"], integers(1901, 2155))),
        of("GEOMETRY", shapes()),
    ]
}

fn types(kind: Kind) -> Vec<Type> {
    let mut types = common();
    match kind {
        Kind::Mysql => types.extend([
            of("JSON", documents(false)),
            of("POINT SRID 4326", only(&["ST_GeomFromText('POINT(1 2)', 4326)"])),
            of(
                "VECTOR(3)",
                only(&[
                    "STRING_TO_VECTOR('[1,2.5,-3]')",
                    "STRING_TO_VECTOR('[0,-0.5,1e-10]')",
                ]),
            ),
        ]),
        Kind::Mariadb => types.extend([
            of("JSON", documents(true)),
            of(
                "UUID",
                only(&["'123e4567-e89b-12d3-a456-426655440000'", "UUID()"]),
            ),
            of(
                "INET6",
                only(&["'::'", "'2001:db8::ff00:42:8329'", "'192.0.2.1'"]),
            ),
            of("INET4", only(&["'0.0.0.0'", "'255.255.255.255'"])),
            of("VARCHAR(20) COMPRESSED", only(&["'compressed'", "''"])),
        ]),
    }
    types
}

fn cx() -> Cx {
    Cx::background()
}

async fn run(session: &mut dyn Session, sql: &str) -> Result<u64> {
    session.execute(&cx(), sql, &[]).await
}

/// Rows, with floats by their bits.
fn exact(rows: &[Row]) -> String {
    let cell = |value: &Value| match value {
        Value::Float(value) => format!("{:016x}", value.to_bits()),
        other => format!("{other:?}"),
    };
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(cell).collect()).collect();
    format!("{rows:?}")
}

async fn rows_of(session: &mut dyn Session, table: &str) -> Result<Vec<Row>> {
    session
        .fetch_all(&cx(), &format!("SELECT id, c FROM {table} ORDER BY id"), &[])
        .await
}

async fn hash_of(session: &mut dyn Session, table: &str) -> Result<String> {
    let schema = session.schema(&cx()).await?;
    let found = schema.table(&TableName::new(table)).expect("the table is there");
    Ok(session.fingerprint(&cx(), found).await?.hash)
}

/// How many rows the server itself holds for different: by value, and as bytes.
async fn differences(session: &mut dyn Session, to: &str) -> Result<i64> {
    let sql = format!(
        "SELECT COUNT(*) FROM v LEFT JOIN {to} w USING (id) WHERE w.id IS NULL OR NOT (v.c <=> w.c) \
         OR NOT (HEX(v.c) <=> HEX(w.c))"
    );
    let rows = session.fetch_all(&cx(), &sql, &[]).await?;
    Ok(rows[0][0].as_i64().expect("a count is a number"))
}

fn same<T: PartialEq + std::fmt::Debug>(found: &T, wanted: &T, how: &str) -> Result<()> {
    if found == wanted {
        return Ok(());
    }
    let why = format!("{how}: {found:?} is not {wanted:?}");
    Err(walkback_core::Error::new(
        walkback_core::ErrorKind::CheckFailed,
        why,
    ))
}

/// The table that rows come from, and those they go to in every way there is.
const TABLES: [&str; 5] = ["v", "loaded", "inserted", "bound", "spelled"];

async fn there_and_back(
    session: &mut dyn Session,
    inserting: &mut dyn Session,
    dialect: &dyn Dialect,
    ty: &Type,
    values: &[String],
) -> Result<()> {
    for table in TABLES {
        run(session, &format!("DELETE FROM {table}")).await?;
    }
    run(session, "INSERT INTO v VALUES (0, NULL)").await?;
    for (id, value) in (1..).zip(values) {
        run(session, &format!("INSERT INTO v VALUES ({id}, {value})")).await?;
    }
    let before = hash_of(session, "v").await?;
    let read = rows_of(session, "v").await?;

    let columns = vec!["id".to_owned(), "c".to_owned()];
    let slice = TableSlice::new(TableName::new("v"), columns.clone(), vec!["id".to_owned()]);
    let chunks: Vec<Chunk> = session.export(&cx(), &slice).await?.try_collect().await?;
    for table in ["loaded", "inserted"] {
        let target = ImportTarget {
            table: TableName::new(table),
            columns: columns.clone(),
        };
        let source = stream::iter(chunks.clone().into_iter().map(Ok)).boxed();
        let count = match table {
            "loaded" => session.import(&cx(), &target, source).await?,
            _ => inserting.import(&cx(), &target, source).await?,
        };
        assert_eq!(count, values.len() as u64 + 1);
        same(&differences(session, table).await?, &0, table)?;
        same(&hash_of(session, table).await?, &before, table)?;
        same(&exact(&rows_of(session, table).await?), &exact(&read), table)?;
    }

    for row in &read {
        session
            .execute(&cx(), "INSERT INTO bound (id, c) VALUES (?, ?)", row)
            .await?;
        let literals: Vec<_> = row.iter().map(|value| dialect.literal(value)).collect();
        run(
            session,
            &format!("INSERT INTO spelled (id, c) VALUES ({})", literals.join(", ")),
        )
        .await?;
    }
    for table in ["bound", "spelled"] {
        same(&exact(&rows_of(session, table).await?), &exact(&read), table)?;
        // Text of a character set that Unicode does not hold twice comes back as another spelling.
        if !ty.name.contains("cp932") && !ty.name.contains("sjis") {
            same(&differences(session, table).await?, &0, table)?;
            same(&hash_of(session, table).await?, &before, table)?;
        }
    }
    Ok(())
}

async fn every_type(kind: Kind) -> Result<()> {
    let place = match Place::new(kind) {
        Ok(place) => place,
        Err(why) => return support::absent(kind, &why),
    };
    let engine = place.engine();
    let dialect = engine.dialect();
    let mut session = engine.connect(&cx(), Access::Write).await?;
    run(
        &mut *session,
        "SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES', time_zone = '+00:00'",
    )
    .await?;
    let url = format!("{}?local-infile=disabled", place.url());
    let mut inserting = support::open(&url).connect(&cx(), Access::Write).await?;
    let mut failures = Vec::new();
    let mut runner = TestRunner::deterministic();
    for ty in types(kind) {
        for table in TABLES {
            run(&mut *session, &format!("DROP TABLE IF EXISTS {table}")).await?;
            let sql = format!("CREATE TABLE {table} (id INT PRIMARY KEY, c {})", ty.name);
            run(&mut *session, &sql).await?;
        }
        for _ in 0..CASES {
            let values = vec(ty.values.clone(), 1..12);
            let values = values
                .new_tree(&mut runner)
                .expect("values can be made")
                .current();
            if let Err(error) = there_and_back(&mut *session, &mut *inserting, &*dialect, &ty, &values).await
            {
                failures.push(format!("{} {values:?}: {error:?}", ty.name));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let takes_files = session
        .fetch_all(&cx(), "SELECT @@GLOBAL.local_infile", &[])
        .await?;
    let takes_files = takes_files[0][0].as_i64() == Some(1);
    assert_eq!(
        loads(&mut *session).await? > 0,
        takes_files,
        "rows are loaded where that can be"
    );
    assert_eq!(loads(&mut *inserting).await?, 0, "the URL says not to");
    Ok(())
}

/// Returns how many times a session has loaded rows from a file.
async fn loads(session: &mut dyn Session) -> Result<i64> {
    let rows = session
        .fetch_all(&cx(), "SHOW SESSION STATUS LIKE 'Com_load'", &[])
        .await?;
    let Value::Text(count) = &rows[0][1] else {
        panic!("a count: {rows:?}");
    };
    Ok(count.parse().expect("a count"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_of_mysql_comes_back_bit_for_bit() -> Result<()> {
    every_type(Kind::Mysql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_of_mariadb_comes_back_bit_for_bit() -> Result<()> {
    every_type(Kind::Mariadb).await
}

/// The member that an `ENUM` holds where a value was none of its members looks like an empty one.
#[tokio::test(flavor = "multi_thread")]
async fn an_impossible_member_is_not_an_empty_one() -> Result<()> {
    for kind in Kind::ALL {
        let place = match Place::new(kind) {
            Ok(place) => place,
            Err(why) => {
                support::absent(kind, &why)?;
                continue;
            }
        };
        let mut session = place.engine().connect(&cx(), Access::Write).await?;
        let session = &mut *session;
        for table in ["v", "w"] {
            let sql = format!("CREATE TABLE {table} (id INT PRIMARY KEY, c ENUM('a', ''))");
            run(session, &sql).await?;
        }
        run(session, "SET sql_mode = ''").await?;
        run(session, "INSERT INTO v VALUES (1, 'a'), (2, ''), (3, 0)").await?;
        run(session, "SET sql_mode = 'STRICT_ALL_TABLES'").await?;
        let columns = vec!["id".to_owned(), "c".to_owned()];
        let slice = TableSlice::new(TableName::new("v"), columns.clone(), Vec::new());
        let chunks: Vec<Chunk> = session.export(&cx(), &slice).await?.try_collect().await?;
        let target = ImportTarget {
            table: TableName::new("w"),
            columns,
        };
        let source = stream::iter(chunks.into_iter().map(Ok)).boxed();
        session.import(&cx(), &target, source).await?;
        let numbers = session
            .fetch_all(&cx(), "SELECT CAST(c AS UNSIGNED) FROM w ORDER BY id", &[])
            .await?;
        let numbers: Vec<_> = numbers.iter().filter_map(|row| row[0].as_i64()).collect();
        assert_eq!(numbers, [1, 2, 0], "{kind:?}");
        let mode = session.fetch_all(&cx(), "SELECT @@SESSION.sql_mode", &[]).await?;
        assert_eq!(
            mode[0][0].as_str(),
            Some("STRICT_ALL_TABLES"),
            "the session's own mode is gone"
        );
    }
    Ok(())
}
