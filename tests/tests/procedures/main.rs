//! The five procedures that teams run by hand and by script, each followed line by line as one journey.

mod alembic;
mod deployment;
mod patterns;
mod project;
mod records;
mod up_only;

use std::process::ExitCode;

use walkback_tests::{Backend, MYSQL, ONE_OF_EACH, alembic_python, journeys};

use alembic::a_team_with_alembic_takes_turns_and_walks_three_back;
use deployment::a_deployment_is_rolled_back_with_its_services_and_its_code;
use patterns::what_the_three_patterns_and_the_emergencies_ask_for;
use records::records_are_migrated_behind_rollback_points;
use up_only::migrations_without_a_way_down_are_undone_by_their_backup;

fn main() -> ExitCode {
    walkback_tests::main_where(
        "procedures",
        &journeys! {
            MYSQL => [migrations_without_a_way_down_are_undone_by_their_backup],
            &[Backend::Postgres] => [a_team_with_alembic_takes_turns_and_walks_three_back],
            ONE_OF_EACH => [
                records_are_migrated_behind_rollback_points,
                what_the_three_patterns_and_the_emergencies_ask_for,
                a_deployment_is_rolled_back_with_its_services_and_its_code,
            ],
        },
        |name, _| {
            let is_required = std::env::var("WALKBACK_REQUIRE")
                .is_ok_and(|names| names.split(',').any(|name| name.trim() == "alembic"));
            let needs_alembic = name.starts_with("a_team_with_alembic") && !is_required;
            needs_alembic.then(alembic_python)?.err()
        },
    )
}
