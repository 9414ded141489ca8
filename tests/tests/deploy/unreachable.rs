//! The connection to the database is lost in the middle of a deployment: services are started all the same.

use std::thread::{self, JoinHandle};
use std::time::Duration;

use walkback_tests::{Backend, Proxy, Sandbox};

use crate::forward::stop;
use crate::service::{ASKING, SERVICES, is_running, log, pending, project};

/// Lets walkback, and nobody else, go through a proxy.
fn behind_a_proxy(sandbox: &Sandbox) -> Proxy {
    let url = sandbox.url();
    let host = url.rsplit_once('@').expect("a user").1;
    let host = host.split_once('/').expect("a database").0;
    let port: u16 = host
        .rsplit_once(':')
        .expect("a port")
        .1
        .parse()
        .expect("a number");
    let config = std::fs::read_to_string(sandbox.path("walkback.toml")).expect("it was written");
    let proxy = Proxy::before(port, None);
    let behind = config.replace(&format!(":{port}/"), &format!(":{}/", proxy.port()));
    assert_ne!(config, behind, "the URL names the port");
    sandbox.write("walkback.toml", &behind);
    proxy
}

/// Does something to the proxy once a hook asks, and lets the hook go on.
fn once_asked(
    sandbox: &Sandbox,
    proxy: Proxy,
    then: impl FnOnce(Proxy) -> Option<Proxy> + Send + 'static,
) -> JoinHandle<Option<Proxy>> {
    let (asking, answered) = (sandbox.path("asking"), sandbox.path("answered"));
    thread::spawn(move || {
        while !asking.exists() {
            thread::sleep(Duration::from_millis(20));
        }
        let proxy = then(proxy);
        std::fs::write(answered, "").expect("it can be written");
        proxy
    })
}

fn sick() -> String {
    format!("health_check = {{ command = \"{ASKING}; exit 1\", retries = 0, timeout = \"60s\" }}")
}

pub(crate) fn cut_off_for_a_moment_a_deployment_goes_back(backend: Backend) {
    let sandbox = project(backend, &format!("{SERVICES}\n{}", sick()));
    pending(&sandbox);
    let before = sandbox.contents();
    let proxy = behind_a_proxy(&sandbox);
    let cutter = once_asked(&sandbox, proxy, |proxy| {
        proxy.cut_all();
        Some(proxy)
    });
    let failed = sandbox.run(&["deploy", "dev", "-y"]);
    assert_eq!(failed.code, Some(1), "{}", failed.transcript());
    assert!(
        failed.stderr.contains("the database is as it was"),
        "{}",
        failed.transcript()
    );
    sandbox.assert_contents(&before, "it was taken back");
    assert!(is_running(&sandbox), "the service is not there");
    let proxy = cutter.join().expect("it cut");
    assert!(sandbox.status()["unfinished"].is_null());
    drop(proxy);
    stop(&sandbox);
}

pub(crate) fn without_its_database_a_deployment_starts_services(backend: Backend) {
    let sandbox = project(backend, &format!("{SERVICES}\n{}", sick()));
    pending(&sandbox);
    let config = std::fs::read_to_string(sandbox.path("walkback.toml")).expect("it was written");
    let proxy = behind_a_proxy(&sandbox);
    let cutter = once_asked(&sandbox, proxy, |proxy| {
        drop(proxy);
        None
    });
    let failed = sandbox.run(&["deploy", "dev", "-y"]);
    cutter.join().expect("it cut");
    assert_eq!(failed.code, Some(4), "{}", failed.transcript());
    for said in [
        "failed at `health_check`",
        "could not be walked back",
        "services run with what was applied",
        "cannot be noted in the journal",
    ] {
        assert!(failed.stderr.contains(said), "{said}: {}", failed.transcript());
    }
    assert_eq!(
        log(&sandbox),
        [
            "deploy dev",
            "stop",
            "start",
            "stop",
            "start",
            "after needs_recovery"
        ],
        "{}",
        failed.transcript()
    );
    assert!(is_running(&sandbox), "the service is not there");
    // Once it answers again the deployment is found, and can be walked back.
    sandbox.write("walkback.toml", &config.replace("exit 1", "exit 0"));
    assert_eq!(sandbox.status()["unfinished"]["kind"], "deploy");
    sandbox.ok(&["recover", "-y"]);
    sandbox.ok(&["rollback", "-y"]);
    assert_eq!(sandbox.status()["pending"].as_array().map(Vec::len), Some(2));
    stop(&sandbox);
}

pub(crate) fn services_that_do_not_start_without_a_database_are_named(backend: Backend) {
    let hooks = SERVICES.replace("start_services = [", "start_services = [\"test ! -f answered\", ");
    let sandbox = project(backend, &format!("{hooks}\n{}", sick()));
    pending(&sandbox);
    let proxy = behind_a_proxy(&sandbox);
    let cutter = once_asked(&sandbox, proxy, |proxy| {
        drop(proxy);
        None
    });
    let failed = sandbox.run(&["deploy", "dev", "-y"]);
    cutter.join().expect("it cut");
    assert_eq!(failed.code, Some(4), "{}", failed.transcript());
    assert!(
        failed.stderr.contains("services were not started")
            && failed.stderr.contains("`test ! -f answered`")
            && !failed.stderr.contains("services run"),
        "{}",
        failed.transcript()
    );
    stop(&sandbox);
}
