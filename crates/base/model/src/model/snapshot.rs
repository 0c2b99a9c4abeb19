//! One configuration in use.

use std::fmt;
use std::sync::Arc;

use crate::model::Model;

/// A model with its number. Never changes; a new configuration is a new snapshot.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Counts up by one with every configuration that is put in use.
    pub generation: u64,
    /// What is in use.
    pub model: Arc<Model>,
    /// The text it was made from.
    pub source: Arc<str>,
    /// Tells texts apart.
    pub fingerprint: Fingerprint,
}

impl Snapshot {
    /// The snapshot of this number.
    pub fn new(generation: u64, model: Arc<Model>, source: Arc<str>) -> Self {
        let fingerprint = Fingerprint::of(&source);
        Self { generation, model, source, fingerprint }
    }
}

/// A short name for a text: equal texts have equal ones, and different texts almost never. Not for security.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// FNV-1a, 64 bits: the same on every machine and in every version.
    pub fn of(text: &str) -> Self {
        const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0000_0100_0000_01b3;
        Self(text.bytes().fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME)))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_those_of_fnv() {
        assert_eq!(Fingerprint::of("").to_string(), "cbf29ce484222325");
        assert_eq!(Fingerprint::of("foobar").to_string(), "85944171f73967e8");
    }
}
