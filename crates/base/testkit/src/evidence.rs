//! What a harness found, for the page that `cargo xtask prove` makes.

use std::env;
use std::fs;
use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use serde_json::{Value, json};

/// Claims about Aya with what was seen of them, and perhaps pages that show it in full.
///
/// Written when it goes, to the folder that `AYA_PROVE` names; without that variable it does nothing. A claim that does not hold
/// must fail its test as well: evidence is a report, not an assertion.
#[derive(Debug)]
pub struct Evidence {
    harness: &'static str,
    by: &'static str,
    claims: Vec<Value>,
    pages: Vec<Value>,
}

impl Evidence {
    /// Of a harness, by its name in `tools/xtask/src/prove/harnesses/`; `by` is the file that produces it (`file!()`).
    pub const fn of(harness: &'static str, by: &'static str) -> Self {
        Self { harness, by, claims: Vec::new(), pages: Vec::new() }
    }

    /// A claim, whether it holds, and the figures that were seen. Gives back whether it holds.
    pub fn claim(&mut self, claim: &str, holds: bool, seen: impl Into<String>) -> bool {
        let outcome = if holds { "held" } else { "failed" };
        self.note(claim, outcome, seen.into());
        holds
    }

    /// A claim that was not looked into, and why.
    pub fn not_run(&mut self, claim: &str, why: impl Into<String>) {
        self.note(claim, "not-run", why.into());
    }

    /// A page of its own, `docs/reference/conformance/NAME.md`. The text is Markdown and follows the title.
    pub fn page(&mut self, name: &str, title: &str, text: impl Into<String>) {
        self.pages.push(json!({"name": name, "title": title, "text": text.into()}));
    }

    fn note(&mut self, claim: &str, outcome: &str, seen: String) {
        self.claims.push(json!({"claim": claim, "outcome": outcome, "seen": seen}));
    }

    fn publish(&self, folder: &Path) -> std::io::Result<()> {
        /// Tells apart what one process publishes.
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let folder = folder.join(self.harness);
        fs::create_dir_all(&folder)?;
        // A test's thread bears its name, so that files are in the order of files and tests.
        let author = thread::current().name().unwrap_or("main").replace("::", ".");
        let (file, number) = (self.by.replace('/', "."), NUMBER.fetch_add(1, Ordering::Relaxed));
        let name = format!("{file}-{author}-{}-{number}.json", process::id());
        let found = json!({"by": self.by, "claims": self.claims, "pages": self.pages});
        fs::write(folder.join(name), format!("{found:#}\n"))
    }
}

impl Drop for Evidence {
    fn drop(&mut self) {
        let Some(folder) = env::var_os("AYA_PROVE") else { return };
        if let Err(error) = self.publish(Path::new(&folder)) {
            eprintln!("cannot write what {} found: {error}", self.harness);
        }
    }
}
