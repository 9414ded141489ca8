//! The usual chain of credentials: settings, variables, shared files, and what the machine hands out.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use object_store::aws::AmazonS3Builder;
use walkback_core::{AdapterConfig, Error, Result};

use crate::config::{S3Config, known};

/// What the shared files of AWS say about a profile.
#[derive(Default)]
pub(crate) struct Profile {
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    session_token: Option<String>,
    pub(crate) region: Option<String>,
}

/// Reads the profile that is asked for, or `default`.
///
/// # Errors
/// [`ErrorKind::Config`](walkback_core::ErrorKind::Config) if one is named and no file has it.
pub(crate) fn profile(config: &AdapterConfig, settings: &S3Config) -> Result<Profile> {
    let variable = |name| config.environment.get(name);
    let named = settings.profile.clone().or_else(|| variable("AWS_PROFILE"));
    let name = named.as_deref().unwrap_or("default");
    let home = variable("HOME")
        .or_else(|| variable("USERPROFILE"))
        .map(PathBuf::from);
    let file = |override_name, usual: &str| {
        variable(override_name)
            .map(PathBuf::from)
            .or_else(|| Some(home.as_ref()?.join(".aws").join(usual)))
    };
    let mut profile = Profile::default();
    let mut found = false;
    let mut looked_in = Vec::new();
    for (path, section) in [
        (
            file("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
            name.to_owned(),
        ),
        (file("AWS_CONFIG_FILE", "config"), section_of_config(name)),
    ] {
        let Some(path) = path else { continue };
        found |= read(&path, &section, &mut profile)?;
        looked_in.push(format!("`{}`", path.display()));
    }
    if found || named.is_none() {
        return Ok(profile);
    }
    let places = if looked_in.is_empty() {
        "no file: `HOME` is not set".to_owned()
    } else {
        looked_in.join(" and ")
    };
    Err(Error::config(format!(
        "there is no `profile` `{name}` for `[{}]`",
        config.section
    ))
    .hint(format!(
        "it was looked for in {places}; correct `profile` of the store or `AWS_PROFILE`"
    )))
}

fn section_of_config(profile: &str) -> String {
    match profile {
        "default" => "default".to_owned(),
        other => format!("profile {other}"),
    }
}

/// Reads one section of a file, and returns whether it is there. What is known already stays.
fn read(path: &Path, section: &str, profile: &mut Profile) -> Result<bool> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(false);
        }
        Err(error) => return Err(Error::io("read", path, error)),
    };
    let (mut inside, mut found) = (false, false);
    for line in text.lines() {
        if let Some(name) = line
            .trim()
            .strip_prefix('[')
            .and_then(|line| line.split_once(']'))
        {
            inside = name.0.split_whitespace().eq(section.split_whitespace());
            found |= inside;
        } else if let (true, Some((key, value))) = (inside, line.split_once('=')) {
            profile.set(key, value.trim());
        }
    }
    Ok(found)
}

impl Profile {
    fn set(&mut self, key: &str, value: &str) {
        // A line that is indented belongs to a group of settings above it.
        let slot = match key.trim_end() {
            "aws_access_key_id" => &mut self.access_key_id,
            "aws_secret_access_key" => &mut self.secret_access_key,
            "aws_session_token" => &mut self.session_token,
            "region" => &mut self.region,
            _ => return,
        };
        slot.get_or_insert_with(|| value.to_owned());
    }
}

/// Gives the client the first credentials there are: those of the settings, of the variables, of the profile, of
/// a token file, of the container, of the machine.
pub(crate) fn add(
    builder: AmazonS3Builder,
    config: &AdapterConfig,
    settings: &S3Config,
    profile: Profile,
) -> Result<AmazonS3Builder> {
    let variable = |name| config.environment.get(name);
    let secret = settings.secret_access_key.as_ref();
    match (&settings.access_key_id, secret) {
        (Some(id), Some(secret)) if !id.is_empty() && !secret.reveal().is_empty() => {
            let token = settings.session_token.as_ref();
            return Ok(keys(
                builder,
                id,
                secret.reveal(),
                token.map(|token| token.reveal()),
            ));
        }
        (None, None) => {}
        _ => return Err(half(&config.section)),
    }
    // A profile that is named in the file is meant, whatever else the surroundings hold.
    if settings.profile.is_none()
        && let (Some(id), Some(secret)) = (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"))
    {
        return Ok(keys(
            builder,
            &id,
            &secret,
            variable("AWS_SESSION_TOKEN").as_deref(),
        ));
    }
    if let (Some(id), Some(secret)) = (&profile.access_key_id, &profile.secret_access_key) {
        return Ok(keys(builder, id, secret, profile.session_token.as_deref()));
    }
    if settings.profile.is_some() {
        return Err(Error::config(format!("the `profile` of `[{}]` has no key pair", config.section)).hint(
            "add `aws_access_key_id` and `aws_secret_access_key` to it: walkback follows no `role_arn` and no \
             single sign-on of a profile",
        ));
    }
    handed_out(builder, config)
}

fn keys(builder: AmazonS3Builder, id: &str, secret: &str, token: Option<&str>) -> AmazonS3Builder {
    let builder = builder.with_access_key_id(id).with_secret_access_key(secret);
    match token {
        Some(token) => builder.with_token(token),
        None => builder,
    }
}

fn half(section: &str) -> Error {
    Error::config(format!(
        "`[{section}]` needs both `access_key_id` and `secret_access_key`, or neither"
    ))
    .hint("take them from variables: `secret_access_key = \"${BACKUP_SECRET_KEY}\"`")
}

/// What the machine hands out: the object store's own client asks for it, and again before it runs out.
fn handed_out(mut builder: AmazonS3Builder, config: &AdapterConfig) -> Result<AmazonS3Builder> {
    let mut somebody_hands_out = false;
    for (name, key) in [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "aws_web_identity_token_file"),
        ("AWS_ROLE_ARN", "aws_role_arn"),
        ("AWS_ROLE_SESSION_NAME", "aws_role_session_name"),
        ("AWS_ENDPOINT_URL_STS", "aws_endpoint_url_sts"),
        (
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "aws_container_credentials_relative_uri",
        ),
        (
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "aws_container_credentials_full_uri",
        ),
        (
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            "aws_container_authorization_token_file",
        ),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "aws_metadata_endpoint"),
    ] {
        if let Some(value) = config.environment.get(name) {
            builder = builder.with_config(known(key)?, value);
            somebody_hands_out |= name.contains("TOKEN_FILE") || name.contains("_URI");
        }
    }
    let disabled = config.environment.get("AWS_EC2_METADATA_DISABLED");
    if !somebody_hands_out && disabled.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Err(
            Error::config(format!("there are no credentials for `[{}]`", config.section)).hint(HOW_TO_GIVE),
        );
    }
    Ok(builder)
}

/// What to do where there are no credentials.
pub(crate) const HOW_TO_GIVE: &str = "set `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or `AWS_PROFILE`; or \
                                      `access_key_id` and `secret_access_key` of the store, taken from variables";
