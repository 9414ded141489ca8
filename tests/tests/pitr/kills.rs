//! Killed at each durable step of the way back to a moment.

use walkback_tests::Backend;

use super::{NOTES, application, moment, project};

/// More steps than the way has.
const STEPS: u64 = 120;

pub(super) fn killed_at_any_step_the_database_is_as_it_was_or_as_it_is(backend: Backend) {
    let (sandbox, _) = project(backend, NOTES);
    let mut session = application(&sandbox);
    session.sql("INSERT INTO note VALUES (3, 'three')");
    session.sql("ALTER TABLE tag ADD COLUMN more INTEGER");
    let then = sandbox.contents();
    let at = moment(&sandbox);
    session.sql("DELETE FROM note");
    let now = sandbox.contents();
    let mut kills = 0;
    for step in 1..=STEPS {
        if sandbox
            .killed_at(step, &["restore", "--to-time", &at, "-y"])
            .is_none()
        {
            break;
        }
        kills += 1;
        let recover = sandbox.run(&["recover", "-y"]);
        assert_eq!(recover.code, Some(0), "step {step}: {}", recover.transcript());
        let found = sandbox.contents();
        assert!(
            found == then || found == now,
            "killed at step {step}: it is as it was then but for {}, and as it is now but for {}",
            found.difference(&then),
            found.difference(&now)
        );
        if found == then {
            // Once more, from what went wrong.
            session.sql("DELETE FROM note");
            sandbox.assert_contents(&now, "gone wrong once more");
        }
    }
    assert!((6..STEPS).contains(&kills), "{kills} kills");
    sandbox.assert_contents(&then, "at the end");
    sandbox.assert_sound();
}
