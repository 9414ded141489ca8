//! Moments on a line.

use chrono::{DateTime, NaiveDateTime, Utc};

/// Reads a moment: RFC 3339, or a date and a time, with an offset or in UTC.
pub(super) fn parse(text: &str) -> Result<DateTime<Utc>, String> {
    let text = text.trim();
    let with_offset = DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f %:z"))
        .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%:z"));
    if let Ok(moment) = with_offset {
        return Ok(moment.to_utc());
    }
    let bare = text.strip_suffix(" UTC").unwrap_or(text);
    ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(bare, form).ok())
        .map(|moment| moment.and_utc())
        .ok_or_else(|| "write it as `2026-11-20 14:03:00` (in UTC) or `2026-11-20T14:03:00+01:00`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_in_utc_unless_it_says_otherwise() {
        let expected = "2026-11-20T14:03:00Z".parse::<DateTime<Utc>>().unwrap();
        for text in [
            "2026-11-20 14:03:00",
            "2026-11-20 14:03",
            "2026-11-20T14:03:00",
            "2026-11-20T14:03:00Z",
            "2026-11-20T15:03:00+01:00",
            "2026-11-20 15:03:00 +01:00",
            "2026-11-20 15:03:00+01:00",
            "2026-11-20 14:03:00 UTC",
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
        let precise = parse("2026-11-20 14:03:00.25").unwrap();
        assert_eq!(precise.timestamp_subsec_millis(), 250);
        for text in [
            "",
            "yesterday",
            "14:03",
            "2026-11-20",
            "2026-13-20 14:03:00",
            "1795",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
