//! A configuration with mistakes, and a command line that does not fit.

use crate::{begun, goes_on, reconfigure, unchanged};

#[test]
fn a_key_with_a_typo_is_shown_in_its_line() {
    let sandbox = begun();
    reconfigure(&sandbox, "stores =", "storse =");
    insta::assert_snapshot!(unchanged(&sandbox, &["up"]), @r#"
    $ walkback up
    exit: 2
    --- stderr
    error: unknown key `storse` in `[env.dev]` (walkback.toml:11:1)
      11 | storse = ["local"]
         | ^^^^^^
    hint: did you mean `stores`?
    "#);
    insta::assert_snapshot!(unchanged(&sandbox, &["up", "--json"]), @r#"
    $ walkback up --json
    exit: 2
    --- stdout
    {
      "error": {
        "kind": "config",
        "message": "unknown key `storse` in `[env.dev]` (walkback.toml:11:1)",
        "causes": [],
        "hints": [
          "did you mean `stores`?"
        ],
        "context": {
          "file": "walkback.toml",
          "line": "11",
          "column": "1",
          "width": "6",
          "text": "storse = [\"local\"]"
        },
        "succeeded": [],
        "exit_code": 2
      }
    }
    "#);
    reconfigure(&sandbox, "storse =", "stores =");
    goes_on(&sandbox, 1);
}

#[test]
fn a_hook_with_a_typo_is_shown_with_the_closest() {
    let sandbox = begun();
    reconfigure(&sandbox, "stores =", "hooks = { after_upp = [] }\nstores =");
    insta::assert_snapshot!(unchanged(&sandbox, &["up"]), @r"
    $ walkback up
    exit: 2
    --- stderr
    error: unknown key `after_upp` in `[env.dev.hooks]` (walkback.toml:11:11)
      11 | hooks = { after_upp = [] }
         |           ^^^^^^^^^
    hint: did you mean `after_up`?
    ");
    reconfigure(&sandbox, "hooks = { after_upp = [] }\n", "");
    goes_on(&sandbox, 1);
}

#[test]
fn a_key_in_the_wrong_table_is_shown_with_the_right_one() {
    let sandbox = begun();
    reconfigure(&sandbox, "stores =", "lossy = \"refuse\"\nstores =");
    insta::assert_snapshot!(unchanged(&sandbox, &["up"]), @r#"
    $ walkback up
    exit: 2
    --- stderr
    error: unknown key `lossy` in `[env.dev]` (walkback.toml:11:1)
      11 | lossy = "refuse"
         | ^^^^^
    hint: `lossy` belongs in `[env.dev.policy]`
    "#);
    reconfigure(
        &sandbox,
        "lossy = \"refuse\"\n",
        "policy = { protect = \"off\" }\n",
    );
    insta::assert_snapshot!(unchanged(&sandbox, &["up"]), @r#"
    $ walkback up
    exit: 2
    --- stderr
    error: unknown key `protect` in `[env.dev.policy]` (walkback.toml:11:12)
      11 | policy = { protect = "off" }
         |            ^^^^^^^
    hint: `protect` belongs in `[env.dev]`
    "#);
    reconfigure(&sandbox, "policy = { protect = \"off\" }\n", "");
    goes_on(&sandbox, 1);
}

#[test]
fn a_kind_that_is_not_built_yet_names_one_that_is() {
    let sandbox = begun();
    reconfigure(&sandbox, "kind = \"sql\"", "kind = \"flyway\"");
    insta::assert_snapshot!(unchanged(&sandbox, &["up"]), @r#"
    $ walkback up
    exit: 2
    --- stderr
    error: `kind = "flyway"` in `[source]` is not built yet (walkback.toml:2:8)
      2 | kind = "flyway"
        |        ^^^^^^^^
    hint: this version has others, such as `kind = "sql"`
    "#);
    reconfigure(&sandbox, "kind = \"flyway\"", "kind = \"sql\"");
    goes_on(&sandbox, 1);
}

#[test]
fn a_kind_with_a_typo_is_shown_with_the_closest() {
    let sandbox = begun();
    reconfigure(&sandbox, "kind = \"sql\"", "kind = \"sqll\"");
    insta::assert_snapshot!(unchanged(&sandbox, &["up"]), @r#"
    $ walkback up
    exit: 2
    --- stderr
    error: this build has no source for the kind `sqll` (walkback.toml:2:8)
      2 | kind = "sqll"
        |        ^^^^^^
    hint: it has: alembic, diesel, liquibase, sql
    hint: did you mean `sql`?
    "#);
    reconfigure(&sandbox, "kind = \"sqll\"", "kind = \"sql\"");
    goes_on(&sandbox, 1);
}

#[test]
fn a_variable_that_is_not_defined_is_shown_where_it_is_used() {
    let sandbox = begun();
    reconfigure(&sandbox, "sqlite:app.db", "${WALKBACK_TEST_NO_SUCH_URL}");
    insta::assert_snapshot!(unchanged(&sandbox, &["up"]), @r#"
    $ walkback up
    exit: 2
    --- stderr
    error: the variable `WALKBACK_TEST_NO_SUCH_URL` is not defined (walkback.toml:10:7)
      10 | url = "${WALKBACK_TEST_NO_SUCH_URL}"
         |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    hint: set `WALKBACK_TEST_NO_SUCH_URL` in the environment or in `.env` beside the configuration, or give a default: `${WALKBACK_TEST_NO_SUCH_URL:-..}`
    "#);
    sandbox.write(".env", "WALKBACK_TEST_NO_SUCH_URL=sqlite:app.db\n");
    goes_on(&sandbox, 1);
}

#[test]
fn broken_toml_is_shown_where_it_breaks() {
    let sandbox = begun();
    reconfigure(&sandbox, "path = \"migrations\"", "path = \"migrations");
    insta::assert_snapshot!(unchanged(&sandbox, &["up"]), @r#"
    $ walkback up
    exit: 2
    --- stderr
    error: invalid basic string, expected `"` (walkback.toml:3:19)
      3 | path = "migrations
        |                   ^
    "#);
    reconfigure(&sandbox, "path = \"migrations", "path = \"migrations\"");
    goes_on(&sandbox, 1);
}

#[test]
fn an_unknown_environment_is_named_with_those_there_are() {
    let sandbox = begun();
    insta::assert_snapshot!(unchanged(&sandbox, &["-e", "production", "up"]), @r"
    $ walkback -e production up
    exit: 2
    --- stderr
    error: there is no environment `production`
    hint: `<folder>/walkback.toml` has `dev`
    ");
    insta::assert_snapshot!(unchanged(&sandbox, &["-e", "def", "up"]), @r"
    $ walkback -e def up
    exit: 2
    --- stderr
    error: there is no environment `def`
    hint: did you mean `dev`?
    ");
    goes_on(&sandbox, 1);
}

#[test]
fn an_unknown_store_is_shown_with_the_closest() {
    let sandbox = begun();
    reconfigure(&sandbox, "[\"local\"]", "[\"locla\"]");
    insta::assert_snapshot!(unchanged(&sandbox, &["up"]), @r#"
    $ walkback up
    exit: 2
    --- stderr
    error: there is no store `locla` (walkback.toml:11:11)
      11 | stores = ["locla"]
         |           ^^^^^^^
    hint: did you mean `local`?
    "#);
    reconfigure(&sandbox, "[\"locla\"]", "[\"local\"]");
    goes_on(&sandbox, 1);
}

#[test]
fn an_unknown_scheme_names_those_of_this_build_and_no_password() {
    let sandbox = begun();
    insta::assert_snapshot!(unchanged(&sandbox, &["-u", "sqlit:app.db", "up"]), @r"
    $ walkback -u sqlit:app.db up
    exit: 2
    --- stderr
    error: this build has no engine for the URL scheme `sqlit`
    hint: it has: mysql, mariadb, postgres, postgresql, sqlite, sqlite3
    hint: did you mean `sqlite`?
    ");
    reconfigure(&sandbox, "sqlite:app.db", "oracle://shop:hunter2@localhost/shop");
    insta::assert_snapshot!(unchanged(&sandbox, &["up"]), @r"
    $ walkback up
    exit: 2
    --- stderr
    error: the database of `[env.dev]` cannot be opened (walkback.toml:10)
    caused by: this build has no engine for the URL scheme `oracle`
    hint: it has: mysql, mariadb, postgres, postgresql, sqlite, sqlite3
    ");
    reconfigure(&sandbox, "oracle://shop:hunter2@localhost/shop", "sqlite:app.db");
    goes_on(&sandbox, 1);
}

#[test]
fn a_parameter_of_the_url_with_a_wrong_value_says_what_it_takes() {
    let sandbox = begun();
    insta::assert_snapshot!(unchanged(&sandbox, &["-u", "sqlite:app.db?busy_timeout=300", "up"]), @r"
    $ walkback -u sqlite:app.db?busy_timeout=300 up
    exit: 2
    --- stderr
    error: `sqlite:app.db?busy_timeout=300` is not the URL of a SQLite database: `busy_timeout` is a time such as `<duration>`, `<duration>` or `2m`, not `300`
    ");
    insta::assert_snapshot!(unchanged(&sandbox, &["-u", "sqlite:app.db?busy_timout=300ms", "up"]), @r"
    $ walkback -u sqlite:app.db?busy_timout=<duration> up
    exit: 2
    --- stderr
    error: `sqlite:app.db?busy_timout=<duration>` is not the URL of a SQLite database: it has an unknown parameter `busy_timout`
    hint: the parameters are: foreign_keys=on|off, busy_timeout=<duration>
    ");
    goes_on(&sandbox, 1);
}

#[test]
fn a_configuration_that_is_named_and_not_there_is_an_error() {
    let sandbox = begun();
    insta::assert_snapshot!(unchanged(&sandbox, &["-c", "other.toml", "up"]), @r"
    $ walkback -c other.toml up
    exit: 2
    --- stderr
    error: cannot read the configuration `other.toml`
    caused by: No such file or directory (os error 2)
    hint: name one with `--config`, or write one with `walkback init`
    ");
    goes_on(&sandbox, 1);
}

/// `DATABASE_URL` of production was in the shell, and `-e dev` changed production.
#[test]
fn a_database_is_not_changed_in_the_name_of_another() {
    let sandbox = begun();
    let other = [("DATABASE_URL", "sqlite:other.db")];
    for named in [&["-e", "dev", "up", "-y"][..], &["deploy", "dev", "-y"]] {
        let done = sandbox.run_with(named, &other);
        assert_eq!(done.code, Some(0), "{}", done.transcript());
        let said = "warning: `DATABASE_URL` is not used: the environment `dev` was named, and has a `url` of its own";
        assert!(done.stderr.contains(said), "{}", done.transcript());
        assert!(!sandbox.path("other.db").exists(), "{}", done.transcript());
    }
    let by_variable = [other[0], ("WALKBACK_ENV", "dev")];
    let done = sandbox.run_with(&["down", "-y"], &by_variable);
    assert_eq!(done.code, Some(0), "{}", done.transcript());
    assert!(!sandbox.path("other.db").exists(), "{}", done.transcript());
    // Without a name it is what it was: told, and used.
    let done = sandbox.run_with(&["up", "-y"], &other);
    assert_eq!(done.code, Some(0), "{}", done.transcript());
    assert!(
        done.stderr
            .contains("`DATABASE_URL` takes the place of the `url` of `[env.dev]`"),
        "{}",
        done.transcript()
    );
    assert!(sandbox.path("other.db").exists());
}

#[test]
fn no_configuration_and_no_url_says_how_to_give_one() {
    let sandbox = begun();
    let text = std::fs::read_to_string(sandbox.path("walkback.toml")).unwrap();
    sandbox.remove("walkback.toml");
    insta::assert_snapshot!(unchanged(&sandbox, &["up"]), @r"
    $ walkback up
    exit: 2
    --- stderr
    error: no database is named for the environment `default`
    hint: pass `--url sqlite:app.db`, set `DATABASE_URL`, or write a `walkback.toml` with `walkback init`
    ");
    sandbox.write("walkback.toml", &text);
    goes_on(&sandbox, 1);
}
