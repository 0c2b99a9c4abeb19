//! Which connections are passed on by what they ask for in TLS, and where to.
//!
//! The order is that of hosts of requests: the exact name, then the longest `*.` suffix, then any name; among entries for the same name those that ask
//! for a protocol, then the others, each in the order of the document. Where an entry wants another protocol, the next one in this order is tried.

use std::collections::HashMap;

use base_model::model::{HostPattern, PassThrough};

/// The entries of one listener, compiled. What a look-up costs does not grow with the number of names.
#[derive(Debug, Default)]
pub struct Passages {
    exact: HashMap<Box<str>, Vec<Passage>>,
    /// By what follows the `*.`.
    below: HashMap<Box<str>, Vec<Passage>>,
    any: Vec<Passage>,
}

/// An entry, under one of its names.
#[derive(Debug)]
struct Passage {
    /// Any of these; all, if there are none.
    protocols: Box<[Box<[u8]>]>,
    pool: usize,
}

impl Passages {
    /// Compiles the entries of a listener.
    pub fn compile(entries: &[PassThrough]) -> Self {
        let mut passages = Self::default();
        let (for_some, for_all): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| !entry.alpn.is_empty());
        for entry in for_some.into_iter().chain(for_all) {
            let passage = || Passage {
                protocols: entry.alpn.iter().map(|protocol| protocol.as_bytes().into()).collect(),
                pool: entry.pool,
            };
            if entry.names.is_empty() {
                passages.any.push(passage());
            }
            for name in &entry.names {
                let (table, name) = match name {
                    HostPattern::Exact(name) => (&mut passages.exact, name),
                    HostPattern::Below(name) => (&mut passages.below, name),
                };
                table.entry((**name).into()).or_default().push(passage());
            }
        }
        passages
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.below.is_empty() && self.any.is_empty()
    }

    /// The pool for a client that asks for this name (in lower case, without a final dot) and speaks these protocols.
    pub fn find(&self, name: Option<&str>, protocols: &[Box<[u8]>]) -> Option<usize> {
        let exact = name.and_then(|name| self.exact.get(name));
        let below = name.into_iter().flat_map(suffixes).filter_map(|suffix| self.below.get(suffix));
        let in_order = exact.into_iter().chain(below).flatten().chain(&self.any);
        in_order.into_iter().find(|passage| passage.takes(protocols)).map(|passage| passage.pool)
    }
}

impl Passage {
    fn takes(&self, protocols: &[Box<[u8]>]) -> bool {
        self.protocols.is_empty() || self.protocols.iter().any(|wanted| protocols.contains(wanted))
    }
}

/// What follows each dot but a leading one, the longest first.
fn suffixes(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('.').filter(|(dot, _)| *dot > 0).filter_map(|(dot, _)| name.get(dot + 1..))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(names: &[&str], alpn: &[&str], pool: usize) -> PassThrough {
        let pattern = |name: &&str| match name.strip_prefix("*.") {
            Some(name) => HostPattern::Below(name.into()),
            None => HostPattern::Exact((*name).into()),
        };
        let alpn = alpn.iter().map(|protocol| (*protocol).into()).collect();
        PassThrough { names: names.iter().map(pattern).collect(), alpn, pool }
    }

    fn find(passages: &Passages, name: &str, protocols: &[&str]) -> Option<usize> {
        let protocols: Vec<Box<[u8]>> = protocols.iter().map(|protocol| protocol.as_bytes().into()).collect();
        passages.find(Some(name).filter(|name| !name.is_empty()), &protocols)
    }

    #[test]
    fn the_most_specific_entry_wins() {
        let passages = Passages::compile(&[
            entry(&[], &["h2"], 0),
            entry(&["*.example.com"], &[], 1),
            entry(&["*.db.example.com", "db.example.com"], &[], 2),
            entry(&["a.db.example.com"], &[], 3),
            entry(&["a.db.example.com"], &["postgresql", "h2"], 4),
            entry(&["b.db.example.com"], &["h2"], 5),
        ]);
        for (name, protocols, pool) in [
            ("x.example.com", &[][..], Some(1)),
            ("x.y.example.com", &[], Some(1)),
            ("example.com", &[], None),
            ("example.com", &["h2"], Some(0)),
            ("db.example.com", &[], Some(2)),
            ("x.db.example.com", &["h2"], Some(2)),
            ("a.db.example.com", &[], Some(3)),
            ("a.db.example.com", &["http/1.1", "h2"], Some(4)),
            ("b.db.example.com", &["h2"], Some(5)),
            ("b.db.example.com", &["http/1.1"], Some(2)),
            (".example.com", &[], None),
            ("", &[], None),
            ("", &["h2"], Some(0)),
        ] {
            assert_eq!(find(&passages, name, protocols), pool, "{name} {protocols:?}");
        }
    }

    #[test]
    fn the_order_of_the_document_breaks_ties() {
        let passages = Passages::compile(&[entry(&["a.b"], &[], 0), entry(&["a.b"], &[], 1)]);
        assert_eq!(find(&passages, "a.b", &[]), Some(0));
        assert!(!passages.is_empty());
        assert!(Passages::compile(&[]).is_empty());
        assert_eq!(find(&Passages::default(), "a.b", &["h2"]), None);
    }
}
