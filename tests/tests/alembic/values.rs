//! A revision writes the same values whoever runs it: `alembic upgrade`, which gives them to a driver, or `walkback up`,
//! which has them written as SQL.

use walkback_tests::Backend;

use crate::project::{Alembic, Project, Revision};

/// What `env.py` says where there is no database, as people write it by hand.
const CONFIGURED: [&str; 4] = [
    "dialect_name=NAME, literal_binds=True",
    "url=config.get_main_option(\"sqlalchemy.url\"), literal_binds=True",
    "url=config.get_main_option(\"sqlalchemy.url\")",
    "url=config.get_main_option(\"sqlalchemy.url\"), literal_binds=True, dialect_opts={\"paramstyle\": \"named\"}",
];

const TABLE: &str = "\
op.create_table(
    \"t\",
    sa.Column(\"id\", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column(\"note\", sa.String(80), server_default=\"50% :x \\\\ off\"),
    sa.Column(\"day\", sa.Date),
    sa.Column(\"moment\", sa.DateTime),
    sa.Column(\"price\", sa.Numeric(10, 2)),
    sa.Column(\"is_new\", sa.Boolean),
    sa.Column(\"bytes\", sa.LargeBinary),
)";

/// What needs no driver: walkback has it written, and runs it itself.
const WRITTEN: &str = r#"import datetime, decimal
op.execute("insert into t (id) values (1)")
op.execute("insert into t (id, note) values (2, '100% sure')")
op.execute("insert into t (id, note) values (3, '100%% sure, %(x)s, %s')")
op.execute("insert into t (id, note) values (4, 'at 10:30, a::b, \\:c')")
op.execute("insert into t (id, note) values (5, 'O''Neil \"x\" `y` -- no # comment')")
op.execute("insert into t (id, note) values (6, 'a\tb;c')")
op.execute("insert into t (id, note) values (7, 'x') -- a comment")
op.execute("update t set note = 'mod' where id % 7 = 0")
op.execute(sa.text("insert into t (id, note, day, moment, price, is_new) values (:id, :note, :day, :moment, :price, :is_new)").bindparams(
    id=11, note="100% 'sure' %% \\ :x \t; -- #", day=datetime.date(2024, 2, 29), moment=datetime.datetime(2024, 2, 29, 23, 59, 58),
    price=decimal.Decimal("1.10"), is_new=True))
op.execute(sa.text("insert into t (id, note, day) values (:id, :note, :day)").bindparams(id=12, note=None, day=None))
t = sa.table("t", sa.column("id", sa.Integer), sa.column("note", sa.String), sa.column("day", sa.Date),
    sa.column("price", sa.Numeric), sa.column("is_new", sa.Boolean))
op.bulk_insert(t, [
    {"id": 21, "note": "100% %s %(x)s %%", "day": datetime.date(2024, 1, 1), "price": 1.5, "is_new": False},
    {"id": 22, "note": "it's 10:30 \\:c \\\\ \\n \"q\" \t.", "day": None, "price": None, "is_new": None},
])
op.execute(t.insert().values(id=23, note="a%b\\"))
op.execute(t.update().where(t.c.note == op.inline_literal("100% sure")).values(price=decimal.Decimal("2.50")))
op.execute(t.update().where(t.c.id % 5 == 0).values(note="100%: \\"))
op.get_bind().execute(sa.text("insert into t (id, note) values (:id, :note)"), {"id": 31, "note": "50% \\ it's"})"#;

/// What only a driver can send: Alembic runs it.
const SENT: [(&str, &str); 4] = [
    (
        "it writes a value of the type `bytes`",
        r#"op.execute(sa.text("insert into t (id, bytes) values (41, :b)").bindparams(b=b"\x00\xff\\%'"))"#,
    ),
    (
        "it writes a text that cannot be a literal",
        r#"op.execute(sa.text("insert into t (id, note) values (42, :n)").bindparams(n="a\\:b"))"#,
    ),
    (
        "it writes a value of the type `float`",
        r#"op.execute(sa.text("update t set price = price * :f").bindparams(f=0.1))"#,
    ),
    (
        "it runs a statement with many rows of parameters",
        r#"op.get_bind().execute(sa.text("insert into t (id, note) values (:i, :n)"), [{"i": 43, "n": "50%"}, {"i": 44, "n": None}])"#,
    ),
];

fn configure(project: &Project, said: &str) {
    let name = match project.sandbox.backend() {
        Backend::Sqlite => "\"sqlite\"",
        Backend::Mysql | Backend::Mariadb => "\"mysql\"",
        _ => "\"postgresql\"",
    };
    let env = std::fs::read_to_string(project.sandbox.path("db/env.py")).expect("it was written");
    let usual = "        url=config.get_main_option(\"sqlalchemy.url\"), literal_binds=True, dialect_opts={\"paramstyle\": \"named\"}\n";
    assert!(env.contains(usual), "{env}");
    project.sandbox.write(
        "db/env.py",
        &env.replace(usual, &format!("        {}\n", said.replace("NAME", name))),
    );
}

fn add(project: &Project, upgrade: &str) {
    project.add(&Revision::new("aaa1", "None", TABLE, "op.drop_table(\"t\")"));
    project.add(&Revision::new(
        "bbb2",
        "\"aaa1\"",
        upgrade,
        "op.execute(\"delete from t\")",
    ));
}

/// Returns each column of each row, as the database writes it.
fn rows(project: &Project) -> Vec<String> {
    let mut session = project.sandbox.session();
    let (text, bytes) = match project.sandbox.backend() {
        Backend::Sqlite => ("TEXT", "hex(bytes)"),
        Backend::Mysql | Backend::Mariadb => ("CHAR", "hex(bytes)"),
        _ => ("TEXT", "encode(bytes, 'hex')"),
    };
    let columns = ["id", "note", "day", "moment", "price", "is_new", bytes];
    columns
        .iter()
        .flat_map(|column| {
            let shown = format!("SELECT coalesce(CAST({column} AS {text}), '(null)') FROM t ORDER BY id");
            session.column(&shown)
        })
        .collect()
}

pub(crate) fn the_values_are_those_that_alembic_writes(backend: Backend) {
    let alone = Project::new(backend);
    add(&alone, WRITTEN);
    Alembic::of(&alone).run(&alone, "upgrade", &["head"]);
    let expected = rows(&alone);
    for note in ["100% sure", "100%% sure, %(x)s, %s", "a%b\\"] {
        assert!(expected.iter().any(|value| value == note), "{note}: {expected:?}");
    }
    for said in CONFIGURED {
        let project = Project::new(backend);
        configure(&project, said);
        add(&project, WRITTEN);
        let plan = project.sandbox.ok(&["up", "--dry-run"]);
        assert!(!plan.stdout.contains("run by Alembic"), "{}", plan.transcript());
        project.sandbox.ok(&["up", "-y"]);
        assert_eq!(rows(&project), expected, "{said}");
    }
}

pub(crate) fn what_only_a_driver_can_send_is_run_by_alembic(backend: Backend) {
    for (why, upgrade) in SENT {
        let (alone, project) = (Project::new(backend), Project::new(backend));
        for project in [&alone, &project] {
            add(
                project,
                &format!("op.execute(\"insert into t (id, price) values (40, 7.5)\")\n{upgrade}"),
            );
        }
        configure(&project, CONFIGURED[0]);
        Alembic::of(&alone).run(&alone, "upgrade", &["head"]);
        let plan = project.sandbox.ok(&["up", "--dry-run"]);
        assert!(plan.stdout.contains(why), "{why}: {}", plan.transcript());
        project.sandbox.ok(&["up", "-y"]);
        assert_eq!(rows(&project), rows(&alone), "{upgrade}");
    }
}

pub(crate) fn a_parameter_without_a_value_is_refused(backend: Backend) {
    for said in CONFIGURED {
        let project = Project::new(backend);
        configure(&project, said);
        add(
            &project,
            "op.execute(\"insert into t (id, note) values (2, 'time 10:30 :c')\")",
        );
        let mut alembic = Alembic::of(&project);
        project.sandbox.ok(&["up", "-y", "aaa1"]);
        let refused = alembic.try_run(&project.url(), "upgrade", &["head"], serde_json::json!({}));
        assert!(refused.is_err(), "{refused:?}");
        let plan = project.sandbox.ok(&["up", "--dry-run"]);
        assert!(
            plan.stdout.contains("it gives no value for the parameter `c`"),
            "{}",
            plan.transcript()
        );
        let output = project.walkback(&["up", "-y"]);
        assert_ne!(output.code, Some(0), "{}", output.transcript());
        assert!(output.stderr.contains("bbb2_step.py:"), "{}", output.transcript());
        assert_eq!(project.sandbox.value("SELECT count(*) FROM t"), "0", "{said}");
        assert_eq!(project.versions(), ["aaa1".to_owned()].into());
    }
}
