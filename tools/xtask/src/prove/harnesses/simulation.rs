//! The engine under a simulated network and clock.

use crate::prove::harness::{Harness, Mutant, Run, Tests};

const SEEDS: Tests = Tests { package: "simnet", filter: "test(every_seed_holds)" };

pub(crate) const HARNESS: Harness = Harness {
    name: "simulation",
    title: "Deterministic simulation",
    about: "The engine itself, connections, relay, retries, timers, upstream pool, queue, sessions and balancers, on one thread under a \
            simulated network and a clock that stands still while anybody has something to do. Clients go, stall and dawdle, endpoints \
            fail in every way there is, the operator reloads and drains; what must hold is looked at all the time. A seed that fails \
            repeats to the byte, and is made smaller by itself. See [simulation](../design/simulation.md).",
    runs: &[Run::Tests(Tests { package: "simnet", filter: "binary(simulation)" })],
    mutants: &[
        Mutant {
            fault: "a request that was not answered stays in flight for ever",
            file: "crates/traffic/proxy/src/upstream/reach.rs",
            before: "        self.waits(false);\n        self.reach.state.end();\n",
            after: "        self.waits(false);\n        if self.is_answered.get() {\n            self.reach.state.end();\n        }\n",
            caught_by: Run::Tests(SEEDS),
        },
        Mutant {
            fault: "a POST that was sent is sent to another endpoint",
            file: "crates/traffic/proxy/src/life/forward.rs",
            before: "if self.exchange.up.has_sent() && !self.method.is_idempotent() && !self.was_refused {",
            after: "if false {",
            caught_by: Run::Tests(SEEDS),
        },
        Mutant {
            fault: "a connection is used again though the request's body was not read to its end",
            file: "crates/traffic/proxy/src/life/forward.rs",
            before: "        if !self.exchange.up.is_finished() {\n            // The endpoint has answered",
            after: "        if false {\n            // The endpoint has answered",
            caught_by: Run::Tests(SEEDS),
        },
        Mutant {
            fault: "an idle connection to an endpoint keeps its buffer",
            file: "crates/traffic/proxy/src/upstream/reach.rs",
            before: "            connection.input.release();\n",
            after: "",
            caught_by: Run::Tests(SEEDS),
        },
        Mutant {
            fault: "a connection with bytes of a former answer is used again",
            file: "crates/traffic/proxy/src/life/forward.rs",
            before: "if persists && connection.input.is_empty() && !self.may_be_taken_for_two() {",
            after: "if persists && !self.may_be_taken_for_two() {",
            caught_by: Run::Tests(SEEDS),
        },
    ],
};
