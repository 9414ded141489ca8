//! What holds for every graph, shown on random ones.

use std::collections::BTreeSet;

use proptest::prelude::*;
use walkback_core::graph::{MigrationGraph, Target};
use walkback_core::{Migration, MigrationId};

/// A random graph: each migration picks parents and dependencies among those before it, and the list is
/// then given in another order.
fn migrations() -> impl Strategy<Value = Vec<Migration>> {
    let picks = prop::collection::vec((prop::collection::vec(any::<u16>(), 0..3), any::<u16>()), 1..40);
    picks
        .prop_map(|picks| {
            picks
                .iter()
                .enumerate()
                .map(|(n, (parents, needed))| {
                    let mut migration = Migration::new(format!("m{n:03}"), "x", format!("{n}.sql"));
                    if n > 0 {
                        let earlier =
                            |pick: &u16| MigrationId::new(format!("m{:03}", usize::from(*pick) % n));
                        migration.parents = parents.iter().map(earlier).collect();
                        if needed % 4 == 0 {
                            migration.depends_on = vec![earlier(&(needed / 4))];
                        }
                    }
                    migration
                })
                .collect::<Vec<_>>()
        })
        .prop_shuffle()
}

/// A graph, one of its migrations, and a state that can be reached: some migrations with all they need.
fn reachable() -> impl Strategy<Value = (MigrationGraph, MigrationId, BTreeSet<MigrationId>)> {
    (
        migrations(),
        any::<prop::sample::Index>(),
        prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    )
        .prop_map(|(migrations, target, picks)| {
            let ids: Vec<_> = migrations.iter().map(|migration| migration.id.clone()).collect();
            let graph = MigrationGraph::build(migrations).unwrap();
            let applied = graph.ancestors(picks.iter().map(|pick| pick.get(&ids)));
            (graph, target.get(&ids).clone(), applied)
        })
}

fn is_closed(graph: &MigrationGraph, applied: &BTreeSet<MigrationId>) -> bool {
    graph.ancestors(applied) == *applied
}

proptest! {
    #[test]
    fn everything_a_migration_needs_comes_before_it(migrations in migrations()) {
        let graph = MigrationGraph::build(migrations.clone()).unwrap();
        prop_assert_eq!(graph.len(), migrations.len());
        for (position, migration) in graph.iter().enumerate() {
            prop_assert_eq!(graph.position(&migration.id), Some(position));
            for before in migration.parents.iter().chain(&migration.depends_on) {
                prop_assert!(graph.position(before).unwrap() < position);
            }
        }
    }

    #[test]
    fn the_same_files_give_the_same_order(migrations in migrations()) {
        let order = |graph: &MigrationGraph| graph.iter().map(|m| m.id.clone()).collect::<Vec<_>>();
        let first = order(&MigrationGraph::build(migrations.clone()).unwrap());
        prop_assert_eq!(first, order(&MigrationGraph::build(migrations).unwrap()));
    }

    #[test]
    fn up_reaches_its_target_through_states_that_are_sound((graph, target, applied) in reachable()) {
        let plan = graph.plan_up(&applied, &Target::id(&target)).unwrap();
        let mut state = applied.clone();
        for id in &plan {
            prop_assert!(state.insert(id.clone()), "{} was applied already", id);
            prop_assert!(is_closed(&graph, &state), "{} came too early", id);
        }
        prop_assert!(state.contains(&target));
        // Nothing more than was needed.
        let needed = graph.ancestors([&target]);
        prop_assert!(plan.iter().all(|id| needed.contains(id)));
        prop_assert!(graph.plan_up(&state, &Target::id(&target)).unwrap().is_empty());
    }

    #[test]
    fn down_leaves_nothing_after_its_target_through_states_that_are_sound(
        (graph, target, mut state) in reachable()
    ) {
        state.extend(graph.ancestors([&target]));
        for id in graph.plan_down(&state, &Target::id(&target)).unwrap() {
            prop_assert!(state.remove(&id), "{} was not applied", id);
            prop_assert!(is_closed(&graph, &state), "{} went too early", id);
        }
        prop_assert!(state.contains(&target));
        for child in graph.children(&target) {
            prop_assert!(!state.contains(&child.id));
        }
    }

    #[test]
    fn what_went_up_comes_down_again_in_reverse((graph, target, _) in reachable()) {
        let up = graph.plan_up(&BTreeSet::new(), &Target::id(&target)).unwrap();
        let mut down = graph.plan_down(&up.iter().cloned().collect(), &Target::base()).unwrap();
        down.reverse();
        prop_assert_eq!(up, down);
    }

    #[test]
    fn goto_ends_where_it_says((graph, target, applied) in reachable()) {
        let moves = graph.plan_goto(&applied, &Target::id(&target)).unwrap();
        let mut state = applied;
        for id in &moves.down {
            prop_assert!(state.remove(id));
            prop_assert!(is_closed(&graph, &state));
        }
        for id in &moves.up {
            prop_assert!(state.insert(id.clone()));
            prop_assert!(is_closed(&graph, &state));
        }
        prop_assert!(state.contains(&target));
        prop_assert!(graph.children(&target).iter().all(|child| !state.contains(&child.id)));
    }

    #[test]
    fn the_heads_of_a_sound_state_say_all_of_it((graph, _, applied) in reachable()) {
        let heads: Vec<_> = graph.heads_of(&applied).iter().map(|m| m.id.clone()).collect();
        prop_assert_eq!(graph.ancestors(&heads), applied.clone());
        prop_assert!(graph.out_of_order(&applied).is_empty());
        prop_assert_eq!(graph.pending(&applied).len() + applied.len(), graph.len());
    }

    #[test]
    fn any_state_at_all_is_brought_to_the_heads((graph, _, _) in reachable(), keep in any::<u64>()) {
        let applied: BTreeSet<_> = graph
            .iter()
            .enumerate()
            .filter(|(n, _)| keep >> (n % 64) & 1 == 1)
            .map(|(_, m)| m.id.clone())
            .collect();
        let up = graph.plan_up(&applied, &Target::heads()).unwrap();
        prop_assert_eq!(up.len() + applied.len(), graph.len());
        prop_assert!(up.iter().all(|id| !applied.contains(id)));
        let down = graph.plan_down(&applied, &Target::base()).unwrap();
        prop_assert_eq!(down.len(), applied.len());
    }

    #[test]
    fn a_cycle_is_always_found_and_is_one(migrations in migrations(), pick in any::<prop::sample::Index>()) {
        let graph = MigrationGraph::build(migrations.clone()).unwrap();
        let last = pick.get(&migrations).id.clone();
        let forebears: Vec<_> = graph.ancestors([&last]).into_iter().collect();
        let first = pick.get(&forebears).clone();
        let mut looped = migrations;
        for migration in &mut looped {
            if migration.id == first {
                migration.parents.push(last.clone());
            }
        }
        let error = MigrationGraph::build(looped.clone()).unwrap_err().to_string();
        let round: Vec<&str> = error.split('`').nth(1).unwrap().split(" -> ").collect();
        prop_assert_eq!(round.first(), round.last());
        for pair in round.windows(2) {
            let next = looped.iter().find(|m| m.id.as_str() == pair[1]).unwrap();
            let before = MigrationId::new(pair[0]);
            prop_assert!(next.parents.contains(&before) || next.depends_on.contains(&before), "{}", error);
        }
    }

    #[test]
    fn no_text_makes_a_target_panic(text in ".{0,20}", applied in 0_usize..3) {
        let graph = MigrationGraph::build(vec![
            Migration::new("a", "b", "a"),
            Migration::new("ä", "b-1", "a"),
        ]).unwrap();
        let applied = graph.iter().take(applied).map(|m| m.id.clone()).collect();
        if let Ok(target) = text.parse::<Target>() {
            prop_assert_eq!(target.to_string(), text);
            let _up = graph.plan_up(&applied, &target);
            let _down = graph.plan_down(&applied, &target);
            let _moves = graph.plan_goto(&applied, &target);
            let _state = graph.state_at(&applied, &target);
        }
    }
}
