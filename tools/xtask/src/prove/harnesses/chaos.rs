//! Servers that die, stop and are cut off under load.

use crate::prove::harness::{Harness, Mutant, Run, Tests};

const PLAYS: Tests = Tests { package: "scenarios", filter: "test(/^chaos::/)" };

pub(crate) const HARNESS: Harness = Harness {
    name: "chaos",
    title: "Lifecycle chaos",
    about: "Four servers, processes of their own, two of them in network namespaces, behind one Aya under load by wrk and by clients that know \
            every byte of every answer. One or two at a time are killed, stopped, slowed or cut off; configurations, weights and endpoints \
            change meanwhile. Each failure is looked up in what Aya remembers of the request, and must be one of a closed list of \
            excuses that fits what the client knows, of a server that something has befallen; all others fail the test. Servers note down what may \
            not be done twice. 10 minutes (45 s in the short form).",
    runs: &[Run::Tests(PLAYS)],
    mutants: &[
        Mutant {
            fault: "nothing is ever sent again",
            file: "crates/traffic/proxy/src/life/forward.rs",
            before: "let mut left = route.route.attempts;",
            after: "let mut left = route.route.attempts.min(1);",
            caught_by: Run::Tests(PLAYS),
        },
        Mutant {
            fault: "a request that may not be repeated is sent again",
            file: "crates/traffic/proxy/src/life/forward.rs",
            before: "self.exchange.up.has_sent() && !self.method.is_idempotent()",
            after: "self.exchange.up.has_sent() && !self.method.is_idempotent() && self.worker.is_draining()",
            caught_by: Run::Tests(PLAYS),
        },
    ],
};
