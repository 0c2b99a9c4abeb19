//! Bytes that nobody thought of.

use crate::prove::harness::{Harness, Mutant, Run, Tests};

const REPLAY: Tests = Tests { package: "fuzz", filter: "test(the_corpora_hold)" };

pub(crate) const HARNESS: Harness = Harness {
    name: "fuzz",
    title: "Fuzzing",
    about: "Everything that reads bytes of others is fed with what libFuzzer thinks of, under an address sanitizer: the codec in both roles, \
            chunked bodies, what one Aya passes on to the next, configurations, routes, sticky cookies, lines of agents, load reports, scenarios. \
            A target fails when it panics, takes ten seconds for an input, or when what it asserts does not hold. What was found worth keeping is \
            replayed by the stable compiler with every run of the tests.",
    runs: &[
        Run::Tests(REPLAY),
        Run::Command {
            short: &["run", "--quiet", "-p", "fuzz", "--", "--seconds", "3"],
            long: &["run", "--quiet", "-p", "fuzz", "--", "--seconds", "600", "--jobs", "2"],
        },
    ],
    mutants: &[
        Mutant {
            fault: "the end of a head that comes in pieces is looked for one byte too late",
            file: "crates/traffic/http/src/head/tokenize.rs",
            before: "let fresh = input.get(from..).unwrap_or_default();\n    memchr::memchr_iter(b'\\n', fresh).any(|at| {\n        let before = input.get(..from + at)",
            after: "let from = from + 1;\n    let fresh = input.get(from..).unwrap_or_default();\n    memchr::memchr_iter(b'\\n', fresh).any(|at| {\n        let before = input.get(..from + at)",
            caught_by: Run::Tests(REPLAY),
        },
        Mutant {
            fault: "a field about the connection is passed on",
            file: "crates/traffic/http/src/gateway/hygiene.rs",
            before: "    | KnownField::KeepAlive.bit()\n",
            after: "",
            caught_by: Run::Tests(REPLAY),
        },
        Mutant {
            fault: "a chunk size may have one digit more than 64 bits hold",
            file: "crates/traffic/http/src/limits.rs",
            before: "pub(crate) const MAX_CHUNK_SIZE_DIGITS: u8 = 16;",
            after: "pub(crate) const MAX_CHUNK_SIZE_DIGITS: u8 = 17;",
            caught_by: Run::Tests(REPLAY),
        },
    ],
};
