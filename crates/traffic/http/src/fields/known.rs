//! The fields that the codec and the engine look at, recognised once, when a head is parsed.

/// Makes the enum and its names from one list, so that they cannot disagree.
macro_rules! known_fields {
    ($($variant:ident = $name:literal,)+) => {
        /// A field that is recognised while parsing, so that asking for it costs a bit test.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[expect(missing_docs, reason = "each variant is the field of its name")]
        pub enum KnownField { $($variant,)+ }

        impl KnownField {
            /// All of them, in the order of their discriminants.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            const NAMES: &'static [&'static str] = &[$($name,)+];

            /// What a line begins with: the name, a colon and a blank.
            const PREFIXES: &'static [&'static str] = &[$(concat!($name, ": "),)+];
        }
    };
}

known_fields! {
    Host = "host",
    ContentLength = "content-length",
    TransferEncoding = "transfer-encoding",
    Connection = "connection",
    KeepAlive = "keep-alive",
    ProxyConnection = "proxy-connection",
    Te = "te",
    Trailer = "trailer",
    Upgrade = "upgrade",
    Expect = "expect",
    Http2Settings = "http2-settings",
    ProxyAuthorization = "proxy-authorization",
    ProxyAuthenticate = "proxy-authenticate",
    ProxyAuthenticationInfo = "proxy-authentication-info",
    Forwarded = "forwarded",
    XForwardedFor = "x-forwarded-for",
    XForwardedProto = "x-forwarded-proto",
    XForwardedHost = "x-forwarded-host",
    XForwardedPort = "x-forwarded-port",
    XRealIp = "x-real-ip",
    Via = "via",
    Date = "date",
    Server = "server",
    Traceparent = "traceparent",
    Tracestate = "tracestate",
    XRequestId = "x-request-id",
    Authorization = "authorization",
    WwwAuthenticate = "www-authenticate",
    Cookie = "cookie",
    SetCookie = "set-cookie",
    UserAgent = "user-agent",
    Accept = "accept",
    AcceptEncoding = "accept-encoding",
    AcceptLanguage = "accept-language",
    AcceptRanges = "accept-ranges",
    ContentType = "content-type",
    ContentEncoding = "content-encoding",
    ContentRange = "content-range",
    CacheControl = "cache-control",
    Location = "location",
    Referer = "referer",
    Origin = "origin",
    Range = "range",
    Etag = "etag",
    LastModified = "last-modified",
    IfMatch = "if-match",
    IfNoneMatch = "if-none-match",
    IfModifiedSince = "if-modified-since",
    IfUnmodifiedSince = "if-unmodified-since",
    IfRange = "if-range",
    Expires = "expires",
    Age = "age",
    Vary = "vary",
    RetryAfter = "retry-after",
    MaxForwards = "max-forwards",
    Allow = "allow",
}

// A set of them is a u64.
const _: () = assert!(KnownField::ALL.len() <= 64);

/// Found by search: sends every known name to a place of its own ([`table`] asserts it).
const MULTIPLIER: u32 = 0xa308_431d;
const TABLE_BITS: u32 = 8;
static TABLE: [Option<KnownField>; 1 << TABLE_BITS] = table();

/// The place of a name, from its length and three of its letters.
const fn place(length: usize, first: u8, fourth_last: u8, last: u8) -> usize {
    let key = u32::from_le_bytes([length as u8, first | 0x20, last | 0x20, fourth_last | 0x20]);
    (key.wrapping_mul(MULTIPLIER) >> (u32::BITS - TABLE_BITS)) as usize
}

#[expect(clippy::indexing_slicing, reason = "evaluated while compiling; names are not empty")]
const fn table() -> [Option<KnownField>; 1 << TABLE_BITS] {
    let mut table = [None; 1 << TABLE_BITS];
    let mut index = 0;
    while index < KnownField::ALL.len() {
        let name = KnownField::ALL[index].name().as_bytes();
        let place = place(name.len(), name[0], name[name.len().saturating_sub(4)], name[name.len() - 1]);
        assert!(table[place].is_none(), "two known fields share a place: search another MULTIPLIER");
        table[place] = Some(KnownField::ALL[index]);
        index += 1;
    }
    table
}

impl KnownField {
    /// Its name in lower case.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "the names are made from the same list as the variants")]
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// What a line of this field begins with.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "the prefixes are made from the same list as the variants")]
    pub(crate) const fn prefix(self) -> &'static str {
        Self::PREFIXES[self as usize]
    }

    /// Which known field this name means, in whatever case. What is known is a valid name.
    #[inline]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        let (&first, &last) = (name.first()?, name.last()?);
        let fourth_last = *name.get(name.len().saturating_sub(4))?;
        let known = (*TABLE.get(place(name.len(), first, fourth_last, last))?)?;
        is_same_name(name, known.name().as_bytes()).then_some(known)
    }

    /// Its bit in a set of known fields.
    #[inline]
    pub(crate) const fn bit(self) -> u64 {
        1 << self as u8
    }
}

/// Whether a name is `known`, which is in lower case, whatever the case of its letters. Several bytes are compared at a
/// time, and the last of them may overlap with others.
#[inline]
fn is_same_name(name: &[u8], known: &[u8]) -> bool {
    if name.len() != known.len() {
        return false;
    }
    if let (Some(first), Some(last), Some(known_first), Some(known_last)) =
        (name.first_chunk(), name.last_chunk(), known.first_chunk(), known.last_chunk())
    {
        return !differ(first, known_first)
            && !differ(last, known_last)
            && (name.len() <= 16
                || name.as_chunks().0.iter().zip(known.as_chunks().0).all(|(chunk, known)| !differ(chunk, known)));
    }
    if let (Some(first), Some(last), Some(known_first), Some(known_last)) =
        (name.first_chunk(), name.last_chunk(), known.first_chunk(), known.last_chunk())
    {
        return !differ(&both(first, last), &both(known_first, known_last));
    }
    name.iter().zip(known).all(|(name, known)| name.eq_ignore_ascii_case(known))
}

#[inline]
fn both(first: &[u8; 4], last: &[u8; 4]) -> [u8; 8] {
    (u64::from(u32::from_ne_bytes(*first)) << 32 | u64::from(u32::from_ne_bytes(*last))).to_ne_bytes()
}

/// Whether these are different, when the case of letters does not count. Of the bytes in names that are known, those
/// with the bit 0x40 are letters; they alone may lack the bit 0x20.
#[inline]
fn differ(name: &[u8; 8], known: &[u8; 8]) -> bool {
    const LETTER: u64 = 0x4040_4040_4040_4040;
    let known = u64::from_ne_bytes(*known);
    (u64::from_ne_bytes(*name) ^ known) & !((known & LETTER) >> 1) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_finds_its_field_in_any_case() {
        for &known in KnownField::ALL {
            assert_eq!(KnownField::from_name(known.name().as_bytes()), Some(known));
            assert_eq!(KnownField::from_name(known.name().to_uppercase().as_bytes()), Some(known));
            assert_eq!(known.name(), known.name().to_lowercase());
        }
    }

    #[test]
    fn other_names_find_nothing() {
        for name in [
            "",
            "h",
            "hosts",
            "xost",
            "x-tier",
            "content_length",
            "hos\u{0}",
            "content\rlength",
            "te\0",
            "hos\u{14}",
            "http\u{12}-settings",
            "x-real\rip",
            "conteNt-lengtx",
            "xontent-length",
            "contentXlength",
            "contentxlength",
            "\u{e9}",
        ] {
            assert_eq!(KnownField::from_name(name.as_bytes()), None, "{name}");
        }
        assert_eq!(KnownField::from_name(&[b'a'; 1000]), None);
    }
}
