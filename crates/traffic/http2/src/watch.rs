//! What a client does beside asking: frames that cost it nothing and us something are counted, each kind with its weight, against a budget that
//! refills with time and with every request that is answered. A client that has spent it is sent away.
//!
//! `h2` bounds what frames may hold; how often they come is bounded here.

use std::time::Duration;

use base_kit::Moment;

/// Length, type, flags and stream (RFC 9113 §4.1).
const FRAME_HEADER_BYTES: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// What a client may spend at once: all of a page's hundred requests given up, three times over.
const BUDGET: u32 = 3_000;
/// What it gets back in a second: twenty requests given up; a ping and a wider window for each of a hundred messages, as gRPC's clients send them.
const REFILL_PER_SECOND: u32 = 200;
const MILLIS_PER_POINT: u32 = 1000 / REFILL_PER_SECOND;
/// What a head costs of which no request comes, and each so many bytes of it: one byte can stand for a field, and to unfold sixteen takes a microsecond.
const HEAD_COST: u32 = 20;
const HEAD_BYTES_PER_POINT: u64 = 16;
/// What it gets back for a point: windows are widened for what was sent, mostly by 16 KiB and more.
const BYTES_PER_POINT: u64 = 1024;
/// What it gets back with a request that was answered to its end: as much as giving one up costs, so that half of all may be given up for good.
const REFILL_PER_ANSWER: u32 = 10;

/// What is done too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abuse {
    /// Requests are begun and given up (CVE-2023-44487).
    Resets,
    /// Heads come in many pieces (CVE-2024-27316).
    Continuations,
    /// Heads are refused before anybody sees them: malformed ones, and small ones that unfold into far too large ones.
    Heads,
    /// Settings are changed.
    Settings,
    /// Answers to pings are asked for.
    Pings,
    /// Frames carry nothing, or what nobody takes: of requests that are over.
    EmptyFrames,
    /// Windows are widened by little, or priorities told, again and again.
    Trifles,
    /// A head is begun and not ended.
    SlowHead,
    /// What `h2` limits: small frames, requests given up before anybody has looked at them, heads in too many pieces.
    Limits,
    /// The protocol is broken.
    Protocol,
}

impl Abuse {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Resets,
        Self::Continuations,
        Self::Heads,
        Self::Settings,
        Self::Pings,
        Self::EmptyFrames,
        Self::Trifles,
        Self::SlowHead,
        Self::Limits,
        Self::Protocol,
    ];

    /// The word in metrics and logs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Resets => "resets",
            Self::Continuations => "continuations",
            Self::Heads => "heads",
            Self::Settings => "settings",
            Self::Pings => "pings",
            Self::EmptyFrames => "empty-frames",
            Self::Trifles => "trifles",
            Self::SlowHead => "slow-head",
            Self::Limits => "limits",
            Self::Protocol => "protocol",
        }
    }
}

/// Looks at the frames of a client as they come in, whatever pieces they come in.
#[derive(Debug)]
pub(crate) struct Watch {
    header: [u8; FRAME_HEADER_BYTES],
    /// Bytes of the header that are here.
    known: usize,
    /// Bytes of the payload that are still to come.
    payload: u32,
    /// Whether a head was begun and not ended.
    in_head: bool,
    /// Since when, as far as anybody has looked.
    head_since: Option<Moment>,
    /// Spent since the budget was looked at, and what for last.
    spent: u32,
    kind: Abuse,
    budget: u32,
    looked: Option<Moment>,
    /// Bytes sent.
    sent: u64,
    /// The highest stream so far, and when all was looked at last.
    stream: u32,
    settled: u32,
    /// Streams of requests that are not over.
    live: Vec<u32>,
    /// Requests were given up since all was looked at last.
    has_resets: bool,
    /// Streams of which no request has come, and that were not paid for.
    unheard: i64,
    /// Heads that have begun since all was looked at last, and their bytes.
    heads: u64,
    head_bytes: u64,
}

impl Watch {
    /// For a client that begins with so many bytes of a preface.
    pub(crate) const fn new(preface_bytes: u32) -> Self {
        Self {
            header: [0; FRAME_HEADER_BYTES],
            known: 0,
            payload: preface_bytes,
            in_head: false,
            head_since: None,
            spent: 0,
            kind: Abuse::Trifles,
            budget: BUDGET,
            looked: None,
            sent: 0,
            stream: 0,
            settled: 0,
            live: Vec::new(),
            has_resets: false,
            unheard: 0,
            heads: 0,
            head_bytes: 0,
        }
    }

    /// Bytes that the client has sent, behind its preface.
    pub(crate) fn see(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.payload > 0 {
                let length = bytes.len().min(usize::try_from(self.payload).unwrap_or(usize::MAX));
                self.payload -= u32::try_from(length).unwrap_or(u32::MAX);
                bytes = bytes.get(length..).unwrap_or_default();
                continue;
            }
            let length = bytes.len().min(FRAME_HEADER_BYTES - self.known);
            let (piece, rest) = bytes.split_at(length);
            if let Some(room) = self.header.get_mut(self.known..self.known + length) {
                room.copy_from_slice(piece);
            }
            self.known += length;
            bytes = rest;
            if self.known == FRAME_HEADER_BYTES {
                self.known = 0;
                self.frame();
            }
        }
    }

    /// A frame has begun.
    fn frame(&mut self) {
        let [high, middle, low, kind, flags, stream @ ..] = self.header;
        self.payload = u32::from_be_bytes([0, high, middle, low]);
        let stream = u32::from_be_bytes(stream);
        match kind {
            HEADERS => {
                self.in_head = flags & END_HEADERS == 0;
                if stream > self.stream {
                    self.stream = stream;
                    self.unheard += 1;
                }
                self.heads += 1;
                self.head_bytes += u64::from(self.payload);
            }
            CONTINUATION => {
                self.in_head = flags & END_HEADERS == 0;
                self.spend(Abuse::Continuations, 20);
            }
            RST_STREAM => {
                self.has_resets = true;
                self.spend(Abuse::Resets, 10);
            }
            SETTINGS if flags & ACK == 0 => self.spend(Abuse::Settings, 20),
            PING if flags & ACK == 0 => self.spend(Abuse::Pings, 1),
            DATA if self.payload == 0 && flags & END_STREAM == 0 => self.spend(Abuse::EmptyFrames, 5),
            // What was under way when the request ended is a window full at most, mostly in large frames.
            DATA if self.is_over(stream) => self.spend(Abuse::EmptyFrames, 1),
            DATA => {}
            _ => self.spend(Abuse::Trifles, 1),
        }
        if !self.in_head {
            self.head_since = None;
        }
    }

    fn spend(&mut self, kind: Abuse, cost: u32) {
        self.spent = self.spent.saturating_add(cost);
        self.kind = kind;
    }

    /// Whether any of the requests that have come now may have been given up.
    pub(crate) const fn has_resets(&self) -> bool {
        self.has_resets
    }

    /// So many requests were answered to their end.
    pub(crate) fn answered(&mut self, count: u32) {
        self.refill(count.saturating_mul(REFILL_PER_ANSWER));
    }

    /// A request has come of the head on this stream.
    pub(crate) fn arrived(&mut self, stream: u32) {
        self.unheard -= 1;
        self.live.push(stream);
    }

    /// The request on this stream is over: nobody takes what still comes on it.
    pub(crate) fn ended(&mut self, stream: u32) {
        self.live.retain(|live| *live != stream);
    }

    fn is_over(&self, stream: u32) -> bool {
        stream <= self.settled && !self.live.contains(&stream)
    }

    /// All of what has come was looked at: of heads that nobody has heard of nothing will come.
    pub(crate) fn settle(&mut self) {
        (self.settled, self.has_resets) = (self.stream, false);
        let lost = self.unheard - i64::from(self.in_head);
        let (heads, bytes) = (std::mem::take(&mut self.heads), std::mem::take(&mut self.head_bytes));
        if lost > 0 {
            self.unheard -= lost;
            // Which of them were lost nobody knows: each is taken for as long as the others.
            let cost = u64::from(HEAD_COST) + bytes / heads.max(1) / HEAD_BYTES_PER_POINT;
            let cost = cost.saturating_mul(lost.unsigned_abs());
            self.spend(Abuse::Heads, u32::try_from(cost).unwrap_or(u32::MAX));
        }
    }

    /// So many bytes were sent.
    pub(crate) fn sent(&mut self, bytes: usize) {
        let before = self.sent / BYTES_PER_POINT;
        self.sent += bytes as u64;
        self.refill(u32::try_from(self.sent / BYTES_PER_POINT - before).unwrap_or(BUDGET));
    }

    pub(crate) const fn sent_bytes(&self) -> u64 {
        self.sent
    }

    fn refill(&mut self, points: u32) {
        self.budget = self.budget.saturating_add(points).min(BUDGET);
    }

    /// What the client is to be sent away for, if that is so. To be called whenever something has come.
    pub(crate) fn look(&mut self, now: Moment) -> Option<Abuse> {
        if self.in_head && self.head_since.is_none() {
            self.head_since = Some(now);
        }
        if self.spent == 0 {
            return None;
        }
        let looked = *self.looked.get_or_insert(now);
        let points = (now - looked).as_millis() / u128::from(MILLIS_PER_POINT);
        let points = u32::try_from(points).unwrap_or(BUDGET);
        // What is less than a point counts the next time.
        self.looked = Some(looked + Duration::from_millis(u64::from(points) * u64::from(MILLIS_PER_POINT)));
        self.refill(points);
        let spent = std::mem::take(&mut self.spent);
        match self.budget.checked_sub(spent) {
            Some(left) => {
                self.budget = left;
                None
            }
            None => Some(self.kind),
        }
    }

    /// Since when a head is under way that has not ended.
    pub(crate) const fn head_since(&self) -> Option<Moment> {
        self.head_since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &1_u32.to_be_bytes(), payload].concat()
    }

    fn at(millis: u64) -> Moment {
        Moment::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn frames_are_found_however_they_are_cut() {
        let bytes: Vec<u8> = (0..200)
            .flat_map(|_| {
                [frame(DATA, 0, &[RST_STREAM; 50]), frame(PING, ACK, &[0; 8]), frame(RST_STREAM, 0, &[0; 4])]
                    .concat()
            })
            .collect();
        for size in [1, 2, 7, 9, 13, 1000, bytes.len()] {
            let mut watch = Watch::new(0);
            bytes.chunks(size).for_each(|piece| watch.see(piece));
            // Each is one request given up, and one trifle.
            assert_eq!((watch.spent, watch.kind), (200 * 11, Abuse::Resets), "pieces of {size}");
        }
    }

    #[test]
    fn whoever_spends_more_than_its_budget_is_sent_away() {
        let reset = frame(RST_STREAM, 0, &[0; 4]);
        let mut watch = Watch::new(0);
        for _ in 0..BUDGET / 10 {
            watch.see(&reset);
            assert_eq!(watch.look(at(0)), None);
        }
        watch.see(&reset);
        assert_eq!(watch.look(at(0)), Some(Abuse::Resets));
    }

    #[test]
    fn time_and_answers_give_back() {
        let reset = frame(RST_STREAM, 0, &[0; 4]);
        let mut watch = Watch::new(0);
        for second in 0..1000 {
            (0..10).for_each(|_| watch.see(&reset));
            assert_eq!(watch.look(at(second * 1000)), None, "ten in a second");
        }
        let mut watch = Watch::new(0);
        for _ in 0..100_000 {
            watch.see(&reset);
            watch.answered(1);
            assert_eq!(watch.look(at(0)), None, "one given up for one answered");
        }
    }

    #[test]
    fn time_gives_back_however_often_it_is_looked() {
        let ping = frame(PING, 0, &[0; 8]);
        let mut watch = Watch::new(0);
        // A hundred and fifty in a second, each looked at by itself.
        for number in 0..100_000 {
            watch.see(&ping);
            assert_eq!(watch.look(at(number * 1000 / 150)), None, "after {number}");
        }
    }

    #[test]
    fn heads_of_which_nothing_comes_are_paid_for() {
        let head = |stream: u32| {
            let mut bytes = frame(HEADERS, END_HEADERS | END_STREAM, b"abc");
            bytes[5..9].copy_from_slice(&stream.to_be_bytes());
            bytes
        };
        let (mut honest, mut other) = (Watch::new(0), Watch::new(0));
        for number in 0..200 {
            honest.see(&head(2 * number + 1));
            // Trailers are no further request.
            honest.see(&head(2 * number + 1));
            honest.arrived(2 * number + 1);
            honest.settle();
            assert_eq!(honest.look(at(0)), None);
            other.see(&head(2 * number + 1));
            other.settle();
            let sent_away = (number >= BUDGET / HEAD_COST).then_some(Abuse::Heads);
            assert_eq!(other.look(at(0)), sent_away, "after {number}");
            if sent_away.is_some() {
                return;
            }
        }
    }

    #[test]
    fn long_heads_of_which_nothing_comes_cost_more() {
        let mut watch = Watch::new(0);
        for number in 0..6 {
            let mut head = frame(HEADERS, END_HEADERS | END_STREAM, &[0xbe; 8_000]);
            head[5..9].copy_from_slice(&(2_u32 * number + 1).to_be_bytes());
            watch.see(&head);
            watch.settle();
            assert_eq!(watch.look(at(0)), (number == 5).then_some(Abuse::Heads), "after {number}");
        }
    }

    #[test]
    fn data_that_nobody_takes_is_paid_for() {
        let head = frame(HEADERS, END_HEADERS, b"abc");
        let data = frame(DATA, 0, b"x");
        let mut watch = Watch::new(0);
        watch.see(&[head, data.repeat(10_000)].concat());
        watch.arrived(1);
        watch.settle();
        watch.see(&data.repeat(10_000));
        assert_eq!(watch.look(at(0)), None, "small pieces are a body, too");
        watch.ended(1);
        watch.see(&data.repeat(BUDGET as usize));
        assert_eq!(watch.look(at(0)), None, "what was under way");
        watch.see(&data);
        assert_eq!(watch.look(at(0)), Some(Abuse::EmptyFrames));
    }

    #[test]
    fn a_head_in_pieces_is_timed_from_its_first() {
        let mut watch = Watch::new(0);
        watch.see(&frame(HEADERS, 0, b"abc"));
        assert_eq!(watch.look(at(5)), None);
        watch.see(&frame(CONTINUATION, 0, b"abc"));
        assert_eq!(watch.look(at(9)), None);
        assert_eq!(watch.head_since(), Some(at(5)));
        watch.see(&frame(CONTINUATION, END_HEADERS, b"abc"));
        assert_eq!((watch.look(at(10)), watch.head_since()), (None, None));
    }
}
