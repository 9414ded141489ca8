//! Variables in strings: `${NAME}`, `${NAME:-default}`, and `$${` for a literal `${`.

/// Why a string cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ExpandError {
    /// Nobody has defined the variable, and no default is given.
    Undefined(String),
    /// A `${` is never closed, or holds what is not a name.
    Malformed(String),
}

/// Replaces each `${NAME}` by what `lookup` knows of it. A default is taken where the variable is undefined
/// or empty, as in a shell, and may hold variables itself.
pub(super) fn expand(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, ExpandError> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if at > 0 && rest.as_bytes()[at - 1] == b'$' {
            expanded.push_str(&rest[..at - 1]);
            expanded.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        expanded.push_str(&rest[..at]);
        let inside = &rest[at + 2..];
        let end = closing_brace(inside).ok_or_else(|| ExpandError::Malformed(rest[at..].to_owned()))?;
        expanded.push_str(&variable(&inside[..end], lookup)?);
        rest = &inside[end + 1..];
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn variable(inside: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, ExpandError> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let starts_well = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    if !starts_well
        || !name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    {
        return Err(ExpandError::Malformed(format!("${{{inside}}}")));
    }
    match (lookup(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => expand(default, lookup),
        (None, None) => Err(ExpandError::Undefined(name.to_owned())),
    }
}

/// Returns where the brace closes that was opened just before `text`.
fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let bytes = text.as_bytes();
    for (index, byte) in bytes.iter().enumerate() {
        match byte {
            b'{' if index > 0 && bytes[index - 1] == b'$' => depth += 1,
            b'}' if depth == 0 => return Some(index),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> Result<String, ExpandError> {
        expand(text, &|name| match name {
            "HOST" => Some("db1".to_owned()),
            "EMPTY" => Some(String::new()),
            "TRICK" => Some("${HOST}".to_owned()),
            _ => None,
        })
    }

    #[test]
    fn variables_and_defaults_are_filled_in() {
        assert_eq!(with("pg://${HOST}/${NAME:-app}").unwrap(), "pg://db1/app");
        assert_eq!(with("${EMPTY}|${EMPTY:-x}|${NONE:-}").unwrap(), "|x|");
        assert_eq!(with("${NONE:-${HOST}-${OTHER:-ü}}!").unwrap(), "db1-ü!");
        assert_eq!(
            with("no variables, $HOST, 5$, {}").unwrap(),
            "no variables, $HOST, 5$, {}"
        );
    }

    #[test]
    fn a_doubled_dollar_is_a_literal_one() {
        assert_eq!(with("$${HOST} ${HOST}").unwrap(), "${HOST} db1");
    }

    #[test]
    fn a_value_is_not_expanded_again() {
        assert_eq!(with("${TRICK}").unwrap(), "${HOST}");
    }

    #[test]
    fn what_is_undefined_or_malformed_is_named() {
        assert_eq!(with("a${NONE}b"), Err(ExpandError::Undefined("NONE".into())));
        assert_eq!(with("a${NONE"), Err(ExpandError::Malformed("${NONE".into())));
        assert_eq!(with("${}"), Err(ExpandError::Malformed("${}".into())));
        assert_eq!(with("${1A}"), Err(ExpandError::Malformed("${1A}".into())));
        assert_eq!(with("${A B}"), Err(ExpandError::Malformed("${A B}".into())));
    }
}
