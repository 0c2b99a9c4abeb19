//! The endpoints of a pool that a request may go to, by tier and zone where that makes a difference.

use std::fmt::Write as _;

use base_model::model::Pool;
use serde_json::{Value, json};
use traffic_proxy::{EndpointChoice, PoolChoice};

/// Endpoints shown of each level.
const SHOWN: usize = 8;

/// Writes a line for each endpoint, in the order in which they would be tried. That of a session comes before all levels.
pub(super) fn write(pool: &Pool, choice: &PoolChoice, is_bound: bool, text: &mut String) {
    let (first, rest) = choice.order.split_at(usize::from(is_bound).min(choice.order.len()));
    let is_certain = is_bound || choice.is_fixed;
    write_names(first, "", true, text);
    for same_level in rest.chunk_by(|one, next| one.level == next.level) {
        if let (2.., [first, ..]) = (choice.levels.len(), same_level) {
            let _ = writeln!(text, "          {}", title(pool, choice, first.level));
            write_names(same_level, "  ", is_certain, text);
        } else {
            write_names(same_level, "", is_certain, text);
        }
    }
}

/// With how often each is the first, where that is not always the same one.
fn write_names(candidates: &[EndpointChoice], indent: &str, is_certain: bool, text: &mut String) {
    for EndpointChoice { name, first, .. } in candidates.iter().take(SHOWN) {
        let _ = match first {
            0.0 => writeln!(text, "          {indent}{name}"),
            _ if is_certain => writeln!(text, "          {indent}{name}"),
            first => writeln!(text, "          {indent}{name}, the first for {:.0}%", first * 100.0),
        };
    }
    if candidates.len() > SHOWN {
        let _ = writeln!(text, "          {indent}and {} more", candidates.len() - SHOWN);
    }
}

fn title(pool: &Pool, choice: &PoolChoice, number: u8) -> String {
    let Some(level) = choice.levels.iter().find(|level| level.number == number) else { return String::new() };
    let zone = match &pool.preference.zone {
        None => String::new(),
        Some(zone) if level.is_near() => format!(", zone {zone}"),
        Some(_) => ", other zones".to_owned(),
    };
    let share = match level.share {
        0.0 => "in reserve".to_owned(),
        share => format!("{:.0}% of the requests", share * 100.0),
    };
    format!("tier {}{zone}, {share}", level.tier())
}

/// The same for programs.
pub(super) fn to_json(choice: &PoolChoice) -> Value {
    let of = |level: &traffic_balance::Level| {
        let members = choice.order.iter().filter(|candidate| candidate.level == level.number);
        json!({
            "tier": level.tier(),
            "near": level.is_near(),
            "share": level.share,
            "endpoints": members.clone().map(|candidate| &*candidate.name).collect::<Vec<_>>(),
            "first-shares": members.map(|candidate| candidate.first).collect::<Vec<_>>(),
        })
    };
    choice.levels.iter().map(of).collect()
}
