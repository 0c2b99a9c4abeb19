//! Requests and answers that servers are known to read in different ways.

use crate::prove::harness::{Harness, Mutant, Run, Tests};

const ORIGINS: Tests = Tests { package: "scenarios", filter: "test(/^grid::no_origin/)" };
const ANSWERS: Tests = Tests { package: "scenarios", filter: "test(/^grid::answers::/)" };

pub(crate) const HARNESS: Harness = Harness {
    name: "smuggling",
    title: "Request smuggling",
    about: "Payloads that servers are known to read in different ways, and those published of other proxies, through Aya to real servers; \
            and hostile answers the other way. It fails when an origin saw a request that the client did not frame or that Aya did not log \
            as forwarded, or when an answer went to another request. The short form meets three origins, the long form all.",
    runs: &[Run::Tests(Tests { package: "scenarios", filter: "test(/^grid::/)" })],
    mutants: &[
        Mutant {
            fault: "A request with Content-Length and Transfer-Encoding is taken by the coding",
            file: "crates/traffic/http/src/head/framing.rs",
            before: "        return Err(HttpError::LengthAndTransferEncoding);",
            after: "        return chunked(fields, version).map(Some);",
            caught_by: Run::Tests(ORIGINS),
        },
        Mutant {
            fault: "The byte behind the data of a chunk is skipped, whatever it is",
            file: "crates/traffic/http/src/body/reader.rs",
            before: "                State::ChunkCarriageReturn if first == b'\\r' => {",
            after: "                State::ChunkCarriageReturn => {",
            caught_by: Run::Tests(ORIGINS),
        },
        Mutant {
            fault: "A connection is used again although more than the answer came by it",
            file: "crates/traffic/proxy/src/life/forward.rs",
            before: "        if persists && connection.input.is_empty() && !self.may_be_taken_for_two() {",
            after: "        if persists && !self.may_be_taken_for_two() {",
            caught_by: Run::Tests(ANSWERS),
        },
    ],
};
