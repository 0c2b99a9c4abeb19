//! What an agent beside an endpoint asks for: a share of its weight, and no new requests while it drains.
//!
//! It stands beside the operator's wish, not over it: an endpoint takes traffic when both are ready.

use std::sync::atomic::{AtomicU32, Ordering};

use super::{AdminState, EndpointState};
use crate::transition::{CauseKind, Transition};

/// The largest share of its weight that an agent can ask for, in percent: beyond ten times, weights are to be changed.
pub const MAX_AGENT_PERCENT: u32 = 1_000;

/// What an agent asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentWish {
    /// Share of the endpoint's weight, in percent; 0 takes no new requests. At most [`MAX_AGENT_PERCENT`].
    pub percent: u32,
    /// Whether it takes new requests at all.
    pub state: AdminState,
}

impl AgentWish {
    /// All of its weight: what holds without an agent.
    pub const READY: Self = Self { percent: 100, state: AdminState::Ready };

    /// The state it comes to: a share of nothing is a drain.
    pub fn effective_state(self) -> AdminState {
        match self.state {
            AdminState::Ready if self.percent == 0 => AdminState::Drain,
            state => state,
        }
    }

    /// The more careful of both: the smaller share, the state further out.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let state = if other.state as u8 > self.state as u8 { other.state } else { self.state };
        Self { percent: self.percent.min(other.percent), state }
    }
}

/// A wish, or none, in one atomic number, so that its parts always fit together.
#[derive(Debug, Default)]
pub(super) struct AgentCell(AtomicU32);

/// Below it the percentage, above it the state.
const STATE_SHIFT: u32 = 16;
/// Marks that there is a wish.
const PRESENT: u32 = 1 << 31;
const _: () = assert!(MAX_AGENT_PERCENT < 1 << STATE_SHIFT);

impl AgentCell {
    fn load(&self) -> Option<AgentWish> {
        Self::unpack(self.0.load(Ordering::Acquire))
    }

    fn swap(&self, wish: Option<AgentWish>) -> Option<AgentWish> {
        let pack = |wish: AgentWish| wish.percent | PRESENT | (u32::from(wish.state as u8) << STATE_SHIFT);
        let packed = wish.map_or(0, pack);
        Self::unpack(self.0.swap(packed, Ordering::AcqRel))
    }

    fn unpack(packed: u32) -> Option<AgentWish> {
        (packed & PRESENT != 0).then(|| {
            let [low, high, state, _] = packed.to_le_bytes();
            let percent = u32::from(u16::from_le_bytes([low, high]));
            AgentWish { percent, state: AdminState::from_bits(state) }
        })
    }
}

impl EndpointState {
    /// What its agent asks for; `None` if it has none, or none has spoken.
    pub fn agent(&self) -> Option<AgentWish> {
        self.agent.load()
    }

    /// Sets what its agent asks for. Gives the change of state, if it is one: another share alone is none.
    pub fn set_agent(&self, wish: Option<AgentWish>, kind: CauseKind, cause: &str) -> Option<Transition> {
        let wish = wish.map(|wish| AgentWish { percent: wish.percent.min(MAX_AGENT_PERCENT), ..wish });
        let before = self.agent.swap(wish);
        if before == wish {
            return None;
        }
        let state = |wish: Option<AgentWish>| wish.unwrap_or(AgentWish::READY).effective_state();
        if state(before) == state(wish) {
            self.bump_epoch();
            return None;
        }
        Some(self.changed(state(before).word(), state(wish).word(), kind, cause.to_owned()))
    }

    pub(super) fn is_wanted_by_agent(&self) -> bool {
        self.agent().is_none_or(|wish| wish.effective_state() == AdminState::Ready)
    }
}

#[cfg(test)]
mod tests {
    use base_kit::Moment;

    use super::*;
    use crate::fixture::{endpoint, pool};
    use crate::pool::PoolState;

    fn wish(percent: u32, state: AdminState) -> Option<AgentWish> {
        Some(AgentWish { percent, state })
    }

    #[test]
    fn it_stands_beside_the_operator() {
        let pool = PoolState::new(&pool("p", vec![endpoint(0, 1)]));
        let endpoint = &pool.endpoints()[0];
        let epoch = pool.epoch();
        assert_eq!(endpoint.set_agent(wish(40, AdminState::Ready), CauseKind::AgentCheck, "40%"), None);
        assert!(pool.epoch() > epoch, "workers see another share");
        let drained =
            endpoint.set_agent(wish(40, AdminState::Drain), CauseKind::AgentCheck, "drain").unwrap();
        assert_eq!((drained.from, drained.to, drained.kind.word()), ("ready", "drain", "agent-check"));
        assert_eq!(endpoint.admin_state(), AdminState::Ready);
        assert!(!endpoint.is_eligible(Moment::ZERO));
        let told = endpoint.set_agent(wish(0, AdminState::Ready), CauseKind::AgentCheck, "0%");
        assert_eq!(told, None, "nothing is a drain, too");
        endpoint.set_admin_state(AdminState::Maintenance, "test");
        let back = endpoint.set_agent(None, CauseKind::AgentCheck, "ready").unwrap();
        assert_eq!((back.from, back.to), ("drain", "ready"));
        assert!(!endpoint.is_eligible(Moment::ZERO), "the operator still wants it out");
        endpoint.set_admin_state(AdminState::Ready, "test");
        assert!(endpoint.is_eligible(Moment::ZERO));
    }

    #[test]
    fn the_careful_one_of_two_agents_holds() {
        let ready = AgentWish { percent: 30, state: AdminState::Ready };
        let out = AgentWish { percent: 80, state: AdminState::Maintenance };
        let both = AgentWish { percent: 30, state: AdminState::Maintenance };
        assert_eq!((ready.and(out), out.and(ready)), (both, both));
    }
}
