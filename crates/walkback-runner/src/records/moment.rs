//! Dates and moments, in the one spelling that every engine reads alike.

use chrono::{FixedOffset, NaiveDate, NaiveTime};

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

/// What becomes of a zone that a moment names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zone {
    /// The column keeps it, or the server reads it.
    Kept,
    /// The column has no place for it. MariaDB and PostgreSQL would drop it without a word.
    None,
    /// The column is a moment in time, and the server reads what names no zone only, as UTC.
    Utc,
}

/// Returns a moment with at most so many digits of a second as it is given to the server: `2026-02-03 10:11:12.5`.
pub(super) fn moment(text: &str, digits: usize, zone: Zone) -> Result<String, String> {
    let wrong = || {
        format!(
            "`{}` is no moment: it is written as 2026-02-03 10:11:12",
            shown(text)
        )
    };
    let (day, rest) = text.split_at_checked(10).ok_or_else(wrong)?;
    date(day).map_err(|_| wrong())?;
    if rest.is_empty() {
        return Ok(text.to_owned());
    }
    let time = rest.strip_prefix([' ', 'T']).ok_or_else(wrong)?;
    let zone_at = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let (time, named) = time.split_at(zone_at);
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut clocks = ["%H:%M:%S", "%H:%M"].iter();
    let clock = clocks
        .find_map(|format| NaiveTime::parse_from_str(clock, format).ok())
        .ok_or_else(wrong)?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let has = fraction.trim_end_matches('0').len();
    if has > digits {
        return Err(format!(
            "`{}` has {has} digits of a second, and {digits} fit",
            shown(text)
        ));
    }
    match zone {
        Zone::Utc if !named.is_empty() => in_utc(day, clock, named)
            .map(|moment| match fraction {
                "" => moment,
                fraction => format!("{moment}.{fraction}"),
            })
            .ok_or_else(wrong),
        Zone::None if !named.is_empty() => Err(format!(
            "`{}` names a zone, which the column has no place for",
            shown(text)
        )),
        _ => Ok(text.to_owned()),
    }
}

/// Returns what the clocks of UTC show then, without the fraction of the second: no zone is off by one.
fn in_utc(day: &str, clock: NaiveTime, zone: &str) -> Option<String> {
    let day = NaiveDate::parse_from_str(day, "%Y-%m-%d").ok()?;
    let moment = day.and_time(clock).checked_sub_offset(offset(zone)?)?;
    Some(moment.format("%Y-%m-%d %H:%M:%S").to_string())
}

/// Reads `Z`, `+02`, `+0200` or `+02:00`.
fn offset(zone: &str) -> Option<FixedOffset> {
    if zone == "Z" {
        return FixedOffset::east_opt(0);
    }
    let (is_west, digits) = match zone.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, zone.strip_prefix('+')?),
    };
    let (hours, minutes) = match digits.len() {
        2 => (digits, "00"),
        4 => digits.split_at_checked(2)?,
        5 => digits.split_once(':').filter(|(hours, _)| hours.len() == 2)?,
        _ => return None,
    };
    let number = |digits: &str, below: i32| -> Option<i32> {
        let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.parse().ok().filter(|_| is_plain);
        number.filter(|number| *number < below)
    };
    let seconds = number(hours, 24)? * 3600 + number(minutes, 60)? * 60;
    FixedOffset::east_opt(if is_west { -seconds } else { seconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_in_one_spelling() {
        let is = |text: &str| moment(text, 3, Zone::Kept).is_ok();
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
        assert!(moment("2026-02-03 10:11:12Z", 3, Zone::None).is_err());
        assert!(moment("2026-02-0é 10:11:12", 3, Zone::None).is_err());
    }

    #[test]
    fn a_zone_is_taken_into_account_where_there_is_no_place_for_it() {
        let utc = |text: &str| moment(text, 3, Zone::Utc);
        for (text, expected) in [
            ("2026-02-03 10:11:12", "2026-02-03 10:11:12"),
            ("2026-02-03T10:11:12.120Z", "2026-02-03 10:11:12.120"),
            ("2026-01-01 00:30:00+01", "2025-12-31 23:30:00"),
            ("2025-12-31 23:30-0530", "2026-01-01 05:00:00"),
            ("2026-02-03 10:11:12+05:45", "2026-02-03 04:26:12"),
        ] {
            assert_eq!(utc(text).as_deref(), Ok(expected), "{text}");
        }
        for wrong in ["Zulu", "+2", "+24:00", "+02:60", "+0+1", "-", "+020:0", "+é"] {
            assert!(utc(&format!("2026-02-03 10:11:12{wrong}")).is_err(), "{wrong}");
        }
    }
}
