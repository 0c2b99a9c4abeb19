//! HTTP messages as a play sees them, read strictly and independently of Aya's codec.

use std::fmt::Write as _;

use crate::fault::WireError;

/// Field lines, in the order and spelling they came in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(pub Vec<(String, String)>);

impl Fields {
    /// The first value of a name, in any case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// All values of a name, in any case.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = self.0.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// Whether a list-valued field names this token, in any case.
    pub fn lists(&self, name: &str, token: &str) -> bool {
        self.all(name)
            .into_iter()
            .flat_map(|value| value.split(','))
            .any(|item| item.trim().eq_ignore_ascii_case(token))
    }

    /// Reads field lines, each without its line end.
    pub(crate) fn parse<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Self, WireError> {
        let mut fields = Vec::new();
        for line in lines {
            let (name, value) =
                line.split_once(':').ok_or_else(|| malformed("a field without colon", line))?;
            let token =
                |character: char| character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(character);
            if name.is_empty() || !name.chars().all(token) {
                return Err(malformed("a bad field name", line));
            }
            if value.contains(|character: char| character.is_ascii_control() && character != '\t') {
                return Err(malformed("a control character in a field", line));
            }
            fields.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
        }
        Ok(Self(fields))
    }

    /// The body length, when there is exactly one well-formed `Content-Length`.
    ///
    /// # Errors
    /// If there are several, or it is no number.
    pub fn content_length(&self) -> Result<Option<usize>, WireError> {
        let values = self.all("content-length");
        match values.as_slice() {
            [] => Ok(None),
            [one] => one.parse().map(Some).map_err(|_| malformed("a bad content-length", one)),
            _ => Err(malformed("more than one content-length", &format!("{values:?}"))),
        }
    }
}

/// A request as a backend got it.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The head, byte for byte, with its empty line.
    pub raw_head: Vec<u8>,
    /// As received.
    pub method: String,
    /// As received.
    pub target: String,
    /// For instance `HTTP/1.1`.
    pub version: String,
    /// The field lines of the head.
    pub fields: Fields,
    /// The body, without its framing.
    pub body: Vec<u8>,
    /// The trailer section.
    pub trailers: Fields,
    /// On which connection of the backend it came, from 0.
    pub connection: usize,
}

impl Request {
    /// Reads a head that ends with its empty line.
    ///
    /// # Errors
    /// If it is not valid.
    pub fn parse(head: &[u8]) -> Result<Self, WireError> {
        let text = latin1(head);
        let mut lines = text.trim_end_matches("\r\n").split("\r\n");
        let start = lines.next().unwrap_or_default();
        let parts: Vec<_> = start.split(' ').collect();
        let [method, target, version] = parts.as_slice() else {
            return Err(malformed("a bad request line", start));
        };
        Ok(Self {
            raw_head: head.to_vec(),
            method: (*method).to_owned(),
            target: (*target).to_owned(),
            version: (*version).to_owned(),
            fields: Fields::parse(lines)?,
            ..Self::default()
        })
    }

    /// The first value of a field, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.fields.get(name)
    }

    /// All values of a field.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        self.fields.all(name)
    }
}

/// A response as a client got it.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// The head, byte for byte, with its empty line.
    pub raw_head: Vec<u8>,
    /// For instance `HTTP/1.1`.
    pub version: String,
    /// For instance 200.
    pub status: u16,
    /// The field lines of the head.
    pub fields: Fields,
    /// The body, without its framing.
    pub body: Vec<u8>,
    /// The trailer section.
    pub trailers: Fields,
}

impl Response {
    /// Reads a head that ends with its empty line.
    ///
    /// # Errors
    /// If it is not valid.
    pub fn parse(head: &[u8]) -> Result<Self, WireError> {
        let text = latin1(head);
        let mut lines = text.trim_end_matches("\r\n").split("\r\n");
        let start = lines.next().unwrap_or_default();
        let bad = || malformed("a bad status line", start);
        let (version, rest) = start.split_once(' ').ok_or_else(bad)?;
        let (status, _reason) = rest.split_once(' ').ok_or_else(bad)?;
        if !matches!(version, "HTTP/1.1" | "HTTP/1.0") || status.len() != 3 {
            return Err(bad());
        }
        Ok(Self {
            raw_head: head.to_vec(),
            version: version.to_owned(),
            status: status.parse().map_err(|_| bad())?,
            fields: Fields::parse(lines)?,
            ..Self::default()
        })
    }

    /// The first value of a field, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.fields.get(name)
    }

    /// All values of a field.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        self.fields.all(name)
    }

    /// The word in `x-aya-reason`; empty when there is none.
    pub fn reason(&self) -> &str {
        self.header("x-aya-reason").unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}) in a {}: {}", self.status, self.text()))
    }

    /// Whether the connection stays open after it, by what it says.
    pub fn keeps_alive(&self) -> bool {
        if self.version == "HTTP/1.0" {
            self.fields.lists("connection", "keep-alive")
        } else {
            !self.fields.lists("connection", "close")
        }
    }
}

/// The bytes of a response with a `Content-Length`. `fields` are whole lines without line end.
pub fn answer(status: u16, fields: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut head = format!("HTTP/1.1 {status} Play\r\ncontent-length: {}\r\n", body.len());
    for line in fields {
        let _ = write!(head, "{line}\r\n");
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// A checksum of a body (FNV-1a, 64 bits), as the echo backend reports it.
pub fn checksum(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    format!("{hash:016x}")
}

pub(crate) fn malformed(what: &str, shown: &str) -> WireError {
    WireError::Malformed(format!("{what}: {shown:?}"))
}

/// Field values are bytes; one character each keeps them apart without loss.
pub(crate) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_strictly() {
        let response = Response::parse(b"HTTP/1.1 200 OK\r\nA: b\r\na:c \r\n\r\n").expect("it is valid");
        assert_eq!((response.status, response.headers("a")), (200, vec!["b", "c"]));
        for bad in ["HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 200\r\n\r\n", "HTTP/1.1 200 OK\r\nx y: z\r\n\r\n"] {
            Response::parse(bad.as_bytes()).expect_err(bad);
        }
        Request::parse(b"GET  / HTTP/1.1\r\n\r\n").expect_err("two spaces");
    }

    #[test]
    fn two_lengths_are_refused() {
        let fields =
            Fields::parse(["content-length: 1", "Content-Length: 1"].into_iter()).expect("valid lines");
        fields.content_length().expect_err("two of them");
    }
}
