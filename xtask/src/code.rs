//! Looks at Rust source without its comments, its texts and its tests.

/// Returns the source with the inside of comments and of string and character literals turned into blanks.
/// Line breaks stay, so that line numbers do too.
pub(crate) fn without_comments_and_texts(source: &str) -> String {
    Scanner::new(source).run()
}

/// Returns blanked source with every item under `#[cfg(test)]` turned into blanks as well.
pub(crate) fn without_tests(blanked: &str) -> String {
    let mut out = blanked.as_bytes().to_vec();
    let mut from = 0;
    while let Some(found) = blanked[from..].find("#[cfg(test)]") {
        let start = from + found;
        let end = end_of_item(blanked.as_bytes(), start);
        for byte in &mut out[start..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        from = end;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Finds the end of the item that begins here: its closing brace, or its semicolon if that comes first.
fn end_of_item(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in bytes.iter().enumerate().skip(start) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth <= 1 => return at + 1,
            b'}' => depth -= 1,
            b';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    bytes.len()
}

/// Returns the numbers of the lines in which a word stands that is followed by this text.
///
/// The word must begin where no identifier goes on: `println!` is not found in `eprintln!`.
pub(crate) fn lines_with(source: &str, word: &str) -> Vec<usize> {
    source
        .lines()
        .enumerate()
        .filter(|(_, line)| begins_a_word(line, word))
        .map(|(index, _)| index + 1)
        .collect()
}

fn begins_a_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

struct Scanner<'s> {
    source: &'s [u8],
    out: Vec<u8>,
    at: usize,
}

impl<'s> Scanner<'s> {
    fn new(source: &'s str) -> Self {
        Self {
            source: source.as_bytes(),
            out: Vec::with_capacity(source.len()),
            at: 0,
        }
    }

    fn run(mut self) -> String {
        while self.at < self.source.len() {
            let rest = &self.source[self.at..];
            if rest.starts_with(b"//") {
                self.blank(line_end(rest));
            } else if rest.starts_with(b"/*") {
                self.blank(block_comment_end(rest));
            } else if let Some(length) = raw_text(rest).filter(|_| !self.inside_word()) {
                self.text_to(length);
            } else if rest[0] == b'"' {
                self.text_to(quoted_end(rest, b'"'));
            } else if rest[0] == b'\'' && is_character(rest) {
                self.text_to(quoted_end(rest, b'\''));
            } else {
                self.keep(1);
            }
        }
        String::from_utf8_lossy(&self.out).into_owned()
    }

    /// Whether the byte before is part of an identifier, so that an `r` here does not begin a raw text.
    fn inside_word(&self) -> bool {
        self.at > 0 && is_word(self.source[self.at - 1])
    }

    fn keep(&mut self, length: usize) {
        self.out
            .extend_from_slice(&self.source[self.at..self.at + length]);
        self.at += length;
    }

    fn blank(&mut self, length: usize) {
        let blanked = self.source[self.at..self.at + length]
            .iter()
            .map(|byte| if *byte == b'\n' { b'\n' } else { b' ' });
        self.out.extend(blanked);
        self.at += length;
    }

    fn text_to(&mut self, length: usize) {
        if length < 2 {
            self.blank(length);
            return;
        }
        // The quotes stay: `concat!("", "")` should still look like code.
        self.keep(1);
        self.blank(length - 2);
        self.keep(1);
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn line_end(rest: &[u8]) -> usize {
    rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())
}

fn block_comment_end(rest: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// Returns the length of the raw text (`r"..."`, `br#"..."#`) that begins here.
fn raw_text(rest: &[u8]) -> Option<usize> {
    let prefix = rest.iter().take_while(|byte| b"bcr".contains(byte)).count();
    if prefix == 0 || prefix > 2 || rest[prefix - 1] != b'r' {
        return None;
    }
    let hashes = rest[prefix..].iter().take_while(|byte| **byte == b'#').count();
    let open = prefix + hashes;
    if rest.get(open) != Some(&b'"') {
        return None;
    }
    let close: Vec<u8> = std::iter::once(b'"')
        .chain(std::iter::repeat_n(b'#', hashes))
        .collect();
    let body = &rest[open + 1..];
    let end = body.windows(close.len()).position(|window| window == close);
    Some(end.map_or(rest.len(), |end| open + 1 + end + close.len()))
}

fn quoted_end(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// Tells a character from a lifetime: `'a'` and `'\n'` from `'a`.
fn is_character(rest: &[u8]) -> bool {
    match rest.get(1) {
        Some(b'\\') => true,
        Some(first) => {
            let width = match first {
                0x00..=0x7f => 1,
                0x80..=0xdf => 2,
                0xe0..=0xef => 3,
                0xf0..=0xff => 4,
            };
            rest.get(1 + width) == Some(&b'\'')
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_texts_are_blanked_and_lines_stay() {
        let source = "let a = \"x // y\"; // println!\n/* a /* b */ q */ let b = 'x';\nlet c = '\"'; f::<'a>(\"\\\"\");";
        let out = without_comments_and_texts(source);
        assert_eq!(out.len(), source.len());
        assert_eq!(out.lines().count(), 3);
        assert!(!out.contains("println") && !out.contains("// y") && !out.contains('q'));
        assert!(
            out.contains("let b = ' '") && out.contains("f::<'a>(\"  \")"),
            "{out}"
        );
    }

    #[test]
    fn raw_texts_end_where_their_hashes_say() {
        let out = without_comments_and_texts("r#\"a \" todo!() \"# x; br\"\\\" y; for\"z\"");
        assert!(!out.contains("todo") && !out.contains('z'), "{out}");
        assert!(out.contains("# x; b") && out.contains(" y; for"), "{out}");
    }

    #[test]
    fn tests_are_blanked_with_their_whole_body() {
        let source = "fn a() {}\n#[cfg(test)]\nmod tests { fn b() { std::env::args(); } }\nfn c() { std::env::args(); }\n#[cfg(test)]\nuse d;\n";
        let out = without_tests(source);
        assert_eq!(lines_with(&out, "std::env"), [4]);
        assert!(!out.contains("use d"));
    }

    #[test]
    fn a_word_is_not_found_inside_another() {
        assert_eq!(
            lines_with("eprintln!()\nprintln!()\n(println!())", "println!"),
            [2, 3]
        );
    }
}
