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

            /// The bytes of the longest name.
            pub(crate) const LONGEST_NAME: usize = longest(Self::NAMES);

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
    ClientCert = "client-cert",
    ClientCertChain = "client-cert-chain",
}

// A set of them is a u64.
const _: () = assert!(KnownField::ALL.len() <= 64);

/// Found by search: sends every known name to a place of its own ([`table`] asserts it).
const MULTIPLIER: u64 = 0x4c0e_29ce_80d6_b813;
const TABLE_BITS: u32 = 8;
static TABLE: [Option<Entry>; 1 << TABLE_BITS] = table();

/// A known name in lower case.
#[derive(Clone, Copy)]
struct Entry {
    ends: Ends,
    length: u8,
    known: KnownField,
}

/// The first and the last bytes of a name, up to eight of each; they overlap in most names, and together are all of a
/// name of up to 16 bytes.
#[derive(Clone, Copy)]
struct Ends {
    first: u64,
    last: u64,
}

/// The longest name that its [`Ends`] hold.
const MAX_IN_ENDS: usize = 16;

impl Ends {
    /// Those of a name; of an empty one, as of no other, zeros.
    #[inline]
    const fn of(name: &[u8]) -> Self {
        if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
            return Self { first: u64::from_le_bytes(*first), last: u64::from_le_bytes(*last) };
        }
        if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
            let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
            return Self { first: first as u64, last: last as u64 };
        }
        match *name {
            [only] => Self { first: only as u64, last: 0 },
            [first, last] => Self { first: first as u64, last: last as u64 },
            [first, second, last] => Self { first: first as u64 | (second as u64) << 8, last: last as u64 },
            _ => Self { first: 0, last: 0 },
        }
    }

    /// The place of the name in the table, the same for letters of either case.
    #[inline]
    const fn place(self, length: usize) -> usize {
        const LOWER: u64 = u64::from_ne_bytes([0x20; 8]);
        let key = ((self.first | LOWER) ^ (self.last | LOWER).rotate_left(5)).wrapping_add(length as u64);
        (key.wrapping_mul(MULTIPLIER) >> (u64::BITS - TABLE_BITS)) as usize
    }
}

#[expect(clippy::indexing_slicing, reason = "evaluated while compiling")]
const fn longest(names: &[&str]) -> usize {
    let mut longest = 0;
    let mut index = 0;
    while index < names.len() {
        if names[index].len() > longest {
            longest = names[index].len();
        }
        index += 1;
    }
    longest
}

#[expect(clippy::indexing_slicing, reason = "evaluated while compiling")]
const fn table() -> [Option<Entry>; 1 << TABLE_BITS] {
    let mut table = [None; 1 << TABLE_BITS];
    let mut index = 0;
    while index < KnownField::ALL.len() {
        let known = KnownField::ALL[index];
        let name = known.name().as_bytes();
        assert!(name.len() <= u8::MAX as usize);
        let ends = Ends::of(name);
        let place = ends.place(name.len());
        assert!(table[place].is_none(), "two known fields share a place: search another MULTIPLIER");
        table[place] = Some(Entry { ends, length: name.len() as u8, known });
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
        Self::recognise(name)
    }

    /// [`KnownField::from_name`] for the one loop where a call would count.
    #[inline(always)]
    pub(crate) fn recognise(name: &[u8]) -> Option<Self> {
        let ends = Ends::of(name);
        let entry = TABLE.get(ends.place(name.len()))?.as_ref()?;
        let is_same = usize::from(entry.length) == name.len()
            && !differ(ends.first, entry.ends.first)
            && !differ(ends.last, entry.ends.last)
            && (name.len() <= MAX_IN_ENDS || name.eq_ignore_ascii_case(entry.known.name().as_bytes()));
        is_same.then_some(entry.known)
    }

    /// Its bit in a set of known fields.
    #[inline]
    pub(crate) const fn bit(self) -> u64 {
        1 << self as u8
    }
}

/// Whether these are different, when the case of letters does not count. Of the bytes in names that are known, those
/// with the bit 0x40 are letters; they alone may lack the bit 0x20.
#[inline]
const fn differ(name: u64, known: u64) -> bool {
    const LETTER: u64 = u64::from_ne_bytes([0x40; 8]);
    (name ^ known) & !((known & LETTER) >> 1) != 0
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
