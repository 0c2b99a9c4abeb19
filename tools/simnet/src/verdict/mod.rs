//! Looks at what everybody has seen, and finds what must not be.

mod requests;

use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base_signal::{Registry as Metrics, families};
use traffic_proxy::Engine;

use crate::settings::PROBE_PATH;
use crate::world::World;

pub(crate) use requests::judge;

/// A client's connection and the one it is relayed to borrow this much at most each: the largest size there is.
const LARGEST_BUFFER: usize = 256 << 10;
/// How long the engine goes on reading from who was told to go.
const LINGER: Duration = Duration::from_millis(2_500);

/// Looks at what the engine holds, again and again.
pub(crate) async fn watch(world: Rc<World>, engine: Rc<Engine>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let vitals = engine.vitals();
        let most = (2 * vitals.connections + vitals.idle_upstream) * LARGEST_BUFFER + 64 * (16 << 10);
        world.check("storage", vitals.lent_bytes <= most, || format!("too much is lent: {vitals:?}"));
        world.check("storage", vitals.timers == vitals.connections, || format!("a timer each: {vitals:?}"));
        if is_quiet(&world) {
            world.check("storage", vitals.lent_bytes == 0, || format!("all are idle, and yet: {vitals:?}"));
        }
        world.pools.check_invariants();
    }
}

/// Whether nobody has asked anything for a while that was not answered.
fn is_quiet(world: &World) -> bool {
    let is_probing = |pool: &base_model::model::Pool| {
        pool.balance.settings.get("probe").is_some_and(|path| path == PROBE_PATH)
    };
    if world.models.borrow().iter().flat_map(|model| &model.pools).any(is_probing) {
        return false;
    }
    let (ledger, now) = (world.ledger.borrow(), world.elapsed());
    let long_ago = |at: Duration| now.saturating_sub(at) > LINGER;
    let mut sessions = ledger.sessions.values();
    sessions.all(|session| match session.ended {
        Some((_, at)) => long_ago(at),
        None => {
            let answered = |id: &String| {
                ledger
                    .requests
                    .get(id)
                    .is_some_and(|asked| asked.answers.iter().any(|answer| answer.is_whole))
            };
            long_ago(session.last_use) && session.requests.iter().all(answered)
        }
    })
}

/// When the engine has ended, and everybody has heard of it.
pub(crate) fn at_the_end(world: &Rc<World>, engine: &Engine) {
    let vitals = engine.vitals();
    let is_empty = (vitals.connections, vitals.timers, vitals.lent_bytes) == (0, 0, 0);
    world.check("returns-to-zero", is_empty, || format!("in the end: {vitals:?}"));
    judge(world, engine);
}

/// When the engine itself is gone.
pub(crate) fn when_all_is_gone(world: &Rc<World>, metrics: &Metrics, open: &AtomicU32) {
    let open = open.load(Ordering::Relaxed);
    world.check("returns-to-zero", open == 0, || format!("the listener counts {open} connections"));
    for family in [&families::CONNECTIONS_OPEN, &families::UPSTREAM_CONNECTIONS_OPEN] {
        for (labels, number) in metrics.numbers(family) {
            world.check("returns-to-zero", number == 0, || {
                format!("{} of {labels:?} is {number}", family.name)
            });
        }
    }
    for endpoint in world.endpoints.borrow().iter() {
        let in_flight = endpoint.in_flight();
        world.check("returns-to-zero", in_flight == 0, || {
            format!("{in_flight} in flight at {}", endpoint.name())
        });
        endpoint.check_invariants();
    }
    for pool in world.pools.pools() {
        let waiting = pool.waiting().len();
        world.check("returns-to-zero", waiting == 0, || {
            format!("{waiting} wait in the line of {}", pool.name())
        });
    }
}
