//! What a harness found, for the page that `cargo xtask prove` makes.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::thread;

use serde_json::{Value, json};

/// Claims about Aya with what was seen of them, and perhaps pages that show it in full.
///
/// Written to the folder that `AYA_PROVE` names when it goes; without that variable it does nothing. A claim that does not hold must
/// fail its test as well: evidence is a report, not an assertion.
#[derive(Debug)]
pub struct Evidence {
    harness: &'static str,
    by: &'static str,
    claims: Vec<Value>,
    pages: Vec<Value>,
}

impl Evidence {
    /// Of a harness by its name in `tools/xtask/src/prove/harnesses.rs`; `by` is the file that produces it (`file!()`).
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

    /// A page of its own, `docs/reference/conformance/NAME.md`. The text is Markdown that follows the title.
    pub fn page(&mut self, name: &str, title: &str, text: impl Into<String>) {
        self.pages.push(json!({"name": name, "title": title, "text": text.into()}));
    }

    fn note(&mut self, claim: &str, outcome: &str, seen: String) {
        self.claims.push(json!({"claim": claim, "outcome": outcome, "seen": seen}));
    }

    fn publish(&self, folder: PathBuf) -> std::io::Result<()> {
        let folder = folder.join(self.harness);
        fs::create_dir_all(&folder)?;
        // The name of a test's thread is that of the test: each test has a file of its own.
        let author = thread::current().name().unwrap_or("main").replace("::", ".");
        let text = json!({"by": self.by, "claims": self.claims, "pages": self.pages});
        fs::write(folder.join(format!("{author}.json")), format!("{text:#}\n"))
    }
}

impl Drop for Evidence {
    fn drop(&mut self) {
        let Some(folder) = env::var_os("AYA_PROVE") else { return };
        if let Err(error) = self.publish(folder.into()) {
            eprintln!("cannot write what {} found: {error}", self.harness);
        }
    }
}
