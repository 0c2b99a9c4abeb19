//! Chunked bodies.

use traffic_http::{BodyEvent, BodyReader, BodyWriter, Framing, HttpError};

use super::split::lengths;

/// A body that was read to its end.
#[derive(Debug, PartialEq, Eq)]
struct Body {
    data: Vec<u8>,
    trailers: Vec<u8>,
    /// So many bytes it took.
    taken: usize,
}

/// A chunked body, and what follows it.
pub fn run(data: &[u8]) {
    let whole = read(data, &[]);
    let split = read(data, &lengths(data));
    assert_eq!(split, whole);
    let Ok(Some(body)) = whole else { return };
    assert_eq!(Some(&body.data), plain(data).as_ref());
    let written = write(data, &body);
    assert_eq!(read(&written, &lengths(&written)), Ok(Some(Body { taken: written.len(), ..body })));
}

/// Reads as the input grows; `None` if the body does not end in it.
fn read(input: &[u8], lengths: &[usize]) -> Result<Option<Body>, HttpError> {
    let mut reader = BodyReader::new(Framing::Chunked);
    let (mut data, mut taken) = (Vec::new(), 0);
    for &length in lengths.iter().chain([&input.len()]) {
        loop {
            let rest = input.get(taken..length).unwrap_or_default();
            let (used, event) = reader.read(rest)?;
            taken += used;
            match event {
                BodyEvent::NeedMore => break,
                BodyEvent::Data(piece) => {
                    assert!(!piece.is_empty());
                    data.extend_from_slice(piece);
                }
                BodyEvent::End => {
                    let mut trailers = Vec::new();
                    reader.trailers().check_invariants();
                    reader.trailers().encode(&mut trailers);
                    return Ok(Some(Body { data, trailers, taken }));
                }
            }
        }
    }
    assert!(reader.clone().end_of_input().is_err(), "a chunked body does not end by closing");
    Ok(None)
}

/// The data of a body, read in the plainest way there is: by whole lines, and with numbers that cannot overflow.
fn plain(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut data = Vec::new();
    loop {
        let length = rest.windows(2).position(|pair| pair == b"\r\n")?;
        let (line, behind) = rest.split_at(length);
        let digits = line.split(|&byte| byte == b';').next()?;
        let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.len() <= 32)?;
        let size = u128::from_str_radix(digits, 16).ok()?;
        if size == 0 {
            return Some(data);
        }
        let size = usize::try_from(size).ok()?;
        data.extend_from_slice(behind.get(2..)?.get(..size)?);
        rest = behind.get(2 + size..)?.strip_prefix(b"\r\n")?;
    }
}

/// Writes the body in pieces as long as the bytes of `input` say, with the trailers that `input` has.
fn write(input: &[u8], body: &Body) -> Vec<u8> {
    let mut writer = BodyWriter::new(Framing::Chunked);
    let mut wire = Vec::new();
    let mut rest = body.data.as_slice();
    let mut sizes = input.iter().cycle();
    while !rest.is_empty() {
        let size = usize::from(sizes.next().copied().unwrap_or(1)).clamp(1, rest.len());
        let (piece, behind) = rest.split_at(size);
        rest = behind;
        let frame = writer.frame(piece.len()).map(|frame| {
            wire.extend_from_slice(frame.prefix());
            wire.extend_from_slice(piece);
            wire.extend_from_slice(frame.suffix());
        });
        assert_eq!(frame, Ok(()));
    }
    let mut reader = BodyReader::new(Framing::Chunked);
    let mut input = input;
    while let Ok((used, BodyEvent::Data(_))) = reader.read(input) {
        input = input.get(used..).unwrap_or_default();
    }
    assert_eq!(writer.finish(Some(reader.trailers()), &mut wire), Ok(()));
    wire
}
