//! What is looked up: hosts, below each its paths, and the conditions that are left then.

pub(crate) mod hosts;
mod index;
mod passages;
pub(crate) mod paths;
pub(crate) mod plant;

pub use passages::Passages;

use base_model::model::HostPattern;

use self::hosts::{HostTable, host_name};
use self::paths::{Candidate, Forest};
use crate::conditions::Condition;
use crate::request::RequestView;

/// Routes, ready to be looked up.
#[derive(Debug)]
pub(crate) struct Tables {
    pub(crate) hosts: HostTable,
    pub(crate) forest: Forest,
    /// By index of the route.
    pub(crate) rules: Box<[Rule]>,
}

/// What is left to ask when host and path fit.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) conditions: Box<[Condition]>,
    /// To explain with: the look-up itself goes by the tables.
    pub(crate) hosts: Box<[HostPattern]>,
}

impl Tables {
    /// Offers the rules that host and path lead to, the most specific first, until `accept` takes one.
    pub(crate) fn search(
        &self,
        request: &RequestView<'_>,
        accept: &mut impl FnMut(Candidate) -> bool,
    ) -> Option<u32> {
        let mut buffer = hosts::EMPTY_BUFFER;
        let name = host_name(request.host, &mut buffer);
        self.hosts.search(name, |host| self.forest.search(host, request.path, accept))
    }

    pub(crate) fn rule(&self, candidate: Candidate) -> Option<&Rule> {
        self.rules.get(candidate.rule as usize)
    }
}

impl Rule {
    pub(crate) fn holds(&self, request: &RequestView<'_>) -> bool {
        self.conditions.iter().all(|condition| condition.holds(request))
    }
}
