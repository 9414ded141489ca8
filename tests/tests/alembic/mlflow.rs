//! A real project: the 67 revisions of MLflow, some of which ask the database, and some of whose downgrades fail.
//!
//! `WALKBACK_TEST_MLFLOW_PYTHON` names a Python with `mlflow-skinny`, `alembic`, and the drivers; without it the journey is
//! ignored, and says so.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use walkback_tests::{Backend, Sandbox};

use crate::project::{Alembic, Project, versions};

/// Makes the tables that the first revision finds, and says where the project is.
const BEGIN: &str = "\
import os, sys, sqlalchemy as sa, mlflow
from mlflow.store.tracking.dbmodels.initial_models import Base
Base.metadata.create_all(sa.create_engine(sys.argv[1]))
print(os.path.dirname(mlflow.__file__))
";

pub(crate) fn python() -> Option<PathBuf> {
    std::env::var_os("WALKBACK_TEST_MLFLOW_PYTHON").map(PathBuf::from)
}

pub(crate) fn mlflow_goes_up_back_and_up_again(backend: Backend) {
    let python = python().expect("the journey is ignored without it");
    let project = Project::new(backend);
    let sandbox = &project.sandbox;
    let mut alembic = Alembic::of(&project);
    let begun = Command::new(&python)
        .args(["-c", BEGIN, &alembic.url_of(&project.url())])
        .output()
        .expect("Python starts");
    assert!(
        begun.status.success(),
        "{}",
        String::from_utf8_lossy(&begun.stderr)
    );
    let root = String::from_utf8_lossy(&begun.stdout).trim().to_owned();
    sandbox.configure(&format!(
        "[source]\nkind = \"alembic\"\npath = \"{root}/store/db_migrations/alembic.ini\"\npython = \"{}\"",
        python.display()
    ));
    sandbox.ok(&["stamp", "-y", "base"]);
    let count = sandbox.status()["pending"].as_array().map_or(0, Vec::len);
    assert!(count >= 67, "{count} revisions");
    sandbox.ok(&["up", "-y", "-q"]);
    let heads = project.versions();
    sandbox
        .sql("INSERT INTO experiments (experiment_id, name, lifecycle_stage) VALUES (77, 'kept', 'active')");
    sandbox.ok(&["rollback", "-n", "30", "-y", "-q", "--allow-lossy"]);
    assert_eq!(sandbox.status()["applied"], count - 30);
    // What was written since, and goes with points of all tables, is in the safety point.
    sandbox.ok(&["rollback", "-y", "-q", "--allow-lossy"]);
    assert_eq!(versions(&mut sandbox.session()), heads);
    assert_eq!(experiment(sandbox), "kept active");
    sandbox.ok(&["rollback", "-n", "30", "-y", "-q", "--allow-lossy"]);
    sandbox.ok(&["up", "-y", "-q"]);
    assert_eq!(versions(&mut sandbox.session()), heads);
    sandbox.ok(&["rollback", "--to", "base", "-y", "-q", "--allow-lossy"]);
    assert_eq!(project.versions(), BTreeSet::new());
    sandbox.assert_sound();
}

fn experiment(sandbox: &Sandbox) -> String {
    let column = |name: &str| {
        sandbox.value(&format!(
            "SELECT {name} FROM experiments WHERE experiment_id = 77"
        ))
    };
    format!("{} {}", column("name"), column("lifecycle_stage"))
}
