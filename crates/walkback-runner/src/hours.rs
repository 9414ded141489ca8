//! Hours at which an environment may be changed: `Mon-Fri 08:00-18:00 Europe/Berlin`.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde::{Deserialize, Serialize};
use walkback_core::Error;

/// Hours of some days of the week in a time zone. Where they end before they begin, they end on the next day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hours {
    text: String,
    days: Vec<Weekday>,
    from: Time,
    to: Time,
    zone: TimeZone,
}

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

impl Hours {
    /// Returns whether a moment is within them. They end with the minute before their end.
    #[must_use]
    pub fn hold(&self, moment: DateTime<Utc>) -> bool {
        let Ok(timestamp) = Timestamp::from_second(moment.timestamp()) else {
            return false;
        };
        let there: Zoned = timestamp.to_zoned(self.zone.clone());
        let (today, time) = (there.weekday(), there.time());
        if self.from < self.to {
            return self.days.contains(&today) && self.from <= time && time < self.to;
        }
        self.days.contains(&today) && self.from <= time
            || self.days.contains(&today.wrapping_sub(1)) && time < self.to
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl From<Hours> for String {
    fn from(hours: Hours) -> Self {
        hours.text
    }
}

impl TryFrom<String> for Hours {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl FromStr for Hours {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let words: Vec<_> = text.split_whitespace().collect();
        let (days, hours, zone) = match words[..] {
            [days, hours] => (days, hours, "UTC"),
            [days, hours, zone] => (days, hours, zone),
            _ => return Err(unknown(text)),
        };
        let (from, to) = hours.split_once('-').ok_or_else(|| unknown(text))?;
        let time = |part: &str| clock(part).ok_or_else(|| unknown(text));
        let (from, to) = (time(from)?, time(to)?);
        if from == to && from != Time::midnight() {
            return Err(unknown(text));
        }
        let zone = TimeZone::get(zone).map_err(|_| {
            Error::config(format!("`{zone}` is no time zone"))
                .hint("write it as in `Europe/Berlin`, or `UTC`")
        })?;
        Ok(Self {
            text: words.join(" "),
            days: week(days).ok_or_else(|| unknown(text))?,
            from,
            to,
            zone,
        })
    }
}

fn unknown(text: &str) -> Error {
    Error::config(format!("`{text}` is not understood as hours of a week"))
        .hint("write them as `Mon-Fri 08:00-18:00 Europe/Berlin`, or `Sat,Sun 22:00-04:00 UTC`")
}

/// Reads a time of day. The end of the day is its beginning: hours that end there end on the next day.
fn clock(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    match (hour.parse().ok()?, minute.parse().ok()?) {
        (24, 0) => Some(Time::midnight()),
        (hour, minute) => Time::new(hour, minute, 0, 0).ok(),
    }
}

/// Reads days: `Mon-Fri`, `Sat,Sun`, `daily`. A span may go round the end of the week.
fn week(text: &str) -> Option<Vec<Weekday>> {
    if text.eq_ignore_ascii_case("daily") {
        return Some(DAYS.iter().map(|(_, day)| *day).collect());
    }
    let place = |name: &str| DAYS.iter().position(|(day, _)| name.eq_ignore_ascii_case(day));
    let mut days = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (place(first)?, place(last)?);
        let length = (last + DAYS.len() - first) % DAYS.len();
        days.extend((0..=length).map(|step| DAYS[(first + step) % DAYS.len()].1));
    }
    Some(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(moment: &str) -> DateTime<Utc> {
        moment.parse().unwrap()
    }

    #[test]
    fn hours_hold_in_their_zone_and_on_their_days() {
        let hours: Hours = "Mon-Fri 08:00-18:00 Europe/Berlin".parse().unwrap();
        for (moment, holds) in [
            // A Monday in winter, one hour ahead of UTC.
            ("2026-01-05T06:59:59Z", false),
            ("2026-01-05T07:00:00Z", true),
            ("2026-01-05T16:59:59Z", true),
            ("2026-01-05T17:00:00Z", false),
            // In summer, two hours ahead.
            ("2026-07-06T06:00:00Z", true),
            ("2026-07-06T16:30:00Z", false),
            // Saturday.
            ("2026-01-10T12:00:00Z", false),
        ] {
            assert_eq!(hours.hold(at(moment)), holds, "{moment}");
        }
    }

    #[test]
    fn hours_go_over_midnight_and_days_over_the_end_of_the_week() {
        let night: Hours = "Fri-Mon 22:00-04:00".parse().unwrap();
        for (moment, holds) in [
            ("2026-01-09T21:59:00Z", false),
            ("2026-01-09T22:00:00Z", true),
            ("2026-01-13T03:59:00Z", true),
            ("2026-01-13T04:00:00Z", false),
            ("2026-01-13T23:00:00Z", false),
            ("2026-01-09T03:00:00Z", false),
        ] {
            assert_eq!(night.hold(at(moment)), holds, "{moment}");
        }
        let sundays: Hours = "Sun 00:00-24:00".parse().unwrap();
        assert!(sundays.hold(at("2026-01-11T23:59:59Z")) && sundays.hold(at("2026-01-11T00:00:00Z")));
        assert!(!sundays.hold(at("2026-01-12T00:00:00Z")));
        assert!(
            "daily 00:00-24:00"
                .parse::<Hours>()
                .unwrap()
                .hold(at("2026-01-13T12:00:00Z"))
        );
    }

    #[test]
    fn what_is_not_understood_says_how_to_write_it() {
        for text in [
            "",
            "Mon",
            "Mon-Fry 08:00-18:00",
            "Mon 8-18",
            "Mon 25:00-26:00",
            "Mon 08:00-18:00 a b",
        ] {
            let error = text.parse::<Hours>().unwrap_err();
            assert!(error.hints()[0].contains("Mon-Fri"), "{text}");
        }
        let error = "Mon 08:00-18:00 Europe/Atlantis".parse::<Hours>().unwrap_err();
        assert!(error.message().contains("Atlantis"));
    }
}
