//! Messages that others thought of.

use crate::prove::harness::{Harness, Mutant, Run, Tests};

const CORPUS: Tests = Tests { package: "traffic-http", filter: "test(/^corpus::/)" };

pub(crate) const HARNESS: Harness = Harness {
    name: "corpus",
    title: "HTTP/1 corpus",
    about: "The cases of llhttp, the parser of Node.js, and cases of our own are read by the codec in the role that each is for: whole, byte by byte \
            and cut at random, which must give the same. Where Aya says something else than llhttp, the difference must be of a kind that has a \
            reason; one that has none fails the test.",
    runs: &[Run::Tests(CORPUS)],
    mutants: &[
        Mutant {
            fault: "a bare LF ends a line",
            file: "crates/traffic/http/src/fields/load.rs",
            before: "            _ => Err(HttpError::InvalidLineEnd),",
            after: "            _ => Ok(()),",
            caught_by: Run::Tests(CORPUS),
        },
        Mutant {
            fault: "the first of two lengths counts",
            file: "crates/traffic/http/src/head/framing.rs",
            before: "if fields.has_several(KnownField::ContentLength) {",
            after: "if fields.has_several(KnownField::ContentLength) && false {",
            caught_by: Run::Tests(CORPUS),
        },
        Mutant {
            fault: "what follows a message that ends the connection is read",
            file: "crates/traffic/http/src/head/framing.rs",
            before: "if has_token(fields, KnownField::Connection, b\"close\") {",
            after: "if has_token(fields, KnownField::Connection, b\"closed\") {",
            caught_by: Run::Tests(CORPUS),
        },
    ],
};
