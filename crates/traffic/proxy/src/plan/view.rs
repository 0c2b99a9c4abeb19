//! One worker's view of the plan: the plan itself, shared, and what each worker has of its own.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;

use base_model::model::{Listener, Protocol};
use base_signal::{Counter, Gauge, Histogram, Shard, families};
use traffic_http::HeadLimits;
use traffic_http2::Abuse;
use traffic_route::Passages;
use traffic_tls::{ClientHello, HandshakeFault, ServerTls};

use crate::decisions::Standings;
use crate::plan::{Plan, PlanError, RoutePlan, build_selector};
use crate::upstream::{LocalPool, LocalSessions, PoolMeters, Prober};

/// One worker's view of a plan. A request keeps the view that it began with.
pub(crate) struct View {
    pub(crate) plan: Arc<Plan>,
    pub(crate) listeners: Vec<Rc<ListenerView>>,
    pub(crate) pools: Vec<LocalPool>,
    pub(crate) standings: Standings,
    /// Made when a route is first used: there may be many that rarely are.
    routes: Vec<OnceCell<RouteMeters>>,
    unrouted: RouteMeters,
}

/// A listener's settings and numbers.
pub(crate) struct ListenerView {
    pub(crate) index: usize,
    pub(crate) settings: Listener,
    pub(crate) limits: HeadLimits,
    /// What is done in handshakes, where clients come over TLS.
    pub(crate) tls: Option<Arc<ServerTls>>,
    /// What is passed on by what it asks for in TLS.
    pub(crate) passages: Arc<Passages>,
    pub(crate) meters: ListenerMeters,
}

/// A listener's numbers.
pub(crate) struct ListenerMeters {
    pub(crate) open: Gauge,
    pub(crate) accepted: Counter,
    /// Those that had to wait for a place.
    pub(crate) held: Counter,
    /// Those on which HTTP/2 was begun.
    pub(crate) http2: Counter,
    pub(crate) received: Counter,
    pub(crate) sent: Counter,
    /// TLS handshakes that were whole, and those that took a session up again.
    pub(crate) full: Counter,
    pub(crate) resumed: Counter,
    /// Connections that were to be introduced and were not.
    pub(crate) unintroduced: Counter,
    /// Where connections or datagrams are passed on.
    pub(crate) passed: Option<PassedMeters>,
    /// Where these are datagrams.
    pub(crate) datagrams: Option<DatagramMeters>,
    failed: Vec<(HandshakeFault, Counter)>,
    abused: Vec<(Abuse, Counter)>,
}

/// What becomes of connections that are passed on.
pub(crate) struct PassedMeters {
    pub(crate) ended: Counter,
    pub(crate) failed: Counter,
    pub(crate) duration: Histogram,
}

/// What becomes of datagrams.
pub(crate) struct DatagramMeters {
    /// From clients.
    pub(crate) up: Counter,
    /// To them.
    pub(crate) down: Counter,
    /// Those of strangers, while there were as many sessions as there may be.
    pub(crate) no_session: Counter,
    /// Those that no endpoint could take.
    pub(crate) no_endpoint: Counter,
    /// Those that the system had no room for, or refused.
    pub(crate) not_taken: Counter,
}

impl ListenerMeters {
    /// Counts a client that was sent away for this.
    pub(crate) fn http2_abused(&self, abuse: Abuse) {
        self.abused.iter().filter(|(other, _)| *other == abuse).for_each(|(_, counter)| counter.increment());
    }

    /// Counts a TLS handshake that failed in this way.
    pub(crate) fn handshake_failed(&self, fault: HandshakeFault) {
        self.failed.iter().filter(|(other, _)| *other == fault).for_each(|(_, counter)| counter.increment());
    }
}

/// A route's numbers.
pub(crate) struct RouteMeters {
    by_class: [Counter; 5],
    unanswered: Counter,
    pub(crate) duration: Histogram,
}

impl View {
    /// The view of a worker that counts on `shard`.
    pub(crate) fn new(plan: Arc<Plan>, shard: &Shard) -> Result<Self, PlanError> {
        let listeners = plan.model.listeners.iter().enumerate();
        let listeners = listeners
            .map(|(index, listener)| Rc::new(ListenerView::new(index, listener, &plan, shard)))
            .collect();
        let pools = plan
            .pools
            .iter()
            .map(|pool| {
                let selector = build_selector(&pool.settings)?;
                let meters = PoolMeters::new(shard, &pool.settings);
                let sessions = LocalSessions::new(&pool.settings, &pool.state, shard);
                let prober =
                    selector.probing().map(|probing| Prober::new(probing, shard, &pool.settings.name));
                let of = (Arc::clone(&pool.settings), Arc::clone(&pool.state));
                Ok(LocalPool::new(of, pool.tls.clone(), selector, meters, sessions, prober))
            })
            .collect::<Result<_, PlanError>>()?;
        let standings = Standings::new(plan.pools.len());
        let routes = plan.routes.iter().map(|_| OnceCell::new()).collect();
        Ok(Self { listeners, pools, standings, routes, unrouted: RouteMeters::new(shard, "none"), plan })
    }

    /// The listener of this name, if it is still there.
    pub(crate) fn listener(&self, name: &str) -> Option<&Rc<ListenerView>> {
        self.listeners.iter().find(|listener| &*listener.settings.name == name)
    }

    /// The route at this index, as the router gives it.
    pub(crate) fn route(&self, index: usize) -> Option<&RoutePlan> {
        self.plan.routes.get(index)
    }

    /// The numbers of a route, or of what no route took.
    pub(crate) fn route_meters(&self, route: Option<usize>, shard: &Shard) -> &RouteMeters {
        let found = route.and_then(|index| Some((self.routes.get(index)?, self.plan.routes.get(index)?)));
        match found {
            Some((meters, plan)) => meters.get_or_init(|| RouteMeters::new(shard, &plan.route.name)),
            None => &self.unrouted,
        }
    }
}

impl ListenerView {
    fn new(index: usize, listener: &Listener, plan: &Plan, shard: &Shard) -> Self {
        let name = &*listener.name;
        let handshakes = |result| shard.counter(&families::TLS_HANDSHAKES, &[name, result]);
        let abuses = Abuse::ALL.into_iter().filter(|_| listener.http2.is_some());
        // A listener without TLS has none.
        let hears_tls = listener.tls.is_some() || !listener.pass_through.is_empty();
        let faults = HandshakeFault::ALL.into_iter().filter(|_| hears_tls);
        let is_udp = matches!(listener.protocol, Protocol::Udp { .. });
        let passes_on = listener.protocol != Protocol::Http || !listener.pass_through.is_empty();
        Self {
            index,
            settings: listener.clone(),
            limits: head_limits(listener),
            tls: plan.tls.get(index).cloned().flatten(),
            passages: plan.passages.get(index).cloned().unwrap_or_default(),
            meters: ListenerMeters {
                open: shard.gauge(&families::CONNECTIONS_OPEN, &[name]),
                accepted: shard.counter(&families::CONNECTIONS_ACCEPTED, &[name]),
                held: shard.counter(&families::CONNECTIONS_HELD, &[name]),
                http2: shard.counter(&families::HTTP2_CONNECTIONS, &[name]),
                received: shard.counter(&families::BYTES_RECEIVED, &[name]),
                sent: shard.counter(&families::BYTES_SENT, &[name]),
                full: handshakes("full"),
                resumed: handshakes("resumed"),
                unintroduced: shard.counter(&families::PROXY_PROTOCOL_FAILURES, &[name]),
                passed: passes_on.then(|| PassedMeters::new(shard, listener)),
                datagrams: is_udp.then(|| DatagramMeters::new(shard, name)),
                abused: abuses
                    .map(|abuse| (abuse, shard.counter(&families::HTTP2_ABUSE, &[name, abuse.word()])))
                    .collect(),
                failed: faults.map(|fault| (fault, handshakes(fault.word()))).collect(),
            },
        }
    }
}

impl ListenerView {
    /// The pool for a client that asks for this in TLS, if it is to be passed on.
    pub(crate) fn passage(&self, hello: &ClientHello) -> Option<usize> {
        self.passages.find(hello.name.as_deref(), &hello.protocols)
    }
}

impl PassedMeters {
    fn new(shard: &Shard, listener: &Listener) -> Self {
        let (passed, duration) = match listener.protocol {
            Protocol::Udp { .. } => (&families::UDP_SESSIONS, &families::UDP_DURATION),
            Protocol::Tcp { .. } | Protocol::Http => (&families::TCP_CONNECTIONS, &families::TCP_DURATION),
        };
        let name = &*listener.name;
        Self {
            ended: shard.counter(passed, &[name, "ended"]),
            failed: shard.counter(passed, &[name, "failed"]),
            duration: shard.histogram(duration, &[name]),
        }
    }
}

impl DatagramMeters {
    fn new(shard: &Shard, listener: &str) -> Self {
        let datagrams = |direction| shard.counter(&families::UDP_DATAGRAMS, &[listener, direction]);
        let dropped = |cause| shard.counter(&families::UDP_DROPPED, &[listener, cause]);
        Self {
            up: datagrams("up"),
            down: datagrams("down"),
            no_session: dropped("no-session"),
            no_endpoint: dropped("no-endpoint"),
            not_taken: dropped("not-taken"),
        }
    }
}

/// What heads may hold that come in by a listener.
pub(crate) const fn head_limits(listener: &Listener) -> HeadLimits {
    HeadLimits {
        max_head_bytes: listener.max_head_bytes,
        max_fields: listener.max_fields,
        max_target_bytes: listener.max_target_bytes,
    }
}

impl RouteMeters {
    fn new(shard: &Shard, route: &str) -> Self {
        let answers = |class| shard.counter(&families::REQUESTS, &[route, class]);
        Self {
            by_class: ["1xx", "2xx", "3xx", "4xx", "5xx"].map(answers),
            unanswered: answers("none"),
            duration: shard.histogram(&families::REQUEST_DURATION, &[route]),
        }
    }

    /// Counts a request that was answered with this status; 0 for one that was not.
    pub(crate) fn answered(&self, status: u16) {
        let class = usize::from(status / 100).wrapping_sub(1);
        self.by_class.get(class).unwrap_or(&self.unanswered).increment();
    }
}
