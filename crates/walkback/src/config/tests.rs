use std::path::Path;

use walkback_core::{Error, ErrorKind};
use walkback_runner::{Confirmation, Decision};

use super::*;

fn parse(text: &str) -> Result<FileConfig, Error> {
    FileConfig::parse(Path::new("walkback.toml"), text)
}

fn refused(text: &str) -> Error {
    let error = parse(text).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    error
}

const FULL: &str = r#"
[source]
kind = "sql"
path = "migrations"

[store.local]
kind = "fs"
path = ".walkback/vault"

[env.dev]
url = "sqlite:dev.db"
stores = ["local"]

[env.production]
url = "${PROD_URL}"
lock_timeout = "5s"
soft_delete = "7d"
retention = "90d"
keep = { last = 5, daily = 7, yearly = 2 }
prune = "auto"
[env.production.policy]
destructive = "refuse"
require_ticket = true
confirm = "type-name"
"#;

struct Folder(tempfile::TempDir);

impl Folder {
    fn with(config: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        if let Some(text) = config {
            std::fs::write(folder.path().join(FILE_NAME), text).unwrap();
        }
        Self(folder)
    }

    fn load(&self, variables: &[(&str, &str)], overrides: Overrides) -> Result<Project, Error> {
        Project::load(
            self.0.path(),
            Variables::new(variables.iter().copied()),
            overrides,
        )
    }
}

fn environment(name: &str) -> Overrides {
    Overrides {
        environment: Some(name.to_owned()),
        ..Overrides::default()
    }
}

#[test]
fn a_full_configuration_is_read() {
    let config = parse(FULL).unwrap();
    let production = &config.environments["production"];
    assert_eq!(production.policy.destructive, Decision::Refuse);
    assert_eq!(production.policy.lossy, Decision::Ask);
    assert_eq!(production.policy.confirm, Confirmation::TypeName);
    assert!(production.policy.require_ticket);
    assert_eq!(production.lock_timeout, Some(std::time::Duration::from_secs(5)));
    assert_eq!(
        production.soft_delete,
        Some(std::time::Duration::from_secs(7 * 24 * 60 * 60))
    );
    assert_eq!(
        production.retention.age,
        Some(std::time::Duration::from_secs(90 * 86_400))
    );
    assert_eq!(Ok(production.retention.keep), "yearly=2,daily=7,last=5".parse());
    assert!(production.prunes_itself);
    assert!(config.environments["dev"].retention.is_empty());
    assert_eq!(
        config.environments["dev"].url.as_ref().unwrap().value,
        "sqlite:dev.db"
    );
}

#[test]
fn a_typo_is_shown_with_its_line_and_what_was_meant() {
    let error = refused("[env.dev]\nurl = \"sqlite:a.db\"\nstroes = [\"local\"]\n");
    assert_eq!(
        error.message(),
        "unknown key `stroes` in `[env.dev]` (walkback.toml:3:1)"
    );
    assert_eq!(error.hints(), ["did you mean `stores`?"]);
    assert!(
        error
            .context()
            .contains(&("text", "stroes = [\"local\"]".to_owned()))
    );

    let error = refused("[sauce]\nkind = \"sql\"\n");
    assert_eq!(
        error.message(),
        "unknown key `sauce` at the top of the file (walkback.toml:1:2)"
    );
    let error = refused("[env.dev.policy]\ndestructive = \"alow\"\n");
    assert_eq!(
        error.message(),
        "`alow` is not a value of `destructive` in `[env.dev.policy]` (walkback.toml:2:15)"
    );
}

#[test]
fn keys_of_later_versions_are_refused_and_not_ignored() {
    let error = refused("[source]\nkind = \"flyway\"\n");
    assert!(error.message().contains("is not built yet"), "{error}");
    assert!(error.message().contains("flyway"), "{error}");
    assert!(error.message().contains("walkback.toml:2:"), "{error}");
}

#[test]
fn approvals_that_nobody_could_give_are_refused_at_their_place() {
    let error = refused("[env.production.policy]\napprovals = 1\n");
    assert!(
        error.message().contains("wants more than `approvers` lists"),
        "{error}"
    );
    assert!(error.message().contains("walkback.toml:2:"), "{error}");
}

#[test]
fn hooks_that_cannot_be_run_are_refused_at_their_place() {
    for (text, expected) in [
        (
            "before_up = \"make\"",
            "`before_up` in `[env.dev.hooks]` is to be a list of commands, not a string (walkback.toml:2:13)",
        ),
        (
            "before_up = [1]",
            "`before_up` in `[env.dev.hooks]` is to be a list of commands, not an integer (walkback.toml:2:14)",
        ),
        (
            "before_up = [\" \"]",
            "a command of `before_up` is empty (walkback.toml:2:14)",
        ),
        (
            "before_up = [{ timeout = \"1s\" }]",
            "a command of `before_up` has no `run` (walkback.toml:2:14)",
        ),
        (
            "before_up = [{ run = \"x\", timeout = \"0s\" }]",
            "`timeout` in `[env.dev.hooks.before_up]` is no time at all (walkback.toml:2:27)",
        ),
        (
            "before_up = [{ run = \"x\", tiemout = \"1s\" }]",
            "unknown key `tiemout` in `[env.dev.hooks.before_up]` (walkback.toml:2:27)",
        ),
        (
            "health_check = {}",
            "`health_check` has neither of `http` and `command` (walkback.toml:2:1)",
        ),
        (
            "health_check = { http = \"http://x\", command = \"y\" }",
            "`health_check` has both of `http` and `command` (walkback.toml:2:1)",
        ),
        (
            "health_check = { command = \"\" }",
            "the command of `health_check` is empty (walkback.toml:2:28)",
        ),
    ] {
        let error = refused(&format!("[env.dev.hooks]\n{text}\n"));
        assert_eq!(error.message(), expected);
    }
}

#[test]
fn values_of_the_wrong_type_and_broken_syntax_have_a_place() {
    for (text, expected) in [
        (
            "[env.dev]\nurl = 5\n",
            "`url` in `[env.dev]` is to be a string, not an integer (walkback.toml:2:7)",
        ),
        (
            "[env.dev]\nstores = \"local\"\n",
            "is to be a list of strings, not a string (walkback.toml:2:10)",
        ),
        (
            "[env.dev]\nlock_timeout = \"5\"\n",
            "is not a duration (walkback.toml:2:16)",
        ),
        ("env = 3\n", "`env` is to be a table (walkback.toml:1:1)"),
        (
            "[env]\ndev = 3\n",
            "`env.dev` is to be a table (walkback.toml:2:1)",
        ),
        ("[env.dev\nurl = 1", "(walkback.toml:1:"),
        (
            "[store.a]\npath = \"x\"\n",
            "`[store.a]` has no `kind` (walkback.toml:1:8)",
        ),
    ] {
        let error = refused(text);
        assert!(error.message().contains(expected), "{error}");
    }
}

#[test]
fn a_file_that_is_not_utf_8_is_named_with_its_line() {
    let folder = Folder::with(None);
    std::fs::write(folder.0.path().join(FILE_NAME), b"[env.dev]\nurl = \"\xff\"\n").unwrap();
    let error = folder.load(&[], Overrides::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(
        error.message(),
        "the configuration is not UTF-8 (walkback.toml:2)"
    );
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_fine() {
    let config = parse("\u{feff}[env.dev]\r\nurl = \"sqlite:a.db\"\r\n").unwrap();
    assert_eq!(
        config.environments["dev"].url.as_ref().unwrap().value,
        "sqlite:a.db"
    );
}

#[test]
fn a_password_on_a_broken_line_is_not_shown() {
    let error = refused("[env.dev]\nurl = \"postgres://app:s3cret@db/x\n");
    assert!(!format!("{error:?} {:?}", error.context()).contains("s3cret"));
}

#[test]
fn a_flag_wins_over_a_variable_and_a_variable_over_the_file() {
    let folder = Folder::with(Some(FULL));
    let url = |variables: &[(&str, &str)], overrides| {
        folder
            .load(variables, overrides)
            .unwrap()
            .database_url()
            .unwrap()
            .as_str()
            .to_owned()
    };
    assert_eq!(url(&[], Overrides::default()), "sqlite:dev.db");
    assert_eq!(
        url(&[("DATABASE_URL", "sqlite:2")], Overrides::default()),
        "sqlite:2"
    );
    let both = [("DATABASE_URL", "sqlite:2"), ("WALKBACK_URL", "sqlite:3")];
    assert_eq!(url(&both, Overrides::default()), "sqlite:3");
    let flag = Overrides {
        url: Some("sqlite:4".into()),
        ..Overrides::default()
    };
    assert_eq!(url(&both, flag), "sqlite:4");

    let project = folder
        .load(&[("WALKBACK_ENV", "production")], environment("dev"))
        .unwrap();
    assert_eq!(project.environment(), "dev");
    let project = folder
        .load(&[("WALKBACK_ENV", "production")], Overrides::default())
        .unwrap();
    assert_eq!(project.environment(), "production");
    assert_eq!(
        project.lock_timeout().unwrap(),
        Some(std::time::Duration::from_secs(5))
    );
    let variables = [("WALKBACK_ENV", "production"), ("WALKBACK_LOCK_TIMEOUT", "7s")];
    let project = folder.load(&variables, Overrides::default()).unwrap();
    assert_eq!(
        project.lock_timeout().unwrap(),
        Some(std::time::Duration::from_secs(7))
    );
}

#[test]
fn a_variable_that_replaces_the_url_of_the_file_is_warned_of() {
    let folder = Folder::with(Some(FULL));
    let project = folder
        .load(&[("DATABASE_URL", "sqlite:other.db")], Overrides::default())
        .unwrap();
    assert_eq!(
        project.warnings().unwrap(),
        ["`DATABASE_URL` takes the place of the `url` of `[env.dev]` (walkback.toml:11)"]
    );
    let project = folder
        .load(&[("DATABASE_URL", "sqlite:dev.db")], Overrides::default())
        .unwrap();
    assert_eq!(project.warnings().unwrap(), [""; 0]);
}

/// `DATABASE_URL` of production was in the shell, and `-e dev` walked production back.
#[test]
fn an_environment_that_was_named_keeps_its_url() {
    let chosen = |folder: &Folder, variables: &[(&str, &str)], overrides| {
        let project = folder.load(variables, overrides).unwrap();
        let url = project.database_url().unwrap().as_str().to_owned();
        (url, project.warnings().unwrap().join("\n"))
    };
    let folder = Folder::with(Some(FULL));
    let both = [("DATABASE_URL", "sqlite:2"), ("WALKBACK_ENV", "dev")];
    let unused = "`DATABASE_URL` is not used: the environment `dev` was named, and has a `url` of its own (walkback.toml:11)";
    let kept = ("sqlite:dev.db".to_owned(), unused.to_owned());
    assert_eq!(chosen(&folder, &both[..1], environment("dev")), kept);
    assert_eq!(chosen(&folder, &both, Overrides::default()), kept);
    let same = [("DATABASE_URL", "sqlite:dev.db")];
    assert_eq!(chosen(&folder, &same, environment("dev")).1, "");
    // The variable of walkback's own is meant for it.
    let ours = [both[0], ("WALKBACK_URL", "sqlite:3")];
    assert_eq!(chosen(&folder, &ours, environment("dev")).0, "sqlite:3");
    // Without a `url` of its own there is nothing to keep.
    let folder = Folder::with(Some("[env.dev]\nlock_timeout = \"1s\"\n"));
    assert_eq!(chosen(&folder, &both[..1], environment("dev")).0, "sqlite:2");
}

#[test]
fn an_undefined_variable_is_named_with_its_line_and_only_when_it_is_needed() {
    let folder = Folder::with(Some(FULL));
    folder
        .load(&[], environment("dev"))
        .unwrap()
        .database_url()
        .unwrap();
    let error = folder
        .load(&[], environment("production"))
        .unwrap()
        .database_url()
        .unwrap_err();
    assert_eq!(
        error.message(),
        "the variable `PROD_URL` is not defined (walkback.toml:15:7)"
    );
}

#[test]
fn the_env_file_is_read_and_does_not_win_over_the_process() {
    let folder = Folder::with(Some(FULL));
    std::fs::write(
        folder.0.path().join(".env"),
        "# comment\nPROD_URL='sqlite:from file.db'\n",
    )
    .unwrap();
    let url = |variables: &[(&str, &str)]| {
        let project = folder.load(variables, environment("production")).unwrap();
        project.database_url().unwrap().as_str().to_owned()
    };
    assert_eq!(url(&[]), "sqlite:from file.db");
    assert_eq!(url(&[("PROD_URL", "sqlite:process.db")]), "sqlite:process.db");

    std::fs::write(folder.0.path().join(".env"), "A=1\nPASSWORD=s3cret word\n").unwrap();
    let error = folder.load(&[], environment("dev")).unwrap_err();
    assert!(error.message().contains(".env:2"), "{error}");
    assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
}

#[test]
fn the_file_is_found_upwards_and_paths_are_meant_from_it() {
    let folder = Folder::with(Some(FULL));
    let below = folder.0.path().join("a/b");
    std::fs::create_dir_all(&below).unwrap();
    let project = Project::load(&below, Variables::default(), Overrides::default()).unwrap();
    assert_eq!(project.base(), folder.0.path());
    assert_eq!(project.with_short_paths().base(), Path::new("../.."));
}

#[test]
fn an_environment_is_chosen_or_asked_for() {
    let empty = Folder::with(None);
    assert_eq!(
        empty.load(&[], Overrides::default()).unwrap().environment(),
        "default"
    );
    let error = empty.load(&[], environment("dev")).unwrap_err();
    assert_eq!(error.message(), "there is no environment `dev`");

    let one = Folder::with(Some("[env.live]\nurl = \"sqlite:a\"\n"));
    assert_eq!(one.load(&[], Overrides::default()).unwrap().environment(), "live");
    let error = one.load(&[], environment("life")).unwrap_err();
    assert_eq!(error.hints(), ["did you mean `live`?"]);

    let two = Folder::with(Some("[env.a]\nurl = \"sqlite:a\"\n[env.b]\nurl = \"sqlite:b\"\n"));
    let error = two.load(&[], Overrides::default()).unwrap_err();
    assert_eq!(
        error.hints(),
        ["pass `--env` with one of `a`, `b`, or set `WALKBACK_ENV`"]
    );
}

#[test]
fn a_missing_url_says_what_to_do() {
    let error = Folder::with(None)
        .load(&[], Overrides::default())
        .unwrap()
        .database_url()
        .unwrap_err();
    assert_eq!(
        error.message(),
        "no database is named for the environment `default`"
    );
    assert!(error.hints()[0].contains("--url sqlite:app.db"));
}

#[test]
fn a_file_that_was_named_must_be_there() {
    let overrides = Overrides {
        file: Some("nowhere.toml".into()),
        ..Overrides::default()
    };
    let error = Folder::with(None).load(&[], overrides).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.message().contains("nowhere.toml"));
}

#[test]
fn stores_are_checked_by_name_and_number() {
    let registry = walkback_core::Registry::empty();
    let store = |text: &str| {
        let folder = Folder::with(Some(text));
        folder
            .load(&[], Overrides::default())
            .unwrap()
            .open_vaults(&registry)
    };
    let two = "[store.a]\nkind=\"fs\"\n[store.b]\nkind=\"fs\"\n[env.dev]\n";
    let error = store(&format!("{two}stores = [\"a\", \"b\"]\n")).unwrap_err();
    assert!(error.message().contains("`fs`"), "{error}");
    let error = store(&format!("{two}stores = [\"a\", \"a\"]\n")).unwrap_err();
    assert_eq!(
        error.message(),
        "the store `a` is named twice (walkback.toml:6:16)"
    );
    let error = store(&format!("{two}stores = [\"c\"]\n")).unwrap_err();
    assert_eq!(error.message(), "there is no store `c` (walkback.toml:6:11)");
    let error = store(two).unwrap_err();
    assert!(error.message().contains("names no store"), "{error}");
    assert!(store(&format!("{two}stores = []\n")).unwrap().is_none());
}

const STORE: &str = "[store.a]\nkind = \"fs\"\npath = \"a\"\n";

/// Opens the vaults of a configuration with one store, to which these lines are added.
fn vaults(lines: &str, variables: &[(&str, &str)]) -> Result<walkback_runner::vault::VaultSet, Error> {
    let folder = Folder::with(Some(&format!("{STORE}{lines}")));
    folder
        .load(variables, Overrides::default())?
        .open_vaults(&walkback_adapters::registry()?)
        .map(Option::unwrap)
}

const PUBLIC: &str = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";
const SECRET: &str = "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33";

#[test]
fn keys_of_a_store_are_read() {
    let plain = vaults("hash = \"sha256\"\n", &[]).unwrap();
    assert!(!plain.is_encrypted() && plain.can_read());
    let to = format!("encrypt_to = [\"{PUBLIC}\"]\n");
    let write_only = vaults(&to, &[]).unwrap();
    assert!(write_only.is_encrypted() && !write_only.can_read());
    for (lines, variables) in [
        (String::new(), vec![("WALKBACK_IDENTITY", SECRET)]),
        ("identity = \"${KEY}\"\n".to_owned(), vec![("KEY", SECRET)]),
        (format!("identity = \"{SECRET}\"\n"), vec![]),
    ] {
        assert!(vaults(&format!("{to}{lines}"), &variables).unwrap().can_read());
    }
    let none = format!("{to}identity = \"${{KEY:-}}\"\nidentity_file = \"${{FILE:-}}\"\n");
    assert!(!vaults(&none, &[]).unwrap().can_read());
    let passphrase = vaults("passphrase = \"${PASS}\"\n", &[("PASS", "open sesame")]).unwrap();
    assert!(passphrase.is_encrypted() && passphrase.can_read());
}

#[test]
fn keys_of_a_store_that_cannot_be_used_have_a_place_and_are_not_shown() {
    let both = format!("encrypt_to = [\"{PUBLIC}\"]\npassphrase = \"secret-1\"\n");
    let secret_as_public = format!("encrypt_to = [\"{SECRET}\"]\n");
    let public_as_secret = format!("identity = \"{PUBLIC}\"\n");
    for (lines, line, says) in [
        ("encrypt_to = []\n", 4, "names nobody"),
        ("encrypt_to = \"age1\"\n", 4, "a list of strings"),
        ("encrypt_to = [\"age1xyz\"]\n", 4, "`age1xyz`"),
        (&*both, 4, "not both"),
        (&*secret_as_public, 4, "holds a secret key"),
        (&*public_as_secret, 4, "line 1 of `identity`"),
        ("identity = \"secret-2\"\n", 4, "line 1 of `identity`"),
        ("passphrase = \"\"\n", 4, "the passphrase is empty"),
        ("passphrase = \"secret-3${\"\n", 4, "is not a variable"),
        ("passphrase = 3\n", 4, "a string"),
        ("hash = \"md5\"\n", 4, "`md5` is not a value of `hash`"),
    ] {
        let error = vaults(lines, &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
        let shown = format!("{error:?}");
        assert!(error.message().contains(says), "{shown}");
        assert!(
            error.message().contains(&format!("walkback.toml:{line}:")),
            "{shown}"
        );
        assert!(
            !shown.contains("secret-") && !shown.contains(&SECRET[16..]),
            "{shown}"
        );
    }
    let error = vaults("identity_file = \"nowhere.txt\"\n", &[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.hints()[0].contains("${NAME:-}"), "{error:?}");
    let lines = format!("identity = \"{SECRET}\"\npassphrase = \"secret-4\"\nnaming_secret = \"secret-5\"\n");
    let shown = format!("{:?}", parse(&format!("{STORE}{lines}")).unwrap());
    assert!(
        !shown.contains("secret-") && !shown.contains(&SECRET[16..]),
        "{shown}"
    );
}

#[test]
fn several_stores_are_read_in_their_order() {
    let two = "[store.a]\nkind = \"fs\"\npath = \"a\"\n[store.b]\nkind = \"fs\"\npath = \"b\"\n[env.dev]\nstores = [\"b\", \"a\"]\n";
    let open = |text: &str| {
        Folder::with(Some(text))
            .load(&[], Overrides::default())?
            .open_vaults(&walkback_adapters::registry()?)
            .map(Option::unwrap)
    };
    let names: Vec<_> = open(two)
        .unwrap()
        .vaults()
        .iter()
        .map(|vault| vault.name())
        .collect();
    assert_eq!(names, ["b", "a"]);
    open(&format!("{two}stores_required = 1\n")).unwrap();
    for number in ["0", "3", "-1", "\"1\"", "1.5"] {
        let error = open(&format!("{two}stores_required = {number}\n")).unwrap_err();
        assert!(error.message().contains("walkback.toml:9:"), "{error:?}");
    }
    let error = open(&two.replace("path = \"b\"", "path = \"a\"")).unwrap_err();
    assert!(
        error
            .message()
            .contains("`store.a` is the same place as `store.b`"),
        "{error:?}"
    );
}

#[cfg(unix)]
#[test]
fn a_secret_key_that_others_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::with(Some(&format!(
        "{STORE}identity_file = \"key.txt\"\n[env.dev]\nurl = \"sqlite:a.db\"\n"
    )));
    let key = folder.0.path().join("key.txt");
    std::fs::write(&key, SECRET).unwrap();
    for (mode, warned) in [(0o644, true), (0o640, true), (0o600, false)] {
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
        let warnings = folder
            .load(&[], Overrides::default())
            .unwrap()
            .warnings()
            .unwrap();
        assert_eq!(warnings.len(), usize::from(warned), "{mode:o}: {warnings:?}");
    }
}

#[test]
fn what_a_recovery_needs_is_read_and_nothing_else_is() {
    let whole = "[env.a]\nurl = \"postgres://h/d\"\n[env.a.recovery]\nbase_backup = \"base\"\nwal_archive = \"wal\"\n";
    let config = parse(whole).unwrap();
    let recovery = config.environments["a"].recovery.as_ref().unwrap();
    assert_eq!(recovery.base_backup.value, "base");
    assert_eq!(recovery.wal_archive.value, "wal");
    assert!(recovery.programs.is_none() && recovery.folder.is_none());
    let error = refused("[env.a]\n[env.a.recovery]\nbase_backup = \"base\"\n");
    assert!(error.message().contains("has no `wal_archive`"), "{error}");
    let error = refused(&format!("{whole}wal_archives = \"x\"\n"));
    assert_eq!(error.hints(), ["did you mean `wal_archive`?"]);
    refused("[env.a]\n[env.a.recovery]\nbase_backup = \"\"\nwal_archive = \"wal\"\n");
    refused("[env.a]\nrecovery = \"base\"\n");
}
