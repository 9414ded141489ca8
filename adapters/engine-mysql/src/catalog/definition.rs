//! Reads what `SHOW CREATE TABLE` says: elements between parentheses, and options behind them.

use walkback_sql::lexer::{Lexer, Token, TokenKind};

use crate::dialect::{KIND, quoted};

/// A `CREATE TABLE`, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Definition<'a> {
    /// Columns, keys and constraints, in order.
    pub(crate) elements: Vec<Element<'a>>,
    /// What stands behind the closing parenthesis.
    pub(crate) options: &'a str,
}

/// One element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    /// What it is.
    pub(crate) sort: Sort,
    /// Its name; empty for the primary key and a period.
    pub(crate) name: String,
    /// All of it.
    pub(crate) text: &'a str,
    /// What stands behind the name.
    pub(crate) rest: &'a str,
}

/// What an element of a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    Column,
    PrimaryKey,
    Key,
    ForeignKey,
    Check,
    /// A period of a table that keeps its own history.
    Other,
}

impl<'a> Definition<'a> {
    /// Reads a statement as the server writes it.
    pub(crate) fn read(sql: &'a str) -> Option<Self> {
        let tokens: Vec<Token<'a>> = Lexer::new(KIND, sql).collect();
        let open = tokens.iter().position(|token| token.is_symbol("("))?;
        let (mut depth, mut start) = (0_usize, open + 1);
        let mut elements = Vec::new();
        for (index, token) in tokens.iter().enumerate().skip(open) {
            if token.is_symbol("(") {
                depth += 1;
            } else if token.is_symbol(")") {
                depth -= 1;
            }
            let ends = depth == 0 || depth == 1 && token.is_symbol(",");
            if ends {
                elements.push(element(sql, tokens.get(start..index)?)?);
                start = index + 1;
            }
            if depth == 0 {
                return Some(Self {
                    elements,
                    options: sql[token.end()..].trim(),
                });
            }
        }
        None
    }

    /// Returns the elements of one sort.
    pub(crate) fn of(&self, sort: Sort) -> impl Iterator<Item = &Element<'a>> {
        self.elements.iter().filter(move |element| element.sort == sort)
    }

    /// Writes a `CREATE TABLE` of these elements.
    pub(crate) fn write<'e>(table: &str, elements: impl Iterator<Item = &'e str>, options: &str) -> String {
        let elements: Vec<_> = elements.collect();
        format!(
            "CREATE TABLE {table} (\n  {}\n) {options}",
            elements.join(",\n  ")
        )
        .trim_end()
        .to_owned()
    }
}

fn element<'a>(sql: &'a str, tokens: &[Token<'a>]) -> Option<Element<'a>> {
    let (first, last) = (tokens.first()?, tokens.last()?);
    // A space or a line end is no token, but what a text ends with may be.
    let text = sql[first.offset..last.end()].trim();
    let is = |index: usize, word: &str| tokens.get(index).is_some_and(|token| token.is_word(word));
    let named = |sort, index: usize| {
        let token = tokens
            .get(index)
            .filter(|token| token.kind == TokenKind::QuotedName)?;
        Some(Element {
            sort,
            name: unquoted(token.text),
            text,
            rest: sql[token.end()..last.end()].trim(),
        })
    };
    let unnamed = |sort| {
        Some(Element {
            sort,
            name: String::new(),
            text,
            rest: text,
        })
    };
    if first.kind == TokenKind::QuotedName {
        named(Sort::Column, 0)
    } else if is(0, "PRIMARY") {
        unnamed(Sort::PrimaryKey)
    } else if is(0, "CONSTRAINT") && is(2, "FOREIGN") {
        named(Sort::ForeignKey, 1)
    } else if is(0, "CONSTRAINT") && is(2, "CHECK") {
        named(Sort::Check, 1)
    } else if is(0, "KEY") {
        named(Sort::Key, 1)
    } else if is(1, "KEY")
        && ["UNIQUE", "FULLTEXT", "SPATIAL", "VECTOR"]
            .iter()
            .any(|word| is(0, word))
    {
        named(Sort::Key, 2)
    } else {
        unnamed(Sort::Other)
    }
}

/// Returns a name without its quotes.
pub(crate) fn unquoted(text: &str) -> String {
    let inner = text.strip_prefix('`').and_then(|text| text.strip_suffix('`'));
    inner.map_or_else(|| text.to_owned(), |inner| inner.replace("``", "`"))
}

/// Returns the names in the first parentheses of a text: columns of a key, in order, without lengths.
pub(crate) fn names_in_parentheses(text: &str) -> Vec<String> {
    let mut depth = 0_usize;
    let mut names = Vec::new();
    for token in Lexer::new(KIND, text) {
        if token.is_symbol("(") {
            depth += 1;
        } else if token.is_symbol(")") {
            depth -= 1;
            if depth == 0 {
                break;
            }
        } else if depth == 1 && token.kind == TokenKind::QuotedName {
            names.push(unquoted(token.text));
        }
    }
    names
}

/// Takes `AUTO_INCREMENT=n` out of the options of a table, and returns it.
pub(crate) fn without_position(options: &str) -> (String, Option<u64>) {
    let tokens: Vec<_> = Lexer::new(KIND, options).collect();
    for three in tokens.windows(3) {
        let [word, equals, number] = three else { continue };
        if word.is_word("AUTO_INCREMENT") && equals.is_symbol("=") && number.kind == TokenKind::Number {
            let (before, after) = (&options[..word.offset], &options[number.end()..]);
            let position = number.text.parse().ok();
            return (format!("{}{}", before, after.trim_start()), position);
        }
    }
    (options.to_owned(), None)
}

/// Returns a text with another table's name in the place of the one it begins with.
pub(crate) fn retargeted(definition: &str, from: &str, to: &str) -> Option<String> {
    let rest = definition.strip_prefix(&format!("ALTER TABLE {} ", quoted(from)))?;
    Some(format!("ALTER TABLE {} {rest}", quoted(to)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "CREATE TABLE `a,(b` (\n  `id` int NOT NULL AUTO_INCREMENT,\n  `x``y` varchar(10) \
        CHARACTER SET latin1 DEFAULT 'a,)''b\\'c',\n  `n` decimal(5,2) GENERATED ALWAYS AS ((`id` + 1)) STORED \
        /*!80023 INVISIBLE */,\n  PRIMARY KEY (`id`),\n  UNIQUE KEY `u` (`x``y`(5),`n` DESC),\n  KEY `e` ((`id` + 1)),\n  \
        FULLTEXT KEY `f` (`x``y`),\n  CONSTRAINT `fk` FOREIGN KEY (`n`) REFERENCES `p` (`q`) ON DELETE CASCADE,\n  \
        CONSTRAINT `c` CHECK ((`n` > 0))\n) ENGINE=InnoDB AUTO_INCREMENT=77 DEFAULT CHARSET=utf8mb4 COMMENT='AUTO_INCREMENT=5'\n\
        /*!50100 PARTITION BY HASH (`id`)\nPARTITIONS 2 */";

    #[test]
    fn a_table_is_taken_apart_at_its_commas_and_nowhere_else() {
        let read = Definition::read(TABLE).unwrap();
        let sorts: Vec<_> = read.elements.iter().map(|element| element.sort).collect();
        use Sort as S;
        assert_eq!(
            sorts,
            [
                S::Column,
                S::Column,
                S::Column,
                S::PrimaryKey,
                S::Key,
                S::Key,
                S::Key,
                S::ForeignKey,
                S::Check
            ]
        );
        assert_eq!(read.elements[1].name, "x`y");
        assert!(
            read.elements[1].rest.ends_with(r"'a,)''b\'c'"),
            "{}",
            read.elements[1].rest
        );
        assert!(read.elements[2].text.ends_with("*/"), "{}", read.elements[2].text);
        assert_eq!(names_in_parentheses(read.elements[4].rest), ["x`y", "n"]);
        assert_eq!(read.elements[7].name, "fk");
        let (options, position) = without_position(read.options);
        assert_eq!(position, Some(77));
        assert!(options.starts_with("ENGINE=InnoDB DEFAULT"), "{options}");
        assert!(options.contains("'AUTO_INCREMENT=5'") && options.ends_with("PARTITIONS 2 */"));
    }

    #[test]
    fn what_is_not_a_table_is_not_read() {
        for sql in [
            "",
            "CREATE TABLE `t`",
            "CREATE TABLE `t` (`a` int",
            "CREATE TABLE `t` ()",
        ] {
            assert_eq!(Definition::read(sql), None, "{sql}");
        }
    }

    #[test]
    fn only_the_table_that_is_altered_is_replaced() {
        assert_eq!(
            retargeted("ALTER TABLE `t` ADD KEY `t` (`t`)", "t", "s`x").as_deref(),
            Some("ALTER TABLE `s``x` ADD KEY `t` (`t`)")
        );
        assert_eq!(retargeted("ALTER TABLE `tt` ADD KEY `t` (`t`)", "t", "s"), None);
    }
}
