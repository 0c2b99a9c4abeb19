//! The four forms of a request target (RFC 9112 §3.2).

use super::Method;
use super::authority;
use crate::HttpError;
use crate::fields::{Span, scan};

/// The parts of a target, as places in the head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Target {
    /// Only in absolute-form and authority-form.
    pub(super) authority: Option<Span>,
    /// Path and query; empty if an absolute-form has neither.
    pub(super) path_and_query: Span,
}

/// Refuses bytes that no target has.
pub(super) fn check(target: &[u8]) -> Result<(), HttpError> {
    if scan::target_length(target, target) == target.len() { Ok(()) } else { Err(HttpError::InvalidTarget) }
}

/// Takes the target at `span` of `head` apart, whose bytes were checked.
pub(super) fn parse(head: &[u8], span: Span, method: Method) -> Result<Target, HttpError> {
    let target = span.of(head);
    match (target, method) {
        (_, Method::Connect) => parse_authority_form(target, span),
        ([b'/', ..], _) => Ok(Target { authority: None, path_and_query: span }),
        (b"*", Method::Options) => Ok(Target { authority: None, path_and_query: span }),
        _ => parse_absolute_form(target, span),
    }
}

/// Visible ASCII without `#`: a fragment never travels. Characters that RFC 3986 wants encoded but browsers send as
/// they are (`|`, `^`, `{` …) pass.
pub(super) const fn is_target_byte(byte: u8) -> bool {
    byte > b' ' && byte < 0x7f && byte != b'#'
}

fn parse_authority_form(target: &[u8], span: Span) -> Result<Target, HttpError> {
    authority::check(target).map_err(|_| HttpError::InvalidTarget)?;
    if !authority::has_port(target) {
        return Err(HttpError::InvalidTarget);
    }
    Ok(Target { authority: Some(span), path_and_query: Span { start: span.end, end: span.end } })
}

fn parse_absolute_form(target: &[u8], span: Span) -> Result<Target, HttpError> {
    let scheme_length = [b"http://".as_slice(), b"https://"]
        .into_iter()
        .find(|scheme| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
        .map(<[u8]>::len)
        .ok_or(HttpError::InvalidTarget)?;
    let rest = target.get(scheme_length..).unwrap_or_default();
    let length = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    authority::check(rest.get(..length).unwrap_or_default())?;
    let start = span.start as usize + scheme_length;
    Ok(Target {
        authority: Some(Span::new(start, start + length)),
        path_and_query: Span::new(start + length, span.end as usize),
    })
}
