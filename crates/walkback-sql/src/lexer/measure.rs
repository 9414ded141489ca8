//! Finds where quotes, comments and words end.

use super::{Open, TokenKind};

pub(super) fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

pub(super) fn is_word_part(byte: u8) -> bool {
    is_word_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

/// MySQL lets a name begin with a digit (`2fa_codes`), as long as it is not a number.
pub(super) fn is_name_that_begins_with_a_digit(text: &str) -> bool {
    let word = text.split('.').next().unwrap_or_default();
    let lower = word.to_ascii_lowercase();
    let is_radix = |prefix: &str, valid: fn(u8) -> bool| {
        lower
            .strip_prefix(prefix)
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(valid))
    };
    let is_hexadecimal = is_radix("0x", |byte| byte.is_ascii_hexdigit());
    let is_binary = is_radix("0b", |byte| matches!(byte, b'0' | b'1'));
    let behind_digits = lower.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_decimal = behind_digits.is_empty()
        || behind_digits.strip_prefix('e').is_some_and(|exponent| {
            exponent
                .trim_start_matches(['+', '-'])
                .bytes()
                .all(|b| b.is_ascii_digit())
        });
    !(is_hexadecimal || is_binary || is_decimal)
}

pub(super) fn close(kind: TokenKind, open: Open, end: Option<usize>, all: usize) -> (TokenKind, usize) {
    match end {
        Some(end) => (kind, end),
        None => (TokenKind::Unterminated(open), all),
    }
}

/// Finds the end of a quote that begins at `start`; a doubled quote stands for itself.
pub(super) fn quote_end(rest: &str, start: usize, backslash: bool) -> Option<usize> {
    let bytes = rest.as_bytes();
    let quote = bytes[start];
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        if *byte == b'\\' && backslash {
            at += 2;
        } else if *byte != quote {
            at += 1;
        } else if bytes.get(at + 1) == Some(&quote) {
            at += 2;
        } else {
            return Some(at + 1);
        }
    }
    None
}

pub(super) fn dollar_quote(rest: &str) -> Option<(TokenKind, usize)> {
    let tag_end = rest[1..].find('$')? + 1;
    let tag = &rest[1..tag_end];
    let is_tag = tag.bytes().all(|byte| is_word_part(byte) && byte != b'$')
        && !tag.bytes().next().is_some_and(|byte| byte.is_ascii_digit());
    if !is_tag {
        return None;
    }
    let mark = &rest[..=tag_end];
    let end = rest[mark.len()..].find(mark).map(|at| at + 2 * mark.len());
    Some(close(TokenKind::Text, Open::Dollar, end, rest.len()))
}

pub(super) fn nested_comment_end(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    let (mut depth, mut at) = (0_usize, 0);
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => {
                depth += 1;
                at += 2;
            }
            b"*/" => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => at += 1,
        }
    }
    None
}

/// Measures `/*!`, `/*!50001`, `/*M!` and `/*M!100100`.
pub(super) fn executable_begin(rest: &str) -> Option<usize> {
    let mark = ["/*!", "/*M!"].into_iter().find(|mark| rest.starts_with(mark))?;
    let digits = rest[mark.len()..].bytes().take_while(u8::is_ascii_digit).count();
    Some(mark.len() + if digits >= 5 { digits } else { 0 })
}

/// Leaves the carriage return of a CRLF line end outside of a comment.
pub(super) fn without_return(rest: &str, end: usize) -> usize {
    end - usize::from(end > 0 && rest.as_bytes()[end - 1] == b'\r')
}
