//! Functions, files and folders that a reader can take in.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::Span;
use syn::visit::Visit;

use crate::tidy::measure::{Measure, Size};
use crate::tidy::tree::{TextFile, Tree};

/// Everything that is over its limit.
pub(crate) fn too_big(tree: &Tree) -> Vec<Size> {
    let mut sizes = Vec::new();
    for file in &tree.files {
        sizes.extend(function_sizes(file));
        sizes.extend(file_sizes(file));
    }
    sizes.extend(folder_sizes(tree));
    sizes.retain(|size| size.size > size.measure.limit());
    sizes
}

fn function_sizes(file: &TextFile) -> Vec<Size> {
    let mut functions = Functions { path: &file.path, within: Vec::new(), sizes: BTreeMap::new() };
    if let Some(syntax) = &file.syntax {
        functions.visit_file(syntax);
    }
    functions.sizes.into_values().collect()
}

struct Functions<'a> {
    path: &'a str,
    /// Modules, types and functions around the place.
    within: Vec<String>,
    /// By name: of two with one name (for two targets, of two traits) the longer counts.
    sizes: BTreeMap<String, Size>,
}

impl Functions<'_> {
    fn measure(&mut self, name: &syn::Ident, from: Span, to: Span) {
        let what = format!(
            "{}::{}{name}",
            self.path,
            self.within.iter().map(|outer| format!("{outer}::")).collect::<String>()
        );
        let line = from.start().line;
        let size = to.end().line.saturating_sub(line) + 1;
        let found = Size {
            measure: Measure::Function,
            what: what.clone(),
            path: self.path.to_owned(),
            line,
            size,
            remark: String::new(),
        };
        let known = self.sizes.entry(what).or_insert_with(|| found.clone());
        if known.size < found.size {
            *known = found;
        }
    }

    fn inside(&mut self, name: String, visit: impl FnOnce(&mut Self)) {
        self.within.push(name);
        visit(self);
        self.within.pop();
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.measure(
            &function.sig.ident,
            function.sig.fn_token.span,
            function.block.brace_token.span.close(),
        );
        self.inside(function.sig.ident.to_string(), |this| syn::visit::visit_item_fn(this, function));
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.measure(
            &function.sig.ident,
            function.sig.fn_token.span,
            function.block.brace_token.span.close(),
        );
        self.inside(function.sig.ident.to_string(), |this| syn::visit::visit_impl_item_fn(this, function));
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(body) = &function.default {
            self.measure(&function.sig.ident, function.sig.fn_token.span, body.brace_token.span.close());
        }
        self.inside(function.sig.ident.to_string(), |this| syn::visit::visit_trait_item_fn(this, function));
    }

    fn visit_item_impl(&mut self, block: &'ast syn::ItemImpl) {
        let name = match &*block.self_ty {
            syn::Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
            _ => None,
        };
        self.inside(name.unwrap_or_else(|| "impl".to_owned()), |this| {
            syn::visit::visit_item_impl(this, block);
        });
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.inside(item.ident.to_string(), |this| syn::visit::visit_item_trait(this, item));
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        self.inside(module.ident.to_string(), |this| syn::visit::visit_item_mod(this, module));
    }
}

fn file_sizes(file: &TextFile) -> Vec<Size> {
    if !matches!(file.path.rsplit('.').next(), Some("rs" | "py" | "sh")) {
        return Vec::new();
    }
    let lines = file.text.lines().count();
    let tests = match file.is_test {
        true => lines,
        false => file.test_modules().into_iter().map(|(first, last)| last + 1 - first).sum(),
    };
    let size = |measure, size| Size {
        measure,
        what: file.path.clone(),
        path: file.path.clone(),
        line: 1,
        size,
        remark: String::new(),
    };
    vec![size(Measure::File, lines.saturating_sub(tests)), size(Measure::Tests, tests)]
}

fn folder_sizes(tree: &Tree) -> Vec<Size> {
    let mut folders: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for file in &tree.files {
        let mut path = file.path.as_str();
        while !path.is_empty() {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            folders.entry(folder).or_default().insert(name);
            path = folder;
        }
    }
    let is_free = |folder: &str| folder.split('/').any(|part| matches!(part, "kinds" | "tests" | "examples"));
    let measured = folders.into_iter().filter(|(folder, _)| !is_free(folder)).map(|(folder, names)| {
        let path = if folder.is_empty() { "." } else { folder }.to_owned();
        let size = names.iter().filter(|name| !name.starts_with('.')).count();
        Size { measure: Measure::Folder, what: path.clone(), path, line: 1, size, remark: String::new() }
    });
    measured.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::fixture;

    fn found(path: &str, text: &str) -> Vec<String> {
        too_big(&fixture(&[(path, text)])).into_iter().map(|size| size.finding().to_string()).collect()
    }

    fn function(lines: usize) -> String {
        format!("#[inline]\nfn long() {{\n{}}}\n", "    work();\n".repeat(lines - 2))
    }

    #[test]
    fn a_function_may_have_70_lines() {
        assert!(found("src/a.rs", &function(70)).is_empty());
        let found = found("src/a.rs", &function(71));
        assert_eq!(
            found,
            ["src/a.rs:2: size: `src/a.rs::long` has 71 lines, at most 70: give its parts names"]
        );
    }

    #[test]
    fn methods_and_inner_functions_are_named_by_their_surroundings() {
        let method = format!("impl Thing {{\n{}}}\n", function(75));
        assert!(found("a.rs", &method)[0].contains("`a.rs::Thing::long` has 75"));
        let inner = format!("mod m {{\nfn outer() {{\n{}}}\n}}\n", function(71));
        let found = found("a.rs", &inner);
        assert!(
            found[0].contains("`a.rs::m::outer`") && found[1].contains("`a.rs::m::outer::long`"),
            "{found:?}"
        );
    }

    #[test]
    fn code_and_tests_are_counted_apart() {
        let code = "const A: u8 = 0;\n".repeat(800);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "// test\n".repeat(797));
        assert!(found("src/a.rs", &format!("{code}{tests}")).is_empty());
        assert!(
            found("src/a.rs", &format!("const B: u8 = 0;\n{code}{tests}"))[0]
                .contains("801 lines without tests")
        );
        assert!(found("src/a/tests.rs", &"// test\n".repeat(801))[0].contains("801 lines of tests"));
        assert!(found("bench/run.py", &"work()\n".repeat(801))[0].contains("split the file"));
        assert!(found("docs/long.md", &"word\n".repeat(2000)).is_empty());
    }

    #[test]
    fn a_folder_may_have_15_entries() {
        let check_folder = |folder: &str, count: usize| {
            let names: Vec<_> = (0..count).map(|n| format!("{folder}/f{n}/x.txt")).collect();
            let files: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
            too_big(&fixture(&files)).len()
        };
        assert_eq!(check_folder("src/a", 15), 0);
        assert_eq!(check_folder("src/a", 16), 1);
        assert_eq!(check_folder("src/kinds", 16), 0);
    }
}
