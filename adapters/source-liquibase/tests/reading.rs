//! What is read of a project, seen from outside. Where Liquibase is named, it is version 4.28.0 that did the same.

use std::fs;
use std::sync::Arc;

use tempfile::TempDir;
use walkback_core::{AdapterConfig, Cx, DialectKind, Direction, Error, Migration, MigrationSource, Script};
use walkback_source_liquibase::LiquibaseSource;

/// A project whose root changelog is `root.xml`, or another one.
struct Project {
    folder: TempDir,
    source: Arc<LiquibaseSource>,
    runtime: tokio::runtime::Runtime,
}

impl Project {
    fn new(root: &str, files: &[(&str, &str)]) -> Self {
        Self::with(root, files, |config| config)
    }

    fn with(root: &str, files: &[(&str, &str)], set: impl FnOnce(AdapterConfig) -> AdapterConfig) -> Self {
        let folder = TempDir::new().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let text = match name.rsplit_once('.') {
                Some((_, "xml")) if !text.starts_with("<databaseChangeLog") => {
                    format!("<databaseChangeLog>\n{text}\n</databaseChangeLog>")
                }
                Some((_, "sql")) if text.starts_with("--changeset") => {
                    format!("--liquibase formatted sql\n{text}\n")
                }
                _ => (*text).to_owned(),
            };
            fs::write(path, text).unwrap();
        }
        let config = set(AdapterConfig::new("source", folder.path()).with("path", root));
        Self {
            source: Arc::new(LiquibaseSource::open(&config).unwrap()),
            folder,
            runtime: tokio::runtime::Builder::new_current_thread().build().unwrap(),
        }
    }

    fn load(&self) -> Result<Vec<Migration>, Error> {
        let cx = Cx::background();
        let loading = self.source.load(&cx, DialectKind::Postgres);
        let loaded = self.runtime.block_on(loading)?;
        Ok(loaded.graph.iter().cloned().collect())
    }

    fn ids(&self) -> Vec<String> {
        self.load()
            .unwrap()
            .into_iter()
            .map(|migration| migration.id.0)
            .collect()
    }

    fn error(&self) -> String {
        let error = self.load().unwrap_err().to_string();
        error.replace(&format!("{}/", self.folder.path().display()), "")
    }

    /// Returns the statements of the way up of a changeset, or why it has none.
    fn up(&self, index: usize) -> Result<String, String> {
        let id = self.load().unwrap()[index].id.clone();
        let cx = Cx::background();
        let script = self.source.script(&cx, DialectKind::Postgres, &id, Direction::Up);
        match self.runtime.block_on(script) {
            Ok(Some(Script::Sql(script))) => Ok(script.text.trim().to_owned()),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error
                .to_string()
                .replace(&format!("{}/", self.folder.path().display()), "")),
        }
    }

    fn told(&self, index: usize, column: &str) -> Option<String> {
        let id = self.load().unwrap()[index].id.clone();
        let told = self.source.ledger(DialectKind::Postgres).told;
        told[&id].values.get(column).cloned()
    }
}

/// The sum of a file is that of its text as it stands there; the sum of what is written in place is that of what it becomes.
#[test]
fn sums_are_of_the_same_text_as_in_liquibase() {
    let project = Project::new(
        "f.xml",
        &[
            (
                "f.xml",
                "<property name=\"who\" value=\"them\"/>\n\
                 <changeSet id=\"1\" author=\"a\"><sqlFile path=\"f.sql\"/></changeSet>\n\
                 <changeSet id=\"2\" author=\"a\"><sql>SELECT '${WHO}';</sql></changeSet>",
            ),
            ("f.sql", "SELECT '${who}';\n"),
        ],
    );
    assert_eq!(project.up(0).unwrap(), "SELECT 'them';");
    let sums: Vec<_> = project
        .load()
        .unwrap()
        .into_iter()
        .map(|one| one.up_hash.unwrap())
        .collect();
    assert_eq!(
        sums,
        [
            "9:edb88073bf2cb891ddf95f91b39bfd4c",
            "9:57f1f9a71c93cbee7c1e987ac2143b1f"
        ]
    );
}

#[test]
fn what_only_the_environment_of_liquibase_knows_is_refused() {
    let project = Project::new(
        "root.xml",
        &[
            (
                "root.xml",
                "<changeSet id=\"1\" author=\"a\"><sql>\nSELECT '${HOME}'</sql></changeSet>\n\
                 <changeSet id=\"2\" author=\"a\"><sql>SELECT '${:x} ${}'</sql></changeSet>\n\
                 <include file=\"in.sql\"/>",
            ),
            ("in.sql", "--changeset a:3\nSELECT 1;\nSELECT '${user.name}';"),
        ],
    );
    let error = project.up(0).unwrap_err();
    assert!(
        error.contains("`${HOME}`") && error.contains("root.xml:2"),
        "{error}"
    );
    assert_eq!(project.up(1).unwrap(), "SELECT '${:x} ${}'");
    let error = project.up(2).unwrap_err();
    assert!(
        error.contains("`${user.name}`") && error.contains("in.sql:4"),
        "{error}"
    );
}

#[test]
fn a_property_that_is_not_global_ends_with_its_changelog() {
    let project = Project::new(
        "root.xml",
        &[
            (
                "root.xml",
                "<property name=\"near\" value=\"outer\" global=\"false\"/><include file=\"in.sql\"/>\n\
                 <changeSet id=\"1\" author=\"a\"><sql>SELECT '${near}'</sql></changeSet>",
            ),
            (
                "in.sql",
                "--property name:near value:inner global:false\n--changeset a:2\nSELECT '${Near}';",
            ),
        ],
    );
    // The first line of a changelog in SQL is its header.
    fs::write(
        project.folder.path().join("in.sql"),
        "--liquibase formatted sql\n--property name:near value:inner global:false\n--changeset a:2\nSELECT '${Near}';",
    )
    .unwrap();
    assert_eq!(project.up(0).unwrap(), "SELECT 'inner';");
    assert_eq!(project.up(1).unwrap(), "SELECT 'outer'");
}

#[test]
fn a_folder_is_included_as_far_as_is_asked() {
    let of = |attributes: &str| {
        let root = format!("<includeAll path=\"all\" {attributes}/>");
        let files = [
            ("root.xml", root.as_str()),
            ("all/a.sql", "--changeset x:1\nSELECT 1;"),
            ("all/sub/b.sql", "--changeset x:1\nSELECT 1;"),
            ("all/sub/deep/c.sql", "--changeset x:1\nSELECT 1;"),
        ];
        let ids = Project::new("root.xml", &files).ids();
        let letter = |id: String| id.split('.').next().unwrap_or_default().chars().last();
        ids.into_iter().filter_map(letter).collect::<String>()
    };
    assert_eq!(of(""), "abc");
    assert_eq!(of("maxDepth=\"1\" endsWithFilter=\".SQL\""), "a");
    assert_eq!(of("minDepth=\"2\""), "bc");
    assert_eq!(of("minDepth=\"1\" maxDepth=\"2\""), "ab");
    assert_eq!(of("endsWithFilter=\"b.sql\""), "b");
    assert_eq!(of("ignore=\"true\""), "");
}

#[test]
fn what_an_element_says_and_nothing_follows_is_refused() {
    let included = ("in.sql", "--changeset x:1\nSELECT 1;");
    for (root, said) in [
        (
            "<include file=\"in.sql\" strange=\"1\"/>",
            "`strange` of `include`",
        ),
        (
            "<includeAll path=\".\" strange=\"1\"/>",
            "`strange` of `includeAll`",
        ),
        (
            "<property name=\"a\" value=\"b\" strange=\"1\"/>",
            "`strange` of `property`",
        ),
        (
            "<databaseChangeLog strange=\"1\"></databaseChangeLog>",
            "`strange` of `databaseChangeLog`",
        ),
        (
            "<changeSet id=\"1\" author=\"a\" runOrder=\"second\"/>",
            "`runOrder` is `first` or `last`",
        ),
    ] {
        let error = Project::new("root.xml", &[("root.xml", root), included]).error();
        assert!(error.contains(said) && error.contains("root.xml:"), "{error}");
    }
    let sql = "<sql>SELECT 1</sql>";
    for (attributes, inside, said) in [
        ("strange=\"1\"", sql, "`strange`"),
        ("runWith=\"psql\"", sql, "`runWith=psql`"),
        ("runWithSpoolFile=\"x\"", sql, "`runWithSpoolFile`"),
        (
            "onValidationFail=\"MARK_RAN\"",
            sql,
            "`onValidationFail=MARK_RAN`",
        ),
        ("", "<sql strange=\"1\">SELECT 1</sql>", "`strange` of `sql`"),
        (
            "",
            "<sqlFile path=\"in.sql\" strange=\"1\"/>",
            "`strange` of `sqlFile`",
        ),
        (
            "",
            "<sqlFile path=\"in.sql\" encoding=\"UTF-16\"/>",
            "`encoding=utf-16` of `sqlFile`",
        ),
        (
            "",
            "<sql>SELECT 1</sql><rollback strange=\"1\"/>",
            "`strange` of the rollback",
        ),
        (
            "",
            "<preConditions strange=\"1\"/><sql>SELECT 1</sql>",
            "`strange` of a precondition",
        ),
        (
            "objectQuotingStrategy=\"QUOTE_ALL_OBJECTS\"",
            "<dropTable tableName=\"t\"/>",
            "`dropTable` with `objectQuotingStrategy=QUOTE_ALL_OBJECTS`",
        ),
    ] {
        let root = format!("<changeSet id=\"1\" author=\"a\" {attributes}>{inside}</changeSet>");
        let error = Project::new("root.xml", &[("root.xml", &root), included])
            .up(0)
            .unwrap_err();
        assert!(error.contains(said) && error.contains("root.xml:2"), "{error}");
    }
    for (header, said) in [
        ("runWith:psql", "`runWith:psql`"),
        ("runWithSpoolFile:x", "`runWithSpoolFile`"),
    ] {
        let text = format!("--changeset a:1 {header}\nSELECT 1;");
        let error = Project::new("c.sql", &[("c.sql", &text)]).up(0).unwrap_err();
        assert!(error.contains(said) && error.contains("c.sql:2"), "{error}");
    }
    // What only concerns names that Liquibase writes does not concern SQL.
    let root = format!(
        "<changeSet id=\"1\" author=\"a\" objectQuotingStrategy=\"QUOTE_ALL_OBJECTS\">{sql}</changeSet>"
    );
    assert!(Project::new("root.xml", &[("root.xml", &root)]).up(0).is_ok());
}

#[test]
fn the_quoting_of_a_whole_changelog_is_that_of_its_changesets() {
    let root = "<databaseChangeLog objectQuotingStrategy=\"QUOTE_ONLY_RESERVED_WORDS\">\
        <changeSet id=\"1\" author=\"a\"><dropTable tableName=\"t\"/></changeSet>\
        <changeSet id=\"2\" author=\"a\" objectQuotingStrategy=\"LEGACY\"><dropTable tableName=\"t\"/></changeSet></databaseChangeLog>";
    let project = Project::new("root.xml", &[("root.xml", root)]);
    assert!(project.up(0).unwrap_err().contains("QUOTE_ONLY_RESERVED_WORDS"));
    assert!(project.up(1).is_ok());
}

/// Contexts and labels of what includes a changeset, as the ledger of Liquibase had them.
#[test]
fn contexts_and_labels_come_from_all_that_includes_a_changeset() {
    let files = [
        (
            "n1.xml",
            "<databaseChangeLog context=\"r\"><include file=\"n2.xml\" context=\"i1\" labels=\"l1\"/></databaseChangeLog>",
        ),
        (
            "n2.xml",
            "<databaseChangeLog context=\"s\"><include file=\"n3.xml\" context=\"i2\" labels=\"l2\"/>\
             <changeSet id=\"0\" author=\"n\"><sql>select 1</sql></changeSet></databaseChangeLog>",
        ),
        (
            "n3.xml",
            "<databaseChangeLog context=\"t\"><changeSet id=\"1\" author=\"n\" context=\"own\" labels=\"own\">\
             <sql>select 1</sql></changeSet></databaseChangeLog>",
        ),
    ];
    let project = Project::new("n1.xml", &files);
    let told = |index, column| project.told(index, column);
    assert_eq!(
        told(0, "contexts").as_deref(),
        Some("t AND i2 AND s AND i1 AND r AND own")
    );
    assert_eq!(told(0, "labels").as_deref(), Some("l2,l1,own"));
    assert_eq!(told(1, "contexts").as_deref(), Some("s AND i1 AND r"));
    assert_eq!(told(1, "labels").as_deref(), Some("l1"));
    // And all of them decide.
    let asked = |contexts: &[&str]| {
        let contexts: Vec<String> = contexts.iter().map(|one| (*one).to_owned()).collect();
        Project::with("n1.xml", &files, |config| config.with("contexts", contexts))
            .ids()
            .len()
    };
    assert_eq!(asked(&["t", "i2", "s", "i1", "r", "own"]), 2);
    assert_eq!(asked(&["s", "i1", "r"]), 1);
    assert_eq!(asked(&["t", "i2", "s", "i1", "own"]), 0);
}

#[test]
fn an_expression_that_cannot_be_read_is_an_error_by_its_line() {
    let project = Project::new(
        "c.sql",
        &[("c.sql", "--changeset a:1 context:\"dev and\"\nSELECT 1;")],
    );
    let error = project.error();
    assert!(
        error.contains("`dev and`") && error.contains("c.sql:2"),
        "{error}"
    );
    let at = "--changeset a:1 context:@dev\nSELECT 1;\n--changeset a:2 context:!@dev\nSELECT 2;";
    assert_eq!(Project::new("c.sql", &[("c.sql", at)]).ids(), ["c.sql::2::a"]);
}

#[test]
fn first_and_last_are_so_among_all_files() {
    let change = |id: u8, order: &str| {
        format!("<changeSet id=\"{id}\" author=\"a\" {order}><sql>SELECT {id}</sql></changeSet>")
    };
    let root = format!(
        "{}{}<include file=\"in.xml\"/>{}",
        change(1, "runOrder=\"last\""),
        change(2, ""),
        change(3, "runOrder=\"first\"")
    );
    let inner = format!("{}{}", change(4, "runOrder=\"first\""), change(5, ""));
    let project = Project::new("root.xml", &[("root.xml", &root), ("in.xml", &inner)]);
    assert_eq!(
        project.ids(),
        [
            "in.xml::4::a",
            "root.xml::3::a",
            "root.xml::2::a",
            "in.xml::5::a",
            "root.xml::1::a"
        ]
    );
}

#[test]
fn what_a_whole_changelog_asks_for_and_nobody_can_ask_refuses_its_changesets() {
    for (group, said) in [
        (
            "<preConditions><tableExists tableName=\"t\"/></preConditions>",
            "the precondition `tableExists`",
        ),
        (
            "<preConditions onFail=\"MARK_RAN\"><dbms type=\"postgresql\"/></preConditions>",
            "`onFail` of the preconditions",
        ),
        (
            "<preConditions><sqlCheck expectedResult=\"1\">SELECT ${n}</sqlCheck></preConditions>",
            "`${n}`",
        ),
    ] {
        let root = format!("{group}<include file=\"in.sql\"/>");
        let files = [
            ("root.xml", root.as_str()),
            ("in.sql", "--changeset a:1\nSELECT 1;"),
        ];
        let error = Project::new("root.xml", &files).up(0).unwrap_err();
        assert!(error.contains(said) && error.contains("root.xml:2"), "{error}");
    }
    let root = "<preConditions><dbms type=\"postgresql, h2\"/></preConditions><include file=\"in.sql\"/>";
    let files = [("root.xml", root), ("in.sql", "--changeset a:1\nSELECT 1;")];
    assert!(Project::new("root.xml", &files).up(0).is_ok());
}
