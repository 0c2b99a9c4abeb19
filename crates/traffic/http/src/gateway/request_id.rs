//! The request id: taken over from whoever is trusted, or made.

use base_kit::Rng;

use crate::fields::Fields;

/// Digits of an id that is made: 128 random bits in hexadecimal.
pub const FRESH_LENGTH: usize = 32;
/// Longest id that is taken over: room for the ids of the large load balancers and for a path of two UUIDs.
pub const MAX_LENGTH: usize = 128;

/// The id of a request. One that is made needs no heap allocation.
#[derive(Clone, Debug)]
pub struct RequestId(Text);

#[derive(Clone, Debug)]
enum Text {
    Fresh([u8; FRESH_LENGTH]),
    Sent(Box<[u8]>),
}

impl RequestId {
    /// A fresh id.
    pub fn fresh(rng: &mut dyn Rng) -> Self {
        Self(Text::Fresh(fresh(rng)))
    }

    /// The id that somebody sent, if it is acceptable: see [`is_acceptable`].
    pub fn accept(id: &[u8]) -> Option<Self> {
        is_acceptable(id).then(|| Self(Text::Sent(id.into())))
    }

    /// The id of a request: that in the field `header` if it `is_trusted` and acceptable, else a fresh one. The field
    /// then has that value.
    pub fn ensure(fields: &mut Fields, header: &str, is_trusted: bool, rng: &mut dyn Rng) -> Self {
        if let Some(id) = is_trusted.then(|| Self::sent(fields, header)).flatten() {
            return id;
        }
        let id = Self::fresh(rng);
        id.put(fields, header);
        id
    }

    /// Sets the field `header` to this id; unlike [`Fields::set`] it need not look at the value.
    #[inline]
    pub fn put(&self, fields: &mut Fields, header: &str) {
        fields.compose(header).push_own(self.as_bytes()).replace();
    }

    /// The id in the field `header`, if there is one such line and it is acceptable.
    fn sent(fields: &Fields, header: &str) -> Option<Self> {
        let mut sent = fields.find_all(header);
        match (sent.next(), sent.next()) {
            (Some(id), None) => Self::accept(id),
            _ => None,
        }
    }

    /// The id.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Text::Fresh(bytes) => bytes,
            Text::Sent(bytes) => bytes,
        }
    }

    /// The id. Looks at all of it; where bytes do, take [`RequestId::as_bytes`].
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl PartialEq for RequestId {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for RequestId {}

/// Whether an id may be taken over: 1 to [`MAX_LENGTH`] letters, digits and `-_.:/=+@`. Such a value needs no escaping
/// in logs, in JSON or in a URL path.
pub fn is_acceptable(id: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/=+@".contains(byte);
    (1..=MAX_LENGTH).contains(&id.len()) && id.iter().all(is_plain)
}

/// 32 random hexadecimal digits.
pub fn fresh(rng: &mut dyn Rng) -> [u8; FRESH_LENGTH] {
    let mut digits = [0; FRESH_LENGTH];
    for half in digits.as_chunks_mut().0 {
        *half = hex(rng.next_u64());
    }
    digits
}

/// The 16 digits of a number.
pub(crate) fn hex(number: u64) -> [u8; 16] {
    let mut digits = [0; 16];
    for (eight, half) in digits.as_chunks_mut::<8>().0.iter_mut().zip([number >> 32, number & 0xffff_ffff]) {
        *eight = hex_of_half(half).to_be_bytes();
    }
    digits
}

/// The eight digits of the lower 32 bits, the first in the highest byte: all eight at a time, because several ids are
/// made for every request.
const fn hex_of_half(half: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    // Each nibble to a byte of its own.
    let pairs = (half | (half << 16)) & 0x0000_ffff_0000_ffff;
    let bytes = (pairs | (pairs << 8)) & 0x00ff_00ff_00ff_00ff;
    let nibbles = (bytes | (bytes << 4)) & 0x0f0f_0f0f_0f0f_0f0f;
    // 1 in the bytes from 10 up: `a` is as far from `0` + 10 as 39.
    let letters = ((nibbles + 6 * EACH) >> 4) & EACH;
    nibbles + b'0' as u64 * EACH + letters * 39
}

#[cfg(test)]
mod tests {
    use base_kit::SeededRng;

    use super::*;

    #[test]
    fn fresh_ids_are_32_digits_and_differ() {
        let mut rng = SeededRng::new(1);
        let (first, second) = (fresh(&mut rng), fresh(&mut rng));
        assert_ne!(first, second);
        assert!(first.iter().all(|digit| b"0123456789abcdef".contains(digit)));
        assert_eq!(&hex(0x0123_4567_89ab_cdef), b"0123456789abcdef");
        assert_eq!(&hex(0xfedc_ba98_7654_3210), b"fedcba9876543210");
        assert_eq!((hex(0), hex(u64::MAX)), ([b'0'; 16], [b'f'; 16]));
    }

    #[test]
    fn only_plain_ids_of_bounded_length_are_acceptable() {
        for id in ["a", "0f8fad5b-d9cb-469f-a165-70867728950e", "Root=1-67891233-abcdef012345678912345678"] {
            assert!(is_acceptable(id.as_bytes()), "{id}");
        }
        for id in ["", "a b", "a\"b", "a\nb", "a<b", "\u{e9}", "a,b"] {
            assert!(!is_acceptable(id.as_bytes()), "{id:?}");
        }
        assert!(is_acceptable(&[b'a'; MAX_LENGTH]));
        assert!(!is_acceptable(&[b'a'; MAX_LENGTH + 1]));
    }

    #[test]
    fn a_sent_id_is_kept_only_when_trusted_single_and_acceptable() {
        let mut rng = SeededRng::new(2);
        let mut kept = |values: &[&[u8]], is_trusted: bool| {
            let mut fields = Fields::new();
            for value in values {
                fields.append("x-request-id", value);
            }
            let id = RequestId::ensure(&mut fields, "X-Request-Id", is_trusted, &mut rng);
            assert_eq!(fields.find_all("x-request-id").collect::<Vec<_>>(), [id.as_bytes()]);
            id.as_str() == "given-1"
        };
        assert!(kept(&[b"given-1"], true));
        assert!(!kept(&[b"given-1"], false));
        assert!(!kept(&[b"given-1", b"given-1"], true));
        assert!(!kept(&[b"given 1"], true));
        assert!(!kept(&[], true));
    }
}
