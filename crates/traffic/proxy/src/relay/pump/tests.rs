//! A pump between two connections of memory that give and take as little as they are told.

use std::collections::VecDeque;
use std::task::Waker;

use traffic_net::{BufferPool, Peek, Stream};

use super::*;

/// A connection that gives what it holds in pieces, and takes so many bytes at a time.
#[derive(Default)]
struct Memory {
    gives: VecDeque<Vec<u8>>,
    ends: bool,
    taken: Vec<u8>,
    takes: usize,
    /// Every second call is pending, as with a socket that is not ready.
    ready: bool,
    /// It was told to hand on what it keeps back.
    pushed: bool,
}

impl Memory {
    fn is_pending(&mut self) -> bool {
        self.ready = !self.ready;
        self.ready
    }
}

impl Stream for Memory {
    fn poll_receive(&mut self, _: &mut Context<'_>, buffer: &mut Buffer) -> Poll<io::Result<usize>> {
        if self.is_pending() || (self.gives.is_empty() && !self.ends) {
            return Poll::Pending;
        }
        let Some(piece) = self.gives.pop_front() else { return Poll::Ready(Ok(0)) };
        let room = buffer.spare();
        let count = piece.len().min(room.len());
        room[..count].copy_from_slice(&piece[..count]);
        buffer.filled_by(count);
        if count < piece.len() {
            self.gives.push_front(piece[count..].to_vec());
        }
        Poll::Ready(Ok(count))
    }

    fn poll_send(&mut self, _: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.is_pending() {
            return Poll::Pending;
        }
        let mut count = 0;
        for slice in slices {
            let piece = &slice[..slice.len().min(self.takes - count)];
            self.taken.extend_from_slice(piece);
            count += piece.len();
        }
        Poll::Ready(Ok(count))
    }

    fn push(&mut self, _: &mut Context<'_>) -> io::Result<()> {
        self.pushed = true;
        Ok(())
    }

    fn abort(&mut self) {}

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_peek(&mut self, _: &mut Context<'_>) -> Poll<io::Result<Peek>> {
        Poll::Pending
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

struct Run {
    source: Memory,
    sink: Memory,
    input: Buffer,
    out: Vec<u8>,
    replay: Replay,
}

impl Run {
    fn new(pieces: &[&[u8]], takes: usize) -> Self {
        let source =
            Memory { gives: pieces.iter().map(|piece| piece.to_vec()).collect(), ..Memory::default() };
        let mut replay = Replay::default();
        replay.start(1 << 20, true);
        Self {
            source,
            sink: Memory { takes, ..Memory::default() },
            input: Buffer::new(BufferPool::new(), BufferSize::Small),
            out: b"HEAD".to_vec(),
            replay,
        }
    }

    /// Polls until it is ready, or nothing has happened for a while.
    fn drive(&mut self, pump: &mut Pump) -> Option<Result<(), PumpError>> {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..10_000 {
            let mut ends = Ends {
                source: Carrier::Bytes(&mut self.source),
                input: &mut self.input,
                sink: Carrier::Bytes(&mut self.sink),
                out: &mut self.out,
                replay: Some(&mut self.replay),
            };
            if let Poll::Ready(result) = pump.poll(&mut cx, &mut ends) {
                return Some(result);
            }
        }
        None
    }
}

/// A sink may keep something back, and must not have to wait for a source that has nothing to say.
#[test]
fn a_sink_hands_on_what_it_has_while_the_source_rests() {
    let mut run = Run::new(&[b"an event"], 1000);
    let mut pump = Pump::new(Framing::UntilClose, Framing::UntilClose);
    assert!(run.drive(&mut pump).is_none() && run.sink.pushed);
}

#[test]
fn a_body_of_known_length_goes_through_as_it_is() {
    for takes in [1, 3, 1000] {
        let mut run = Run::new(&[b"hel", b"lo wor", b"ld! and the next request"], takes);
        let mut pump = Pump::new(Framing::Length(12), Framing::Length(12));
        assert!(matches!(run.drive(&mut pump), Some(Ok(()))));
        assert_eq!(run.sink.taken, b"HEADhello world!");
        assert_eq!(run.input.filled(), b" and the next request", "what follows the body is left alone");
        assert!(pump.is_finished() && pump.has_sent());
        assert_eq!(pump.body_bytes, 12);
    }
}

#[test]
fn chunks_are_framed_anew_and_trailers_follow() {
    for takes in [1, 1000] {
        let mut run = Run::new(&[b"3;x=1\r\nabc\r", b"\n2\r\nde\r\n0\r\nx-sum: 5\r\n\r", b"\nrest"], takes);
        let mut pump = Pump::new(Framing::Chunked, Framing::Chunked);
        assert!(matches!(run.drive(&mut pump), Some(Ok(()))));
        let sent = String::from_utf8(std::mem::take(&mut run.sink.taken)).unwrap();
        assert!(sent.starts_with("HEAD") && sent.ends_with("0\r\nx-sum: 5\r\n\r\n"), "{sent}");
        assert!(!sent.contains(";x=1"), "extensions are dropped");
        let mut reader = BodyReader::new(Framing::Chunked);
        let (mut rest, mut data) = (&sent.as_bytes()[4..], Vec::new());
        while let (used, BodyEvent::Data(piece)) = reader.read(rest).unwrap() {
            data.extend_from_slice(piece);
            rest = &rest[used..];
        }
        assert_eq!(data, b"abcde");
        assert_eq!(run.input.filled(), b"rest");
    }
}

#[test]
fn a_body_until_close_ends_with_the_connection() {
    let mut run = Run::new(&[b"abc", b"def"], 2);
    run.source.ends = true;
    let mut pump = Pump::new(Framing::UntilClose, Framing::Chunked);
    assert!(matches!(run.drive(&mut pump), Some(Ok(()))));
    assert!(run.sink.taken.ends_with(b"0\r\n\r\n"));
}

#[test]
fn a_body_that_breaks_off_is_the_sources_fault() {
    let mut run = Run::new(&[b"abc"], 100);
    run.source.ends = true;
    let mut pump = Pump::new(Framing::Length(10), Framing::Length(10));
    let error = run.drive(&mut pump).unwrap().unwrap_err();
    assert!(matches!(error, PumpError::Source(error) if error.kind() == io::ErrorKind::UnexpectedEof));
    assert_eq!(run.sink.taken, b"HEADabc", "what came was passed on");
}

#[test]
fn bad_chunks_are_found() {
    let mut run = Run::new(&[b"zz\r\n"], 100);
    let mut pump = Pump::new(Framing::Chunked, Framing::Chunked);
    assert!(matches!(run.drive(&mut pump), Some(Err(PumpError::Malformed(_)))));
}

#[test]
fn a_rewound_pump_sends_all_of_it_again() {
    for (framing, pieces, rest, want) in [
        (Framing::Length(8), &[&b"abcd"[..]][..], &b"efgh"[..], &b"HEADabcdefgh"[..]),
        (
            Framing::Chunked,
            &[&b"4\r\nabcd\r\n"[..]],
            b"4\r\nefgh\r\n0\r\n\r\n",
            b"HEAD4\r\nabcd\r\n4\r\nefgh\r\n0\r\n\r\n",
        ),
    ] {
        let mut run = Run::new(pieces, 3);
        let mut pump = Pump::new(framing, framing);
        assert!(run.drive(&mut pump).is_none(), "half of it is still to come");
        run.sink.taken.clear();
        run.out = b"HEAD".to_vec();
        pump.rewind(&mut run.out, &run.replay).unwrap();
        run.source.gives.push_back(rest.to_vec());
        assert!(matches!(run.drive(&mut pump), Some(Ok(()))));
        assert_eq!(run.sink.taken, want, "{}", String::from_utf8_lossy(&run.sink.taken));
    }
}

#[test]
fn what_was_not_sent_can_be_sent_elsewhere_without_a_copy() {
    let body = vec![b'x'; COPY_BYTES + 1];
    let mut run = Run::new(&[&body], 0);
    run.replay.start(1 << 20, false);
    let mut pump = Pump::new(Framing::Length(body.len() as u64), Framing::Length(body.len() as u64));
    assert!(matches!(run.drive(&mut pump), Some(Err(PumpError::Sink(_)))), "the sink takes nothing");
    assert!(!pump.has_sent() && run.replay.is_complete() && run.replay.capacity() == 0);
    run.out = b"HEAD".to_vec();
    pump.rewind(&mut run.out, &run.replay).unwrap();
    run.sink.takes = 3000;
    assert!(matches!(run.drive(&mut pump), Some(Ok(()))));
    assert_eq!(run.sink.taken, [b"HEAD", &body[..]].concat());
    assert!(!run.replay.is_complete(), "and now it is gone");
}

#[test]
fn memory_stays_bounded_when_the_sink_is_slow() {
    let piece = vec![b'x'; 1 << 20];
    let mut run = Run::new(&[&piece, &piece, &piece, &piece], 1000);
    let mut pump = Pump::new(Framing::Length(4 << 20), Framing::Chunked);
    let mut cx = Context::from_waker(Waker::noop());
    let mut done = false;
    while !done {
        let mut ends = Ends {
            source: Carrier::Bytes(&mut run.source),
            input: &mut run.input,
            sink: Carrier::Bytes(&mut run.sink),
            out: &mut run.out,
            replay: None,
        };
        done = pump.poll(&mut cx, &mut ends).is_ready();
        assert!(run.input.len() <= BufferSize::Large.bytes());
        assert!(run.out.len() <= GATHER_BYTES + 64, "{}", run.out.len());
    }
    assert_eq!(pump.body_bytes, 4 << 20);
}
