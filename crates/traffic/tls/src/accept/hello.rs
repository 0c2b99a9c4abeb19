//! What a client asks for in the first message of its handshake, for whoever passes the connection on without taking part in it.
//!
//! Sources: RFC 8446 §4.1.2 and §5.1 (the same in TLS 1.0 to 1.2), RFC 6066 §3 (names), RFC 7301 §3.1 (protocols).

use thiserror::Error;

/// The longest first message that is read, records included. One with a post-quantum key share takes some 2 KB.
pub const LONGEST_HELLO: usize = 16 << 10;

/// What each record begins with: kind, version, length of the rest (RFC 8446 §5.1).
const RECORD_HEAD: usize = 5;
const HANDSHAKE: u8 = 22;
const MAJOR_VERSION: u8 = 3;
const LONGEST_RECORD: usize = 16 << 10;

/// What a message of the handshake begins with: kind, length of the rest (RFC 8446 §4).
const MESSAGE_HEAD: usize = 4;
const CLIENT_HELLO: u8 = 1;

/// Version and random bytes.
const FIXED_BYTES: usize = 2 + 32;

/// Extensions by number, and the only kind of name that there is.
const SERVER_NAME: usize = 0;
const PROTOCOLS: usize = 16;
const HOST_NAME: usize = 0;
/// As in the domain name system (RFC 1035 §2.3.4).
const LONGEST_NAME: usize = 253;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHello {
    /// The name of the server (SNI), in lower case, without a final dot; `None` if it does not say, or nothing that could be a name.
    pub name: Option<Box<str>>,
    /// The protocols that it speaks inside (ALPN), as it prefers them.
    pub protocols: Vec<Box<[u8]>>,
}

/// Why nothing can be said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HelloError {
    /// The connection begins with something else.
    #[error("it does not begin with TLS")]
    NotTls,
    /// It begins like TLS.
    #[error("its first message in TLS is malformed")]
    Malformed,
    /// It goes on for too long.
    #[error("its first message in TLS is longer than {LONGEST_HELLO} bytes")]
    TooLong,
}

impl ClientHello {
    /// Reads it from the front of what has come, and takes nothing; `None` while that is not all of it.
    ///
    /// # Errors
    /// If what has come does not begin with one.
    pub fn parse(input: &[u8]) -> Result<Option<Self>, HelloError> {
        // It may be cut into several records, at any place.
        let mut message = Vec::new();
        let mut rest = Bytes(input);
        loop {
            let Some(fragment) = record(&mut rest)? else {
                return if input.len() < LONGEST_HELLO { Ok(None) } else { Err(HelloError::TooLong) };
            };
            message.extend_from_slice(fragment);
            if let Some(body) = body(&message)? {
                return Self::of(body).map(Some).ok_or(HelloError::Malformed);
            }
        }
    }

    fn of(body: &[u8]) -> Option<Self> {
        let mut body = Bytes(body);
        body.take(FIXED_BYTES)?;
        let (_session, _suites, _compressions) = (body.block::<1>()?, body.block::<2>()?, body.block::<1>()?);
        let mut hello = Self { name: None, protocols: Vec::new() };
        if body.0.is_empty() {
            // The oldest clients have no extensions.
            return Some(hello);
        }
        let mut extensions = Bytes(body.block::<2>()?);
        if !body.0.is_empty() {
            return None;
        }
        while !extensions.0.is_empty() {
            let kind = extensions.number::<2>()?;
            let value = extensions.block::<2>()?;
            match kind {
                SERVER_NAME => hello.name = name(value)?,
                PROTOCOLS => hello.protocols = protocols(value)?,
                _ => {}
            }
        }
        Some(hello)
    }
}

/// What the first record carries, if it belongs to a handshake and all of it is there.
fn record<'a>(bytes: &mut Bytes<'a>) -> Result<Option<&'a [u8]>, HelloError> {
    let is_like = |place: usize, wanted: u8| bytes.0.get(place).is_none_or(|byte| *byte == wanted);
    if !is_like(0, HANDSHAKE) || !is_like(1, MAJOR_VERSION) {
        return Err(HelloError::NotTls);
    }
    let Some(mut head) = bytes.take(RECORD_HEAD).map(Bytes) else { return Ok(None) };
    let length = head.take(RECORD_HEAD - 2).and_then(|_| head.number::<2>()).unwrap_or_default();
    if !(1..=LONGEST_RECORD).contains(&length) {
        return Err(HelloError::Malformed);
    }
    Ok(bytes.take(length))
}

/// The body of the first message, once all of it is there.
fn body(message: &[u8]) -> Result<Option<&[u8]>, HelloError> {
    let mut bytes = Bytes(message);
    let kind = bytes.number::<1>();
    if kind.is_some_and(|kind| kind != usize::from(CLIENT_HELLO)) {
        return Err(HelloError::Malformed);
    }
    let Some(length) = bytes.number::<3>() else { return Ok(None) };
    if length > LONGEST_HELLO - RECORD_HEAD - MESSAGE_HEAD {
        return Err(HelloError::TooLong);
    }
    Ok(bytes.take(length))
}

/// The name of the extension that is one of a host; outer `None` where it is malformed. Of several, which are not allowed, one server takes the first
/// and another one the last.
fn name(value: &[u8]) -> Option<Option<Box<str>>> {
    let mut value = Bytes(value);
    let mut names = Bytes(value.block::<2>()?);
    let mut found = None;
    while !names.0.is_empty() {
        let kind = names.number::<1>()?;
        let name = names.block::<2>()?;
        if kind == HOST_NAME && found.replace(name).is_some() {
            return None;
        }
    }
    Some(found.and_then(host_name))
}

/// As hosts are compared. What could not be in the domain name system is none.
fn host_name(name: &[u8]) -> Option<Box<str>> {
    let name = name.strip_suffix(b".").unwrap_or(name);
    let could_be = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > LONGEST_NAME || !name.iter().all(could_be) {
        return None;
    }
    Some(String::from_utf8(name.to_ascii_lowercase()).ok()?.into_boxed_str())
}

fn protocols(value: &[u8]) -> Option<Vec<Box<[u8]>>> {
    let mut value = Bytes(value);
    let mut list = Bytes(value.block::<2>()?);
    let mut found = Vec::new();
    while !list.0.is_empty() {
        found.push(list.block::<1>()?.into());
    }
    Some(found)
}

/// Bytes that are read from the front.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// So many.
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of so many bytes, the highest first.
    fn number<const BYTES: usize>(&mut self) -> Option<usize> {
        let bytes = self.take(BYTES)?;
        Some(bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    /// What a length of so many bytes goes ahead of.
    fn block<const BYTES: usize>(&mut self) -> Option<&'a [u8]> {
        let length = self.number::<BYTES>()?;
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, ClientConnection, RootCertStore};

    use super::*;
    use crate::policy::provider;

    /// What the library's client begins with.
    fn begun(name: &str, protocols: &[&str]) -> Vec<u8> {
        let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let mut config =
            builder.unwrap().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut out = Vec::new();
        connection.write_tls(&mut out).unwrap();
        out
    }

    /// A message as one record.
    fn framed(message: &[u8]) -> Vec<u8> {
        let length = u16::try_from(message.len()).unwrap().to_be_bytes();
        [&[HANDSHAKE, 3, 1][..], &length, message].concat()
    }

    /// A message with this body.
    fn message(body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        [&[CLIENT_HELLO][..], &length[1..], body].concat()
    }

    /// One with these extensions.
    fn with(extensions: &[u8]) -> Vec<u8> {
        let length = u16::try_from(extensions.len()).unwrap().to_be_bytes();
        framed(&message(&[&[3; FIXED_BYTES][..], &[0, 0, 2, 0x13, 1, 1, 0], &length, extensions].concat()))
    }

    fn extension(kind: u8, value: &[u8]) -> Vec<u8> {
        [&[0, kind, 0, u8::try_from(value.len()).unwrap()][..], value].concat()
    }

    #[test]
    fn name_and_protocols_are_found_wherever_it_is_cut() {
        let whole = begun("Shop.Example.com", &["h2", "http/1.1"]);
        let hello = ClientHello::parse(&whole).unwrap().unwrap();
        assert_eq!(hello.name.as_deref(), Some("shop.example.com"));
        assert_eq!(hello.protocols, [Box::from(&b"h2"[..]), Box::from(&b"http/1.1"[..])]);
        for cut in 0..whole.len() {
            assert_eq!(ClientHello::parse(&whole[..cut]), Ok(None), "{cut} bytes");
        }
        let behind = [&whole[..], b"\x17\x03\x03 and more"].concat();
        assert_eq!(ClientHello::parse(&behind), Ok(Some(hello.clone())));
        // In records of every size.
        let message = &whole[RECORD_HEAD..];
        for size in [1, 2, 3, 4, 5, 100, message.len() - 1] {
            let records: Vec<u8> = message.chunks(size).flat_map(framed).collect();
            assert_eq!(ClientHello::parse(&records), Ok(Some(hello.clone())), "{size} bytes each");
        }
    }

    #[test]
    fn clients_may_ask_for_nothing() {
        let nothing = Ok(Some(ClientHello { name: None, protocols: Vec::new() }));
        assert_eq!(ClientHello::parse(&begun("127.0.0.1", &[])), nothing, "addresses are no names");
        let old = framed(&message(&[&[3; FIXED_BYTES][..], &[0, 0, 2, 0, 47, 1, 0]].concat()));
        assert_eq!(ClientHello::parse(&old), nothing, "without extensions");
        for name in [&b""[..], b".", b"a b", b"\xff", &[b'a'; 200]] {
            let list = [&[0, 0, u8::try_from(name.len()).unwrap()][..], name].concat();
            let value = [&[0, u8::try_from(list.len()).unwrap()][..], &list].concat();
            let hello = ClientHello::parse(&with(&extension(0, &value))).unwrap().unwrap();
            assert_eq!(hello.name.is_some(), name.len() == 200, "{name:?}");
        }
        // A kind of name that nobody knows, and a final dot.
        let value = b"\x00\x0b\x07\x00\x01x\x00\x00\x04a.B.";
        let hello = ClientHello::parse(&with(&extension(0, value))).unwrap().unwrap();
        assert_eq!(hello.name.as_deref(), Some("a.b"));
    }

    #[test]
    fn what_is_not_tls_is_told_apart_from_what_is_broken() {
        for other in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"SSH-2.0-x",
            b"\x16\x02\x00",
            b"\x80\x2e\x01\x03\x01",
            b"\x15\x03\x01",
        ] {
            assert_eq!(ClientHello::parse(other), Err(HelloError::NotTls), "{other:?}");
        }
        let no_list = extension(16, &[0]);
        let two_names = extension(0, b"\x00\x08\x00\x00\x01a\x00\x00\x01b");
        let rest_of_a_name = extension(0, b"\x00\x05\x00\x00\x01ab");
        let too_much = extension(0, &[0, 1]);
        for broken in [
            &b"\x16\x03\x01\x00\x00"[..],
            b"\x16\x03\x01\x40\x01",
            &framed(b"\x02\x00\x00\x01x"),
            &framed(&message(b"short")),
            &with(&no_list),
            &with(&too_much),
            &with(&two_names),
            &with(&rest_of_a_name),
            &with(b"\x00"),
            &framed(&message(&[&[3; FIXED_BYTES][..], &[0, 0, 0, 1, 0, 0, 0, 9]].concat())),
        ] {
            assert_eq!(ClientHello::parse(broken), Err(HelloError::Malformed), "{broken:?}");
        }
        let long = framed(b"\x01\x01\x00\x00");
        assert_eq!(ClientHello::parse(&long), Err(HelloError::TooLong));
        let slow: Vec<u8> =
            [1, 0, 0x3f, 0].into_iter().chain([0; 4000]).flat_map(|byte| framed(&[byte])).collect();
        assert_eq!(ClientHello::parse(&slow[..LONGEST_HELLO - 1]), Ok(None));
        assert_eq!(ClientHello::parse(&slow[..LONGEST_HELLO]), Err(HelloError::TooLong));
    }
}
