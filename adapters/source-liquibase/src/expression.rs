//! Which changesets are applied: contexts, labels and engines, as Liquibase compares them.

/// Says whether an expression of contexts or labels holds for a set of names, whose case does not matter: `a and !b`,
/// `(a or b) and c`, and `a, b` for any of them.
pub(crate) fn holds(expression: &str, names: &[String]) -> bool {
    let words = words(expression);
    let mut parser = Parser { words: &words, names };
    parser.any()
}

/// Returns an expression as the ledger shows it.
pub(crate) fn shown(expression: &str) -> String {
    let lower = expression.to_lowercase();
    if lower.contains(',') || lower.contains(" and ") || lower.contains(" or ") {
        format!("({expression})")
    } else {
        expression.to_owned()
    }
}

/// Says whether a list such as `postgresql, mysql` or `!h2` names an engine.
pub(crate) fn names_engine(list: &str, engine: &str) -> bool {
    let all: Vec<String> = list.split(',').map(|one| one.trim().to_lowercase()).collect();
    let is_said = |what: &str| all.iter().any(|one| one == what);
    if is_said("none") || is_said(&format!("!{engine}")) {
        return false;
    }
    let has_only_negations = all.iter().all(|one| one.starts_with('!') || one.is_empty());
    is_said("all") || is_said(engine) || has_only_negations
}

fn words(expression: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    for letter in expression.chars() {
        let is_sign = matches!(letter, '(' | ')' | '!' | ',');
        if is_sign || letter.is_whitespace() {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            if is_sign {
                words.push(letter.to_string());
            }
        } else {
            word.extend(letter.to_lowercase());
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

struct Parser<'a> {
    words: &'a [String],
    names: &'a [String],
}

impl Parser<'_> {
    fn take(&mut self, wanted: &str) -> bool {
        let is_it = self.words.first().is_some_and(|word| word == wanted);
        if is_it {
            self.words = &self.words[1..];
        }
        is_it
    }

    /// `a, b` is the same as `a or b`, and binds less.
    fn any(&mut self) -> bool {
        let mut holds = self.or();
        while self.take(",") {
            holds |= self.or();
        }
        holds
    }

    fn or(&mut self) -> bool {
        let mut holds = self.and();
        while self.take("or") {
            holds |= self.and();
        }
        holds
    }

    fn and(&mut self) -> bool {
        let mut holds = self.one();
        while self.take("and") {
            holds &= self.one();
        }
        holds
    }

    fn one(&mut self) -> bool {
        if self.take("!") || self.take("not") {
            return !self.one();
        }
        if self.take("(") {
            let holds = self.any();
            self.take(")");
            return holds;
        }
        let Some((word, rest)) = self.words.split_first() else {
            return true;
        };
        self.words = rest;
        let word = word.trim_start_matches('@');
        self.names.iter().any(|name| name.to_lowercase() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_holds_as_in_liquibase() {
        let names = ["Test".to_owned(), "dev".to_owned()];
        for (expression, expected) in [
            ("test", true),
            ("prod", false),
            ("!prod", true),
            ("not test", false),
            ("prod, test", true),
            ("prod or test", true),
            ("prod and test", false),
            ("test and (prod or dev)", true),
            ("!(prod or dev)", false),
            ("a and b or test", true),
        ] {
            assert_eq!(holds(expression, &names), expected, "{expression}");
        }
    }

    #[test]
    fn engines_are_named_or_excluded() {
        assert!(names_engine("postgresql, mysql", "mysql"));
        assert!(names_engine("!h2", "mysql"));
        assert!(!names_engine("!mysql,!h2", "mysql"));
        assert!(!names_engine("h2", "mysql"));
        assert!(names_engine("all", "mysql") && !names_engine("none", "mysql"));
    }
}
