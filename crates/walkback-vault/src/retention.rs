//! Which points the rules of an environment keep: by age, by number and by generation. Nothing here does I/O.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

/// How many points are kept of each generation. The newest of each hour, day, week, month or year counts, in
/// UTC; weeks begin on Monday.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Keep {
    /// The newest, whenever they were made.
    pub last: u32,
    /// The newest of each hour.
    pub hourly: u32,
    /// The newest of each day.
    pub daily: u32,
    /// The newest of each week.
    pub weekly: u32,
    /// The newest of each month.
    pub monthly: u32,
    /// The newest of each year.
    pub yearly: u32,
}

impl Keep {
    /// The names of its parts, as they are written in `keep = {..}`.
    pub const NAMES: [&'static str; 6] = ["last", "hourly", "daily", "weekly", "monthly", "yearly"];

    /// Returns whether it keeps nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Sets a part by its name. `None`: there is no such part.
    #[must_use]
    pub fn set(&mut self, name: &str, count: u32) -> Option<()> {
        *match name {
            "last" => &mut self.last,
            "hourly" => &mut self.hourly,
            "daily" => &mut self.daily,
            "weekly" => &mut self.weekly,
            "monthly" => &mut self.monthly,
            "yearly" => &mut self.yearly,
            _ => return None,
        } = count;
        Some(())
    }

    fn of(&self, period: Period) -> u32 {
        match period {
            Period::Hour => self.hourly,
            Period::Day => self.daily,
            Period::Week => self.weekly,
            Period::Month => self.monthly,
            Period::Year => self.yearly,
        }
    }
}

/// Reads `daily=7,weekly=4`.
impl FromStr for Keep {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut keep = Self::default();
        let mut said = Vec::new();
        for part in text.split(',').map(str::trim) {
            let (name, count) = part
                .split_once('=')
                .ok_or_else(|| format!("`{part}` is not of the form `daily=7`"))?;
            let (name, count) = (name.trim(), count.trim());
            let number = count
                .parse()
                .map_err(|_| format!("`{count}` is not a number of points"))?;
            keep.set(name, number)
                .ok_or_else(|| format!("`{name}` is none of `{}`", Self::NAMES.join("`, `")))?;
            if said.contains(&name) {
                return Err(format!("`{name}` is given twice"));
            }
            said.push(name);
        }
        if keep.is_empty() {
            return Err("it keeps nothing: one of the numbers is to be at least 1".to_owned());
        }
        Ok(keep)
    }
}

/// What is kept. A point stays if any part of this keeps it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Rules {
    /// Everything that is younger than this.
    #[serde(rename = "retention_seconds", serialize_with = "as_seconds")]
    pub age: Option<Duration>,
    /// So many of each generation.
    pub keep: Keep,
}

fn as_seconds<S: Serializer>(age: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    age.map(|age| age.as_secs()).serialize(serializer)
}

/// A point, as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Its id, which orders points of one moment.
    pub id: &'a str,
    /// When it was made.
    pub made: DateTime<Utc>,
    /// What it is compared with: numbers and generations are counted among the points of one group.
    pub group: &'a str,
}

/// Why a point is kept by a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// It is young enough.
    Age(Duration),
    /// It is one of the newest: the how-manieth, and of how many.
    Last(u32, u32),
    /// It is the newest of a period.
    Newest(Period, String),
}

/// A period of which the newest point is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A week, from Monday.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
}

impl Period {
    const ALL: [Self; 5] = [Self::Hour, Self::Day, Self::Week, Self::Month, Self::Year];

    /// Returns the name of the period a moment is in: no other period has the same.
    fn name(self, made: DateTime<Utc>) -> String {
        let format = match self {
            Self::Hour => "%Y-%m-%d %H:00",
            Self::Day => "%Y-%m-%d",
            Self::Week => "%G-W%V",
            Self::Month => "%Y-%m",
            Self::Year => "%Y",
        };
        made.format(format).to_string()
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Age(age) => write!(f, "younger than {}", words(*age)),
            Self::Last(1, _) => f.write_str("the last one"),
            Self::Last(place, of) => write!(f, "number {place} of the last {of}"),
            Self::Newest(period, name) => write!(f, "newest of the {} {name}", period.word()),
        }
    }
}

/// Says a duration in the largest unit that says it exactly.
fn words(age: Duration) -> String {
    let seconds = age.as_secs();
    let units = [("day", 86_400), ("hour", 3_600), ("minute", 60)];
    let (unit, size) = units
        .into_iter()
        .find(|(_, size)| seconds >= *size && seconds.is_multiple_of(*size))
        .unwrap_or(("second", 1));
    let plural = if seconds / size == 1 { "" } else { "s" };
    format!("{} {unit}{plural}", seconds / size)
}

impl Rules {
    /// Returns whether there is no rule: nobody has said what may go.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.age.is_none() && self.keep.is_empty()
    }

    /// Returns for each point the rules that keep it, in the order of the points. Those without any may go.
    #[must_use]
    pub fn judge(&self, now: DateTime<Utc>, points: &[Candidate<'_>]) -> Vec<Vec<Rule>> {
        let mut kept = vec![Vec::new(); points.len()];
        let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, point) in points.iter().enumerate() {
            groups.entry(point.group).or_default().push(index);
            // One from the future, by a clock that is wrong, is young.
            let young = |age: &Duration| (now - point.made).to_std().map_or(true, |old| old < *age);
            kept[index].extend(self.age.filter(young).map(Rule::Age));
        }
        for members in groups.values_mut() {
            members.sort_by_key(|&index| std::cmp::Reverse((points[index].made, points[index].id)));
            for (place, &index) in (1..).zip(members.iter()).take(self.keep.last as usize) {
                kept[index].push(Rule::Last(place, self.keep.last));
            }
            for period in Period::ALL {
                self.newest_of_each(period, points, members, &mut kept);
            }
        }
        kept
    }

    /// `members` are the points of one group, newest first.
    fn newest_of_each(
        &self,
        period: Period,
        points: &[Candidate<'_>],
        members: &[usize],
        kept: &mut [Vec<Rule>],
    ) {
        let mut left = self.keep.of(period);
        let mut last = None;
        for &index in members {
            let name = period.name(points[index].made);
            if left == 0 {
                return;
            }
            if last.as_ref() != Some(&name) {
                left -= 1;
                kept[index].push(Rule::Newest(period, name.clone()));
                last = Some(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        format!("{text}Z").parse().unwrap()
    }

    fn judged(rules: &Rules, now: &str, moments: &[&str]) -> Vec<String> {
        let points: Vec<_> = moments
            .iter()
            .map(|moment| Candidate {
                id: moment,
                made: at(moment),
                group: "",
            })
            .collect();
        let said = |rules: &Vec<Rule>| rules.iter().map(Rule::to_string).collect::<Vec<_>>().join("; ");
        rules.judge(at(now), &points).iter().map(said).collect()
    }

    #[test]
    fn a_point_stays_if_any_rule_keeps_it() {
        let rules = Rules {
            age: Some(Duration::from_secs(2 * 86_400)),
            keep: "last=1,daily=2,weekly=2,monthly=2,yearly=3".parse().unwrap(),
        };
        let moments = [
            "2026-11-20T12:00:00",
            "2026-11-20T11:59:59",
            "2026-11-18T11:00:00",
            "2026-11-17T11:00:00",
            "2026-11-15T23:59:59",
            "2026-10-31T00:00:00",
            "2025-12-31T00:00:00",
            "2025-12-30T00:00:00",
            "2020-01-01T00:00:00",
        ];
        assert_eq!(
            judged(&rules, "2026-11-20T13:00:00", &moments),
            [
                "younger than 2 days; the last one; newest of the day 2026-11-20; newest of the week 2026-W47; \
                 newest of the month 2026-11; newest of the year 2026",
                "younger than 2 days",
                "newest of the day 2026-11-18",
                "",
                "newest of the week 2026-W46",
                "newest of the month 2026-10",
                "newest of the year 2025",
                "",
                "newest of the year 2020",
            ]
        );
    }

    #[test]
    fn a_week_belongs_to_the_year_its_thursday_is_in() {
        let rules = Rules {
            age: None,
            keep: "weekly=9".parse().unwrap(),
        };
        assert_eq!(
            judged(
                &rules,
                "2027-01-05T00:00:00",
                &[
                    "2027-01-04T00:00:00",
                    "2027-01-03T00:00:00",
                    "2026-12-28T00:00:00"
                ]
            ),
            ["newest of the week 2027-W01", "newest of the week 2026-W53", ""]
        );
    }

    #[test]
    fn a_point_from_the_future_is_young() {
        let rules = Rules {
            age: Some(Duration::from_secs(3600)),
            keep: Keep::default(),
        };
        assert_eq!(
            judged(&rules, "2026-01-01T00:00:00", &["2026-02-01T00:00:00"]),
            ["younger than 1 hour"]
        );
    }

    #[test]
    fn groups_are_counted_on_their_own() {
        let point = |id, group| Candidate {
            id,
            made: at("2026-01-01T00:00:00"),
            group,
        };
        let rules = Rules {
            age: None,
            keep: "last=1".parse().unwrap(),
        };
        let points = [point("a", "x"), point("b", "x"), point("c", "y")];
        let kept = rules.judge(at("2026-01-01T00:00:00"), &points);
        assert_eq!(kept.iter().map(Vec::len).collect::<Vec<_>>(), [0, 1, 1]);
    }

    #[test]
    fn what_is_typed_wrongly_is_named() {
        for (text, named) in [
            ("daily", "`daily`"),
            ("dayly=7", "`dayly`"),
            ("daily=x", "`x`"),
            ("daily=-1", "`-1`"),
            ("daily=1,daily=2", "twice"),
            ("daily=0", "nothing"),
            ("", "``"),
        ] {
            let error = text.parse::<Keep>().unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
    }

    const NOW: &str = "2026-11-20T12:00:00";

    fn rules() -> impl Strategy<Value = Rules> {
        let counts = proptest::array::uniform6(prop_oneof![Just(0_u32), 1..9_u32]);
        (proptest::option::of(0..200_u64), counts).prop_map(|(days, counts)| {
            let mut keep = Keep::default();
            for (name, count) in Keep::NAMES.into_iter().zip(counts) {
                keep.set(name, count).unwrap();
            }
            Rules {
                age: days.map(|days| Duration::from_secs(days * 86_400)),
                keep,
            }
        })
    }

    /// Ages in minutes, mostly crowded together, up to three years.
    fn ages() -> impl Strategy<Value = Vec<i64>> {
        let age = prop_oneof![0..300_i64, 0..50_000_i64, 0..1_600_000_i64];
        proptest::collection::vec(age, 0..60)
    }

    /// Returns the ages that are left of those that were there at a moment, so many minutes ago.
    fn left(rules: &Rules, minutes_ago: i64, ages: &[i64]) -> Vec<i64> {
        let now = at(NOW);
        let ids: Vec<String> = ages.iter().map(|age| format!("{age:09}")).collect();
        let points: Vec<_> = ages
            .iter()
            .zip(&ids)
            .map(|(&age, id)| Candidate {
                id,
                made: now - TimeDelta::minutes(age),
                group: "",
            })
            .collect();
        let kept = rules.judge(now - TimeDelta::minutes(minutes_ago), &points);
        let left = ages.iter().zip(kept).filter(|(_, kept)| !kept.is_empty());
        left.map(|(&age, _)| age).collect()
    }

    fn distinct(mut ages: Vec<i64>) -> Vec<i64> {
        ages.sort_unstable();
        ages.dedup();
        ages
    }

    proptest! {
        #[test]
        fn what_is_left_is_left_again(rules in rules(), ages in ages()) {
            let ages = distinct(ages);
            let once = left(&rules, 0, &ages);
            prop_assert_eq!(left(&rules, 0, &once), once);
        }

        #[test]
        fn another_rule_never_takes_a_point_away(rules in rules(), more in rules(), ages in ages()) {
            let ages = distinct(ages);
            let mut both = rules;
            both.age = rules.age.max(more.age);
            for (name, (one, other)) in Keep::NAMES.into_iter().zip([
                (rules.keep.last, more.keep.last), (rules.keep.hourly, more.keep.hourly),
                (rules.keep.daily, more.keep.daily), (rules.keep.weekly, more.keep.weekly),
                (rules.keep.monthly, more.keep.monthly), (rules.keep.yearly, more.keep.yearly),
            ]) {
                both.keep.set(name, one.max(other)).unwrap();
            }
            let with_both = left(&both, 0, &ages);
            for age in left(&rules, 0, &ages).into_iter().chain(left(&more, 0, &ages)) {
                prop_assert!(with_both.contains(&age));
            }
        }

        #[test]
        fn pruning_often_leaves_what_pruning_once_would(rules in rules(), ages in ages(), when in ages()) {
            let ages = distinct(ages);
            let mut there: Vec<i64> = Vec::new();
            let mut before = i64::MAX;
            let mut moments = distinct(when);
            moments.insert(0, 0);
            for ago in distinct(moments).into_iter().rev() {
                there.extend(ages.iter().filter(|age| (ago..before).contains(*age)));
                before = ago;
                there = left(&rules, ago, &there);
            }
            prop_assert_eq!(distinct(there), left(&rules, 0, &ages));
        }

        #[test]
        fn no_more_are_kept_than_the_rules_count_and_the_newest_always_is(rules in rules(), ages in ages()) {
            let ages = distinct(ages);
            let rules = Rules { age: None, ..rules };
            let keep = rules.keep;
            let counted = keep.last + keep.hourly + keep.daily + keep.weekly + keep.monthly + keep.yearly;
            let left = left(&rules, 0, &ages);
            prop_assert!(left.len() <= counted as usize);
            if counted > 0 && !ages.is_empty() {
                prop_assert!(left.contains(&ages[0]));
            }
        }
    }
}
