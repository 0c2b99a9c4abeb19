//! Whether memory grows.

use crate::prove::harness::{Harness, Mutant, Run, Tests};

const PLAYS: Tests = Tests { package: "scenarios", filter: "test(/^soak::/)" };

pub(crate) const HARNESS: Harness = Harness {
    name: "soak",
    title: "Soak",
    about: "Ten minutes (36 s in the short form) after a warm-up, under load of every kind, with connections that come and go, requests that \
            break and a reload every quarter of a second. The memory of each twelfth of the time is its least value, so that what is in use \
            for a moment does not count; a line is fitted through the twelve (least squares). It is a leak if the line rises by more than \
            2 MiB (the grain in which an allocator takes memory) and by more than three standard deviations of the values beside it, goes on rising \
            in the second half, and reaches new heights in more than a third of the twelve.",
    runs: &[Run::Tests(PLAYS)],
    mutants: &[Mutant {
        fault: "each connection leaves a record of 2 KiB behind",
        file: "crates/traffic/proxy/src/thread/accept.rs",
        before: "listener.meters.accepted.increment();",
        after: "listener.meters.accepted.increment();\n        std::mem::forget(vec![1_u8; 2048]);",
        caught_by: Run::Tests(PLAYS),
    }],
};
