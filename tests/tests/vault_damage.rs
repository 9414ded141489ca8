//! A vault that something has damaged: every damage is found and named, and nothing is restored from it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value;
use walkback_tests::{Backend, ONE_OF_EACH, Sandbox, journeys, report};

/// What somebody does to a manifest.
type Change = fn(&mut Value);

fn main() -> ExitCode {
    walkback_tests::main(
        "vault_damage",
        &journeys! {
            ONE_OF_EACH => [
                a_bit_flipped_in_every_tenth_chunk_is_found_and_named_and_the_next_backup_heals_it,
                objects_cut_short_emptied_exchanged_moved_and_lost_are_each_found_and_named,
            ],
            &[Backend::Sqlite] => [
                every_bit_of_a_small_vault_is_watched_or_does_not_matter,
                a_manifest_that_was_edited_is_not_believed,
                a_manifest_edited_with_its_sum_does_not_restore_what_it_does_not_hold,
                the_manifest_of_another_backup_does_not_pass_for_this_one,
            ],
        },
    )
}

fn project(backend: Backend) -> Sandbox {
    Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"))
}

/// Two tables, the second with so many rows that it takes dozens of chunks.
fn filled(backend: Backend, rows: u32) -> Sandbox {
    let sandbox = project(backend);
    sandbox.migration(
        "001_begin",
        "CREATE TABLE small (id INTEGER PRIMARY KEY, a VARCHAR(90)); CREATE TABLE large (id INTEGER PRIMARY KEY, a VARCHAR(90));",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.sql("INSERT INTO small VALUES (1, 'one'), (2, 'two')");
    sandbox.sql(&format!(
        "INSERT INTO large SELECT i, CONCAT('a row of some length, which is the row number ', i, ', ', i * 7919 % 104729) FROM {}",
        backend.numbers(rows)
    ));
    sandbox
}

/// Returns the manifest of a backup.
fn manifest(sandbox: &Sandbox, id: &str) -> Value {
    sandbox.ok(&["backup", "show", id, "--json"]).json()["point"].clone()
}

/// Returns the chunks of a table, in order.
fn chunks(manifest: &Value, table: &str) -> Vec<String> {
    let tables = manifest["tables"].as_array().expect("a list");
    let entry = tables
        .iter()
        .find(|entry| entry["table"]["name"] == table)
        .expect("the table is in the backup");
    let hash = |chunk: &Value| chunk["hash"].as_str().expect("a hash").to_owned();
    entry["chunks"]
        .as_array()
        .expect("a list")
        .iter()
        .map(hash)
        .collect()
}

fn object(sandbox: &Sandbox, hash: &str) -> PathBuf {
    sandbox.path(&format!(".walkback/vault/objects/{}/{hash}", &hash[..2]))
}

fn flip(path: &Path, bit: usize) {
    let mut bytes = fs::read(path).expect("it can be read");
    let place = bit / 8 % bytes.len();
    bytes[place] ^= 1 << (bit % 8);
    fs::write(path, bytes).expect("it can be written");
}

/// Verifies a backup, which must find damage, and returns the chunks it names, each with its table.
fn damage(sandbox: &Sandbox, id: &str) -> BTreeSet<(String, String)> {
    let output = sandbox.run(&["backup", "verify", id, "--json"]);
    assert_eq!(output.code, Some(8), "{}", output.transcript());
    let reports = output.json()["reports"].clone();
    let tables = reports[0]["tables"].as_array().expect("a list").clone();
    let mut found = BTreeSet::new();
    for table in &tables {
        for damage in table["damage"].as_array().expect("a list") {
            let text = |value: &Value| value.as_str().expect("a text").to_owned();
            found.insert((text(&table["table"]["name"]), text(&damage["hash"])));
        }
    }
    found
}

/// Checks that a restore refuses to begin, and that the database is as it was.
fn restores_nothing(sandbox: &Sandbox, id: &str) {
    // What is still in the database would be put into the vault anew by the safety point of the restore.
    sandbox.sql("UPDATE large SET a = CONCAT('!', a)");
    let before = sandbox.contents();
    let output = sandbox.run(&["restore", id, "-y"]);
    assert_eq!(output.code, Some(8), "{}", output.transcript());
    sandbox.assert_contents(&before, "a restore from a damaged backup");
    assert_eq!(sandbox.status()["applied"], 1);
    sandbox.sql("UPDATE large SET a = substr(a, 2)");
}

fn a_bit_flipped_in_every_tenth_chunk_is_found_and_named_and_the_next_backup_heals_it(backend: Backend) {
    let sandbox = filled(backend, 150_000);
    let id = sandbox.backup();
    let all = chunks(&manifest(&sandbox, &id), "large");
    assert!(all.len() >= 20, "only {} chunks", all.len());
    let mut flipped = BTreeSet::new();
    for (number, hash) in all.iter().step_by(10).enumerate() {
        flip(&object(&sandbox, hash), 7919 * (number + 1));
        flipped.insert(("large".to_owned(), hash.clone()));
    }
    assert_eq!(damage(&sandbox, &id), flipped);
    let said = sandbox.run(&["backup", "verify", &id]);
    for (_, hash) in &flipped {
        assert!(
            said.stdout.contains(hash) || said.stderr.contains(hash),
            "{}",
            said.transcript()
        );
    }
    assert!(said.stdout.contains("`large`"), "{}", said.transcript());
    restores_nothing(&sandbox, &id);
    // The rows are still in the database: the next backup writes the chunks anew, for both.
    let next = sandbox.backup();
    sandbox.ok(&["backup", "verify", &next]);
    sandbox.ok(&["backup", "verify", &id]);
    report(&format!(
        "{backend}: {} of {} chunks flipped, found, named and healed",
        flipped.len(),
        all.len()
    ));
}

fn objects_cut_short_emptied_exchanged_moved_and_lost_are_each_found_and_named(backend: Backend) {
    let sandbox = filled(backend, 60_000);
    let id = sandbox.backup();
    let all = chunks(&manifest(&sandbox, &id), "large");
    let [short, empty, one, other, moved, lost, grown, intact, ..] = &all[..] else {
        panic!("only {} chunks", all.len());
    };
    let path = |hash: &String| object(&sandbox, hash);
    let bytes = fs::read(path(short)).expect("it can be read");
    fs::write(path(short), &bytes[..bytes.len() / 2]).expect("it can be written");
    fs::write(path(empty), "").expect("it can be written");
    let (first, second) = (
        fs::read(path(one)).expect("read"),
        fs::read(path(other)).expect("read"),
    );
    fs::write(path(one), second).expect("it can be written");
    fs::write(path(other), first).expect("it can be written");
    let elsewhere = moved.chars().rev().collect::<String>();
    let elsewhere = path(&elsewhere);
    fs::create_dir_all(elsewhere.parent().expect("a folder")).expect("folders can be made");
    fs::rename(path(moved), elsewhere).expect("it can be renamed");
    fs::remove_file(path(lost)).expect("it can be removed");
    let mut bytes = fs::read(path(grown)).expect("it can be read");
    bytes.extend_from_slice(b"and more");
    fs::write(path(grown), bytes).expect("it can be written");
    let expected: BTreeSet<_> = [short, empty, one, other, moved, lost, grown]
        .into_iter()
        .map(|hash| ("large".to_owned(), hash.clone()))
        .collect();
    let found = damage(&sandbox, &id);
    assert!(!found.contains(&("large".to_owned(), intact.clone())));
    assert_eq!(found, expected);
    restores_nothing(&sandbox, &id);
    // What is whole can be had.
    sandbox.sql("DELETE FROM small");
    sandbox.ok(&["restore", &id, "--table", "small", "-y"]);
    assert_eq!(sandbox.value("SELECT count(*) FROM small"), "2");
    let next = sandbox.backup();
    sandbox.ok(&["backup", "verify", &next]);
    sandbox.ok(&["backup", "verify", &id]);
}

/// A small vault is damaged in each byte of its chunks, and in many of a manifest, one after the other.
fn every_bit_of_a_small_vault_is_watched_or_does_not_matter(backend: Backend) {
    let sandbox = filled(backend, 3);
    let (id, before) = (sandbox.backup(), sandbox.contents());
    let mut files = sandbox.vault_files("objects");
    files.push(sandbox.path(&format!(".walkback/vault/points/{id}.json")));
    let (mut flips, mut harmless) = (0, 0);
    for file in &files {
        let whole = fs::read(file).expect("it can be read");
        let is_manifest = file.extension().is_some();
        for place in (0..whole.len()).step_by(if is_manifest { 41 } else { 1 }) {
            // White space between the fields of a manifest may be any.
            if whole[place].is_ascii_whitespace() {
                continue;
            }
            let mut bytes = whole.clone();
            bytes[place] ^= 1 << (place % 8);
            fs::write(file, &bytes).expect("it can be written");
            flips += 1;
            let output = sandbox.run(&["backup", "verify", &id]);
            if output.code != Some(8) {
                // A bit of the head of a zstd frame that nobody reads: what is in the frame is what was written.
                assert_eq!(output.code, Some(0), "byte {place}: {}", output.transcript());
                assert!(
                    !is_manifest && place == 4,
                    "byte {place} of {} is not watched",
                    file.display()
                );
                sandbox.ok(&["restore", &id, "-y"]);
                sandbox.assert_contents(&before, "a bit that does not matter");
                harmless += 1;
            }
        }
        fs::write(file, whole).expect("it can be written");
    }
    report(&format!(
        "{flips} bits flipped, {harmless} of them without any effect, all others found"
    ));
    sandbox.ok(&["backup", "verify", &id]);
}

/// Rewrites the manifest of a point.
fn edit(sandbox: &Sandbox, id: &str, change: impl Fn(&mut Value)) {
    let path = sandbox.path(&format!(".walkback/vault/points/{id}.json"));
    let text = fs::read_to_string(&path).expect("it can be read");
    let mut value: Value = serde_json::from_str(&text).expect("it is JSON");
    change(&mut value);
    fs::write(&path, format!("{value:#}\n")).expect("it can be written");
}

/// Gives a manifest the sum that it must have, as a forger would.
fn seal(value: &mut Value) {
    fn canonical(value: &Value, into: &mut String) {
        match value {
            Value::Object(fields) => {
                let mut names: Vec<_> = fields.keys().collect();
                names.sort();
                into.push('{');
                for (index, name) in names.into_iter().enumerate() {
                    into.push_str(if index == 0 { "" } else { "," });
                    into.push_str(&format!("{}:", Value::from(name.as_str())));
                    canonical(&fields[name], into);
                }
                into.push('}');
            }
            Value::Array(items) => {
                into.push('[');
                for (index, item) in items.iter().enumerate() {
                    into.push_str(if index == 0 { "" } else { "," });
                    canonical(item, into);
                }
                into.push(']');
            }
            leaf => into.push_str(&leaf.to_string()),
        }
    }
    let mut text = String::new();
    value.as_object_mut().expect("an object").remove("hash");
    canonical(value, &mut text);
    value["hash"] = blake3::hash(text.as_bytes()).to_hex().to_string().into();
}

fn a_manifest_that_was_edited_is_not_believed(backend: Backend) {
    let sandbox = filled(backend, 3);
    let id = sandbox.backup();
    sandbox.sql("UPDATE small SET a = 'since'");
    let path = sandbox.path(&format!(".walkback/vault/points/{id}.json"));
    let whole = fs::read(&path).expect("it can be read");
    let changes: [(&str, Change); 6] = [
        ("a count", |value| value["tables"][0]["rows"] = 9.into()),
        ("a column", |value| value["tables"][0]["columns"][0] = "b".into()),
        ("a definition", |value| {
            value["schema"]["tables"][0]["definition"] = "DROP TABLE small".into()
        }),
        ("a moment", |value| {
            value["created_at"] = "2020-01-01T00:00:00Z".into()
        }),
        ("a new field", |value| value["extra"] = 1.into()),
        ("a chunk", |value| {
            value["tables"][0]["chunks"] = Value::Array(Vec::new())
        }),
    ];
    for (what, change) in changes {
        edit(&sandbox, &id, change);
        let output = sandbox.run(&["backup", "verify", &id]);
        assert_eq!(output.code, Some(8), "{what}: {}", output.transcript());
        assert!(
            output.stderr.contains("does not match its hash"),
            "{what}: {}",
            output.transcript()
        );
        restores_nothing(&sandbox, &id);
        fs::write(&path, &whole).expect("it can be written");
    }
    for (what, bytes) in [("cut short", &whole[..whole.len() / 2]), ("emptied", &b""[..])] {
        fs::write(&path, bytes).expect("it can be written");
        let output = sandbox.run(&["backup", "verify", &id]);
        assert_eq!(output.code, Some(8), "{what}: {}", output.transcript());
        restores_nothing(&sandbox, &id);
    }
    fs::write(&path, &whole).expect("it can be written");
    sandbox.ok(&["restore", &id, "-y"]);
}

fn a_manifest_edited_with_its_sum_does_not_restore_what_it_does_not_hold(backend: Backend) {
    let sandbox = filled(backend, 20_000);
    let id = sandbox.backup();
    let changes: [(&str, Change); 3] = [
        ("a chunk is left out", |value| {
            let entry = value["tables"].as_array_mut().expect("a list").iter_mut();
            let entry = entry.max_by_key(|entry| entry["rows"].as_u64()).expect("a table");
            let chunk = entry["chunks"]
                .as_array_mut()
                .expect("a list")
                .pop()
                .expect("a chunk");
            let less = |total: &mut Value, by: u64| *total = (total.as_u64().expect("a number") - by).into();
            let of = |name: &str| chunk[name].as_u64().expect("a number");
            less(&mut entry["rows"], of("rows"));
            less(&mut entry["bytes"], of("bytes"));
            let totals = &mut value["totals"];
            for name in ["rows", "bytes", "stored"] {
                less(&mut totals[name], of(name));
            }
            less(&mut totals["chunks"], 1);
        }),
        ("two columns are exchanged", |value| {
            let entry = value["tables"].as_array_mut().expect("a list").iter_mut();
            let entry = entry.max_by_key(|entry| entry["rows"].as_u64()).expect("a table");
            entry["columns"].as_array_mut().expect("a list").reverse();
        }),
        ("it calls itself otherwise", |value| {
            value["id"] = "bk_other".into()
        }),
    ];
    let path = sandbox.path(&format!(".walkback/vault/points/{id}.json"));
    let whole = fs::read(&path).expect("it can be read");
    for (what, change) in changes {
        edit(&sandbox, &id, |value| {
            change(value);
            seal(value);
        });
        let before = sandbox.contents();
        let output = sandbox.run(&["restore", &id, "-y"]);
        assert!(
            output.code.is_some_and(|code| code != 0),
            "{what}: {}",
            output.transcript()
        );
        sandbox.assert_contents(&before, what);
        fs::write(&path, &whole).expect("it can be written");
    }
    // The journal knows the sum of each point a run has made.
    sandbox.migration("002_change", "UPDATE small SET a = upper(a);", "");
    sandbox.ok(&["up", "-y"]);
    let point = sandbox.vault_files("points");
    let point = point
        .iter()
        .find(|path| path.to_string_lossy().contains("rb_002_change"));
    let point = point
        .and_then(|path| path.file_stem())
        .expect("a point")
        .to_string_lossy()
        .into_owned();
    edit(&sandbox, &point, |value| {
        value["description"] = "somebody else's".into();
        seal(value);
    });
    let output = sandbox.run(&["rollback", "-y"]);
    assert_eq!(output.code, Some(8), "{}", output.transcript());
    assert!(
        output.stderr.contains("not the one this database remembers"),
        "{}",
        output.transcript()
    );
}

fn the_manifest_of_another_backup_does_not_pass_for_this_one(backend: Backend) {
    let sandbox = filled(backend, 3);
    let one = sandbox.ok_at("2026-01-01T00:00:00Z", &["backup", "create", "--json"]);
    sandbox.sql("DELETE FROM small");
    let other = sandbox.ok_at("2026-01-02T00:00:00Z", &["backup", "create", "--json"]);
    let file = |output: &walkback_tests::Output| {
        let id = output.json()["backup"]["id"].as_str().expect("an id").to_owned();
        (
            id.clone(),
            sandbox.path(&format!(".walkback/vault/points/{id}.json")),
        )
    };
    let ((one, one_file), (other, other_file)) = (file(&one), file(&other));
    let (first, second) = (
        fs::read(&one_file).expect("read"),
        fs::read(&other_file).expect("read"),
    );
    fs::write(&one_file, second).expect("it can be written");
    fs::write(&other_file, first).expect("it can be written");
    for id in [&one, &other] {
        let output = sandbox.run(&["backup", "verify", id]);
        assert_eq!(output.code, Some(8), "{}", output.transcript());
        assert!(
            output.stderr.contains("it says it is point"),
            "{}",
            output.transcript()
        );
        restores_nothing(&sandbox, id);
    }
}
