//! Bars on stderr for what takes longer than a second, if a terminal is there.

use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use walkback_core::cx::{Progress, Task, Unit};

use super::output::write_error;
use super::render::style;

/// What is over sooner is not worth a bar.
const PATIENCE: Duration = Duration::from_secs(1);

/// Notes and warnings as lines; no bars.
#[derive(Debug)]
pub(crate) struct Lines {
    pub(crate) quiet: bool,
}

impl Progress for Lines {
    fn begin(&self, _: &str, _: Unit, _: Option<u64>) -> Box<dyn Task> {
        Box::new(NoTask)
    }

    fn note(&self, text: &str) {
        if !self.quiet {
            write_error(&format!("{text}\n"));
        }
    }

    fn warn(&self, text: &str) {
        write_error(&format!("{}: {text}\n", style::warning("warning")));
    }
}

#[derive(Debug)]
struct NoTask;

impl Task for NoTask {
    fn advance(&self, _: u64) {}
}

/// Bars, with notes and warnings above them.
#[derive(Debug)]
pub(crate) struct Bars {
    bars: MultiProgress,
    waiting: Arc<Mutex<Vec<Waiting>>>,
}

/// A task that is not shown yet.
#[derive(Debug)]
struct Waiting {
    since: Instant,
    bar: Weak<ProgressBar>,
}

impl Bars {
    pub(crate) fn new() -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let waiting = Arc::new(Mutex::new(Vec::new()));
        // Shows what has waited long enough; ends when the bars are gone.
        let (shown, watched) = (bars.clone(), Arc::downgrade(&waiting));
        std::thread::spawn(move || {
            while let Some(waiting) = watched.upgrade() {
                show_the_patient(&shown, &waiting);
                drop(waiting);
                std::thread::sleep(PATIENCE / 4);
            }
        });
        Self { bars, waiting }
    }

    fn line(&self, text: &str) {
        self.bars.suspend(|| write_error(&format!("{text}\n")));
    }
}

fn show_the_patient(bars: &MultiProgress, waiting: &Mutex<Vec<Waiting>>) {
    let Ok(mut waiting) = waiting.lock() else { return };
    waiting.retain(|task| {
        let Some(bar) = task.bar.upgrade() else {
            return false;
        };
        if task.since.elapsed() < PATIENCE {
            return true;
        }
        bars.add((*bar).clone());
        bar.enable_steady_tick(Duration::from_millis(200));
        false
    });
}

impl Progress for Bars {
    fn begin(&self, title: &str, unit: Unit, total: Option<u64>) -> Box<dyn Task> {
        let bar = Arc::new(ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden()));
        bar.set_style(style_of(unit, total.is_some()));
        bar.set_message(title.to_owned());
        if let Ok(mut waiting) = self.waiting.lock() {
            waiting.push(Waiting {
                since: Instant::now(),
                bar: Arc::downgrade(&bar),
            });
        }
        Box::new(BarTask(bar))
    }

    fn note(&self, text: &str) {
        self.line(text);
    }

    fn warn(&self, text: &str) {
        self.line(&format!("{}: {text}", style::warning("warning")));
    }
}

#[derive(Debug)]
struct BarTask(Arc<ProgressBar>);

impl Task for BarTask {
    fn advance(&self, amount: u64) {
        self.0.inc(amount);
    }
}

impl Drop for BarTask {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn style_of(unit: Unit, known: bool) -> ProgressStyle {
    let template = match (unit, known) {
        (Unit::Bytes, true) => "{msg} [{bar:30}] {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left",
        (Unit::Bytes, false) => "{msg} {spinner} {bytes}, {bytes_per_sec}",
        (Unit::Rows, true) => "{msg} [{bar:30}] {human_pos}/{human_len} rows, {per_sec}, {eta} left",
        (Unit::Rows, false) => "{msg} {spinner} {human_pos} rows, {per_sec}",
        (Unit::Items, true) => "{msg} [{bar:30}] {pos}/{len}",
        (Unit::Items, false) => "{msg} {spinner} {elapsed}",
    };
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
        .tick_chars("|/-\\ ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_has_a_template_that_can_be_read() {
        let bars = Bars::new();
        for unit in [Unit::Bytes, Unit::Rows, Unit::Items] {
            for total in [None, Some(0), Some(10)] {
                let task = bars.begin("reading", unit, total);
                task.advance(3);
            }
        }
        bars.waiting
            .lock()
            .unwrap()
            .retain(|task| task.bar.upgrade().is_some());
        assert_eq!(
            bars.waiting.lock().unwrap().len(),
            0,
            "a task that has ended is still waiting"
        );
    }
}
