//! Texts as values of one type, each checked before the server sees it.

use walkback_core::Value;
use walkback_core::dialect::DialectKind;

use super::cell::unhex;
use super::kind::shown;

pub(super) fn integer(text: &str, least: i128, most: i128) -> Result<Value, String> {
    let number: i128 = match text.parse() {
        Ok(number) => number,
        Err(_) if is_digits(text) => return Err(format!("`{}` is beyond {least} .. {most}", shown(text))),
        Err(_) => return Err(format!("`{}` is no whole number", shown(text))),
    };
    if !(least..=most).contains(&number) {
        return Err(format!("{number} is beyond {least} .. {most}"));
    }
    let small = i64::try_from(number).map(Value::Integer);
    Ok(small.unwrap_or_else(|_| u64::try_from(number).map_or(Value::Text(text.to_owned()), Value::Unsigned)))
}

fn is_digits(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Takes a number apart into its digits before and after the point and its exponent.
fn number(text: &str) -> Option<(String, String, i64)> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse().ok()?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let is_number = all_digits(whole) && all_digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    is_number.then(|| (whole.to_owned(), fraction.to_owned(), exponent))
}

pub(super) fn exact(
    dialect: DialectKind,
    text: &str,
    whole: Option<usize>,
    fraction: Option<usize>,
) -> Result<Value, String> {
    let Some((before, after, exponent)) = number(text) else {
        let is_special = matches!(
            text.to_ascii_lowercase().as_str(),
            "nan" | "infinity" | "-infinity"
        );
        return match is_special && dialect == DialectKind::Postgres {
            true => Ok(Value::Text(text.to_owned())),
            false => Err(format!("`{}` is no number", shown(text))),
        };
    };
    if exponent != 0 {
        // Where its point is would have to be counted; the server does that, and says what is too much.
        return match (whole, fraction) {
            (None, None) => Ok(Value::Decimal(text.to_owned())),
            _ => Err(format!(
                "`{}` has an exponent: write it with all its digits",
                shown(text)
            )),
        };
    }
    let before = before.trim_start_matches('0').len();
    let after = after.trim_end_matches('0').len();
    if whole.is_some_and(|most| before > most) {
        return Err(format!("`{}` has {before} digits before the point", shown(text)));
    }
    if fraction.is_some_and(|most| after > most) {
        return Err(format!("`{}` has {after} digits after the point", shown(text)));
    }
    Ok(Value::Decimal(text.to_owned()))
}

/// How many digits a double keeps, whatever they are.
const SURE_DIGITS: usize = 15;

pub(super) fn affinity(text: &str) -> Result<Value, String> {
    let wrong = || format!("`{}` is no number", shown(text));
    let (before, after, exponent) = number(text).ok_or_else(wrong)?;
    if after.is_empty()
        && exponent == 0
        && let Ok(whole) = text.parse::<i64>()
    {
        return Ok(Value::Integer(whole));
    }
    let digits = format!("{before}{after}");
    if digits.trim_matches('0').len() > SURE_DIGITS {
        return Err(format!(
            "`{}` has more digits than SQLite would keep of it",
            shown(text)
        ));
    }
    let value: f64 = text.parse().map_err(|_| wrong())?;
    if value.is_finite() {
        Ok(Value::Float(value))
    } else {
        Err(format!("`{}` is too large", shown(text)))
    }
}

pub(super) fn float(dialect: DialectKind, text: &str) -> Result<Value, String> {
    let value: f64 = text
        .parse()
        .map_err(|_| format!("`{}` is no number", shown(text)))?;
    let is_special = number(text).is_none();
    match dialect {
        // A number that became infinite was too large.
        _ if value.is_infinite() && !is_special => Err(format!("`{}` is too large", shown(text))),
        DialectKind::Postgres => Ok(Value::Text(text.to_owned())),
        DialectKind::Mysql if is_special => Err(format!("the server has no `{}`", shown(text))),
        DialectKind::Sqlite if value.is_nan() => Err("SQLite has no NaN".to_owned()),
        _ => Ok(Value::Float(value)),
    }
}

pub(super) fn boolean(dialect: DialectKind, text: &str) -> Result<Value, String> {
    let value = match text.to_ascii_lowercase().as_str() {
        "1" | "t" | "true" | "y" | "yes" | "on" => true,
        "0" | "f" | "false" | "n" | "no" | "off" => false,
        _ => return Err(format!("`{}` is no truth value", shown(text))),
    };
    Ok(match dialect {
        DialectKind::Postgres => Value::Bool(value),
        _ => Value::Integer(i64::from(value)),
    })
}

pub(super) fn bounded(dialect: DialectKind, text: String, most: Option<usize>) -> Result<Value, String> {
    if dialect == DialectKind::Postgres && text.contains('\0') {
        return Err("holds a zero byte, which PostgreSQL has no place for".to_owned());
    }
    let length = text.chars().count();
    match most {
        Some(most) if length > most => Err(format!("has {length} characters, and {most} fit")),
        _ => Ok(Value::Text(text)),
    }
}

pub(super) fn bytes(text: &str, most: Option<usize>) -> Result<Value, String> {
    let digits = text.strip_prefix("\\x").and_then(unhex);
    let bytes =
        digits.ok_or_else(|| "bytes are written as `\\x` and two hexadecimal digits each".to_owned())?;
    match most {
        Some(most) if bytes.len() > most => Err(format!("has {} bytes, and {most} fit", bytes.len())),
        _ => Ok(Value::Bytes(bytes)),
    }
}

/// A text in a column of JSON is JSON itself, or a text that means itself.
pub(super) fn json(dialect: DialectKind, text: String) -> Result<Value, String> {
    match serde_json::from_str::<serde::de::IgnoredAny>(&text) {
        // SQLite makes a number of a document that is one.
        Ok(_) if dialect == DialectKind::Sqlite => unchanged(text),
        Ok(_) => bounded(dialect, text, None),
        Err(error) => Err(format!("`{}` is not JSON: {error}", shown(&text))),
    }
}

/// A text where SQLite makes a number of each that reads as one: it has to be written as that number is.
pub(super) fn unchanged(text: String) -> Result<Value, String> {
    let is_number =
        text.bytes().any(|byte| byte.is_ascii_digit()) && text.trim_ascii().parse::<f64>().is_ok();
    if !is_number || is_canonical(&text) {
        return Ok(Value::Text(text));
    }
    Err(format!(
        "`{}` reads as a number, and SQLite would keep it in another spelling",
        shown(&text)
    ))
}

/// Returns whether SQLite writes the number in the same way.
fn is_canonical(text: &str) -> bool {
    if text.parse::<i64>().is_ok_and(|number| number.to_string() == text) {
        return true;
    }
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let Some((whole, fraction)) = unsigned.split_once('.') else {
        return false;
    };
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_small = whole == "0" && fraction.starts_with("0000");
    all_digits(whole)
        && all_digits(fraction)
        && (whole == "0" || !whole.starts_with('0'))
        && !fraction.ends_with('0')
        && !is_small
        && whole.len() + fraction.len() <= SURE_DIGITS
}

/// Reads the words of `enum('a','it''s')`.
pub(super) fn members(data_type: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = data_type;
    while let Some((_, behind)) = rest.split_once('\'') {
        let mut word = String::new();
        rest = behind;
        while let Some((part, behind)) = rest.split_once('\'') {
            word.push_str(part);
            rest = behind;
            // A quote in a word stands there twice.
            let Some(behind) = rest.strip_prefix('\'') else {
                break;
            };
            word.push('\'');
            rest = behind;
        }
        words.push(word);
    }
    words
}

/// A text that is one of these words: a number would be the place of one.
pub(super) fn member(text: String, of: &[String], many: bool) -> Result<Value, String> {
    let is_known = |word: &str| of.iter().any(|known| known == word);
    let is_member = match many {
        true => text.is_empty() || text.split(',').all(is_known),
        false => is_known(&text),
    };
    match is_member {
        true => Ok(Value::Text(text)),
        false => Err(format!("`{}` is none of the words of the type", shown(&text))),
    }
}

/// Checks that a time of day has no more digits of a second than are kept.
pub(super) fn clock(text: &str, digits: usize) -> Result<(), String> {
    let behind = text.split_once('.').map_or("", |(_, behind)| behind);
    let fraction = behind.split(|letter: char| !letter.is_ascii_digit()).next();
    let has = fraction.unwrap_or_default().trim_end_matches('0').len();
    match has > digits {
        true => Err(format!(
            "`{}` has {has} digits of a second, and {digits} fit",
            shown(text)
        )),
        false => Ok(()),
    }
}
