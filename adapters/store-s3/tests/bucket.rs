//! What an operator sees of the bucket, and is told when something is wrong with it.

mod common;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use common::{keys, on, open, settings};
use walkback_conformance::store::noise;
use walkback_core::Environment;
use walkback_core::store::{StoreExt as _, Swept};
use walkback_core::{AdapterConfig, BackupStore, Cx, Error, ErrorKind};
use walkback_services::s3::{ACCESS_KEY, Asked, BUCKET, Fault, S3Server, SECRET_KEY};

/// Returns everything that could be shown of an error.
fn all_of(error: &Error) -> String {
    let mut text = format!("{error} {error:?} {:?} {:?}", error.context(), error.hints());
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(" {cause} {cause:?}"));
        source = cause.source();
    }
    text
}

/// Returns the error of each operation.
async fn errors(store: &dyn BackupStore) -> Vec<Error> {
    let cx = Cx::background();
    let mut all = vec![
        store.put(&cx, "a/small", noise(1, 10)).await.unwrap_err(),
        store.put(&cx, "a/large", noise(1, 9 << 20)).await.unwrap_err(),
        store.get(&cx, "a/b").await.unwrap_err(),
        store.stat(&cx, "a/b").await.unwrap_err(),
        store.remove(&cx, "a/b").await.unwrap_err(),
        store.sweep(&cx).await.unwrap_err(),
    ];
    let listed: Result<Vec<_>, _> =
        futures::TryStreamExt::try_collect(store.list(&cx, "").await.unwrap()).await;
    all.push(listed.unwrap_err());
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_secret_is_denied_and_no_secret_is_shown() {
    const WRONG: &str = "aSecretThatNobodyMaySee";
    const TOKEN: &str = "aTokenThatNobodyMaySee";
    let server = S3Server::strict();
    let config = settings(&server)
        .with("secret_access_key", WRONG)
        .with("session_token", TOKEN);
    let store = open(&config).unwrap();
    assert!(!format!("{store:?}").contains(WRONG));
    for error in errors(&*store).await {
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:?}");
        let text = all_of(&error);
        assert!(!text.contains(WRONG) && !text.contains(TOKEN), "{text}");
        assert!(!text.contains("Signature="), "{text}");
    }
    let error = store.put(&Cx::background(), "a", noise(1, 10)).await.unwrap_err();
    assert!(error.hints()[0].contains("`secret_access_key`"), "{error:?}");
    // It makes no difference to ask again.
    server.faults().set(|_| None);
    store.stat(&Cx::background(), "a").await.unwrap_err();
    assert_eq!(server.faults().requests(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_key_pair_is_denied_by_name() {
    let server = S3Server::strict();
    let store = open(&settings(&server).with("access_key_id", "AKIANOBODY")).unwrap();
    let error = store.put(&Cx::background(), "a", noise(1, 10)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:?}");
    assert!(error.hints()[0].contains("`access_key_id`"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_bucket_is_told_from_a_missing_blob() {
    let server = S3Server::strict();
    let store = open(&settings(&server).with("bucket", "nowhere")).unwrap();
    for error in errors(&*store).await {
        assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
        assert!(error.message().contains("no bucket `nowhere`"), "{error:?}");
        assert!(error.hints()[0].contains("[store.offsite]"), "{error:?}");
    }
    let error = on(&server).stat(&Cx::background(), "a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
    assert_eq!(
        error.message(),
        "there is no `a` in `s3://backups/production/vault`"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_is_unreachable() {
    let server = S3Server::strict();
    let config = settings(&server).with("retries", 1);
    let endpoint = server.endpoint();
    drop(server);
    let store = open(&config).unwrap();
    // The socket is closed a moment after the server is told to end.
    let error = loop {
        let error = store.stat(&Cx::background(), "a").await.unwrap_err();
        if error.message().starts_with("cannot reach") {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.is_retryable());
    assert!(error.message().contains(&endpoint), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_in_another_region_is_named_with_the_line_to_write() {
    let server = S3Server::strict();
    let store = on(&server);
    let elsewhere = vec![("x-amz-bucket-region", "eu-west-1".to_owned())];
    server
        .faults()
        .set(move |_| Some(Fault::Say(301, elsewhere.clone(), "")));
    for error in errors(&*store).await {
        assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
        assert!(error.hints()[0].contains("region = \"eu-west-1\""), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_for_is_asked_of_every_object_and_checked_by_the_server() {
    let server = S3Server::strict();
    let lock = serde_json::json!({ "mode": "COMPLIANCE", "keep": "30d" });
    let config = settings(&server)
        .with("storage_class", "STANDARD_IA")
        .with("server_side_encryption", "aws:kms")
        .with("kms_key", "alias/backups")
        .with("session_token", "a-token")
        .with("object_lock", lock);
    let (store, cx) = (open(&config).unwrap(), Cx::background());
    for (key, size, parts) in [
        ("small", 1000, 0),
        ("one-part", 8 << 20, 0),
        ("large", (8 << 20) + 1, 2),
    ] {
        store.put(&cx, key, noise(1, size)).await.unwrap();
        assert!(store.get(&cx, key).await.unwrap() == noise(1, size));
        let facts = server.bucket().facts(&format!("production/vault/{key}")).unwrap();
        assert_eq!(facts.storage_class.as_deref(), Some("STANDARD_IA"), "{key}");
        assert_eq!(facts.encryption.as_deref(), Some("aws:kms"), "{key}");
        assert_eq!(facts.kms_key.as_deref(), Some("alias/backups"), "{key}");
        assert_eq!(facts.lock_mode.as_deref(), Some("COMPLIANCE"), "{key}");
        let until = facts.locked_until.unwrap();
        let days = until.duration_since(SystemTime::now()).unwrap().as_secs() as f64 / 86_400.;
        assert!((29.9..=30.0).contains(&days), "{key}: {days}");
        assert!(facts.checked, "{key}");
        assert_eq!(facts.parts, parts, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_are_sent_side_by_side_but_never_more_than_two() {
    let server = S3Server::strict();
    let (store, cx) = (on(&server), Cx::background());
    server.faults().set(|asked: &Asked| {
        asked
            .query
            .contains("partNumber=")
            .then_some(Fault::Slow(Duration::from_millis(100)))
    });
    store.put(&cx, "large", noise(3, 64 << 20)).await.unwrap();
    assert_eq!(server.faults().most_parts(), 2);
    server.faults().clear();
    assert!(store.get(&cx, "large").await.unwrap() == noise(3, 64 << 20));
    assert_eq!(server.bucket().facts("production/vault/large").unwrap().parts, 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_is_given_up_leaves_no_parts() {
    let server = S3Server::strict();
    let (store, cx) = (on(&server), Cx::background());
    let mut aborted = store.create(&cx, "aborted").await.unwrap();
    aborted.write(&cx, noise(1, 20 << 20)).await.unwrap();
    assert_eq!(server.bucket().uploads().len(), 1);
    aborted.abort(&cx).await.unwrap();
    assert!(server.bucket().uploads().is_empty());
    let mut dropped = store.create(&cx, "dropped").await.unwrap();
    dropped.write(&cx, noise(1, 20 << 20)).await.unwrap();
    drop(dropped);
    while !server.bucket().uploads().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let stopped = Cx::background();
    let mut writer = store.create(&cx, "stopped").await.unwrap();
    writer.write(&stopped, noise(1, 20 << 20)).await.unwrap();
    stopped.canceller().cancel();
    let error = writer.commit(&stopped).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted);
    assert!(server.bucket().uploads().is_empty());
    assert!(server.bucket().keys().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_aborts_what_has_been_unfinished_for_a_day_and_nothing_else() {
    let server = S3Server::strict();
    let (store, cx) = (on(&server), Cx::background());
    let other = open(&settings(&server).with("prefix", "staging")).unwrap();
    // More than fit on a page of the list.
    let mut dead = Vec::new();
    for n in 0..10 {
        let mut writer = store.create(&cx, &format!("dead/{n}")).await.unwrap();
        writer.write(&cx, noise(n, (8 << 20) + 1)).await.unwrap();
        dead.push(writer);
    }
    let mut elsewhere = other.create(&cx, "dead").await.unwrap();
    elsewhere.write(&cx, noise(1, (8 << 20) + 1)).await.unwrap();
    while server.faults().most_parts() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.bucket().age_uploads(Duration::from_secs(25 * 3600));
    let mut living = store.create(&cx, "living").await.unwrap();
    living.write(&cx, noise(1, 20 << 20)).await.unwrap();
    let swept = store.sweep(&cx).await.unwrap();
    assert_eq!(swept.blobs, 10);
    assert_eq!(server.bucket().uploads().len(), 2);
    assert_eq!(store.sweep(&cx).await.unwrap(), Swept::default());
    living.commit(&cx).await.unwrap();
    assert!(store.get(&cx, "living").await.unwrap() == noise(1, 20 << 20));
    // A writer that was taken for dead cannot be committed, and shows nothing.
    let writer = dead.pop().unwrap();
    writer.commit(&cx).await.unwrap_err();
    assert_eq!(keys(&*store).await, ["living"]);
    drop((dead, elsewhere));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_knows_no_list_of_uploads_is_not_swept() {
    let server = S3Server::folder();
    assert_eq!(
        on(&server).sweep(&Cx::background()).await.unwrap(),
        Swept::default()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_of_other_programs_are_not_blobs() {
    let server = S3Server::strict();
    let store = on(&server);
    for key in [
        "production/vault/notes (1).txt",
        "production/vaults/a",
        "production/a",
        "z",
    ] {
        server.bucket().put_foreign(key);
    }
    store.put(&Cx::background(), "a/b", noise(1, 10)).await.unwrap();
    assert_eq!(keys(&*store).await, ["a/b"]);
    let all = open(&settings(&server).with("prefix", "")).unwrap();
    all.put(&Cx::background(), "c", noise(1, 10)).await.unwrap();
    assert!(server.bucket().keys().contains(&"c".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_others_wrote_keeps_blobs_of_every_size() {
    let server = S3Server::folder();
    let (store, cx) = (on(&server), Cx::background());
    for size in [0, 1, 100_000, 8 << 20, (8 << 20) + 1, 30 << 20] {
        let key = format!("objects/{size}");
        store.put(&cx, &key, noise(7, size)).await.unwrap();
        assert!(store.get(&cx, &key).await.unwrap() == noise(7, size), "{size}");
        assert_eq!(store.stat(&cx, &key).await.unwrap().bytes, size as u64);
    }
    let mut expected =
        ["0", "1", "100000", "31457280", "8388608", "8388609"].map(|size| format!("objects/{size}"));
    expected.sort();
    assert_eq!(keys(&*store).await, expected);
}

fn from_surroundings(server: &S3Server, variables: &'static [(&'static str, &'static str)]) -> AdapterConfig {
    AdapterConfig::new("store.offsite", "/srv/app")
        .with("bucket", BUCKET)
        .with("endpoint", server.endpoint())
        .in_environment(Environment::new(move |name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_come_from_variables_and_from_a_profile() {
    let server = S3Server::strict();
    let cx = Cx::background();
    let variables = from_surroundings(
        &server,
        &[
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
        ],
    );
    open(&variables)
        .unwrap()
        .put(&cx, "a", noise(1, 10))
        .await
        .unwrap();

    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    std::fs::write(
        home.path().join(".aws/credentials"),
        format!(
            "[default]\naws_access_key_id = AKIANOBODY\naws_secret_access_key = x\n\n# ours\n[ backups ]\n\
             aws_access_key_id={ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
        ),
    )
    .unwrap();
    let folder = home.path().display().to_string();
    let surroundings = Environment::new(move |name| match name {
        "HOME" => Some(folder.clone()),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("of somebody else".to_owned()),
        _ => None,
    });
    let config = from_surroundings(&server, &[])
        .in_environment(surroundings)
        .with("profile", "backups");
    open(&config).unwrap().put(&cx, "b", noise(1, 10)).await.unwrap();
    let error = open(&config.with("profile", "nobody")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("`nobody`"), "{error:?}");
    assert!(error.hints()[0].contains(".aws/credentials"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_hands_out_no_credentials_is_an_error_at_once() {
    let server = S3Server::strict();
    let gone = "http://127.0.0.1:9";
    let config = from_surroundings(
        &server,
        &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9")],
    );
    let error = open(&config)
        .unwrap()
        .put(&Cx::background(), "a", noise(1, 10))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{gone}: {error:?}");
    assert!(error.message().contains("no credentials"), "{error:?}");
    assert!(error.hints()[0].contains("`AWS_ACCESS_KEY_ID`"), "{error:?}");
    let none = from_surroundings(&server, &[("AWS_EC2_METADATA_DISABLED", "true")]);
    assert_eq!(open(&none).unwrap_err().kind(), ErrorKind::Config);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_and_readers_share_a_store() {
    let server = S3Server::strict();
    let store: Arc<dyn BackupStore> = on(&server);
    let tasks = (0..32_u64).map(|task| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let cx = Cx::background();
            for n in 0..8 {
                let (key, bytes) = (format!("{task:02}/{n}"), noise(task * 100 + n, 20_000));
                store.put(&cx, &key, bytes.clone()).await.unwrap();
                assert!(store.get(&cx, &key).await.unwrap() == bytes);
            }
        })
    });
    for task in futures::future::join_all(tasks).await {
        task.unwrap();
    }
    assert_eq!(keys(&*store).await.len(), 256);
}
