//! What a harness is: its runs, and the faults that it must notice.

/// A set of experiments that prove one thing about Aya.
pub(crate) struct Harness {
    /// As `--only` and `base_testkit::Evidence` name it.
    pub(crate) name: &'static str,
    /// The heading in the page.
    pub(crate) title: &'static str,
    /// What is done, and what would fail; Markdown.
    pub(crate) about: &'static str,
    /// In this order.
    pub(crate) runs: &'static [Run],
    /// Deliberate faults of Aya that it notices.
    pub(crate) mutants: &'static [Mutant],
}

/// How experiments are run. They learn from `AYA_LONG=1` that they shall take their long form, and write what they find to the
/// folder `AYA_PROVE`.
#[derive(Clone, Copy)]
pub(crate) enum Run {
    /// Tests that `cargo xtask test` runs as well, in their short form.
    Tests(Tests),
    /// Another command of cargo, the short and the long form of it.
    Command {
        /// Words behind `cargo`.
        short: &'static [&'static str],
        /// Words behind `cargo`.
        long: &'static [&'static str],
    },
}

/// Some tests of a package.
#[derive(Clone, Copy)]
pub(crate) struct Tests {
    /// The package.
    pub(crate) package: &'static str,
    /// Which of its tests, in the language of cargo-nextest.
    pub(crate) filter: &'static str,
}

impl Tests {
    /// As typed.
    pub(crate) fn shown(self) -> String {
        format!("cargo nextest run -p {} -E '{}'", self.package, self.filter)
    }
}

impl Run {
    /// As typed.
    pub(crate) fn shown(&self, is_long: bool) -> String {
        match self {
            Self::Tests(tests) if is_long => format!("AYA_LONG=1 {}", tests.shown()),
            Self::Tests(tests) => tests.shown(),
            Self::Command { short, long } => {
                format!("cargo {}", (if is_long { long } else { short }).join(" "))
            }
        }
    }
}

/// A fault put into Aya on purpose: one piece of text in place of another.
pub(crate) struct Mutant {
    /// The fault, in words.
    pub(crate) fault: &'static str,
    /// Where, from the root of the checkout.
    pub(crate) file: &'static str,
    /// A text that occurs once in the file.
    pub(crate) before: &'static str,
    /// What takes its place.
    pub(crate) after: &'static str,
    /// Tests of which at least one must fail with it, or a command that must find that a claim does not hold; in its short form.
    pub(crate) caught_by: Run,
}
