//! How the time to build, resolve and plan a graph grows with the number of its migrations: with the number, and not
//! with its square. `cargo xtask bench graph` runs it.

#[path = "../tests/graphs/mod.rs"]
mod graphs;

use std::io::Write as _;

use graphs::{fans, line, work};

fn main() -> std::io::Result<()> {
    for (shape, make) in [("line", line as fn(usize) -> _), ("fans", fans)] {
        let best = |count| (0..3).map(|_| work(make(count))).min().unwrap();
        let (small, large) = (best(20_000), best(200_000));
        let ratio = large.as_secs_f64() / small.as_secs_f64();
        writeln!(
            std::io::stdout(),
            "{shape}: 20,000 in {small:?}, 200,000 in {large:?}, ratio {ratio:.1}"
        )?;
        // Linear is a factor of 10, which growing out of the caches makes up to 35; quadratic would be 100.
        assert!(
            ratio < 60.0,
            "{shape}: ten times the migrations took {ratio:.1} times as long"
        );
    }
    Ok(())
}
