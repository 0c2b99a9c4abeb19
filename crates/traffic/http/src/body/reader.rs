//! Decoding a body.

use super::chunk_line::ChunkLine;
use super::trailers::Trailers;
use crate::HttpError;
use crate::fields::{FieldName, Fields};
use crate::head::Framing;

/// What the front of the input held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyEvent<'input> {
    /// All of the input is used up, and the body goes on.
    NeedMore,
    /// A piece of the body, never empty.
    Data(&'input [u8]),
    /// The body is complete, trailers included.
    End,
}

/// Decodes one body. Nothing is buffered but trailers; data is a part of the input.
#[derive(Clone, Debug)]
pub struct BodyReader {
    state: State,
    line: ChunkLine,
    /// Decoded so far, of chunked bodies.
    data_bytes: u64,
    trailers: Trailers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Done,
    Failed(HttpError),
    Length(u64),
    UntilClose,
    ChunkLine,
    /// So much is left of the chunk.
    ChunkData(u64),
    ChunkCarriageReturn,
    ChunkLineFeed,
    Trailers,
}

impl State {
    const fn of(framing: Framing) -> Self {
        match framing {
            Framing::Empty | Framing::Length(0) => Self::Done,
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::ChunkLine,
            Framing::UntilClose => Self::UntilClose,
        }
    }
}

impl BodyReader {
    /// A decoder for one body.
    pub fn new(framing: Framing) -> Self {
        Self {
            state: State::of(framing),
            line: ChunkLine::default(),
            data_bytes: 0,
            trailers: Trailers::default(),
        }
    }

    /// A decoder for the next body; keeps the memory of trailers.
    pub fn reset(&mut self, framing: Framing) {
        self.trailers.clear();
        self.state = State::of(framing);
        self.line = ChunkLine::default();
        self.data_bytes = 0;
    }

    /// Takes bytes from the front of `input`; gives how many and what they mean. To be called again with the rest
    /// until it gives [`BodyEvent::NeedMore`] or [`BodyEvent::End`]. What follows the body is left alone. An error
    /// stays.
    pub fn read<'input>(&mut self, input: &'input [u8]) -> Result<(usize, BodyEvent<'input>), HttpError> {
        match self.state {
            State::Done => Ok((0, BodyEvent::End)),
            State::Failed(error) => Err(error),
            State::UntilClose => Ok(piece(0, input)),
            State::Length(left) => {
                let data = front(input, left);
                let left = left - data.len() as u64;
                self.state = State::of(Framing::Length(left));
                Ok(piece(0, data))
            }
            _ => self.read_chunked(input).inspect_err(|&error| self.state = State::Failed(error)),
        }
    }

    fn read_chunked<'input>(&mut self, input: &'input [u8]) -> Result<(usize, BodyEvent<'input>), HttpError> {
        let mut taken = 0;
        loop {
            let rest = input.get(taken..).unwrap_or_default();
            let Some(&first) = rest.first() else { return Ok((taken, BodyEvent::NeedMore)) };
            match self.state {
                State::ChunkLine => {
                    taken += 1;
                    match self.line.push(first, self.data_bytes)? {
                        Some(0) => self.state = State::Trailers,
                        Some(size) => self.state = State::ChunkData(size),
                        None => {}
                    }
                }
                State::ChunkData(left) => {
                    let data = front(rest, left);
                    let length = data.len() as u64;
                    self.data_bytes = self.data_bytes.saturating_add(length);
                    self.state = if left == length {
                        State::ChunkCarriageReturn
                    } else {
                        State::ChunkData(left - length)
                    };
                    return Ok(piece(taken, data));
                }
                State::ChunkCarriageReturn if first == b'\r' => {
                    taken += 1;
                    self.state = State::ChunkLineFeed;
                }
                State::ChunkLineFeed if first == b'\n' => {
                    taken += 1;
                    self.state = State::ChunkLine;
                }
                State::Trailers => {
                    let (length, is_complete) = self.trailers.read(rest)?;
                    taken += length;
                    if is_complete {
                        self.state = State::Done;
                        return Ok((taken, BodyEvent::End));
                    }
                }
                _ => return Err(HttpError::InvalidChunkEnd),
            }
        }
    }

    /// The peer closed: the end of a body until close, an error in the middle of any other.
    pub fn end_of_input(&mut self) -> Result<(), HttpError> {
        match self.state {
            State::Done => Ok(()),
            State::UntilClose => {
                self.state = State::Done;
                Ok(())
            }
            State::Failed(error) => Err(error),
            _ => {
                self.state = State::Failed(HttpError::UnexpectedEnd);
                Err(HttpError::UnexpectedEnd)
            }
        }
    }

    /// Whether the body is complete.
    pub const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// How many bytes are to come, where that is known.
    pub const fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Done => Some(0),
            State::Length(left) => Some(left),
            _ => None,
        }
    }

    /// Takes the trailers of a body that has ended, where they came beside it: their lines, and an empty one.
    pub fn take_trailers(&mut self, lines: &[u8]) -> Result<(), HttpError> {
        match self.trailers.read(lines)? {
            (_, true) => Ok(()),
            (_, false) => Err(HttpError::UnexpectedEnd),
        }
    }

    /// Drops trailers of this name, and of names that are read as this one by servers that take `_` for `-`.
    pub fn remove_trailers(&mut self, name: &FieldName) {
        self.trailers.remove(name);
    }

    /// The trailers, once the body is done; without those that must not be trailers.
    pub fn trailers(&self) -> &Fields {
        self.trailers.fields()
    }
}

/// The event for `data`, which follows `before` bytes that are taken too.
fn piece(before: usize, data: &[u8]) -> (usize, BodyEvent<'_>) {
    let event = if data.is_empty() { BodyEvent::NeedMore } else { BodyEvent::Data(data) };
    (before + data.len(), event)
}

/// At most `limit` bytes from the front.
fn front(input: &[u8], limit: u64) -> &[u8] {
    usize::try_from(limit).ok().and_then(|limit| input.get(..limit)).unwrap_or(input)
}
