//! One connection of a client.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use base_testkit::Response;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::client::asking::Request;
use crate::client::{Jar, has_fault};
use crate::dice::Dice;
use crate::ledger::{Answer, Asked, ClientFault, Ended};
use crate::net::End;
use crate::scenario::Part;
use crate::settings::{COOKIE, POOLS};
use crate::wire::{Cut, Framing, Pace, Wire, framing, is_pattern};
use crate::world::World;

/// Nothing in the simulated world takes so long.
const FOREVER: Duration = Duration::from_secs(300);

/// One connection of a client: a side that writes, one that reads, and what goes wrong.
pub(super) struct Session<'a> {
    world: &'a Rc<World>,
    jar: &'a Jar,
    name: String,
    wire: Wire,
    dice: RefCell<Dice>,
    requests: Vec<Request>,
    fault: Option<(usize, ClientFault)>,
    is_slow: bool,
    /// Requests that may wait for their answers at once.
    depth: usize,
    answered: Cell<usize>,
    /// Requests whose body may be sent.
    continued: Cell<usize>,
    over: Cell<bool>,
    bell: Notify,
}

impl<'a> Session<'a> {
    pub(super) fn new(world: &'a Rc<World>, jar: &'a Jar, name: String, end: End, mut dice: Dice) -> Self {
        let count = dice.between(1, 6).min(world.scenario.requests as usize);
        let requests: Vec<_> = (0..count)
            .map(|place| {
                Request::draw(
                    format!("{name}-{place}"),
                    place + 1 == count,
                    world.net.longest_body(),
                    &mut dice,
                )
            })
            .collect();
        let fault = has_fault(world, &mut dice).then(|| (dice.below(count), dice.pick(&ClientFault::ALL)));
        let is_slow = world.scenario.has(Part::ClientFaults) && dice.percent(20);
        let pace =
            if is_slow { Pace { read_ms: 20, write_ms: 20, piece: Some(3_000) } } else { Pace::default() };
        let depth = dice.pick(&[1, 1, 1, 2, 8]);
        Self {
            world,
            jar,
            name,
            wire: Wire::new(end, Dice::of(dice.seed(), "wire"), pace),
            dice: RefCell::new(dice),
            requests,
            fault,
            is_slow,
            depth,
            answered: Cell::new(0),
            continued: Cell::new(0),
            over: Cell::new(false),
            bell: Notify::new(),
        }
    }

    pub(super) async fn run(self) {
        {
            let mut ledger = self.world.ledger.borrow_mut();
            let session = ledger.sessions.entry(self.name.clone()).or_default();
            (session.last_use, session.link) = (self.world.elapsed(), Some(self.wire.link()));
        }
        let both = async { tokio::join!(biased; self.write(), self.read(), self.cut()) };
        if timeout(FOREVER, both).await.is_err() {
            self.world.violate("in-time", format!("connection {} has waited for {FOREVER:?}", self.name));
        }
    }

    /// The fault at this request, if it has this one.
    fn meets(&self, place: usize, fault: ClientFault) -> bool {
        self.fault == Some((place, fault))
    }

    async fn until(&self, done: impl Fn() -> bool) {
        while !done() && !self.over.get() {
            self.bell.notified().await;
        }
    }

    fn finish(&self, ended: Ended) {
        if !self.over.replace(true) {
            let (name, at) = (&self.name, self.world.elapsed());
            self.world.note(|| format!("client's connection {name} has ended: {ended:?}"));
            if let Some(session) = self.world.ledger.borrow_mut().sessions.get_mut(name) {
                session.ended = Some((ended, at));
            }
        }
        self.bell.notify_waiters();
    }

    fn go(&self) {
        if self.dice.borrow_mut().percent(50) {
            self.wire.abort();
        }
        self.finish(Ended::ByClient);
    }

    async fn write(&self) {
        for (place, request) in self.requests.iter().enumerate() {
            self.until(|| self.answered.get() + self.depth > place).await;
            // Behind one that closes nothing may follow.
            if self.over.get() || self.send(place, request).await.is_none() || request.closes {
                return;
            }
        }
        if self.fault.is_some_and(|(_, fault)| fault == ClientFault::HalfCloses) {
            self.wire.finish();
        }
    }

    /// Sends a request. `None` if nothing more is to be sent.
    async fn send(&self, place: usize, request: &Request) -> Option<()> {
        let (head, body) = request.encode(self.jar, &mut self.dice.borrow_mut());
        self.enter(place, request);
        let (in_head, in_body) = {
            let mut dice = self.dice.borrow_mut();
            (dice.between(1, head.len() - 1), dice.below(body.len().max(1)))
        };
        if self.meets(place, ClientFault::GoesInHead) || self.meets(place, ClientFault::StallsInHead) {
            self.wire.send(&head[..in_head]).await.ok()?;
            if self.meets(place, ClientFault::GoesInHead) {
                self.go();
            }
            return None;
        }
        self.wire.send(&head).await.ok()?;
        if request.expects {
            let patience = self.dice.borrow_mut().millis(50, 500);
            let _ =
                timeout(patience, self.until(|| self.continued.get() > place || self.answered.get() > place))
                    .await;
            if self.answered.get() > place {
                // It has its answer without the body; what follows would be taken for that.
                return None;
            }
        }
        if !body.is_empty()
            && (self.meets(place, ClientFault::GoesInBody) || self.meets(place, ClientFault::StallsInBody))
        {
            self.wire.send(&body[..in_body]).await.ok()?;
            if self.meets(place, ClientFault::GoesInBody) {
                self.go();
            }
            return None;
        }
        self.wire.send(&body).await.ok()?;
        let now = self.world.elapsed();
        if let Some(asked) = self.world.ledger.borrow_mut().requests.get_mut(&request.id) {
            asked.sent = Some(now);
        }
        self.world.note(|| format!("{} is sent", request.id));
        if self.meets(place, ClientFault::GoesWaiting) {
            let span = self.dice.borrow_mut().millis(0, 100);
            sleep(span).await;
            self.go();
        }
        Some(())
    }

    fn enter(&self, place: usize, request: &Request) {
        let pool = POOLS[request.pool];
        self.world.note(|| format!("{} begins: {} /{pool} {:?}", request.id, request.method, request.body));
        let mut ledger = self.world.ledger.borrow_mut();
        ledger.tally.requests += 1;
        let now = self.world.elapsed();
        let session = ledger.sessions.entry(self.name.clone()).or_default();
        session.requests.push(request.id.clone());
        if session.requests.len() == 1 || self.answered.get() == place {
            session.last_use = now;
        }
        let concerns_all = |fault| matches!(fault, ClientFault::HalfCloses | ClientFault::IsCut);
        let concerned = self.fault.filter(|(from, fault)| *from <= place || concerns_all(*fault));
        let fault = concerned.map(|(_, fault)| fault);
        let asked = Asked {
            method: request.method,
            pool,
            body_bytes: request.body.bytes(),
            session: self.name.clone(),
            fault,
            is_slow: self.is_slow,
            bound: self.jar.borrow()[request.pool].as_ref().map(|(_, endpoint)| *endpoint),
            ..Asked::default()
        };
        ledger.requests.insert(request.id.clone(), asked);
        drop(ledger);
        if let Some((_, fault)) = self.fault.filter(|(at, _)| *at == place) {
            self.world.note(|| format!("{} meets {fault:?}", request.id));
            self.world.count_client_fault(fault);
        }
    }

    /// The network cuts the connection at some moment.
    async fn cut(&self) {
        if self.fault.is_some_and(|(_, fault)| fault == ClientFault::IsCut) {
            let span = self.dice.borrow_mut().millis(0, 400);
            let _ = timeout(span, self.until(|| false)).await;
            if !self.over.get() {
                self.wire.abort();
                self.finish(Ended::ByClient);
            }
        }
    }

    async fn read(&self) {
        for (place, request) in self.requests.iter().enumerate() {
            let result = tokio::select! {
                biased;
                () = self.until(|| false) => return,
                result = self.receive(place, request) => result,
            };
            match result {
                Ok(true) => {}
                Ok(false) => return self.finish(Ended::Closed),
                Err(Cut::End) => return self.finish(Ended::Closed),
                Err(Cut::Reset) => return self.finish(Ended::Reset),
                Err(Cut::Malformed(what)) => {
                    self.world.violate("belongs", format!("{}: {what}", request.id));
                    return self.finish(Ended::ByClient);
                }
            }
        }
        let span = self.dice.borrow_mut().weighted(&[(3, 0), (1, 6_000)]);
        let idle = self.dice.borrow_mut().millis(0, span);
        match timeout(idle, self.wire.fill()).await {
            Err(_) => self.finish(Ended::ByClient),
            Ok(Ok(true)) => {
                self.world.violate("belongs", format!("{}: bytes behind its last answer", self.name));
                self.finish(Ended::ByClient);
            }
            Ok(_) => self.finish(Ended::Closed),
        }
    }

    /// Receives an answer. Whether the connection stays.
    async fn receive(&self, place: usize, request: &Request) -> Result<bool, Cut> {
        let head = loop {
            let head = self.wire.response().await?;
            if head.status >= 200 {
                break head;
            }
            let is_wanted = !request.is_old && (head.status != 100 || request.expects);
            self.world.check("belongs", is_wanted, || {
                format!("{}: an interim {} that nobody wants", request.id, head.status)
            });
            if head.status == 100 {
                self.continued.set(place + 1);
                self.bell.notify_waiters();
            }
        };
        let framing = match framing(&head.fields)? {
            _ if request.method == "HEAD" || matches!(head.status, 204 | 304) => Framing::Length(0),
            Some(framing) => framing,
            None => Framing::UntilClose,
        };
        if self.meets(place, ClientFault::GoesReading) {
            self.note(request, &head, &[], (framing, false));
            self.go();
            return Ok(false);
        }
        if self.meets(place, ClientFault::StallsReading) {
            self.note(request, &head, &[], (framing, false));
            let span = self.dice.borrow_mut().millis(100, 5_000);
            sleep(span).await;
            self.go();
            return Ok(false);
        }
        let mut body = Vec::new();
        let result = self.wire.body(framing, &mut body).await;
        self.note(request, &head, &body, (framing, result.is_ok()));
        result?;
        self.answered.set(place + 1);
        let stays = head.keeps_alive() && framing != Framing::UntilClose;
        if let Some(session) = self.world.ledger.borrow_mut().sessions.get_mut(&self.name) {
            (session.last_use, session.was_told) = (self.world.elapsed(), !stays);
        }
        self.bell.notify_waiters();
        Ok(stays)
    }

    /// Writes down an answer, and looks at its bytes.
    fn note(&self, request: &Request, head: &Response, body: &[u8], (framing, is_whole): (Framing, bool)) {
        let is_until_close = framing == Framing::UntilClose;
        let id = &request.id;
        let sim: Vec<_> = head.header("x-sim").unwrap_or_default().split(' ').map(str::to_owned).collect();
        let (reason, mut endpoint) = (head.header("x-aya-reason").map(str::to_owned), None);
        if let [of, serial, from, length] = sim.as_slice() {
            endpoint = from.parse().ok();
            self.world.check("belongs", of == id, || format!("{id}: the answer to {of}"));
            let own = is_pattern(&format!("{id}~{serial}"), body);
            self.world.check("belongs", own, || format!("{id}: another answer's body"));
            let has_body = request.method != "HEAD" && !matches!(head.status, 204 | 304);
            let right = !is_whole || !has_body || is_until_close || length.parse() == Ok(body.len());
            self.world.check("belongs", right, || {
                format!("{id}: a whole body of {} bytes, sent were {length}", body.len())
            });
        } else {
            self.world.check("belongs", reason.is_some(), || format!("{id}: {} from nobody", head.status));
        }
        self.keep_cookie(request.pool, head, endpoint);
        self.world.note(|| {
            format!("{id} is answered {} by {endpoint:?}, whole: {is_whole}, {reason:?}", head.status)
        });
        let mut ledger = self.world.ledger.borrow_mut();
        ledger.tally.answers += u64::from(is_whole);
        if let Some(asked) = ledger.requests.get_mut(id) {
            asked.answers.push(Answer { status: head.status, reason, is_until_close, is_whole });
        }
    }

    fn keep_cookie(&self, pool: usize, head: &Response, endpoint: Option<u32>) {
        for line in head.headers("set-cookie") {
            let value = line.split(';').next().and_then(|pair| pair.strip_prefix(&format!("{COOKIE}=")));
            if let (Some(value), Some(endpoint)) = (value, endpoint) {
                self.jar.borrow_mut()[pool] = Some((value.to_owned(), endpoint));
            }
        }
    }
}
