//! Where the procedures are followed: a project with several environments, whose backups go to two places.

use std::path::Path;
use std::process::{Command, Output as Finished};

use walkback_services::s3::{ACCESS_KEY, BUCKET, S3Server, SECRET_KEY};
use walkback_tests::{Backend, Output, Sandbox};

/// A project on one database, and the server of its bucket.
pub(crate) struct Project {
    pub(crate) sandbox: Sandbox,
    pub(crate) bucket: S3Server,
    /// What is above the environments.
    source: String,
}

impl Project {
    /// Creates one with migrations of this kind. Secrets are in `.env`, and no file that is checked in has one.
    pub(crate) fn new(backend: Backend, source: &str) -> Self {
        let project = Self {
            sandbox: Sandbox::on(backend, env!("CARGO_BIN_EXE_walkback-under-test")),
            bucket: S3Server::strict(),
            source: source.to_owned(),
        };
        project.sandbox.write(
            ".env",
            &format!(
                "SHOP_URL={}\nAWS_ACCESS_KEY_ID={ACCESS_KEY}\nAWS_SECRET_ACCESS_KEY={SECRET_KEY}\n",
                project.sandbox.url()
            ),
        );
        project.configure("");
        project
    }

    /// Writes the configuration, with more for production.
    pub(crate) fn configure(&self, production: &str) {
        let text = format!(
            "{}\n\n\
             [store.local]\nkind = \"fs\"\npath = \".walkback/vault\"\n\n\
             [store.offsite]\nkind = \"s3\"\nbucket = \"{BUCKET}\"\nprefix = \"shop\"\nendpoint = \"{}\"\nretries = 0\n\n\
             [env.ci]\nurl = \"${{SHOP_URL}}\"\nstores = [\"local\"]\nretention = \"7d\"\n\n\
             [env.dev]\nurl = \"${{SHOP_URL}}\"\nstores = [\"local\"]\nretention = \"30d\"\n\n\
             [env.production]\nurl = \"${{SHOP_URL}}\"\nstores = [\"local\", \"offsite\"]\nretention = \"90d\"\n{production}",
            self.source,
            self.bucket.endpoint()
        );
        self.sandbox.write("walkback.toml", &text);
    }

    /// Runs a command on production, which must succeed.
    pub(crate) fn production(&self, arguments: &[&str]) -> Output {
        let mut all = arguments.to_vec();
        all.extend(["-e", "production"]);
        self.sandbox.ok(&all)
    }

    /// Runs a command that is refused with this code, and whose message holds all of these.
    pub(crate) fn refused(&self, arguments: &[&str], code: i32, says: &[&str]) {
        let output = self.sandbox.run(arguments);
        assert_eq!(output.code, Some(code), "{}", output.transcript());
        for text in says {
            assert!(
                output.stderr.contains(text),
                "`{text}` is not said: {}",
                output.transcript()
            );
        }
    }

    /// Returns the ids of the points and backups that the bucket holds.
    pub(crate) fn in_bucket(&self) -> Vec<String> {
        let keys = self.bucket.bucket().keys();
        let points = keys.iter().filter_map(|key| key.strip_prefix("shop/points/"));
        points
            .map(|name| name.trim_end_matches(".json").to_owned())
            .collect()
    }
}

/// Runs the shared script of pipelines, as GitHub's action and GitLab's jobs do.
pub(crate) fn pipeline(sandbox: &Sandbox, command: &str, inputs: &[(&str, &str)]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../integrations/walkback-pipeline");
    let mut shell = Command::new("sh");
    shell.arg(script).arg(command).current_dir(sandbox.path("."));
    for (name, value) in sandbox.command(&[]).get_envs() {
        if value.is_none() {
            shell.env_remove(name);
        }
    }
    shell.env("WALKBACK", env!("CARGO_BIN_EXE_walkback-under-test"));
    shell.envs(inputs.iter().copied());
    let output = shell.output().expect("a shell starts");
    Output::new(&["walkback-pipeline", command], &output, &sandbox.path("."))
}

/// Runs a program of somebody else, which must succeed, and returns what it printed.
pub(crate) fn tool(command: &mut Command) -> String {
    let Finished {
        status,
        stdout,
        stderr,
    } = command.output().expect("it starts");
    let said = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{command:?}: {said}");
    String::from_utf8_lossy(&stdout).into_owned()
}
