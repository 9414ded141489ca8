//! What the comments of a script say, and sections of single files.

use walkback_core::migration::SqlScript;
use walkback_core::{DialectKind, Direction, MigrationId};

use crate::folder::{Folder, UP, get, parents};

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
async fn a_script_says_how_long_its_statements_wait_and_take() {
    let folder = Folder::of(&[
        (
            "1_a/up.sql",
            "-- walkback: lock_timeout=500ms statement_timeout=10m\nSELECT 1;",
        ),
        ("1_a/down.sql", "-- walkback: lock_timeout=2s\nSELECT 2;"),
    ]);
    let of = |script: SqlScript| (script.lock_timeout, script.statement_timeout);
    let seconds = |seconds| Some(std::time::Duration::from_secs(seconds));
    let half = Some(std::time::Duration::from_millis(500));
    assert_eq!(of(folder.up("1").await), (half, seconds(600)));
    assert_eq!(of(folder.down("1").await), (seconds(2), None));
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
async fn an_allow_may_stand_at_the_head_of_both_scripts_and_before_any_statement() {
    let text = "-- walkback: allow=a-rule transaction=off\nSELECT 1;\n-- walkback: allow=a,b\n-- walkback: protect=off\nSELECT 2;\n";
    let single = format!("-- walkback: up\n{text}-- walkback: down allow=c\n{text}");
    let folder = Folder::of(&[("1_a/up.sql", text), ("1_a/down.sql", text), ("2_b.sql", &single)]);
    folder.load().await;
    assert_eq!(folder.up("1").await.text, text);
    assert_eq!(folder.down("1").await.text, text);
    assert!(!folder.up("2").await.transaction);
    for (line, message) in [
        (
            "-- walkback: allow=a transaction=off",
            "a directive stands behind a statement",
        ),
        ("-- walkback: allow", "the directive `allow` has no value"),
        ("-- walkback: allow=a,,b", "`allow=a,,b` leaves a name out"),
        (
            "-- walkback: protect=softly",
            "`protect=softly` is not one of auto, soft-delete, backup-table, capture, vault, off",
        ),
    ] {
        let folder = Folder::of(&[("1_a/up.sql", &format!("SELECT 1;\n{line}\nSELECT 2;"))]);
        let error = folder
            .script_for(DialectKind::Sqlite, "1", Direction::Up)
            .await
            .unwrap_err();
        assert_eq!(folder.told(error).0, format!("{message} (1_a/up.sql:2)"));
    }
}

#[tokio::test]
async fn a_down_script_without_a_statement_counts_as_not_written() {
    for down in ["", "\n \n", "-- the way back\n", "/* to do */", "\u{feff}-- x"] {
        let folder = Folder::of(&[("1_a/up.sql", UP), ("1_a/down.sql", down)]);
        let loaded = folder.load().await;
        assert!(!get(&loaded, "1").has_down, "{down:?}");
        let empty = get(&loaded, "1").empty_down.as_deref();
        assert!(
            empty.is_some_and(|file| file.ends_with("1_a/down.sql")),
            "{empty:?}"
        );
        assert_eq!(loaded.unmatched.len(), 1);
        assert_eq!(folder.script("1", Direction::Down).await, None);
    }
    let folder = Folder::of(&[("1_a.sql", "-- walkback: up\nSELECT 1;\n-- walkback: down\n\n")]);
    assert!(!get(&folder.load().await, "1").has_down);
    let folder = Folder::of(&[("1_a/up.sql", UP), ("1_a/down.sql", "/* nothing */ SELECT 1;")]);
    assert!(get(&folder.load().await, "1").has_down);
}

#[tokio::test]
async fn a_directive_that_is_wrong_is_told_with_its_line() {
    let told = async |up: &str| Folder::of(&[("1_a/up.sql", up)]).refuse().await;
    let both = |message: &str, hint: &str| (format!("{message} (1_a/up.sql:2)"), hint.to_owned());
    let all = "the directives are parents, label, depends_on, transaction, irreversible, phase, protect, lock_timeout, statement_timeout, allow";
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
            "`protect=softdelete` is not one of auto, soft-delete, backup-table, capture, vault, off",
            "did you mean `protect=soft-delete`?",
        ),
        (
            "parents=1,,2",
            "`parents=1,,2` leaves a name out",
            "write `parents=a` or `parents=a,b`",
        ),
        ("label=a label=b", "`label` is given twice", ""),
        (
            "lock_timeout=5",
            "`lock_timeout=5` is not a time",
            "write it with its unit: `lock_timeout=5s`, `lock_timeout=500ms`, `lock_timeout=10m`",
        ),
        (
            "statement_timeout=0s",
            "`statement_timeout=0s` is not a time",
            "write it with its unit: `statement_timeout=5s`, `statement_timeout=500ms`, `statement_timeout=10m`",
        ),
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

/// The file is sparse: 16 GiB that nobody has to store, and that nobody could read into memory.
#[tokio::test]
async fn a_statement_that_is_one_enormous_line_is_not_read_by_load() {
    let folder = Folder::of(&[("1_a/up.sql", "-- walkback: label=x\nINSERT INTO t VALUES ('")]);
    let file = std::fs::File::options()
        .append(true)
        .open(folder.path().join("1_a/up.sql"))
        .unwrap();
    file.set_len(16 << 30).unwrap();
    assert_eq!(get(&folder.load().await, "1").labels, ["x"]);
}
