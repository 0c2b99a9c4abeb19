//! The look-up.

use base_model::model::{HostPattern, Route};

use crate::compile::{self, CompileError};
use crate::conditions::Condition;
use crate::explain::{Considered, explain};
use crate::hosts::{HostTable, MAX_HOST_BYTES, host_name};
use crate::paths::{Candidate, Forest};
use crate::request::RequestView;

/// Compiled routes. Immutable; one serves all workers.
#[derive(Debug)]
pub struct Router {
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

impl Router {
    /// Compiles the routes of a checked configuration.
    pub fn compile(routes: &[Route]) -> Result<Self, CompileError> {
        compile::compile(routes)
    }

    /// The index of the route that takes the request, if one does.
    pub fn find(&self, request: &RequestView<'_>) -> Option<usize> {
        let rule = self.search(request, &mut |candidate| {
            !candidate.conditional || self.rule(candidate).is_some_and(|rule| rule.holds(request))
        });
        rule.map(|rule| rule as usize)
    }

    /// Which routes were considered, in that order, and why each lost but one; then those that host or path ruled out, in
    /// the order of the document. For people: takes time and memory by the number of routes.
    pub fn explain(&self, request: &RequestView<'_>) -> Vec<Considered> {
        explain(self, request)
    }

    /// Offers the rules that host and path lead to, the most specific first, until `accept` takes one.
    pub(crate) fn search(
        &self,
        request: &RequestView<'_>,
        accept: &mut impl FnMut(Candidate) -> bool,
    ) -> Option<u32> {
        let mut buffer = [0; MAX_HOST_BYTES];
        let name = host_name(request.host, &mut buffer);
        self.hosts.search(name, |host| self.forest.search(host, request.path, accept))
    }

    pub(crate) fn rule(&self, candidate: Candidate) -> Option<&Rule> {
        self.rules.get(candidate.rule as usize)
    }
}

impl Rule {
    fn holds(&self, request: &RequestView<'_>) -> bool {
        self.conditions.iter().all(|condition| condition.holds(request))
    }
}

#[cfg(test)]
mod tests;
