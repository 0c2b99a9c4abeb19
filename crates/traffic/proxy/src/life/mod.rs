//! The life of a request, from its head to its record. `docs/design/life-of-a-request.md` tells the same in prose.

mod connect;
mod connection_id;
mod datagrams;
mod facts;
mod forward;
mod grpc;
mod head;
mod identity;
mod local;
mod pass;
mod record;
mod sticky;
mod switch;
mod turn;

use std::rc::Rc;

use base_kit::Moment;
use base_signal::Reason;
use traffic_http::grpc::Dialect;
use traffic_http::{Method, Version};

use crate::client::{Client, Ending};
use crate::failure::Failure;
use crate::plan::ActionPlan;
use crate::plan::View;
use crate::relay::Exchange;
use crate::worker::Worker;

pub(crate) use datagrams::DatagramSession;
pub(crate) use facts::balance_key;
pub(crate) use head::{Admitted, admit, certificate_view, send_path};
pub(crate) use identity::{Arrival, identify};
pub(crate) use local::{MAX_FORWARDS, spend_forward};
pub(crate) use pass::{NOWHERE, pass_on};
pub(crate) use record::Recorder;
pub use sticky::SessionChoice;
pub(crate) use sticky::choose_session;
use switch::Websocket;

/// A request that is being served.
pub(crate) struct Life<'a> {
    client: &'a mut Client,
    worker: &'a Rc<Worker>,
    exchange: &'a mut Exchange,
    /// The configuration that the request began with; it keeps it to its end, whatever is reloaded meanwhile.
    view: Rc<View>,
    method: Method,
    version: Version,
    /// Whether the client waits for a 100 before it sends the body.
    awaits_continue: bool,
    /// Whether the client asked to switch protocols.
    upgrades: bool,
    websocket: Websocket,
    /// If it is a call of gRPC, in which dialect.
    call: Option<Dialect>,
    /// Whether the request names no host.
    unnamed: bool,
    /// For the whole request.
    deadline: Moment,
    /// Whether the connection ends with this request.
    closes: bool,
    /// Whether the client has said so: then nothing follows.
    is_last: bool,
    /// Whether only the connection's end tells the client where the answer ends.
    until_close: bool,
    /// Whether the endpoint has said that it did nothing about the request.
    was_refused: bool,
    /// Whether the final answer's head was sent: from then on a failure can only break off.
    begun: bool,
}

/// Serves the request whose first bytes are in the client's buffer.
pub(crate) async fn serve(client: &mut Client, worker: &Rc<Worker>, exchange: &mut Exchange) -> Ending {
    let mut life = Life::begin(client, worker, exchange);
    let ending = match life.run().await {
        Ok(ending) => ending,
        Err(failure) => life.fail(failure).await,
    };
    life.record();
    ending
}

impl<'a> Life<'a> {
    fn begin(client: &'a mut Client, worker: &'a Rc<Worker>, exchange: &'a mut Exchange) -> Self {
        let view = worker.view();
        client.requests += 1;
        exchange.record.started = worker.now();
        exchange.record.client = client.peer.ip();
        exchange.notes.begin(worker.decisions.borrow().is_on());
        let closes = !client.follow(&view);
        Self {
            client,
            worker,
            exchange,
            view,
            method: Method::Get,
            version: Version::Http11,
            awaits_continue: false,
            upgrades: false,
            websocket: Websocket::default(),
            call: None,
            unnamed: false,
            deadline: Moment::NEVER,
            closes,
            is_last: false,
            until_close: false,
            was_refused: false,
            begun: false,
        }
    }

    /// What becomes of the connection after a whole answer. A client that does not expect the end may have sent more, and closing with
    /// that unread would reset the connection and could take the answer with it (RFC 9112 §9.6).
    const fn ending(&self) -> Ending {
        match (self.closes, self.is_last) {
            (false, _) => Ending::KeepAlive,
            (true, true) => Ending::Close,
            (true, false) => Ending::Linger,
        }
    }

    async fn run(&mut self) -> Result<Ending, Failure> {
        // Nothing below sees a request before all of its head is there.
        self.receive_head().await?;
        // What two servers could read differently goes no further.
        self.admit()?;
        // Who asks, and what the endpoint and the log are told about it.
        self.identify();
        // A request that must not be forwarded any more ends here.
        if let Some(answer) = spend_forward(&mut self.exchange.request) {
            self.exchange.notes.answered_by(MAX_FORWARDS);
            return self.answer(answer, None).await;
        }
        // The most specific route that takes it; none is the client's 404.
        let view = Rc::clone(&self.view);
        let index = self.find_route()?;
        let Some(route) = view.route(index) else { return Err(Reason::Internal.into()) };
        self.start_clock(&route.route);
        // Filters in the order of the document; one of them may answer.
        if let Some(answer) = self.filter_request(route)? {
            return self.answer(answer, Some(route)).await;
        }
        match &route.action {
            ActionPlan::Handler(handler) => {
                let answer = self.ask_handler(&**handler, route);
                self.answer(answer, Some(route)).await
            }
            ActionPlan::Proxy(split) => {
                let pool = split.pick(&mut *self.worker.rng.borrow_mut());
                self.forward(pool, route).await
            }
        }
    }
}
