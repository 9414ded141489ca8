//! An engine without a log.

use walkback_tests::{Backend, Sandbox};

use super::NOTES;

pub(super) fn without_a_log_the_newest_backup_from_before_is_taken_and_named(backend: Backend) {
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.migration("001_begin", NOTES, "");
    sandbox.ok_at("2026-11-20T10:00:00Z", &["up", "-y"]);
    sandbox.ok_at("2026-11-20T10:00:10Z", &["backup", "create"]);
    sandbox.sql("INSERT INTO note VALUES (3, 'three')");
    let before = sandbox.contents();
    let created = sandbox
        .ok_at("2026-11-20T11:00:00Z", &["backup", "create", "--json"])
        .json();
    let second = created["backup"]["id"].as_str().expect("an id").to_owned();
    sandbox.sql("INSERT INTO note VALUES (4, 'four')");
    sandbox.ok_at("2026-11-20T13:00:00Z", &["backup", "create"]);
    let now = "2026-11-20T14:00:00Z";

    let refused = sandbox.at(now, &["restore", "--to-time", "2026-11-20 12:30:00", "-y"]);
    assert_ne!(refused.code, Some(0));
    for part in ["keeps no log", "--nearest", second.as_str(), "1h 30m earlier"] {
        assert!(
            refused.stderr.contains(part),
            "`{part}`: {}",
            refused.transcript()
        );
    }
    assert_eq!(sandbox.value("SELECT CAST(COUNT(*) AS TEXT) FROM note"), "4");

    let arguments = [
        "restore",
        "--to-time",
        "2026-11-20T13:30:00+01:00",
        "--nearest",
        "-y",
    ];
    let shown = sandbox.ok_at(now, &arguments);
    let shown = format!("{}{}", shown.stdout, shown.stderr);
    for part in [
        "1h 30m earlier than asked",
        "what was written between is not in it",
        second.as_str(),
    ] {
        assert!(shown.contains(part), "`{part}` is not in:\n{shown}");
    }
    sandbox.assert_contents(&before, "as in the newest backup from before");
    let none = sandbox.at(
        now,
        &["restore", "--to-time", "2026-11-20 09:00:00", "--nearest", "-y"],
    );
    assert_ne!(none.code, Some(0));
    assert!(none.stderr.contains("the oldest moment"), "{}", none.transcript());
}
