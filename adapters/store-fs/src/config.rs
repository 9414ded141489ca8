//! The settings of the store.

use std::sync::Arc;

use serde::Deserialize;
use walkback_core::{AdapterConfig, BackupStore, Error, Result};

use crate::store::FsStore;

/// The settings of `kind = "fs"`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FsConfig {
    /// The folder, relative to the configuration file. It is created by the first write.
    pub path: String,
}

/// Opens the store. Nothing is read or written.
pub(crate) fn open(config: &AdapterConfig) -> Result<Arc<dyn BackupStore>> {
    let settings: FsConfig = config.parse().map_err(|error| {
        error.hint(format!(
            "`[{}]` needs `path`, the folder of the backups",
            config.section
        ))
    })?;
    if settings.path.is_empty() {
        return Err(
            Error::config(format!("`path` in `[{}]` is empty", config.section))
                .hint("name the folder of the backups, such as `path = \".walkback/vault\"`"),
        );
    }
    Ok(Arc::new(FsStore::new(config.resolve(&settings.path))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use walkback_core::ErrorKind;

    #[test]
    fn a_path_is_meant_from_the_configuration_file() {
        let config = AdapterConfig::new("store.local", "/srv/app").with("path", "vault");
        assert_eq!(open(&config).unwrap().location(), "/srv/app/vault");
        let config = AdapterConfig::new("store.local", "/srv/app").with("path", "/mnt/vault");
        assert_eq!(open(&config).unwrap().location(), "/mnt/vault");
    }

    #[test]
    fn a_typo_in_the_settings_is_refused_by_name() {
        let config = AdapterConfig::new("store.local", "/srv/app").with("pth", "vault");
        let error = open(&config).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(
            error.message().contains("[store.local]") && error.message().contains("`pth`"),
            "{error}"
        );
        let empty = AdapterConfig::new("store.local", "/srv/app").with("path", "");
        assert_eq!(open(&empty).unwrap_err().kind(), ErrorKind::Config);
        let absent = AdapterConfig::new("store.local", "/srv/app");
        assert!(open(&absent).unwrap_err().message().contains("`path`"));
    }
}
