//! Finding where a part of a head ends, eight bytes at a time.
//!
//! Each search stops at control characters too, so whoever looks at the byte it stopped at sees all that is not plain.

/// 1 in each byte.
const EACH: u64 = u64::from_ne_bytes([1; 8]);
/// The highest bit of each byte.
const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);

/// How long the field name is that `rest` begins with: up to the first colon, blank, control character or byte that is not
/// ASCII; else all of it. `rest` is the end of `bytes`.
#[inline]
pub(crate) fn name_length(bytes: &[u8], rest: &[u8]) -> usize {
    find(bytes, rest, |word| (below(word, b' ' + 1) | equal(word, b':') | word) & HIGH)
}

/// How long the plain text is that `rest` begins with: up to the first control character (a tab is one) or byte that is
/// not ASCII; else all of it. `rest` is the end of `bytes`.
#[inline]
pub(crate) fn text_length(bytes: &[u8], rest: &[u8]) -> usize {
    find(bytes, rest, not_text)
}

/// How long the request target is that `rest` begins with: up to the first byte that it must not have (a blank, a control
/// character, `#`, what is not ASCII); else all of it. `rest` is the end of `bytes`.
#[inline]
pub(crate) fn target_length(bytes: &[u8], rest: &[u8]) -> usize {
    find(bytes, rest, |word| not_text(word) | (below(word, b' ' + 1) | equal(word, b'#')) & HIGH)
}

/// Whether this is plain text: neither control characters nor what is not ASCII.
#[inline]
pub(crate) fn is_text(bytes: &[u8]) -> bool {
    let is_text = |word: &[u8; 8]| not_text(u64::from_le_bytes(*word)) == 0;
    if let Some(last) = bytes.last_chunk() {
        // The last word may overlap with the one before it.
        return is_text(last) && bytes.as_chunks().0.iter().all(is_text);
    }
    if let (Some(&[a, b, c, d]), Some(&[e, f, g, h])) = (bytes.first_chunk(), bytes.last_chunk()) {
        return is_text(&[a, b, c, d, e, f, g, h]);
    }
    bytes.iter().all(|byte| (b' '..0x7f).contains(byte))
}

/// Marks control characters and what is not ASCII.
#[inline(always)]
const fn not_text(word: u64) -> u64 {
    // 0x7f is the ASCII byte that a 1 makes 0x80.
    (below(word, b' ') | word.wrapping_add(EACH) | word) & HIGH
}

/// The first byte of `rest` that `stops` marks by its highest bit; of those marked in a word, only the lowest counts.
/// Bytes of 0 must be marked.
#[inline(always)]
fn find(bytes: &[u8], rest: &[u8], stops: impl Fn(u64) -> u64) -> usize {
    let place = |stopped: u64| (stopped.trailing_zeros() / 8) as usize;
    let mut left = rest;
    while let Some((word, after)) = left.split_first_chunk() {
        let stopped = stops(u64::from_le_bytes(*word));
        if stopped != 0 {
            return rest.len() - left.len() + place(stopped);
        }
        left = after;
    }
    if left.is_empty() { rest.len() } else { rest.len() - left.len() + place(stops(last_word(bytes, left))) }
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
        type Search = fn(&[u8], &[u8]) -> usize;
        type Set = fn(u8) -> bool;
        let searches: [(Search, Set); 3] = [
            (name_length, |byte| byte <= b' ' || byte == b':' || byte >= 0x80),
            (text_length, |byte| !(b' '..0x7f).contains(&byte)),
            (target_length, |byte| byte <= b' ' || byte >= 0x7f || byte == b'#'),
        ];
        for (search, is_stop) in searches {
            for length in 0..20 {
                let plain = vec![b'a'; length];
                assert_eq!(search(&plain, &plain), length);
                for (place, byte) in (0..length).flat_map(|place| (0..=255).map(move |byte| (place, byte))) {
                    let mut bytes = vec![b'a'; length];
                    bytes[place] = byte;
                    assert_eq!(
                        is_text(&bytes),
                        (b' '..0x7f).contains(&byte),
                        "{byte} at {place} of {length}"
                    );
                    // Another stop behind it must not matter.
                    bytes.push(b'\r');
                    let expected = if is_stop(byte) { place } else { length };
                    assert_eq!(search(&bytes, &bytes), expected, "{byte} at {place} of {length}");
                    assert_eq!(
                        search(&bytes, &bytes[place..]),
                        expected - place,
                        "{byte} at {place} of {length}"
                    );
                    assert_eq!(
                        search(&bytes, &bytes[place + 1..]),
                        length - place - 1,
                        "{byte} at {place} of {length}"
                    );
                }
            }
        }
    }
}
