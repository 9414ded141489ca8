//! The layouts and directives of this source: what a folder of files becomes, and what is said about one that
//! is wrong.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use walkback_core::migration::SqlScript;
use walkback_core::source::{Loaded, NewMigration};
use walkback_core::{
    AdapterConfig, Cx, DialectKind, Direction, Error, ErrorKind, Migration, MigrationId,
    MigrationSource as _, Script,
};
use walkback_source_sql::SqlSource;

struct Folder(TempDir);

impl Folder {
    fn of(files: &[(&str, &str)]) -> Self {
        let folder = Self(TempDir::new().unwrap());
        for (path, text) in files {
            folder.write(path, text.as_bytes());
        }
        folder
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn source(&self) -> SqlSource {
        SqlSource::new(self.path())
    }

    async fn load_for(&self, dialect: DialectKind) -> Result<Loaded, Error> {
        self.source().load(&Cx::background(), dialect).await
    }

    async fn load(&self) -> Loaded {
        self.load_for(DialectKind::Sqlite).await.unwrap()
    }

    /// Loads a folder that is wrong, and returns the message without the path of the temporary folder.
    async fn refuse(&self) -> (String, String) {
        self.told(self.load_for(DialectKind::Sqlite).await.unwrap_err())
    }

    fn told(&self, error: Error) -> (String, String) {
        assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
        let folder = format!("{}/", self.path().display());
        let short = |text: &str| text.replace(&folder, "");
        (
            short(error.message()),
            error.hints().first().map(|hint| short(hint)).unwrap_or_default(),
        )
    }

    async fn script_for(
        &self,
        dialect: DialectKind,
        id: &str,
        direction: Direction,
    ) -> Result<Option<SqlScript>, Error> {
        let script = self
            .source()
            .script(&Cx::background(), dialect, &MigrationId::new(id), direction)
            .await?;
        Ok(script.map(|script| match script {
            Script::Sql(script) => script,
            other => panic!("{other:?}"),
        }))
    }

    async fn script(&self, id: &str, direction: Direction) -> Option<SqlScript> {
        self.script_for(DialectKind::Sqlite, id, direction).await.unwrap()
    }

    async fn up(&self, id: &str) -> SqlScript {
        self.script(id, Direction::Up).await.unwrap()
    }

    async fn down(&self, id: &str) -> SqlScript {
        self.script(id, Direction::Down).await.unwrap()
    }
}

fn get<'a>(loaded: &'a Loaded, id: &str) -> &'a Migration {
    loaded.graph.get(&MigrationId::new(id)).unwrap()
}

fn parents(loaded: &Loaded, id: &str) -> String {
    let parents: Vec<_> = get(loaded, id).parents.iter().map(MigrationId::as_str).collect();
    parents.join(" ")
}

fn unmatched(folder: &Folder, loaded: &Loaded) -> Vec<String> {
    loaded
        .unmatched
        .iter()
        .map(|(path, why)| format!("{}: {why}", path.strip_prefix(folder.path()).unwrap().display()))
        .collect()
}

const UP: &str = "CREATE TABLE t (x);\n";
const DOWN: &str = "DROP TABLE t;\n";

#[tokio::test]
async fn the_three_layouts_may_be_mixed() {
    let folder = Folder::of(&[
        ("1_a/up.sql", UP),
        ("1_a/down.sql", DOWN),
        ("2_b.up.sql", UP),
        ("2_b.down.sql", DOWN),
        (
            "10_c.sql",
            "-- walkback: up\nCREATE TABLE c (x);\n-- walkback: down\nDROP TABLE c;\n",
        ),
        ("11_d.sql", UP),
    ]);
    let loaded = folder.load().await;
    let names: Vec<_> = loaded.graph.iter().map(|m| (m.name(), m.has_down)).collect();
    assert_eq!(
        names,
        [
            ("1_a".into(), true),
            ("2_b".into(), true),
            ("10_c".into(), true),
            ("11_d".into(), false)
        ]
    );
    assert!(loaded.graph.is_linear());
    assert!(loaded.unmatched.is_empty());
}

#[tokio::test]
async fn sections_are_cut_where_they_begin_and_know_their_line() {
    let folder = Folder::of(&[(
        "1_a.sql",
        "-- About it.\n-- walkback: label=billing\n\n-- walkback: down transaction=off\n\nDROP TABLE c;\n\
         -- walkback: up protect=vault\n-- walkback: irreversible=\"no\"\nCREATE TABLE c (x);",
    )]);
    let up = folder.up("1").await;
    assert_eq!(up.text, "-- walkback: irreversible=\"no\"\nCREATE TABLE c (x);");
    assert_eq!(
        (up.location.line, up.transaction, up.protect.as_deref()),
        (8, true, Some("vault"))
    );
    let down = folder.down("1").await;
    assert_eq!(down.text, "\nDROP TABLE c;\n");
    assert_eq!(
        (down.location.line, down.transaction, down.protect),
        (5, false, None)
    );
    let loaded = folder.load().await;
    assert_eq!(get(&loaded, "1").labels, ["billing"]);
    assert_eq!(get(&loaded, "1").irreversible.as_deref(), Some("no"));
}

#[tokio::test]
async fn sections_keep_carriage_returns() {
    let folder = Folder::of(&[(
        "1_a.sql",
        "-- walkback: up\r\nSELECT 1;\r\n-- walkback: down\r\nSELECT 2;\r\n",
    )]);
    assert_eq!(folder.up("1").await.text, "SELECT 1;\r\n");
    assert_eq!(folder.down("1").await.text, "SELECT 2;\r\n");
}

#[tokio::test]
async fn directives_say_where_a_migration_stands() {
    let folder = Folder::of(&[
        ("1_a/up.sql", UP),
        ("2_b/up.sql", "-- walkback: parents=1 label=left\nSELECT 1;"),
        (
            "3_c/up.sql",
            "/* licence\n   of some lines */\n\n# and a comment\n--walkback:parents=1\n-- walkback: label=right,east depends_on=left\n",
        ),
        ("4_d/up.sql", "-- walkback: parents=2,3"),
        (
            "5_e/up.sql",
            "-- nothing said\nSELECT 1; -- walkback is not spoken to here\n",
        ),
        (
            "6_f/up.sql",
            "\u{feff}-- walkback: parents=none irreversible=\"the \\\"old\\\" values \\\\ are gone\"\n",
        ),
    ]);
    let loaded = folder.load().await;
    assert_eq!(parents(&loaded, "2"), "1");
    assert_eq!(parents(&loaded, "3"), "1");
    assert_eq!(parents(&loaded, "4"), "2 3");
    assert_eq!(parents(&loaded, "5"), "4");
    assert_eq!(parents(&loaded, "6"), "");
    assert_eq!(get(&loaded, "3").labels, ["right", "east"]);
    assert_eq!(get(&loaded, "3").depends_on, [MigrationId::new("2")]);
    assert_eq!(
        get(&loaded, "6").irreversible.as_deref(),
        Some("the \"old\" values \\ are gone")
    );
    assert_eq!(loaded.graph.bases().len(), 2);
}

#[tokio::test]
async fn what_a_script_says_of_itself_comes_with_it() {
    let folder = Folder::of(&[
        (
            "1_a/up.sql",
            "-- walkback: transaction=off protect=backup-table\nSELECT 1;",
        ),
        ("1_a/down.sql", "-- walkback: transaction=off\nSELECT 2;"),
        ("2_b/up.sql", "SELECT 1;"),
        (
            "2_b/down.sql",
            "-- walkback: protect=off transaction=on\nSELECT 2;",
        ),
    ]);
    let of = |script: SqlScript| (script.transaction, script.protect);
    assert_eq!(of(folder.up("1").await), (false, Some("backup-table".into())));
    assert_eq!(of(folder.down("1").await), (false, None));
    assert_eq!(of(folder.up("2").await), (true, None));
    assert_eq!(of(folder.down("2").await), (true, Some("off".into())));
}

#[tokio::test]
async fn touches_belongs_to_a_statement_and_is_left_alone() {
    let text = "-- walkback: touches a, b\nSELECT f();\n-- walkback: touches=c\nSELECT g();\n";
    let folder = Folder::of(&[("1_a/up.sql", text), ("2_b.sql", text)]);
    folder.load().await;
    assert_eq!(folder.up("1").await.text, text);
    assert_eq!(folder.up("2").await.text, text);
}

#[tokio::test]
async fn the_file_for_the_dialect_takes_the_place_of_the_one_for_all() {
    let folder = Folder::of(&[
        ("1_a/up.sql", "SELECT 'all';"),
        ("1_a/up.postgres.sql", "-- walkback: label=pg\nSELECT 'pg';"),
        ("1_a/down.sql", "SELECT 'all down';"),
        ("2_b.up.sqlite.sql", "SELECT 'sqlite';"),
        ("2_b.up.sql", "SELECT 'all';"),
        ("2_b.down.mysql.sql", "SELECT 'mysql down';"),
    ]);
    let text = async |dialect, id, direction| {
        folder
            .script_for(dialect, id, direction)
            .await
            .unwrap()
            .map(|script| script.text)
    };
    let (sqlite, postgres, mysql) = (DialectKind::Sqlite, DialectKind::Postgres, DialectKind::Mysql);
    assert_eq!(text(sqlite, "1", Direction::Up).await.unwrap(), "SELECT 'all';");
    assert!(
        text(postgres, "1", Direction::Up)
            .await
            .unwrap()
            .ends_with("SELECT 'pg';")
    );
    assert_eq!(
        text(postgres, "1", Direction::Down).await.unwrap(),
        "SELECT 'all down';"
    );
    assert_eq!(
        text(sqlite, "2", Direction::Up).await.unwrap(),
        "SELECT 'sqlite';"
    );
    assert_eq!(text(mysql, "2", Direction::Up).await.unwrap(), "SELECT 'all';");
    assert_eq!(
        text(mysql, "2", Direction::Down).await.unwrap(),
        "SELECT 'mysql down';"
    );
    assert_eq!(text(sqlite, "2", Direction::Down).await, None);

    let loaded = folder.load_for(postgres).await.unwrap();
    assert_eq!(get(&loaded, "1").labels, ["pg"]);
    assert_eq!(
        unmatched(&folder, &loaded),
        ["2_b.down.mysql.sql: it is for another engine, and there is no down script for postgres"]
    );
    assert!(folder.load_for(mysql).await.unwrap().unmatched.is_empty());
}

#[tokio::test]
async fn an_up_script_for_other_engines_only_is_an_error() {
    let folder = Folder::of(&[("1_a/up.postgres.sql", UP), ("1_a/down.sql", DOWN)]);
    assert_eq!(
        folder.refuse().await,
        (
            "migration `1` has no up script for sqlite, only for other engines (1_a/up.postgres.sql)".into(),
            "add `1_a/up.sqlite.sql`, empty if there is nothing to do".into()
        )
    );
    let folder = Folder::of(&[("1_a.up.mysql.sql", UP)]);
    assert_eq!(
        folder.refuse().await.1,
        "add `1_a.up.sqlite.sql`, empty if there is nothing to do"
    );
    folder.write("1_a.up.sqlite.sql", b"");
    assert_eq!(folder.load().await.graph.len(), 1);
    assert_eq!(folder.up("1").await.text, "");
}

#[tokio::test]
async fn a_down_script_without_a_statement_counts_as_not_written() {
    for down in ["", "\n \n", "-- the way back\n", "/* to do */", "\u{feff}-- x"] {
        let folder = Folder::of(&[("1_a/up.sql", UP), ("1_a/down.sql", down)]);
        let loaded = folder.load().await;
        assert!(!get(&loaded, "1").has_down, "{down:?}");
        assert_eq!(loaded.unmatched.len(), 1);
        assert_eq!(folder.script("1", Direction::Down).await, None);
    }
    let folder = Folder::of(&[("1_a.sql", "-- walkback: up\nSELECT 1;\n-- walkback: down\n\n")]);
    assert!(!get(&folder.load().await, "1").has_down);
    let folder = Folder::of(&[("1_a/up.sql", UP), ("1_a/down.sql", "/* nothing */ SELECT 1;")]);
    assert!(get(&folder.load().await, "1").has_down);
}

#[tokio::test]
async fn everything_that_is_no_migration_is_reported_with_the_reason() {
    let folder = Folder::of(&[
        ("1_a/up.sql", UP),
        ("1_a/up.sql.orig", UP),
        ("1_a/data/seed.csv", "x"),
        ("2_b.down.sql", DOWN),
        (".gitkeep", ""),
        ("README.md", "x"),
        ("archive/up.sql", UP),
        ("3_c.postgress.sql", UP),
        ("4_d/down.sql", DOWN),
        ("seed_users.sql", UP),
    ]);
    fs::create_dir(folder.path().join("5_e")).unwrap();
    let loaded = folder.load().await;
    assert_eq!(loaded.graph.len(), 1);
    let holds = "the folder of a migration holds `up.sql`, `down.sql` and variants such as `up.postgres.sql`";
    let no_id = "before the first `_` is no identity: letters, digits and `.`, with a digit among them";
    assert_eq!(
        unmatched(&folder, &loaded),
        [
            ".gitkeep: its name does not end in `.sql`".to_owned(),
            format!("1_a/data: {holds}"),
            format!("1_a/up.sql.orig: {holds}"),
            "2_b.down.sql: it is a down script, and there is no up script of the same name".to_owned(),
            "3_c.postgress.sql: `.postgress` is neither a direction (`.up`, `.down`) nor a dialect (`.sqlite`, \
             `.postgres`, `.mysql`)"
                .to_owned(),
            "4_d/down.sql: it is a down script, and there is no up script of the same name".to_owned(),
            "5_e: the folder is empty".to_owned(),
            "README.md: its name does not end in `.sql`".to_owned(),
            format!("archive: a folder of migrations holds folders `<id>_<slug>`; `archive` {no_id}"),
            format!("seed_users.sql: `seed` {no_id}"),
        ]
    );
}

#[tokio::test]
async fn two_files_for_one_direction_are_an_error_that_names_both() {
    let told = async |files: &[(&str, &str)]| Folder::of(files).refuse().await.0;
    assert_eq!(
        told(&[("1_a/up.sql", UP), ("1_a.up.sql", UP)]).await,
        "migration `1` has two up scripts (1_a/up.sql and 1_a.up.sql)"
    );
    assert_eq!(
        told(&[("1_a.sql", UP), ("1_a.up.sql", UP)]).await,
        "migration `1` has two up scripts (1_a.sql and 1_a.up.sql)"
    );
    assert_eq!(
        told(&[("1_a/up.pg.sql", UP), ("1_a/up.postgres.sql", UP)]).await,
        "migration `1` has two up scripts (1_a/up.pg.sql and 1_a/up.postgres.sql)"
    );
    let both = "-- walkback: up\nSELECT 1;\n-- walkback: down\nSELECT 2;\n";
    assert_eq!(
        told(&[("1_a.sql", both), ("1_a.down.sql", DOWN)]).await,
        "migration `1` has two down scripts (1_a.down.sql and 1_a.sql)"
    );
    assert_eq!(
        told(&[("1_a/up.sql", UP), ("1_b/up.sql", UP)]).await,
        "two migrations have the identity `1` (1_a/up.sql and 1_b/up.sql)"
    );
    assert_eq!(
        told(&[("01_a/up.sql", UP), ("1_b/up.sql", UP)]).await,
        "the identities `01` and `1` differ in leading zeros only (01_a/up.sql and 1_b/up.sql)"
    );
}

#[tokio::test]
async fn a_directive_that_is_wrong_is_told_with_its_line() {
    let told = async |up: &str| Folder::of(&[("1_a/up.sql", up)]).refuse().await;
    let both = |message: &str, hint: &str| (format!("{message} (1_a/up.sql:2)"), hint.to_owned());
    let all = "the directives are parents, label, depends_on, transaction, irreversible, protect";
    for (line, message, hint) in [
        (
            "parent=1",
            "`parent` is not a directive",
            "did you mean `parents`?",
        ),
        ("labels=x", "`labels` is not a directive", "did you mean `label`?"),
        ("Label=x", "`Label` is not a directive", "did you mean `label`?"),
        ("owner=me", "`owner` is not a directive", all),
        ("nonsense", "the directive `nonsense` has no value", all),
        (
            "transaction = off",
            "the directive `transaction` has no value",
            "write `transaction=<value>`, without blanks round the `=`",
        ),
        (
            "label=",
            "the directive `label` has no value",
            "write `label=<value>`, without blanks round the `=`",
        ),
        (
            "transaction=of",
            "`transaction=of` is not one of on, off",
            "did you mean `transaction=on`?",
        ),
        (
            "transaction=false",
            "`transaction=false` is not one of on, off",
            "",
        ),
        (
            "protect=softdelete",
            "`protect=softdelete` is not one of auto, soft-delete, backup-table, vault, off",
            "did you mean `protect=soft-delete`?",
        ),
        (
            "parents=1,,2",
            "`parents=1,,2` leaves a name out",
            "write `parents=a` or `parents=a,b`",
        ),
        ("label=a label=b", "`label` is given twice", ""),
        (
            "irreversible=\"no end",
            "the value of `irreversible` does not end",
            "end it with `\"`",
        ),
        (
            "irreversible=\" \"",
            "`irreversible` gives no reason",
            "say why: `-- walkback: irreversible=\"the old values are not kept\"`",
        ),
        (
            "up",
            "a section `-- walkback: up` stands in a file of one direction",
            "sections belong into a single file `<id>_<slug>.sql`; remove the line here",
        ),
    ] {
        let up = format!("-- a comment\n-- walkback: {line}\nSELECT 1;");
        assert_eq!(told(&up).await, both(message, hint), "{line}");
    }
    assert_eq!(
        told("\n-- Walkback: label=x\n").await,
        both(
            "`Walkback:` is not how a directive begins",
            "write `-- walkback:` in lower case"
        )
    );
}

#[tokio::test]
async fn a_directive_in_the_wrong_place_is_told_with_its_line() {
    let folder = Folder::of(&[("1_a/up.sql", "SELECT 1;\n-- walkback: transaction=off\nVACUUM;\n")]);
    let error = folder
        .script_for(DialectKind::Sqlite, "1", Direction::Up)
        .await
        .unwrap_err();
    assert_eq!(
        folder.told(error),
        (
            "a directive stands behind a statement (1_a/up.sql:2)".into(),
            "move it into the comments before the first statement".into()
        )
    );
    let folder = Folder::of(&[
        ("1_a/up.sql", UP),
        ("1_a/down.sql", "-- walkback: parents=0\nSELECT 1;"),
    ]);
    assert_eq!(
        folder.refuse().await.0,
        "`parents` says something of the migration, not of its way down (1_a/down.sql:1)"
    );
}

#[tokio::test]
async fn sections_that_are_wrong_are_told_with_their_line() {
    let told = async |text: &str| Folder::of(&[("1_a.sql", text)]).refuse().await.0;
    assert_eq!(
        told("-- walkback: down\nSELECT 1;\n").await,
        "the file has a section `-- walkback: down` and none for `up` (1_a.sql:1)"
    );
    assert_eq!(
        told("SELECT 1;\n-- walkback: down\nSELECT 1;\n").await,
        "statements stand before the first section (1_a.sql:2)"
    );
    assert_eq!(
        told("-- walkback: up\nSELECT 1;\n-- walkback: up\n").await,
        "a second section `-- walkback: up`; the first begins on line 1 (1_a.sql:3)"
    );
    assert_eq!(
        told("-- walkback: label=x\n-- walkback: up label=y\nSELECT 1;\n").await,
        "`label` is given twice (1_a.sql:2)"
    );
    assert_eq!(
        told("-- walkback: up\nSELECT 1;\n-- walkback: label=x\n").await,
        "a directive stands behind a statement (1_a.sql:3)"
    );
}

#[tokio::test]
async fn a_head_that_is_not_text_is_told_with_its_line() {
    let folder = Folder::of(&[]);
    folder.write("1_a/up.sql", b"-- fine\n-- l\xe4uft\nSELECT 1;\n");
    assert_eq!(folder.refuse().await.0, "the file is not UTF-8 (1_a/up.sql:2)");
    let folder = Folder::of(&[]);
    folder.write("1_a/up.sql", b"\xff\xfe-\0-\0");
    folder.load().await;
    let error = folder
        .script_for(DialectKind::Sqlite, "1", Direction::Up)
        .await
        .unwrap_err();
    assert_eq!(folder.told(error).0, "the file is not UTF-8 (1_a/up.sql:1)");
}

/// The head of a file is read in pieces; a directive must be seen wherever a piece ends.
#[tokio::test]
async fn a_long_head_is_read_to_its_end() {
    for filler in 8150..8250 {
        let up = format!("-- {}\n-- walkback: label=far\nSELECT 1;\n", "x".repeat(filler));
        let folder = Folder::of(&[("1_a/up.sql", &up)]);
        assert_eq!(get(&folder.load().await, "1").labels, ["far"], "{filler}");
    }
    let many = format!("{}-- walkback: label=far\nSELECT 1;", "-- ü\n\n".repeat(20_000));
    let folder = Folder::of(&[("1_a/up.sql", &many)]);
    assert_eq!(get(&folder.load().await, "1").labels, ["far"]);
}

#[tokio::test]
async fn a_statement_that_is_one_enormous_line_does_not_slow_the_load() {
    let folder = Folder::of(&[]);
    let mut up = b"-- walkback: label=x\nINSERT INTO t VALUES ('".to_vec();
    up.resize(64 << 20, b'x');
    folder.write("1_a/up.sql", &up);
    let begun = std::time::Instant::now();
    folder.load().await;
    let took = begun.elapsed();
    assert!(took.as_millis() < 200, "the head of 64 MiB took {took:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_that_leads_nowhere_is_an_error_that_names_it() {
    let folder = Folder::of(&[("1_a/up.sql", UP)]);
    std::os::unix::fs::symlink("gone.sql", folder.path().join("2_b.sql")).unwrap();
    let error = folder.load_for(DialectKind::Sqlite).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.message().ends_with("/2_b.sql`"), "{error:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_name_that_is_not_text_is_reported() {
    use std::os::unix::ffi::OsStrExt as _;
    let folder = Folder::of(&[]);
    let name = std::ffi::OsStr::from_bytes(b"1_\xff.sql");
    fs::write(folder.path().join(name), UP).unwrap();
    assert_eq!(folder.load().await.unmatched[0].1, "its name is not UTF-8");
}

#[tokio::test]
async fn a_file_where_the_folder_should_be_is_an_error() {
    let folder = Folder::of(&[("x", "")]);
    let error = SqlSource::new(folder.path().join("x"))
        .load(&Cx::background(), DialectKind::Sqlite)
        .await
        .unwrap_err();
    assert!(
        error
            .message()
            .starts_with("cannot read the folder of migrations"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_new_migration_names_parents_only_where_the_order_does_not() {
    let folder = Folder::of(&[
        ("1_a/up.sql", UP),
        ("2_b/up.sql", "-- walkback: parents=1"),
        ("3_c/up.sql", "-- walkback: parents=1"),
    ]);
    let source = folder.source();
    let create = async |id: &str, parents: &[&str]| {
        let parents = parents.iter().map(|id| MigrationId::new(*id)).collect();
        let files = source
            .create(&Cx::background(), &NewMigration::new(id, "next_one", parents))
            .await?;
        Ok::<_, Error>(fs::read_to_string(&files[0]).unwrap())
    };
    assert!(!create("4", &["3"]).await.unwrap().contains("parents="));
    assert!(
        create("5", &["2", "4"])
            .await
            .unwrap()
            .starts_with("-- walkback: parents=2,4\n-- next one: ")
    );
    assert!(
        create("6", &["1"])
            .await
            .unwrap()
            .starts_with("-- walkback: parents=1\n")
    );
    let loaded = folder.load().await;
    assert_eq!(parents(&loaded, "4"), "3");
    assert_eq!(parents(&loaded, "5"), "2 4");
    assert!(!get(&loaded, "5").has_down, "the template is no way back");

    let error = create("7", &["nope"]).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no migration `nope` to follow");
    let error = create("1.5", &[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(
        error
            .message()
            .starts_with("migration `1.5` would stand before `2`"),
        "{error:?}"
    );
    let error = create("2024_01", &[]).await.unwrap_err();
    assert_eq!(error.to_string(), "`2024_01` would be read as `2024`");
}

#[test]
fn an_unknown_setting_is_refused() {
    let config = AdapterConfig::new("source", "/base").with("pth", "x");
    let error = SqlSource::open(&config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(
        error.message().contains("`[source]`") && error.message().contains("`pth`"),
        "{error:?}"
    );
    let source = SqlSource::open(&AdapterConfig::new("source", "/base")).unwrap();
    assert_eq!(source.location(), "/base/migrations");
    let source = SqlSource::open(&AdapterConfig::new("source", "/base").with("path", "db")).unwrap();
    assert_eq!(source.location(), "/base/db");
}

#[tokio::test]
async fn the_example_shop_is_a_merge_of_two_branches() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/shop/sqlite");
    let loaded = SqlSource::new(path)
        .load(&Cx::background(), DialectKind::Sqlite)
        .await
        .unwrap();
    assert!(loaded.unmatched.is_empty(), "{:?}", loaded.unmatched);
    assert_eq!(loaded.graph.heads().len(), 1);
    assert_eq!(parents(&loaded, "20240617"), "20240603 20240610");
    assert!(
        loaded
            .graph
            .labels_of(&MigrationId::new("20240902"))
            .unwrap()
            .contains("coupons")
    );
}
