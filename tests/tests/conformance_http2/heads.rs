//! Heads as a client encodes them (RFC 7541), in literals that leave the tables alone, so that a case can say anything.

/// A request without a body.
const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "conformance.test")];
/// Where in [`GET`] the method is.
const METHOD: usize = 0;

/// Bytes of a field that is there to be large: five of them do not fit into a frame.
const FILLER_BYTES: usize = 4000;

/// The usual request, and further fields.
pub(super) fn get(more: &[(&str, &str)]) -> Vec<u8> {
    block(&[&GET[..], more].concat())
}

/// The usual request without this field.
pub(super) fn get_without(name: &str) -> Vec<u8> {
    let left: Vec<_> = GET.iter().filter(|field| field.0 != name).copied().collect();
    block(&left)
}

/// The usual request with this field instead of the usual one.
pub(super) fn get_with(name: &str, value: &str) -> Vec<u8> {
    let fields = GET.map(|field| if field.0 == name { (name, value) } else { field });
    block(&fields)
}

/// A request with a body, and further fields.
pub(super) fn post(more: &[(&str, &str)]) -> Vec<u8> {
    let mut fields = GET.to_vec();
    fields[METHOD].1 = "POST";
    block(&[&fields[..], more].concat())
}

/// The fields as they are.
pub(super) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| literal(name, value)).collect()
}

/// So many large fields.
pub(super) fn filler(count: usize) -> Vec<u8> {
    let value = "x".repeat(FILLER_BYTES);
    (0..count).flat_map(|number| literal(&format!("x-filler-{number}"), &value)).collect()
}

/// A field without indexing, its name written out (§6.2.2).
fn literal(name: &str, value: &str) -> Vec<u8> {
    [&[0][..], &plain(name.as_bytes()), &plain(value.as_bytes())].concat()
}

/// A string as it is (§5.2).
pub(super) fn plain(bytes: &[u8]) -> Vec<u8> {
    [&integer(0, 7, bytes.len())[..], bytes].concat()
}

/// A string in Huffman's code (§5.2); `bytes` are encoded already.
pub(super) fn huffman(bytes: &[u8]) -> Vec<u8> {
    [&integer(0x80, 7, bytes.len())[..], bytes].concat()
}

/// An update of the dynamic table's size (§6.3).
pub(super) fn table_size(bytes: usize) -> Vec<u8> {
    integer(0x20, 5, bytes)
}

/// A number in the last `bits` of a byte, and further bytes where it does not fit (§5.1). `pattern` is what the byte begins with.
pub(super) fn integer(pattern: u8, bits: u32, value: usize) -> Vec<u8> {
    let most = (1 << bits) - 1;
    if value < most {
        return vec![pattern | low(value)];
    }
    let mut out = vec![pattern | low(most)];
    let mut left = value - most;
    while left >= 0x80 {
        out.push(0x80 | low(left % 0x80));
        left /= 0x80;
    }
    out.push(low(left));
    out
}

/// What is known to fit into a byte.
fn low(value: usize) -> u8 {
    u8::try_from(value).expect("it was made to fit")
}
