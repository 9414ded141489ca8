//! A real history that nobody here wrote: the SQLite migrations of vaultwarden, through the binary.
//!
//! Its files are not part of this repository. `WALKBACK_CORPORA` names a folder that holds
//! `dani-garcia/vaultwarden/migrations`; without it the test is ignored, and says so.

use std::path::PathBuf;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use walkback_tests::{Sandbox, report};

fn main() -> ExitCode {
    let folder = std::env::var_os("WALKBACK_CORPORA")
        .map(|corpora| PathBuf::from(corpora).join("dani-garcia/vaultwarden/migrations/sqlite"))
        .filter(|folder| folder.is_dir());
    let missing = folder.is_none();
    if missing {
        report("ignored: WALKBACK_CORPORA names no folder with dani-garcia/vaultwarden");
    }
    let trial = Trial::test(
        "vaultwarden_goes_up_down_and_up_with_a_verdict_for_each",
        move || up_down_up(&folder.expect("it is there, or the test is ignored")),
    );
    libtest_mimic::run(&Arguments::from_args(), vec![trial.with_ignored_flag(missing)]).exit_code()
}

fn up_down_up(folder: &std::path::Path) -> Result<(), Failed> {
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.write(
        "walkback.toml",
        &format!(
            "[source]\nkind = \"diesel\"\npath = {folder:?}\n\n[store.local]\nkind = \"fs\"\npath = \"vault\"\n\n\
             [env.dev]\nurl = \"sqlite:app.db\"\nstores = [\"local\"]\n"
        ),
    );
    let count = std::fs::read_dir(folder)?
        .filter_map(Result::ok)
        .filter(|entry| entry.path().is_dir())
        .count();
    sandbox.ok(&["up", "-y"]);
    let head = sandbox.contents();
    assert_eq!(sandbox.status()["applied"], count);
    assert_eq!(
        sandbox.value("SELECT count(*) FROM __diesel_schema_migrations"),
        count.to_string()
    );

    // By the authors' own downs, one after the other, as far as there are any.
    let mut named = 0;
    loop {
        let down = sandbox.run(&["down", "-y"]);
        named += down.stderr.matches("does not lead back").count();
        if down.code != Some(0) {
            report(&format!(
                "their own downs: {named} things not restored, then: {}",
                down.stderr.lines().next().unwrap_or_default()
            ));
            break;
        }
    }

    // By rollback, from a fresh head: every migration is walked back to what was there before.
    let fresh = Sandbox::new(env!("CARGO_BIN_EXE_walkback-under-test"));
    fresh.write(
        "walkback.toml",
        &std::fs::read_to_string(sandbox.path("walkback.toml"))?,
    );
    fresh.ok(&["up", "-y"]);
    let rollback = fresh.ok(&["rollback", "--to", "base", "-y"]);
    report(&format!(
        "rollback to base: {} downs replaced by a sounder way",
        rollback.stderr.matches("does not lead back").count()
    ));
    assert!(
        fresh.contents().definitions.is_empty(),
        "{:?}",
        fresh.contents().definitions
    );
    fresh.ok(&["up", "-y"]);
    assert_eq!(fresh.contents(), head);

    let verify = fresh.run(&["verify", "--json"]);
    let outcomes = verify.json();
    let outcomes = outcomes["outcomes"].as_array().ok_or("verify gives a list")?;
    assert_eq!(outcomes.len(), count);
    for outcome in outcomes {
        let verdict = outcome["verdict"]["verdict"]
            .as_str()
            .ok_or("each has a verdict")?;
        if verdict != "lossless" || outcome["passed"] != true {
            report(&format!(
                "{} {verdict} {}",
                outcome["name"], outcome["differences"]
            ));
        }
    }
    Ok(())
}
