//! Outcomes of `verify` as JUnit writes them, for what shows the tests of a CI run.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use walkback_core::{Error, Result};
use walkback_runner::VerifyOutcome;

/// Returns the file: a test suite of the environment, a test case for each migration. `text` says what was seen.
pub(crate) fn report(
    environment: &str,
    outcomes: &[VerifyOutcome],
    text: impl Fn(&VerifyOutcome) -> String,
) -> Result<String> {
    let mut suite = TestSuite::new(environment);
    for outcome in outcomes {
        let said = text(outcome);
        let status = if outcome.passed {
            TestCaseStatus::success()
        } else {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status
                .set_type(outcome.verdict.word())
                .set_message(outcome.error.as_deref().unwrap_or(outcome.verdict.word()))
                .set_description(said.clone());
            status
        };
        let mut case = TestCase::new(&*outcome.name, status);
        case.set_classname("walkback verify").set_system_out(said);
        suite.add_test_case(case);
    }
    let mut report = Report::new("walkback verify");
    report.add_test_suite(suite);
    report
        .to_string()
        .map_err(|error| Error::internal("a report cannot be written as JUnit").with_source(error))
}
