//! How a proxy introduces the client of a connection: the PROXY protocol, versions 1 and 2.
//!
//! Source: "The PROXY protocol", Willy Tarreau, HAProxy's `doc/proxy-protocol.txt`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use base_model::model::ProxyVersion;
use proxy_header::{ParseConfig, Protocol, ProxiedAddress, ProxyHeader, Tlv};
use thiserror::Error;

/// What version 2 begins with.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, command, family and the length of the rest.
const FIXED_BYTES: usize = 16;
/// What version 1 begins with, and the longest line of it.
const TEXT: &[u8] = b"PROXY ";
const LONGEST_LINE: usize = 107;
/// Version 1, where nothing is known.
const UNKNOWN: &[u8] = b"PROXY UNKNOWN\r\n";
/// The longest that is taken. Addresses, names and what is told of TLS take some hundred bytes.
pub const LONGEST_INTRODUCTION: usize = 4096;
/// A checksum of all of it, as a further value; and what each value begins with, its kind and its length.
const CHECKSUM: u8 = 3;
const VALUE_HEAD: usize = 3;
const CHECKSUM_BYTES: usize = 4;

/// What stood in front of a connection's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// Between whom the connection is; `None` where the proxy speaks for itself, or does not know.
    pub ends: Option<Ends>,
    /// So many bytes it took.
    pub length: usize,
}

/// The two ends of a connection to a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Who has connected.
    pub client: SocketAddr,
    /// Where to.
    pub server: SocketAddr,
}

/// Why there is no introduction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum IntroductionError {
    /// The connection begins with something else.
    #[error("it does not begin with the PROXY protocol")]
    Missing,
    /// It begins like one.
    #[error("its introduction by the PROXY protocol is malformed")]
    Malformed,
    /// It goes on for too long.
    #[error("its introduction by the PROXY protocol is longer than {LONGEST_INTRODUCTION} bytes")]
    TooLong,
    /// The checksum in it is that of something else.
    #[error("its introduction by the PROXY protocol has another checksum than it says")]
    WrongChecksum,
}

impl Introduction {
    /// Reads it from the front of what has come; `None` while that is not all of it.
    ///
    /// # Errors
    /// If what has come does not begin with one.
    pub fn parse(input: &[u8]) -> Result<Option<Self>, IntroductionError> {
        Self::parse_of(input, Protocol::Stream)
    }

    /// Reads it from the front of a datagram.
    ///
    /// # Errors
    /// If the datagram does not begin with all of one.
    pub fn parse_datagram(datagram: &[u8]) -> Result<Self, IntroductionError> {
        Self::parse_of(datagram, Protocol::Datagram)?.ok_or(IntroductionError::Malformed)
    }

    fn parse_of(input: &[u8], protocol: Protocol) -> Result<Option<Self>, IntroductionError> {
        let Some(length) = length(input)? else { return Ok(None) };
        let Some(whole) = input.get(..length) else { return Ok(None) };
        let (header, used) =
            ProxyHeader::parse(whole, ParseConfig::default()).map_err(|_| IntroductionError::Malformed)?;
        if used != length {
            return Err(IntroductionError::Malformed);
        }
        check_values(whole)?;
        let named = header.proxied_address().filter(|named| named.protocol == protocol);
        let ends = named.map(|named| Ends { client: named.source, server: named.destination });
        Ok(Some(Self { ends, length }))
    }

    /// What this version says of a connection with these ends, whose client has asked for this name. Without ends the proxy speaks for itself.
    pub fn encode(version: ProxyVersion, ends: Option<Ends>, name: Option<&str>) -> Vec<u8> {
        match version {
            ProxyVersion::V1 => Self::line(ends),
            ProxyVersion::V2 => Self::bytes(ends, name),
        }
    }

    /// What version 2 says of a datagram that was sent between these ends.
    pub fn encode_datagram(ends: Ends) -> Vec<u8> {
        let Ends { client, server } = ends.alike();
        let mut out = Vec::new();
        let named = ProxiedAddress::datagram(client, server);
        // It fails only for a mix of address families.
        let _ = ProxyHeader::with_address(named).encode_v2(&mut out);
        out
    }

    /// A line of text. It has no room for a name; without ends it says that nothing is known.
    fn line(ends: Option<Ends>) -> Vec<u8> {
        let mut out = Vec::new();
        // It fails only for a mix of address families, and for what version 1 has no place for.
        match ends.map(Ends::alike) {
            Some(Ends { client, server }) => {
                let named = ProxiedAddress::stream(client, server);
                let _ = ProxyHeader::with_address(named).encode_v1(&mut out);
            }
            None => out.extend_from_slice(UNKNOWN),
        }
        out
    }

    fn bytes(ends: Option<Ends>, name: Option<&str>) -> Vec<u8> {
        let named = ends.map(Ends::alike).map(|ends| ProxiedAddress::stream(ends.client, ends.server));
        let name = name.map(|name| Tlv::Authority(name.into()));
        let mut out = Vec::new();
        // It fails only for a mix of address families, and for more values than have room: a name is short.
        let _ = ProxyHeader::with_tlvs(named, name).encode_v2(&mut out);
        out
    }
}

impl Ends {
    /// Both of one family, as the protocol wants them: where they differ, the one of version 4 is written as version 6 does (RFC 4291 §2.5.5.2).
    fn alike(self) -> Self {
        if self.client.is_ipv4() == self.server.is_ipv4() {
            return self;
        }
        let long = |address: SocketAddr| match address.ip() {
            IpAddr::V4(ip) => SocketAddr::new(Ipv4Addr::to_ipv6_mapped(&ip).into(), address.port()),
            IpAddr::V6(_) => address,
        };
        Self { client: long(self.client), server: long(self.server) }
    }
}

/// How long it is, once that can be said.
fn length(input: &[u8]) -> Result<Option<usize>, IntroductionError> {
    if begins(input, SIGNATURE) {
        let Some(rest) = input.get(FIXED_BYTES - 2..FIXED_BYTES) else { return Ok(None) };
        let rest = rest.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        let length = FIXED_BYTES + rest;
        return if length > LONGEST_INTRODUCTION {
            Err(IntroductionError::TooLong)
        } else {
            Ok(Some(length))
        };
    }
    if begins(input, TEXT) {
        let line = input.get(..LONGEST_LINE).unwrap_or(input);
        let end = line.windows(2).position(|pair| pair == b"\r\n");
        return match end {
            Some(end) => Ok(Some(end + 2)),
            None if line.len() == LONGEST_LINE => Err(IntroductionError::Malformed),
            None => Ok(None),
        };
    }
    Err(IntroductionError::Missing)
}

/// Whether it begins like this, as far as it has come.
fn begins(input: &[u8], beginning: &[u8]) -> bool {
    input.iter().zip(beginning).all(|(byte, wanted)| byte == wanted)
}

/// Goes through the values behind the addresses of version 2: whether they fill their place, and the checksum if there is one.
fn check_values(whole: &[u8]) -> Result<(), IntroductionError> {
    if !whole.starts_with(SIGNATURE) {
        return Ok(());
    }
    // Two addresses and two ports, or two paths.
    let addresses = match whole.get(FIXED_BYTES - 3).map(|family| family >> 4) {
        Some(1) => 12,
        Some(2) => 36,
        Some(3) => 216,
        _ => return Ok(()),
    };
    let mut place = FIXED_BYTES + addresses;
    while place < whole.len() {
        let Some([kind, high, low]) = whole.get(place..place + VALUE_HEAD) else {
            return Err(IntroductionError::Malformed);
        };
        let start = place + VALUE_HEAD;
        place = start + usize::from(u16::from_be_bytes([*high, *low]));
        let Some(value) = whole.get(start..place) else { return Err(IntroductionError::Malformed) };
        if *kind == CHECKSUM {
            check(whole, start, value)?;
        }
    }
    Ok(())
}

/// The checksum is that of the whole with nothing in its own place.
fn check(whole: &[u8], start: usize, value: &[u8]) -> Result<(), IntroductionError> {
    let value: [u8; CHECKSUM_BYTES] = value.try_into().map_err(|_| IntroductionError::Malformed)?;
    let mut blank = whole.to_vec();
    if let Some(place) = blank.get_mut(start..start + CHECKSUM_BYTES) {
        place.fill(0);
    }
    if crc32c::crc32c(&blank) == u32::from_be_bytes(value) {
        Ok(())
    } else {
        Err(IntroductionError::WrongChecksum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Version 2 with these addresses and values.
    fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family], &length, rest].concat()
    }

    const ADDRESSES: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0x30, 0x39, 0, 80];

    fn client(input: &[u8]) -> Option<SocketAddr> {
        let all = [input, b"GET /"].concat();
        for cut in 0..input.len() {
            assert_eq!(Introduction::parse(&all[..cut]), Ok(None), "{cut} bytes of {input:?}");
        }
        let introduction = Introduction::parse(&all).unwrap().unwrap();
        assert_eq!(introduction.length, input.len());
        introduction.ends.map(|ends| ends.client)
    }

    #[test]
    fn what_is_said_is_understood() {
        let ends = |client: &str, server: &str| Ends {
            client: client.parse().unwrap(),
            server: server.parse().unwrap(),
        };
        let four = ends("192.0.2.7:12345", "10.0.0.1:80");
        assert_eq!(Introduction::line(Some(four)), b"PROXY TCP4 192.0.2.7 10.0.0.1 12345 80\r\n");
        assert_eq!(Introduction::bytes(Some(four), None), version_2(0x21, 0x11, &ADDRESSES));
        let name = [&ADDRESSES[..], b"\x02\x00\x03a.b"].concat();
        assert_eq!(Introduction::bytes(Some(four), Some("a.b")), version_2(0x21, 0x11, &name));
        let six = ends("[2001:db8::7]:12345", "[::1]:443");
        let mixed = ends("192.0.2.7:12345", "[::1]:443");
        let mapped = ends("[::ffff:192.0.2.7]:12345", "[::1]:443");
        for (said, heard) in [(four, four), (six, six), (mixed, mapped)] {
            for input in [Introduction::line(Some(said)), Introduction::bytes(Some(said), Some("a.b"))] {
                let introduction = Introduction::parse(&input).unwrap().unwrap();
                assert_eq!((introduction.ends, introduction.length), (Some(heard), input.len()), "{input:?}");
            }
        }
        assert_eq!(client(&Introduction::line(None)), None);
        assert_eq!(client(&Introduction::bytes(None, None)), None);
    }

    #[test]
    fn both_versions_name_the_client() {
        let four = "192.0.2.7:12345".parse().ok();
        let six = "[2001:db8::7]:12345".parse().ok();
        assert_eq!(client(b"PROXY TCP4 192.0.2.7 10.0.0.1 12345 80\r\n"), four);
        assert_eq!(client(b"PROXY TCP6 2001:db8::7 ::1 12345 80\r\n"), six);
        assert_eq!(client(&version_2(0x21, 0x11, &ADDRESSES)), four);
        let mut long = [0; 36];
        long[..16].copy_from_slice(&"2001:db8::7".parse::<std::net::Ipv6Addr>().unwrap().octets());
        long[32..34].copy_from_slice(&12345_u16.to_be_bytes());
        assert_eq!(client(&version_2(0x21, 0x21, &long)), six);
    }

    #[test]
    fn a_proxy_may_speak_for_itself_or_not_know() {
        assert_eq!(client(b"PROXY UNKNOWN\r\n"), None);
        assert_eq!(client(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"), None);
        assert_eq!(client(&version_2(0x20, 0, &[])), None);
        assert_eq!(client(&version_2(0x20, 0x11, &ADDRESSES)), None, "a check of its own");
        assert_eq!(client(&version_2(0x21, 0x12, &ADDRESSES)), None, "datagrams do not come by connections");
        assert_eq!(client(&version_2(0x21, 0x31, &[0; 216])), None, "a path");
    }

    #[test]
    fn further_values_are_read_over_and_checksums_count() {
        let value = |kind: u8, value: &[u8]| {
            [&[kind][..], &u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
        };
        let with = |values: &[Vec<u8>]| version_2(0x21, 0x11, &[&ADDRESSES[..], &values.concat()].concat());
        assert!(client(&with(&[value(2, b"shop.example.com"), value(0xea, &[1, 2])])).is_some());
        let mut whole = with(&[value(5, b"id"), value(CHECKSUM, &[0; 4])]);
        let sum = crc32c::crc32c(&whole).to_be_bytes();
        let place = whole.len() - 4;
        whole[place..].copy_from_slice(&sum);
        assert!(client(&whole).is_some());
        whole[place] ^= 1;
        assert_eq!(Introduction::parse(&whole), Err(IntroductionError::WrongChecksum));
        for broken in [value(CHECKSUM, &[0; 3]), vec![5], vec![5, 0, 9, 1]] {
            assert_eq!(Introduction::parse(&with(&[broken])), Err(IntroductionError::Malformed));
        }
    }

    #[test]
    fn what_is_none_is_told_apart_from_what_is_broken() {
        for other in [&b"GET / HTTP/1.1\r\n"[..], b"\x16\x03\x01", b"PROXZ", b"\r\n\r\nGET", b"proxy tcp4"] {
            assert_eq!(Introduction::parse(other), Err(IntroductionError::Missing), "{other:?}");
        }
        for broken in [
            &b"PROXY TCP4 192.0.2.7 10.0.0.1 12345\r\n"[..],
            b"PROXY TCP4 192.0.2.7 10.0.0.1 12345 80 \r\n",
            b"PROXY TCP4 2001:db8::7 ::1 12345 80\r\n",
            b"PROXY TCP4 192.0.2.700 10.0.0.1 12345 80\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 123456 80\r\n",
            b"PROXY TCP5 192.0.2.7 10.0.0.1 12345 80\r\n",
            b"PROXY \r\n",
            &[TEXT, &[b'a'; 200]].concat(),
            &version_2(0x31, 0x11, &ADDRESSES),
            &version_2(0x22, 0x11, &ADDRESSES),
            &version_2(0x21, 0x41, &ADDRESSES),
            &version_2(0x21, 0x11, &ADDRESSES[..11]),
        ] {
            assert_eq!(Introduction::parse(broken), Err(IntroductionError::Malformed), "{broken:?}");
        }
        let long = version_2(0x21, 0x11, &[0; LONGEST_INTRODUCTION]);
        assert_eq!(Introduction::parse(&long), Err(IntroductionError::TooLong));
    }
}
