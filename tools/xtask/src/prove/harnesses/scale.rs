//! A great many of everything.

use crate::prove::harness::{Harness, Mutant, Run, Tests};

const PLAYS: Tests = Tests { package: "scenarios", filter: "test(/^scale::/)" };

pub(crate) const HARNESS: Harness = Harness {
    name: "scale",
    title: "Scale",
    about: "Ten thousand clients that wait and five thousand that ask; a thousand pools of twenty endpoints, all of them checked every two \
            seconds; a hundred thousand hosts (ten thousand in the short form). CPU time and memory are those of Aya's process, as the kernel \
            counts them, on a machine that runs clients and servers as well: times are shown, not judged. Reloads happen while a bystander \
            asks all the time.",
    runs: &[Run::Tests(PLAYS)],
    mutants: &[Mutant {
        fault: "an idle connection keeps its buffer",
        file: "crates/traffic/proxy/src/connection/mod.rs",
        before: "client.input.release();",
        after: "drop(client.input.spare());",
        caught_by: Run::Tests(Tests {
            package: "scenarios",
            filter: "test(scale::connections::many_connections)",
        }),
    }],
};
