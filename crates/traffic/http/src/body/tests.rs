use super::*;
use crate::HttpError;
use crate::fields::{Fields, KnownField};
use crate::head::Framing;

/// All data of a body, how many bytes it took, and its trailers.
type Decoded = (Vec<u8>, usize, Vec<(String, String)>);

/// Feeds `input` in pieces of `step` bytes; fails when the body does not end.
fn decode_in(framing: Framing, input: &[u8], step: usize) -> Result<Decoded, HttpError> {
    let mut reader = BodyReader::new(framing);
    let mut data = Vec::new();
    let mut taken = 0;
    let mut available = 0;
    loop {
        let (length, event) = reader.read(&input[taken..available])?;
        taken += length;
        match event {
            BodyEvent::Data(piece) => {
                assert!(!piece.is_empty());
                data.extend_from_slice(piece);
            }
            BodyEvent::End => break,
            BodyEvent::NeedMore if available == input.len() => {
                assert!(!reader.is_done());
                reader.end_of_input()?;
            }
            BodyEvent::NeedMore => {
                assert_eq!(taken, available);
                available = (available + step).min(input.len());
            }
        }
    }
    assert!(reader.is_done());
    assert_eq!(reader.remaining(), Some(0));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let trailers = reader.trailers().iter().map(|(name, value)| (text(name), text(value))).collect();
    Ok((data, taken, trailers))
}

/// Feeds the input whole, and byte by byte: both must agree.
fn decode(framing: Framing, input: &[u8]) -> Result<Decoded, HttpError> {
    let whole = decode_in(framing, input, input.len().max(1));
    assert_eq!(decode_in(framing, input, 1), whole, "{:?}", String::from_utf8_lossy(input));
    whole
}

/// Chunked bodies that are refused.
const REFUSED: &[(&str, HttpError)] = &[
    ("", HttpError::UnexpectedEnd),
    ("5\r\nhel", HttpError::UnexpectedEnd),
    ("5\r\nhello\r\n", HttpError::UnexpectedEnd),
    ("0\r\n", HttpError::UnexpectedEnd),
    ("0\r\nA: b\r\n", HttpError::UnexpectedEnd),
    ("\r\n", HttpError::InvalidChunkSize),
    (";a\r\n", HttpError::InvalidChunkSize),
    ("g\r\n", HttpError::InvalidChunkSize),
    ("0x5\r\nhello\r\n0\r\n\r\n", HttpError::InvalidChunkSize),
    ("+5\r\nhello\r\n0\r\n\r\n", HttpError::InvalidChunkSize),
    ("-5\r\nhello\r\n0\r\n\r\n", HttpError::InvalidChunkSize),
    (" 5\r\nhello\r\n0\r\n\r\n", HttpError::InvalidChunkSize),
    ("5 \r\nhello\r\n0\r\n\r\n", HttpError::InvalidChunkSize),
    ("5 ;a\r\nhello\r\n0\r\n\r\n", HttpError::InvalidChunkSize),
    ("5\t\r\nhello\r\n0\r\n\r\n", HttpError::InvalidChunkSize),
    ("5_0\r\n", HttpError::InvalidChunkSize),
    ("5,5\r\n", HttpError::InvalidChunkSize),
    ("\n5\r\n", HttpError::InvalidChunkSize),
    ("00000000000000005\r\nhello\r\n0\r\n\r\n", HttpError::LengthOverflow),
    ("8000000000000000\r\n", HttpError::LengthOverflow),
    ("ffffffffffffffff\r\n", HttpError::LengthOverflow),
    ("10000000000000005\r\n", HttpError::LengthOverflow),
    ("5\nhello\r\n0\r\n\r\n", HttpError::InvalidLineEnd),
    ("5\rhello", HttpError::InvalidLineEnd),
    ("5\r\rhello", HttpError::InvalidLineEnd),
    ("5;a\nhello\r\n0\r\n\r\n", HttpError::InvalidLineEnd),
    ("5;a\rb\r\nhello\r\n0\r\n\r\n", HttpError::InvalidLineEnd),
    ("5;a\0\r\nhello\r\n0\r\n\r\n", HttpError::InvalidChunkExtension),
    ("5;\r\nhello\r\n0\r\n\r\n", HttpError::InvalidChunkExtension),
    ("5\r\nhello0\r\n\r\n", HttpError::InvalidChunkEnd),
    ("5\r\nhello\n0\r\n\r\n", HttpError::InvalidChunkEnd),
    ("5\r\nhello\r0\r\n\r\n", HttpError::InvalidChunkEnd),
    ("5\r\nhellox\n0\r\n\r\n", HttpError::InvalidChunkEnd),
    ("5\r\nhello\rx0\r\n\r\n", HttpError::InvalidChunkEnd),
    ("5\r\nhello!\r\n0\r\n\r\n", HttpError::InvalidChunkEnd),
    ("0\r\n\n", HttpError::InvalidLineEnd),
    ("0\r\nA: b\n\r\n", HttpError::InvalidLineEnd),
    ("0\r\nA : b\r\n\r\n", HttpError::InvalidFieldName),
    ("0\r\n A: b\r\n\r\n", HttpError::InvalidFieldName),
    ("0\r\nA: b\r\n c\r\n\r\n", HttpError::InvalidFieldName),
    ("0\r\nA: b\0\r\n\r\n", HttpError::InvalidFieldValue),
    ("0\r\nA: b\rc\r\n\r\n", HttpError::InvalidFieldValue),
    ("0\r\nA\r\n\r\n", HttpError::InvalidFieldName),
];

#[test]
fn malformed_chunked_bodies_are_refused() {
    for (input, error) in REFUSED {
        assert_eq!(decode(Framing::Chunked, input.as_bytes()), Err(*error), "{input:?}");
    }
}

#[test]
fn chunked_bodies_are_decoded_up_to_their_last_byte() {
    for (input, data) in [
        ("0\r\n\r\n", ""),
        ("000\r\n\r\n", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("0000000000000005\r\nhello\r\n0\r\n\r\n", "hello"),
        ("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789"),
        ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n"),
        ("5;a=b;c=\"d \u{e9}\t\"\r\nhello\r\n0;last\r\n\r\n", "hello"),
    ] {
        let framed = format!("{input}GET / HTTP/1.1");
        let decoded = decode(Framing::Chunked, framed.as_bytes()).unwrap();
        assert_eq!(decoded, (data.as_bytes().to_vec(), input.len(), Vec::new()), "{input:?}");
    }
}

#[test]
fn trailers_are_kept_without_those_that_must_not_be() {
    let input = "0\r\nX-Checksum: 1\r\nContent-Length: 5\r\nHost: b\r\nETag: e\r\nAuthorization: x\r\n\
                 Transfer-Encoding: chunked\r\nX-Forwarded-User: root\r\nX_Forwarded_User: root\r\nX_Real_IP: z\r\nProxy_Y: y\r\nProxy-X: y\r\nX-Empty:\r\n\r\n";
    let (_, taken, trailers) = decode(Framing::Chunked, input.as_bytes()).unwrap();
    assert_eq!(taken, input.len());
    let expected = [("X-Checksum", "1"), ("ETag", "e"), ("X-Empty", "")];
    assert_eq!(trailers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn trailers_are_limited_in_bytes_and_number() {
    let with = |lines: String| decode(Framing::Chunked, format!("0\r\n{lines}\r\n").as_bytes()).map(|_| ());
    assert_eq!(with("X: 1\r\n".repeat(64)), Ok(()));
    assert_eq!(with("X: 1\r\n".repeat(65)), Err(HttpError::TrailersTooLarge));
    assert_eq!(with(format!("X: {}\r\n", "a".repeat(8000))), Ok(()));
    assert_eq!(with(format!("X: {}\r\n", "a".repeat(9000))), Err(HttpError::TrailersTooLarge));
}

#[test]
fn chunk_extensions_are_limited_each_and_against_the_data() {
    let extension = "e".repeat(1000);
    let decode = |chunk: &str, count| {
        let body = format!("{}0\r\n\r\n", chunk.repeat(count));
        decode_in(Framing::Chunked, body.as_bytes(), body.len()).map(|_| ())
    };
    let long = format!("1;{extension}{extension}\r\nx\r\n");
    assert_eq!(decode(&long, 1), Err(HttpError::ChunkExtensionsTooLarge));
    let starved = format!("1;{extension}\r\nx\r\n");
    assert_eq!(decode(&starved, 8), Ok(()));
    assert_eq!(decode(&starved, 9), Err(HttpError::ChunkExtensionsTooLarge));
    let fed = format!("3e8;{extension}\r\n{extension}\r\n");
    assert_eq!(decode(&fed, 100), Ok(()));
    assert_eq!(decode("1\r\nx\r\n", 20_000), Ok(()));
}

#[test]
fn bodies_with_a_length_end_by_it() {
    assert_eq!(decode(Framing::Length(5), b"helloGET"), Ok((b"hello".to_vec(), 5, Vec::new())));
    assert_eq!(decode(Framing::Length(0), b"GET"), Ok((Vec::new(), 0, Vec::new())));
    assert_eq!(decode(Framing::Empty, b"GET"), Ok((Vec::new(), 0, Vec::new())));
    assert_eq!(decode(Framing::Length(6), b"hello"), Err(HttpError::UnexpectedEnd));
    let mut reader = BodyReader::new(Framing::Length(5));
    assert_eq!(reader.remaining(), Some(5));
    assert_eq!(reader.read(b"hel"), Ok((3, BodyEvent::Data(b"hel"))));
    assert_eq!((reader.remaining(), reader.is_done()), (Some(2), false));
    assert_eq!(reader.read(b"loX"), Ok((2, BodyEvent::Data(b"lo"))));
    assert!(reader.is_done());
}

#[test]
fn bodies_until_close_end_when_the_peer_closes() {
    assert_eq!(decode(Framing::UntilClose, b"hello"), Ok((b"hello".to_vec(), 5, Vec::new())));
    let mut reader = BodyReader::new(Framing::UntilClose);
    assert_eq!((reader.remaining(), reader.is_done()), (None, false));
    assert_eq!(reader.end_of_input(), Ok(()));
    assert!(reader.is_done());
}

#[test]
fn data_is_a_part_of_the_input_with_its_chunk_line_taken_along() {
    let input = b"5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n";
    let mut reader = BodyReader::new(Framing::Chunked);
    assert_eq!(reader.remaining(), None);
    let (length, event) = reader.read(input).unwrap();
    assert_eq!((length, event), (8, BodyEvent::Data(b"hello")));
    let BodyEvent::Data(data) = event else { unreachable!() };
    assert!(std::ptr::eq(data.as_ptr(), &raw const input[3]));
    assert_eq!(reader.read(&input[8..]), Ok((8, BodyEvent::Data(b"you"))));
    assert_eq!(reader.read(&input[16..]), Ok((7, BodyEvent::End)));
    assert_eq!(reader.read(b"more"), Ok((0, BodyEvent::End)));
}

#[test]
fn an_error_stays_and_a_reset_forgets_it() {
    let mut reader = BodyReader::new(Framing::Chunked);
    assert_eq!(reader.read(b"x"), Err(HttpError::InvalidChunkSize));
    assert_eq!(reader.read(b"0\r\n\r\n"), Err(HttpError::InvalidChunkSize));
    assert_eq!(reader.end_of_input(), Err(HttpError::InvalidChunkSize));
    reader.reset(Framing::Chunked);
    assert_eq!(reader.read(b"0\r\nA: b\r\n\r\n"), Ok((11, BodyEvent::End)));
    assert_eq!(reader.trailers().len(), 1);
    reader.reset(Framing::Chunked);
    assert_eq!(reader.read(b"0\r\n\r\n"), Ok((5, BodyEvent::End)));
    assert!(reader.trailers().is_empty());
}

#[test]
fn chunks_are_framed() {
    let mut writer = BodyWriter::new(Framing::Chunked);
    for (length, prefix, suffix) in [
        (0, "", ""),
        (1, "1\r\n", "\r\n"),
        (0x1a4, "1a4\r\n", "\r\n"),
        (usize::MAX, "ffffffffffffffff\r\n", "\r\n"),
    ] {
        let frame = writer.frame(length).unwrap();
        assert_eq!((frame.prefix(), frame.suffix()), (prefix.as_bytes(), suffix.as_bytes()));
    }
    let mut out = Vec::new();
    writer.finish(None, &mut out).unwrap();
    assert_eq!(out, b"0\r\n\r\n");
    assert_eq!(writer.frame(1).map(|_| ()), Err(HttpError::BodyTooLong));

    let mut trailers = Fields::new();
    trailers.append(KnownField::Etag.name(), b"e");
    out.clear();
    BodyWriter::new(Framing::Chunked).finish(Some(&trailers), &mut out).unwrap();
    assert_eq!(out, b"0\r\netag: e\r\n\r\n");
}

#[test]
fn announced_lengths_are_kept() {
    let mut out = Vec::new();
    let mut writer = BodyWriter::new(Framing::Length(5));
    assert!(writer.frame(3).unwrap().prefix().is_empty());
    assert_eq!(writer.finish(None, &mut out), Err(HttpError::BodyTooShort));
    assert_eq!(writer.frame(3).map(|_| ()), Err(HttpError::BodyTooLong));
    assert!(writer.frame(2).unwrap().suffix().is_empty());
    assert_eq!(writer.finish(None, &mut out), Ok(()));
    assert_eq!(BodyWriter::new(Framing::Empty).frame(1).map(|_| ()), Err(HttpError::BodyTooLong));
    assert!(BodyWriter::new(Framing::UntilClose).frame(1).unwrap().prefix().is_empty());
    assert_eq!(BodyWriter::new(Framing::UntilClose).finish(None, &mut out), Ok(()));
    assert!(out.is_empty());
}
