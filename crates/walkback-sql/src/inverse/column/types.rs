//! Which changes of type keep every value.

/// Returns whether every value of the old type is kept by the new one, as far as that is plain to see. `false`
/// where it is not.
pub(super) fn widens(old: &str, new: &str) -> bool {
    let (old, new) = (Type::read(old), Type::read(new));
    if old == new {
        return true;
    }
    if let Some((old, new)) = old.integer_width().zip(new.integer_width()) {
        return old <= new;
    }
    match (old.name.as_str(), new.name.as_str()) {
        ("varchar", "varchar") => match (old.sizes.first(), new.sizes.first()) {
            (_, None) => true,
            (Some(old), Some(new)) => old <= new,
            (None, Some(_)) => false,
        },
        ("varchar", "text") | ("real", "double") => true,
        ("numeric", "numeric") => match (old.sizes.as_slice(), new.sizes.as_slice()) {
            (_, []) => true,
            ([precision, scale], [new_precision, new_scale]) => {
                scale <= new_scale
                    && precision.saturating_sub(*scale) <= new_precision.saturating_sub(*new_scale)
            }
            _ => false,
        },
        (old, new) => text_rank(old)
            .zip(text_rank(new))
            .is_some_and(|(old, new)| old <= new),
    }
}

/// The texts of MySQL, which hold more and more.
fn text_rank(name: &str) -> Option<u8> {
    Some(match name {
        "tinytext" => 0,
        "text" => 1,
        "mediumtext" => 2,
        "longtext" => 3,
        _ => return None,
    })
}

/// A type, its spelling made one.
#[derive(PartialEq, Eq)]
struct Type {
    name: String,
    sizes: Vec<u32>,
    unsigned: bool,
}

impl Type {
    fn read(text: &str) -> Self {
        let lower = text.to_ascii_lowercase();
        let (words, sizes) = match lower.split_once('(') {
            Some((name, rest)) => {
                let (sizes, behind) = rest.split_once(')').unwrap_or((rest, ""));
                (format!("{name} {behind}"), sizes.to_owned())
            }
            None => (lower, String::new()),
        };
        let unsigned = words.split_whitespace().any(|word| word == "unsigned");
        let name: Vec<&str> = words
            .split_whitespace()
            .filter(|word| *word != "unsigned")
            .collect();
        Self {
            name: one_name(&name.join(" ")),
            sizes: sizes
                .split(',')
                .filter_map(|size| size.trim().parse().ok())
                .collect(),
            unsigned,
        }
    }

    /// Returns the width in bytes, if it is an integer; the sizes MySQL writes behind one mean nothing. An
    /// unsigned one has no place in this order unless both are, which equality of spelling decides.
    fn integer_width(&self) -> Option<u8> {
        if self.unsigned {
            return None;
        }
        Some(match self.name.as_str() {
            "tinyint" => 1,
            "smallint" => 2,
            "mediumint" => 3,
            "integer" => 4,
            "bigint" => 8,
            _ => return None,
        })
    }
}

fn one_name(name: &str) -> String {
    match name {
        "int" | "int4" | "serial" => "integer",
        "int8" | "bigserial" => "bigint",
        "int2" | "smallserial" => "smallint",
        "character varying" => "varchar",
        "decimal" | "dec" => "numeric",
        "float4" => "real",
        "float8" | "double precision" => "double",
        other => other,
    }
    .to_owned()
}
