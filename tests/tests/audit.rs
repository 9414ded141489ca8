//! The audit: what was done and refused is in it, nobody changes it unseen, and a kill leaves it whole.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use rand::Rng as _;
use walkback_tests::{Backend, ONE_OF_EACH, Output, Sandbox, journeys, report};

fn main() -> ExitCode {
    walkback_tests::main(
        "audit",
        &journeys! {
            ONE_OF_EACH => [
                what_was_done_and_what_was_refused_is_in_the_audit,
                what_somebody_changes_is_found_and_named,
                a_run_that_somebody_changes_in_the_journal_is_found,
                what_somebody_takes_away_as_a_whole_is_found_by_the_store,
                a_run_killed_at_any_step_is_in_a_whole_audit,
                a_store_that_was_away_catches_up,
                many_refused_at_once_are_all_in_one_chain,
                neither_a_rollback_nor_a_restore_takes_entries_away,
                two_databases_share_a_store,
            ],
            &[Backend::Sqlite] => [an_encrypted_store_has_only_the_hashes],
        },
    )
}

fn project(backend: Backend) -> Sandbox {
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.migration(
        "001_begin",
        "CREATE TABLE a (id INTEGER PRIMARY KEY, note VARCHAR(20)); INSERT INTO a VALUES (1, 'first');",
        "DROP TABLE a;",
    );
    sandbox
}

fn entries(sandbox: &Sandbox, what: &str) -> i64 {
    let count = sandbox.value(&format!("SELECT count(*) FROM _walkback_audit WHERE {what}"));
    count.parse().expect("a number")
}

#[track_caller]
fn assert_whole(sandbox: &Sandbox, when: &str) -> Output {
    let output = sandbox.run(&["audit", "--verify"]);
    assert_eq!(output.code, Some(0), "{when}: {}", output.transcript());
    assert!(
        output.stdout.contains("is whole"),
        "{when}: {}",
        output.transcript()
    );
    output
}

/// The audit is found wrong, first with this.
#[track_caller]
fn assert_wrong(sandbox: &Sandbox, place: &str, seq: i64, what: &str) {
    let output = sandbox.run(&["audit", "--verify", "--json"]);
    assert_eq!(output.code, Some(3), "{what}: {}", output.transcript());
    let found = output.json();
    assert_eq!(found["verified"], false);
    let findings = found["audit"]["findings"].as_array().expect("findings");
    let of_place = findings.iter().find(|found| found["place"] == place);
    let first = of_place.unwrap_or_else(|| panic!("nothing of {place}: {}", output.transcript()));
    assert_eq!(first["seq"], seq, "{what}: {}", output.transcript());
    let said = first["what"].as_str().expect("words");
    assert!(said.contains(what), "{what}: {}", output.transcript());
    let told = sandbox.run(&["audit", "--verify"]);
    assert_eq!(told.code, Some(3), "{}", told.transcript());
    assert!(told.stdout.contains(what), "{}", told.transcript());
}

fn files(sandbox: &Sandbox) -> Vec<PathBuf> {
    sandbox.vault_files("audit")
}

fn lines(sandbox: &Sandbox) -> Vec<serde_json::Value> {
    let texts = files(sandbox)
        .into_iter()
        .map(|file| fs::read_to_string(file).expect("a file of the audit"));
    let texts: Vec<String> = texts.collect();
    texts
        .iter()
        .flat_map(|text| text.lines())
        .map(|line| serde_json::from_str(line).expect("a line is an object"))
        .collect()
}

fn what_was_done_and_what_was_refused_is_in_the_audit(backend: Backend) {
    let sandbox = project(backend);
    let nothing = sandbox.ok(&["audit", "--verify"]);
    assert!(
        nothing.stdout.contains("no audit yet"),
        "{}",
        nothing.transcript()
    );
    sandbox.ok(&["up", "-y", "--ticket", "OPS-1", "--reason", "the \"first\" one"]);
    assert_whole(&sandbox, "after an up");
    assert_eq!(
        entries(&sandbox, "event = 'begun' AND kind = 'up' AND ticket = 'OPS-1'"),
        1
    );
    assert_eq!(
        entries(
            &sandbox,
            "event = 'ended' AND outcome = 'done' AND reason = 'the \"first\" one'"
        ),
        1
    );
    sandbox.ok(&["down", "--dry-run"]);
    assert_eq!(entries(&sandbox, "seq > 0"), 2, "a dry run writes nothing");
    sandbox.sql("INSERT INTO a VALUES (2, 'second'), (3, 'third')");
    sandbox.policy("require_ticket = true");
    let refused = sandbox.run(&["down", "-y", "--reason", "without one"]);
    assert_eq!(refused.code, Some(6), "{}", refused.transcript());
    assert_eq!(
        entries(
            &sandbox,
            "event = 'refused' AND kind = 'down' AND reason = 'without one' AND detail LIKE '%needs a ticket%'"
        ),
        1
    );
    assert_eq!(lines(&sandbox).len(), 2, "the next run copies the refusal");
    let waiting = assert_whole(&sandbox, "after a refusal");
    assert!(
        waiting.stdout.contains("(1 more with the next run that ends)"),
        "{}",
        waiting.transcript()
    );
    sandbox.ok(&["down", "-y", "--ticket", "OPS-2", "--allow-lossy"]);
    assert_eq!(
        sandbox.value("SELECT lost FROM _walkback_audit WHERE event = 'ended' AND ticket = 'OPS-2'"),
        "a: 2 rows"
    );
    assert_whole(&sandbox, "after a refusal and a down");
    let who = lines(&sandbox);
    assert_eq!(who.len(), 5);
    for name in [
        "user_name",
        "host_name",
        "process_id",
        "environment",
        "database_name",
    ] {
        assert!(!who[4][name].is_null(), "{name}: {}", who[4]);
    }
    sandbox.migration("002_bad", "INSERT INTO nowhere VALUES (1);", "");
    let failed = sandbox.run(&["up", "-y", "--ticket", "OPS-3"]);
    assert_eq!(failed.code, Some(1), "{}", failed.transcript());
    assert_eq!(entries(&sandbox, "event = 'ended' AND outcome = 'failed'"), 1);
    assert_whole(&sandbox, "after a failure");
}

/// Six entries, of three runs.
fn six(backend: Backend) -> Sandbox {
    let sandbox = project(backend);
    sandbox.migration(
        "002_more",
        "CREATE TABLE b (id INTEGER PRIMARY KEY);",
        "DROP TABLE b;",
    );
    sandbox.migration(
        "003_last",
        "CREATE TABLE c (id INTEGER PRIMARY KEY);",
        "DROP TABLE c;",
    );
    for _ in 0..3 {
        sandbox.ok(&["up", "-n", "1", "-y"]);
    }
    assert_eq!(entries(&sandbox, "seq > 0"), 6);
    assert_whole(&sandbox, "untouched");
    sandbox
}

fn what_somebody_changes_is_found_and_named(backend: Backend) {
    let sandbox = six(backend);
    sandbox.sql("CREATE TABLE kept AS SELECT * FROM _walkback_audit");
    let back = || {
        sandbox.sql("DELETE FROM _walkback_audit");
        sandbox.sql("INSERT INTO _walkback_audit SELECT * FROM kept");
    };
    for (column, value) in [
        ("detail", "'nothing'"),
        ("user_name", "'nobody'"),
        ("process_id", "1"),
        ("ticket", "'OPS-9'"),
        ("event", "NULL, user_name = 'nobody', detail = NULL"),
        ("event", "'', user_name = 'nobody'"),
    ] {
        sandbox.sql(&format!(
            "UPDATE _walkback_audit SET {column} = {value} WHERE seq = 3"
        ));
        assert_wrong(&sandbox, "database", 3, "entry 3 was edited");
        back();
    }
    // Whoever computes the hash anew has to do so for all that follow.
    let mut forged = lines(&sandbox)[2].clone();
    forged["reason"] = "forged".into();
    let object = forged.as_object_mut().expect("an object");
    object.shift_remove("entry_hash");
    let hash = blake3::hash(serde_json::to_string(&forged).expect("JSON").as_bytes()).to_hex();
    sandbox.sql(&format!(
        "UPDATE _walkback_audit SET reason = 'forged', entry_hash = '{hash}' WHERE seq = 3"
    ));
    assert_wrong(&sandbox, "database", 4, "entry 4 does not follow entry 3");
    assert_wrong(
        &sandbox,
        "local",
        3,
        "entry 3 is another than that in the database",
    );
    back();
    sandbox.sql("DELETE FROM _walkback_audit WHERE seq = 3");
    assert_wrong(&sandbox, "database", 3, "entry 3 is missing");
    back();
    sandbox.sql("DELETE FROM _walkback_audit WHERE seq >= 5");
    assert_wrong(&sandbox, "database", 5, "the end was cut off");
    assert_wrong(&sandbox, "local", 5, "the database lacks what is here");
    back();
    assert_whole(&sandbox, "all is back");
    let file = files(&sandbox).remove(0);
    let text = fs::read_to_string(&file).expect("the copy");
    let all: Vec<&str> = text.lines().collect();
    let write = |lines: &[String]| fs::write(&file, lines.join("\n") + "\n").expect("a file can be written");
    let mut changed: Vec<String> = all.iter().map(|line| (*line).to_owned()).collect();
    changed[1] = changed[1].replace("\"kind\":\"up\"", "\"kind\":\"xx\"");
    write(&changed);
    assert_wrong(&sandbox, "local", 2, "entry 2 was edited");
    changed.remove(1);
    write(&changed);
    assert_wrong(&sandbox, "local", 2, "entry 2 is missing");
    fs::remove_file(&file).expect("a file can be removed");
    assert_wrong(&sandbox, "local", 1, "with its file");
    fs::write(&file, &text).expect("a file can be written");
    assert_whole(&sandbox, "all is back again");
}

/// What `walkback audit` lists comes from the rows of the runs: the story is that of an outcome that was changed and a run that
/// was taken away, while the audit was said to be whole.
fn a_run_that_somebody_changes_in_the_journal_is_found(backend: Backend) {
    let sandbox = six(backend);
    let id = |kind: &str| sandbox.value(&format!("SELECT run_id FROM _walkback_audit WHERE {kind}"));
    let (second, third) = (id("seq = 3"), id("seq = 5"));
    sandbox.sql("CREATE TABLE kept AS SELECT * FROM _walkback_runs");
    let back = || {
        sandbox.sql("DELETE FROM _walkback_runs");
        sandbox.sql("INSERT INTO _walkback_runs SELECT * FROM kept");
        assert_whole(&sandbox, "the runs are back");
    };
    for (set, seq, said) in [
        ("status = 'undone'", 4, "says `undone`, its entry 4 says `done`"),
        ("status = 'running'", 4, "says `running`, its entry 4 says `done`"),
        ("kind = 'goto'", 3, "says kind `goto`, its entry 3 says `up`"),
        (
            "actor = 'nobody@nowhere (pid 1)'",
            3,
            "says actor `nobody@nowhere (pid 1)`",
        ),
        ("environment = 'other'", 3, "says environment `other`"),
        ("ticket = 'OPS-9'", 3, "says ticket `OPS-9`"),
        ("reason = 'forged'", 3, "says reason `forged`"),
        (
            "from_heads = '009_x'",
            3,
            "says heads before `009_x`, its entry 3 says `001`",
        ),
        (
            "to_heads = '009_x'",
            4,
            "says heads after `009_x`, its entry 4 says `002`",
        ),
        (
            "started_at = '2026-01-01T00:00:00.000000Z'",
            3,
            "says start `2026-01-01",
        ),
        ("finished_at = NULL", 4, "says end ``"),
        ("detail = 'nothing'", 4, "says detail `nothing`"),
    ] {
        sandbox.sql(&format!("UPDATE _walkback_runs SET {set} WHERE id = '{second}'"));
        assert_wrong(&sandbox, "journal", seq, said);
        back();
    }
    sandbox.sql(&format!("DELETE FROM _walkback_runs WHERE id = '{third}'"));
    let gone = format!("run `{third}` (up) is gone: entry 5 says that it has begun");
    assert_wrong(&sandbox, "journal", 5, &gone);
    // Under another name it is both gone and new.
    sandbox.sql("DELETE FROM _walkback_runs");
    sandbox.sql("INSERT INTO _walkback_runs SELECT * FROM kept");
    sandbox.sql(&format!(
        "UPDATE _walkback_runs SET id = 'r-forged' WHERE id = '{third}'"
    ));
    let found = sandbox.run(&["audit", "--verify"]);
    for part in ["journal: run `r-forged` (up) has no entry", gone.as_str()] {
        assert!(found.stdout.contains(part), "{part}: {}", found.transcript());
    }
    back();
    // A run from before there was an audit, as a journal of an older version has it.
    sandbox.sql(
        "INSERT INTO _walkback_runs (id, kind, status, environment, started_at, finished_at, actor, tool_version) \
         VALUES ('r-old', 'up', 'done', 'dev', '2020-01-01T00:00:00.000000Z', '2020-01-01T00:00:01.000000Z', 'a@b (pid 1)', '0')",
    );
    assert_whole(&sandbox, "a run from before there was an audit");
    sandbox.ok(&["down", "-y"]);
    assert_whole(&sandbox, "and a run after it");
    sandbox.sql("DROP TABLE _walkback_runs");
    let found = sandbox.run(&["audit", "--verify"]);
    assert_eq!(found.code, Some(3), "{}", found.transcript());
    assert!(
        found.stdout.contains("is gone: entry 1"),
        "{}",
        found.transcript()
    );
}

fn what_somebody_takes_away_as_a_whole_is_found_by_the_store(backend: Backend) {
    let sandbox = six(backend);
    let row = &lines(&sandbox)[3];
    let head = format!(
        "{} {} {}",
        row["chain"].as_str().expect("a chain"),
        row["seq"],
        row["entry_hash"].as_str().expect("a hash")
    );
    // Who can write the journal can also mend what it says of its end.
    sandbox.sql("DELETE FROM _walkback_audit WHERE seq > 4");
    sandbox.sql(&format!(
        "UPDATE _walkback_meta SET value = '{head}' WHERE name = 'audit'"
    ));
    assert_wrong(&sandbox, "local", 5, "the database lacks what is here");
    // Runs go on, and the store forgets nothing.
    sandbox.ok(&["down", "-y"]);
    assert_eq!(lines(&sandbox).len(), 8);
    assert_wrong(&sandbox, "local", 5, "there are two entries 5");
    sandbox.sql("DELETE FROM _walkback_audit");
    sandbox.sql("DELETE FROM _walkback_meta WHERE name = 'audit'");
    sandbox.ok(&["up", "-y"]);
    assert_wrong(&sandbox, "local", 6, "its audit was removed");
    let chain = row["chain"].as_str().expect("a chain");
    let unknown = sandbox.run(&["audit", "--acknowledge", "nowhere"]);
    assert!(unknown.code != Some(0), "{}", unknown.transcript());
    sandbox.ok(&["audit", "--acknowledge", chain, "--reason", "made anew"]);
    assert_eq!(entries(&sandbox, "event = 'noted' AND reason = 'made anew'"), 1);
    assert_whole(&sandbox, "that is known");
}

fn a_run_killed_at_any_step_is_in_a_whole_audit(backend: Backend) {
    let stride = if backend == Backend::Sqlite { 1 } else { 3 };
    let first = rand::rng().random_range(1..=stride);
    let (mut kills, mut undone) = (0, 0);
    for step in (1..).skip(first - 1).step_by(stride) {
        let sandbox = project(backend);
        sandbox.ok(&["up", "-y"]);
        sandbox.migration(
            "002_loose",
            "-- walkback: transaction=off\nDELETE FROM a; CREATE TABLE b (id INTEGER PRIMARY KEY);",
            "",
        );
        sandbox.migration(
            "003_last",
            "CREATE TABLE c (id INTEGER PRIMARY KEY);",
            "DROP TABLE c;",
        );
        if sandbox.killed_at(step, &["up", "-y"]).is_none() {
            break;
        }
        kills += 1;
        assert_whole(&sandbox, &format!("killed at step {step}"));
        let recovered = sandbox.run(&["recover", "-y"]);
        assert_eq!(recovered.code, Some(0), "step {step}: {}", recovered.transcript());
        undone += usize::from(assert_told(&sandbox, &recovered, step));
        sandbox.ok(&["up", "-y"]);
        assert_whole(&sandbox, &format!("recovered after step {step}"));
        let (begun, ended) = (
            entries(&sandbox, "event = 'begun'"),
            entries(&sandbox, "event = 'ended'"),
        );
        assert_eq!(begun, ended, "step {step}");
        let runs: i64 = sandbox
            .value("SELECT count(*) FROM _walkback_runs")
            .parse()
            .expect("a number");
        assert_eq!(begun, runs, "step {step}: one of each for each run");
        let twice = "SELECT count(*) FROM (SELECT run_id FROM _walkback_audit GROUP BY run_id, event HAVING count(*) > 1) t";
        assert_eq!(sandbox.value(twice), "0", "step {step}");
        assert_eq!(
            i64::try_from(lines(&sandbox).len()),
            Ok(begun + ended),
            "step {step}: all are in the store"
        );
    }
    assert!(kills > 5, "hardly any step: {kills}");
    assert!(undone > 0, "never half-done");
    report(&format!("audit on {backend}: {kills} kills, {undone} half-done"));
}

/// The entry of a killed run says what has become of it, as the command that recovered it does. Returns whether that was
/// half-done.
#[track_caller]
fn assert_told(sandbox: &Sandbox, recovered: &Output, step: u64) -> bool {
    let transcript = recovered.transcript();
    let is_undone = transcript.contains("` is undone");
    let killed = "event = 'ended' AND kind = 'up' AND outcome = 'interrupted'";
    if entries(sandbox, killed) == 0 {
        assert!(!is_undone, "step {step}: {transcript}");
        return false;
    }
    let told = sandbox.value(&format!("SELECT detail FROM _walkback_audit WHERE {killed}"));
    let said = match (is_undone, transcript.contains("` has gone on")) {
        (true, _) => ["put it right: `", "` is undone"],
        (_, true) => ["put it right: `", "` has gone on"],
        _ => ["found nothing half-done"; 2],
    };
    for said in said {
        assert!(told.contains(said), "step {step}: {told}: {transcript}");
    }
    is_undone
}

fn a_store_that_was_away_catches_up(backend: Backend) {
    let sandbox = project(backend);
    let audit = sandbox.path(".walkback/vault/audit");
    sandbox.write(".walkback/vault/audit", "in the way");
    let warned = sandbox.ok(&["up", "-y"]);
    assert!(
        warned.stderr.contains("the copy of the audit in `local`"),
        "{}",
        warned.transcript()
    );
    sandbox.ok(&["down", "-y"]);
    let away = sandbox.run(&["audit", "--verify"]);
    assert_eq!(away.code, Some(0), "{}", away.transcript());
    assert!(away.stdout.contains("(4 more"), "{}", away.transcript());
    fs::remove_file(&audit).expect("it can be removed");
    sandbox.ok(&["up", "-y"]);
    assert_eq!(lines(&sandbox).len(), 6);
    assert_whole(&sandbox, "caught up");
    // One that was never written to has nothing yet, and lacks nothing.
    let text = fs::read_to_string(sandbox.path("walkback.toml")).expect("a configuration");
    sandbox.write(
        "walkback.toml",
        &text.replace(".walkback/vault", ".walkback/other"),
    );
    let new = assert_whole(&sandbox, "a new store");
    assert!(new.stdout.contains("(6 more"), "{}", new.transcript());
}

fn many_refused_at_once_are_all_in_one_chain(backend: Backend) {
    let sandbox = project(backend);
    sandbox.ok(&["up", "-y"]);
    sandbox.policy("require_ticket = true");
    let children: Vec<_> = (0..6).map(|_| sandbox.spawn(&["down", "-y"])).collect();
    for child in children {
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(6), "{said}");
        assert!(!said.contains("audit"), "{said}");
    }
    assert_eq!(entries(&sandbox, "event = 'refused'"), 6);
    sandbox.ok(&["down", "-y", "--ticket", "OPS-1"]);
    assert_whole(&sandbox, "after six at once");
    assert_eq!(lines(&sandbox).len(), 10);
}

fn neither_a_rollback_nor_a_restore_takes_entries_away(backend: Backend) {
    let sandbox = project(backend);
    sandbox.ok(&["up", "-y"]);
    let backup = sandbox.backup();
    sandbox.migration(
        "002_more",
        "CREATE TABLE b (id INTEGER PRIMARY KEY);",
        "DROP TABLE b;",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.ok(&["rollback", "-y"]);
    sandbox.ok(&["up", "-y"]);
    sandbox.ok(&["restore", &backup, "-y"]);
    assert_eq!(entries(&sandbox, "seq > 0"), 10);
    assert_eq!(
        entries(&sandbox, "event = 'ended' AND kind IN ('rollback', 'restore')"),
        2
    );
    assert_whole(&sandbox, "after a rollback and a restore");
}

fn two_databases_share_a_store(backend: Backend) {
    let (one, other) = (project(backend), project(backend));
    let vault = one.path(".walkback/vault").display().to_string();
    let text = fs::read_to_string(other.path("walkback.toml")).expect("a configuration");
    other.write("walkback.toml", &text.replace(".walkback/vault", &vault));
    for _ in 0..2 {
        one.ok(&["up", "-y"]);
        other.ok(&["up", "-y"]);
        one.ok(&["down", "-y"]);
        other.ok(&["down", "-y"]);
    }
    assert_whole(&one, "one of two");
    assert_whole(&other, "the other of two");
    assert_eq!(lines(&one).len(), 16);
    assert_eq!(entries(&one, "seq > 0"), 8);
}

fn an_encrypted_store_has_only_the_hashes(backend: Backend) {
    let sandbox = project(backend);
    let text = fs::read_to_string(sandbox.path("walkback.toml")).expect("a configuration");
    sandbox.write(
        "walkback.toml",
        &text.replace(
            "path = \".walkback/vault\"",
            "path = \".walkback/vault\"\nencrypt_to = [\"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\"]",
        ),
    );
    sandbox.ok(&["up", "-y", "--reason", "a secret"]);
    let lines = lines(&sandbox);
    assert_eq!(lines.len(), 2);
    let names: Vec<&String> = lines[0].as_object().expect("an object").keys().collect();
    assert_eq!(
        names,
        ["seq", "chain", "noted_at", "previous_hash", "entry_hash", "about"]
    );
    assert_whole(&sandbox, "encrypted");
    sandbox.sql("UPDATE _walkback_audit SET reason = 'none' WHERE seq = 1");
    assert_wrong(&sandbox, "database", 1, "entry 1 was edited");
    sandbox.sql("DELETE FROM _walkback_audit");
    sandbox.sql("DELETE FROM _walkback_meta WHERE name = 'audit'");
    sandbox.migration("002_more", "CREATE TABLE b (id INTEGER PRIMARY KEY);", "");
    sandbox.ok(&["up", "-y"]);
    assert_wrong(&sandbox, "local", 2, "its audit was removed");
}
