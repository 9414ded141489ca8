//! Links in Markdown: does each lead somewhere?

use std::fs;
use std::path::{Component, Path, PathBuf};

/// A link that leads nowhere.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dead {
    pub(crate) line: usize,
    pub(crate) target: String,
    pub(crate) why: String,
}

/// Returns the links of a page to files of this repository that are dead. Links to other sites are not
/// followed.
pub(crate) fn dead(page: &Path, text: &str) -> Vec<Dead> {
    let mut found = Vec::new();
    for (line, target) in links(text) {
        if let Some(why) = trouble(page, text, &target) {
            found.push(Dead { line, target, why });
        }
    }
    found
}

fn trouble(page: &Path, text: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = match target.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (target, None),
    };
    if path.starts_with('/') {
        return Some("a link from the root works on no site".to_owned());
    }
    let file = if path.is_empty() {
        page.to_path_buf()
    } else {
        normal(&page.parent().unwrap_or(Path::new("")).join(path))
    };
    if !path.is_empty() && !file.exists() {
        return Some("there is no such file".to_owned());
    }
    let anchor = anchor?;
    if file.extension().is_none_or(|extension| extension != "md") {
        return None;
    }
    let other = if path.is_empty() {
        text.to_owned()
    } else {
        fs::read_to_string(&file).ok()?
    };
    let known = anchors(&other);
    (!known.iter().any(|known| known == anchor)).then(|| "the page has no such heading".to_owned())
}

/// Resolves `..` without asking the file system.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(out.pop()),
            Component::CurDir => {}
            other => out.push(other),
        }
    }
    out
}

/// Returns the targets of inline links and images, and of reference definitions, outside of code.
pub(crate) fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in lines_outside_code(text) {
        let line = without_inline_code(line);
        let mut rest = line.as_str();
        while let Some(at) = rest.find("](") {
            rest = &rest[at + 2..];
            let Some(end) = rest.find(')') else { break };
            let target = rest[..end].split(' ').next().unwrap_or_default();
            found.push((number, target.trim_matches(['<', '>']).to_owned()));
            rest = &rest[end..];
        }
        if let Some((label, target)) = line.split_once("]: ")
            && label.starts_with('[')
        {
            found.push((number, target.split(' ').next().unwrap_or_default().to_owned()));
        }
    }
    found
}

fn lines_outside_code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            return None;
        }
        (!fenced).then_some((index + 1, line))
    })
}

fn without_inline_code(line: &str) -> String {
    line.split('`')
        .enumerate()
        .map(|(index, part)| if index % 2 == 0 { part } else { "code" })
        .collect()
}

/// Returns the anchors of a page's headings, as GitHub and mdBook make them.
fn anchors(text: &str) -> Vec<String> {
    lines_outside_code(text)
        .filter(|(_, line)| line.starts_with('#'))
        .map(|(_, line)| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter_map(|c| match c {
                    ' ' => Some('-'),
                    c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
                    _ => None,
                })
                .collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_outside_of_code_only() {
        let text =
            "[a](b.md) ![c](d.png \"t\") `[x](y)`\n```\n[no](no.md)\n```\n[ref]: e.md\n[two](f) [three](g#h)";
        let targets: Vec<_> = links(text).into_iter().map(|(_, target)| target).collect();
        assert_eq!(targets, ["b.md", "d.png", "e.md", "f", "g#h"]);
    }

    #[test]
    fn a_dead_file_and_a_dead_heading_are_both_found() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("deep")).expect("a folder");
        fs::write(folder.path().join("there.md"), "# One `thing`, twice\n").expect("a file");
        let page = folder.path().join("deep/page.md");
        let text = "# Here\n[a](../there.md#one-thing-twice) [b](#here) [c](https://example.org/x)\n[d](../gone.md)\n[e](../there.md#two) [f](#nowhere) [g](/there.md)";
        let targets: Vec<_> = dead(&page, text)
            .into_iter()
            .map(|dead| (dead.line, dead.target))
            .collect();
        assert_eq!(
            targets,
            [
                (3, "../gone.md".to_owned()),
                (4, "../there.md#two".to_owned()),
                (4, "#nowhere".to_owned()),
                (4, "/there.md".to_owned()),
            ]
        );
    }
}
