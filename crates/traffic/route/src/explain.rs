//! Why a request went where it went.

use base_model::model::HostPattern;

use crate::conditions::Loss;
use crate::request::RequestView;
use crate::tables::Tables;
use crate::tables::hosts::{EMPTY_BUFFER, configured_name, host_name};

/// What became of one route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Considered {
    /// Its index.
    pub route: usize,
    /// Whether it took the request.
    pub verdict: Verdict,
}

/// Whether a route took the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It did.
    Matched,
    /// It did not.
    Lost(Loss),
}

/// See [`crate::Router::explain`].
pub(crate) fn explain(tables: &Tables, request: &RequestView<'_>) -> Vec<Considered> {
    let mut verdicts: Vec<Option<Verdict>> = vec![None; tables.rules.len()];
    let mut order = Vec::new();
    let mut winner = None;
    // The same walk as for a look-up, only that nothing is ever taken, so that it sees all.
    tables.search(request, &mut |candidate| {
        let route = candidate.rule as usize;
        if let (Some(verdict @ None), Some(rule)) = (verdicts.get_mut(route), tables.rule(candidate)) {
            let failed = rule.conditions.iter().find(|condition| !condition.holds(request));
            *verdict = Some(match (failed, winner) {
                (Some(condition), _) => Verdict::Lost(condition.loss()),
                (None, Some(by)) => Verdict::Lost(Loss::Outranked { by }),
                (None, None) => {
                    winner = Some(route);
                    Verdict::Matched
                }
            });
            order.push(route);
        }
        false
    });
    let ruled_out: Vec<usize> =
        (0..verdicts.len()).filter(|&route| matches!(verdicts.get(route), Some(None))).collect();
    let mut buffer = EMPTY_BUFFER;
    let name = host_name(request.host, &mut buffer);
    let reached = order
        .into_iter()
        .filter_map(|route| Some(Considered { route, verdict: verdicts.get_mut(route)?.take()? }));
    let mut considered: Vec<Considered> = reached.collect();
    considered.extend(ruled_out.into_iter().map(|route| {
        let hosts = tables.rules.get(route).map_or(&[][..], |rule| &rule.hosts);
        let loss = if takes_host(hosts, name) { Loss::Path } else { Loss::Host };
        Considered { route, verdict: Verdict::Lost(loss) }
    }));
    considered
}

fn takes_host(patterns: &[HostPattern], name: &[u8]) -> bool {
    patterns.is_empty()
        || patterns.iter().any(|pattern| match pattern {
            HostPattern::Exact(host) => configured_name(host).is_some_and(|host| host == name),
            HostPattern::Below(host) => configured_name(host).is_some_and(|host| {
                let front = name.strip_suffix(host.as_slice()).and_then(|front| front.strip_suffix(b"."));
                front.is_some_and(|front| !front.is_empty())
            }),
        })
}
