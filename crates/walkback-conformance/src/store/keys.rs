//! Which keys there are.

use walkback_core::store::StoreExt as _;
use walkback_core::{Cx, ErrorKind, Result};

use super::StoreFixture;
use super::support::{assert_holds, get, keys, noise, put};

pub(super) async fn keys_that_break_the_rule_are_refused_with_no_effect(fixture: StoreFixture) -> Result<()> {
    let (store, cx) = (&*fixture.store, Cx::background());
    put(store, "a/b", &noise(1, 10)).await?;
    let long = "x".repeat(201);
    let bad = [
        "",
        "/",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "../a",
        "a/../b",
        "a/./b",
        "a b",
        "a\\b",
        "a\0b",
        "a\nb",
        "a:b",
        "a*b",
        "a~b",
        "a+b",
        "a%2e",
        "ä",
        "\u{1f600}",
        "~",
        "a/..",
        "C:\\a",
        "a?b",
        "a#b",
        &long,
    ];
    for key in bad {
        let refused = [
            ("create", store.create(&cx, key).await.err()),
            ("read", store.read(&cx, key, None).await.err()),
            ("stat", store.stat(&cx, key).await.err()),
            ("remove", store.remove(&cx, key).await.err()),
        ];
        for (operation, error) in refused {
            let Some(error) = error else {
                panic!("`{operation}` accepts the key {key:?}")
            };
            assert_eq!(error.kind(), ErrorKind::Usage, "{operation} {key:?}: {error:?}");
        }
    }
    assert_eq!(keys(store, "").await?, ["a/b"]);
    assert_holds(store, "a/b", &noise(1, 10), "after keys were refused").await
}

pub(super) async fn keys_that_keep_the_rule_are_accepted(fixture: StoreFixture) -> Result<()> {
    let store = &*fixture.store;
    let long = "x".repeat(200);
    let deep = ["d"; 30].join("/");
    let good = [
        "a",
        "-",
        "_",
        "...",
        ".a",
        "a.",
        "-rf",
        "a.tmp",
        "tmp/a",
        ".tmp/a",
        "CON",
        "lost-and-found/1",
        "con.txt",
        "0",
        "a_-.b",
        &long,
        &deep,
    ];
    for (seed, key) in good.iter().enumerate() {
        put(store, key, &noise(seed as u64 + 1, 100))
            .await
            .map_err(|error| error.wrap((*key).to_owned()))?;
    }
    store.sweep(&Cx::background()).await?;
    for (seed, key) in good.iter().enumerate() {
        assert_holds(
            store,
            key,
            &noise(seed as u64 + 1, 100),
            "among keys of every form",
        )
        .await?;
    }
    assert_eq!(keys(store, "").await?.len(), good.len());
    Ok(())
}

pub(super) async fn a_key_below_another_is_kept_apart_or_refused(fixture: StoreFixture) -> Result<()> {
    let (store, cx) = (&*fixture.store, Cx::background());
    for (first, second) in [("a", "a/b"), ("c/d", "c")] {
        put(store, first, &noise(1, 100)).await?;
        match put(store, second, &noise(2, 200)).await {
            Ok(()) => assert_holds(store, second, &noise(2, 200), "beside a key above or below it").await?,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Usage, "{error:?}");
                assert!(
                    !store.exists(&cx, second).await?,
                    "`{second}` was refused and is there"
                );
                store.remove(&cx, second).await?;
            }
        }
        assert!(
            get(store, first).await? == noise(1, 100),
            "`{first}` was changed by `{second}`"
        );
    }
    assert_eq!(
        store.sweep(&cx).await?.blobs,
        0,
        "a refused key leaves work for `sweep`"
    );
    Ok(())
}
