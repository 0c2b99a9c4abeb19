//! Connection ids in packets of QUIC, as far as all of its versions agree (RFC 8999).

/// What says that a packet has a long header.
const LONG: u8 = 0x80;
/// The first byte, and the version.
const BEFORE_IDS: usize = 5;
/// The longest id of the versions there are (RFC 9000 §17.2).
const LONGEST: usize = 20;
/// Shorter ones are too often alike by chance.
const SHORTEST: usize = 4;

/// The id that the sender of a datagram has chosen for itself, if it says so.
pub(super) fn chosen(datagram: &[u8]) -> Option<&[u8]> {
    let (_, source) = long(datagram)?;
    (SHORTEST..=LONGEST).contains(&source.len()).then_some(source)
}

/// What may be the id of whom a datagram is for. Packets with a short header do not say how long it is, so that each length may be meant; the longest
/// comes first.
pub(super) fn asked(datagram: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (ids, lengths) = match long(datagram) {
        Some((destination, _)) => (destination, destination.len()..=destination.len()),
        None if is_long(datagram) => (&[][..], 0..=0),
        None => (datagram.get(1..).unwrap_or_default(), SHORTEST..=LONGEST),
    };
    lengths.rev().filter_map(move |length| ids.get(..length)).filter(|id| id.len() >= SHORTEST)
}

/// The ids of whom it is for and of whom it is from, if it has a long header.
fn long(datagram: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = datagram.get(BEFORE_IDS..).filter(|_| is_long(datagram))?;
    let (destination, rest) = take(rest)?;
    let (source, _) = take(rest)?;
    Some((destination, source))
}

fn is_long(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| first & LONG != 0)
}

/// A length, and as many bytes.
fn take(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INITIAL: &[u8] = b"\xc3\0\0\0\x01\x08clientid\x05serve rest";

    #[test]
    fn ids_stand_where_all_versions_have_them() {
        assert_eq!(chosen(INITIAL), Some(&b"serve"[..]));
        assert_eq!(asked(INITIAL).collect::<Vec<_>>(), [b"clientid"]);
        assert_eq!(chosen(b"\xc3\0\0\0\x01\0\0"), None, "none is too short");
        assert_eq!(chosen(b"\x43serve rest"), None, "a short header names nobody but whom it is for");
    }

    #[test]
    fn a_short_header_may_mean_each_length() {
        let ids: Vec<_> = asked(b"\x43abcdefgh").collect();
        assert_eq!(ids, [&b"abcdefgh"[..], b"abcdefg", b"abcdef", b"abcde", b"abcd"]);
        assert_eq!(
            asked(&[0x40; 100]).map(<[u8]>::len).collect::<Vec<_>>(),
            (4..=20).rev().collect::<Vec<_>>()
        );
    }

    #[test]
    fn what_is_cut_off_names_nobody() {
        for end in 0..=18 {
            let part = INITIAL.get(..end).unwrap_or_default();
            assert_eq!((chosen(part), asked(part).count()), (None, 0), "{end} bytes");
        }
    }
}
