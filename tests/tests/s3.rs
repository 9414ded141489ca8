//! The journey of a user whose backups go to a bucket.

use walkback_services::s3::{ACCESS_KEY, BUCKET, Fault, S3Server, SECRET_KEY};
use walkback_tests::{Output, Sandbox};

/// Creates a project whose vault is on this server.
fn project(server: &S3Server, more: &str) -> Sandbox {
    let sandbox = Sandbox::with_project(env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.write(
        "walkback.toml",
        &format!(
            "[source]\nkind = \"sql\"\npath = \"migrations\"\n\n[store.offsite]\nkind = \"s3\"\nbucket = \"{BUCKET}\"\n\
             prefix = \"shop\"\nendpoint = \"{}\"\n{more}\n[env.dev]\nurl = \"sqlite:app.db\"\nstores = [\"offsite\"]\n",
            server.endpoint()
        ),
    );
    sandbox.write(
        ".env",
        &format!("AWS_ACCESS_KEY_ID={ACCESS_KEY}\nAWS_SECRET_ACCESS_KEY={SECRET_KEY}\n"),
    );
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT);\nINSERT INTO t VALUES (1, 'x'), (2, 'y');\n",
        "DROP TABLE t;\n",
    );
    sandbox
}

/// Adds a migration that only its point can walk back.
fn change(sandbox: &Sandbox) {
    sandbox.migration("002_change", "UPDATE t SET a = upper(a);\n", "");
}

fn without_secrets(server: &S3Server, output: &Output) -> String {
    let text = output.transcript();
    assert!(!text.contains(SECRET_KEY), "{text}");
    text.replace(&server.endpoint(), "[ENDPOINT]")
}

#[test]
fn backups_in_a_bucket_are_made_verified_and_rolled_back_to() {
    for server in [S3Server::strict(), S3Server::folder()] {
        let sandbox = project(&server, "");
        sandbox.ok(&["up"]);
        let before = sandbox.contents();
        change(&sandbox);
        sandbox.ok(&["up", "-y"]);
        assert_eq!(sandbox.value("SELECT a FROM t WHERE id = 1"), "X");
        let backup = sandbox.backup();
        without_secrets(&server, &sandbox.ok(&["backup", "verify"]));
        let listed = sandbox.ok(&["backup", "list"]);
        without_secrets(&server, &listed);
        assert!(listed.stdout.contains(&backup), "{}", listed.stdout);

        sandbox.ok(&["rollback", "--type", "full", "-y"]);
        assert_eq!(sandbox.value("SELECT a FROM t WHERE id = 1"), "x");
        let back = sandbox.contents();
        assert_eq!(back.difference(&before), "", "the rollback brings the rows back");

        sandbox.sql("DELETE FROM t");
        sandbox.ok(&["restore", &backup, "-y"]);
        assert_eq!(sandbox.value("SELECT a FROM t WHERE id = 1"), "X");
        assert!(
            !sandbox.path(".walkback/vault").exists(),
            "nothing goes to a folder"
        );
    }
}

#[test]
fn a_server_that_fails_for_ever_leaves_the_database_as_it_is() {
    let server = S3Server::strict();
    let sandbox = project(&server, "retries = 1\n");
    sandbox.ok(&["up"]);
    change(&sandbox);
    let before = sandbox.contents();
    server.faults().set(|_| Some(Fault::Refuse(500, "InternalError")));
    for arguments in [
        &["up", "-y"][..],
        &["backup", "create"],
        &["backup", "list"],
        &["backup", "verify"],
    ] {
        let output = sandbox.run(arguments);
        let text = without_secrets(&server, &output);
        assert_eq!(output.code, Some(1), "{text}");
        assert!(text.contains("s3://backups/shop"), "{text}");
        assert!(text.contains("the server says 500"), "{text}");
        assert!(text.contains("run the same command again"), "{text}");
        sandbox.assert_contents(&before, "after a command that failed");
    }
    server.faults().clear();
    sandbox.ok(&["up", "-y"]);
    assert_eq!(sandbox.value("SELECT a FROM t WHERE id = 1"), "X");
}

#[test]
fn a_wrong_secret_is_said_with_what_to_correct() {
    let server = S3Server::strict();
    let sandbox = project(
        &server,
        "access_key_id = \"AKIAWALKBACKTEST\"\nsecret_access_key = \"wrong\"\n",
    );
    let before = sandbox.contents();
    let output = sandbox.run(&["up", "-y"]);
    let text = without_secrets(&server, &output);
    assert_eq!(output.code, Some(1), "{text}");
    assert!(
        text.contains("`secret_access_key`") && text.contains("[store.offsite]"),
        "{text}"
    );
    assert!(!text.contains("\"wrong\""), "{text}");
    assert_eq!(sandbox.contents().rows, before.rows, "{text}");
    let listed = sandbox.run(&["backup", "list"]);
    let text = without_secrets(&server, &listed);
    assert_eq!(listed.code, Some(1), "{text}");
    assert!(text.contains("SignatureDoesNotMatch"), "{text}");
}
