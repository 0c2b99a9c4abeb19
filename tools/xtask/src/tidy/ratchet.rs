//! The exceptions to the rules about sizes and circles: a list that may only get shorter and whose numbers may only get smaller.
//!
//! Each line is `function|file|tests|folder|circle`, a path (for a function followed by `::` and its name), and the size it
//! has now.

use std::collections::BTreeMap;

use crate::tidy::finding::Finding;
use crate::tidy::measure::{Measure, Size};
use crate::tidy::tree::Tree;

const RULE: &str = "ratchet";
/// How a line is written.
const FORM: &str = "write `function|file|tests|folder|circle PATH SIZE`";

/// The listed exceptions.
#[derive(Default)]
pub(crate) struct Ratchet {
    entries: BTreeMap<(Measure, String), Entry>,
}

struct Entry {
    line: usize,
    size: usize,
}

impl Ratchet {
    /// Holds what is too big in the tree against the list in the file at `path`.
    pub(crate) fn check_tree(tree: &Tree, path: &str, too_big: &[Size], earlier: &[Self]) -> Vec<Finding> {
        let (ratchet, broken) = Self::parse(tree.file(path).map_or("", |file| &file.text));
        let mut findings = ratchet.check(path, too_big, earlier);
        findings.extend(broken.into_iter().map(|(line, message)| Finding::new(RULE, path, line, message)));
        findings
    }

    /// Reads the list; gives what cannot be read as line and message.
    pub(crate) fn parse(text: &str) -> (Self, Vec<(usize, String)>) {
        let mut ratchet = Self::default();
        let mut broken = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let mut words = line.split_whitespace();
            let parsed = (|| {
                let measure = Measure::from_word(words.next()?)?;
                let (what, size) = (words.next()?, words.next()?.parse().ok()?);
                words.next().is_none().then(|| ((measure, what.to_owned()), Entry { line: index + 1, size }))
            })();
            match parsed {
                Some((key, entry)) => drop(ratchet.entries.insert(key, entry)),
                None => {
                    broken.push((index + 1, FORM.to_owned()));
                }
            }
        }
        (ratchet, broken)
    }

    /// By how much the listed exceptions exceed the limits, all together.
    fn excess(&self) -> usize {
        self.entries.iter().map(|((measure, _), entry)| entry.size.saturating_sub(measure.limit())).sum()
    }

    /// Holds what is too big against the list, and the list against what is there and what it was.
    fn check(&self, path: &str, too_big: &[Size], earlier: &[Self]) -> Vec<Finding> {
        let mut findings = Vec::new();
        for size in too_big {
            match self.entries.get(&(size.measure, size.what.clone())) {
                None => findings.push(size.finding()),
                Some(entry) if entry.size < size.size => findings.push(size.finding()),
                Some(_) => {}
            }
        }
        for ((measure, what), entry) in &self.entries {
            let actual = too_big.iter().find(|size| size.measure == *measure && size.what == *what);
            let message = match actual {
                None => format!("`{what}` is no longer too big: remove this line"),
                Some(size) if size.size < entry.size => format!("`{what}` has shrunk: write {}", size.size),
                Some(_) => continue,
            };
            findings.push(Finding::new(RULE, path, entry.line, message));
        }
        if earlier.iter().any(|before| before.excess() < self.excess()) {
            let message =
                "the exceptions have grown since the last commits; they may only shrink: split what is new";
            findings.push(Finding::new(RULE, path, 1, message));
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(size: usize) -> Size {
        let what = "src/a.rs::work".to_owned();
        Size {
            measure: Measure::Function,
            what,
            path: "src/a.rs".to_owned(),
            line: 9,
            size,
            remark: String::new(),
        }
    }

    fn messages(list: &str, too_big: &[Size], earlier: &[&str]) -> Vec<String> {
        let earlier: Vec<_> = earlier.iter().map(|text| Ratchet::parse(text).0).collect();
        let found = Ratchet::parse(list).0.check("ratchet.txt", too_big, &earlier);
        found.into_iter().map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn a_listed_exception_may_stay_but_not_grow() {
        assert!(messages("function src/a.rs::work 80\n", &[size(80)], &[]).is_empty());
        assert!(
            messages("function src/a.rs::work 80\n", &[size(81)], &[])[0].starts_with("src/a.rs:9: size")
        );
        assert!(messages("", &[size(71)], &[])[0].contains("71 lines"));
    }

    #[test]
    fn the_list_follows_what_shrinks() {
        let list = "# exceptions\n\nfunction src/a.rs::work 80\n";
        assert!(
            messages(list, &[size(75)], &[])[0]
                .contains("ratchet.txt:3: ratchet: `src/a.rs::work` has shrunk: write 75")
        );
        assert!(messages(list, &[], &[])[0].contains("remove this line"));
    }

    #[test]
    fn the_list_may_not_grow_between_commits() {
        let now = "function src/a.rs::work 80\n";
        assert!(messages(now, &[size(80)], &["function src/old.rs::work 80\n"]).is_empty(), "moved");
        assert!(messages(now, &[size(80)], &["function src/a.rs::work 79\n"])[0].contains("have grown"));
        assert!(messages(now, &[size(80)], &[""])[0].contains("have grown"));
    }

    #[test]
    fn the_list_is_read_from_the_tree() {
        let tree = crate::tidy::tree::fixture(&[("ratchet.txt", "function src/a.rs::work 80\nrubbish\n")]);
        let found = Ratchet::check_tree(&tree, "ratchet.txt", &[size(80)], &[]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].line, 2);
    }

    #[test]
    fn nonsense_is_pointed_at() {
        let broken = Ratchet::parse("function src/a.rs::work 80\nfunction x\nspeed x 3\nfile x 3 4\n").1;
        assert_eq!(broken.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3, 4]);
    }
}
