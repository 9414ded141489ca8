//! Alembic and walkback take turns on one database, and Alembic alone works on another: their version tables say the same.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;
use walkback_tests::{Backend, Sandbox, Session, report};

use crate::project::{Alembic, Project, Revision, versions};

/// Two branches with labels, a merge, a third branch that depends on the first, and goes on after it.
///
/// ```text
/// a1 - a2 (people) - a3 ---- m1 - m2
///    \ b2 (shop) --- b3 ---/
/// c1 (reports) - c2 - c3          c2 depends on a2, c3 on `shop`
/// ```
fn add_graph(project: &Project) {
    for revision in [
        Revision::new("aaa1", "None", "", ""),
        Revision::new("aaa2", "\"aaa1\"", "", "").labelled("(\"people\",)"),
        Revision::new("aaa3", "\"aaa2\"", "", ""),
        Revision::new("bbb2", "\"aaa1\"", "", "").labelled("[\"shop\"]"),
        Revision::new("bbb3", "\"bbb2\"", "", ""),
        Revision::new("ccc1", "None", "", "").labelled("\"reports\""),
        Revision::new("ccc2", "\"ccc1\"", "", "").needs("\"aaa2\""),
        Revision::new("ccc3", "\"ccc2\"", "", "").needs("(\"shop\",)"),
        Revision::new("mmm2", "\"mmm1\"", "", ""),
    ] {
        project.add_table(revision);
    }
    project.add(&Revision::new("mmm1", "(\"aaa3\", \"bbb3\")", "", ""));
}

const IDS: [&str; 10] = [
    "aaa1", "aaa2", "aaa3", "bbb2", "bbb3", "ccc1", "ccc2", "ccc3", "mmm1", "mmm2",
];

const TARGETS: [&str; 24] = [
    "head",
    "heads",
    "base",
    "people@head",
    "shop@head",
    "reports@head",
    "people@base",
    "shop@base",
    "reports@base",
    "+1",
    "+2",
    "-1",
    "-2",
    "reports@+1",
    "reports@-1",
    "shop@-1",
    "people@+1",
    "aaa2+1",
    "ccc1+1",
    "mmm1-1",
    "ccc3-1",
    "mmm",
    "reports",
    "nowhere",
];

/// How many moves are made: `WALKBACK_MOVES`, else so many that the usual run does not wait for long.
fn moves() -> usize {
    let asked = std::env::var("WALKBACK_MOVES").ok();
    asked.and_then(|number| number.parse().ok()).unwrap_or(40)
}

fn seed() -> u64 {
    let asked = std::env::var("WALKBACK_SEED").ok();
    asked
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| rand::rng().random())
}

pub(crate) fn after_each_move_the_versions_are_what_alembic_alone_would_have_written(backend: Backend) {
    let (shared, alone) = (Project::new(backend), Project::new(backend));
    add_graph(&shared);
    let mut alembic = Alembic::of(&shared);
    let seed = seed();
    report(&format!("alembic::{backend}: seed {seed}, {} moves", moves()));
    let mut random = StdRng::seed_from_u64(seed);
    let (mut accepted, mut refused) = (0, 0);
    for number in 0..moves() {
        let name = ["upgrade", "upgrade", "downgrade", "downgrade", "stamp"][random.random_range(0..5)];
        let target = match random.random_range(0..3) {
            0 => IDS[random.random_range(0..IDS.len())],
            _ => TARGETS[random.random_range(0..TARGETS.len())],
        };
        // A stamp leaves tables that the next move would stumble over: it is taken back by one.
        let before = versions(&mut alone.sandbox.session());
        if let Some(why) = differs_on_purpose(name, target, &before) {
            let output = shared.walkback(&walkback(name, target));
            assert_ne!(output.code, Some(0), "{name} {target} at {before:?}: {why}");
            assert_eq!(shared.versions(), before, "{name} {target} was refused: {why}");
            continue;
        }
        let when = format!("move {number} of seed {seed}: {name} {target} at {before:?}");
        let expected = alembic.try_run(&alone.url(), name, &[target], json!({}));
        let by_walkback = random.random_bool(0.6);
        let done = if by_walkback {
            let output = shared.walkback(&walkback(name, target));
            let transcript = output.transcript();
            if output.code == Some(0) {
                Ok(transcript)
            } else {
                Err(transcript)
            }
        } else {
            alembic.try_run(&shared.url(), name, &[target], json!({}))
        };
        let who = if by_walkback { "walkback" } else { "alembic" };
        match (&expected, &done) {
            (Ok(_), Ok(_)) => accepted += 1,
            (Err(_), Err(_)) => refused += 1,
            // Alembic refuses to walk back to what is not a row or below one; to walkback nothing is to be done then.
            (Err(_), Ok(said)) if said.contains("nothing to walk back") => refused += 1,
            _ => panic!("{when}: Alembic alone: {expected:?}\n{who}: {done:?}"),
        }
        let (now, then) = (shared.versions(), versions(&mut alone.sandbox.session()));
        assert_eq!(now, then, "{when}, by {who}: {done:?}");
        let current = alembic.try_run(&alone.url(), "current", &[], json!({}));
        assert_eq!(
            ids_of(&shared, "current"),
            first_words(&current.unwrap_or_default()),
            "{when}"
        );
        if name == "stamp" {
            let back: Vec<&str> = before.iter().map(String::as_str).collect();
            for project in [&shared, &alone] {
                put_back(&mut alembic, project, &back);
            }
            assert_eq!(shared.versions(), before, "{when}");
        } else {
            assert_eq!(
                tables(&shared.sandbox),
                tables(&alone.sandbox),
                "{when}, by {who}"
            );
        }
    }
    for command in ["heads", "history"] {
        let said = alembic.try_run(&alone.url(), command, &[], json!({}));
        assert_eq!(
            ids_of(&shared, command),
            first_words(&said.unwrap_or_default()),
            "{command}"
        );
    }
    report(&format!(
        "alembic::{backend}: {accepted} moves made, {refused} refused, all alike"
    ));
}

/// Returns the migrations that a command of walkback lists.
fn ids_of(project: &Project, command: &str) -> BTreeSet<String> {
    let listed = project.sandbox.ok(&[command, "--json"]).json()[command].clone();
    let listed = listed.as_array().expect("it is a list").clone();
    let ids = listed.iter().filter_map(|one| one["id"].as_str());
    ids.map(str::to_owned).collect()
}

/// Returns the revisions that a command of Alembic lists: the first word of each line, behind the arrow where there is one.
fn first_words(said: &str) -> BTreeSet<String> {
    let of = |line: &str| {
        let place = line.rsplit("-> ").next().unwrap_or_default();
        let word = place.split([' ', ',', '(']).next().unwrap_or_default();
        word.to_owned()
    };
    said.lines().map(of).filter(|word| !word.is_empty()).collect()
}

/// Returns walkback's spelling of a command of Alembic.
fn walkback<'a>(name: &str, target: &'a str) -> Vec<&'a str> {
    match name {
        "stamp" => vec!["stamp", "-y", "--", target],
        "upgrade" => vec!["up", "-y", "--", target],
        _ => vec!["down", "-y", "--allow-lossy", "--", target],
    }
}

/// Says why walkback refuses a command that Alembic may take.
fn differs_on_purpose(name: &str, target: &str, at: &BTreeSet<String>) -> Option<&'static str> {
    let steps = target.contains(['+', '-']);
    match name {
        "stamp" if steps => Some("Alembic takes steps of a stamp on a database without versions only"),
        "downgrade" if at.is_empty() => Some("there is nothing to walk back, and Alembic does not say so"),
        "downgrade" if at.len() > 1 && target.starts_with('-') => {
            Some("Alembic takes any of the heads, and says that it will refuse to")
        }
        _ => None,
    }
}

fn put_back(alembic: &mut Alembic, project: &Project, heads: &[&str]) {
    let url = project.url();
    if heads.is_empty() {
        alembic
            .try_run(&url, "stamp", &["base"], json!({"purge": true}))
            .expect("a stamp");
    } else {
        let request = heads.join(" ");
        for (index, head) in heads.iter().enumerate() {
            let options = json!({"purge": index == 0});
            let stamped = alembic.try_run(&url, "stamp", &[head], options);
            stamped.unwrap_or_else(|why| panic!("stamp {request}: {why}"));
        }
    }
}

fn tables(sandbox: &Sandbox) -> BTreeSet<String> {
    let mut session = sandbox.session();
    IDS.iter()
        .filter(|id| exists(&mut session, id))
        .map(|id| (*id).to_owned())
        .collect()
}

fn exists(session: &mut Session, id: &str) -> bool {
    session
        .try_sql(&format!("SELECT id FROM t_{id} WHERE 1 = 0"))
        .is_ok()
}
