//! Backups of servers that go encrypted to a folder and to a bucket at once.

use std::process::ExitCode;

use rand::seq::index::sample;
use walkback_services::s3::{ACCESS_KEY, BUCKET, Fault, S3Server, SECRET_KEY};
use walkback_tests::{
    Backend, ONE_OF_EACH, Output, SECRETS, Sandbox, assert_tells_none_of, awkward, journeys,
};

fn main() -> ExitCode {
    walkback_tests::main(
        "vault_servers",
        &journeys! {
            ONE_OF_EACH => [
                a_backup_is_made_verified_restored_and_pruned_in_both_stores,
                a_wrong_key_opens_nothing_and_is_said_to_be_wrong,
                a_store_that_is_down_stops_a_backup_unless_fewer_are_required,
                a_store_that_goes_down_midway_leaves_what_was_there_or_what_was_to_be,
            ],
            &[Backend::Sqlite] => [nothing_in_the_bucket_tells_what_is_in_the_database],
        },
    )
}

/// Two keys that protect nothing.
const MINE: &str = "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33";
const MY_PUBLIC: &str = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";
const OTHER: &str = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0";

/// A project, and the server that has its bucket.
struct Kept {
    sandbox: Sandbox,
    server: S3Server,
}

impl Kept {
    /// An empty database whose backups go to a folder and to a bucket, both encrypted.
    fn new(backend: Backend) -> Self {
        let kept = Self {
            sandbox: Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test")),
            server: S3Server::strict(),
        };
        kept.configure("[\"local\", \"offsite\"]", "");
        kept.sandbox.write(
            ".env",
            &format!("AWS_ACCESS_KEY_ID={ACCESS_KEY}\nAWS_SECRET_ACCESS_KEY={SECRET_KEY}\n"),
        );
        kept
    }

    fn configure(&self, stores: &str, environment: &str) {
        self.sandbox.write(
            "walkback.toml",
            &format!(
                "[source]\nkind = \"sql\"\npath = \"migrations\"\n\n\
                 [store.local]\nkind = \"fs\"\npath = \"vault\"\nhash = \"sha256\"\nencrypt_to = [\"{MY_PUBLIC}\"]\n\n\
                 [store.offsite]\nkind = \"s3\"\nbucket = \"{BUCKET}\"\nprefix = \"shop\"\nendpoint = \"{}\"\nretries = 0\n\
                 hash = \"sha256\"\nencrypt_to = [\"{MY_PUBLIC}\"]\n\n\
                 [env.dev]\nurl = \"{}\"\nstores = {stores}\n{environment}\n",
                self.server.endpoint(),
                self.sandbox.url()
            ),
        );
    }

    /// With everything awkward in the database.
    fn filled(backend: Backend) -> Self {
        let kept = Self::new(backend);
        kept.sandbox.migration("001_begin", awkward::tables(backend), "");
        kept.ok(&["up", "-y"]);
        kept.sandbox.sql(awkward::rows(backend));
        kept
    }

    /// Runs a command with a key. No command says what the key is.
    fn run(&self, key: Option<&str>, arguments: &[&str]) -> Output {
        let variables: Vec<_> = key.map(|key| ("WALKBACK_IDENTITY", key)).into_iter().collect();
        let output = self.sandbox.run_with(arguments, &variables);
        for secret in [&MINE[16..], &OTHER[16..], SECRET_KEY] {
            assert!(!output.transcript().contains(secret), "{}", output.transcript());
        }
        output
    }

    fn ok(&self, arguments: &[&str]) -> Output {
        let output = self.run(Some(MINE), arguments);
        assert_eq!(output.code, Some(0), "{}", output.transcript());
        output
    }

    fn backup(&self) -> String {
        let created = self.ok(&["backup", "create", "--json"]).json();
        created["backup"]["id"].as_str().expect("an id").to_owned()
    }

    /// Returns how many points the folder and the bucket hold.
    fn points(&self) -> (usize, usize) {
        let folder = self.sandbox.path("vault/points");
        let in_folder = std::fs::read_dir(folder).map_or(0, Iterator::count);
        let keys = self.server.bucket().keys();
        let in_bucket = keys.iter().filter(|key| key.starts_with("shop/points/"));
        (in_folder, in_bucket.count())
    }
}

fn assert_says(output: &Output, texts: &[&str]) {
    let said = format!("{}{}", output.stdout, output.stderr);
    for text in texts {
        assert!(said.contains(text), "no `{text}`: {}", output.transcript());
    }
}

fn a_backup_is_made_verified_restored_and_pruned_in_both_stores(backend: Backend) {
    let kept = Kept::filled(backend);
    let sandbox = &kept.sandbox;
    let (then, id) = (sandbox.contents(), kept.backup());
    let (in_folder, in_bucket) = kept.points();
    assert_eq!(in_folder, in_bucket);
    assert_says(&kept.ok(&["backup", "list"]), &[&id, "all"]);
    let verified = kept.ok(&["backup", "verify", &id]);
    assert_says(
        &verified,
        &[&format!("{id} in `local`"), &format!("{id} in `offsite`")],
    );
    assert_says(&kept.ok(&["backup", "verify", &id, "--restore"]), &["restored"]);
    sandbox.assert_contents(&then, "verifying has changed nothing");

    sandbox.migration("002_destroy", awkward::destruction(backend), "");
    kept.ok(&["up", "-y"]);
    let destroyed = sandbox.contents();
    kept.ok(&["rollback", "-y", "--type", "full"]);
    sandbox.assert_contents(&then, "after the rollback");
    kept.ok(&["up", "-y"]);
    sandbox.assert_contents(&destroyed, "after the second up");
    kept.ok(&["restore", &id, "-y"]);
    sandbox.assert_contents(&then, "after the restore");
    sandbox.assert_sound();

    // What only the bucket still has is read from there.
    sandbox.remove("vault");
    sandbox.sql("DELETE FROM tag");
    kept.ok(&["restore", &id, "-y"]);
    sandbox.assert_contents(&then, "from the bucket");

    let newer = kept.backup();
    let before = kept.points();
    let prune = [
        "backup",
        "prune",
        "--keep",
        "last=1",
        "--retention",
        "0s",
        "--dry-run",
    ];
    let planned = kept.ok(&prune);
    assert_says(&planned, &[&id, "s3://backups/shop"]);
    assert!(
        !removals(&kept, &prune).contains(&newer),
        "{}",
        planned.transcript()
    );
    assert_eq!(kept.points(), before, "a dry run removes nothing");
    kept.ok(&["backup", "verify", &id]);
}

/// Returns what a prune would remove from any store.
fn removals(kept: &Kept, prune: &[&str]) -> Vec<String> {
    let plan = kept.ok(&[prune, &["--json"]].concat()).json()["plan"].clone();
    let stores = plan["stores"].as_array().expect("a list").iter();
    let points = stores.flat_map(|store| store["remove"].as_array().expect("a list").clone());
    points
        .map(|point| point["id"].as_str().expect("an id").to_owned())
        .collect()
}

fn a_wrong_key_opens_nothing_and_is_said_to_be_wrong(backend: Backend) {
    let kept = Kept::filled(backend);
    let sandbox = &kept.sandbox;
    let id = kept.backup();
    sandbox.sql("DELETE FROM tag");
    let before = sandbox.contents();
    for (key, says) in [
        (None, "no identity is set"),
        (Some(OTHER), "the identity that is set is that of"),
    ] {
        for arguments in [
            &["restore", &id, "-y"][..],
            &["backup", "verify", &id],
            &["backup", "verify", &id, "--restore"],
            &["backup", "show", &id],
        ] {
            let output = kept.run(key, arguments);
            assert_eq!(output.code, Some(2), "{}", output.transcript());
            assert_says(&output, &[says, MY_PUBLIC, "WALKBACK_IDENTITY_FILE"]);
            sandbox.assert_contents(&before, "with a wrong key");
        }
        // What lies in the folder and the bucket can be listed and counted all the same.
        let listed = kept.run(key, &["backup", "list"]);
        assert_eq!(listed.code, Some(0), "{}", listed.transcript());
        assert_says(&listed, &[&id, "encrypted"]);
    }
    kept.ok(&["restore", &id, "-y"]);
    assert_eq!(sandbox.value("SELECT count(*) FROM tag"), "3");
}

fn a_store_that_is_down_stops_a_backup_unless_fewer_are_required(backend: Backend) {
    let kept = Kept::filled(backend);
    let sandbox = &kept.sandbox;
    let first = kept.backup();
    let (before, points) = (sandbox.contents(), kept.points());
    sandbox.migration("002_destroy", awkward::destruction(backend), "");
    kept.server.faults().set(|_| Some(Fault::Refuse(503, "SlowDown")));
    for arguments in [&["backup", "create"][..], &["up", "-y"]] {
        let output = kept.run(Some(MINE), arguments);
        assert_ne!(output.code, Some(0), "{}", output.transcript());
        assert_says(&output, &["`offsite`", "stores_required"]);
        sandbox.assert_contents(&before, "a command that failed");
        assert_eq!(kept.points(), points, "no point shows in one store only");
    }

    kept.configure("[\"local\", \"offsite\"]", "stores_required = 1");
    let second = kept.run(Some(MINE), &["backup", "create"]);
    assert_eq!(second.code, Some(0), "{}", second.transcript());
    assert_says(&second, &["`offsite`", "goes on without it"]);
    let output = kept.ok(&["up", "-y"]);
    assert_says(&output, &["goes on without it"]);
    assert_ne!(sandbox.contents(), before);
    kept.ok(&["restore", &first, "-y"]);
    sandbox.assert_contents(&before, "restored from the store that is there");

    kept.server.faults().clear();
    let (in_folder, in_bucket) = kept.points();
    assert!(in_folder > in_bucket, "{in_folder} and {in_bucket}");
    kept.configure("[\"local\", \"offsite\"]", "stores_required = 2");
    let third = kept.backup();
    let listed = kept.ok(&["backup", "list"]);
    assert_says(&listed, &["only local", &third]);
}

/// Returns how many of the requests of a command are tried as the last that the bucket answers.
fn usual_ends(backend: Backend) -> usize {
    if std::env::var("WALKBACK_JOURNEYS").is_ok_and(|journeys| journeys == "all") {
        return 100;
    }
    if backend == Backend::Sqlite { 6 } else { 2 }
}

fn a_store_that_goes_down_midway_leaves_what_was_there_or_what_was_to_be(backend: Backend) {
    // The bucket is all there is.
    let prepared = || {
        let kept = Kept::new(backend);
        kept.configure("[\"offsite\"]", "");
        kept.sandbox.migration(
            "001_begin",
            "CREATE TABLE a (id INTEGER PRIMARY KEY, x VARCHAR(20)); INSERT INTO a VALUES (1, 'one'), (2, 'two');",
            "",
        );
        kept.ok(&["up", "-y"]);
        kept.ok(&["backup", "create"]);
        kept.sandbox.migration(
            "002_drop",
            "DELETE FROM a WHERE id = 1; CREATE TABLE b (x INTEGER);",
            "",
        );
        kept
    };
    let changed = || {
        let kept = prepared();
        kept.ok(&["up", "-y"]);
        kept.sandbox.sql("INSERT INTO a VALUES (3, 'since')");
        kept
    };
    let cases: [(&[&str], &dyn Fn() -> Kept); 5] = [
        (&["up", "-y"], &prepared),
        (&["backup", "create"], &prepared),
        (&["rollback", "-y", "--allow-lossy"], &changed),
        (&["rollback", "-y", "--type", "full", "--allow-lossy"], &changed),
        (&["backup", "prune", "--keep", "last=1", "-y"], &changed),
    ];
    for (arguments, setup) in cases {
        let twin = setup();
        let before = twin.sandbox.contents();
        let counted = twin.server.faults().requests();
        twin.ok(arguments);
        let requests = twin.server.faults().requests() - counted;
        let after = twin.sandbox.contents();
        assert!(requests > 1, "{arguments:?} hardly asks the store");
        let ends = sample(&mut rand::rng(), requests, usual_ends(backend).min(requests));
        for end in ends {
            let kept = setup();
            let mut answered = 0;
            kept.server.faults().set(move |_| {
                answered += 1;
                (answered > end).then_some(Fault::DropAfter)
            });
            let output = kept.run(Some(MINE), arguments);
            let context = format!(
                "{backend}, the store ends after {end} of {requests}: {}",
                output.transcript()
            );
            kept.server.faults().clear();
            let recovered = kept.run(Some(MINE), &["recover", "-y"]);
            assert_eq!(recovered.code, Some(0), "{context}\n{}", recovered.transcript());
            let seen = kept.sandbox.contents();
            assert!(
                seen == before || seen == after,
                "{context}\n{}",
                seen.difference(&before)
            );
            kept.ok(&["backup", "verify"]);
            if seen == before {
                kept.ok(arguments);
            }
            kept.sandbox.assert_contents(&after, &context);
        }
    }
}

fn nothing_in_the_bucket_tells_what_is_in_the_database(backend: Backend) {
    let kept = Kept::new(backend);
    kept.configure("[\"offsite\"]", "");
    let sandbox = &kept.sandbox;
    sandbox.migration(
        "001_shop",
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, surname TEXT);\n\
         INSERT INTO customers VALUES (1, 'Lovelace'), (2, 'Hopper'), (3, 'Hamilton');",
        "",
    );
    sandbox.migration("002_forget_customers", "DELETE FROM customers;", "");
    kept.ok(&["up", "-y", "-n", "1"]);
    // More than one part of an upload, and more than one page of a list.
    sandbox.sql(&format!(
        "INSERT INTO customers SELECT i + 10, printf('Hopper %d, %s', i, hex(randomblob(500))) FROM {}",
        backend.numbers(20_000)
    ));
    let id = kept.backup();
    kept.ok(&["up", "-y"]);
    kept.ok(&["backup", "create", "customers", "--description", "the ladies"]);
    let before = sandbox.contents();
    let keys = kept.server.bucket().keys();
    assert!(keys.len() >= 8, "{keys:?}");
    let mut bytes = 0;
    for key in &keys {
        let object = kept.server.bucket().bytes(key).expect("it is there");
        bytes += object.len();
        assert_tells_none_of(&SECRETS, key, key.as_bytes());
        assert_tells_none_of(&SECRETS, key, &object);
    }
    assert!(bytes > 5 << 20, "{bytes} bytes are soon searched");
    kept.ok(&["restore", &id, "-y"]);
    assert_ne!(sandbox.contents(), before);
    assert_eq!(sandbox.value("SELECT count(*) FROM customers"), "20003");
}
