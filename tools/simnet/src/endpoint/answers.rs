//! What endpoints answer.

use std::rc::Rc;

use base_testkit::Request;

use crate::dice::Dice;
use crate::ledger::EndpointFault;
use crate::settings::SESSION_FIELD;
use crate::wire::{Wire, chunked, pattern};
use crate::world::World;

/// More than Aya puts up with.
const FLOOD: usize = 40;

/// An answer that is ready to be sent.
pub(super) struct Reply {
    id: String,
    bytes: Vec<u8>,
    head_bytes: usize,
    has_body: bool,
    stays: bool,
    /// Its end is told by nothing but the connection's: what is cut off or added cannot be told.
    is_until_close: bool,
}

impl Reply {
    /// An answer to a request; of all the forms that it may have, one.
    pub(super) fn new(
        request: &Request,
        id: &str,
        endpoint: u32,
        dice: &mut Dice,
        world: &Rc<World>,
    ) -> Self {
        let serial = {
            let mut ledger = world.ledger.borrow_mut();
            ledger.tally.checks += 1;
            ledger.requests.get(id).map_or(0, |asked| asked.sendings)
        };
        let status = dice.weighted(&[(30, 200), (2, 201), (2, 204), (1, 304), (2, 404)]);
        let may_have_body = request.method != "HEAD" && !matches!(status, 204 | 304);
        let length = dice.weighted(&[(4, 0), (8, 200), (4, 5_000), (1, 150_000)]);
        let length = dice.between(0, length).min(world.net.longest_body());
        let body: Vec<u8> = pattern(&format!("{id}~{serial}"), 0, length as u64).collect();
        let (version, closes) =
            dice.weighted(&[(20, ("1.1", false)), (3, ("1.1", true)), (2, ("1.0", true))]);
        let mut head =
            format!("HTTP/{version} {status} Simulated\r\nx-sim: {id} {serial} {endpoint} {length}\r\n");
        if dice.percent(10) {
            head.push_str(&format!("{SESSION_FIELD}: s{}\r\n", dice.below(5)));
        }
        if closes && version == "1.1" {
            head.push_str("connection: close\r\n");
        }
        let how = if closes { dice.below(3) } else { dice.below(2) };
        let is_until_close = how == 2 && !matches!(status, 204 | 304);
        let framed = match (how, version) {
            _ if matches!(status, 204 | 304) => Vec::new(),
            (1, "1.1") => {
                head.push_str("transfer-encoding: chunked\r\n");
                chunked(&body, dice)
            }
            (2, _) => body,
            _ => {
                head.push_str(&format!("content-length: {length}\r\n"));
                body
            }
        };
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        let head_bytes = bytes.len();
        if may_have_body {
            bytes.extend_from_slice(&framed);
        }
        let has_body = bytes.len() > head_bytes;
        Self { id: id.to_owned(), bytes, head_bytes, has_body, stays: !closes, is_until_close }
    }
}

/// Who sends an answer, and where.
pub(super) struct Answering<'a> {
    pub(super) world: &'a Rc<World>,
    pub(super) wire: &'a Wire,
    pub(super) endpoint: u32,
}

impl Answering<'_> {
    /// Sends an answer, as far as the fault lets it. Whether the connection stays.
    pub(super) async fn send(&self, reply: Reply, fault: Option<EndpointFault>, dice: &mut Dice) -> bool {
        let Reply { id, bytes, head_bytes, has_body, stays, is_until_close } = &reply;
        let fault = match fault {
            Some(EndpointFault::ClosesInBody | EndpointFault::SendsTooMuch) if *is_until_close => {
                Some(EndpointFault::ResetsInBody)
            }
            fault => fault,
        };
        if dice.percent(10) {
            let interim: &[u8] = dice.pick(&[
                b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n",
                b"HTTP/1.1 102 Processing\r\n\r\n",
            ]);
            let _ = self.wire.send(interim).await;
        }
        let in_head = dice.between(1, head_bytes - 1);
        let in_body = if *has_body { dice.between(*head_bytes, bytes.len() - 1) } else { in_head };
        match fault {
            Some(EndpointFault::ResetsAfterRequest) => self.wire.abort(),
            Some(EndpointFault::ClosesUnanswered) => {}
            Some(EndpointFault::Hangs) => std::future::pending().await,
            Some(EndpointFault::ResetsInHead) => {
                let _ = self.wire.send(&bytes[..in_head]).await;
                self.wire.abort();
            }
            Some(EndpointFault::ClosesInHead) => drop(self.wire.send(&bytes[..in_head]).await),
            Some(EndpointFault::ResetsInBody) => {
                let _ = self.wire.send(&bytes[..in_body]).await;
                self.wire.abort();
            }
            Some(EndpointFault::ClosesInBody) => drop(self.wire.send(&bytes[..in_body]).await),
            Some(EndpointFault::HangsInBody) => {
                let _ = self.wire.send(&bytes[..in_body]).await;
                std::future::pending::<()>().await;
            }
            Some(EndpointFault::SendsGarbage) => drop(self.wire.send(b"what?\r\n\r\n").await),
            Some(EndpointFault::FloodsInterim) => {
                for _ in 0..FLOOD {
                    let _ = self.wire.send(b"HTTP/1.1 102 Processing\r\n\r\n").await;
                }
            }
            Some(EndpointFault::IsOverloaded) => return self.refuse("503 No\r\nretry-after: 1", id).await,
            Some(EndpointFault::Errs) => return self.refuse("500 No", id).await,
            Some(EndpointFault::SendsTooMuch) => {
                let sent = self.whole(bytes, id).await;
                let _ = self.wire.send(b"and more").await;
                return sent && *stays;
            }
            Some(EndpointFault::ClosesSilently) => {
                self.whole(bytes, id).await;
                tokio::time::sleep(dice.millis(0, 30)).await;
            }
            Some(EndpointFault::HalfCloses) => {
                self.whole(bytes, id).await;
                self.wire.finish();
                while self.wire.fill().await == Ok(true) {}
            }
            _ => return self.whole(bytes, id).await && *stays,
        }
        false
    }

    /// Answers that it cannot.
    async fn refuse(&self, status: &str, id: &str) -> bool {
        let own = format!("x-sim: {id} 0 {} 0\r\ncontent-length: 0", self.endpoint);
        self.whole(format!("HTTP/1.1 {status}\r\n{own}\r\n\r\n").as_bytes(), id).await
    }

    /// Sends all of an answer. Whether it could be sent.
    pub(super) async fn whole(&self, bytes: &[u8], id: &str) -> bool {
        let sent = self.wire.send(bytes).await;
        // Aya may send the next request as soon as it has read this far.
        let (endpoint, link, end) = (self.endpoint, self.wire.link(), self.wire.totals().0);
        if let Some(exchanges) = self.world.ledger.borrow_mut().upstream.get_mut(&link) {
            exchanges.answered += 1;
            exchanges.answer_end = end;
        }
        self.world.note(|| format!("endpoint {endpoint} link {link} has answered {id}: {sent:?}"));
        sent.is_ok()
    }
}
