//! A scenario as it is written.

use std::path::PathBuf;

use base_kit::{Percent, TimeSpan};
use base_model::document::{Check, Ejection, OrOff};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;

/// What is simulated.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Scenario {
    /// What it is called in the results.
    #[schemars(length(min = 1))]
    pub(crate) name: String,
    /// Where randomness starts: the same seed gives the same figures.
    #[serde(default = "first_seed")]
    pub(crate) seed: u64,
    /// Time that is measured. Not together with `phases`.
    #[serde(default)]
    pub(crate) duration: Option<TimeSpan>,
    /// Time before that, of which nothing is counted.
    #[serde(default)]
    pub(crate) warm_up: TimeSpan,
    /// Load levels one after the other, in place of `duration`.
    #[serde(default)]
    pub(crate) phases: Vec<Phase>,
    /// Balancers side by side, each with its own view: it knows only of its own requests.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1_000))]
    pub(crate) instances: u32,
    /// How requests come.
    pub(crate) arrivals: Arrivals,
    /// How much work a request is: the time it takes alone on a server of speed 1.
    pub(crate) service: Service,
    /// The servers: how many, or groups of them.
    pub(crate) servers: Servers,
    /// The balancers to compare, each as under `balance` of a pool.
    #[schemars(with = "Vec<BalancerSlot>", length(min = 1))]
    pub(crate) policies: Vec<Json>,
    /// How long a client waits before it gives up.
    #[serde(default = "default_deadline")]
    pub(crate) deadline: TimeSpan,
    /// Attempts in all for one request, the first included.
    #[serde(default = "default_attempts")]
    #[schemars(range(min = 1, max = 16))]
    pub(crate) attempts: u32,
    /// Takes a server out for a while after failures in traffic, as in a pool.
    #[serde(default = "default_ejection")]
    pub(crate) ejection: OrOff<Ejection>,
    /// When less than this share of the servers' weight is fit, all of them get traffic, as in a pool.
    #[serde(default)]
    pub(crate) panic: Percent,
    /// How long a server that comes back takes to get all of its share, as in a pool. It comes back when `health` says so.
    #[serde(default = "OrOff::<TimeSpan>::off")]
    pub(crate) slow_start: OrOff<TimeSpan>,
    /// Active checks, as in a pool: who is down or silent does not pass.
    #[serde(default = "OrOff::<Checks>::off")]
    pub(crate) health: OrOff<Checks>,
    /// Every policy runs with each of these, which differ in what they say from what is said above.
    #[serde(default)]
    pub(crate) pools: Vec<PoolVariant>,
    /// Different clients there are with open arrivals, for balancers that look at the client or at a key.
    #[serde(default = "default_sources")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) sources: u32,
    /// What goes wrong, and when. Times are from the end of the warm-up.
    #[serde(default)]
    pub(crate) faults: Vec<Fault>,
}

const fn first_seed() -> u64 {
    1
}

const fn one() -> u32 {
    1
}

const fn full() -> f64 {
    1.0
}

/// The pool's `first-byte`.
const fn default_deadline() -> TimeSpan {
    TimeSpan::from_secs(60)
}

/// The route's `retry.attempts`.
const fn default_attempts() -> u32 {
    3
}

fn default_ejection() -> OrOff<Ejection> {
    OrOff::On(Ejection::default())
}

/// Many more than servers, so that hashing spreads them well.
const fn default_sources() -> u32 {
    10_000
}

// Stands in the schema where the balancers of the catalog go.
#[derive(JsonSchema)]
#[schemars(rename = "Balancer")]
struct BalancerSlot {}

/// Other settings of the pool around the balancer.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct PoolVariant {
    /// What results call it.
    #[schemars(length(min = 1))]
    pub(crate) name: String,
    /// In place of the scenario's.
    #[serde(default)]
    pub(crate) ejection: Option<OrOff<Ejection>>,
    /// In place of the scenario's.
    #[serde(default)]
    pub(crate) panic: Option<Percent>,
    /// In place of the scenario's.
    #[serde(default)]
    pub(crate) slow_start: Option<OrOff<TimeSpan>>,
}

/// Active checks.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Checks {
    /// From one check to the next.
    pub(crate) interval: TimeSpan,
    /// Successes in a row that bring a sick server back.
    #[schemars(range(min = 1, max = 1_000))]
    pub(crate) rise: u32,
    /// Failures in a row that take a healthy one out.
    #[schemars(range(min = 1, max = 1_000))]
    pub(crate) fall: u32,
}

impl Default for Checks {
    /// As in a pool.
    fn default() -> Self {
        let Check { interval, rise, fall, .. } = Check::default();
        Self { interval, rise, fall }
    }
}

/// A level of load.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Phase {
    /// How long it holds.
    pub(crate) duration: TimeSpan,
    /// What the rate of the arrivals (or the number of clients) is multiplied by.
    #[schemars(range(min = 0.0, max = 1_000.0))]
    pub(crate) load: f64,
}

/// How requests come.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
#[schemars(extend("title" = "kind of arrivals"))]
pub(crate) enum Arrivals {
    /// Open: at random, independent of each other and of the answers.
    Poisson {
        /// Requests per second.
        #[schemars(range(min = 0.001, max = 10_000_000.0))]
        rate_per_second: Option<f64>,
        /// In place of the rate: share of what the servers can do.
        #[schemars(range(min = 0.001, max = 1_000.0))]
        load: Option<f64>,
    },
    /// Open: evenly spaced.
    Constant {
        /// Requests per second.
        #[schemars(range(min = 0.001, max = 10_000_000.0))]
        rate_per_second: Option<f64>,
        /// In place of the rate: share of what the servers can do.
        #[schemars(range(min = 0.001, max = 1_000.0))]
        load: Option<f64>,
    },
    /// Closed: clients that wait for the answer, think, and ask again.
    Closed {
        /// How many.
        #[schemars(range(min = 1, max = 1_000_000))]
        clients: u32,
        /// How long they think on average (exponential).
        #[serde(default)]
        think: TimeSpan,
    },
}

/// How much work a request is.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(extend("title" = "law of service times"))]
pub(crate) enum Service {
    /// Always the same.
    Constant {
        /// It.
        time: TimeSpan,
    },
    /// Exponential.
    Exponential {
        /// On average.
        mean: TimeSpan,
    },
    /// Normal, of which only what is above zero is taken.
    TruncatedNormal {
        /// Of the normal law, before it is cut.
        mean: TimeSpan,
        /// Standard deviation, before it is cut.
        deviation: TimeSpan,
    },
    /// Pareto between two bounds: many short ones, few that are very long.
    Pareto {
        /// The exponent: the smaller, the heavier the tail.
        #[schemars(range(min = 0.1, max = 100.0))]
        shape: f64,
        /// The shortest.
        min: TimeSpan,
        /// The longest.
        max: TimeSpan,
    },
    /// Those of a list or a file, in their order, over and over.
    Replay {
        /// The list.
        #[serde(default)]
        times: Vec<TimeSpan>,
        /// In place of it: a file beside the scenario, one time a line, in milliseconds: `12.5`.
        file: Option<PathBuf>,
    },
}

/// The servers.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Servers {
    /// So many that answer one request at a time.
    Count(#[schemars(range(min = 1, max = 10_000))] u32),
    /// So many of one sort.
    Group(ServerGroup),
    /// Several sorts.
    Groups(#[schemars(length(min = 1))] Vec<ServerGroup>),
}

impl Servers {
    /// Spelled out.
    pub(crate) fn groups(&self) -> Vec<ServerGroup> {
        match self {
            Self::Count(count) => vec![ServerGroup { count: *count, ..ServerGroup::default() }],
            Self::Group(group) => vec![group.clone()],
            Self::Groups(groups) => groups.clone(),
        }
    }
}

/// Servers of one sort.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct ServerGroup {
    /// How many.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10_000))]
    pub(crate) count: u32,
    /// Share of traffic relative to the others, for balancers that look at it.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 65_535))]
    pub(crate) weight: u32,
    /// How fast: 2 does the work in half of the time.
    #[serde(default = "full")]
    #[schemars(range(min = 0.001, max = 1_000.0))]
    pub(crate) speed: f64,
    /// How requests share it.
    #[serde(default)]
    pub(crate) model: ServerModel,
    /// `fifo`: requests that run at once, the others wait in line. `processor-sharing`: cores, so many requests run at full speed.
    #[serde(default = "full")]
    #[schemars(range(min = 0.01, max = 10_000.0))]
    pub(crate) slots: f64,
    /// What `load` of the arrivals counts this server for, in servers of speed 1; `speed` × `slots` if not given.
    #[serde(default)]
    #[schemars(range(min = 0.001, max = 10_000.0))]
    pub(crate) allocation: Option<f64>,
    /// Somebody else on the same machine.
    #[serde(default)]
    pub(crate) antagonist: Option<Antagonist>,
}

impl Default for ServerGroup {
    fn default() -> Self {
        Self {
            count: one(),
            weight: one(),
            speed: full(),
            model: ServerModel::default(),
            slots: full(),
            allocation: None,
            antagonist: None,
        }
    }
}

/// How requests share a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ServerModel {
    /// In the order in which they come, each with a slot of its own.
    #[default]
    Fifo,
    /// All at once, each with an equal share.
    ProcessorSharing,
}

/// Takes a share of a server's capacity for random times.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Antagonist {
    /// Of the capacity: slots of `processor-sharing`, speed of `fifo`.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(crate) share: f64,
    /// How long it takes it, on average (exponential).
    pub(crate) on: TimeSpan,
    /// How long it lets go, on average (exponential).
    pub(crate) off: TimeSpan,
}

/// What goes wrong.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(extend("title" = "kind of fault"))]
pub(crate) enum Fault {
    /// Refuses connections; what runs there breaks off.
    Down {
        /// Numbers of servers, from 0, in the order of `servers`: one or a list.
        servers: ServerNumbers,
        /// When it begins.
        from: TimeSpan,
        /// When it is over.
        to: TimeSpan,
    },
    /// Takes longer than it should.
    Slow {
        /// Numbers of servers, from 0, in the order of `servers`: one or a list.
        servers: ServerNumbers,
        /// So many times as long.
        #[schemars(range(min = 1.0, max = 1_000_000.0))]
        factor: f64,
        /// When it begins.
        from: TimeSpan,
        /// When it is over.
        to: TimeSpan,
    },
    /// Takes requests and does not answer; what is there goes on when it is over.
    Silent {
        /// Numbers of servers, from 0, in the order of `servers`: one or a list.
        servers: ServerNumbers,
        /// When it begins.
        from: TimeSpan,
        /// When it is over.
        to: TimeSpan,
    },
    /// Answers a share of the requests with status 500, without doing the work.
    Errors {
        /// Numbers of servers, from 0, in the order of `servers`: one or a list.
        servers: ServerNumbers,
        /// Of the requests.
        #[schemars(range(min = 0.0, max = 1.0))]
        share: f64,
        /// When it begins.
        from: TimeSpan,
        /// When it is over.
        to: TimeSpan,
    },
}

impl Fault {
    /// Whom it strikes, from when to when.
    pub(crate) fn extent(&self) -> (&[usize], TimeSpan, TimeSpan) {
        let (Self::Down { servers, from, to }
        | Self::Slow { servers, from, to, .. }
        | Self::Silent { servers, from, to }
        | Self::Errors { servers, from, to, .. }) = self;
        (servers.as_slice(), *from, *to)
    }
}

/// One server or several.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum ServerNumbers {
    /// One.
    One(usize),
    /// Several.
    Many(#[schemars(length(min = 1))] Vec<usize>),
}

impl ServerNumbers {
    fn as_slice(&self) -> &[usize] {
        match self {
            Self::One(number) => std::slice::from_ref(number),
            Self::Many(numbers) => numbers,
        }
    }
}
