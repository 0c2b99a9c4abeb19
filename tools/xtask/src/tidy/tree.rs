//! The text of the checkout, read once; Rust files are parsed once too.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use syn::visit::Visit;

use crate::command;
use crate::tidy::finding::Finding;

/// Every text file that is tracked or would be.
pub(crate) struct Tree {
    /// Sorted by path.
    pub(crate) files: Vec<TextFile>,
    /// Rust files that cannot be parsed.
    pub(crate) broken: Vec<Finding>,
}

/// One file.
pub(crate) struct TextFile {
    /// From the root of the checkout, with `/`.
    pub(crate) path: String,
    /// All of it.
    pub(crate) text: String,
    /// For `.rs` files that can be parsed.
    pub(crate) syntax: Option<syn::File>,
    /// Whether the whole file is there for tests.
    pub(crate) is_test: bool,
}

impl Tree {
    /// Reads what git tracks and what it would add. Files that are not UTF-8 are left out.
    pub(crate) fn load(root: &Path) -> Result<Self> {
        let listing = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let listed = command::output(&mut command::git(&listing)?)
            .context("tidy asks git which files belong to the project")?;
        let mut texts = Vec::new();
        for path in listed.split('\0').filter(|path| !path.is_empty()) {
            // A file that git still lists but that is gone from the folder is not ours to judge.
            let Ok(bytes) = fs::read(root.join(path)) else { continue };
            if let Ok(text) = String::from_utf8(bytes) {
                texts.push((path.to_owned(), text));
            }
        }
        Ok(Self::from_texts(texts))
    }

    /// A tree of these files.
    pub(crate) fn from_texts(texts: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut tree = Self { files: Vec::new(), broken: Vec::new() };
        for (path, text) in texts {
            let mut syntax = None;
            if path.ends_with(".rs") {
                match syn::parse_file(&text) {
                    Ok(file) => syntax = Some(file),
                    Err(error) => tree.broken.push(Finding::new(
                        "syntax",
                        &path,
                        error.span().start().line,
                        format!("cannot be parsed: {error}"),
                    )),
                }
            }
            let is_test = is_test_path(&path);
            tree.files.push(TextFile { path, text, syntax, is_test });
        }
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        tree.mark_declared_tests();
        tree
    }

    /// Marks the files of `#[cfg(test)] mod name;`.
    fn mark_declared_tests(&mut self) {
        let mut places = Vec::new();
        for (file, syntax) in self.rust() {
            let folder = match file.path.rsplit_once('/') {
                Some((folder, "lib.rs" | "main.rs" | "mod.rs")) => folder,
                _ => file.path.trim_end_matches(".rs"),
            };
            for item in &syntax.items {
                if let syn::Item::Mod(module) = item
                    && module.content.is_none()
                    && is_for_tests(&module.attrs)
                {
                    places.push(format!("{folder}/{}", module.ident));
                }
            }
        }
        for file in &mut self.files {
            let is_in = |place: &String| {
                file.path
                    .strip_prefix(place.as_str())
                    .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
            };
            file.is_test |= places.iter().any(is_in);
        }
    }

    /// The file at this path.
    pub(crate) fn file(&self, path: &str) -> Option<&TextFile> {
        let index = self.files.binary_search_by(|file| file.path.as_str().cmp(path)).ok()?;
        self.files.get(index)
    }

    /// The Rust files that can be parsed.
    pub(crate) fn rust(&self) -> impl Iterator<Item = (&TextFile, &syn::File)> {
        self.files.iter().filter_map(|file| file.syntax.as_ref().map(|syntax| (file, syntax)))
    }

    /// The folder whose `src` this file is in, for instance `crates/traffic/http`.
    pub(crate) fn crate_folder(path: &str) -> Option<&str> {
        path.find("/src/").map(|end| path.split_at(end).0)
    }
}

impl TextFile {
    /// The file's last name.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// First and last lines of inline modules that are only there for tests.
    pub(crate) fn test_modules(&self) -> Vec<(usize, usize)> {
        let mut found = TestModules(Vec::new());
        if let Some(syntax) = &self.syntax {
            found.visit_file(syntax);
        }
        found.0
    }
}

fn is_test_path(path: &str) -> bool {
    path.split('/').any(|part| matches!(part, "tests" | "benches" | "tests.rs"))
}

struct TestModules(Vec<(usize, usize)>);

impl<'ast> Visit<'ast> for TestModules {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_for_tests(&module.attrs) {
            return syn::visit::visit_item_mod(self, module);
        }
        let first = module.attrs.first().map_or(module.ident.span(), |a| a.pound_token.span).start().line;
        if let Some((brace, _)) = &module.content {
            self.0.push((first, brace.span.close().end().line));
        }
    }
}

/// Whether an item is compiled for tests only.
pub(crate) fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg")
                && attribute.meta.require_list().is_ok_and(|list| {
                    let words = list.tokens.to_string();
                    words.contains("test") && !words.contains("not")
                })
    })
}

#[cfg(test)]
pub(crate) fn fixture(files: &[(&str, &str)]) -> Tree {
    Tree::from_texts(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_test_modules_with_their_attributes() {
        let tree = fixture(&[("a.rs", "fn a() {}\n\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n")]);
        assert_eq!(tree.file("a.rs").unwrap().test_modules(), [(3, 6)]);
        let other = fixture(&[("a.rs", "#[cfg(not(test))]\nmod real {\n}\n")]);
        assert!(other.file("a.rs").unwrap().test_modules().is_empty());
    }

    #[test]
    fn a_broken_file_is_a_finding() {
        let tree = fixture(&[("a.rs", "fn a() {\n")]);
        assert_eq!(tree.broken.len(), 1);
        assert_eq!(tree.rust().count(), 0);
    }

    #[test]
    fn knows_test_files_and_crate_folders() {
        let tree =
            fixture(&[("crates/a/src/b/tests.rs", ""), ("crates/a/src/b.rs", ""), ("tests/src/c.rs", "")]);
        let marks: Vec<_> = tree.files.iter().map(|file| file.is_test).collect();
        assert_eq!(marks, [false, true, true]);
        let files = [
            ("a/kinds.rs", "#[cfg(test)]\nmod fixture;\nmod x;"),
            ("a/kinds/fixture.rs", ""),
            ("a/kinds/x.rs", ""),
        ];
        let marks: Vec<_> = fixture(&files).files.iter().map(|file| file.is_test).collect();
        assert_eq!(marks, [false, true, false]);
        assert_eq!(Tree::crate_folder("crates/a/src/b.rs"), Some("crates/a"));
        assert_eq!(Tree::crate_folder("README.md"), None);
    }

    #[test]
    fn the_real_tree_holds_this_file() {
        let tree = Tree::load(&command::root().unwrap()).unwrap();
        assert!(tree.file("tools/xtask/src/tidy/tree.rs").is_some());
    }
}
