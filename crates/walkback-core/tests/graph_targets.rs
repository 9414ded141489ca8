//! What targets mean: the grammar of Alembic's documentation, case by case, over small graphs.

use std::collections::BTreeSet;

use walkback_core::graph::{MigrationGraph, Range, Target};
use walkback_core::{Error, ErrorKind, Migration, MigrationId};

fn migration(id: &str, parents: &[&str]) -> Migration {
    let mut migration = Migration::new(id, format!("about_{id}"), format!("m/{id}.sql"));
    migration.parents = parents.iter().map(|parent| MigrationId::new(*parent)).collect();
    migration
}

fn labelled(id: &str, parents: &[&str], label: &str) -> Migration {
    let mut migration = migration(id, parents);
    migration.labels.push(label.to_owned());
    migration
}

fn line() -> MigrationGraph {
    MigrationGraph::build(vec![
        migration("1975ea83b712", &[]),
        migration("ae1027a6acf", &["1975ea83b712"]),
        migration("27c6a30d7c24", &["ae1027a6acf"]),
        migration("27f00d", &["27c6a30d7c24"]),
    ])
    .unwrap()
}

/// The graph of Alembic's chapter on branches: a branch point, a labelled side, a merge, and a base of its
/// own whose head depends on the other.
fn branched() -> MigrationGraph {
    let mut networking = migration("55af2cb1c267", &["29f859a13ea"]);
    networking.depends_on.push(MigrationId::new("d747a8a8879"));
    MigrationGraph::build(vec![
        migration("1975ea83b712", &[]),
        labelled("27c6a30d7c24", &["1975ea83b712"], "shoppingcart"),
        migration("ae1027a6acf", &["1975ea83b712"]),
        migration("d747a8a8879", &["27c6a30d7c24"]),
        labelled("3cac04ae8714", &[], "networking"),
        migration("29f859a13ea", &["3cac04ae8714"]),
        networking,
    ])
    .unwrap()
}

fn diamond() -> MigrationGraph {
    MigrationGraph::build(vec![
        migration("a", &[]),
        labelled("b", &["a"], "left"),
        labelled("c", &["a"], "right"),
        migration("d", &["b", "c"]),
        migration("e", &["d"]),
    ])
    .unwrap()
}

fn set(ids: &str) -> BTreeSet<MigrationId> {
    ids.split_whitespace().map(MigrationId::new).collect()
}

fn text(ids: &[MigrationId]) -> String {
    ids.iter().map(MigrationId::as_str).collect::<Vec<_>>().join(" ")
}

fn target(text: &str) -> Target {
    text.parse().unwrap()
}

#[track_caller]
fn up(graph: &MigrationGraph, applied: &str, to: &str) -> String {
    text(&graph.plan_up(&set(applied), &target(to)).unwrap())
}

#[track_caller]
fn down(graph: &MigrationGraph, applied: &str, to: &str) -> String {
    text(&graph.plan_down(&set(applied), &target(to)).unwrap())
}

#[track_caller]
fn up_error(graph: &MigrationGraph, applied: &str, to: &str) -> Error {
    graph.plan_up(&set(applied), &target(to)).unwrap_err()
}

#[track_caller]
fn down_error(graph: &MigrationGraph, applied: &str, to: &str) -> Error {
    graph.plan_down(&set(applied), &target(to)).unwrap_err()
}

fn all(graph: &MigrationGraph) -> String {
    text(&graph.iter().map(|m| m.id.clone()).collect::<Vec<_>>())
}

#[test]
fn head_applies_everything_that_is_pending_in_order() {
    let graph = line();
    assert_eq!(
        up(&graph, "", "head"),
        "1975ea83b712 ae1027a6acf 27c6a30d7c24 27f00d"
    );
    assert_eq!(
        up(&graph, "1975ea83b712 ae1027a6acf", "head"),
        "27c6a30d7c24 27f00d"
    );
    assert_eq!(up(&graph, &all(&graph), "head"), "");
}

#[test]
fn a_migration_is_named_by_identity_name_or_the_beginning_of_either() {
    let graph = line();
    let to_second = "1975ea83b712 ae1027a6acf";
    for name in [
        "ae1027a6acf",
        "ae1",
        "a",
        "ae1027a6acf_about_ae1027a6acf",
        "ae1027a6acf_ab",
    ] {
        assert_eq!(up(&graph, "", name), to_second, "{name}");
    }
    assert_eq!(graph.find("ae1").unwrap().id.as_str(), "ae1027a6acf");
}

#[test]
fn a_full_identity_wins_over_longer_ones_that_begin_like_it() {
    let graph = MigrationGraph::build(vec![
        migration("1", &[]),
        migration("10", &["1"]),
        migration("100", &["10"]),
    ])
    .unwrap();
    assert_eq!(up(&graph, "", "1"), "1");
    assert_eq!(up(&graph, "", "10"), "1 10");
    assert_eq!(up(&graph, "", "100"), "1 10 100");
}

#[test]
fn an_ambiguous_beginning_lists_the_candidates() {
    let error = up_error(&line(), "", "27");
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert_eq!(
        error.to_string(),
        "`27` is the beginning of 2 migrations: `27c6a30d7c24_about_27c6a30d7c24`, `27f00d_about_27f00d`"
    );
}

#[test]
fn an_unknown_name_is_answered_with_the_closest_one() {
    let hint = |name: &str| {
        let error = up_error(&diamond_with_names(), "", name);
        assert_eq!(error.kind(), ErrorKind::NotFound, "{name}");
        assert_eq!(error.to_string(), format!("no migration is called `{name}`"));
        error.hints()[0].clone()
    };
    assert_eq!(hint("20260412"), "did you mean `20260411`?");
    assert_eq!(hint("add_users"), "did you mean `20260411_add_users`?");
    assert_eq!(hint("20260411_add_user_s"), "did you mean `20260411_add_users`?");
    assert_eq!(hint("HEAD"), "did you mean `head`?");
    assert_eq!(hint("haed"), "did you mean `head`?");
    assert_eq!(hint("biling"), "did you mean `billing`?");
    assert_eq!(hint("zzzzzzzz"), "`walkback history` lists all migrations");
}

fn diamond_with_names() -> MigrationGraph {
    let mut migration = Migration::new("20260411", "add_users", "20260411_add_users/up.sql");
    migration.labels.push("billing".into());
    MigrationGraph::build(vec![migration]).unwrap()
}

#[test]
fn steps_forward_and_back_count_from_what_is_applied() {
    let graph = line();
    assert_eq!(up(&graph, "", "+1"), "1975ea83b712");
    assert_eq!(up(&graph, "1975ea83b712", "+2"), "ae1027a6acf 27c6a30d7c24");
    assert_eq!(down(&graph, &all(&graph), "-1"), "27f00d");
    assert_eq!(
        down(&graph, &all(&graph), "-3"),
        "27f00d 27c6a30d7c24 ae1027a6acf"
    );
    assert_eq!(
        down(&graph, &all(&graph), "-4"),
        "27f00d 27c6a30d7c24 ae1027a6acf 1975ea83b712"
    );
}

#[test]
fn steps_from_a_named_migration_count_from_there() {
    let graph = line();
    assert_eq!(up(&graph, "", "ae10+1"), "1975ea83b712 ae1027a6acf 27c6a30d7c24");
    assert_eq!(up(&graph, "", "27f00d-2"), "1975ea83b712 ae1027a6acf");
    assert_eq!(up(&graph, "", "head-3"), "1975ea83b712");
    assert_eq!(up(&graph, "", "base+1"), "1975ea83b712");
    assert_eq!(down(&graph, &all(&graph), "27f00d-1"), "27f00d");
    assert_eq!(
        down(&graph, &all(&graph), "head-4"),
        "27f00d 27c6a30d7c24 ae1027a6acf 1975ea83b712"
    );
    assert_eq!(down(&graph, &all(&graph), "base+2"), "27f00d 27c6a30d7c24");
}

#[test]
fn steps_that_go_too_far_say_how_many_there_are() {
    let graph = line();
    let one = "1975ea83b712";
    assert_eq!(
        up_error(&graph, one, "+4").to_string(),
        "`+4` goes too far: only 3 migrations are pending"
    );
    assert_eq!(
        up_error(&graph, &all(&graph), "+1").to_string(),
        "`+1` goes too far: nothing is pending"
    );
    assert_eq!(
        down_error(&graph, one, "-2").to_string(),
        "`-2` goes too far: only 1 migration is applied"
    );
    assert_eq!(
        down_error(&graph, "", "-1").to_string(),
        "nothing is applied, so there is nothing to walk back"
    );
    assert_eq!(
        up_error(&graph, "", "head+1").to_string(),
        "`head+1` goes too far: no migration follows `27f00d_about_27f00d`"
    );
    assert_eq!(
        up_error(&graph, "", "ae10-3").to_string(),
        "`ae10-3` goes too far: `ae1027a6acf_about_ae1027a6acf` is only 2 from the base"
    );
    assert_eq!(
        up_error(&graph, "", "base-1").to_string(),
        "`base-1` goes too far: nothing comes before `base`"
    );
}

#[test]
fn the_wrong_direction_is_refused_with_the_command_that_goes_there() {
    let graph = line();
    let error = up_error(&graph, "1975ea83b712", "-1");
    assert_eq!(error.to_string(), "`-1` goes back, not up");
    assert_eq!(error.hints(), ["`walkback down -n 1` walks back 1"]);
    let error = down_error(&graph, "1975ea83b712", "+2");
    assert_eq!(error.to_string(), "`+2` goes forward, not down");
    assert_eq!(error.hints(), ["`walkback up -n 2` applies 2"]);
    let error = down_error(&graph, "1975ea83b712", "27f00d");
    assert_eq!(
        error.to_string(),
        "`27f00d_about_27f00d` is not applied, so there is nothing to walk back to"
    );
    assert_eq!(error.hints(), ["`walkback up --to 27f00d` goes there"]);
}

#[test]
fn an_ancestor_of_what_is_applied_needs_nothing() {
    let graph = line();
    assert_eq!(up(&graph, &all(&graph), "ae1027a6acf"), "");
    assert_eq!(up(&graph, &all(&graph), "base"), "");
    assert_eq!(down(&graph, &all(&graph), "head"), "");
    assert_eq!(down(&graph, "", "base"), "");
}

#[test]
fn several_heads_are_listed_and_heads_takes_all_of_them() {
    let graph = branched();
    let error = up_error(&graph, "", "head");
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert_eq!(
        error.to_string(),
        "there are 3 heads: `ae1027a6acf_about_ae1027a6acf`, `d747a8a8879_about_d747a8a8879`, \
         `55af2cb1c267_about_55af2cb1c267`"
    );
    assert_eq!(
        error.hints(),
        [
            "write `heads` for all of them, or name one",
            "`walkback merge ae1027a6acf d747a8a8879 55af2cb1c267` makes them one"
        ]
    );
    assert_eq!(up(&graph, "", "heads"), all(&graph));
}

#[test]
fn a_label_restricts_a_target_to_its_branch() {
    let graph = branched();
    let cart = "1975ea83b712 27c6a30d7c24 d747a8a8879";
    assert_eq!(up(&graph, "", "shoppingcart@head"), cart);
    assert_eq!(up(&graph, "", "shoppingcart@heads"), cart);
    assert_eq!(up(&graph, "", "shoppingcart@d74"), cart);
    assert_eq!(up(&graph, "", "shoppingcart"), "1975ea83b712 27c6a30d7c24");
    assert_eq!(up(&graph, "1975ea83b712", "shoppingcart@+1"), "27c6a30d7c24");
    assert_eq!(up(&graph, "", "shoppingcart@+2"), "1975ea83b712 27c6a30d7c24");
    assert_eq!(
        up(&graph, "1975ea83b712 ae1027a6acf", "shoppingcart@+1"),
        "27c6a30d7c24"
    );
    assert_eq!(up(&graph, "", "networking@29f8"), "3cac04ae8714 29f859a13ea");
    // A migration can stand for its branch as well.
    assert_eq!(up(&graph, "", "27c6a30d7c24@head"), cart);
}

#[test]
fn a_dependency_is_applied_with_what_needs_it() {
    let graph = branched();
    assert_eq!(
        up(&graph, "", "networking@head"),
        "1975ea83b712 27c6a30d7c24 d747a8a8879 3cac04ae8714 29f859a13ea 55af2cb1c267"
    );
    // The dependency goes, and takes what depends on it along; the rest of that branch stays.
    assert_eq!(
        down(&graph, &all(&graph), "27c6a30d7c24"),
        "55af2cb1c267 d747a8a8879"
    );
}

#[test]
fn a_branch_is_walked_back_on_its_own() {
    let graph = branched();
    assert_eq!(
        down(&graph, &all(&graph), "networking@base"),
        "55af2cb1c267 29f859a13ea 3cac04ae8714"
    );
    assert_eq!(down(&graph, &all(&graph), "networking@-1"), "55af2cb1c267");
    assert_eq!(
        down(&graph, &all(&graph), "shoppingcart@1975ea83b712"),
        "55af2cb1c267 d747a8a8879 27c6a30d7c24"
    );
    assert_eq!(
        down(&graph, &all(&graph), "1975ea83b712"),
        "55af2cb1c267 d747a8a8879 ae1027a6acf 27c6a30d7c24"
    );
    assert_eq!(down(&graph, &all(&graph), "base").split(' ').count(), 7);
}

/// The only applied migration on the line of `left` is the base it shares with `right`; walking that back
/// would take `right` along.
#[test]
fn a_branch_that_is_not_applied_is_not_walked_back() {
    let error = down_error(&diamond(), "a c", "left@-1");
    assert_eq!(
        error.to_string(),
        "nothing that is applied ends on the branch `left`, so there is nothing to walk back on it"
    );
    // A head that only its dependents hide is a head of its branch all the same.
    let graph = branched();
    assert_eq!(
        down(&graph, &all(&graph), "shoppingcart@-1"),
        "55af2cb1c267 d747a8a8879"
    );
}

/// Here Alembic takes along whatever leads from the goal to the declaration of the label: three migrations
/// for one step. Found by comparing random graphs with its `RevisionMap`; the only plans that differ.
#[test]
fn one_step_back_on_a_branch_takes_nothing_beside_the_branch() {
    let graph = MigrationGraph::build(vec![
        migration("a", &[]),
        migration("b", &["a"]),
        migration("c", &["a"]),
        migration("d", &["a", "b"]),
        labelled("e", &["b", "c"], "late"),
    ])
    .unwrap();
    assert_eq!(down(&graph, "a b c d", "late@-1"), "c");
}

#[test]
fn steps_are_refused_where_they_are_ambiguous_and_a_label_decides() {
    let graph = diamond();
    let error = up_error(&graph, "a", "+1");
    assert_eq!(
        error.to_string(),
        "`+1` is ambiguous: after `a_about_a` come `b_about_b`, `c_about_c`"
    );
    assert_eq!(error.hints(), ["name the branch, such as `left@+1`"]);
    assert_eq!(up(&graph, "a", "right@+1"), "c");

    let error = down_error(&graph, "a b c", "-1");
    assert_eq!(
        error.to_string(),
        "`-1` is ambiguous: 2 branches are applied, up to `b_about_b`, `c_about_c`"
    );
    assert_eq!(error.hints(), ["name the branch, such as `left@-1`"]);
    assert_eq!(down(&graph, "a b c", "left@-1"), "b");

    assert_eq!(down(&graph, "a b c d e", "-1"), "e");
    let error = down_error(&graph, "a b c d", "-1");
    assert_eq!(
        error.to_string(),
        "`-1` is ambiguous: `d_about_d` merges `b_about_b`, `c_about_c`"
    );
    assert_eq!(error.hints(), ["name the migration to go back to, such as `b`"]);
    assert_eq!(down(&graph, "a b c d", "b"), "d");
    // Alembic refuses these too: which side of a merge is meant, a branch does not say.
    for target in ["right@-1", "left@d-1"] {
        let error = down_error(&graph, "a b c d", target);
        assert!(error.to_string().contains("is ambiguous"), "{error}");
    }
}

#[test]
fn one_side_of_a_merge_takes_the_merge_along_and_leaves_the_other_side() {
    let graph = diamond();
    assert_eq!(down(&graph, "a b c d e", "a"), "e d c b");
    assert_eq!(down(&graph, "a b c d e", "left@a"), "e d b");
}

#[test]
fn an_unknown_branch_and_a_stranger_on_it_are_named() {
    let graph = branched();
    let error = up_error(&graph, "", "networkin@head");
    assert_eq!(error.to_string(), "no branch has the label `networkin`");
    assert_eq!(error.hints(), ["did you mean `networking`?"]);
    let error = up_error(&graph, "", "networking@ae1027a6acf");
    assert_eq!(
        error.to_string(),
        "migration `ae1027a6acf_about_ae1027a6acf` is not on the branch `networking`"
    );
    assert_eq!(up_error(&line(), "", "x@head").kind(), ErrorKind::NotFound);
}

#[test]
fn a_migration_that_was_left_out_is_still_pending() {
    let graph = line();
    let applied = "1975ea83b712 27c6a30d7c24";
    assert_eq!(up(&graph, applied, "head"), "ae1027a6acf 27f00d");
    assert_eq!(up(&graph, applied, "+1"), "ae1027a6acf");
    assert_eq!(up(&graph, applied, "27c6a30d7c24"), "ae1027a6acf");
    assert_eq!(down(&graph, applied, "-1"), "27c6a30d7c24");
    assert_eq!(down(&graph, applied, "-2"), "27c6a30d7c24 1975ea83b712");
    assert_eq!(
        down_error(&graph, applied, "-3").to_string(),
        "`-3` goes too far: only 2 migrations are applied"
    );
    let late: Vec<_> = graph
        .out_of_order(&set(applied))
        .iter()
        .map(|m| m.id.clone())
        .collect();
    assert_eq!(text(&late), "ae1027a6acf");
    assert!(graph.out_of_order(&set("1975ea83b712")).is_empty());
    assert!(graph.out_of_order(&BTreeSet::new()).is_empty());
}

#[test]
fn what_the_files_do_not_know_is_left_alone() {
    let graph = line();
    let applied = "1975ea83b712 ae1027a6acf from_the_future";
    assert_eq!(up(&graph, applied, "head"), "27c6a30d7c24 27f00d");
    assert_eq!(down(&graph, applied, "base"), "ae1027a6acf 1975ea83b712");
    assert_eq!(
        graph.unknown(&set(applied)),
        [MigrationId::new("from_the_future")]
    );
}

#[test]
fn goto_walks_back_and_forward_on_the_line_of_its_target() {
    let graph = diamond();
    let go = |applied: &str, to: &str| {
        let moves = graph.plan_goto(&set(applied), &target(to)).unwrap();
        (text(&moves.down), text(&moves.up))
    };
    assert_eq!(go("a b", "c"), (String::new(), "c".into()));
    assert_eq!(go("a b c d e", "b"), ("e d".into(), String::new()));
    assert_eq!(go("", "d"), (String::new(), "a b c d".into()));
    assert_eq!(go("a b c d e", "base"), ("e d c b a".into(), String::new()));
    assert_eq!(go("a", "heads"), (String::new(), "b c d e".into()));
    assert_eq!(go("a b c d e", "-1"), ("e".into(), String::new()));
    assert_eq!(go("a c e", "d"), ("e".into(), "b d".into()));
    assert_eq!(go("a b c d", "+1"), (String::new(), "e".into()));
}

#[test]
fn a_state_is_all_that_a_target_needs() {
    let graph = diamond();
    let state = |applied: &str, to: &str| graph.state_at(&set(applied), &target(to)).unwrap();
    assert_eq!(state("", "c"), set("a c"));
    assert_eq!(state("", "head"), set("a b c d e"));
    assert_eq!(state("a b c d e", "base"), set(""));
    assert_eq!(state("a b c d e", "-1"), set("a b c d"));
    assert_eq!(state("a c", "right@-1"), set("a"));
}

#[test]
fn a_range_shows_both_ends() {
    let graph = diamond();
    let show = |applied: &str, range: &str| {
        let range: Range = range.parse().unwrap();
        graph
            .range(&set(applied), &range)
            .map(|shown| text(&shown.iter().map(|m| m.id.clone()).collect::<Vec<_>>()))
    };
    assert_eq!(show("", "b:e").unwrap(), "b c d e");
    assert_eq!(show("", "a:b").unwrap(), "a b");
    assert_eq!(show("", ":c").unwrap(), "a c");
    assert_eq!(show("", "d:").unwrap(), "d e");
    assert_eq!(show("", ":").unwrap(), "a b c d e");
    assert_eq!(show("", "base:d").unwrap(), "a b c d");
    assert_eq!(show("a b c d", "+1:").unwrap(), "e");
    let error = show("", "e:a").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the range `e:a` is empty: its end does not build on `e_about_e`"
    );
    assert_eq!("a".parse::<Range>().unwrap_err().kind(), ErrorKind::Usage);
    assert_eq!("a:b:c".parse::<Range>().unwrap_err().kind(), ErrorKind::Usage);
}

#[test]
fn what_is_no_target_is_refused_with_the_reason() {
    let refuse = |text: &str| {
        let error = text.parse::<Target>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{text}");
        error.to_string()
    };
    assert_eq!(refuse(""), "a target is wanted, and this one is empty");
    assert_eq!(refuse("a b"), "the target `a b` holds a blank");
    assert_eq!(refuse("a\u{0}"), "the target `a\\0` holds a blank");
    assert_eq!(refuse("@head"), "`@head` names no branch before the `@`");
    assert_eq!(refuse("billing@"), "`billing@` names no migration after the `@`");
    assert_eq!(refuse("a@b@c"), "`a@b@c` holds more than one `@`");
    assert_eq!(refuse("+"), "`+` is not a number of steps");
    assert_eq!(refuse("-x"), "`-x` is not a number of steps");
    assert_eq!(refuse("+0"), "`+0` is no step at all");
    assert_eq!(refuse("a-0"), "`a-0` is no step at all");
    assert_eq!(
        refuse("-99999999999999999999999"),
        "`-99999999999999999999999` is too many steps"
    );
}

#[test]
fn a_target_is_shown_as_it_was_written() {
    for text in [
        "head",
        "heads",
        "base",
        "+2",
        "-1",
        "a@head",
        "a@-3",
        "x+4",
        "20260411_drop-legacy",
    ] {
        assert_eq!(target(text).to_string(), text);
    }
    assert_eq!("a:b@head".parse::<Range>().unwrap().to_string(), "a:b@head");
    assert_eq!(Target::forward(3).unwrap(), target("+3"));
    assert_eq!(Target::back(3).unwrap(), target("-3"));
    assert_eq!(Target::head(), target("head"));
    assert_eq!(Target::heads(), target("heads"));
    assert_eq!(Target::base(), target("base"));
    assert_eq!(Target::id(&MigrationId::new("abc")), target("abc"));
    assert!(Target::forward(0).is_err());
}

/// `20260411_v1-2` can be read as two steps back from `20260411_v1`, and must not be.
#[test]
fn a_full_name_that_looks_like_steps_is_a_name() {
    let graph = MigrationGraph::build(vec![
        Migration::new("1", "start", "1"),
        {
            let mut second = Migration::new("2", "v1-2", "2");
            second.parents.push(MigrationId::new("1"));
            second
        },
        {
            let mut third = Migration::new("3", "drop-legacy", "3");
            third.parents.push(MigrationId::new("2"));
            third
        },
    ])
    .unwrap();
    assert_eq!(up(&graph, "", "2_v1-2"), "1 2");
    assert_eq!(up(&graph, "", "3_drop-legacy"), "1 2 3");
    assert_eq!(up(&graph, "", "3_drop-legacy-1"), "1 2");
    assert_eq!(down(&graph, "1 2 3", "2_v1-2"), "3");
}

#[test]
fn an_empty_graph_has_nothing_to_go_to() {
    let graph = MigrationGraph::build(Vec::new()).unwrap();
    assert!(graph.is_empty() && graph.is_linear());
    for to in ["head", "heads", "base"] {
        assert_eq!(up(&graph, "", to), "");
        assert_eq!(down(&graph, "", to), "");
    }
    assert_eq!(
        up_error(&graph, "", "+1").to_string(),
        "`+1` goes too far: nothing is pending"
    );
    assert_eq!(up_error(&graph, "", "x").kind(), ErrorKind::NotFound);
}
