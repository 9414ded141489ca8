//! What hooks work on: a project with hooks, a log of what they did, and an application that answers over HTTP.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use walkback_tests::{Backend, Sandbox};

/// A project whose environment has these hooks, and a table of customers.
pub(crate) fn project(backend: Backend, hooks: &str) -> Sandbox {
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.migration(
        "001_begin",
        "CREATE TABLE customers (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(40) NOT NULL, tier INTEGER);\n\
         INSERT INTO customers VALUES (1, 'ann', 1), (2, 'bob', 1), (3, 'cid', 2);",
        "DROP TABLE customers;",
    );
    sandbox.ok(&["up", "-y"]);
    add_hooks(&sandbox, hooks);
    sandbox
}

/// Adds hooks to the environment of a project.
pub(crate) fn add_hooks(sandbox: &Sandbox, hooks: &str) {
    let before = std::fs::read_to_string(sandbox.path("walkback.toml")).expect("there is a configuration");
    let before = before.split("\n[env.dev.hooks]").next().unwrap_or_default();
    sandbox.write("walkback.toml", &format!("{before}\n[env.dev.hooks]\n{hooks}\n"));
}

/// What the hooks have written into the log, a line each.
pub(crate) fn log(sandbox: &Sandbox) -> Vec<String> {
    let text = std::fs::read_to_string(sandbox.path("log")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Returns how the outcomes of all hooks of the newest run of a kind are in the journal: `before_up done`.
pub(crate) fn recorded(sandbox: &Sandbox, kind: &str) -> Vec<String> {
    let audit = sandbox.ok(&["audit", "--json"]).json();
    let runs = audit["runs"].as_array().expect("runs");
    let run = runs
        .iter()
        .find(|run| run["kind"] == kind)
        .expect("a run of that kind");
    let hooks = run["hooks"].as_array().cloned().unwrap_or_default();
    let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    hooks
        .iter()
        .map(|hook| format!("{} {}", word(&hook["hook"]), word(&hook["outcome"])))
        .collect()
}

/// An application that says over HTTP whether it is well.
pub(crate) struct Application {
    address: SocketAddr,
    is_well: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl Application {
    /// Starts one that answers until the test ends.
    pub(crate) fn start(is_well: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let application = Self {
            address: listener.local_addr().expect("it has an address"),
            is_well: Arc::new(AtomicBool::new(is_well)),
            asked: Arc::new(AtomicUsize::new(0)),
        };
        let (is_well, asked) = (Arc::clone(&application.is_well), Arc::clone(&application.asked));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut request = [0_u8; 2048];
                stream.read(&mut request).ok();
                asked.fetch_add(1, Ordering::SeqCst);
                let (status, text) = match is_well.load(Ordering::SeqCst) {
                    true => ("200 OK", "all is well"),
                    false => ("503 Service Unavailable", "no table `orders`"),
                };
                let length = text.len();
                stream
                    .write_all(
                        format!(
                            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
                        )
                        .as_bytes(),
                    )
                    .ok();
            }
        });
        application
    }

    /// The key of the configuration that asks it.
    pub(crate) fn check(&self) -> String {
        format!(
            "health_check = {{ http = \"http://{}/health\", retries = 2, interval = \"50ms\", timeout = \"2s\" }}",
            self.address
        )
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    pub(crate) fn becomes(&self, is_well: bool) {
        self.is_well.store(is_well, Ordering::SeqCst);
    }
}
