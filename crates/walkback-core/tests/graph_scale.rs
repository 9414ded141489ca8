//! Ten thousand migrations, and a line that is ten times as long. How the time grows is measured by
//! `cargo xtask bench graph`.

#![expect(clippy::print_stderr, reason = "the figures are what these tests are for")]

mod graphs;

use graphs::{fans, line, work};

#[test]
fn ten_thousand_migrations_are_built_and_planned() {
    for (shape, make) in [("line", line as fn(usize) -> _), ("fans", fans)] {
        let took = work(make(10_000));
        eprintln!("10,000 migrations ({shape}): built, resolved and planned in {took:?}");
    }
}

/// A walk that recursed would overflow this stack; so would dropping a linked list.
#[test]
fn a_long_line_needs_no_stack() {
    std::thread::Builder::new()
        .stack_size(64 << 10)
        .spawn(|| work(line(100_000)))
        .unwrap()
        .join()
        .unwrap();
}
