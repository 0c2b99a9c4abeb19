//! Another protocol than HTTP, where the client asks for it and the endpoint agrees: by a 101 in HTTP/1.1, by a successful answer to an
//! extended CONNECT in HTTP/2 (RFC 8441). Either side may speak either.

use std::future::poll_fn;

use base_kit::{Moment, Rng};
use base_signal::Reason;
use traffic_http::{KnownField, RequestHead, ResponseHead, websocket};

use crate::client::Ending;
use crate::failure::Failure;
use crate::life::Life;
use crate::life::local::put_response;
use crate::plan::RoutePlan;
use crate::relay::tunnel;
use crate::upstream::{Connection, LocalPool, Turn};

/// What a WebSocket begins with, where one side has no word for it.
#[derive(Default)]
pub(super) struct Websocket {
    /// The client's key, or one that was made for it.
    key: Option<Box<str>>,
}

impl Websocket {
    /// Keeps the client's key: the endpoint does not get it.
    pub(super) fn note_key(&mut self, request: &RequestHead) {
        let key = request.fields().find(websocket::KEY);
        self.key = key.map(|key| String::from_utf8_lossy(key).into());
    }

    /// Makes a key for a client that has none to give, if it is a WebSocket that it asks for.
    pub(super) fn put_key(&mut self, request: &mut RequestHead, rng: &mut dyn Rng) {
        let protocol = request.upgrade().unwrap_or_default();
        if protocol.eq_ignore_ascii_case(b"websocket") {
            let key = self.key.get_or_insert_with(|| websocket::fresh_key(rng).into());
            request.fields_mut().set(websocket::KEY, key.as_bytes());
        }
    }

    /// What an endpoint has to answer, or a client to be answered.
    fn accept(&self) -> Option<String> {
        self.key.as_ref().map(|key| websocket::accept(key.as_bytes()))
    }
}

impl Life<'_> {
    /// Whether the endpoint's answer, which is here, begins another protocol.
    pub(super) fn switches(&self, connection: &mut Connection) -> bool {
        let head = &self.exchange.reply.head;
        match connection.stream.exchange() {
            Some(exchange) => exchange.is_tunnel() && (200..300).contains(&head.status()),
            None => head.is_switching(),
        }
    }

    /// Follows the endpoint into another protocol, if the client asked for it.
    pub(super) async fn switch(
        &mut self,
        mut connection: Box<Connection>,
        turn: &Turn,
        local: &LocalPool,
        route: &RoutePlan,
    ) -> Result<Ending, Failure> {
        if let Err(why) = self.translate_switch(&connection) {
            return Err(self.blame(Failure::with(Reason::BadResponse, why), turn, local));
        }
        self.filter_response(route);
        self.bind_session(turn, local);
        let (reply, record) = (&mut *self.exchange.reply, &mut self.exchange.record);
        record.status = reply.head.status();
        if self.client.stream.is_shared() {
            put_response(self.client, &reply.head)?;
            self.begun = true;
            if let Some(exchange) = self.client.stream.exchange() {
                let sent = poll_fn(|cx| exchange.poll_send_head(cx)).await;
                sent.map_err(Failure::unsent)?;
            }
        } else {
            reply.head.encode(&mut reply.out);
            record.bytes_sent += reply.out.len() as u64;
            self.begun = true;
        }
        self.note_success(turn, local);
        let passed =
            tunnel(self.client, &mut connection, self.exchange, (&*self.worker.clock, Moment::NEVER)).await;
        self.exchange.record.bytes_received += passed.up;
        self.exchange.record.bytes_sent += passed.down;
        Ok(Ending::Close)
    }

    /// Makes the endpoint's agreement the one that the client understands. An error says what is wrong with it.
    fn translate_switch(&mut self, connection: &Connection) -> Result<(), &'static str> {
        if !self.upgrades || !self.exchange.up.is_finished() {
            return Err("it switched protocols without being asked");
        }
        let (from_http2, to_http2) = (connection.stream.is_shared(), self.client.stream.is_shared());
        let accept = self.websocket.accept().filter(|_| from_http2 != to_http2);
        let head = &mut self.exchange.reply.head;
        if let Some(accept) = accept.as_ref().filter(|_| to_http2) {
            // The client cannot tell any more whether it was understood (RFC 6455 §4.1).
            if head.fields().find(websocket::ACCEPT) != Some(accept.as_bytes()) {
                return Err("it did not answer the WebSocket's key");
            }
        }
        if to_http2 {
            self.identify_response();
            let head = &mut self.exchange.reply.head;
            head.fields_mut().remove(websocket::ACCEPT);
            head.set_status(200);
        } else {
            if from_http2 {
                put_upgrade(head, self.exchange.request.upgrade().unwrap_or_default());
            }
            if let Some(accept) = accept {
                self.exchange.reply.head.fields_mut().set(websocket::ACCEPT, accept.as_bytes());
            }
            self.identify_switch();
        }
        Ok(())
    }
}

/// Says by a 101 that this is spoken from now on.
fn put_upgrade(head: &mut ResponseHead, protocol: &[u8]) {
    head.set_status(101);
    head.fields_mut().append_known(KnownField::Upgrade, protocol);
    head.fields_mut().append_known(KnownField::Connection, b"upgrade");
}
