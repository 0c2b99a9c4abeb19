//! Clients and backends that mean harm.

use crate::prove::harness::{Harness, Mutant, Run, Tests};

const PLAYS: Tests = Tests { package: "scenarios", filter: "test(/^hostile::/)" };

pub(crate) const HARNESS: Harness = Harness {
    name: "hostile",
    title: "Hostile clients and backends",
    about: "Attacks on a running Aya. A bystander asks for something else all the while, and every one of its requests must be served; the \
            memory that Aya takes at the height stays below a bound that follows from the limits (so many connections, so much for each); and \
            when the attack is over, connections, requests, descriptors and threads are as many as before. Latencies of the bystander are \
            shown, not judged: the attackers run on the same machine. Slow bodies and slow readers that get on, however slowly, are ended \
            by `timeouts.request` of their route alone: without it they hold their place (`max-connections` bounds how many).",
    runs: &[Run::Tests(PLAYS)],
    mutants: &[
        Mutant {
            fault: "a head may take a hundred times as long as is said",
            file: "crates/traffic/proxy/src/life/head.rs",
            before: "listener.settings.timeouts.request_head;",
            after: "listener.settings.timeouts.request_head * 100;",
            caught_by: Run::Tests(Tests {
                package: "scenarios",
                filter: "test(hostile::clients::slow_heads)",
            }),
        },
        Mutant {
            fault: "a request may take a hundred times as long as is said",
            file: "crates/traffic/proxy/src/life/head.rs",
            before: "self.deadline = self.exchange.record.started + span;",
            after: "self.deadline = self.exchange.record.started + span * 100;",
            caught_by: Run::Tests(Tests {
                package: "scenarios",
                filter: "test(hostile::backends::backends_that_are_silent)",
            }),
        },
        Mutant {
            fault: "interim answers are relayed without end",
            file: "crates/traffic/proxy/src/life/forward.rs",
            before: "const MAX_INTERIM: u32 = 32;",
            after: "const MAX_INTERIM: u32 = u32::MAX;",
            caught_by: Run::Tests(Tests {
                package: "scenarios",
                filter: "test(hostile::backends::backends_that_flood)",
            }),
        },
        Mutant {
            fault: "whoever has not sent all of a head holds another 16 KiB",
            file: "crates/traffic/proxy/src/life/head.rs",
            before: "self.client.timer.set(deadline);",
            after: "self.client.timer.set(deadline);\n        let _held = std::hint::black_box(vec![1_u8; 16 * 1024]);",
            caught_by: Run::Tests(Tests {
                package: "scenarios",
                filter: "test(hostile::clients::ten_thousand_half_open_heads)",
            }),
        },
    ],
};
