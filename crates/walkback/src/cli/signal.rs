//! Ctrl-C, SIGTERM and a terminal that goes away (SIGHUP): the first asks the run to stop and be undone, the next ones are
//! told to wait.

use walkback_core::Cx;

use super::output::write_error;

const FIRST: &str = "\ninterrupted: stopping, and undoing what was begun\n";
const LATER: &str =
    "\nundoing is under way, please wait; if the program is killed now, run `walkback recover` afterwards\n";

/// Listens until the program ends. Must be called inside a runtime.
pub(crate) fn listen(cx: &Cx) -> std::io::Result<()> {
    let canceller = cx.canceller();
    let mut signals = Signals::new()?;
    tokio::spawn(async move {
        while signals.next().await.is_some() {
            write_error(if canceller.is_cancelled() { LATER } else { FIRST });
            canceller.cancel();
        }
    });
    Ok(())
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    /// None where whoever started us wants the program to outlive the terminal.
    hangup: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: match outlives_the_terminal() {
                true => None,
                false => Some(signal(SignalKind::hangup())?),
            },
        })
    }

    async fn next(&mut self) -> Option<()> {
        tokio::select! {
            heard = self.interrupt.recv() => heard,
            heard = self.terminate.recv() => heard,
            Some(heard) = heard(self.hangup.as_mut()) => Some(heard),
        }
    }
}

/// Waits for a signal that may not be listened for.
#[cfg(unix)]
async fn heard(signal: Option<&mut tokio::signal::unix::Signal>) -> Option<()> {
    signal?.recv().await
}

/// Returns whether SIGHUP is ignored by whoever started this program, as `nohup` does. To listen for it would end that.
///
/// Where nothing says so it is listened for: a run that is undone is put right more easily than one that was killed.
#[cfg(unix)]
fn outlives_the_terminal() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status))
}

/// Reads the mask of the ignored signals: the lowest bit is signal 1, which is SIGHUP.
#[cfg(unix)]
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 == 1)
}

#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) -> Option<()> {
        self.0.recv().await
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn whoever_ignores_a_hangup_is_found_in_the_mask() {
        let status =
            |mask: &str| format!("SigBlk:\t0000000000000001\nSigIgn:\t{mask}\nSigCgt:\t0000000000000001\n");
        assert!(ignores_hangup(&status("0000000000001001")));
        assert!(!ignores_hangup(&status("0000000000001000")));
        assert!(!ignores_hangup("Name:\twalkback\n"));
    }
}
