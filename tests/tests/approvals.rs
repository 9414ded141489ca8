//! Plans that others approve: only what they have read runs, on the database that they have read it for.

use std::fs;
use std::process::{Command, ExitCode};

use walkback_tests::{Backend, ONE_OF_EACH, Output, Sandbox, journeys};

fn main() -> ExitCode {
    walkback_tests::main(
        "approvals",
        &journeys! {
            ONE_OF_EACH => [
                an_approved_plan_runs_and_the_audit_names_who_approved,
                what_changed_since_the_approval_is_refused,
                walking_back_needs_no_approval,
                a_deployment_runs_an_approved_plan,
                an_approved_plan_runs_once,
                what_is_half_done_goes_forward_only_as_it_was_approved,
                a_sync_that_could_not_go_up_does_not_walk_back,
            ],
            &[Backend::Sqlite] => [
                a_plan_changed_by_a_byte_is_refused,
                only_those_who_may_approve_and_no_plan_of_their_own,
                a_plan_is_good_for_a_day,
                approvers_may_be_in_a_file_of_openssh,
                ssh_keygen_makes_and_checks_the_same_signatures,
                a_key_with_a_passphrase_signs_with_it,
                what_cannot_be_used_is_said,
            ],
        },
    )
}

/// Runs `ssh-keygen`, and says whether it succeeded.
fn keygen(sandbox: &Sandbox, arguments: &[&str], input: &str) -> bool {
    let script = format!("ssh-keygen {} < {input}", arguments.join(" "));
    let output = Command::new("sh")
        .args(["-c", &script])
        .current_dir(sandbox.path("."))
        .output();
    output.expect("a shell starts").status.success()
}

/// Makes a key, and returns the line that makes its owner an approver.
fn key(sandbox: &Sandbox, name: &str, passphrase: &str) -> String {
    let comment = format!("{name}@example.com");
    let passphrase = format!("'{passphrase}'");
    let arguments = [
        "-q",
        "-t",
        "ed25519",
        "-N",
        &passphrase,
        "-C",
        &comment,
        "-f",
        name,
    ];
    assert!(keygen(sandbox, &arguments, "/dev/null"), "a key can be made");
    let text = fs::read_to_string(sandbox.path(&format!("{name}.pub"))).expect("a public key");
    text.trim().to_owned()
}

/// A project in which one of Ann and Bob has to approve.
fn project(backend: Backend) -> Sandbox {
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.migration(
        "001_begin",
        "CREATE TABLE a (id INTEGER PRIMARY KEY, note VARCHAR(20)); INSERT INTO a VALUES (1, 'first');",
        "DROP TABLE a;",
    );
    let approvers = format!(
        "approvers = [\"{}\", \"{}\"]",
        key(&sandbox, "ann", ""),
        key(&sandbox, "bob", "")
    );
    sandbox.policy(&format!("approvals = 1\n{approvers}"));
    sandbox
}

/// Says what the policy is, with more behind it.
fn add_policy(sandbox: &Sandbox, line: &str) {
    let file = sandbox.path("walkback.toml");
    let text = fs::read_to_string(&file).expect("there is a configuration");
    fs::write(file, format!("{text}{line}\n")).expect("it can be written");
}

/// Writes a plan anew, and lets Ann approve it.
fn approved(sandbox: &Sandbox) {
    fs::remove_file(sandbox.path("plan.json")).ok();
    sandbox.ok(&["plan", "--out", "plan.json"]);
    sandbox.ok(&["approve", "plan.json", "--key", "ann"]);
}

const UP: [&str; 4] = ["up", "-y", "--plan", "plan.json"];

#[track_caller]
fn refused(output: &Output, why: &str) {
    assert_eq!(output.code, Some(6), "{why}: {}", output.transcript());
    assert!(output.stderr.contains(why), "{why}: {}", output.transcript());
}

fn an_approved_plan_runs_and_the_audit_names_who_approved(backend: Backend) {
    let sandbox = project(backend);
    let alone = sandbox.run(&["up", "-y"]);
    refused(&alone, "applies only plans with 1 approval");
    for command in [
        "plan --out plan.json",
        "approve plan.json --key",
        "up --plan plan.json",
    ] {
        assert!(alone.stderr.contains(command), "{}", alone.transcript());
    }
    let planned = sandbox.ok(&["plan", "--out", "plan.json"]);
    assert!(planned.stdout.contains("001_begin"), "{}", planned.transcript());
    refused(
        &sandbox.run(&UP),
        "wants 1 approval of a plan, and this one has 0",
    );
    let shown = sandbox.ok(&["approve", "plan.json"]);
    assert!(shown.stdout.contains("INSERT INTO a"), "{}", shown.transcript());
    refused(&sandbox.run(&UP), "and this one has 0");
    sandbox.ok(&["approve", "plan.json", "--key", "ann"]);
    sandbox.ok(&["up", "--plan", "plan.json", "--dry-run"]);
    sandbox.ok(&UP);
    assert_eq!(sandbox.value("SELECT count(*) FROM a"), "1");
    let by = sandbox.value("SELECT approved FROM _walkback_audit WHERE event = 'begun' AND kind = 'up'");
    assert!(by.starts_with("ann@example.com (SHA256:"), "{by}");
    sandbox.ok(&["audit", "--verify"]);
    let again = sandbox.run(&UP);
    refused(&again, "the plan is no longer good");
    // The next one, on a database that has something.
    sandbox.migration("002_more", "ALTER TABLE a ADD COLUMN more INTEGER;", "");
    refused(&sandbox.run(&["up", "-y"]), "applies only plans");
    approved(&sandbox);
    sandbox.ok(&UP);
    let refusals = sandbox.value("SELECT count(*) FROM _walkback_audit WHERE event = 'refused'");
    assert_eq!(refusals, "2", "those after there was a journal");
}

fn what_changed_since_the_approval_is_refused(backend: Backend) {
    let sandbox = project(backend);
    approved(&sandbox);
    sandbox.ok(&UP);
    let file = "migrations/002_more/up.sql";
    sandbox.migration("002_more", "ALTER TABLE a ADD COLUMN more INTEGER;", "");
    approved(&sandbox);
    sandbox.write(file, "ALTER TABLE a ADD COLUMN more INTEGER; ");
    refused(&sandbox.run(&UP), "migration `002_more` is another");
    sandbox.write(file, "ALTER TABLE a ADD COLUMN more INTEGER;");
    sandbox.write("migrations/002_more/down.sql", "SELECT 1;");
    refused(&sandbox.run(&UP), "migration `002_more` is another");
    sandbox.remove("migrations/002_more/down.sql");
    sandbox.migration("003_late", "CREATE TABLE late (id INTEGER PRIMARY KEY);", "");
    refused(&sandbox.run(&UP), "migration `003_late` has come since");
    sandbox.remove("migrations/003_late");
    sandbox.sql("CREATE TABLE other (id INTEGER PRIMARY KEY)");
    refused(&sandbox.run(&UP), "the schema of the database is another");
    sandbox.sql("DROP TABLE other");
    sandbox.sql("INSERT INTO a VALUES (2, 'rows are no schema')");
    sandbox.ok(&["up", "--plan", "plan.json", "--dry-run"]);
    sandbox.ok(&["down", "-y", "--allow-lossy"]);
    refused(&sandbox.run(&UP), "other migrations are applied");
}

fn walking_back_needs_no_approval(backend: Backend) {
    let sandbox = project(backend);
    approved(&sandbox);
    sandbox.ok(&UP);
    sandbox.ok(&["rollback", "-y"]);
    refused(&sandbox.run(&["goto", "head", "-y"]), "applies only plans");
    approved(&sandbox);
    sandbox.ok(&UP);
    sandbox.ok(&["down", "-y"]);
}

fn a_deployment_runs_an_approved_plan(backend: Backend) {
    let sandbox = project(backend);
    refused(&sandbox.run(&["deploy", "dev", "-y"]), "applies only plans");
    approved(&sandbox);
    sandbox.ok(&["deploy", "dev", "-y", "--plan", "plan.json"]);
    assert_eq!(sandbox.value("SELECT count(*) FROM a"), "1");
    let by = sandbox.value("SELECT approved FROM _walkback_audit WHERE event = 'begun' AND kind = 'up'");
    assert!(by.starts_with("ann@example.com"), "{by}");
    refused(
        &sandbox.run(&["deploy", "dev", "-y", "--plan", "plan.json"]),
        "no longer good",
    );
}

fn an_approved_plan_runs_once(backend: Backend) {
    let sandbox = project(backend);
    approved(&sandbox);
    sandbox.ok(&UP);
    sandbox.ok(&["rollback", "-y"]);
    refused(&sandbox.run(&UP), "before the last run in this database");
    approved(&sandbox);
    sandbox.ok(&UP);
}

fn what_is_half_done_goes_forward_only_as_it_was_approved(backend: Backend) {
    let sandbox = project(backend);
    let text = "-- walkback: transaction=off\nCREATE TABLE b (id INTEGER PRIMARY KEY);\nCREATE TABLE c (id INTEGER PRIMARY KEY);\n";
    sandbox.migration("002_loose", text, "");
    let mut seen = 0;
    for step in 1.. {
        approved(&sandbox);
        if sandbox.killed_at(step, &UP).is_none() {
            break;
        }
        let planned = sandbox.run(&["recover", "--forward", "--dry-run"]);
        let half_done = planned.stdout.contains("in the middle of `002");
        if half_done && planned.code == Some(0) {
            seen += 1;
            sandbox.write(
                "migrations/002_loose/up.sql",
                &format!("{text}CREATE TABLE d (id INTEGER PRIMARY KEY);\n"),
            );
            let forward = sandbox.run(&["recover", "--forward", "-y"]);
            assert!(forward.code != Some(0), "{}", forward.transcript());
            assert!(
                forward.stderr.contains("nobody has approved"),
                "{}",
                forward.transcript()
            );
            sandbox.write("migrations/002_loose/up.sql", text);
            if seen > 1 {
                sandbox.ok(&["recover", "--forward", "-y"]);
                break;
            }
        }
        sandbox.ok(&["recover", "-y"]);
        sandbox.run(&["rollback", "-y"]);
    }
    assert!(seen > 0, "never half-done");
}

fn a_sync_that_could_not_go_up_does_not_walk_back(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration(
        "002_gone",
        "CREATE TABLE gone (id INTEGER PRIMARY KEY);",
        "DROP TABLE gone;",
    );
    approved(&sandbox);
    sandbox.ok(&UP);
    sandbox.remove("migrations/002_gone");
    sandbox.migration("003_new", "CREATE TABLE new_one (id INTEGER PRIMARY KEY);", "");
    refused(&sandbox.run(&["sync", "-y"]), "applies only plans");
    assert_eq!(
        sandbox.value("SELECT count(*) FROM gone"),
        "0",
        "it is still there"
    );
    sandbox.remove("migrations/003_new");
    sandbox.ok(&["sync", "-y"]);
}

fn a_plan_changed_by_a_byte_is_refused(backend: Backend) {
    let sandbox = project(backend);
    approved(&sandbox);
    let text = fs::read_to_string(sandbox.path("plan.json")).expect("a plan");
    for (from, to) in [
        ("'first'", "'worst'"),
        ("\"environment\": \"dev\"", "\"environment\": \"def\""),
        ("\"heads\"", "{\"count\": 1}"),
        ("\"made_on\": \"", "\"made_on\": \"x"),
    ] {
        assert!(text.contains(from), "{from}");
        sandbox.write("plan.json", &text.replacen(from, to, 1));
        refused(&sandbox.run(&UP), "is not one of this plan");
    }
    sandbox.write(
        "plan.json",
        &text.replacen("\"kind\"", "\"note\": 1, \"kind\"", 1),
    );
    let unknown = sandbox.run(&UP);
    assert_eq!(unknown.code, Some(8), "{}", unknown.transcript());
    // White space between tokens says nothing.
    sandbox.write("plan.json", &text.replace('\n', "\n "));
    sandbox.ok(&UP);
}

fn only_those_who_may_approve_and_no_plan_of_their_own(backend: Backend) {
    let sandbox = project(backend);
    key(&sandbox, "eve", "");
    sandbox.ok(&["plan", "--out", "plan.json"]);
    sandbox.ok(&["approve", "plan.json", "--key", "eve"]);
    refused(&sandbox.run(&UP), "a key that approves nothing");
    let me = sandbox.ok(&["plan", "--json"]).json()["file"]["plan"]["made_by"].clone();
    let me = me.as_str().expect("a user");
    let (ann, bob) = (key(&sandbox, "ann2", ""), key(&sandbox, "bob2", ""));
    let mine = ann.replace("ann2@example.com", &format!("{me}@example.com"));
    let both = format!("approvers = [\"{mine}\", \"{bob}\"]\n");
    sandbox.policy(&format!("approvals = 1\n{both}"));
    sandbox.remove("plan.json");
    sandbox.ok(&["plan", "--out", "plan.json"]);
    sandbox.ok(&["approve", "plan.json", "--key", "ann2"]);
    sandbox.ok(&["approve", "plan.json", "--key", "ann2"]);
    let own = sandbox.run(&UP);
    refused(&own, "this one has 0");
    assert!(
        own.stderr.contains("approves none of their own"),
        "{}",
        own.transcript()
    );
    sandbox.policy(&format!("approvals = 2\nself_approval = true\n{both}"));
    refused(
        &sandbox.run(&UP),
        "wants 2 approvals of a plan, and this one has 1",
    );
    sandbox.ok(&["approve", "plan.json", "--key", "bob2"]);
    sandbox.ok(&UP);
}

fn a_plan_is_good_for_a_day(backend: Backend) {
    let sandbox = project(backend);
    sandbox.ok_at("2026-03-01T10:00:00Z", &["plan", "--out", "plan.json"]);
    sandbox.ok(&["approve", "plan.json", "--key", "ann"]);
    refused(&sandbox.at("2026-03-02T10:00:01Z", &UP), "is too old");
    add_policy(&sandbox, "approval_lifetime = \"1h\"");
    refused(&sandbox.at("2026-03-01T11:00:01Z", &UP), "is too old");
    refused(
        &sandbox.at("2026-03-01T09:00:00Z", &UP),
        "is of a moment that is still to come",
    );
    sandbox.ok_at("2026-03-01T10:59:00Z", &UP);
}

fn approvers_may_be_in_a_file_of_openssh(backend: Backend) {
    let sandbox = project(backend);
    let line = key(&sandbox, "cid", "");
    let words: Vec<&str> = line.split(' ').collect();
    sandbox.write(
        "allowed",
        &format!("# who approves\n\ncid@example.com {} {}\n", words[0], words[1]),
    );
    sandbox.policy("approvals = 1\napprovers = \"allowed\"");
    sandbox.ok(&["plan", "--out", "plan.json"]);
    sandbox.ok(&["approve", "plan.json", "--key", "ann"]);
    refused(&sandbox.run(&UP), "a key that approves nothing");
    sandbox.remove("plan.json");
    sandbox.ok(&["plan", "--out", "plan.json"]);
    sandbox.ok(&["approve", "plan.json", "--key", "cid"]);
    sandbox.ok(&UP);
}

fn ssh_keygen_makes_and_checks_the_same_signatures(backend: Backend) {
    let sandbox = project(backend);
    approved(&sandbox);
    let file = sandbox.ok(&["approve", "plan.json", "--json"]).json()["file"].clone();
    sandbox.write("plan.sig", file["signatures"][0].as_str().expect("a signature"));
    let line = fs::read_to_string(sandbox.path("ann.pub")).expect("a public key");
    sandbox.write("allowed", &format!("ann@example.com {line}"));
    let bytes = sandbox.ok(&["approve", "plan.json", "--bytes"]).stdout;
    sandbox.write("bytes", &bytes);
    let verify = [
        "-Y",
        "verify",
        "-f",
        "allowed",
        "-I",
        "ann@example.com",
        "-n",
        "walkback-plan",
        "-s",
        "plan.sig",
    ];
    assert!(
        keygen(&sandbox, &verify, "bytes"),
        "ssh-keygen takes the signature"
    );
    sandbox.write("other", &bytes.replace("first", "worst"));
    assert!(!keygen(&sandbox, &verify, "other"), "and not for another plan");
    // And the other way round.
    sandbox.remove("plan.json");
    sandbox.ok(&["plan", "--out", "plan.json"]);
    let bytes = sandbox.ok(&["approve", "plan.json", "--bytes"]).stdout;
    sandbox.write("bytes", &bytes);
    assert!(keygen(
        &sandbox,
        &["-Y", "sign", "-q", "-f", "bob", "-n", "walkback-plan", "bytes"],
        "/dev/null"
    ));
    sandbox.ok(&["approve", "plan.json", "--signature", "bytes.sig"]);
    sandbox.remove("bytes.sig");
    assert!(keygen(
        &sandbox,
        &["-Y", "sign", "-q", "-f", "ann", "-n", "file", "bytes"],
        "/dev/null"
    ));
    refused(
        &sandbox.run(&["approve", "plan.json", "--signature", "bytes.sig"]),
        "is not one of this plan",
    );
    sandbox.ok(&UP);
}

fn a_key_with_a_passphrase_signs_with_it(backend: Backend) {
    let sandbox = project(backend);
    let line = key(&sandbox, "dan", "open sesame");
    sandbox.policy(&format!("approvals = 1\napprovers = [\"{line}\"]"));
    sandbox.ok(&["plan", "--out", "plan.json"]);
    let approve = ["approve", "plan.json", "--key", "dan"];
    let unasked = sandbox.run(&approve);
    assert_eq!(unasked.code, Some(2), "{}", unasked.transcript());
    assert!(
        unasked.stderr.contains("WALKBACK_KEY_PASSPHRASE"),
        "{}",
        unasked.transcript()
    );
    let wrong = sandbox.run_with(&approve, &[("WALKBACK_KEY_PASSPHRASE", "open barley")]);
    assert_eq!(wrong.code, Some(2), "{}", wrong.transcript());
    assert!(!wrong.stderr.contains("barley"), "{}", wrong.transcript());
    let right = sandbox.run_with(&approve, &[("WALKBACK_KEY_PASSPHRASE", "open sesame")]);
    assert_eq!(right.code, Some(0), "{}", right.transcript());
    sandbox.ok(&UP);
}

fn what_cannot_be_used_is_said(backend: Backend) {
    let sandbox = project(backend);
    approved(&sandbox);
    let there = sandbox.run(&["plan", "--out", "plan.json"]);
    assert_eq!(there.code, Some(2), "{}", there.transcript());
    assert!(
        there.stderr.contains("may have been approved"),
        "{}",
        there.transcript()
    );
    let no_key = sandbox.run(&["approve", "plan.json", "--key", "ann.pub"]);
    assert_eq!(no_key.code, Some(2), "{}", no_key.transcript());
    assert!(
        no_key.stderr.contains("without `.pub`"),
        "{}",
        no_key.transcript()
    );
    let no_plan = sandbox.run(&["approve", "walkback.toml"]);
    assert_eq!(no_plan.code, Some(8), "{}", no_plan.transcript());
    let desktop = key(&sandbox, "ann3", "").replace("ann3@", "Ann@desktop.");
    let laptop = fs::read_to_string(sandbox.path("ann.pub")).expect("a key");
    let twice = format!(
        "approvals = 2\napprovers = [\"{}\", \"{desktop}\"]",
        laptop.trim()
    );
    for (lines, why) in [
        (twice.as_str(), "keys of one person are one approver"),
        ("approvals = 1", "wants more than `approvers` lists"),
        (
            "approvals = 1\napprovers = [\"ann\"]",
            "not understood as an approver",
        ),
        ("approvals = 1\napprovers = \"nowhere\"", "read the approvers"),
    ] {
        sandbox.policy(lines);
        let output = sandbox.run(&["status"]);
        assert!(
            output.code != Some(0) && output.stderr.contains(why),
            "{}",
            output.transcript()
        );
    }
}
