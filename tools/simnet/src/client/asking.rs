//! What clients ask for.

use crate::client::Jar;
use crate::dice::Dice;
use crate::settings::{COOKIE, POOLS, SESSION_FIELD};
use crate::wire::{chunked, pattern};

/// A request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    None,
    Length(u64),
    Chunked(u64),
}

impl Body {
    pub(crate) const fn bytes(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Length(length) | Self::Chunked(length) => length,
        }
    }
}

/// What a client asks for.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Tells it from all others: client, connection, place.
    pub(crate) id: String,
    pub(crate) method: &'static str,
    /// The index of its pool.
    pub(crate) pool: usize,
    pub(crate) body: Body,
    pub(crate) is_old: bool,
    pub(crate) expects: bool,
    pub(crate) closes: bool,
}

impl Request {
    /// One of all that there may be.
    pub(super) fn draw(id: String, is_last: bool, most: usize, dice: &mut Dice) -> Self {
        let method = dice.weighted(&[(6, "GET"), (1, "HEAD"), (3, "POST"), (2, "PUT")]);
        let is_old = dice.percent(8);
        let length = dice.weighted(&[(1, 0), (4, 100), (4, 3_000), (1, 100_000)]);
        let length = dice.between(0, length).min(most) as u64;
        let body = match method {
            "GET" | "HEAD" => Body::None,
            _ if !is_old && dice.percent(50) => Body::Chunked(length),
            _ => Body::Length(length),
        };
        let expects = !is_old && body.bytes() > 0 && dice.percent(20);
        let closes = is_last && dice.percent(30) || dice.percent(3);
        Self { id, method, pool: dice.below(POOLS.len()), body, is_old, expects, closes }
    }

    /// Its head, and its body with its framing.
    pub(super) fn encode(&self, jar: &Jar, dice: &mut Dice) -> (Vec<u8>, Vec<u8>) {
        let version = if self.is_old { "1.0" } else { "1.1" };
        let pool = POOLS[self.pool];
        let mut head = format!("{} /{pool}/{} HTTP/{version}\r\nhost: sim.test\r\n", self.method, self.id);
        match &jar.borrow()[self.pool] {
            Some((cookie, _)) => head.push_str(&format!("cookie: {COOKIE}={cookie}\r\n")),
            None => head.push_str(&format!("{SESSION_FIELD}: s{}\r\n", dice.below(5))),
        }
        match (self.closes, self.is_old) {
            (true, false) => head.push_str("connection: close\r\n"),
            (false, true) => head.push_str("connection: keep-alive\r\n"),
            _ => {}
        }
        if self.expects {
            head.push_str("expect: 100-continue\r\n");
        }
        let plain: Vec<u8> = pattern(&self.id, 0, self.body.bytes()).collect();
        let body = match self.body {
            Body::None => plain,
            Body::Length(length) => {
                head.push_str(&format!("content-length: {length}\r\n"));
                plain
            }
            Body::Chunked(_) => {
                head.push_str("transfer-encoding: chunked\r\n");
                chunked(&plain, dice)
            }
        };
        head.push_str("\r\n");
        (head.into_bytes(), body)
    }
}
