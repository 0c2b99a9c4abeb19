//! Every kind is listed, tested and documented.
//!
//! A folder `kinds/` holds one file (or folder) per kind; `kinds/mod.rs` or `kinds.rs` beside it holds the list.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::Span;
use syn::visit::Visit;

use crate::tidy::finding::Finding;
use crate::tidy::tree::{TextFile, Tree, is_for_tests};

const RULE: &str = "kinds";
/// Where the generated pages are.
const REFERENCE: &str = "docs/reference/";
/// How a kind states its name.
const NAME_CARD: &str = "KindInfo";

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    folders(tree).iter().flat_map(|folder| check_folder(tree, folder)).collect()
}

/// Folders called `kinds` with Rust files in them.
fn folders(tree: &Tree) -> BTreeSet<String> {
    let folder = |path: &str| {
        let end = path.find("/kinds/")? + "/kinds".len();
        Some(path.split_at(end).0.to_owned())
    };
    tree.rust().filter_map(|(file, _)| folder(&file.path)).collect()
}

fn check_folder(tree: &Tree, folder: &str) -> Vec<Finding> {
    let listing = [format!("{folder}/mod.rs"), format!("{folder}.rs")];
    let Some(list_file) = listing.iter().find_map(|path| tree.file(path)) else {
        return vec![Finding::new(RULE, folder, 1, "write mod.rs here, with the list `ALL` of the kinds")];
    };
    let listed = Listing::read(list_file);
    let mut findings = Vec::new();
    if listed.words.is_empty() {
        findings.push(Finding::new(
            RULE,
            &list_file.path,
            1,
            "write the list: `pub static ALL: &[&dyn …] = &[…];`",
        ));
    }
    for (module, files) in kinds_in(tree, folder) {
        let Some(first) = files.first() else { continue };
        if !listed.holds(&module) {
            let message = format!("`{module}` is in no list: add it to the one in {}", list_file.path);
            findings.push(Finding::new(RULE, &first.path, 1, message));
        }
        let names = written_names(&files);
        if !is_tested(tree, folder, &module, &names, &files) {
            let message = format!(
                "`{module}` has no test of its own: write one here, or one in tests/ named after it, or \
                 ask for it by name in {folder}/tests.rs"
            );
            findings.push(Finding::new(RULE, &first.path, 1, message));
        }
        findings.extend(check_documented(tree, &module, &names, &first.path));
    }
    findings
}

/// Module name → its files, the main one first.
fn kinds_in<'a>(tree: &'a Tree, folder: &str) -> BTreeMap<String, Vec<&'a TextFile>> {
    let mut kinds: BTreeMap<String, Vec<&TextFile>> = BTreeMap::new();
    for (file, _) in tree.rust() {
        let Some(place) = file.path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')) else {
            continue;
        };
        let module = place.split('/').next().unwrap_or(place).trim_end_matches(".rs");
        let is_for_kinds = file.is_test && !place.contains('/');
        if module != "mod" && !is_for_kinds {
            kinds.entry(module.to_owned()).or_default().push(file);
        }
    }
    for files in kinds.values_mut() {
        files.sort_by_key(|file| (file.path.matches('/').count(), file.name() != "mod.rs"));
    }
    kinds
}

/// What the lists of a `kinds` module mention.
#[derive(Default)]
struct Listing {
    /// Every word in the lists.
    words: BTreeSet<String>,
    /// Imported name → the module it comes from.
    imports: BTreeMap<String, String>,
}

impl Listing {
    fn read(file: &TextFile) -> Self {
        let mut listing = Self::default();
        for item in file.syntax.iter().flat_map(|syntax| &syntax.items) {
            match item {
                syn::Item::Static(list) => {
                    listing.add_list(file, &list.ty, list.eq_token.span, list.semi_token.span);
                }
                syn::Item::Const(list) => {
                    listing.add_list(file, &list.ty, list.eq_token.span, list.semi_token.span);
                }
                syn::Item::Use(import) => listing.add_imports(&import.tree, None),
                _ => {}
            }
        }
        listing
    }

    fn add_list(&mut self, file: &TextFile, kind: &syn::Type, from: Span, to: Span) {
        let is_list = match kind {
            syn::Type::Reference(reference) => {
                matches!(*reference.elem, syn::Type::Slice(_) | syn::Type::Array(_))
            }
            other => matches!(other, syn::Type::Array(_)),
        };
        if !is_list {
            return;
        }
        let (first, last) = (from.start().line, to.end().line);
        for line in file.text.lines().skip(first - 1).take(last + 1 - first) {
            let code = line.split("//").next().unwrap_or_default();
            let words =
                code.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
            self.words.extend(words.map(str::to_owned));
        }
    }

    fn add_imports(&mut self, tree: &syn::UseTree, module: Option<&str>) {
        match tree {
            syn::UseTree::Path(path) => {
                let name = path.ident.to_string();
                let module = if name == "self" { None } else { Some(module.unwrap_or(&name)) };
                self.add_imports(&path.tree, module);
            }
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.add_imports(item, module)),
            syn::UseTree::Name(name) => self.add_import(name.ident.to_string(), module),
            syn::UseTree::Rename(rename) => self.add_import(rename.rename.to_string(), module),
            syn::UseTree::Glob(_) => {}
        }
    }

    fn add_import(&mut self, name: String, module: Option<&str>) {
        if let Some(module) = module {
            self.imports.insert(name, module.to_owned());
        }
    }

    fn holds(&self, module: &str) -> bool {
        self.words
            .iter()
            .any(|word| word == module || self.imports.get(word).is_some_and(|from| from == module))
    }
}

/// Whether one of its files holds a test, a test in the crate's `tests/` folder has it in its name, or the tests of all kinds
/// beside it ask for it by the name that operators write.
fn is_tested(tree: &Tree, folder: &str, module: &str, names: &[String], files: &[&TextFile]) -> bool {
    let within = Tree::crate_folder(folder).map(|crate_folder| format!("{crate_folder}/tests/"));
    let is_outside = |file: &TextFile| within.as_ref().is_some_and(|within| file.path.starts_with(within));
    let shared = tree.file(&format!("{folder}/tests.rs"));
    files.iter().any(|file| has_test(file, ""))
        || tree.files.iter().any(|file| is_outside(file) && has_test(file, module))
        || shared.is_some_and(|tests| names.iter().any(|name| tests.text.contains(&format!("\"{name}\""))))
}

/// Whether the file holds a test whose name holds these words.
fn has_test(file: &TextFile, words: &str) -> bool {
    let mut tests = Tests { words, found: false };
    if let Some(syntax) = &file.syntax {
        tests.visit_file(syntax);
    }
    tests.found
}

struct Tests<'a> {
    words: &'a str,
    found: bool,
}

impl<'ast> Visit<'ast> for Tests<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        let ends_with_test = |path: &syn::Path| path.segments.last().is_some_and(|last| last.ident == "test");
        let is_test = function.attrs.iter().any(|attribute| ends_with_test(attribute.path()));
        let name = format!("_{}_", function.sig.ident);
        self.found |= is_test && (self.words.is_empty() || name.contains(&format!("_{}_", self.words)));
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let is_property = call.path.segments.last().is_some_and(|last| last.ident == "proptest");
        self.found |= self.words.is_empty() && is_property;
    }
}

/// The names that the files of a kind state.
fn written_names(files: &[&TextFile]) -> Vec<String> {
    let mut cards = NameCards::default();
    for syntax in files.iter().filter_map(|file| file.syntax.as_ref()) {
        cards.visit_file(syntax);
    }
    cards.names()
}

fn check_documented(tree: &Tree, module: &str, names: &[String], path: &str) -> Vec<Finding> {
    if names.is_empty() {
        let message =
            format!("`{module}` does not say who it is: write its `{NAME_CARD} {{ name: \"…\", … }}` here");
        return vec![Finding::new(RULE, path, 1, message)];
    }
    let pages =
        || tree.files.iter().filter(|file| file.path.starts_with(REFERENCE) && file.path.ends_with(".md"));
    let is_missing = |name: &&String| !pages().any(|page| page.text.contains(&format!("`{name}`")));
    let missing = names.iter().filter(is_missing).map(|name| {
        let message = format!("`{name}` is on no page of {REFERENCE}: run `cargo xtask docs`");
        Finding::new(RULE, path, 1, message)
    });
    missing.collect()
}

/// What name cards state outside tests.
#[derive(Default)]
struct NameCards {
    /// Names written out.
    written: Vec<String>,
    /// Constants used as names.
    constants: Vec<String>,
    /// All text constants there are.
    texts: BTreeMap<String, String>,
}

impl NameCards {
    fn names(self) -> Vec<String> {
        let Self { mut written, constants, texts } = self;
        written.extend(constants.iter().filter_map(|constant| texts.get(constant).cloned()));
        written
    }

    fn add(&mut self, name: &syn::Expr) {
        match name {
            syn::Expr::Lit(literal) => {
                written_text(literal).into_iter().for_each(|text| self.written.push(text));
            }
            syn::Expr::Path(path) => {
                self.constants.extend(path.path.segments.last().map(|segment| segment.ident.to_string()));
            }
            _ => {}
        }
    }
}

fn written_text(literal: &syn::ExprLit) -> Option<String> {
    match &literal.lit {
        syn::Lit::Str(text) => Some(text.value()),
        _ => None,
    }
}

impl<'ast> Visit<'ast> for NameCards {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_for_tests(&module.attrs) {
            syn::visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_const(&mut self, constant: &'ast syn::ItemConst) {
        if let syn::Expr::Lit(literal) = &*constant.expr
            && let Some(text) = written_text(literal)
        {
            self.texts.insert(constant.ident.to_string(), text);
        }
        syn::visit::visit_item_const(self, constant);
    }

    fn visit_expr_struct(&mut self, card: &'ast syn::ExprStruct) {
        if card.path.segments.last().is_some_and(|segment| segment.ident == NAME_CARD) {
            let is_name = |field: &&syn::FieldValue| matches!(&field.member, syn::Member::Named(name) if name == "name");
            if let Some(field) = card.fields.iter().find(is_name) {
                self.add(&field.expr);
            }
        }
        syn::visit::visit_expr_struct(self, card);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::fixture;

    const KIND: &str = "pub struct Turn;\nimpl Kind for Turn { fn info(&self) -> KindInfo { KindInfo { name: \"in-turn\", status: S } } }\n\
                        #[cfg(test)]\nmod tests {\n    #[test]\n    fn works() {}\n}\n";
    const LIST: &str = "mod in_turn;\npub static ALL: &[&dyn Kind] = &[\n    &in_turn::Turn,\n];\n";
    const PAGE: &str = "## `in-turn`\n";

    fn found(list: &str, kind: &str, page: &str) -> Vec<String> {
        let files = [
            ("a/src/kinds/mod.rs", list),
            ("a/src/kinds/in_turn.rs", kind),
            ("docs/reference/turns.md", page),
        ];
        check(&fixture(&files)).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn a_complete_kind_is_fine() {
        assert!(found(LIST, KIND, PAGE).is_empty(), "{:?}", found(LIST, KIND, PAGE));
        let imported = "mod in_turn;\nuse in_turn::Turn;\npub const ALL: [&dyn Kind; 1] = [&Turn];\n";
        assert!(found(imported, KIND, PAGE).is_empty(), "{:?}", found(imported, KIND, PAGE));
        let named = format!("const NAME: &str = \"in-turn\";\n{}", KIND.replace("\"in-turn\"", "NAME"));
        assert!(found(LIST, &named, PAGE).is_empty(), "{:?}", found(LIST, &named, PAGE));
    }

    #[test]
    fn an_unlisted_kind_is_found() {
        let list = "mod in_turn;\nmod other;\npub static ALL: &[&dyn Kind] = &[&other::Turn]; // in_turn\n";
        assert_eq!(
            found(list, KIND, PAGE),
            ["`in_turn` is in no list: add it to the one in a/src/kinds/mod.rs"]
        );
        assert_eq!(found("mod in_turn;\n", KIND, PAGE).len(), 2);
    }

    #[test]
    fn an_untested_kind_is_found() {
        let (untested, _) = KIND.split_once("#[cfg(test)]").unwrap();
        assert!(found(LIST, untested, PAGE)[0].contains("no test of its own"));
        let with_test = |name: &str| {
            let tests = format!("#[test]\nfn {name}() {{}}\n");
            let files = [
                ("a/src/kinds.rs", LIST),
                ("a/src/kinds/in_turn.rs", untested),
                ("a/tests/all.rs", &tests),
                ("docs/reference/turns.md", PAGE),
            ];
            check(&fixture(&files)).len()
        };
        let beside = |tests: &str| {
            let files = [
                ("a/src/kinds.rs", LIST),
                ("a/src/kinds/in_turn.rs", untested),
                ("a/src/kinds/tests.rs", tests),
                ("docs/reference/turns.md", PAGE),
            ];
            check(&fixture(&files)).len()
        };
        assert_eq!(beside("#[test]\nfn all() { ask(\"in-turn\"); }\n"), 0);
        assert_eq!(beside("#[test]\nfn all() { ask(\"other\"); }\n"), 1);
        assert_eq!(with_test("an_in_turn_one_is_fair"), 0);
        assert_eq!(with_test("in_turns"), 1);
    }

    #[test]
    fn an_undocumented_or_nameless_kind_is_found() {
        assert!(found(LIST, KIND, "in-turn\n")[0].contains("on no page"));
        assert!(
            found(LIST, &KIND.replace("KindInfo {", "Other {"), PAGE)[0].contains("does not say who it is")
        );
    }

    #[test]
    fn a_folder_without_a_list_is_found() {
        let tree = fixture(&[("a/src/kinds/in_turn.rs", KIND)]);
        assert!(check(&tree)[0].message.contains("write mod.rs"));
    }

    #[test]
    fn a_kind_may_be_a_folder() {
        let files = [
            ("a/src/kinds.rs", LIST),
            ("a/src/kinds/in_turn/mod.rs", KIND.split_once("#[cfg").unwrap().0),
            ("a/src/kinds/in_turn/tests.rs", "#[test]\nfn works() {}\n"),
            ("docs/reference/turns.md", PAGE),
        ];
        assert!(check(&fixture(&files)).is_empty(), "{:?}", check(&fixture(&files)));
    }
}
