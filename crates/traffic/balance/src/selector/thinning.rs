//! Endpoints that get less than their share: how many of a level's requests each of them is due.
//!
//! Counted, not drawn for each offer: a balancer that looks at load offers an idle newcomer nearly every request, and a tenth of
//! all requests is more than a tenth of its share.

use std::time::Duration;

use base_kit::{Moment, Rng};

use crate::balancer::Member;

/// How often shares are looked at. They change by a percent in hundreds of milliseconds.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Requests that an endpoint with all of its share may have missed and is still due, one with less in proportion: balancers that
/// draw offer unevenly, and what is cold must not get many at once.
const MOST_DUE: f64 = 16.0;

/// Who is due how much, on one worker, of one level.
#[derive(Debug, Default)]
pub(super) struct Thinning {
    next_look: Moment,
    /// Requests that were given to the level.
    given: u64,
    /// The largest share that a member gets, in percent: with nobody better they share all there is.
    largest: u32,
    /// Of all members.
    weight: f64,
    /// By the members' order; empty while all get their share.
    dues: Vec<Due>,
}

#[derive(Clone, Copy, Debug)]
struct Due {
    requests: f64,
    /// [`Thinning::given`] when it was last brought up to date.
    seen: u64,
}

impl Thinning {
    /// The members are others.
    pub(super) fn forget(&mut self) {
        self.dues.clear();
        self.next_look = Moment::ZERO;
    }

    /// A request is given to these members.
    pub(super) fn begin(&mut self, members: &[Member], now: Moment, rng: &mut dyn Rng) {
        if now >= self.next_look {
            self.look(members, now, rng);
        }
        self.given += 1;
    }

    #[cold]
    fn look(&mut self, members: &[Member], now: Moment, rng: &mut dyn Rng) {
        self.next_look = now + LOOK_EVERY;
        let shares = || members.iter().map(|member| member.state.share_percent(now));
        self.largest = shares().max().unwrap_or_default();
        if shares().all(|share| share == self.largest) {
            self.dues.clear();
        } else if self.dues.is_empty() {
            self.weight = members.iter().map(|member| f64::from(member.weight)).sum();
            let seen = self.given;
            // At random, so that not every worker keeps it waiting for its first one.
            self.dues.extend(members.iter().map(|_| Due { requests: rng.unit(), seen }));
        }
    }

    /// Whether a request that the balancer offers to this member is left there.
    pub(super) fn admits(&mut self, index: usize, member: &Member, now: Moment) -> bool {
        let Some(due) = self.dues.get_mut(index) else { return true };
        let share = member.state.share_percent(now);
        if share >= self.largest {
            return true;
        }
        let part = f64::from(share) / f64::from(self.largest);
        let since = (self.given - due.seen) as f64;
        let missed = since * part * f64::from(member.weight) / self.weight;
        due.requests = (due.requests + missed).min(1.0 + part * MOST_DUE);
        due.seen = self.given;
        let admits = due.requests >= 1.0;
        if admits {
            due.requests -= 1.0;
        }
        admits
    }
}
