//! The look-up.

use base_model::model::Route;

use crate::compile;
use crate::error::CompileError;
use crate::explain::{Considered, explain};
use crate::request::RequestView;
use crate::tables::Tables;

/// Compiled routes. Immutable; one serves all workers.
#[derive(Debug)]
pub struct Router(Tables);

impl Router {
    /// Compiles the routes of a checked configuration.
    pub fn compile(routes: &[Route]) -> Result<Self, CompileError> {
        compile::compile(routes).map(Self)
    }

    /// The index of the route that takes the request, if one does.
    pub fn find(&self, request: &RequestView<'_>) -> Option<usize> {
        let rule = self.0.search(request, &mut |candidate| {
            !candidate.conditional || self.0.rule(candidate).is_some_and(|rule| rule.holds(request))
        });
        rule.map(|rule| rule as usize)
    }

    /// Which routes were considered, in that order, and why each lost but one; then those that host or path ruled out, in
    /// the order of the document. For people: takes time and memory by the number of routes.
    pub fn explain(&self, request: &RequestView<'_>) -> Vec<Considered> {
        explain(&self.0, request)
    }
}

#[cfg(test)]
mod tests;
