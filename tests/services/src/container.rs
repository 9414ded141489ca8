//! Servers in containers, by testcontainers.

use std::net::TcpListener;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use testcontainers::bollard::models::{HostConfig, PortBinding};
use testcontainers::core::{IntoContainerPort as _, WaitFor};
use testcontainers::runners::AsyncRunner as _;
use testcontainers::{ContainerRequest, CopyTargetOptions, GenericImage, ImageExt as _, ReuseDirective};

use crate::client::{self, in_runtime};
use crate::home::home;
use crate::local;
use crate::server::{Lifetime, Started};
use crate::service::{Family, Service};
use crate::stopper::{Guard, Stopper};
use crate::tls::{Certificates, certificates};

/// How long a server may take to answer after its start, the first start of its data included.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long the start of a container may take, the pull of its image included.
const PULL: Duration = Duration::from_secs(300);

/// What runs instead of the server of PostgreSQL, which refuses a key that others may read.
const POSTGRES: &str = r#"
chown postgres /walkback/server.key && chmod 600 /walkback/server.key &&
exec docker-entrypoint.sh postgres "$@"
"#;

/// Starts a server in a container.
pub(crate) fn start(service: Service, lifetime: Lifetime) -> Result<Started> {
    if std::process::Command::new("docker")
        .arg("--version")
        .output()
        .is_err()
    {
        // A container that nobody can remove is not started.
        bail!("there is no `docker` command");
    }
    let password = local::password();
    let certificates = certificates()?;
    let (id, port) = in_runtime(run(service, &password, &certificates))?;
    let certificate = authority_file(&id, &certificates)?;
    let stopper = Stopper::Container {
        id: id.clone(),
        certificate: certificate.clone(),
    };
    let guard = match lifetime {
        Lifetime::Process => Some(Guard::of_container(&id, &certificate)?),
        Lifetime::Stopped => None,
    };
    let url = service.root_url(&password, port);
    let begin = Instant::now();
    while let Err(error) = client::version(service, &url) {
        if !stopper.is_running()? || begin.elapsed() > PATIENCE {
            stopper.stop()?;
            return Err(error.context(format!("the container of `{}` does not answer", image(service))));
        }
        thread::sleep(Duration::from_millis(200));
    }
    Ok(Started {
        url,
        how: format!("container {}", image(service)),
        ca: Some(certificate),
        stopper: guard.is_none().then_some(stopper),
        guard,
    })
}

fn image(service: Service) -> String {
    let (name, tag) = service.image();
    format!("{name}:{tag}")
}

/// Runs the container and returns its id, and the port of this machine that leads to it.
async fn run(service: Service, password: &str, certificates: &Certificates) -> Result<(String, u16)> {
    let request = request(service, password, certificates);
    let container = tokio::time::timeout(PULL, request.start())
        .await
        .with_context(|| format!("no container within {} s", PULL.as_secs()))?
        .with_context(|| format!("cannot run `{}`", image(service)))?;
    let port = container
        .get_host_port_ipv4(service.port().tcp())
        .await
        .context("the container has no port")?;
    Ok((container.id().to_owned(), port))
}

fn request(service: Service, password: &str, certificates: &Certificates) -> ContainerRequest<GenericImage> {
    let (name, tag) = service.image();
    let port = service.port();
    let free = free_port();
    let request = GenericImage::new(name, tag)
        .with_exposed_port(port.tcp())
        // What an image logs, and where, is its own affair: we ask the server.
        .with_wait_for(WaitFor::Nothing)
        .with_container_name(format!(
            "walkback-{}-{:08x}",
            service.name(),
            rand::random::<u32>()
        ))
        // Its end is our affair: testcontainers would forget it in a process that exits.
        .with_reuse(ReuseDirective::Always)
        .with_startup_timeout(PULL)
        .with_host_config_modifier(move |config| on_loopback(config, port, free))
        .with_copy_to(readable("ca.pem"), certificates.authority.clone().into_bytes())
        .with_copy_to(
            readable("server.crt"),
            certificates.certificate.clone().into_bytes(),
        )
        .with_copy_to(readable("server.key"), certificates.key.clone().into_bytes());
    match service.family() {
        Family::Postgres => {
            let mut command = vec![
                "sh".to_owned(),
                "-c".to_owned(),
                POSTGRES.to_owned(),
                "sh".to_owned(),
            ];
            let files = [
                ("ssl_cert_file", "/walkback/server.crt"),
                ("ssl_key_file", "/walkback/server.key"),
            ];
            for (name, value) in local::POSTGRES_SETTINGS.into_iter().chain(files) {
                command.extend(["-c".to_owned(), format!("{name}={value}")]);
            }
            request
                .with_env_var("POSTGRES_PASSWORD", password)
                .with_cmd(command)
        }
        Family::Mysql => {
            let files = [
                "--ssl-ca=/walkback/ca.pem",
                "--ssl-cert=/walkback/server.crt",
                "--ssl-key=/walkback/server.key",
            ];
            let variable = match service {
                Service::Mariadb => "MARIADB_ROOT_PASSWORD",
                _ => "MYSQL_ROOT_PASSWORD",
            };
            request
                .with_env_var(variable, password)
                .with_cmd(local::MYSQL_SETTINGS.into_iter().chain(files))
        }
    }
}

/// Lets only this machine in; the default is everybody who reaches it. With a port of our choice it is the same
/// when the container is started again.
fn on_loopback(config: &mut HostConfig, port: u16, ours: Option<u16>) {
    let binding = PortBinding {
        host_ip: Some("127.0.0.1".to_owned()),
        host_port: ours.map(|port| port.to_string()),
    };
    config.publish_all_ports = Some(false);
    config.port_bindings = Some([(format!("{port}/tcp"), Some(vec![binding]))].into());
}

/// Returns a port that nobody listens on.
fn free_port() -> Option<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").ok()?;
    Some(listener.local_addr().ok()?.port())
}

fn readable(name: &str) -> CopyTargetOptions {
    CopyTargetOptions::new(format!("/walkback/{name}")).with_mode(0o644)
}

/// Writes the certificate that clients are to trust.
fn authority_file(id: &str, certificates: &Certificates) -> Result<PathBuf> {
    let folder = home().join("certificates");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    let file = folder.join(format!("{id}.pem"));
    std::fs::write(&file, &certificates.authority)
        .with_context(|| format!("cannot write `{}`", file.display()))?;
    Ok(file)
}
