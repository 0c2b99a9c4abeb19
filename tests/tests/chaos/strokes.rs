//! What befell which server, and when: failures that are put down to it must fit.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base_testkit::Stopwatch;

use super::origin::Fate;

/// So long after a server is well again, a failure may still be its doing: packets that were lost are sent again only then.
const AFTERMATH: Duration = Duration::from_millis(2_500);

/// One stroke of fate.
#[derive(Debug)]
struct Stroke {
    server: String,
    fate: Fate,
    ended: Option<Duration>,
}

/// All of them, as they come.
#[derive(Debug)]
pub(crate) struct Strokes {
    watch: Stopwatch,
    all: Mutex<Vec<Stroke>>,
}

impl Strokes {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self { watch: Stopwatch::start(), all: Mutex::default() }
    }

    /// A server is about to be struck.
    pub(crate) fn begin(&self, server: &str, fate: Fate) {
        self.lock().push(Stroke { server: server.to_owned(), fate, ended: None });
    }

    /// It is well again.
    pub(crate) fn end(&self, server: &str) {
        let now = self.watch.elapsed();
        let mut all = self.lock();
        let open = all.iter_mut().filter(|stroke| stroke.server == server && stroke.ended.is_none());
        open.for_each(|stroke| stroke.ended = Some(now));
    }

    /// The servers that something befalls now, or has befallen so lately that it may still be felt.
    pub(crate) fn now(&self) -> Vec<String> {
        let now = self.watch.elapsed();
        let is_felt = |stroke: &&Stroke| stroke.ended.is_none_or(|ended| ended + AFTERMATH > now);
        self.lock().iter().filter(is_felt).map(|stroke| stroke.server.clone()).collect()
    }

    /// How often each fate befell a server.
    pub(crate) fn count(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        self.lock().iter().for_each(|stroke| *counts.entry(stroke.fate.words()).or_default() += 1);
        counts
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Stroke>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
