//! How what a migration destroys is protected, as an environment says it.

use walkback_core::Result;
use walkback_runner::Protect;

use super::Table;

impl Table<'_> {
    pub(super) fn protect(&self) -> Result<Option<Protect>> {
        let Some(text) = self.string("protect")? else {
            return Ok(None);
        };
        let protect = text.value.parse::<Protect>().map_err(|error| {
            let told = text.at.error(error.message());
            error
                .hints()
                .iter()
                .fold(told, |told, hint| told.hint(hint.clone()))
        })?;
        let keeps_nothing = self.duration("soft_delete")?.is_some_and(|keep| keep.is_zero());
        let kept = match protect {
            Protect::SoftDelete => Some("dropped tables"),
            Protect::BackupTable => Some("backup tables"),
            _ => None,
        };
        if let Some(kept) = kept.filter(|_| keeps_nothing) {
            return Err(text
                .at
                .error(format!(
                    "`protect = \"{}\"` keeps {kept} for `soft_delete`, and that is `0s`",
                    text.value
                ))
                .hint("give them time, as in `soft_delete = \"30d\"`, or write `protect = \"vault\"`"));
        }
        Ok(Some(protect))
    }
}
