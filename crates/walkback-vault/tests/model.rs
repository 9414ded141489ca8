//! Backups, removals and garbage collection in any order, with time passing between them: whatever is listed is
//! whole, and a backup that is quick enough always succeeds.

mod common;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use common::{SetClock, add, chunks, meta, vault};
use proptest::prelude::*;
use walkback_conformance::memory_store::MemoryStore;
use walkback_core::{Cx, ErrorKind};
use walkback_vault::{GRACE, PointWriter, Vault};

#[derive(Debug, Clone)]
enum Action {
    Begin,
    /// Adds a table of these chunks to one of the running backups.
    Add(prop::sample::Index, u64, u64),
    Finish(prop::sample::Index),
    GiveUp(prop::sample::Index),
    Remove(prop::sample::Index),
    BringBack(prop::sample::Index),
    Collect,
    /// Lets this many tenths of the grace period pass.
    Wait(i32),
}

fn action() -> impl Strategy<Value = Action> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        2 => Just(Action::Begin),
        4 => (index(), 0_u64..8, 1_u64..4).prop_map(|(index, from, count)| Action::Add(index, from, count)),
        3 => index().prop_map(Action::Finish),
        1 => index().prop_map(Action::GiveUp),
        2 => index().prop_map(Action::Remove),
        1 => index().prop_map(Action::BringBack),
        3 => Just(Action::Collect),
        3 => prop_oneof![Just(1), Just(2), Just(4), Just(6), Just(11)].prop_map(Action::Wait),
    ]
}

struct Model {
    clock: Arc<SetClock>,
    cx: Cx,
    vault: Vault,
    running: Vec<(DateTime<Utc>, PointWriter)>,
    removed: Vec<String>,
    made: u32,
}

impl Model {
    async fn act(&mut self, action: Action) {
        match action {
            Action::Begin => {
                self.made += 1;
                let writer = self
                    .vault
                    .begin(&self.cx, &format!("p{}", self.made), meta())
                    .await
                    .unwrap();
                self.running.push((self.cx.now(), writer));
            }
            Action::Add(index, from, count) if !self.running.is_empty() => {
                let place = index.index(self.running.len());
                let table = format!("{from}-{count}");
                // A table twice is a mistake of the caller, refused without harm.
                add(
                    &mut self.running[place].1,
                    &self.cx,
                    &table,
                    chunks(from..from + count),
                )
                .await
                .ok();
            }
            Action::Finish(index) if !self.running.is_empty() => {
                self.finish(index.index(self.running.len())).await
            }
            Action::GiveUp(index) if !self.running.is_empty() => {
                self.running.swap_remove(index.index(self.running.len()));
            }
            Action::Remove(index) => {
                let points = self.vault.list(&self.cx).await.unwrap();
                if !points.is_empty() {
                    let id = points[index.index(points.len())].id.clone();
                    self.vault.remove(&self.cx, &id).await.unwrap();
                    self.removed.push(id);
                }
            }
            Action::BringBack(index) if !self.removed.is_empty() => {
                let id = &self.removed[index.index(self.removed.len())];
                self.vault.bring_back(&self.cx, id).await.ok();
            }
            Action::Collect => drop(self.vault.collect_garbage(&self.cx).await.unwrap()),
            Action::Wait(tenths) => self.clock.advance(GRACE * tenths / 10),
            _ => {}
        }
    }

    async fn finish(&mut self, place: usize) {
        let (begun, writer) = self.running.swap_remove(place);
        match writer.finish(&self.cx).await {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Damaged, "{error:?}");
                let took = self.cx.now() - begun;
                assert!(
                    took > GRACE / 2,
                    "a backup that took {took} lost a chunk: {error:?}"
                );
            }
        }
    }

    async fn assert_whole(&self) {
        for point in self.vault.list(&self.cx).await.unwrap() {
            let report = self.vault.verify(&self.cx, &point.id).await.unwrap();
            assert!(
                report.is_intact(),
                "point `{}` has lost a chunk: {report:?}",
                point.id
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_is_listed_is_whole(actions in prop::collection::vec(action(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let clock = SetClock::new();
            let mut model = Model {
                cx: clock.cx(),
                clock,
                vault: vault(&MemoryStore::new()),
                running: Vec::new(),
                removed: Vec::new(),
                made: 0,
            };
            for action in actions {
                model.act(action).await;
                model.assert_whole().await;
            }
        });
    }
}
