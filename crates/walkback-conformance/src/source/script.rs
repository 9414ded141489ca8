//! Checks of `script`, and of what must not write.

use walkback_core::migration::SqlScript;
use walkback_core::{Cx, DialectKind, Direction, Error, ErrorKind, MigrationSource, Result, Script};

use super::Subject;
use super::load::{DIALECT, add_some, id, loaded};

async fn script(source: &dyn MigrationSource, name: &str, direction: Direction) -> Result<Option<SqlScript>> {
    let script = source
        .script(&Cx::background(), DIALECT, &id(name), direction)
        .await?;
    match script {
        None => Ok(None),
        Some(Script::Sql(script)) => Ok(Some(script)),
        Some(other) => Err(Error::internal(format!(
            "this check knows SQL only, and got {other:?}"
        ))),
    }
}

async fn written(source: &dyn MigrationSource, name: &str, direction: Direction) -> Result<SqlScript> {
    let script = script(source, name, direction).await?;
    Ok(script.expect("the script was written"))
}

/// Texts that are easily changed on the way.
const TEXTS: [&str; 7] = [
    "SELECT 1;",
    "SELECT 1;\n",
    "SELECT 1;\r\nSELECT 2;\r\n",
    "\n\n-- a comment\nSELECT 'a''b', \"c\", `d`;\n\n",
    "SELECT 'ünï 𝄞 \u{fffd} \u{feff}';",
    "/* a\n; */ SELECT 1 -- no end of line at the end",
    "SELECT '\u{1}\t';\n   ",
];

pub(super) async fn script_gives_the_text_byte_for_byte(subject: Subject) -> Result<()> {
    let source = subject.open();
    for (n, text) in (1..).zip(TEXTS) {
        let name = subject.id(n);
        subject.add(&name, text.as_bytes(), Some(text.as_bytes()));
    }
    loaded(&*source).await?;
    for (n, text) in (1..).zip(TEXTS) {
        for direction in [Direction::Up, Direction::Down] {
            let script = written(&*source, &subject.id(n), direction).await?;
            assert_eq!(script.text, text, "{direction} of {n}");
        }
    }
    Ok(())
}

pub(super) async fn script_names_the_file_and_line_the_text_begins_on(subject: Subject) -> Result<()> {
    let name = subject.id(1);
    subject.add(&name, b"SELECT 1;\nSELECT 2;\n", Some(b"SELECT 3;\n"));
    let source = subject.open();
    let contents = subject.contents();
    for direction in [Direction::Up, Direction::Down] {
        let script = written(&*source, &name, direction).await?;
        let bytes = &contents[&script.location.file];
        let file = String::from_utf8_lossy(bytes);
        let from_there: String = file
            .split_inclusive('\n')
            .skip(script.location.line - 1)
            .collect();
        assert!(from_there.starts_with(&script.text), "{}", script.location);
    }
    Ok(())
}

pub(super) async fn script_tells_the_two_directions_apart(subject: Subject) -> Result<()> {
    let name = subject.id(1);
    subject.add(&name, b"SELECT 'up';\n", Some(b"SELECT 'down';\n"));
    let source = subject.open();
    assert_eq!(
        written(&*source, &name, Direction::Up).await?.text,
        "SELECT 'up';\n"
    );
    assert_eq!(
        written(&*source, &name, Direction::Down).await?.text,
        "SELECT 'down';\n"
    );
    Ok(())
}

pub(super) async fn script_of_a_direction_nobody_wrote_is_none(subject: Subject) -> Result<()> {
    let name = subject.id(1);
    subject.add(&name, b"SELECT 1;\n", None);
    let source = subject.open();
    assert_eq!(script(&*source, &name, Direction::Down).await?, None);
    assert!(script(&*source, &name, Direction::Up).await?.is_some());
    Ok(())
}

pub(super) async fn script_of_an_unknown_migration_is_not_found_and_named(subject: Subject) -> Result<()> {
    add_some(&*subject, 2);
    let unknown = subject.id(77);
    for direction in [Direction::Up, Direction::Down] {
        let error = script(&*subject.open(), &unknown, direction)
            .await
            .expect_err("there is no such migration");
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
        assert!(error.to_string().contains(&unknown), "{error:?}");
    }
    Ok(())
}

pub(super) async fn script_needs_no_load(subject: Subject) -> Result<()> {
    let ids = add_some(&*subject, 3);
    let text = written(&*subject.open(), &ids[1], Direction::Up).await?.text;
    assert_eq!(text, "CREATE TABLE t1 (x);\n");
    Ok(())
}

pub(super) async fn script_that_is_not_text_is_an_error_with_its_file_and_line(
    subject: Subject,
) -> Result<()> {
    let name = subject.id(1);
    subject.add(&name, b"SELECT 1;\nSELECT '\xff';\n", None);
    let file = subject
        .contents()
        .into_keys()
        .next()
        .expect("one file was written");
    // A source that has to read all of a file to know its metadata may see it as early as that.
    let error = match loaded(&*subject.open()).await {
        Err(error) => error,
        Ok(_) => script(&*subject.open(), &name, Direction::Up)
            .await
            .expect_err("the script is not text"),
    };
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    let place = format!("{}:2", file.display());
    assert!(error.to_string().contains(&place), "{error:?}");
    Ok(())
}

pub(super) async fn nothing_but_create_writes(subject: Subject) -> Result<()> {
    let ids = add_some(&*subject, 3);
    subject.add_stray();
    let before = subject.contents();
    let source = subject.open();
    loaded(&*source).await?;
    for name in &ids {
        script(&*source, name, Direction::Up).await?;
        script(&*source, name, Direction::Down).await?;
    }
    script(&*source, &subject.id(77), Direction::Up)
        .await
        .unwrap_err();
    for dialect in DialectKind::ALL {
        source.ledger(dialect);
    }
    source.location();
    assert_eq!(subject.contents(), before);
    Ok(())
}
