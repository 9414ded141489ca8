//! What a load is told: the file, how it is written, and when it is given up.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How a file of records is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "format")]
pub enum LoadFormat {
    /// Comma-separated values, the first line naming the fields.
    Csv {
        /// The byte between two fields.
        delimiter: u8,
        /// The spelling of `NULL`, as the whole of a field.
        null: String,
    },
    /// One JSON object a line.
    JsonLines,
}

impl LoadFormat {
    /// Returns its name for messages.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Csv { .. } => "CSV",
            Self::JsonLines => "JSON Lines",
        }
    }
}

/// How many records may be rejected until a load is given up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxFailures {
    /// So many of a hundred that were tried.
    Percent(f64),
    /// So many in all.
    Count(u64),
}

impl Default for MaxFailures {
    fn default() -> Self {
        Self::Percent(10.0)
    }
}

impl MaxFailures {
    /// Returns whether so many rejected records of those tried are too many.
    #[must_use]
    pub fn is_passed(self, rejected: u64, tried: u64) -> bool {
        match self {
            Self::Count(most) => rejected > most,
            // Both are far below where a double stops counting one by one.
            #[expect(
                clippy::cast_precision_loss,
                reason = "a share needs no more digits than a double has"
            )]
            Self::Percent(most) => rejected as f64 * 100.0 > most * tried as f64,
        }
    }
}

impl fmt::Display for MaxFailures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percent(most) => write!(f, "{most} %"),
            Self::Count(most) => write!(f, "{most}"),
        }
    }
}

impl FromStr for MaxFailures {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is neither a share (`10%`) nor a number of records (`500`)");
        match text.strip_suffix('%') {
            Some(share) => share
                .trim()
                .parse::<f64>()
                .ok()
                .filter(|share| (0.0..=100.0).contains(share))
                .map(Self::Percent)
                .ok_or_else(wrong),
            None => text.parse().map(Self::Count).map_err(|_| wrong()),
        }
    }
}

/// What is to be loaded, and how. It is kept with the run, so that a killed load goes on as it began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LoadOptions {
    /// The table, as `name` or `schema.name`.
    pub table: String,
    /// The file.
    pub file: PathBuf,
    /// How it is written.
    pub format: LoadFormat,
    /// Columns of fields that are called otherwise in the file: from the field to the column.
    pub map: BTreeMap<String, String>,
    /// Fields of the file that are not loaded.
    pub skip: BTreeSet<String>,
    /// How many records are loaded in one transaction.
    pub batch: usize,
    /// When it is given up.
    pub max_failures: MaxFailures,
    /// Where rejected records are written to.
    pub rejects: PathBuf,
}

impl LoadOptions {
    /// Creates the options of a load with the usual rules: batches of 100, given up past 10 %.
    #[must_use]
    pub fn new(table: impl Into<String>, file: PathBuf, format: LoadFormat, rejects: PathBuf) -> Self {
        Self {
            table: table.into(),
            file,
            format,
            map: BTreeMap::new(),
            skip: BTreeSet::new(),
            batch: 100,
            max_failures: MaxFailures::default(),
            rejects,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_a_share_or_a_number() {
        assert_eq!("10%".parse(), Ok(MaxFailures::Percent(10.0)));
        assert_eq!("2.5 %".parse(), Ok(MaxFailures::Percent(2.5)));
        assert_eq!("0".parse(), Ok(MaxFailures::Count(0)));
        for wrong in ["", "%", "-1", "101%", "ten", "NaN%"] {
            assert!(wrong.parse::<MaxFailures>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_threshold_is_passed_by_more_than_it_allows() {
        let tenth = MaxFailures::Percent(10.0);
        assert!(!tenth.is_passed(10, 100));
        assert!(tenth.is_passed(11, 100));
        assert!(!tenth.is_passed(0, 0));
        assert!(!MaxFailures::Count(3).is_passed(3, 3));
        assert!(MaxFailures::Count(3).is_passed(4, 1000));
    }
}
