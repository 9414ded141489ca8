//! Which changesets are applied: contexts, labels and engines, as Liquibase compares them.

/// Says whether an expression of labels holds for a set of names, whose case does not matter: `a and !b`, `(a or b) and c`,
/// and `a, b` for any of them.
///
/// # Errors
/// What is wrong with the expression.
pub(crate) fn holds(expression: &str, names: &[String]) -> Result<bool, String> {
    Ok(parsed(expression)?.holds(names))
}

/// Says whether an expression of contexts holds for those that are asked for. Where none are, all do but those that ask for
/// one by `@`.
///
/// # Errors
/// What is wrong with the expression.
pub(crate) fn is_in_context(expression: &str, asked: &[String]) -> Result<bool, String> {
    let tree = parsed(expression)?;
    Ok(if asked.is_empty() {
        tree.holds_unasked()
    } else {
        tree.holds(asked)
    })
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

/// An expression.
#[derive(Debug)]
enum Tree {
    /// Any of these; without any, everything.
    Any(Vec<Tree>),
    All(Vec<Tree>),
    Not(Box<Tree>),
    Name(String),
}

impl Tree {
    fn holds(&self, names: &[String]) -> bool {
        match self {
            Self::Any(all) => all.is_empty() || all.iter().any(|one| one.holds(names)),
            Self::All(all) => all.iter().all(|one| one.holds(names)),
            Self::Not(one) => !one.holds(names),
            Self::Name(name) => {
                let name = name.trim_start_matches('@');
                names.iter().any(|other| other.to_lowercase() == name)
            }
        }
    }

    fn holds_unasked(&self) -> bool {
        match self {
            Self::Any(all) => all.is_empty() || all.iter().any(Self::holds_unasked),
            Self::All(all) => all.iter().all(Self::holds_unasked),
            Self::Not(one) => !one.asks() || !one.holds_unasked(),
            Self::Name(_) => !self.asks(),
        }
    }

    /// Says whether something in it stands behind an `@`.
    fn asks(&self) -> bool {
        match self {
            Self::Any(all) | Self::All(all) => all.iter().any(Self::asks),
            Self::Not(one) => one.asks(),
            Self::Name(name) => name.starts_with('@'),
        }
    }
}

fn parsed(expression: &str) -> Result<Tree, String> {
    let words = words(expression);
    let mut parser = Parser { words: &words };
    let tree = parser.any().map_err(|why| format!("`{expression}` {why}"))?;
    match parser.words.first() {
        None => Ok(tree),
        Some(word) => Err(format!(
            "`{expression}` has no `and`, `or` or `,` before `{word}`"
        )),
    }
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
}

impl Parser<'_> {
    fn is_next(&self, wanted: &str) -> bool {
        self.words.first().is_some_and(|word| word == wanted)
    }

    fn take(&mut self, wanted: &str) -> bool {
        let is_it = self.is_next(wanted);
        if is_it {
            self.words = &self.words[1..];
        }
        is_it
    }

    /// `a, b` is the same as `a or b`, and binds less. Nothing between commas is nothing.
    fn any(&mut self) -> Result<Tree, String> {
        let mut all = Vec::new();
        loop {
            while self.take(",") {}
            if self.words.is_empty() || self.is_next(")") {
                return Ok(Tree::Any(all));
            }
            all.push(self.or()?);
            if !self.is_next(",") {
                return Ok(Tree::Any(all));
            }
        }
    }

    fn or(&mut self) -> Result<Tree, String> {
        let mut all = vec![self.and()?];
        while self.take("or") {
            all.push(self.and()?);
        }
        Ok(Tree::Any(all))
    }

    fn and(&mut self) -> Result<Tree, String> {
        let mut all = vec![self.one()?];
        while self.take("and") {
            all.push(self.one()?);
        }
        Ok(Tree::All(all))
    }

    fn one(&mut self) -> Result<Tree, String> {
        if self.take("!") || self.take("not") {
            return Ok(Tree::Not(Box::new(self.one()?)));
        }
        if self.take("(") {
            let tree = self.any()?;
            return if self.take(")") {
                Ok(tree)
            } else {
                Err("has a `(` without `)`".to_owned())
            };
        }
        match self.words.split_first() {
            Some((word, rest)) if !matches!(word.as_str(), ")" | "," | "and" | "or") => {
                self.words = rest;
                Ok(Tree::Name(word.clone()))
            }
            Some((word, _)) => Err(format!("lacks a name before `{word}`")),
            None => Err("lacks a name at its end".to_owned()),
        }
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
            ("@test", true),
            // Nothing between commas once was everything.
            ("prod,", false),
            (",prod", false),
            ("dev,", true),
            (",", true),
        ] {
            assert_eq!(holds(expression, &names), Ok(expected), "{expression}");
        }
    }

    /// As Liquibase 4.28.0 did without `--contexts`.
    #[test]
    fn where_no_contexts_are_asked_for_those_with_an_at_do_not_hold() {
        for (expression, expected) in [
            ("@test", false),
            ("!@test", true),
            ("a or @test", true),
            ("a, @test", true),
            ("a", true),
            ("!a", true),
            ("a and @test", false),
        ] {
            assert_eq!(is_in_context(expression, &[]), Ok(expected), "{expression}");
        }
    }

    #[test]
    fn what_is_no_expression_is_an_error() {
        for (expression, why) in [
            ("dev and", "`dev and` lacks a name at its end"),
            ("or dev", "`or dev` lacks a name before `or`"),
            ("(dev", "`(dev` has a `(` without `)`"),
            ("a b", "`a b` has no `and`, `or` or `,` before `b`"),
            ("dev)", "`dev)` has no `and`, `or` or `,` before `)`"),
            ("!", "`!` lacks a name at its end"),
        ] {
            assert_eq!(holds(expression, &[]), Err(why.to_owned()));
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
