//! `rewrite`: another path or host for the endpoint.

use base_kit::{KindInfo, Status};
use regex::bytes::{Captures, Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::Deserialize;
use traffic_http::{RequestHead, ResponseHead};

use crate::template::{Piece, Sources, Template, with_buffer};
use crate::uri::{self, Part};
use crate::{Answer, Filter, FilterKind, Flow, RequestContext, SettingsError, settings};

/// Compiled size of a regular expression: ordinary ones take some KiB.
const MAX_REGEX_BYTES: usize = 1 << 20;

/// The kind.
pub(super) struct Rewrite;

/// Its settings. The path is changed by `path`, by `strip-prefix` and `add-prefix`, or by `regex` and `to`; the query stays.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    /// The new path. May hold placeholders; `{path}` is the path as the client asked for it.
    path: Option<String>,
    /// Taken off the front of the path, at a segment border; paths that do not begin with it stay. Runs of slashes count as one.
    strip_prefix: Option<String>,
    /// Put in front of the path, after `strip-prefix`.
    add_prefix: Option<String>,
    /// A regular expression; what it finds first in the path is replaced by `to`.
    regex: Option<String>,
    /// What stands there instead; may hold placeholders, and groups of `regex` as `{1}` or `{name}`.
    to: Option<String>,
    /// The `Host` sent to the endpoint, with a port if need be.
    host: Option<String>,
}

/// The filter.
#[derive(Debug)]
struct Rewriting {
    path: PathChange,
    host: Option<Box<[u8]>>,
}

#[derive(Debug)]
enum PathChange {
    None,
    Whole(Template),
    Prefix { strip: Box<[u8]>, add: Box<[u8]> },
    Regex(Regex, Template),
}

impl FilterKind for Rewrite {
    fn info(&self) -> KindInfo {
        KindInfo {
            name: "rewrite",
            summary: "Changes the path or the host that the endpoint sees.",
            status: Status::Beta,
        }
    }

    fn schema(&self) -> schemars::Schema {
        settings::schema::<Settings>()
    }

    fn example(&self) -> &'static str {
        r#"{"strip-prefix": "/api", "add-prefix": "/v2", "host": "api.internal"}"#
    }

    fn build(&self, settings: &serde_json::Value) -> Result<Box<dyn Filter>, SettingsError> {
        let settings: Settings = settings::parse(settings)?;
        let host = settings.host.as_deref().map(host).transpose().map_err(|error| error.below("host"))?;
        let path = path_change(&settings)?;
        if host.is_none() && matches!(path, PathChange::None) {
            return Err(SettingsError::at([], "there is nothing to do")
                .suggest("give `path`, `strip-prefix`, `add-prefix`, `regex` and `to`, or `host`"));
        }
        Ok(Box::new(Rewriting { path, host }))
    }
}

fn host(text: &str) -> Result<Box<[u8]>, SettingsError> {
    let problem = || SettingsError::at([], format!("`{}` is not a host", text.escape_debug()));
    uri::host_of(text.as_bytes()).map(|_| text.as_bytes().into()).ok_or_else(problem)
}

fn path_change(settings: &Settings) -> Result<PathChange, SettingsError> {
    let Settings { path, strip_prefix, add_prefix, regex, to, .. } = settings;
    let ways =
        [path.is_some(), strip_prefix.is_some() || add_prefix.is_some(), regex.is_some() || to.is_some()];
    if ways.iter().filter(|&&given| given).count() > 1 {
        return Err(SettingsError::at([], "the path is changed in more than one way")
            .suggest("`path`, or `strip-prefix` and `add-prefix`, or `regex` and `to`; for several, use several filters"));
    }
    if let Some(path) = path {
        return whole(path).map(PathChange::Whole).map_err(|error| error.below("path"));
    }
    match (regex, to) {
        (Some(pattern), Some(to)) => by_regex(pattern, to),
        (None, None) => by_prefix(strip_prefix.as_deref(), add_prefix.as_deref()),
        _ => Err(SettingsError::at([], "`regex` and `to` go together")),
    }
}

fn whole(text: &str) -> Result<Template, SettingsError> {
    if text.contains("**") {
        return Err(SettingsError::at([], "`**` has no meaning in a new path")
            .suggest("to change how paths begin, use `strip-prefix` and `add-prefix`"));
    }
    let template = Template::compile(text)?;
    check_path_text(&template)?;
    match template.pieces().first() {
        Some(Piece::Literal(text)) if text.starts_with('/') => Ok(template),
        Some(Piece::Path) => Ok(template),
        _ => Err(SettingsError::at([], "a path begins with `/` or `{path}`")),
    }
}

/// The query is not the path's to change, and `#` never reaches a server.
fn check_path_text(template: &Template) -> Result<(), SettingsError> {
    let ends = |piece: &Piece| matches!(piece, Piece::Literal(text) if text.contains(['?', '#']));
    if template.pieces().iter().any(ends) {
        return Err(SettingsError::at([], "a path has no `?` and no `#`").suggest("the query stays as it is"));
    }
    if template.pieces().contains(&Piece::Query) {
        return Err(SettingsError::at([], "a path has no query").suggest("the query stays as it is"));
    }
    Ok(())
}

fn by_prefix(strip: Option<&str>, add: Option<&str>) -> Result<PathChange, SettingsError> {
    if strip.is_none() && add.is_none() {
        return Ok(PathChange::None);
    }
    let prefix = |key: &str, text: Option<&str>| {
        let text = text.unwrap_or_default();
        if !text.is_empty() && (!text.starts_with('/') || text.contains(['?', '#', '*'])) {
            let problem = "a prefix begins with `/` and has no `?`, `#` or `*`";
            return Err(SettingsError::at([key], problem));
        }
        let mut encoded = Vec::new();
        uri::push(&mut encoded, text.trim_end_matches('/').as_bytes(), Part::Written);
        if key == "strip-prefix" {
            encoded.dedup_by(|next, previous| *next == b'/' && *previous == b'/');
        }
        Ok(encoded.into_boxed_slice())
    };
    Ok(PathChange::Prefix { strip: prefix("strip-prefix", strip)?, add: prefix("add-prefix", add)? })
}

fn by_regex(pattern: &str, to: &str) -> Result<PathChange, SettingsError> {
    let regex =
        RegexBuilder::new(pattern).size_limit(MAX_REGEX_BYTES).dfa_size_limit(MAX_REGEX_BYTES).build();
    let regex = regex.map_err(|error| SettingsError::at(["regex"], error.to_string()))?;
    let template = Template::compile_with(to, Some(&regex)).and_then(|template| {
        check_path_text(&template)?;
        Ok(template)
    });
    Ok(PathChange::Regex(regex, template.map_err(|error| error.below("to"))?))
}

impl Filter for Rewriting {
    fn request_head(&self, context: &RequestContext<'_>, request: &mut RequestHead) -> Flow {
        if let Some(host) = &self.host {
            request.set_host(host);
        }
        with_buffer(|path| {
            if !self.path.write(context, request, path) {
                return Flow::Continue;
            }
            // Only a value out of the request can bring them in; the endpoint might climb out of its folder.
            if uri::has_dot_segments(path) {
                return Flow::Answer(Answer { head: ResponseHead::new(400), body: [].into() });
            }
            // At the front, a browser that is sent there again would take two slashes for the beginning of a host.
            let slashes = path.iter().take_while(|byte| **byte == b'/').count();
            path.drain(1.min(slashes)..slashes);
            if let Some(query) = request.query() {
                path.push(b'?');
                path.extend_from_slice(query);
            }
            request.set_path_and_query(path);
            Flow::Continue
        })
    }
}

impl PathChange {
    /// Writes the new path; false if the path stays.
    fn write(&self, context: &RequestContext<'_>, request: &RequestHead, out: &mut Vec<u8>) -> bool {
        let path = request.path();
        if !path.starts_with(b"/") {
            // `OPTIONS *` is about the server, not about a path.
            return false;
        }
        let sources = |groups| Sources { context, fields: request.fields(), groups };
        match self {
            Self::None => return false,
            Self::Whole(template) => template.write_uri(sources(None), out),
            Self::Prefix { strip, add } => {
                let Some(rest) = uri::strip_prefix(path, strip) else { return false };
                out.extend_from_slice(add);
                out.extend_from_slice(if rest.is_empty() && add.is_empty() { b"/" } else { rest });
            }
            Self::Regex(regex, template) => {
                let Some(groups) = regex.captures(path) else { return false };
                write_replaced(path, &groups, out, |out| template.write_uri(sources(Some(&groups)), out));
            }
        }
        true
    }
}

fn write_replaced(path: &[u8], groups: &Captures<'_>, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let Some(found) = groups.get(0) else { return };
    out.extend_from_slice(path.get(..found.start()).unwrap_or_default());
    write(out);
    out.extend_from_slice(path.get(found.end()..).unwrap_or_default());
}
