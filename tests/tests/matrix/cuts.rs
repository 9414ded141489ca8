//! The connection to the server is cut in the middle of a run: before a request gets there, or before its answer is back.

use rand::Rng as _;
use walkback_tests::{Backend, Cut, Output, Proxy, Sandbox, report};

use crate::kinds::{self, Kind, Seen};
use crate::{everywhere, settle, table};

/// What is cut.
pub(crate) const CUT: &[(&str, &Kind)] = &[
    ("`up`, connection cut", &kinds::UP),
    ("`up` outside a transaction, connection cut", &kinds::LOOSE_UP),
    ("`down`, connection cut", &kinds::DOWN),
    ("`rollback --type surgical`, connection cut", &kinds::SURGICAL),
    ("`rollback --type full`, connection cut", &kinds::FULL),
    ("`restore`, connection cut", &kinds::RESTORE),
];

/// How often each kind is cut.
fn cuts() -> usize {
    if everywhere() { 12 } else { 2 }
}

pub(crate) fn a_connection_that_is_cut_is_as_a_kill(backend: Backend) {
    for &(name, kind) in CUT {
        let twin = (kind.setup)(backend);
        let before = Seen::of(&twin);
        let (output, proxy) = through(&twin, kind, None);
        assert_eq!(output.code, Some(0), "{}", output.transcript());
        let requests = proxy.requests();
        drop(proxy);
        let after = Seen::of(&twin);
        for round in 0..cuts() {
            let cut = Cut {
                request: rand::rng().random_range(1..=requests),
                after_answer: round % 2 == 0,
                all: rand::rng().random(),
            };
            let sandbox = (kind.setup)(backend);
            let (output, proxy) = through(&sandbox, kind, Some(cut));
            if !proxy.has_cut() {
                report(&format!(
                    "{name} on {backend}: request {} was not made",
                    cut.request
                ));
                continue;
            }
            drop(proxy);
            table::killed(name, backend);
            settle(&sandbox, kind, (&before, &after), &output, &format!("{cut:?}"));
            table::recovered(name, backend);
        }
    }
}

/// Runs the command through a proxy.
fn through(sandbox: &Sandbox, kind: &Kind, cut: Option<Cut>) -> (Output, Proxy) {
    let command = kind.command(sandbox);
    let config = std::fs::read_to_string(sandbox.path("walkback.toml")).expect("it was written");
    let port = port_in(&sandbox.url());
    let proxy = Proxy::before(port, cut);
    let behind = config.replace(&format!(":{port}/"), &format!(":{}/", proxy.port()));
    assert_ne!(config, behind, "the URL names the port");
    sandbox.write("walkback.toml", &behind);
    let output = sandbox.run(&command);
    sandbox.write("walkback.toml", &config);
    (output, proxy)
}

fn port_in(url: &str) -> u16 {
    let (_, host) = url.rsplit_once('@').expect("a user");
    let (host, _) = host.split_once('/').expect("a database");
    let (_, port) = host.rsplit_once(':').expect("a port");
    port.parse().expect("a number")
}
