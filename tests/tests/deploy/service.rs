//! What hooks work on: a project with hooks, a log of what they did, and an application that answers over HTTP.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use walkback_tests::{Backend, Sandbox, Session};

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

/// An application that says over HTTP whether it is well: it is not while there is a file `sick` in the sandbox.
pub(crate) struct Application {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Application {
    /// Starts one that answers until the test ends, and runs these statements when it is first asked.
    pub(crate) fn start(sandbox: &Sandbox, writes: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let application = Self {
            address: listener.local_addr().expect("it has an address"),
            asked: Arc::new(AtomicUsize::new(0)),
        };
        let asked = Arc::clone(&application.asked);
        let (sick, file) = (sandbox.path("sick"), sandbox.path("app.db"));
        let (backend, url) = (sandbox.backend(), sandbox.url());
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let head = BufReader::new(&stream).lines();
                let head = head.map_while(Result::ok).take_while(|line| !line.is_empty());
                assert!(head.count() > 0, "nothing was asked");
                if asked.fetch_add(1, Ordering::SeqCst) == 0 && !writes.is_empty() {
                    let mut session = match backend {
                        Backend::Sqlite => Session::open_file(&file),
                        _ => Session::open(backend, &url),
                    };
                    writes.iter().for_each(|sql| session.sql(sql));
                }
                let (status, text) = match sick.exists() {
                    false => ("200 OK", "all is well"),
                    true => ("503 Service Unavailable", "no table `orders`"),
                };
                let length = text.len();
                let head =
                    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
                stream.write_all(format!("{head}{text}").as_bytes()).ok();
            }
        });
        application
    }

    /// The key of the configuration that asks it.
    pub(crate) fn check(&self) -> String {
        format!(
            "health_check = {{ http = \"http://{}/health\", retries = 2, interval = \"50ms\", timeout = \"5s\" }}",
            self.address
        )
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// Hooks with a service that is a real process, and a release that can be brought back.
pub(crate) const SERVICES: &str = r#"
before_deploy = ["echo deploy $WALKBACK_ENV >> log"]
after_deploy = ["echo after $WALKBACK_OUTCOME >> log"]
stop_services = ["echo stop >> log; test ! -f pid || kill $(cat pid); rm -f pid"]
start_services = ["echo start >> log; sleep 600 & echo $! > pid"]
rollback_code = ["echo code back at $WALKBACK_OUTCOME >> log; rm -f sick"]
"#;

/// A command that waits until it is answered.
pub(crate) const ASKING: &str = "touch asking; while ! test -f answered; do sleep 0.05; done";

/// Runs a statement as an application would once [`ASKING`] asks, and answers.
pub(crate) fn when_asked(sandbox: &Sandbox, sql: &'static str) -> JoinHandle<()> {
    let (asking, answered) = (sandbox.path("asking"), sandbox.path("answered"));
    let (backend, url, file) = (sandbox.backend(), sandbox.url(), sandbox.path("app.db"));
    std::thread::spawn(move || {
        while !asking.exists() {
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut session = match backend {
            Backend::Sqlite => Session::open_file(&file),
            _ => Session::open(backend, &url),
        };
        session.sql(sql);
        std::fs::write(answered, "").expect("it can be written");
    })
}

/// Waits until a hook has made a file.
pub(crate) fn wait_for(sandbox: &Sandbox, file: &str) {
    let began = Instant::now();
    while !sandbox.path(file).exists() {
        assert!(began.elapsed() < Duration::from_secs(60), "`{file}` never came");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Two migrations that are pending: one of rows, one of a column.
pub(crate) fn pending(sandbox: &Sandbox) {
    sandbox.migration(
        "002_tier",
        "UPDATE customers SET tier = 7 WHERE id IN (1, 2);",
        "",
    );
    sandbox.migration(
        "003_note",
        "ALTER TABLE customers ADD COLUMN note VARCHAR(40);",
        "ALTER TABLE customers DROP COLUMN note;",
    );
}

/// Whether the service that the hooks have started is there.
pub(crate) fn is_running(sandbox: &Sandbox) -> bool {
    let pid = std::fs::read_to_string(sandbox.path("pid")).unwrap_or_default();
    let pid = pid.trim().parse().ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
}
