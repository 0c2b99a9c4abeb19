//! Aya beside nginx and HAProxy on the same exchanges.

use crate::prove::harness::{Harness, Mutant, Run, Tests};

const DIFFERENTIAL: Tests = Tests { package: "scenarios", filter: "test(/^differential::/)" };

pub(crate) const HARNESS: Harness = Harness {
    name: "differential",
    title: "The same as others",
    about: "Valid exchanges drawn from a seed (`AYA_SEED`), through Aya, nginx and HAProxy to one scripted endpoint. It fails when what the \
            endpoint or the client got differs by more than the listed differences, each of which has its reason.",
    runs: &[Run::Tests(DIFFERENTIAL)],
    mutants: &[
        Mutant {
            fault: "Trailers are dropped",
            file: "crates/traffic/http/src/body/trailers.rs",
            before: "                self.fields.retain(may_be_trailer);",
            after: "                self.fields.retain(|known, name| may_be_trailer(known, name) && false);",
            caught_by: Run::Tests(DIFFERENTIAL),
        },
        Mutant {
            fault: "Of several Set-Cookie only the first reaches the client",
            file: "crates/traffic/proxy/src/life/identity.rs",
            before: "        hygiene::strip_hop_by_hop(response.fields_mut());",
            after: "        hygiene::strip_hop_by_hop(response.fields_mut());\n        \
                    if let Some(first) = response.fields().find(\"set-cookie\").map(<[u8]>::to_vec) {\n            \
                    response.fields_mut().set(\"set-cookie\", &first);\n        }",
            caught_by: Run::Tests(DIFFERENTIAL),
        },
        Mutant {
            fault: "Interim answers end at Aya",
            file: "crates/traffic/proxy/src/life/forward.rs",
            before: "        if wanted {\n            let reply",
            after: "        if wanted && status == 100 {\n            let reply",
            caught_by: Run::Tests(DIFFERENTIAL),
        },
    ],
};
