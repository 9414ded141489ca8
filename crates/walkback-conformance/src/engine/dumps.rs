//! Dumps of other tools.

use walkback_core::dump::DumpFormat;
use walkback_core::{Access, ErrorKind, Result};

use super::EngineFixture;
use super::support::cx;

fn absent() -> Result<()> {
    crate::runner::note("this engine loads no dumps of other tools");
    Ok(())
}

const FORMATS: [DumpFormat; 7] = [
    DumpFormat::PostgresSql,
    DumpFormat::PostgresCustom,
    DumpFormat::PostgresDirectory,
    DumpFormat::PostgresTar,
    DumpFormat::MysqlSql,
    DumpFormat::SqliteSql,
    DumpFormat::SqliteFile,
];

pub(super) async fn a_dump_of_another_family_is_unsupported_and_names_it(
    fixture: EngineFixture,
) -> Result<()> {
    let Some(dumps) = fixture.engine.dumps() else {
        return absent();
    };
    let kind = fixture.engine.dialect().kind();
    for format in FORMATS.into_iter().filter(|format| format.dialect() != kind) {
        let file = std::path::Path::new("no/such/file");
        let program = dumps.program(format, true).map(drop);
        for outcome in [program, dumps.load(&cx(), format, file).await] {
            let error = outcome.expect_err("a dump of another family is taken");
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{format:?}");
            assert!(error.message().contains(format.words()), "{format:?}: {error}");
        }
    }
    let mut session = fixture.engine.connect(&cx(), Access::Read).await?;
    assert!(
        session.schema(&cx()).await?.tables.is_empty(),
        "something was loaded"
    );
    Ok(())
}

pub(super) async fn every_form_of_its_own_family_is_loaded_by_a_program_or_by_itself(
    fixture: EngineFixture,
) -> Result<()> {
    let Some(dumps) = fixture.engine.dumps() else {
        return absent();
    };
    let kind = fixture.engine.dialect().kind();
    for format in FORMATS.into_iter().filter(|format| format.dialect() == kind) {
        match dumps.program(format, false)? {
            Some(program) => {
                assert!(
                    !program.names.is_empty() && !program.package.is_empty(),
                    "{format:?}"
                );
                assert!(
                    !program.takes_path,
                    "{format:?}: what is packed is read as it comes"
                );
            }
            None => {
                let missing = std::path::Path::new("no/such/file");
                assert!(dumps.load(&cx(), format, missing).await.is_err(), "{format:?}");
            }
        }
    }
    Ok(())
}
