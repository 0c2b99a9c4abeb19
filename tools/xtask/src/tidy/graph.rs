//! Cycles in a directed graph of names.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Which name points to which.
pub(crate) type Edges = BTreeMap<String, BTreeSet<String>>;

/// Shortest cycles, at most one through each name as its start, as the names along it; the first is not repeated at the end.
pub(crate) fn cycles(edges: &Edges) -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = Vec::new();
    let mut seen = BTreeSet::new();
    for start in edges.keys() {
        if seen.contains(start) {
            continue;
        }
        if let Some(cycle) = shortest_cycle(edges, start) {
            seen.extend(cycle.iter().cloned());
            found.push(cycle);
        }
    }
    found
}

fn shortest_cycle(edges: &Edges, start: &String) -> Option<Vec<String>> {
    let mut came_from: BTreeMap<&String, &String> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(name) = queue.pop_front() {
        for next in edges.get(name).into_iter().flatten() {
            if next == start {
                return Some(way_back(&came_from, start, name));
            }
            if !came_from.contains_key(next) {
                came_from.insert(next, name);
                queue.push_back(next);
            }
        }
    }
    None
}

fn way_back(came_from: &BTreeMap<&String, &String>, start: &String, end: &String) -> Vec<String> {
    let mut way = vec![end.clone()];
    let mut name = end;
    while name != start {
        let Some(before) = came_from.get(name) else { break };
        name = before;
        way.push(name.clone());
    }
    way.reverse();
    way
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(pairs: &[(&str, &str)]) -> Edges {
        let mut edges = Edges::new();
        for (from, to) in pairs {
            edges.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        edges
    }

    #[test]
    fn a_diamond_has_none() {
        assert!(cycles(&edges(&[("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")])).is_empty());
    }

    #[test]
    fn finds_the_shortest_of_each_name_not_yet_on_one() {
        let found = cycles(&edges(&[
            ("a", "b"),
            ("b", "c"),
            ("c", "a"),
            ("b", "a"),
            ("x", "y"),
            ("y", "x"),
            ("d", "a"),
        ]));
        assert_eq!(found, [vec!["a", "b"], vec!["c", "a", "b"], vec!["x", "y"]]);
    }

    #[test]
    fn a_loop_is_a_cycle() {
        assert_eq!(cycles(&edges(&[("a", "a")])), [vec!["a"]]);
    }
}
