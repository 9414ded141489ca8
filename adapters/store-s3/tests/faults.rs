//! What happens between the store and the server: throttling, errors, lost connections, half answers.
//!
//! Either everything comes out right, or the operation fails and nothing is to be seen.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{keys, on, open, settings};
use futures::TryStreamExt as _;
use walkback_conformance::store::noise;
use walkback_core::store::{ByteRange, StoreExt as _};
use walkback_core::{BackupStore, Cx, ErrorKind};
use walkback_services::s3::{Asked, Fault, S3Server};

const LARGE: usize = 20 << 20;

/// An answer that begins well and ends badly, as S3 gives it when an upload is completed.
fn late() -> Fault {
    Fault::Say(
        200,
        Vec::new(),
        "<?xml version=\"1.0\"?>\n<Error><Code>InternalError</Code><Message>late</Message></Error>",
    )
}

fn faults() -> Vec<(&'static str, Fault)> {
    vec![
        ("throttled", Fault::Refuse(503, "SlowDown")),
        ("too many requests", Fault::Refuse(429, "TooManyRequests")),
        ("an error of the server", Fault::Refuse(500, "InternalError")),
        (
            "a bad gateway",
            Fault::Say(502, Vec::new(), "<html>bad gateway</html>"),
        ),
        ("damaged on the way", Fault::Refuse(400, "BadDigest")),
        ("too slow a socket", Fault::Refuse(400, "RequestTimeout")),
        ("closed before", Fault::DropBefore),
        ("closed after", Fault::DropAfter),
        ("cut", Fault::Truncate),
        ("slow", Fault::Slow(Duration::from_millis(50))),
    ]
}

/// Returns whether a server may answer so: it finds fault only with a body that was sent to it.
fn fits(fault: &Fault, asked: &Asked) -> bool {
    let sends = matches!(asked.method.as_str(), "PUT" | "POST");
    sends || !matches!(fault, Fault::Refuse(400, _))
}

/// A blob of several parts, a small one, lists, descriptions, parts of a blob, removals.
async fn use_it(store: &dyn BackupStore, what: &str) {
    let cx = Cx::background();
    for (key, size) in [("a/large", LARGE), ("a/small", 1000), ("b/empty", 0)] {
        let bytes = noise(size as u64, size);
        store
            .put(&cx, key, bytes.clone())
            .await
            .unwrap_or_else(|error| panic!("{what}: {error:?}"));
        let found = store
            .get(&cx, key)
            .await
            .unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert!(found == bytes, "{what}: `{key}` is other bytes");
        let stat = store
            .stat(&cx, key)
            .await
            .unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert_eq!(stat.bytes, size as u64, "{what}");
    }
    let range = Some(ByteRange {
        offset: 9_000_000,
        length: 3_000_000,
    });
    let part = store
        .read(&cx, "a/large", range)
        .await
        .unwrap_or_else(|error| panic!("{what}: {error:?}"));
    let part: Vec<_> = part
        .try_collect()
        .await
        .unwrap_or_else(|error| panic!("{what}: {error:?}"));
    assert!(
        part.concat() == noise(LARGE as u64, LARGE)[9_000_000..12_000_000],
        "{what}"
    );
    assert_eq!(keys(store).await, ["a/large", "a/small", "b/empty"], "{what}");
    store
        .remove(&cx, "a/large")
        .await
        .unwrap_or_else(|error| panic!("{what}: {error:?}"));
    store
        .sweep(&cx)
        .await
        .unwrap_or_else(|error| panic!("{what}: {error:?}"));
    assert_eq!(keys(store).await, ["a/small", "b/empty"], "{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_may_fail_once_in_every_way_and_all_comes_out_right() {
    for (what, fault) in faults() {
        let server = S3Server::strict();
        // Every request fails the first time it is made.
        server
            .faults()
            .set(move |asked: &Asked| (asked.repeated == 0 && fits(&fault, asked)).then(|| fault.clone()));
        use_it(&*on(&server), what).await;
        let requests = server.faults().requests();
        assert!(requests > 15, "{what}: {requests} requests");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_after_a_good_status_is_an_error() {
    let server = S3Server::strict();
    server
        .faults()
        .set(|asked: &Asked| (asked.method == "POST" && asked.repeated == 0).then(late));
    use_it(&*on(&server), "an error after 200").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_and_goes_at_random_is_weathered() {
    let server = S3Server::strict();
    let mut state = 7_u64;
    let all = faults();
    server.faults().set(move |asked: &Asked| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let roll = usize::try_from(state >> 33).unwrap_or_default();
        // A fifth of the requests fail.
        let fault = &all[(roll / 5) % all.len()].1;
        (roll % 5 == 0 && fits(fault, asked)).then(|| fault.clone())
    });
    let store = open(&settings(&server).with("retries", 12)).unwrap();
    let tasks = (0..6_u64).map(|task| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let cx = Cx::background();
            for n in 0..4 {
                let size = if n == 0 { 9 << 20 } else { 50_000 };
                let (key, bytes) = (format!("{task}/{n}"), noise(task * 10 + n, size));
                store.put(&cx, &key, bytes.clone()).await.unwrap();
                assert!(
                    store.get(&cx, &key).await.unwrap() == bytes,
                    "{key} is other bytes"
                );
            }
        })
    });
    for task in futures::future::join_all(tasks).await {
        task.unwrap();
    }
    assert_eq!(keys(&*store).await.len(), 24);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stays_down_makes_writes_fail_with_nothing_to_be_seen() {
    for (what, fault) in [
        ("errors", Fault::Refuse(500, "InternalError")),
        ("throttling", Fault::Refuse(503, "SlowDown")),
        ("closed connections", Fault::DropBefore),
    ] {
        // Down from the beginning; from the second part on; when the upload is to be completed.
        for from in 0..3 {
            let server = S3Server::strict();
            let fault = fault.clone();
            server.faults().set(move |asked: &Asked| {
                let completes = asked.method == "POST" && asked.query.starts_with("uploadId=");
                let down = match from {
                    0 => true,
                    1 => asked.query.contains("partNumber=2"),
                    _ => completes,
                };
                (down && asked.method != "DELETE").then(|| fault.clone())
            });
            let store = open(&settings(&server).with("retries", 1)).unwrap();
            let (cx, bytes) = (Cx::background(), noise(1, LARGE));
            let error = store.put(&cx, "a/large", bytes).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{what} {from}: {error:?}");
            assert!(error.is_retryable(), "{what} {from}: {error:?}");
            assert!(
                error.hints()[0].contains("tried 2 times"),
                "{what} {from}: {error:?}"
            );
            assert!(server.bucket().keys().is_empty(), "{what} {from}");
            // It is up again: the same command works.
            server.faults().clear();
            store.put(&cx, "a/large", noise(1, LARGE)).await.unwrap();
            assert!(store.get(&cx, "a/large").await.unwrap() == noise(1, LARGE));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_that_is_cut_again_and_again_is_an_error_and_never_a_short_blob() {
    let server = S3Server::strict();
    let store = open(&settings(&server).with("retries", 2)).unwrap();
    let cx = Cx::background();
    store.put(&cx, "a", noise(1, 3_000_000)).await.unwrap();
    server
        .faults()
        .set(|asked: &Asked| (asked.method == "GET").then_some(Fault::Truncate));
    // Each attempt brings half of what is left, and there are only so many.
    let error = store.get(&cx, "a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    server.faults().clear();
    assert!(store.get(&cx, "a").await.unwrap() == noise(1, 3_000_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_blob_is_not_mixed_with_the_old_one_when_a_reader_has_to_ask_again() {
    let server = S3Server::strict();
    let store = on(&server);
    let cx = Cx::background();
    store.put(&cx, "a", noise(1, 3_000_000)).await.unwrap();
    server
        .faults()
        .set(|asked: &Asked| (asked.method == "GET" && asked.repeated == 0).then_some(Fault::Truncate));
    let mut reading = store.read(&cx, "a", None).await.unwrap();
    let first = reading.try_next().await.unwrap().unwrap();
    store.put(&cx, "a", noise(2, 3_000_000)).await.unwrap();
    let rest: Result<Vec<_>, _> = reading.try_collect().await;
    let error = rest.expect_err("the old blob is gone");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(noise(1, 3_000_000).starts_with(&first));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_answer_is_given_up() {
    let server = S3Server::strict();
    server
        .faults()
        .set(|_| Some(Fault::Slow(Duration::from_secs(3600))));
    let store = open(&settings(&server).with("retries", 1).with("timeout", "200ms")).unwrap();
    let error = store.put(&Cx::background(), "a", noise(1, 10)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert_eq!(server.faults().requests(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_to_stop_is_obeyed_while_the_server_is_silent() {
    let server = S3Server::strict();
    server
        .faults()
        .set(|_| Some(Fault::Slow(Duration::from_secs(3600))));
    let (store, cx) = (on(&server), Cx::background());
    let waiting = {
        let (store, cx) = (Arc::clone(&store), cx.clone());
        tokio::spawn(async move { store.put(&cx, "a", noise(1, 10)).await })
    };
    while server.faults().requests() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cx.canceller().cancel();
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted, "{error:?}");
}
