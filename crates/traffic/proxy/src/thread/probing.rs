//! Asking endpoints what they have to do, as balancers want it: beside the requests and never in their way.
//!
//! A request only rings a bell. A task of the worker then asks whom the balancers name, at most one question at a time to each endpoint,
//! on a connection kept for that. What comes too late, or not at all, is counted and left at that: samples grow old by
//! themselves, and whether an endpoint is fit is for health checks to say.

use std::rc::Rc;

use tokio::task::spawn_local;
use traffic_balance::ProbeAnswer;
use traffic_net::Introduction;

use crate::plan::View;
use crate::upstream::{LocalPool, ProbeLine, Reach};
use crate::worker::Worker;

/// Probes under way at once on a worker; what a balancer wants beyond is left out. Each holds a connection of its own anyway; this
/// bounds what a burst of requests can bring upon a network that has just become slow.
const MAX_UNDER_WAY: usize = 64;

/// Sends probes whenever the bell rings, as long as the worker lives.
pub(super) async fn send_probes(worker: Rc<Worker>) {
    loop {
        worker.bell.rung().await;
        let view = worker.view();
        for (index, local) in view.pools.iter().enumerate() {
            send_for(&worker, &view, index, local);
        }
    }
}

fn send_for(worker: &Rc<Worker>, view: &Rc<View>, index: usize, local: &LocalPool) {
    if local.prober.is_none() || worker.is_draining() {
        return;
    }
    let reach_of = |endpoint: &_| worker.reach(endpoint);
    let next = || local.next_probe(worker.now(), &mut *worker.rng.borrow_mut(), &reach_of);
    while let Some(reach) = next() {
        if worker.bell.under_way.get() >= MAX_UNDER_WAY {
            continue;
        }
        // Who has not answered yet is not asked again.
        let Some(line) = reach.take_line() else { continue };
        worker.bell.under_way.set(worker.bell.under_way.get() + 1);
        let (worker, view) = (Rc::clone(worker), Rc::clone(view));
        spawn_local(async move {
            if let Some(local) = view.pools.get(index) {
                probe(&worker, local, &reach, line).await;
            }
            worker.bell.under_way.set(worker.bell.under_way.get() - 1);
        });
    }
}

/// Asks one endpoint, and tells the balancer what it says.
async fn probe(worker: &Worker, local: &LocalPool, reach: &Reach, mut line: Box<ProbeLine>) {
    let Some(prober) = &local.prober else { return };
    let host = local.settings.host.as_deref().unwrap_or(reach.state.name());
    let (world, tls) = ((&*worker.network, &worker.buffers, &local.meters), local.tls.as_ref());
    let dial = |address| {
        let introduce = |version| Introduction::encode(version, None, None);
        reach
            .dial((&local.settings, tls), world, (address, local.settings.proxy_protocol.map(introduce)))
            .ok()
    };
    let answer = match reach.state.address().and_then(dial) {
        None => None,
        Some(dial) => {
            let asked = line.ask(&dial, tls, (&prober.probing.path, host));
            match tokio::time::timeout(prober.probing.timeout, asked).await {
                Ok(answer) => answer.ok(),
                Err(_) => {
                    dial.timed_out();
                    None
                }
            }
        }
    };
    let now = worker.now();
    match answer {
        Some(Some(report)) => {
            prober.answered.increment();
            local.probed(&reach.state, report.requests, now);
        }
        Some(None) => {
            prober.silent.increment();
            // One that cannot tell counts as Aya sees it: else it would get nothing beside those that can.
            local.probed(&reach.state, ProbeAnswer::default(), now);
        }
        None => {
            prober.failed.increment();
            // A late answer must not be taken for the next one's.
            line.close();
        }
    }
    reach.put_line(line, now);
}
