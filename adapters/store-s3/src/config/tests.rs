use super::*;
use walkback_core::ErrorKind;

fn aws() -> AdapterConfig {
    AdapterConfig::new("store.offsite", "/srv/app")
        .with("bucket", "db-backups")
        .with("region", "eu-central-1")
        .with("access_key_id", "AKIA")
        .with("secret_access_key", "s3cret")
}

fn endpoint(config: &AdapterConfig) -> String {
    let settings: S3Config = config.parse().unwrap();
    let opening = Opening {
        section: "store.offsite",
        settings: &settings,
    };
    let region = opening.region(config, None).unwrap();
    opening.endpoint(&region).unwrap().to_string()
}

fn refused(config: &AdapterConfig) -> Error {
    let error = open(config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
    error
}

#[test]
fn a_bucket_is_found_where_its_server_keeps_it() {
    for (config, expected) in [
        (aws(), "https://db-backups.s3.eu-central-1.amazonaws.com/"),
        (
            aws().with("bucket", "db.backups"),
            "https://s3.eu-central-1.amazonaws.com/db.backups",
        ),
        (
            aws().with("path_style", true),
            "https://s3.eu-central-1.amazonaws.com/db-backups",
        ),
        (
            aws().with("region", "cn-north-1"),
            "https://db-backups.s3.cn-north-1.amazonaws.com.cn/",
        ),
        (
            aws().with("endpoint", "https://minio.example.org:9000/"),
            "https://minio.example.org:9000/db-backups",
        ),
        (
            aws()
                .with("endpoint", "https://example.org/s3")
                .with("path_style", false),
            "https://db-backups.example.org/s3",
        ),
        (
            aws().with("endpoint", "http://127.0.0.1:9000"),
            "http://127.0.0.1:9000/db-backups",
        ),
        (
            aws().with("endpoint", "http://[::1]:9000"),
            "http://[::1]:9000/db-backups",
        ),
    ] {
        assert_eq!(endpoint(&config), expected);
        assert!(open(&config).is_ok());
    }
}

#[test]
fn a_location_is_shown_without_credentials() {
    let store = open(&aws().with("prefix", "/production/")).unwrap();
    assert_eq!(store.location(), "s3://db-backups/production");
    assert_eq!(open(&aws()).unwrap().location(), "s3://db-backups");
    let settings: S3Config = aws().parse().unwrap();
    assert!(!format!("{store:?} {settings:?}").contains("s3cret"));
}

#[test]
fn backups_do_not_cross_a_network_in_the_open_by_accident() {
    let open_network = aws().with("endpoint", "http://minio.example.org:9000");
    let error = refused(&open_network);
    assert!(error.hints()[0].contains("allow_http = true"), "{error:?}");
    assert!(open(&open_network.with("allow_http", true)).is_ok());
}

#[test]
fn a_setting_that_cannot_be_obeyed_is_refused_by_name() {
    let lock = |mode: &str, keep: &str| serde_json::json!({ "mode": mode, "keep": keep });
    for (key, value) in [
        ("buket", "x".into()),
        ("bucket", "".into()),
        ("bucket", "s3://db-backups".into()),
        ("prefix", "a b".into()),
        ("prefix", "../a".into()),
        ("endpoint", "minio:9000".into()),
        ("endpoint", "https://me:s3cret@minio".into()),
        ("endpoint", "https://minio/?key=s3cret".into()),
        ("region", "".into()),
        ("storage_class", "DEEP_ARCHIVE".into()),
        ("server_side_encryption", "rot13".into()),
        ("kms_key", "alias/x".into()),
        ("checksum", "md5".into()),
        ("timeout", "soon".into()),
        ("timeout", "0s".into()),
        ("retries", "many".into()),
        ("object_lock", lock("FOREVER", "1d")),
        ("object_lock", lock("COMPLIANCE", "200years")),
        ("object_lock", lock("COMPLIANCE", "")),
        ("object_lock", serde_json::json!({ "mode": "COMPLIANCE" })),
        ("path_style", "yes".into()),
    ] {
        let value: serde_json::Value = value;
        let error = refused(&aws().with(key, value.clone()));
        assert!(
            error.message().contains("[store.offsite]"),
            "{key} = {value}: {error:?}"
        );
        assert!(!error.hints().is_empty(), "{key} = {value}: {error:?}");
    }
    let error = refused(
        &aws()
            .with("checksum", "none")
            .with("object_lock", lock("GOVERNANCE", "1d")),
    );
    assert!(error.message().contains("`checksum`"), "{error:?}");
}

#[test]
fn half_a_key_pair_is_refused() {
    let half = AdapterConfig::new("store.offsite", "/srv/app")
        .with("bucket", "db-backups")
        .with("region", "eu-central-1")
        .with("secret_access_key", "s3cret");
    let error = refused(&half);
    assert!(error.message().contains("`access_key_id`"), "{error:?}");
}

#[test]
fn a_region_has_to_come_from_somewhere_unless_the_server_is_not_aws() {
    let none = AdapterConfig::new("store.offsite", "/srv/app").with("bucket", "db-backups");
    let error = refused(&none);
    assert!(error.hints()[0].contains("`AWS_REGION`"), "{error:?}");
    let variables = walkback_core::Environment::new(|name| {
        (name == "AWS_DEFAULT_REGION").then(|| "eu-north-1".to_owned())
    });
    let config = none.clone().in_environment(variables);
    assert_eq!(
        endpoint(&config),
        "https://db-backups.s3.eu-north-1.amazonaws.com/"
    );
    assert_eq!(
        endpoint(&none.with("endpoint", "https://minio.example.org")),
        "https://minio.example.org/db-backups"
    );
}
