//! Calls of gRPC, as their media types tell them ("gRPC over HTTP2" and "gRPC-Web" in the specification of gRPC).

/// What all their media types begin with.
const GRPC: &[u8] = b"application/grpc";
/// What follows in those of gRPC-Web, and of its form in text.
const WEB: &[u8] = b"-web";
const TEXT: &[u8] = b"-text";

/// How a message of gRPC goes over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// As it is meant to, with what stands behind the body.
    Native,
    /// As browsers can: all in the body.
    Web,
    /// The same in base64.
    WebText,
}

/// A media type of gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaType<'a> {
    /// How the message goes over HTTP.
    pub dialect: Dialect,
    /// What messages are written in, with the `+` in front (`+proto`); empty if that is not said.
    pub suffix: &'a [u8],
}

impl<'a> MediaType<'a> {
    /// The media type in this value of `Content-Type`, or one of `Accept`, if it is one of gRPC. Parameters are left out.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let (mut dialect, mut rest) = (Dialect::Native, behind(value, GRPC)?);
        if let Some(web) = behind(rest, WEB) {
            (dialect, rest) = (Dialect::Web, web);
            if let Some(text) = behind(rest, TEXT) {
                (dialect, rest) = (Dialect::WebText, text);
            }
        }
        let end = rest.iter().position(|byte| *byte == b';').unwrap_or(rest.len());
        let suffix = rest.get(..end).unwrap_or_default().trim_ascii_end();
        matches!(suffix.first(), None | Some(b'+')).then_some(Self { dialect, suffix })
    }

    /// The same format in another dialect, as `Content-Type` has it.
    pub fn written_as(&self, dialect: Dialect) -> Vec<u8> {
        let (web, text): (&[u8], &[u8]) = match dialect {
            Dialect::Native => (b"", b""),
            Dialect::Web => (WEB, b""),
            Dialect::WebText => (WEB, TEXT),
        };
        [GRPC, web, text, self.suffix].concat()
    }
}

/// What follows this beginning, in whatever case that is written.
fn behind<'a>(value: &'a [u8], beginning: &[u8]) -> Option<&'a [u8]> {
    let (front, rest) = value.split_at_checked(beginning.len())?;
    front.eq_ignore_ascii_case(beginning).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_tell_the_dialect() {
        for (value, dialect, suffix) in [
            ("application/grpc", Dialect::Native, ""),
            ("application/grpc+proto", Dialect::Native, "+proto"),
            ("Application/gRPC;x=y", Dialect::Native, ""),
            ("application/grpc-web", Dialect::Web, ""),
            ("application/grpc-web+json ; a=b", Dialect::Web, "+json"),
            ("application/grpc-web-text", Dialect::WebText, ""),
            ("application/grpc-web-text+proto", Dialect::WebText, "+proto"),
        ] {
            let found = MediaType::parse(value.as_bytes());
            assert_eq!(found, Some(MediaType { dialect, suffix: suffix.as_bytes() }), "{value}");
        }
        for other in
            ["", "application/grpcx", "application/grpc-webby", "application/grpc-text", "text/plain", "*/*"]
        {
            assert_eq!(MediaType::parse(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn a_format_goes_over_to_another_dialect() {
        let of = |value: &'static str, dialect| {
            String::from_utf8(MediaType::parse(value.as_bytes()).unwrap().written_as(dialect)).unwrap()
        };
        assert_eq!(of("application/grpc-web-text+proto; a=b", Dialect::Native), "application/grpc+proto");
        assert_eq!(of("application/grpc", Dialect::Web), "application/grpc-web");
        assert_eq!(of("application/grpc+json", Dialect::WebText), "application/grpc-web-text+json");
    }
}
