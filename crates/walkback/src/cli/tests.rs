use clap::CommandFactory as _;

use super::*;
use args::Command;

fn parse(line: &str) -> Cli {
    Cli::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"))
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn familiar_names_are_aliases() {
    for (alias, name) in [
        ("migrate", "up"),
        ("upgrade", "up"),
        ("downgrade", "down"),
        ("revert", "down"),
        ("undo", "rollback"),
        ("info", "status"),
        ("create x", "new"),
        ("baseline head", "stamp"),
    ] {
        assert_eq!(
            parse(&format!("walkback {alias}")).command.name(),
            name,
            "{alias}"
        );
    }
}

#[test]
fn targets_may_begin_with_a_sign() {
    for (line, to) in [
        ("walkback upgrade head", "head"),
        ("walkback upgrade +2", "+2"),
        ("walkback downgrade -1", "-1"),
        ("walkback down --to -2", "-2"),
        ("walkback down base --dry-run", "base"),
    ] {
        let target = match parse(line).command {
            Command::Up(args) => args.target,
            Command::Down(args) => args.target,
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(target.target.or(target.to).as_deref(), Some(to), "{line}");
    }
    assert!(matches!(parse("walkback goto -1").command, Command::Goto(args) if args.target == "-1"));
}

#[test]
fn a_mistyped_flag_is_not_taken_for_a_target() {
    for line in [
        "walkback down --dry-ran",
        "walkback down -x",
        "walkback up -n 0",
        "walkback up a --to b",
    ] {
        let error = Cli::try_parse_from(line.split(' ')).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn global_flags_may_stand_on_either_side_of_the_command() {
    for line in [
        "walkback --json -u sqlite:a.db status",
        "walkback status --json -u sqlite:a.db",
    ] {
        let cli = parse(line);
        assert!(cli.global.json);
        assert_eq!(cli.global.url.as_deref(), Some("sqlite:a.db"));
    }
}

#[test]
fn a_lock_timeout_has_a_unit() {
    let timeout = |line| parse(line).command.lock_timeout();
    assert_eq!(
        timeout("walkback up --lock-timeout 500ms"),
        Some(std::time::Duration::from_millis(500))
    );
    assert_eq!(
        timeout("walkback rollback --lock-timeout 5s"),
        Some(std::time::Duration::from_secs(5))
    );
    assert_eq!(timeout("walkback up"), None);
    assert!(Cli::try_parse_from(["walkback", "up", "--lock-timeout", "5"]).is_err());
}

#[test]
fn json_is_seen_on_a_line_that_cannot_be_read() {
    let line = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
    assert!(wants_json(&line("walkback staus --json")));
    assert!(!wants_json(&line("walkback staus -- --json")));
}
