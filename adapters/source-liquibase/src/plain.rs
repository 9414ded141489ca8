//! Values of YAML as Liquibase reads them, which is by version 1.1: `yes` is a truth value there, `007` a 7, `2024-01-01` a day.
//!
//! A value that is read as what it says is taken. One that Liquibase makes another text of is refused: quoted, it is the same for
//! both.

use saphyr::ScalarStyle;

/// Returns the text of a value; `None` where it is null, or why it is not taken.
pub(crate) fn text_of(text: &str, style: ScalarStyle, has_tag: bool) -> Result<Option<&str>, String> {
    if has_tag {
        return Err(format!("`{text}` has a tag of YAML"));
    }
    if style != ScalarStyle::Plain {
        return Ok(Some(text));
    }
    if matches!(text, "" | "~" | "null" | "Null" | "NULL") {
        return Ok(None);
    }
    match text {
        "true" | "True" | "TRUE" => return Ok(Some("true")),
        "false" | "False" | "FALSE" => return Ok(Some("false")),
        "<<" => return Err("`<<` of YAML cannot be followed".to_owned()),
        _ => {}
    }
    let is_word = matches!(
        text.to_lowercase().as_str(),
        "yes" | "no" | "on" | "off" | ".inf" | "-.inf" | "+.inf" | ".nan"
    );
    let is_changed = is_word || is_moment(text) || (is_number(text) && !is_same_number(text));
    if is_changed {
        return Err(format!("`{text}` is not read as it is written"));
    }
    Ok(Some(text))
}

/// Says whether it begins as a day: `2024-01-01`, alone or with a time behind it.
fn is_moment(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let is_digits = |part: Option<&str>, least: usize, most: usize| {
        part.is_some_and(|part| {
            (least..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    let (year, month, rest) = (parts.next(), parts.next(), parts.next().unwrap_or_default());
    let end = rest
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(rest.len());
    let (day, time) = rest.split_at(end);
    let has_time = time.starts_with(['T', 't', ' ', '\t']);
    let is_day = time.is_empty() && is_digits(month, 2, 2) && day.len() == 2;
    let is_timed = has_time && is_digits(month, 1, 2) && (1..=2).contains(&day.len());
    is_digits(year, 4, 4) && (is_day || is_timed)
}

/// Says whether it is a number in some notation: decimal, of base 2, 8, 16 or 60, with `_` in it, or with a fraction.
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_of = |text: &str, letters: &str| !text.is_empty() && text.chars().all(|one| letters.contains(one));
    let has_digit = unsigned.starts_with(|letter: char| letter.is_ascii_digit());
    if let Some(digits) = unsigned.strip_prefix("0x") {
        return digits.chars().all(|one| one == '_' || one.is_ascii_hexdigit());
    }
    if let Some(digits) = unsigned.strip_prefix("0b") {
        return is_of(digits, "01_");
    }
    if has_digit && unsigned.contains(':') {
        return unsigned.split(':').all(|part| is_of(part, "0123456789_.")) && !unsigned.ends_with(':');
    }
    if has_digit && is_of(unsigned, "0123456789_") {
        let is_octal = is_of(unsigned, "01234567_");
        return !unsigned.starts_with('0') || is_octal;
    }
    is_fraction(unsigned)
}

fn is_fraction(unsigned: &str) -> bool {
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let (number, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, Some(exponent)),
        None => (unsigned, None),
    };
    let exponent_fits = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    let begins = |text: &str| text.starts_with(|letter: char| letter.is_ascii_digit());
    let number_fits = match number.split_once('.') {
        Some((whole, part)) => {
            is_digits(whole) && is_digits(part) && (begins(whole) || (whole.is_empty() && begins(part)))
        }
        None => exponent.is_some() && begins(number) && is_digits(number),
    };
    exponent_fits && number_fits
}

/// Says whether Java writes the number as it stands here.
fn is_same_number(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let is_whole = |text: &str| {
        let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_digits && (text == "0" || !text.starts_with('0'))
    };
    match unsigned.split_once('.') {
        None => is_whole(unsigned) && text != "-0",
        Some((whole, part)) => {
            let is_short = whole.len() + part.len() <= 15 && whole.len() <= 7;
            let is_digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            let is_trimmed = part == "0" || !part.ends_with('0');
            // Below a thousandth Java writes an exponent.
            let is_small = whole == "0" && part.starts_with("000") && part != "0";
            is_whole(whole) && is_short && is_digits && is_trimmed && !is_small
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Liquibase 4.28.0 wrote these values into an `insert`, where it wrote them as they are.
    #[test]
    fn what_liquibase_reads_as_it_is_written_is_taken() {
        for text in [
            "1.0",
            "0.001",
            "00089",
            "1.2.3",
            "0o17",
            "y",
            "20240101120000",
            "=",
            "2024-1-1",
            "a:1",
            "1-2",
            "2024-06",
            "0",
            "-3",
            "1.25",
            "v1",
            "0089.1.2",
            "e5",
            ".x",
            "x_1",
            "1.2.3-rc1",
            "12:x",
        ] {
            assert_eq!(text_of(text, ScalarStyle::Plain, false), Ok(Some(text)), "{text}");
        }
        for text in ["", "~", "null"] {
            assert_eq!(text_of(text, ScalarStyle::Plain, false), Ok(None), "{text}");
        }
        assert_eq!(text_of("True", ScalarStyle::Plain, false), Ok(Some("true")));
    }

    #[test]
    fn what_liquibase_makes_another_text_of_is_refused_unless_it_is_quoted() {
        for text in [
            "007",
            "2.50",
            "1e3",
            "2024-01-01",
            "2024-01-01T10:00:00",
            "2024-1-1 10:00:00",
            "1:30",
            "1_000",
            "20240101_1",
            "on",
            "Yes",
            "NO",
            "-0",
            ".5",
            "1.e5",
            "1.e+5",
            "12e03",
            "0x1F",
            "0b11",
            "+5",
            "12345678.5",
            "0.0001",
            "3.00",
            ".inf",
            "1.",
        ] {
            assert!(text_of(text, ScalarStyle::Plain, false).is_err(), "{text}");
            assert_eq!(text_of(text, ScalarStyle::DoubleQuoted, false), Ok(Some(text)));
        }
        assert!(text_of("1", ScalarStyle::Plain, true).is_err());
    }
}
