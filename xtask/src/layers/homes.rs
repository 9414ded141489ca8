//! Calls that have one home: the environment, the terminal, the clock, the end of the process.

use super::Violation;
use super::workspace::Member;
use crate::code;

/// Something that only some places may do.
struct Ban {
    words: &'static [&'static str],
    /// Paths, from the root, below which it is allowed.
    homes: &'static [&'static str],
    instead: &'static str,
}

/// The command line, the harnesses, the measurements and the project's own tool. They talk to the terminal and the system.
const OUTSIDE_THE_LIBRARY: &[&str] = &[
    "crates/walkback/",
    "crates/walkback-conformance/",
    "crates/walkback-core/examples/",
    "tests/",
    "xtask/",
];

const BANS: &[Ban] = &[
    Ban {
        words: &[
            "std::env",
            "env::var",
            "env::vars",
            "env::args",
            "env::current_dir",
            "env::set_var",
        ],
        homes: OUTSIDE_THE_LIBRARY,
        instead: "take the value as a setting or an argument: the library never reads the environment",
    },
    Ban {
        words: &[
            "println!",
            "print!",
            "eprintln!",
            "eprint!",
            "io::stdout",
            "io::stderr",
            "io::stdin",
        ],
        homes: OUTSIDE_THE_LIBRARY,
        instead: "report through `Cx::progress` or return it: the library never prints",
    },
    Ban {
        words: &["process::exit", "process::abort"],
        homes: OUTSIDE_THE_LIBRARY,
        instead: "return an error: only the command line decides how the process ends",
    },
    Ban {
        words: &["SystemTime::now", "Utc::now", "Local::now"],
        homes: &["crates/walkback-core/src/cx.rs", "xtask/", "tests/"],
        instead: "ask `Cx::now`, so that a test can set the clock",
    },
];

/// A call that may stand outside of its home.
pub(crate) struct Exception {
    pub(crate) path: &'static str,
    pub(crate) word: &'static str,
    pub(crate) reason: &'static str,
}

pub(crate) const EXCEPTIONS: &[Exception] = &[Exception {
    path: "adapters/store-fs/src/disk.rs",
    word: "SystemTime::now",
    reason: "part of a name that no other process uses; nothing is decided by it",
}];

/// Checks the source of every crate. Unit tests and files under `tests/` may do all of it.
pub(crate) fn check(members: &[Member], exceptions: &[Exception]) -> Vec<Violation> {
    let mut out = found(members);
    for exception in exceptions {
        let concerns = |violation: &Violation| {
            violation.at.starts_with(&format!("{}:", exception.path))
                && violation.what.starts_with(&format!("`{}`", exception.word))
        };
        let before = out.len();
        out.retain(|violation| !concerns(violation));
        if out.len() == before {
            out.push(Violation::new(
                "xtask/src/layers/homes.rs",
                format!(
                    "`{}` in `{}` is excepted ({}), and is not there",
                    exception.word, exception.path, exception.reason
                ),
                "remove the exception",
            ));
        }
    }
    out
}

fn found(members: &[Member]) -> Vec<Violation> {
    let mut out = Vec::new();
    for member in members {
        let sources = member.files.iter().filter(|(file, _)| {
            file.ends_with(".rs") && !file.starts_with("tests/") && !is_test_module(file)
        });
        for (file, text) in sources {
            let source = code::without_tests(&code::without_comments_and_texts(text));
            check_file(&member.path(file), &source, &mut out);
        }
    }
    out
}

/// A file of unit tests that stands beside its module.
fn is_test_module(file: &str) -> bool {
    file.ends_with("/tests.rs") || file.contains("/tests/")
}

fn check_file(path: &str, source: &str, out: &mut Vec<Violation>) {
    // Where temporary files go is asked wherever one is made, by the library that makes it as well.
    let source = &source
        .replace("std::env::temp_dir", "")
        .replace("env::temp_dir", "");
    for ban in BANS
        .iter()
        .filter(|ban| !ban.homes.iter().any(|home| path.starts_with(home)))
    {
        let mut seen = Vec::new();
        for word in ban.words {
            for line in code::lines_with(source, word) {
                // `std::env::var` holds two of the words and is one call.
                if seen.contains(&line) {
                    continue;
                }
                seen.push(line);
                out.push(Violation::new(
                    &format!("{path}:{line}"),
                    format!("`{word}` has its home elsewhere"),
                    ban.instead,
                ));
            }
        }
    }
}
