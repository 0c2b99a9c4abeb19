//! Text with placeholders: `https://{host}{path}`. Compiled once, written into a buffer for each request.

use std::cell::Cell;
use std::io::Write;

use regex::bytes::{Captures, Regex};
use traffic_http::{ClientCertificate, Fields};

use crate::field;
use crate::uri::{self, Part};
use crate::{RequestContext, SettingsError};

/// Placeholders and what they stand for.
pub(crate) const PLACEHOLDERS: &[(&str, &str)] = &[
    ("client", "the client's address"),
    (
        "certificate:subject",
        "whose certificate the client has shown (RFC 4514); empty if none, as with the next four",
    ),
    ("certificate:issuer", "who has signed it"),
    ("certificate:serial", "its serial number in hexadecimal digits"),
    ("certificate:name", "the first of its alternative names"),
    ("certificate:fingerprint", "its SHA-256 in hexadecimal digits"),
    ("host", "the host that was asked, without the port"),
    ("path", "the path that was asked, in its normal form"),
    ("query", "what follows the `?`; empty without one"),
    ("route", "the route's name"),
    ("request-id", "the request id"),
    ("scheme", "`http` or `https`"),
    ("header:NAME", "a header of the message that is worked on; empty if it is not there"),
];

/// Part of a client's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CertificatePart {
    Subject,
    Issuer,
    Serial,
    Name,
    Fingerprint,
}

impl CertificatePart {
    fn of(self, certificate: &ClientCertificate) -> &str {
        match self {
            Self::Subject => &certificate.subject,
            Self::Issuer => &certificate.issuer,
            Self::Serial => &certificate.serial,
            Self::Name => certificate.names.first().map_or("", |name| name),
            Self::Fingerprint => &certificate.fingerprint,
        }
    }
}

/// Compiled text.
#[derive(Clone, Debug)]
pub(crate) struct Template(Box<[Piece]>);

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Literal(Box<str>),
    Client,
    Certificate(CertificatePart),
    Host,
    Path,
    Query,
    Route,
    RequestId,
    Scheme,
    Header(Box<str>),
    /// Number of a group.
    Group(usize),
}

/// Where values come from.
#[derive(Clone, Copy)]
pub(crate) struct Sources<'a> {
    pub(crate) context: &'a RequestContext<'a>,
    /// Of the message that is worked on.
    pub(crate) fields: &'a Fields,
    /// Of the regular expression, if the template was compiled with one.
    pub(crate) groups: Option<&'a Captures<'a>>,
}

impl Template {
    /// Compiles text with the placeholders that there always are.
    pub(crate) fn compile(text: &str) -> Result<Self, SettingsError> {
        Self::compile_with(text, None)
    }

    /// Also with the groups of a regular expression: `{1}`, `{name}`.
    pub(crate) fn compile_with(text: &str, groups: Option<&Regex>) -> Result<Self, SettingsError> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(brace) = rest.find(['{', '}']) {
            let (front, behind) = rest.split_at(brace);
            literal.push_str(front);
            rest = if let Some(doubled) = behind.strip_prefix("{{") {
                literal.push('{');
                doubled
            } else if let Some(doubled) = behind.strip_prefix("}}") {
                literal.push('}');
                doubled
            } else {
                let inner = behind.strip_prefix('{').and_then(|inner| inner.split_once('}'));
                let lone = || SettingsError::at([], format!("a lone brace in `{text}`"));
                let (name, rest) = inner.ok_or_else(|| lone().suggest("write `{{` or `}}` for a brace"))?;
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal).into()));
                }
                pieces.push(placeholder(name, groups)?);
                rest
            };
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal.into()));
        }
        Ok(Self(pieces.into()))
    }

    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// The text, if there is no placeholder in it.
    pub(crate) fn as_literal(&self) -> Option<&str> {
        match &*self.0 {
            [] => Some(""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Appends the text as a field value: control bytes become spaces.
    pub(crate) fn write_value(&self, sources: Sources<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        for piece in &self.0 {
            piece.with_value(sources, |value| out.extend_from_slice(value));
        }
        for byte in out.iter_mut().skip(start).filter(|byte| field::is_control(**byte)) {
            *byte = b' ';
        }
    }

    /// Appends the text as (part of) a URI. Text, path, query and groups are pieces of one already; all else is data, of
    /// which no byte acts as a delimiter. The path begins with one slash.
    pub(crate) fn write_uri(&self, sources: Sources<'_>, out: &mut Vec<u8>) {
        for piece in &self.0 {
            piece.with_value(sources, |value| match piece {
                Piece::Path => uri::push_path(out, value),
                Piece::Host => out.extend_from_slice(value),
                Piece::Literal(_) | Piece::Query | Piece::Scheme | Piece::Group(_) => {
                    uri::push(out, value, Part::Written);
                }
                Piece::Client
                | Piece::Certificate(_)
                | Piece::Route
                | Piece::RequestId
                | Piece::Header(_) => {
                    uri::push(out, value, Part::Data);
                }
            });
        }
    }
}

impl Piece {
    fn with_value(&self, sources: Sources<'_>, take: impl FnOnce(&[u8])) {
        let context = sources.context;
        match self {
            Self::Literal(text) => take(text.as_bytes()),
            Self::Client => take_client(context, take),
            Self::Certificate(part) => {
                take(context.certificate.map_or("", |certificate| part.of(certificate)).as_bytes());
            }
            Self::Host => take(uri::host_of(context.host).unwrap_or_default()),
            Self::Path => take(context.path),
            Self::Query => take(context.query.unwrap_or_default()),
            Self::Route => take(context.route.as_bytes()),
            Self::RequestId => take(context.request_id.as_bytes()),
            Self::Scheme => take(context.scheme.as_bytes()),
            Self::Header(name) => take(sources.fields.find(name).unwrap_or_default()),
            Self::Group(number) => {
                let group = sources.groups.and_then(|groups| groups.get(*number));
                take(group.map_or(&[], |group| group.as_bytes()));
            }
        }
    }
}

/// Longer than any address is written.
const ADDRESS_BYTES: usize = 64;

fn take_client(context: &RequestContext<'_>, take: impl FnOnce(&[u8])) {
    let mut text = [0; ADDRESS_BYTES];
    let mut free = text.as_mut_slice();
    let written = write!(free, "{}", context.client.to_canonical());
    let length = ADDRESS_BYTES - written.map_or(ADDRESS_BYTES, |()| free.len());
    take(text.get(..length).unwrap_or_default());
}

fn placeholder(name: &str, groups: Option<&Regex>) -> Result<Piece, SettingsError> {
    if let Some(number) = groups.and_then(|regex| group_number(regex, name)) {
        return Ok(Piece::Group(number));
    }
    if let Some(header) = name.strip_prefix("header:") {
        return Ok(Piece::Header(field::readable_name(header)?.as_str().into()));
    }
    Ok(match name {
        "client" => Piece::Client,
        "certificate:subject" => Piece::Certificate(CertificatePart::Subject),
        "certificate:issuer" => Piece::Certificate(CertificatePart::Issuer),
        "certificate:serial" => Piece::Certificate(CertificatePart::Serial),
        "certificate:name" => Piece::Certificate(CertificatePart::Name),
        "certificate:fingerprint" => Piece::Certificate(CertificatePart::Fingerprint),
        "host" => Piece::Host,
        "path" => Piece::Path,
        "query" => Piece::Query,
        "route" => Piece::Route,
        "request-id" => Piece::RequestId,
        "scheme" => Piece::Scheme,
        _ => return Err(unknown(name)),
    })
}

fn group_number(regex: &Regex, name: &str) -> Option<usize> {
    match name.parse::<usize>() {
        Ok(number) => (number < regex.captures_len()).then_some(number),
        Err(_) => regex.capture_names().position(|own| own == Some(name)),
    }
}

fn unknown(name: &str) -> SettingsError {
    let error = SettingsError::at([], format!("there is no placeholder `{{{}}}`", name.escape_debug()));
    let nearest = PLACEHOLDERS.iter().map(|(known, _)| (distance(name, known), known)).min();
    match nearest {
        Some((distance, known)) if distance <= 2 => error.suggest(format!("did you mean `{{{known}}}`?")),
        _ => {
            let all: Vec<String> = PLACEHOLDERS.iter().map(|(known, _)| format!("{{{known}}}")).collect();
            error.suggest(format!("there are {}; write `{{{{` for a brace", all.join(", ")))
        }
    }
}

/// Letters to insert, drop or replace to get from one word to the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    // Long nonsense is no typing error, and need not be measured.
    for (index, letter) in from.chars().take(32).enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        for (cell, other) in row.iter_mut().skip(1).zip(&to) {
            let best = (diagonal + usize::from(letter != *other)).min(left + 1).min(*cell + 1);
            diagonal = *cell;
            *cell = best;
            left = best;
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

/// A buffer larger than this goes back to the allocator: one odd request must not cost memory for ever.
const KEPT_BYTES: usize = 64 * 1024;

thread_local! {
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Lends the thread's buffer, empty: so that writing a value does not allocate.
pub(crate) fn with_buffer<T>(work: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    let mut buffer = BUFFER.take();
    buffer.clear();
    let result = work(&mut buffer);
    if buffer.capacity() <= KEPT_BYTES {
        BUFFER.set(buffer);
    }
    result
}

#[cfg(test)]
mod tests;
