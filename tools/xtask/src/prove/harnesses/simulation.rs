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
            caught_by: SEEDS,
        },
        Mutant {
            fault: "a POST that was sent is sent to another endpoint",
            file: "crates/traffic/proxy/src/life/forward.rs",
            before: "if self.exchange.up.has_sent() && !self.method.is_idempotent() {",
            after: "if false {",
            caught_by: SEEDS,
        },
        Mutant {
            fault: "a connection is used again though the request's body was not read to its end",
            file: "crates/traffic/proxy/src/life/forward.rs",
            before: "        if !self.exchange.up.is_finished() {\n            // The endpoint has answered",
            after: "        if false {\n            // The endpoint has answered",
            caught_by: SEEDS,
        },
        Mutant {
            fault: "an idle connection to an endpoint keeps its buffer",
            file: "crates/traffic/proxy/src/upstream/reach.rs",
            before: "            connection.input.release();\n",
            after: "",
            caught_by: SEEDS,
        },
        Mutant {
            fault: "a connection with bytes of a former answer is used again",
            file: "crates/traffic/proxy/src/life/forward.rs",
            before: "if persists && connection.input.is_empty() {",
            after: "if persists {",
            caught_by: SEEDS,
        },
        Mutant {
            fault: "a deadline that was put off expires all the same",
            file: "crates/traffic/proxy/src/timers.rs",
            before: "if entry.deadline <= now {",
            after: "if entry.deadline <= now || entry.deadline != Moment::NEVER {",
            caught_by: SEEDS,
        },
        Mutant {
            fault: "a connection that Aya ends is closed with requests unread, which resets it and takes the answer along",
            file: "crates/traffic/proxy/src/life.rs",
            before: "(true, false) => Ending::Linger,",
            after: "(true, false) => Ending::Close,",
            caught_by: SEEDS,
        },
        Mutant {
            fault: "whoever waits for a place when draining begins is dropped",
            file: "crates/traffic/proxy/src/thread/accept.rs",
            before: "for accepted in self.next.take().into_iter().chain(queued) {",
            after: "self.next.take();\n        for accepted in queued {",
            caught_by: SEEDS,
        },
        Mutant {
            fault: "an endpoint that was tried is tried again",
            file: "crates/traffic/proxy/src/upstream/pool.rs",
            before: "            tried.push(reach.state.id());\n",
            after: "",
            caught_by: SEEDS,
        },
        Mutant {
            fault: "a worker goes on choosing from the endpoints that it has known first",
            file: "crates/traffic/balance/src/selector/mod.rs",
            before: "        if self.epoch == Some(epoch) {",
            after: "        if self.epoch.is_some() {",
            caught_by: SEEDS,
        },
        Mutant {
            fault: "a session's endpoint is passed over",
            file: "crates/traffic/proxy/src/upstream/pool.rs",
            before: "        let mut bound = self.session_reach(tried, &context);",
            after: "        let mut bound = self.session_reach(tried, &context).filter(|_| tried.len() > 1);",
            caught_by: SEEDS,
        },
    ],
};
