//! Side by side with other proxies.

use crate::prove::harness::{Harness, Run};

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
            "--markdown",
            "docs/reference/benchmarks.md",
            "--svg",
            "docs/reference/figures/benchmarks.svg",
        ],
    }],
    // What is slow is measured, not tested: there is nothing here that a fault would make fail.
    mutants: &[],
};
