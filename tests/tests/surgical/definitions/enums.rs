//! Types that a migration changes or names otherwise, while columns are of them.

use walkback_tests::{Backend, Sandbox};

use super::{rows, walk_back};

/// An enum, and everything that a column of it may be part of.
const BEGIN: &str = "\
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE pair AS (a INTEGER, m mood);
CREATE DOMAIN fine AS mood CHECK (VALUE <> 'sad');
CREATE TABLE t (id INTEGER PRIMARY KEY, m mood NOT NULL DEFAULT 'ok', ms mood[], n INTEGER, CHECK (m <> 'sad' OR id < 10));
CREATE INDEX t_fine ON t (m) WHERE m <> 'sad';
CREATE TABLE \"the rest\" (id INTEGER PRIMARY KEY, \"the mood\" mood, p pair, f fine[], UNIQUE (\"the mood\"));
CREATE TABLE days (id INTEGER PRIMARY KEY, m mood DEFAULT 'ok' REFERENCES \"the rest\" (\"the mood\")) PARTITION BY RANGE (id);
CREATE TABLE days_low PARTITION OF days FOR VALUES FROM (0) TO (100);
ALTER TABLE days_low ALTER COLUMN m SET DEFAULT 'sad';
CREATE TABLE days_high PARTITION OF days FOR VALUES FROM (100) TO (200);
ALTER TABLE days_high ALTER COLUMN m DROP DEFAULT;
CREATE INDEX days_fine ON days (m) WHERE m <> 'sad';
CREATE VIEW fine_ones AS SELECT id, m FROM t WHERE m = 'ok';
CREATE VIEW told AS SELECT id FROM \"the rest\" WHERE \"the mood\"::text = 'ok';
CREATE FUNCTION told_by(mood) RETURNS TEXT LANGUAGE sql AS $$ SELECT $1::text $$;
CREATE FUNCTION kept() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER kept BEFORE UPDATE OF \"the mood\" ON \"the rest\" FOR EACH ROW WHEN (NEW.\"the mood\" = 'ok') EXECUTE FUNCTION kept();
ALTER TABLE \"the rest\" DISABLE TRIGGER kept;
COMMENT ON TYPE mood IS 'how it is';
COMMENT ON COLUMN pair.m IS 'a mood';
COMMENT ON FUNCTION told_by(mood) IS 'says it';
REVOKE USAGE ON TYPE mood FROM PUBLIC;
INSERT INTO t VALUES (1, 'sad', '{ok,sad}', 1), (2, 'ok', NULL, 2);
INSERT INTO \"the rest\" VALUES (1, 'ok', '(1,sad)', '{ok}'), (2, 'sad', NULL, NULL);
INSERT INTO days VALUES (1, 'sad'), (2, 'ok');
";

fn project(backend: Backend, change: &str) -> Sandbox {
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.write("migrations/0001_begin.up.sql", BEGIN);
    sandbox.write("migrations/0002_change.up.sql", change);
    sandbox
}

/// Everything `pg_dump` would say of what stands on types, in the words of the server.
fn said_of_types(sandbox: &Sandbox) -> String {
    sandbox.value(
        "SELECT string_agg(said, E'\\n' ORDER BY said) FROM (\
           SELECT format('type %s %s %s', t.typname, t.typacl, obj_description(t.oid, 'pg_type')) || ' ' || \
             (SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid) AS said \
           FROM pg_type t WHERE t.typtype = 'e' \
           UNION ALL SELECT format('column %s.%s %s %s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), \
             pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum)) FROM pg_attribute a \
             JOIN pg_class c ON c.oid = a.attrelid AND c.relkind <> 'i' LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum \
             WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relnamespace = 'public'::regnamespace AND c.relname !~ '^(_walkback|alembic)' \
           UNION ALL SELECT 'index ' || pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid \
             WHERE c.relnamespace = 'public'::regnamespace AND c.relname !~ '^(_walkback|alembic)' \
           UNION ALL SELECT format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint \
             WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text !~ '^(_walkback|alembic)' AND contype <> 'n' \
           UNION ALL SELECT format('trigger %s %s', pg_get_triggerdef(oid), tgenabled) FROM pg_trigger WHERE NOT tgisinternal \
           UNION ALL SELECT format('routine %s %s', oid::regprocedure, obj_description(oid, 'pg_proc')) FROM pg_proc \
             WHERE pronamespace = 'public'::regnamespace) all_of_it",
    )
}

/// Goes up, back, forth and back again, and finds everything as it was each time.
fn there_and_back(sandbox: &Sandbox) {
    sandbox.ok(&["up", "-y", "-n", "1"]);
    let (before, contents) = (said_of_types(sandbox), sandbox.contents());
    sandbox.ok(&["up", "-y"]);
    let (after, changed) = (said_of_types(sandbox), sandbox.contents());
    assert_ne!(before, after);
    for _ in 0..2 {
        sandbox.ok(&["rollback", "-y"]);
        assert_eq!(said_of_types(sandbox), before);
        sandbox.assert_contents(&contents, "the database is not as it was before");
        sandbox.ok(&["rollback", "-y"]);
        assert_eq!(said_of_types(sandbox), after);
        sandbox.assert_contents(&changed, "the rollback was not walked back");
    }
}

pub(crate) fn a_value_that_an_enum_got_goes_again(backend: Backend) {
    let sandbox = project(backend, "ALTER TYPE mood ADD VALUE 'happy' AFTER 'sad';");
    there_and_back(&sandbox);
    sandbox.sql("INSERT INTO t (id) VALUES (3)");
    sandbox.sql("INSERT INTO \"the rest\" VALUES (3, 'happy')");
    let now = sandbox.contents();
    let refused = sandbox.run(&["rollback", "-y", "-n", "1"]);
    assert_ne!(refused.code, Some(0), "{}", refused.transcript());
    for said in [
        "\"the mood\" of table \"the rest\"",
        "nothing was changed",
        "SELECT DISTINCT",
        "happy",
    ] {
        assert!(refused.stderr.contains(said), "{}", refused.transcript());
    }
    sandbox.assert_contents(&now, "what was refused changed something");
    sandbox.sql("UPDATE \"the rest\" SET \"the mood\" = NULL WHERE id = 3");
    sandbox.ok(&["rollback", "-y", "-n", "1"]);
    assert_eq!(
        rows(&sandbox, "t", "id, m, ms"),
        "1|sad|{ok,sad} 2|ok 3|ok",
        "a row written since is lost"
    );
    // As often as it is asked for.
    sandbox.ok(&["up", "-y"]);
    sandbox.sql("INSERT INTO t (id, m) VALUES (4, 'happy')");
}

pub(crate) fn an_enum_goes_back_together_with_what_is_lossy(backend: Backend) {
    let change = "ALTER TYPE mood ADD VALUE 'happy';\nALTER TABLE t DROP COLUMN n;\nDELETE FROM days WHERE id = 1;\n\
        ALTER TABLE \"the rest\" ADD COLUMN more INTEGER;\nUPDATE \"the rest\" SET more = 1;";
    let sandbox = project(backend, change);
    there_and_back(&sandbox);
    sandbox.sql("INSERT INTO t (id) VALUES (3); UPDATE t SET ms = '{ok}' WHERE id = 2; INSERT INTO days VALUES (3, 'ok')");
    walk_back(&sandbox, &[]);
    assert_eq!(
        rows(&sandbox, "t", "id, m, ms, n"),
        "1|sad|{ok,sad}|1 2|ok|{ok}|2 3|ok"
    );
    assert_eq!(rows(&sandbox, "days", "id, m"), "1|sad 2|ok 3|ok");
}

pub(crate) fn types_under_another_name_go_back_together_with_what_is_lossy(backend: Backend) {
    let change = "ALTER TYPE mood RENAME TO feeling;\nALTER DOMAIN fine RENAME TO \"fine one\";\nALTER TABLE t DROP COLUMN n;\n\
        DELETE FROM days WHERE id = 1;";
    let sandbox = project(backend, change);
    there_and_back(&sandbox);
    sandbox
        .sql("INSERT INTO t (id) VALUES (3); INSERT INTO \"the rest\" VALUES (3, NULL, '(2,ok)', '{ok,ok}')");
    walk_back(&sandbox, &[]);
    assert_eq!(
        rows(&sandbox, "t", "id, m, ms, n"),
        "1|sad|{ok,sad}|1 2|ok|2 3|ok"
    );
    let rest = rows(&sandbox, "\"the rest\"", "id, \"the mood\", p, f");
    assert_eq!(rest, "1|ok|(1,sad)|{ok} 2|sad 3|(2,ok)|{ok,ok}");
}
