//! Endpoints: they answer, early or late, in parts, wrongly or not at all.

mod answers;
mod tap;

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use base_testkit::Request;
use tokio::task::spawn_local;
use traffic_net::Stream;

use crate::dice::Dice;
use crate::endpoint::answers::{Answering, Reply};
use crate::endpoint::tap::RequestTap;
use crate::ledger::{EndpointFault, Exchanges};
use crate::net::EngineStream;
use crate::scenario::Part;
use crate::settings::{self, PROBE_PATH};
use crate::wire::{Cut, Framing, Pace, Wire, framing, is_pattern};
use crate::world::World;

/// Of a hundred requests to this endpoint so many meet a fault.
fn fault_rate(world: &World, endpoint: u32) -> usize {
    if !world.scenario.has(Part::EndpointFaults) {
        return 0;
    }
    Dice::of(world.scenario.seed, &format!("endpoint {endpoint}")).weighted(&[
        (4, 0),
        (3, 5),
        (3, 25),
        (1, 80),
    ])
}

/// Aya connects.
pub(crate) async fn accept(world: Rc<World>, address: SocketAddr) -> io::Result<Box<dyn Stream>> {
    let endpoint = settings::endpoint_at(address);
    tap::check_eligible(&world, endpoint, "a connection is made");
    // The links there are tell one connection from the next.
    let (engines, own) = world.net.link();
    let mut dice = Dice::of(world.scenario.seed, &format!("endpoint {endpoint} link {}", own.link));
    let fault = (dice.percent(fault_rate(&world, endpoint) / 2)).then(|| {
        dice.weighted(&[
            (3, EndpointFault::Refuses),
            (1, EndpointFault::NeverConnects),
            (2, EndpointFault::ResetsAtOnce),
        ])
    });
    let fault = world.script.get().filter(EndpointFault::is_at_the_door).or(fault);
    world.note(|| format!("aya connects to endpoint {endpoint}, link {}: {fault:?}", own.link));
    fault.into_iter().for_each(|fault| world.count_endpoint_fault(fault));
    tokio::time::sleep(world.net.handshake()).await;
    match fault {
        Some(EndpointFault::Refuses) => return Err(io::ErrorKind::ConnectionRefused.into()),
        Some(EndpointFault::NeverConnects) => std::future::pending().await,
        Some(_) => own.abort(),
        None => {}
    }
    let link = own.link;
    world.ledger.borrow_mut().upstream.insert(link, Exchanges::default());
    if fault.is_none() {
        let is_slow = world.scenario.has(Part::EndpointFaults) && dice.percent(15);
        let pace =
            if is_slow { Pace { read_ms: 10, write_ms: 30, piece: Some(2_000) } } else { Pace::default() };
        let wire = Wire::new(own, Dice::of(dice.seed(), "wire"), pace);
        spawn_local(Session { world: Rc::clone(&world), endpoint, wire, dice }.serve());
    }
    let tap = RequestTap::new(world, endpoint);
    Ok(Box::new(EngineStream::new(engines, Box::new(tap))))
}

/// A connection of Aya's to an endpoint, as the endpoint sees it.
struct Session {
    world: Rc<World>,
    endpoint: u32,
    wire: Wire,
    dice: Dice,
}

impl Session {
    async fn serve(mut self) {
        let rate = fault_rate(&self.world, self.endpoint);
        let patience =
            if rate > 0 && self.dice.percent(50) { self.dice.millis(20, 3_000) } else { Duration::MAX };
        loop {
            let Ok(received) = tokio::time::timeout(patience, self.wire.request()).await else { return };
            match received {
                Ok(Some(request)) if request.target == PROBE_PATH => self.tell_load().await,
                Ok(Some(request)) => {
                    if !self.answer(request, rate).await {
                        return;
                    }
                }
                Ok(None) | Err(Cut::End | Cut::Reset) => return,
                Err(Cut::Malformed(what)) => return self.world.violate("whole-requests", what),
            }
        }
    }

    async fn tell_load(&mut self) {
        let load = self.dice.below(10);
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nendpoint-load-metrics: TEXT named_metrics.rif={load}\r\n\r\n"
        );
        self.answering().whole(head.as_bytes(), "load").await;
    }

    /// Answers a request. Whether the connection stays.
    async fn answer(&mut self, request: Request, rate: usize) -> bool {
        let id = request.target.rsplit('/').next().unwrap_or_default().to_owned();
        let fault = self.dice.percent(rate).then(|| self.dice.pick(&EndpointFault::ALL[3..]));
        let fault = self.world.script.get().or(fault);
        let (endpoint, link) = (self.endpoint, self.wire.link());
        self.world.note(|| format!("endpoint {endpoint} link {link} gets the head of {id}: {fault:?}"));
        fault.into_iter().for_each(|fault| self.world.count_endpoint_fault(fault));
        let body_framing = match framing(&request.fields) {
            Ok(framing) => framing.unwrap_or(Framing::Length(0)),
            Err(cut) => {
                self.world.violate("whole-requests", format!("{id}: {cut:?}"));
                return false;
            }
        };
        match fault {
            Some(EndpointFault::ResetsAfterHead) => {
                self.wire.abort();
                return false;
            }
            Some(EndpointFault::StopsReading) => std::future::pending().await,
            Some(EndpointFault::AnswersEarlyAndCloses) => {
                self.note_early(&id);
                let reply = Reply::new(&request, &id, endpoint, &mut self.dice, &self.world);
                let _ = self.send(reply, None).await;
                return false;
            }
            Some(EndpointFault::AnswersEarly) => {
                self.note_early(&id);
                let reply = Reply::new(&request, &id, endpoint, &mut self.dice, &self.world);
                let stays = self.send(reply, None).await;
                return stays && self.read_body(&id, body_framing).await;
            }
            _ => {}
        }
        if request.fields.lists("expect", "100-continue") && self.dice.percent(80) {
            let _ = self.wire.send(b"HTTP/1.1 100 Continue\r\n\r\n").await;
        }
        if !self.read_body(&id, body_framing).await {
            return false;
        }
        self.think().await;
        let reply = Reply::new(&request, &id, endpoint, &mut self.dice, &self.world);
        self.send(reply, fault).await
    }

    fn note_early(&self, id: &str) {
        if let Some(asked) = self.world.ledger.borrow_mut().requests.get_mut(id) {
            asked.is_answered_early = true;
        }
    }

    async fn think(&mut self) {
        let span = self.dice.weighted(&[(5, 0), (4, 10), (1, 150)]);
        tokio::time::sleep(self.dice.millis(0, span)).await;
    }

    async fn read_body(&self, id: &str, framing: Framing) -> bool {
        let mut body = Vec::new();
        let result = self.wire.body(framing, &mut body).await;
        let expected = self.world.ledger.borrow().requests.get(id).map_or(0, |asked| asked.body_bytes);
        let (endpoint, link) = (self.endpoint, self.wire.link());
        self.world
            .note(|| format!("endpoint {endpoint} link {link} has {} bytes of {id}: {result:?}", body.len()));
        self.world.check("belongs", is_pattern(id, &body), || {
            format!("{id}: another request's body at endpoint {endpoint}")
        });
        match result {
            Ok(()) => {
                let length = body.len() as u64;
                let what =
                    || format!("{id}: a body of {length} bytes at endpoint {endpoint}, sent were {expected}");
                self.world.check("belongs", length == expected, what);
                true
            }
            Err(Cut::Malformed(what)) => {
                self.world.violate("whole-requests", format!("{id}: {what}"));
                false
            }
            Err(Cut::End | Cut::Reset) => false,
        }
    }

    /// Sends an answer, as far as the fault lets it. Whether the connection stays.
    async fn send(&mut self, reply: Reply, fault: Option<EndpointFault>) -> bool {
        let answering = Answering { world: &self.world, wire: &self.wire, endpoint: self.endpoint };
        answering.send(reply, fault, &mut self.dice).await
    }

    const fn answering(&self) -> Answering<'_> {
        Answering { world: &self.world, wire: &self.wire, endpoint: self.endpoint }
    }
}
