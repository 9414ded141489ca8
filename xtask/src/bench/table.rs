//! The table that a person reads.

use super::Outcome;

/// Prints the outcomes, a block for each engine and task.
pub(crate) fn print(outcomes: &[Outcome]) {
    let mut before = None;
    for outcome in outcomes {
        let block = (&outcome.engine, outcome.what);
        if before != Some(block) {
            println!(
                "\n{:<34} {:>9} {:>7} {:>9} {:>9} {:>10}",
                format!("{} {}", outcome.engine, outcome.what),
                "seconds",
                "ratio",
                "cpu s",
                "peak MiB",
                "stored MB"
            );
            before = Some(block);
        }
        println!(
            "{:<34} {:>9.2} {:>7.2} {:>9.2} {:>9} {:>10.1}",
            outcome.case,
            outcome.median.seconds,
            outcome.ratio,
            outcome.median.cpu_seconds,
            outcome.median.peak_bytes >> 20,
            megabytes(outcome.median.stored_bytes)
        );
    }
    println!("\nratio: how many times as long as walkback it took; more than 1 is slower than walkback");
}

#[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
