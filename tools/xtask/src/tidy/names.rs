//! Names that say nothing, imports of everything, and `unsafe`.

use syn::visit::Visit;

use crate::tidy::finding::Finding;
use crate::tidy::tree::{TextFile, Tree, is_for_tests};

/// Names that gather what belongs elsewhere, or that say only when something was written.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc", "manager", "v2"];

/// Crates and files that may hold `unsafe`, each with its reason. Every block there carries its proof.
const UNSAFE_PLACES: &[(&str, &str)] = &[
    ("crates/traffic/http/tests/allocations.rs", "counts allocations: an allocator is an unsafe trait"),
    ("crates/base/kit/src/prefetch.rs", "a hint to the processor, which is no function of the language"),
    ("crates/traffic/net/src/ring", "io_uring: the kernel is handed memory"),
];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, syntax) in tree.rust() {
        findings.extend(check_path(file));
        let mut visitor =
            Names { file, is_test: file.is_test, unsafe_allowed: may_be_unsafe(&file.path), findings };
        visitor.visit_file(syntax);
        findings = visitor.findings;
    }
    findings
}

fn may_be_unsafe(path: &str) -> bool {
    let is_in =
        |place: &str| path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    UNSAFE_PLACES.iter().any(|(place, _)| is_in(place))
}

fn check_path(file: &TextFile) -> Option<Finding> {
    let parts = file.path.trim_end_matches(".rs").split('/');
    let empty = parts.into_iter().find(|part| EMPTY_NAMES.contains(part))?;
    Some(empty_name(&file.path, 1, empty))
}

fn empty_name(path: &str, line: usize, name: &str) -> Finding {
    Finding::new("names", path, line, format!("`{name}` says nothing: name the module after what it holds"))
}

struct Names<'a> {
    file: &'a TextFile,
    is_test: bool,
    unsafe_allowed: bool,
    findings: Vec<Finding>,
}

impl Names<'_> {
    fn find(&mut self, rule: &'static str, line: usize, message: impl Into<String>) {
        self.findings.push(Finding::new(rule, &self.file.path, line, message));
    }

    fn check_unsafe(&mut self, line: usize, needs_proof: bool) {
        if !self.unsafe_allowed {
            let message = "no `unsafe` in this crate: use a safe library, or name the place and the reason in UNSAFE_PLACES";
            self.find("unsafe", line, message);
        } else if needs_proof && !has_proof(&self.file.text, line) {
            self.find("unsafe", line, "write above it, as `// SAFETY: …`, why this is sound");
        }
    }
}

/// Whether the comment lines right above this line hold a proof.
fn has_proof(text: &str, line: usize) -> bool {
    let lines: Vec<&str> = text.lines().take(line).collect();
    let Some((own, above)) = lines.split_last() else { return false };
    own.contains("// SAFETY:")
        || above
            .iter()
            .rev()
            .map(|line| line.trim_start())
            .take_while(|line| line.starts_with("//"))
            .any(|line| line.starts_with("// SAFETY:"))
}

impl<'ast> Visit<'ast> for Names<'_> {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        let name = module.ident.to_string();
        if EMPTY_NAMES.contains(&name.as_str()) {
            self.findings.push(empty_name(&self.file.path, module.ident.span().start().line, &name));
        }
        let outer = self.is_test;
        self.is_test |= is_for_tests(&module.attrs);
        syn::visit::visit_item_mod(self, module);
        self.is_test = outer;
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let mut globs = Vec::new();
        collect_globs(&item.tree, &mut Vec::new(), &mut globs);
        for (path, line) in globs {
            let parts: Vec<&str> = path.iter().map(String::as_str).collect();
            let is_fine = match parts.as_slice() {
                ["super"] => self.is_test,
                ["crate" | "self" | "super", ..] => false,
                [.., "prelude"] => true,
                _ => false,
            };
            if !is_fine {
                let message = format!("name what you need from `{}` instead of `*`", path.join("::"));
                self.find("globs", line, message);
            }
        }
    }

    fn visit_expr_unsafe(&mut self, block: &'ast syn::ExprUnsafe) {
        self.check_unsafe(block.unsafe_token.span.start().line, true);
        syn::visit::visit_expr_unsafe(self, block);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        if let syn::Safety::Unsafe(token) = &signature.safety {
            self.check_unsafe(token.span.start().line, false);
        }
        syn::visit::visit_signature(self, signature);
    }

    fn visit_item_impl(&mut self, block: &'ast syn::ItemImpl) {
        if let Some(token) = &block.unsafety {
            self.check_unsafe(token.span.start().line, true);
        }
        syn::visit::visit_item_impl(self, block);
    }

    fn visit_item_foreign_mod(&mut self, block: &'ast syn::ItemForeignMod) {
        self.check_unsafe(block.abi.extern_token.span.start().line, true);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if attribute.path().is_ident("unsafe") {
            self.check_unsafe(attribute.pound_token.span.start().line, true);
        }
    }
}

fn collect_globs(tree: &syn::UseTree, within: &mut Vec<String>, globs: &mut Vec<(Vec<String>, usize)>) {
    match tree {
        syn::UseTree::Path(path) => {
            within.push(path.ident.to_string());
            collect_globs(&path.tree, within, globs);
            within.pop();
        }
        syn::UseTree::Group(group) => group.items.iter().for_each(|item| collect_globs(item, within, globs)),
        syn::UseTree::Glob(glob) => globs.push((within.clone(), glob.star_token.span.start().line)),
        syn::UseTree::Name(_) | syn::UseTree::Rename(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::fixture;

    fn found(path: &str, text: &str) -> Vec<String> {
        check(&fixture(&[(path, text)])).into_iter().map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn empty_names_are_found_in_paths_and_modules() {
        assert!(found("src/util.rs", "")[0].contains("`util` says nothing"));
        assert!(found("src/helpers/text.rs", "")[0].contains("`helpers`"));
        assert!(found("src/a.rs", "\nmod common {}\n")[0].starts_with("src/a.rs:2: names"));
        assert!(found("src/utility_of_force.rs", "").is_empty());
    }

    #[test]
    fn globs_are_for_tests_and_preludes() {
        assert!(
            found("src/a.rs", "use proptest::prelude::*;\n#[cfg(test)]\nmod tests { use super::*; }\n")
                .is_empty()
        );
        assert!(found("src/a/tests.rs", "use super::*;\n").is_empty());
        for glob in
            ["use super::*;", "use crate::b::{self, *};", "pub use crate::prelude::*;", "use std::io::*;"]
        {
            assert_eq!(found("src/a.rs", glob).len(), 1, "{glob}");
        }
        assert_eq!(found("src/a.rs", "#[cfg(test)]\nmod tests { use super::super::*; }\n").len(), 1);
    }

    #[test]
    fn unsafe_is_found_in_every_form() {
        for code in [
            "fn a() {\n    unsafe { b() }\n}",
            "unsafe fn a() {}",
            "unsafe impl Send for A {}",
            "unsafe extern \"C\" { fn a(); }",
            "#[unsafe(no_mangle)]\nfn a() {}",
            "trait T { unsafe fn a(); }",
        ] {
            assert_eq!(found("src/a.rs", code).len(), 1, "{code}");
        }
        assert!(found("src/a.rs", "// unsafe { }\nconst A: &str = \"unsafe { }\";").is_empty());
    }

    #[test]
    fn a_proof_stands_right_above() {
        assert!(has_proof("// SAFETY: checked above,\n// and never null.\nunsafe { b() }\n", 3));
        assert!(has_proof("unsafe { b() } // SAFETY: checked\n", 1));
        assert!(!has_proof("// SAFETY: of something else\nlet a = 1;\nunsafe { b() }\n", 3));
        assert!(!has_proof("// it is fine\nunsafe { b() }\n", 2));
    }

    #[test]
    fn named_places_are_whole_names() {
        let (place, _) = UNSAFE_PLACES[0];
        assert!(may_be_unsafe(place));
        assert!(may_be_unsafe(&format!("{place}/inner.rs")));
        assert!(!may_be_unsafe(&format!("{place}x")));
        assert!(!may_be_unsafe("crates/traffic/http/src/lib.rs"));
    }

    #[test]
    fn in_a_named_crate_only_the_proof_is_asked_for() {
        let text = "fn a() {\n    unsafe { b() }\n}\n";
        let tree = fixture(&[("src/a.rs", text)]);
        let file = &tree.files[0];
        let mut names = Names { file, is_test: false, unsafe_allowed: true, findings: Vec::new() };
        names.visit_file(file.syntax.as_ref().unwrap());
        assert!(names.findings[0].message.contains("// SAFETY:"), "{:?}", names.findings);
    }
}
