//! Texts → typed values. Each says what is wrong and how to mend it.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;

use ipnet::IpNet;

use crate::limits::{MAX_DATAGRAM_BYTES, MAX_LINE_BYTES, MAX_REGEX_BYTES};
use crate::model::{Host, HostPattern, LogTarget, PathPattern, StatusRange, ValuePattern};

/// What is wrong with a text.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) message: String,
    pub(super) help: String,
    /// The characters of the text it is about, if not all.
    pub(super) range: Option<Range<usize>>,
}

impl Fault {
    pub(super) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into(), range: None }
    }
}

/// The port of an endpoint that gives none: that of `http`.
const HTTP_PORT: u16 = 80;

/// What is wrong with `::1:80`.
const NO_BRACKETS: &str = "an IPv6 address stands in brackets";

/// Longest name of a listener, pool or route: it becomes a metric label.
const LONGEST_NAME: usize = 64;

/// Longest host name (RFC 1035 §2.3.4).
const LONGEST_HOST: usize = 253;

/// Longest part of a host name between two dots (RFC 1035 §2.3.4).
const LONGEST_LABEL: usize = 63;

pub(super) fn name(text: &str) -> Result<(), Fault> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(allowed)
        && text.len() <= LONGEST_NAME
    {
        return Ok(());
    }
    Err(Fault::new(
        format!("`{text}` cannot be a name"),
        format!(
            "use letters, digits, `-`, `_` and `.`, beginning with a letter or digit; at most {LONGEST_NAME}"
        ),
    ))
}

/// `10.0.0.1:80`, `[::1]:80`, `:80` for all addresses of both families.
pub(super) fn bind_address(text: &str) -> Result<Vec<SocketAddr>, Fault> {
    if let Ok(address) = text.parse() {
        return Ok(vec![address]);
    }
    let port =
        |text: &str| text.parse::<u16>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    if let Some(port) = text.strip_prefix(':').and_then(port) {
        return Ok(vec![(Ipv4Addr::UNSPECIFIED, port).into(), (Ipv6Addr::UNSPECIFIED, port).into()]);
    }
    let help = if let Some(number) = port(text) {
        format!("write `:{number}` for all addresses, or `127.0.0.1:{number}` for this machine only")
    } else if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        format!("add a port: `{}`", SocketAddr::new(ip, HTTP_PORT))
    } else if let Some(number) =
        text.strip_prefix("localhost:").or_else(|| text.strip_prefix("*:")).and_then(port)
    {
        let ip = if text.starts_with('*') { "0.0.0.0" } else { "127.0.0.1" };
        format!("write an address: `{ip}:{number}`")
    } else {
        "write an address and a port from 0 to 65535: `0.0.0.0:80`, `\"[::1]:80\"`, or `:80` for all"
            .to_owned()
    };
    Err(Fault::new(format!("`{text}` is not an address to listen on"), help))
}

/// `10.0.0.1:8080`, `app.internal:8080`, `[::1]:8080`; the port may be left out.
pub(super) fn endpoint_address(text: &str) -> Result<(Host, Option<u16>), Fault> {
    not_an_address(text)?;
    if let Ok(address) = text.parse::<SocketAddr>() {
        return nonzero_port(text, address.port()).map(|port| (Host::Ip(address.ip()), Some(port)));
    }
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let ip = match bracketed {
        Some(inner) => inner.parse::<Ipv6Addr>().map(IpAddr::from),
        None => text.parse::<Ipv4Addr>().map(IpAddr::from),
    };
    if let Ok(ip) = ip {
        return Ok((Host::Ip(ip), None));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, Some(parse_port(text, port)?)),
        None => (text, None),
    };
    host_name(text, host)?;
    Ok((Host::Name(host.to_ascii_lowercase().into()), port))
}

/// `app.internal` or `10.0.0.1`, as certificates have it.
pub(super) fn server_name(text: &str) -> Result<Host, Fault> {
    match endpoint_address(text) {
        Ok((host, None)) => Ok(host),
        Ok((_, Some(_))) => {
            Err(Fault::new(format!("`{text}` has a port"), "write the name alone: `app.internal`"))
        }
        Err(_) => Err(Fault::new(
            format!("`{text}` is not the name of a server"),
            "write a name or an address as it is in the certificate: `app.internal`",
        )),
    }
}

/// SHA-256 in hexadecimal digits, with or without colons between the bytes; in lower case without them.
pub(super) fn fingerprint(text: &str) -> Result<Arc<str>, Fault> {
    let digits: String = text.chars().filter(|c| *c != ':').map(|c| c.to_ascii_lowercase()).collect();
    if digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(digits.into());
    }
    Err(Fault::new(
        format!("`{text}` is not the SHA-256 of a certificate"),
        "write 64 hexadecimal digits, as `openssl x509 -noout -fingerprint -sha256 -in FILE` shows them",
    ))
}

/// Says what an endpoint is not, where something else was clearly meant.
fn not_an_address(text: &str) -> Result<(), Fault> {
    let fault = |problem: &str, help: String| {
        Err(Fault::new(format!("`{text}` is not an endpoint: {problem}"), help))
    };
    let is_socket_path = text.starts_with(['/', '@']) || text.starts_with("./");
    if is_socket_path || text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("unix:")) {
        let help = "Unix sockets are not there yet; write host and port: `127.0.0.1:8080`";
        return fault("it is a Unix socket", help.to_owned());
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = host.rsplit('@').next().unwrap_or_default();
        return fault(
            &format!("it begins with `{scheme}://`"),
            format!("write host and port only: `{host}`"),
        );
    }
    if text.contains('%') {
        let help = "write the address without a zone: `[fe80::1]:8080`, quoted in YAML";
        return fault("it has a `%`", help.to_owned());
    }
    if let Some((host, _)) = text.split_once('/') {
        return fault("it has a path", format!("write host and port only: `{host}`"));
    }
    // What is between the last colon and the end could be a port or a part of the address: nobody can tell.
    let before_port = text.rsplit_once(':').filter(|(host, port)| {
        host.parse::<Ipv6Addr>().is_ok() && port.bytes().all(|byte| byte.is_ascii_digit())
    });
    match before_port {
        Some((host, port)) => fault(NO_BRACKETS, format!("write `[{host}]:{port}`, quoted in YAML")),
        None if text.parse::<Ipv6Addr>().is_ok() => {
            fault(NO_BRACKETS, format!("write `[{text}]:{HTTP_PORT}`, quoted in YAML"))
        }
        None => Ok(()),
    }
}

fn parse_port(whole: &str, port: &str) -> Result<u16, Fault> {
    match port.parse::<u16>() {
        Ok(number) if port.bytes().all(|byte| byte.is_ascii_digit()) => nonzero_port(whole, number),
        _ => Err(Fault::new(
            format!("`{port}` in `{whole}` is not a port"),
            "a port is a number from 1 to 65535",
        )),
    }
}

fn nonzero_port(whole: &str, port: u16) -> Result<u16, Fault> {
    if port == 0 {
        return Err(Fault::new(format!("`{whole}` has port 0"), "a port is a number from 1 to 65535"));
    }
    Ok(port)
}

/// Letters, digits, `-` and `_` in labels; nothing that only looks like an address.
fn host_name(whole: &str, host: &str) -> Result<(), Fault> {
    let fault = |help: &str| Err(Fault::new(format!("`{whole}` does not begin with a host"), help));
    let label = |label: &str| {
        (1..=LONGEST_LABEL).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if !host.is_ascii() {
        return fault("write the name in its ASCII form, which begins with `xn--`");
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    if name.is_empty() || name.len() > LONGEST_HOST || !name.split('.').all(label) {
        return fault("write an address or a name: `10.0.0.1:8080`, `\"[::1]:8080\"`, `app.internal:8080`");
    }
    let last = name.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return fault("an IPv4 address has four numbers from 0 to 255: `10.0.0.1:8080`");
    }
    Ok(())
}

/// `10.0.0.0/8`; an address alone is a network of one.
pub(super) fn network(text: &str) -> Result<IpNet, Fault> {
    let parsed = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    parsed.map(|network| network.trunc()).map_err(|_| {
        Fault::new(format!("`{text}` is not a network"), "write an address and a prefix length: `10.0.0.0/8`")
    })
}

/// `shop.example.com`, `*.example.com`, an address.
pub(super) fn host_pattern(text: &str) -> Result<HostPattern, Fault> {
    let lower = text.to_ascii_lowercase();
    if lower == "*" {
        return Err(Fault::new("`*` is not a host", "leave `host` away to take every host"));
    }
    if let Some(name) = lower.strip_prefix("*.") {
        host_name(text, name)?;
        return Ok(HostPattern::Below(name.trim_end_matches('.').into()));
    }
    if lower.contains('*') {
        return Err(Fault::new(
            format!("`{text}` has a `*` inside"),
            "`*` stands only for the first labels: `*.example.com`",
        ));
    }
    let bracketed = lower.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_address = match bracketed {
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
        None => lower.parse::<Ipv4Addr>().is_ok(),
    };
    if is_address {
        return Ok(HostPattern::Exact(lower.as_str().into()));
    }
    if lower.contains([':', '/']) {
        return Err(Fault::new(
            format!("`{text}` is not a host"),
            "write the name only, without scheme, port and path: `shop.example.com`",
        ));
    }
    host_name(text, &lower)?;
    Ok(HostPattern::Exact(lower.trim_end_matches('.').into()))
}

/// `/a`, `/a/**`, `/u/{id}`, `~ ^/r.*`.
pub(super) fn path_pattern(text: &str) -> Result<PathPattern, Fault> {
    if let Some(pattern) = regex_text(text)? {
        return Ok(PathPattern::Regex(pattern.into()));
    }
    let Some(path) = text.strip_prefix('/') else {
        return Err(Fault::new(
            format!("the path `{text}` does not begin with `/`"),
            "write `/a`, `/a/**`, `/u/{id}`, or `~ ` and a regular expression",
        ));
    };
    plain_path(text)?;
    let (closed, open) = match path {
        "**" => ("", true),
        _ => path.strip_suffix("/**").map_or((path, false), |before| (before, true)),
    };
    if closed.contains('*') {
        return Err(Fault::new(
            format!("the path `{text}` has a `*` inside"),
            "`**` stands only at the end: `/a/**`; one segment is `{name}`",
        ));
    }
    if !closed.contains(['{', '}']) {
        let whole =
            if open && closed.is_empty() { String::new() } else { format!("/{}", unreserved(closed)) };
        return Ok(if open { PathPattern::Prefix(whole.into()) } else { PathPattern::Exact(whole.into()) });
    }
    let mut names = HashSet::new();
    let segments: Result<Vec<_>, Fault> =
        closed.split('/').map(|segment| template_segment(text, segment, &mut names)).collect();
    Ok(PathPattern::Template { segments: segments?, open })
}

fn template_segment<'t>(
    whole: &str,
    segment: &'t str,
    names: &mut HashSet<&'t str>,
) -> Result<Result<Arc<str>, Arc<str>>, Fault> {
    let Some(name) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
        if segment.contains(['{', '}']) {
            return Err(Fault::new(
                format!("in the path `{whole}` the segment `{segment}` is only partly in braces"),
                "a name in braces stands for a whole segment: `/u/{id}/x`",
            ));
        }
        return Ok(Ok(unreserved(segment).into()));
    };
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || !name.chars().all(valid) {
        return Err(Fault::new(
            format!("in the path `{whole}` the name `{segment}` is not valid"),
            "use letters, digits, `_` and `-`: `{id}`",
        ));
    }
    if !names.insert(name) {
        return Err(Fault::new(
            format!("the path `{whole}` uses `{segment}` twice"),
            "give each segment its own name",
        ));
    }
    Ok(Err(name.into()))
}

/// Only what a path can hold on the wire (RFC 3986 §3.3), with braces and stars for patterns.
fn plain_path(text: &str) -> Result<(), Fault> {
    if let Some(mark) = text.chars().find(|c| matches!(c, '?' | '#')) {
        return Err(Fault::new(
            format!("the path `{text}` has a `{mark}`"),
            "a path ends before the query; conditions on parameters go into `query`",
        ));
    }
    if let Some((index, c)) = text.chars().enumerate().find(|(_, c)| !c.is_ascii_graphic()) {
        let mut encoded = [0_u8; 4];
        let escaped: String =
            c.encode_utf8(&mut encoded).bytes().map(|byte| format!("%{byte:02X}")).collect();
        let mut fault = Fault::new(
            format!("the path `{text}` has a character that cannot be sent"),
            format!("write it percent-encoded: `{escaped}`"),
        );
        fault.range = Some(index..index + 1);
        return Err(fault);
    }
    Ok(())
}

/// Removes percent-encoding from characters that do not need it (RFC 3986 §6.2.2.2), and writes the rest in upper case.
fn unreserved(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(start) = rest.find('%') {
        let (before, after) = rest.split_at(start);
        out.push_str(before);
        let decoded = after.get(1..3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let length = match decoded {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                out.push(char::from(byte));
                3
            }
            Some(byte) => {
                out.push_str(&format!("%{byte:02X}"));
                3
            }
            None => {
                out.push('%');
                1
            }
        };
        rest = after.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// A value, or `~ regex`.
pub(super) fn value_pattern(text: &str) -> Result<ValuePattern, Fault> {
    Ok(match regex_text(text)? {
        Some(pattern) => ValuePattern::Regex(pattern.into()),
        None => ValuePattern::Exact(text.into()),
    })
}

/// What follows `~ `, compiled once to be sure.
fn regex_text(text: &str) -> Result<Option<&str>, Fault> {
    let Some(rest) = text.strip_prefix('~') else { return Ok(None) };
    let Some(pattern) = rest.strip_prefix(' ') else {
        return Err(Fault::new(
            format!("`{text}` begins with `~` without a space"),
            format!("write `~ {rest}` for a regular expression"),
        ));
    };
    regular_expression(pattern, 2).map(|()| Some(pattern))
}

/// `offset`: characters of the text in front of the pattern.
pub(super) fn regular_expression(pattern: &str, offset: usize) -> Result<(), Fault> {
    let built = regex::bytes::RegexBuilder::new(pattern).size_limit(MAX_REGEX_BYTES).build();
    let Err(error) = built else { return Ok(()) };
    let message = match error {
        regex::Error::CompiledTooBig(_) => {
            return Err(Fault::new(
                format!("the regular expression `{pattern}` is too large when compiled"),
                "use smaller repetitions",
            ));
        }
        error => error.to_string(),
    };
    // The crate draws the pattern with a mark under the fault; the last line says what it is.
    let reason = message.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
    let mark =
        message.lines().find_map(|line| line.trim_start().starts_with('^').then(|| line.find('^')).flatten());
    let mut fault = Fault::new(
        format!("`{pattern}` is not a valid regular expression: {reason}"),
        "escape what is meant literally with `\\`; in double quotes YAML needs `\\\\`",
    );
    /// The crate indents the pattern by this much.
    const INDENT: usize = 4;
    fault.range = mark.map(|mark| mark.saturating_sub(INDENT) + offset).map(|start| start..start + 1);
    Err(fault)
}

/// A token (RFC 9110 §5.1).
pub(super) fn header_name(text: &str) -> Result<(), Fault> {
    if !text.is_empty() && text.bytes().all(is_token_byte) {
        return Ok(());
    }
    Err(Fault::new(
        format!("`{text}` cannot be the name of a header field"),
        "use letters, digits and `-`, without spaces and colon: `x-name`",
    ))
}

/// A word without spaces (RFC 9110 §5.6.2).
pub(super) fn token(text: &str) -> Result<(), Fault> {
    header_name(text).map_err(|_| {
        Fault::new(format!("`{text}` is not a single word"), "use letters, digits, `-`, `_` and `.`: `aya`")
    })
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A token (RFC 6265 §4.1.1).
pub(super) fn cookie_name(text: &str) -> Result<(), Fault> {
    header_name(text).map_err(|_| {
        Fault::new(
            format!("`{text}` cannot be the name of a cookie"),
            "use letters, digits, `-`, `_` and `.`: `aya-node`",
        )
    })
}

/// A path that clients take for one (RFC 6265 §4.1.1, §5.2.4).
pub(super) fn cookie_path(text: &str) -> Result<(), Fault> {
    if text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';') {
        return Ok(());
    }
    Err(Fault::new(
        format!("`{text}` cannot be the path of a cookie"),
        "begin with `/`, and write spaces and `;` percent-encoded: `/app`",
    ))
}

/// A name that hosts of clients' requests can lie below (RFC 6265 §5.2.3).
pub(super) fn cookie_domain(text: &str) -> Result<(), Fault> {
    let help = match text.strip_prefix('.') {
        Some(rest) => format!("write it without the dot: `{rest}`"),
        None => "write a name without port: `example.com`".to_owned(),
    };
    let fault = |_| Fault::new(format!("`{text}` cannot be the domain of a cookie"), help);
    host_name(text, text).map_err(fault)
}

/// No control characters but tab (RFC 9110 §5.5).
pub(super) fn header_value(text: &str) -> Result<(), Fault> {
    match text.chars().position(|c| c.is_control() && c != '\t') {
        None => Ok(()),
        Some(_) => Err(Fault::new(
            "the value of a header field cannot hold line breaks or control characters",
            "write it on one line",
        )),
    }
}

/// What a program can be given.
pub(super) fn argument(text: &str) -> Result<(), Fault> {
    match text.contains('\0') {
        false => Ok(()),
        true => Err(Fault::new("an argument cannot hold a zero byte", "remove it")),
    }
}

/// Bytes of a datagram: a text as it is, or `hex:` and digits, with spaces and line ends where one likes.
pub(super) fn bytes(text: &str) -> Result<Vec<u8>, Fault> {
    let bytes = match text.strip_prefix("hex:") {
        None => text.as_bytes().to_vec(),
        Some(digits) => hex(digits).ok_or_else(|| {
            let problem = format!("`{text}` is not a row of bytes");
            Fault::new(problem, "write two hexadecimal digits for each behind `hex:`, as in `hex:0a1b`")
        })?,
    };
    match bytes.len() {
        1..=MAX_DATAGRAM_BYTES => Ok(bytes),
        0 => Err(Fault::new("there is nothing to send or to look for", "write a text, or `hex:` and digits")),
        length => Err(Fault::new(
            format!("{length} bytes are more than every network passes on in one datagram"),
            format!("write at most {MAX_DATAGRAM_BYTES} bytes"),
        )),
    }
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = digits
        .chars()
        .filter(|c| !c.is_ascii_whitespace())
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digits = digits?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// One line, to be sent as it is.
pub(super) fn line(text: &str) -> Result<(), Fault> {
    if text.len() > MAX_LINE_BYTES {
        return Err(Fault::new(
            format!("a line of {} bytes is too long", text.len()),
            format!("write at most {MAX_LINE_BYTES} bytes"),
        ));
    }
    match text.chars().any(|c| c.is_control() && c != '\t') {
        false => Ok(()),
        true => Err(Fault::new(
            "a line cannot hold line breaks or control characters",
            "write it on one line; its end is added",
        )),
    }
}

pub(super) fn method(text: &str) -> Result<(), Fault> {
    if text.is_empty() || !text.bytes().all(is_token_byte) {
        return Err(Fault::new(format!("`{text}` is not a method"), "write it as in HTTP: `GET`, `POST`"));
    }
    if text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        let upper = text.to_ascii_uppercase();
        return Err(Fault::new(
            format!("the method `{text}` is not in upper case"),
            format!("methods are case-sensitive; write `{upper}`"),
        ));
    }
    Ok(())
}

/// What can stand in a `Host` field.
pub(super) fn authority(text: &str) -> Result<(), Fault> {
    endpoint_address(text).map(drop).map_err(|_| {
        Fault::new(
            format!("`{text}` cannot be sent as `Host`"),
            "write a host, with a port if needed: `app.internal:8080`",
        )
    })
}

/// A path with its query, as sent to a server.
pub(super) fn origin_path(text: &str) -> Result<(), Fault> {
    if text.starts_with('/') && text.chars().all(|c| c.is_ascii_graphic() && c != '#') {
        return Ok(());
    }
    Err(Fault::new(
        format!("`{text}` is not a path"),
        "begin with `/`, and write spaces and special characters percent-encoded: `/healthz`",
    ))
}

/// `200-299`, `404`.
pub(super) fn status_range(text: &str) -> Result<StatusRange, Fault> {
    let fault = || {
        Fault::new(
            format!("`{text}` is not a range of statuses"),
            "write a status from 100 to 599, or two with a dash: `200-299`",
        )
    };
    let code = |text: &str| text.trim().parse::<u16>().ok().filter(|code| (100..600).contains(code));
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (code(first), code(last)) {
        (Some(first), Some(last)) if first <= last => Ok(StatusRange { first, last }),
        _ => Err(fault()),
    }
}

/// `stdout`, `stderr` or a file.
pub(super) fn log_target(text: &str) -> Result<LogTarget, Fault> {
    match text {
        "stdout" => Ok(LogTarget::Stdout),
        "stderr" => Ok(LogTarget::Stderr),
        path if path.contains('/') && !path.contains('\0') && !path.ends_with('/') => {
            Ok(LogTarget::File(path.into()))
        }
        _ => Err(Fault::new(
            format!("`{text}` is not a place for logs"),
            "write `stdout`, `stderr` or the path of a file with a `/`: `./access.log`",
        )),
    }
}
