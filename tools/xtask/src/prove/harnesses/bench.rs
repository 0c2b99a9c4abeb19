//! Side by side with other proxies.

use crate::prove::harness::{Harness, Mutant, Run};

/// Enough to tell that something costs twice as much.
const SMALL: Run = {
    let words: &[&str] = &[
        "run",
        "--release",
        "-p",
        "bench-http1",
        "--",
        "--only",
        "keepalive-64",
        "--proxies",
        "aya,relay",
        "--seconds",
        "1",
    ];
    Run::Command { short: words, long: words }
};

pub(crate) const HARNESS: Harness = Harness {
    name: "bench",
    title: "Side by side",
    about: "Aya, a bare relay and other proxies, each alone on one core, in turn. The tables are in [benchmarks](benchmarks.md); here is \
            what Aya has to reach. Figures of one machine in one hour: what carries over are the ratios.",
    runs: &[Run::Command {
        short: &["run", "--release", "-p", "bench-http1", "--", "--quick"],
        long: &[
            "run",
            "--release",
            "-p",
            "bench-http1",
            "--",
            "--seconds",
            "2",
            "--markdown",
            "docs/reference/benchmarks.md",
            "--svg",
            "docs/reference/figures/benchmarks.svg",
        ],
    }],
    mutants: &[Mutant {
        fault: "each request keeps its core busy for twenty thousand turns",
        file: "crates/traffic/proxy/src/life/forward.rs",
        before: "let mut left = route.route.attempts;",
        after: "let mut left = route.route.attempts;\n        \
                std::hint::black_box((0..20_000_u32).fold(0, |sum, turn| std::hint::black_box(sum ^ turn)));",
        caught_by: SMALL,
    }],
};
