//! Finding where a part of a head ends, eight bytes at a time.
//!
//! Each search stops at control characters too, so whoever looks at the byte it stopped at sees all that is not plain.

/// 1 in each byte.
const EACH: u64 = u64::from_ne_bytes([1; 8]);
/// The highest bit of each byte.
const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);

/// Where a field name ends: the first colon, blank or control character at or after `from`; else the end.
#[inline]
pub(crate) fn name_end(bytes: &[u8], from: usize) -> usize {
    find(bytes, from, |word| (below(word, b' ' + 1) | equal(word, b':')) & !word & HIGH)
}

/// Where plain text of a field value ends: the first control character (a tab is one) at or after `from`; else the end.
#[inline]
pub(crate) fn text_end(bytes: &[u8], from: usize) -> usize {
    find(bytes, from, |word| (below(word, b' ') | equal(word, 0x7f)) & !word & HIGH)
}

/// Where a request target ends: the first byte at or after `from` that it must not have (a blank, a control character,
/// `#`, what is not ASCII); else the end.
#[inline]
pub(crate) fn target_end(bytes: &[u8], from: usize) -> usize {
    find(bytes, from, |word| (below(word, b' ' + 1) | equal(word, 0x7f) | equal(word, b'#') | word) & HIGH)
}

/// The first byte at or after `from` that `stops` marks by its highest bit; of those marked, only the lowest counts.
/// Bytes of 0 must be marked.
#[inline(always)]
fn find(bytes: &[u8], from: usize, stops: impl Fn(u64) -> u64) -> usize {
    let place = |stopped: u64| (stopped.trailing_zeros() / 8) as usize;
    let Some(mut rest) = bytes.get(from..) else { return bytes.len() };
    while let Some((word, after)) = rest.split_first_chunk() {
        let stopped = stops(u64::from_le_bytes(*word));
        if stopped != 0 {
            return bytes.len() - rest.len() + place(stopped);
        }
        rest = after;
    }
    if rest.is_empty() { bytes.len() } else { bytes.len() - rest.len() + place(stops(last_word(bytes, rest))) }
}

/// The rest of these bytes, which is shorter than a word, and zeros.
#[inline]
fn last_word(bytes: &[u8], rest: &[u8]) -> u64 {
    match bytes.last_chunk() {
        Some(last) => u64::from_le_bytes(*last) >> (u64::BITS as usize - 8 * rest.len()),
        None => rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)),
    }
}

/// Of the ASCII bytes, marks those below `bound` by the highest bit. Bytes that are not ASCII may be marked or not, and so
/// may bytes above a marked one.
#[inline(always)]
const fn below(word: u64, bound: u8) -> u64 {
    word.wrapping_sub(EACH * bound as u64)
}

/// Of the ASCII bytes, marks those that equal this one, with the same exceptions.
#[inline(always)]
const fn equal(word: u64, byte: u8) -> u64 {
    (word ^ (EACH * byte as u64)).wrapping_sub(EACH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_search_stops_at_the_first_byte_of_its_set_wherever_that_is() {
        type Search = fn(&[u8], usize) -> usize;
        type Set = fn(u8) -> bool;
        let searches: [(Search, Set); 3] = [
            (name_end, |byte| byte <= b' ' || byte == b':'),
            (text_end, |byte| byte < b' ' || byte == 0x7f),
            (target_end, |byte| byte <= b' ' || byte >= 0x7f || byte == b'#'),
        ];
        for (search, is_stop) in searches {
            for length in 0..20 {
                assert_eq!(search(&vec![b'a'; length], 0), length);
                for (place, byte) in (0..length).flat_map(|place| (0..=255).map(move |byte| (place, byte))) {
                    let mut bytes = vec![b'a'; length];
                    bytes[place] = byte;
                    // Another stop behind it must not matter.
                    bytes.push(b'\r');
                    let expected = if is_stop(byte) { place } else { length };
                    assert_eq!(search(&bytes, 0), expected, "{byte} at {place} of {length}");
                    assert_eq!(search(&bytes, place), expected, "{byte} at {place} of {length}");
                    assert_eq!(search(&bytes, place + 1), length, "{byte} at {place} of {length}");
                }
            }
        }
    }
}
