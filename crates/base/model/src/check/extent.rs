//! What the routes take together: they become tables, which have to stay within bounds.

use std::collections::HashSet;
use std::sync::Arc;

use super::checker::Checker;
use crate::limits::{MAX_PATH_SEGMENTS, MAX_REGEXES, MAX_ROUTED_SEGMENTS};
use crate::model::{Match, PathPattern, Route, ValuePattern};
use crate::text::Place;

/// The routes so far.
#[derive(Default)]
pub(super) struct Extent {
    /// Regular expressions, and whether they stand for a whole path: those are compiled in another way.
    regexes: HashSet<(Arc<str>, bool)>,
    segments: u64,
}

impl Extent {
    /// Adds a route, and says so where it leads out of bounds.
    pub(super) fn add(&mut self, checker: &mut Checker<'_>, route: &Route, place: &Place<'_>) {
        let place = place.key("match");
        let path_place = place.key("path");
        let segments = route.matches.path.as_ref().map_or(0, segments);
        if segments > MAX_PATH_SEGMENTS {
            let message = format!("this path has {segments} segments, the most are {MAX_PATH_SEGMENTS}");
            let help = "shorten it, or end it with `/**` where that is enough";
            checker.error("too-large", message, &path_place, help);
        }
        let hosts = route.matches.hosts.len().max(1) as u64;
        let within = self.segments <= MAX_ROUTED_SEGMENTS;
        self.segments = self.segments.saturating_add(hosts.saturating_mul(segments as u64));
        if within && self.segments > MAX_ROUTED_SEGMENTS {
            let message = format!(
                "up to this path, the routes have over {MAX_ROUTED_SEGMENTS} segments, counted once for each host"
            );
            let help =
                "use fewer routes or hosts, or shorter paths; `\"*.example.com\"` stands for many hosts";
            checker.error("too-large", message, &path_place, help);
        }
        self.add_regexes(checker, &route.matches, &place);
    }

    fn add_regexes(&mut self, checker: &mut Checker<'_>, matches: &Match, place: &Place<'_>) {
        if let Some(PathPattern::Regex(regex)) = &matches.path {
            self.add_regex(checker, (regex, true), &place.key("path"));
        }
        let fields = [("header", &matches.headers), ("query", &matches.query), ("cookie", &matches.cookies)];
        for (key, fields) in fields {
            let place = place.key(key);
            for field in fields {
                if let ValuePattern::Regex(regex) = &field.value {
                    self.add_regex(checker, (regex, false), &place.key(&field.name));
                }
            }
        }
    }

    fn add_regex(&mut self, checker: &mut Checker<'_>, (regex, whole): (&Arc<str>, bool), place: &Place<'_>) {
        let is_new = self.regexes.insert((regex.clone(), whole));
        if is_new && self.regexes.len() == MAX_REGEXES + 1 {
            let message =
                format!("this is one regular expression more than {MAX_REGEXES}, which is the most");
            let help = "use `/a/**` and `/u/{id}` where they do, or one expression for several routes";
            checker.error("too-large", message, place, help);
        }
    }
}

/// How many segments a request needs for this path: empty ones do not count, but for the one behind a slash at the end.
fn segments(path: &PathPattern) -> usize {
    match path {
        PathPattern::Regex(_) => 0,
        PathPattern::Exact(path) => {
            let last = usize::from(path.ends_with('/'));
            path.split('/').filter(|segment| !segment.is_empty()).count() + last
        }
        PathPattern::Prefix(path) => path.split('/').filter(|segment| !segment.is_empty()).count(),
        PathPattern::Template { segments, open } => {
            let is_empty =
                |segment: &Result<Arc<str>, Arc<str>>| segment.as_ref().is_ok_and(|text| text.is_empty());
            let last = usize::from(!open && segments.last().is_some_and(is_empty));
            segments.iter().filter(|segment| !is_empty(segment)).count() + last
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_counted_as_the_router_does() {
        let cases = [
            ("/", 1),
            ("/a", 1),
            ("/a/", 2),
            ("//a//b", 2),
            ("/**", 0),
            ("/a/**", 1),
            ("/{x}/b/", 3),
            ("/{x}/**", 1),
        ];
        for (text, count) in cases {
            assert_eq!(segments(&super::super::parse::path_pattern(text).unwrap()), count, "{text}");
        }
    }
}
