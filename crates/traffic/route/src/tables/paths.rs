//! The path tree of every host, all in common arenas.
//!
//! Each node stands for the segments that lead to it. Few literal children are compared one by one, many are found by
//! hash. A look-up visits a node at most once, so that it ends however patterns and paths are made.

use regex::bytes::Regex;

use super::index::HashIndex;
use crate::values::with_merged_slashes;

/// Up to this many literal children are compared one by one: cheaper than hashing the segment.
pub(crate) const COMPARED_CHILDREN: u32 = 4;

/// No child.
pub(crate) const NO_NODE: u32 = u32::MAX;

/// A rule that host and path lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Index of the route.
    pub(crate) rule: u32,
    /// Whether there are further conditions.
    pub(crate) conditional: bool,
}

/// What is served under a host.
#[derive(Debug)]
pub(crate) struct Host {
    /// Behind the first slash.
    pub(crate) branches: Branches,
    /// In [`Forest::expressions`].
    pub(crate) expressions: Run,
    /// Routes that take every path.
    pub(crate) everything: Candidates,
}

/// The segments that one more step leads to, and what ends there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    /// The literal segment that leads here, in [`Forest::text`].
    pub(crate) segment: Run,
    /// For paths that end here.
    pub(crate) closed: Candidates,
    /// For paths that end here or further down.
    pub(crate) open: Candidates,
    pub(crate) branches: Branches,
}

/// What follows a slash.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Branches {
    /// The nodes for literal segments, in [`Forest::nodes`].
    pub(crate) literals: Run,
    /// Length of the longest segment among them: a longer one need not be hashed.
    pub(crate) longest: u32,
    /// The node for any segment that is not empty.
    pub(crate) named: u32,
}

/// A part of an arena.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Run {
    pub(crate) start: u32,
    pub(crate) count: u32,
}

/// A part of [`Forest::candidates`], or one candidate that stands here itself: most often there is no other, and a look-up
/// in large tables is as slow as the number of places it touches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidates {
    /// The rule, if it stands here.
    start: u32,
    /// Or [`Candidates::ALONE`], with or without [`Candidates::CONDITIONAL`].
    count: u32,
}

impl Candidates {
    const ALONE: u32 = 1 << 31;
    const CONDITIONAL: u32 = 1 << 30;
    pub(crate) const NONE: Self = Self { start: 0, count: 0 };

    pub(crate) fn alone(Candidate { rule, conditional }: Candidate) -> Self {
        Self { start: rule, count: Self::ALONE | if conditional { Self::CONDITIONAL } else { 0 } }
    }

    /// A part of the arena.
    pub(crate) fn run(run: Run) -> Self {
        Self { start: run.start, count: run.count }
    }
}

/// All path trees.
#[derive(Debug, Default)]
pub(crate) struct Forest {
    pub(crate) nodes: Vec<Node>,
    /// The segments of all nodes, each distinct one once.
    pub(crate) text: Vec<u8>,
    /// Literal children of nodes with many, by segment and start of the run.
    pub(crate) hashed: HashIndex,
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) expressions: Vec<(Regex, Candidate)>,
}

impl Forest {
    /// Offers the candidates for a path, the most specific first, until `accept` takes one: its rule is the result.
    pub(crate) fn search(
        &self,
        host: &Host,
        path: &[u8],
        accept: &mut impl FnMut(Candidate) -> bool,
    ) -> Option<u32> {
        if let Some(below) = path.strip_prefix(b"/")
            && let Some(rule) = self.descend(&host.branches, below, accept)
        {
            return Some(rule);
        }
        self.search_expressions(host.expressions, path, accept)
            .or_else(|| self.first_of(host.everything, accept))
    }

    /// `rest` is what follows the slash. Goes no deeper than the patterns do.
    fn descend(
        &self,
        branches: &Branches,
        rest: &[u8],
        accept: &mut impl FnMut(Candidate) -> bool,
    ) -> Option<u32> {
        if branches.literals.count == 0 && branches.named == NO_NODE {
            return None;
        }
        let (segment, behind) = next_segment(rest);
        if let Some(child) = self.literal_child(branches, segment)
            && let Some(rule) = self.visit(child, behind, accept)
        {
            return Some(rule);
        }
        if branches.named == NO_NODE || segment.is_empty() {
            return None;
        }
        self.visit(self.nodes.get(branches.named as usize)?, behind, accept)
    }

    /// `behind` is what follows the slash behind this node's segment, if there is one.
    fn visit(
        &self,
        node: &Node,
        behind: Option<&[u8]>,
        accept: &mut impl FnMut(Candidate) -> bool,
    ) -> Option<u32> {
        match behind {
            Some(rest) => self.descend(&node.branches, rest, accept),
            None => self.first_of(node.closed, accept),
        }
        .or_else(|| self.first_of(node.open, accept))
    }

    fn literal_child(&self, branches: &Branches, segment: &[u8]) -> Option<&Node> {
        let Run { start, count } = branches.literals;
        if count == 0 || segment.len() > branches.longest as usize {
            return None;
        }
        if count <= COMPARED_CHILDREN {
            return slice(&self.nodes, branches.literals).iter().find(|child| self.segment(child) == segment);
        }
        let place = self.hashed.find(self.hashed.hash(start, segment), |place| {
            // The same segment below another node may have the same hash.
            let child = self.nodes.get(place as usize);
            (start..start + count).contains(&place)
                && child.is_some_and(|child| self.segment(child) == segment)
        })?;
        self.nodes.get(place as usize)
    }

    pub(crate) fn segment(&self, node: &Node) -> &[u8] {
        slice(&self.text, node.segment)
    }

    fn search_expressions(
        &self,
        run: Run,
        path: &[u8],
        accept: &mut impl FnMut(Candidate) -> bool,
    ) -> Option<u32> {
        if run.count == 0 {
            return None;
        }
        with_merged_slashes(path, |path| {
            let fitting = slice(&self.expressions, run).iter().filter(|(regex, _)| regex.is_match(path));
            fitting.map(|&(_, candidate)| candidate).find(|&candidate| accept(candidate))
        })
        .map(|candidate| candidate.rule)
    }

    fn first_of(&self, candidates: Candidates, accept: &mut impl FnMut(Candidate) -> bool) -> Option<u32> {
        let Candidates { start, count } = candidates;
        if count & Candidates::ALONE != 0 {
            let conditional = count & Candidates::CONDITIONAL != 0;
            return accept(Candidate { rule: start, conditional }).then_some(start);
        }
        let run = slice(&self.candidates, Run { start, count });
        run.iter().find(|&&candidate| accept(candidate)).map(|candidate| candidate.rule)
    }
}

fn slice<T>(arena: &[T], run: Run) -> &[T] {
    arena.get(run.start as usize..(run.start + run.count) as usize).unwrap_or_default()
}

/// The first segment that is not empty (or the empty one at the end), and what follows the slash behind it, if there is
/// one. So runs of slashes count as one.
pub(crate) fn next_segment(mut rest: &[u8]) -> (&[u8], Option<&[u8]>) {
    while let Some(behind) = rest.strip_prefix(b"/") {
        rest = behind;
    }
    match rest.iter().position(|&byte| byte == b'/') {
        Some(slash) => (rest.get(..slash).unwrap_or_default(), rest.get(slash + 1..)),
        None => (rest, None),
    }
}
