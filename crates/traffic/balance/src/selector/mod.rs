//! What stands around any balancer: levels of preference, and endpoints that do not get all of their share.
//!
//! Each level has a balancer of its own over its endpoints, which therefore hears of no others. A request is given to a level
//! by the levels' shares; when that has no candidate left, to the others in their order.

use base_kit::{Moment, Rng};

use crate::balancer::{
    Balancer, BalancerKind, FactsNeeded, Feedback, Member, Probing, RequestFacts, SettingsError,
};
use crate::endpoint::{EndpointId, EndpointState, ProbeAnswer};
use crate::methods::hash::mix;
use crate::pool::PoolState;

use self::thinning::Thinning;

mod thinning;

/// Candidates that are passed over for one request because they get less than their share. When there are more in a row, the
/// first of them has to do: looking further costs more than it is worth.
const MOST_PASSED_OVER: usize = 32;

/// Makes the draw of a level independent of the choice in it.
const LEVEL_SEED: u64 = 0x3c6e_f372_fe94_f82b;

/// How balancers are made.
type Build = Box<dyn Fn() -> Result<Box<dyn Balancer>, SettingsError>>;

/// Chooses endpoints of one pool on one worker.
pub struct Selector {
    build: Build,
    needs: FactsNeeded,
    probing: Option<Probing>,
    /// The pool's epoch that the rest was made from.
    epoch: Option<u64>,
    /// In the order of preference. One stays, with what its balancer knows, when it has no members for a while.
    levels: Vec<LocalLevel>,
    /// Of all levels, one after the other.
    members: Vec<Member>,
}

struct LocalLevel {
    number: u8,
    share: f64,
    balancer: Box<dyn Balancer>,
    thinning: Thinning,
    /// Its members: from here on in the selector's, and so many.
    first: usize,
    count: usize,
}

/// A candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    /// In [`Selector::members`].
    pub index: usize,
    /// Its level's number.
    pub level: u8,
}

impl Selector {
    /// One for a pool with this balancer.
    ///
    /// # Errors
    /// When the balancer does not accept its settings.
    pub fn new(kind: &'static dyn BalancerKind, settings: serde_json::Value) -> Result<Self, SettingsError> {
        let build: Build = Box::new(move || kind.build(&settings));
        let balancer = build()?;
        let (needs, probing) = (balancer.needs(), balancer.probing());
        Ok(Self { build, needs, probing, epoch: None, levels: Vec::new(), members: Vec::new() })
    }

    /// Which facts about requests the balancer looks at.
    pub const fn needs(&self) -> &FactsNeeded {
        &self.needs
    }

    /// How endpoints are to be asked beside traffic, if at all.
    pub fn probing(&self) -> Option<Probing> {
        self.probing.clone()
    }

    /// Takes in changes of the pool since the last time; whether there were any.
    pub fn refresh(&mut self, pool: &PoolState, now: Moment) -> bool {
        let epoch = pool.epoch();
        if self.epoch == Some(epoch) {
            return false;
        }
        let levels = pool.levels(now);
        let is_gone = |local: &&mut LocalLevel| levels.iter().all(|level| level.number != local.number);
        for local in self.levels.iter_mut().filter(is_gone) {
            local.share = 0.0;
            local.count = 0;
            local.balancer.update(&[]);
        }
        self.members.clear();
        for level in levels {
            let first = self.members.len();
            if let Some(local) = self.level(level.number) {
                local.balancer.update(&level.members);
                local.thinning.forget();
                (local.share, local.first, local.count) = (level.share, first, level.members.len());
                self.members.extend(level.members);
            }
        }
        self.epoch = Some(epoch);
        true
    }

    /// The endpoints that may take traffic.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// How many of them take it now; the others are in reserve.
    pub fn in_use(&self) -> usize {
        let share =
            |number: u8| self.levels.iter().find(|level| level.number == number).map(|level| level.share);
        self.members.iter().filter(|member| share(member.state.level()) > Some(0.0)).count()
    }

    /// The next candidate that is not in `tried`; `None` when none is left. `tried` is left as it was.
    pub fn pick(
        &mut self,
        request: &RequestFacts,
        tried: &mut Vec<EndpointId>,
        now: Moment,
        rng: &mut dyn Rng,
    ) -> Option<Pick> {
        let drawn = self.draw(request, rng);
        let others = (0..self.levels.len()).filter(|index| *index != drawn);
        std::iter::once(drawn).chain(others).find_map(|index| {
            let level = self.levels.get_mut(index)?;
            level.pick(&self.members, request, tried, now, rng)
        })
    }

    /// Tells the balancer what became of a request.
    pub fn feedback(&mut self, endpoint: &EndpointState, event: Feedback, now: Moment) {
        if let Some(level) = self.level_of(endpoint) {
            level.balancer.feedback(endpoint, event, now);
        }
    }

    /// The endpoint, in [`Selector::members`], that a balancer wants to be asked now, until there is none.
    pub fn next_probe(&mut self, now: Moment, rng: &mut dyn Rng) -> Option<usize> {
        let in_use = self.levels.iter_mut().filter(|level| level.share > 0.0);
        in_use.filter_map(|level| Some(level.first + level.balancer.next_probe(now, rng)?)).next()
    }

    /// Tells the balancer what an endpoint answered when it was asked.
    pub fn probed(&mut self, endpoint: &EndpointState, answer: ProbeAnswer, now: Moment) {
        if let Some(level) = self.level_of(endpoint) {
            level.balancer.probed(endpoint, answer, now);
        }
    }

    /// The level that a request is for, by their shares: drawn, unless the balancer wants to find the same again for requests that
    /// have something in common.
    fn draw(&self, request: &RequestFacts, rng: &mut dyn Rng) -> usize {
        let first = self.levels.iter().position(|level| level.share > 0.0).unwrap_or(0);
        let Some(level) = self.levels.get(first).filter(|level| level.share < 1.0) else { return first };
        let mut point = match level.balancer.affinity(request) {
            Some(hash) => mix(hash ^ LEVEL_SEED) as f64 / 2_f64.powi(64),
            None => rng.unit(),
        };
        for (index, level) in self.levels.iter().enumerate() {
            point -= level.share;
            if point < 0.0 {
                return index;
            }
        }
        first
    }

    fn level_of(&mut self, endpoint: &EndpointState) -> Option<&mut LocalLevel> {
        let number = endpoint.level();
        self.levels.iter_mut().find(|level| level.number == number)
    }

    /// The level of this number; it is made when it is new.
    fn level(&mut self, number: u8) -> Option<&mut LocalLevel> {
        let index = match self.levels.binary_search_by_key(&number, |level| level.number) {
            Ok(index) => index,
            Err(index) => {
                // It could be built once with these settings.
                let balancer = (self.build)().ok()?;
                let thinning = Thinning::default();
                self.levels
                    .insert(index, LocalLevel { number, share: 0.0, balancer, thinning, first: 0, count: 0 });
                index
            }
        };
        self.levels.get_mut(index)
    }

    /// Asserts that the inner state is sound; for tests and simulations.
    pub fn check_invariants(&self) {
        assert!(self.levels.is_sorted_by(|a, b| a.number < b.number), "levels in order");
        let sum: f64 = self.levels.iter().map(|level| level.share).sum();
        assert!(self.members.is_empty() || (sum - 1.0).abs() < 1e-9, "shares sum to {sum}");
        for level in &self.levels {
            level.balancer.check_invariants();
        }
    }
}

impl LocalLevel {
    fn pick(
        &mut self,
        members: &[Member],
        request: &RequestFacts,
        tried: &mut Vec<EndpointId>,
        now: Moment,
        rng: &mut dyn Rng,
    ) -> Option<Pick> {
        let members = members.get(self.first..self.first + self.count)?;
        self.thinning.begin(members, now, rng);
        let before = tried.len();
        let mut passed_over = None;
        let picked = loop {
            let Some(index) = self.balancer.pick(request, tried, now, rng) else { break passed_over };
            let Some(member) = members.get(index) else { break passed_over };
            if self.thinning.admits(index, member, now) {
                break Some(index);
            }
            passed_over = passed_over.or(Some(index));
            tried.push(member.id);
            if tried.len() - before == MOST_PASSED_OVER {
                break passed_over;
            }
        };
        tried.truncate(before);
        picked.map(|index| Pick { index: self.first + index, level: self.number })
    }
}

#[cfg(test)]
mod tests;
