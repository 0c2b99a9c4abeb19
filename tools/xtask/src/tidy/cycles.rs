//! Modules of one crate that import each other in a circle.
//!
//! A module and what is inside it are one unit: a child may use its parent and the other way round. Between modules
//! side by side, the imports (each counted for the two modules of the same folder that it joins) must form no circle.
//! Names that a module passes on from another count as imports of that other. Code for tests does not count.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::Visit;

use crate::tidy::graph::{self, Edges};
use crate::tidy::measure::{Measure, Size};
use crate::tidy::tree::{Tree, is_for_tests};
use crate::tidy::workspace::Workspace;

/// Names from the crate's root to a module or an item; empty is the root.
type Path = Vec<String>;

/// How many times a name may be passed on before we stop following it.
const MOST_HOPS: usize = 8;

/// The circles of all crates; the size of one is the number of its modules.
pub(crate) fn circles(tree: &Tree, workspace: &Workspace) -> Vec<Size> {
    workspace.packages.iter().flat_map(|package| circles_in(tree, &package.folder)).collect()
}

fn circles_in(tree: &Tree, folder: &str) -> Vec<Size> {
    let mut imports = Imports::default();
    for (file, syntax) in tree.rust().filter(|(file, _)| !file.is_test) {
        let Some(place) = file.path.strip_prefix(folder).and_then(|rest| rest.strip_prefix("/src/")) else {
            continue;
        };
        imports.module = module_path(place);
        imports.modules.insert(imports.module.clone());
        imports.file.clone_from(&file.path);
        imports.visit_file(syntax);
    }
    let mut edges = Edges::new();
    let mut evidence = BTreeMap::new();
    for (from, to, file, line) in &imports.found {
        if let Some((from, to)) = sides(from, &imports.resolve(to)) {
            edges.entry(from.clone()).or_default().insert(to.clone());
            evidence.entry((from, to)).or_insert_with(|| (file.clone(), *line));
        }
    }
    graph::cycles(&edges).iter().filter_map(|cycle| circle(folder, cycle, &evidence)).collect()
}

/// `a/b.rs` and `a/b/mod.rs` are `[a, b]`; `lib.rs` and `main.rs` are the root.
fn module_path(place: &str) -> Path {
    let mut path: Path = place.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(path.last().map(String::as_str), Some("mod")) || matches!(place, "lib.rs" | "main.rs") {
        path.pop();
    }
    path
}

/// The two modules side by side that an import joins, if it leaves its unit.
fn sides(from: &Path, to: &Path) -> Option<(String, String)> {
    let shared = from.iter().zip(to).take_while(|(a, b)| a == b).count();
    let side = |path: &Path| {
        (path.len() > shared).then(|| path.iter().take(shared + 1).cloned().collect::<Vec<_>>().join("::"))
    };
    Some((side(from)?, side(to)?))
}

fn circle(
    folder: &str,
    cycle: &[String],
    evidence: &BTreeMap<(String, String), (String, usize)>,
) -> Option<Size> {
    let nexts = cycle.iter().cycle().skip(1);
    let places: Vec<_> =
        cycle.iter().zip(nexts).filter_map(|(a, b)| evidence.get(&(a.clone(), b.clone()))).collect();
    let (path, line) = places.first()?;
    let others: Vec<_> = places.iter().skip(1).map(|(file, line)| format!("{file}:{line}")).collect();
    Some(Size {
        measure: Measure::Circle,
        what: format!("{folder}/{}", cycle.join("→")),
        path: path.clone(),
        line: *line,
        size: cycle.len(),
        remark: format!("{} → {} (also {})", cycle.join(" → "), cycle.first()?, others.join(", ")),
    })
}

#[derive(Default)]
struct Imports {
    /// The module that is being read.
    module: Path,
    file: String,
    modules: BTreeSet<Path>,
    /// Module and name → what it stands for.
    passed_on: BTreeMap<(Path, String), Path>,
    /// From, to (not resolved), file and line.
    found: Vec<(Path, Path, String, usize)>,
}

impl Imports {
    /// A path as written, from the crate's root; `None` if it leads out of the crate.
    fn absolute(&self, written: &[String]) -> Option<Path> {
        let first = written.first()?.as_str();
        let mut path = match first {
            "crate" => Vec::new(),
            "self" | "super" => self.module.clone(),
            _ => return None,
        };
        for (index, name) in written.iter().enumerate() {
            match name.as_str() {
                "crate" | "self" if index == 0 => {}
                "super" => drop(path.pop()),
                _ => path.push(name.clone()),
            }
        }
        Some(path)
    }

    fn add_tree(&mut self, tree: &syn::UseTree, within: &mut Path) {
        match tree {
            syn::UseTree::Path(path) => {
                within.push(path.ident.to_string());
                self.add_tree(&path.tree, within);
                within.pop();
            }
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.add_tree(item, within)),
            syn::UseTree::Name(name) => {
                let known_as = name.ident.to_string();
                let mut full = within.clone();
                if known_as != "self" {
                    full.push(known_as.clone());
                }
                self.add_import(&full, Some(known_as), name.ident.span().start().line);
            }
            syn::UseTree::Rename(rename) => {
                let full: Path = within.iter().cloned().chain([rename.ident.to_string()]).collect();
                self.add_import(&full, Some(rename.rename.to_string()), rename.ident.span().start().line);
            }
            syn::UseTree::Glob(glob) => self.add_import(within, None, glob.star_token.span.start().line),
        }
    }

    fn add_import(&mut self, written: &[String], known_as: Option<String>, line: usize) {
        // A name without `crate`, `self` or `super` is another crate, or a child of this module.
        let path =
            self.absolute(written).unwrap_or_else(|| self.module.iter().chain(written).cloned().collect());
        if let Some(name) = known_as {
            self.passed_on.insert((self.module.clone(), name), path.clone());
        }
        self.found.push((self.module.clone(), path, self.file.clone(), line));
    }

    /// The module that a path leads to, through the names that modules pass on.
    fn resolve(&self, path: &Path) -> Path {
        let mut path = path.clone();
        for _ in 0..MOST_HOPS {
            let mut module = path.clone();
            while !self.modules.contains(&module) && module.pop().is_some() {}
            let rest: Path = path.iter().skip(module.len()).cloned().collect();
            let Some(name) = rest.first() else { return module };
            match self.passed_on.get(&(module.clone(), name.clone())) {
                Some(target) if *target != path => {
                    path = target.iter().chain(rest.iter().skip(1)).cloned().collect();
                }
                _ => return module,
            }
        }
        path
    }
}

impl<'ast> Visit<'ast> for Imports {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if is_for_tests(&module.attrs) || module.content.is_none() {
            return;
        }
        self.module.push(module.ident.to_string());
        self.modules.insert(self.module.clone());
        syn::visit::visit_item_mod(self, module);
        self.module.pop();
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        if !is_for_tests(&function.attrs) {
            syn::visit::visit_item_fn(self, function);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_for_tests(&item.attrs) {
            self.add_tree(&item.tree, &mut Vec::new());
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let written: Path = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if written.len() > 1
            && let (Some(absolute), Some(first)) = (self.absolute(&written), path.segments.first())
        {
            self.found.push((
                self.module.clone(),
                absolute,
                self.file.clone(),
                first.ident.span().start().line,
            ));
        }
        syn::visit::visit_path(self, path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::fixture;
    use crate::tidy::workspace::package;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let workspace = Workspace { packages: vec![package("k", "k", &[])] };
        circles(&fixture(files), &workspace).into_iter().map(|circle| circle.finding().to_string()).collect()
    }

    #[test]
    fn a_circle_of_two_is_found() {
        let found =
            found(&[("k/src/a.rs", "\nuse crate::b::B;\n"), ("k/src/b.rs", "use super::a::{A, C};\n")]);
        let wanted = "k/src/a.rs:2: cycles: modules import each other in a circle: a → b → a (also k/src/b.rs:1); \
                      move what they share below both";
        assert_eq!(found, [wanted]);
    }

    #[test]
    fn a_path_in_an_expression_counts() {
        let files = [("k/src/a.rs", "use crate::b::B;"), ("k/src/b.rs", "fn b() { crate::a::work(); }")];
        assert_eq!(found(&files).len(), 1);
    }

    #[test]
    fn names_passed_on_by_the_root_count() {
        let files = [
            ("k/src/lib.rs", "mod a;\nmod b;\npub use a::A;\npub use b::B as Other;\n"),
            ("k/src/a.rs", "use crate::Other;"),
            ("k/src/b.rs", "use crate::A;"),
        ];
        assert_eq!(found(&files).len(), 1);
    }

    #[test]
    fn deep_modules_count_for_the_folders_they_are_in() {
        let files = [
            ("k/src/a/mod.rs", "mod x;\nmod y;\n"),
            ("k/src/a/x.rs", "use crate::b::B;"),
            ("k/src/a/y.rs", ""),
            ("k/src/b.rs", "use crate::a::y::Y;"),
        ];
        assert_eq!(found(&files).len(), 1);
        let inside = [
            ("k/src/a/mod.rs", "mod x;\nmod y;\n"),
            ("k/src/a/x.rs", "use super::y::Y;"),
            ("k/src/a/y.rs", "use crate::a::x::X;"),
        ];
        assert!(found(&inside)[0].contains("a::x → a::y"));
    }

    #[test]
    fn parents_children_and_tests_may() {
        let files = [
            ("k/src/lib.rs", "mod a;\npub use a::A;\npub struct Root;\n"),
            ("k/src/a.rs", "mod x;\npub use x::X;\nuse crate::Root;\npub struct A;\n"),
            ("k/src/a/x.rs", "use super::A;\nuse crate::b::B;\n"),
            ("k/src/b.rs", "use std::fmt;\n#[cfg(test)]\nmod tests { use crate::a::A; }\n"),
            ("k/src/b/tests.rs", "use crate::a::A;\n"),
        ];
        assert!(found(&files).is_empty(), "{:?}", found(&files));
    }
}
