//! Outcomes of checks as JUnit writes them, for what shows the tests of a CI run.

use std::path::Path;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use walkback_core::{Error, Result};

/// What was seen of one migration.
pub(crate) struct Case<'c> {
    /// Its name.
    pub(crate) name: &'c str,
    /// The sort of failure and a line about it, if it has not passed.
    pub(crate) failure: Option<(&'c str, String)>,
    /// All that was said of it.
    pub(crate) said: String,
}

/// Writes the file: a test suite of the environment, a test case for each migration. Colours are left out.
pub(crate) fn write(file: &Path, program: &str, environment: &str, cases: Vec<Case<'_>>) -> Result<()> {
    let report = report(program, environment, cases)?;
    std::fs::write(file, report).map_err(|error| Error::io("write", file, error))
}

fn report(program: &str, environment: &str, cases: Vec<Case<'_>>) -> Result<String> {
    let mut suite = TestSuite::new(environment);
    for case in cases {
        let said = anstream::adapter::strip_str(&case.said).to_string();
        let status = match case.failure {
            None => TestCaseStatus::success(),
            Some((sort, message)) => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status
                    .set_type(sort)
                    .set_message(message)
                    .set_description(said.clone());
                status
            }
        };
        let mut test = TestCase::new(case.name, status);
        test.set_classname(program).set_system_out(said);
        suite.add_test_case(test);
    }
    let mut report = Report::new(program);
    report.add_test_suite(suite);
    report
        .to_string()
        .map_err(|error| Error::internal("a report cannot be written as JUnit").with_source(error))
}
