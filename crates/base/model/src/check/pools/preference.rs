//! Who comes first: what is said of this node, and settings that make a difference.

use base_kit::Percent;

use crate::check::checker::Checker;
use crate::document;
use crate::model::{Preference, Subset};
use crate::text::Place;

/// Which endpoints are preferred. What makes no difference is warned of.
pub(super) fn check(
    checker: &mut Checker<'_>,
    pool: &document::Pool,
    node: &document::Node,
    place: &Place<'_>,
) -> Preference {
    zones(checker, pool, node, &place.key("endpoints"));
    subset(checker, pool, node, place);
    spill_over(checker, pool, &place.key("spill-over"));
    if pool.panic == Percent::ALL && checker.clean {
        let message = "with one endpoint out, all get traffic again: no check takes one out".to_owned();
        checker.warning("always-panic", message, &place.key("panic"), "write a share such as `40%`");
    }
    let subset = |size| Some(Subset { size, node: node.name.as_deref()?.into() });
    Preference {
        zone: node.zone.as_deref().map(Into::into),
        subset: pool.subset.and_then(subset),
        ..Preference::from(pool)
    }
}

/// Warns when zones make no difference, or the wrong one.
fn zones(checker: &mut Checker<'_>, pool: &document::Pool, node: &document::Node, place: &Place<'_>) {
    let mut zones = pool
        .endpoints
        .iter()
        .enumerate()
        .filter_map(|(index, endpoint)| Some((index, endpoint.zone.as_ref()?)));
    let Some((index, _)) = zones.clone().next().filter(|_| checker.clean) else { return };
    match &node.zone {
        None => {
            let message = "zones make no difference: it is not said which one this node is in".to_owned();
            let help = "write it at the top: `node: {zone: \"${ZONE}\"}`";
            checker.warning("no-node-zone", message, &place.index(index), help);
        }
        Some(own) if zones.all(|(_, zone)| zone != own) => {
            let message = format!("no endpoint is in the zone of this node, `{own}`: all are far");
            let help = "compare the words of `node.zone` and of the endpoints, or leave it if that is meant";
            checker.warning("no-near-endpoint", message, &place.index(index), help);
        }
        Some(_) => {
            if let Some(index) = pool.endpoints.iter().position(|endpoint| endpoint.zone.is_none()) {
                let message = "it has no zone where others have one: it counts as far".to_owned();
                let help = "give it its `zone`";
                checker.warning("no-zone", message, &place.index(index), help);
            }
        }
    }
}

fn subset(checker: &mut Checker<'_>, pool: &document::Pool, node: &document::Node, place: &Place<'_>) {
    let Some(size) = pool.subset else { return };
    if node.name.is_none() {
        let message = format!("`{place}` uses a subset, but this node has no name to choose it by");
        let help = "give each node its own: `node: {name: \"${HOSTNAME}\"}`";
        checker.key_error("no-node-name", message, &place.key("subset"), help);
        return;
    }
    let count = pool.endpoints.len();
    if checker.clean && count > 0 && size as usize >= count {
        let message = format!("a subset of {size} makes no difference: the pool has {count} endpoints");
        let help = "make it smaller, or leave it if endpoints are added at run time";
        checker.warning("large-subset", message, &place.key("subset"), help);
    }
}

/// Warns where there is nothing that traffic could go on to.
fn spill_over(checker: &mut Checker<'_>, pool: &document::Pool, place: &Place<'_>) {
    let tier = |endpoint: &document::Endpoint| endpoint.tier.unwrap_or_default();
    let first = pool.endpoints.first().map(tier);
    let is_one = pool.endpoints.iter().all(|endpoint| Some(tier(endpoint)) == first);
    if checker.clean && is_one && pool.spill_over.tiers != document::SpillOver::default().tiers {
        let message = "it makes no difference: all endpoints are of the same tier".to_owned();
        let help = "give the backup `tier: 1`, or leave it if endpoints are added at run time";
        checker.warning("one-tier", message, &place.key("tiers"), help);
    }
}

impl From<&document::Pool> for Preference {
    /// Without what the node is called and where it is.
    fn from(pool: &document::Pool) -> Self {
        Self {
            zone: None,
            tier_suffices: pool.spill_over.tiers.share(),
            zone_suffices: pool.spill_over.zones.share(),
            panic_below: pool.panic.share(),
            subset: None,
        }
    }
}
