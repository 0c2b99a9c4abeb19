//! What the standards ask.

use crate::prove::harness::{Harness, Mutant, Run, Tests};

const CODEC: Tests = Tests { package: "traffic-http", filter: "all()" };

pub(crate) const HARNESS: Harness = Harness {
    name: "requirements",
    title: "RFC 9110 and RFC 9112",
    about: "What the standards ask of gateways and of who parses messages, as a list: for each the tests that show what Aya does, or why it does \
            otherwise. A test that is named and not there fails the list; that the tests pass is what these runs show.",
    runs: &[
        Run::Tests(CODEC),
        Run::Tests(Tests {
            package: "scenarios",
            filter: "test(/^http1::/) + test(/^routing::/) + test(/^timeouts::/) + test(/^upstream::/)",
        }),
    ],
    mutants: &[
        Mutant {
            fault: "fields that `Connection` names are passed on",
            file: "crates/traffic/http/src/gateway/hygiene.rs",
            before: "fields.remove_unknown_named_at(name);",
            after: "let _ = name;",
            caught_by: Run::Tests(CODEC),
        },
        Mutant {
            fault: "a coding in HTTP/1.0 is believed",
            file: "crates/traffic/http/src/head/framing.rs",
            before: "if version == Version::Http10 {",
            after: "if version == Version::Http10 && false {",
            caught_by: Run::Tests(CODEC),
        },
        Mutant {
            fault: "a status line is passed on without the blank behind the status",
            file: "crates/traffic/http/src/head/response.rs",
            before: " && text_end >= REASON_AT",
            after: "",
            caught_by: Run::Tests(CODEC),
        },
    ],
};
