//! Dates and moments, in the one spelling that every engine reads alike.

use chrono::{NaiveDate, NaiveTime};
use walkback_core::dialect::DialectKind;

use super::kind::shown;

/// Checks that a text is a date: `2026-02-03`.
pub(super) fn date(text: &str) -> Result<(), String> {
    let is_plain = text.len() == 10 && NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok();
    if is_plain {
        return Ok(());
    }
    Err(format!(
        "`{}` is no date: it is written as 2026-02-03",
        shown(text)
    ))
}

/// Checks that a text is a moment with at most so many digits of a second: `2026-02-03 10:11:12.5`, perhaps with a zone.
pub(super) fn moment(dialect: DialectKind, text: &str, digits: usize) -> Result<(), String> {
    let wrong = || {
        format!(
            "`{}` is no moment: it is written as 2026-02-03 10:11:12",
            shown(text)
        )
    };
    let Some((day, rest)) = text.split_at_checked(10) else {
        return Err(wrong());
    };
    date(day).map_err(|_| wrong())?;
    if rest.is_empty() {
        return Ok(());
    }
    let time = rest.strip_prefix([' ', 'T']).ok_or_else(wrong)?;
    let zone_at = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let (time, zone) = time.split_at(zone_at);
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    let is_clock = ["%H:%M:%S", "%H:%M"]
        .iter()
        .any(|format| NaiveTime::parse_from_str(clock, format).is_ok());
    if !is_clock || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let fraction = fraction.trim_end_matches('0').len();
    if fraction > digits {
        return Err(format!(
            "`{}` has {fraction} digits of a second, and {digits} fit",
            shown(text)
        ));
    }
    // MariaDB drops a zone without a word.
    if dialect == DialectKind::Mysql && !zone.is_empty() {
        return Err(format!(
            "`{}` names a zone, which the column has no place for",
            shown(text)
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_in_one_spelling() {
        let is = |text: &str| moment(DialectKind::Postgres, text, 3).is_ok();
        for right in [
            "2026-02-03",
            "2026-02-03 10:11",
            "2026-02-03T10:11:12.123Z",
            "2026-02-03 10:11:12+02",
        ] {
            assert!(is(right), "{right}");
        }
        for wrong in [
            "",
            "2026-2-3",
            "2026-02-30 10:00",
            "2026-02-03 25:00",
            "2026-02-03 10:11:12.1234",
            "0000-00-00",
        ] {
            assert!(!is(wrong), "{wrong}");
        }
        assert!(moment(DialectKind::Mysql, "2026-02-03 10:11:12Z", 3).is_err());
        assert!(moment(DialectKind::Mysql, "2026-02-0é 10:11:12", 3).is_err());
    }
}
