//! From patterns to the arenas of a [`Forest`].

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, VecDeque};

use base_model::model::PathPattern;
use regex::bytes::Regex;

use super::index::HashIndex;
use super::paths::{
    Branches, COMPARED_CHILDREN, Candidate, Candidates, Forest, Host, NO_NODE, Node, Run, next_segment,
};
use crate::error::CompileError;
use crate::normal::{encode_uniformly, normalise};

/// A pattern as the tree holds it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Every path.
    Everything,
    /// Segments (`None` is any), and whether more may follow.
    Segments(Vec<Option<Vec<u8>>>, bool),
    /// A regular expression, as written.
    Expression,
}

impl Shape {
    pub(crate) fn of(pattern: Option<&PathPattern>) -> Self {
        match pattern {
            None => Self::Everything,
            Some(PathPattern::Regex(_)) => Self::Expression,
            Some(PathPattern::Exact(path)) => Self::of_segments(literal_segments(path), false),
            Some(PathPattern::Prefix(path)) => Self::of_segments(literal_segments(path), true),
            Some(PathPattern::Template { segments, open }) => {
                let normal = |literal: &str| encode_uniformly(literal.as_bytes()).into_owned();
                let segments = segments.iter().map(|segment| segment.as_ref().ok().map(|text| normal(text)));
                Self::of_segments(segments.collect(), *open)
            }
        }
    }

    /// Runs of slashes count as one, so that only the end of a path can be an empty segment, and only if nothing follows.
    fn of_segments(mut segments: Vec<Option<Vec<u8>>>, open: bool) -> Self {
        let is_empty = |segment: &Option<Vec<u8>>| segment.as_ref().is_some_and(Vec::is_empty);
        let ends_in_slash = !open && segments.last().is_some_and(is_empty);
        segments.retain(|segment| !is_empty(segment));
        if ends_in_slash {
            segments.push(Some(Vec::new()));
        }
        if open && segments.is_empty() { Self::Everything } else { Self::Segments(segments, open) }
    }
}

fn literal_segments(path: &str) -> Vec<Option<Vec<u8>>> {
    // A pattern that no normal path can have never matches; that is no reason to refuse the configuration here.
    let encoded = encode_uniformly(path.as_bytes());
    let normal = normalise(&encoded).unwrap_or_else(|_| encoded.clone());
    let mut rest = Some(normal.strip_prefix(b"/").unwrap_or(&normal));
    let mut segments = Vec::new();
    while let Some(text) = rest {
        let (segment, behind) = next_segment(text);
        segments.push(Some(segment.to_vec()));
        rest = behind;
    }
    segments
}

/// A host's tree in the making. The first node is the root.
#[derive(Debug, Default)]
pub(crate) struct HostDraft {
    nodes: Vec<NodeDraft>,
    expressions: Vec<(Regex, u32)>,
    everything: Vec<u32>,
}

#[derive(Debug, Default)]
struct NodeDraft {
    closed: Vec<u32>,
    open: Vec<u32>,
    named: Option<usize>,
    literals: BTreeMap<Vec<u8>, usize>,
}

impl HostDraft {
    pub(crate) fn add(&mut self, shape: &Shape, regex: Option<&Regex>, rule: u32) {
        match (shape, regex) {
            (Shape::Segments(segments, open), _) => self.add_segments(segments, *open, rule),
            (Shape::Expression, Some(regex)) => self.expressions.push((regex.clone(), rule)),
            (Shape::Everything | Shape::Expression, _) => self.everything.push(rule),
        }
    }

    fn add_segments(&mut self, segments: &[Option<Vec<u8>>], open: bool, rule: u32) {
        if self.nodes.is_empty() {
            self.nodes.push(NodeDraft::default());
        }
        let mut at = 0;
        for segment in segments {
            let next = self.nodes.len();
            let Some(node) = self.nodes.get_mut(at) else { return };
            at = match segment {
                Some(text) => *node.literals.entry(text.clone()).or_insert(next),
                None => *node.named.get_or_insert(next),
            };
            if at == next {
                self.nodes.push(NodeDraft::default());
            }
        }
        if let Some(node) = self.nodes.get_mut(at) {
            if open { &mut node.open } else { &mut node.closed }.push(rule);
        }
    }
}

/// Lays drafts down in a [`Forest`].
pub(crate) struct Planter<'r> {
    forest: Forest,
    /// Where in the forest's text a segment stands.
    segments: HashMap<Vec<u8>, Run>,
    /// Number of further conditions, by rule.
    conditions: &'r [usize],
}

impl<'r> Planter<'r> {
    pub(crate) fn new(conditions: &'r [usize]) -> Self {
        Self { forest: Forest::default(), segments: HashMap::new(), conditions }
    }

    pub(crate) fn plant(&mut self, draft: HostDraft) -> Result<Host, CompileError> {
        let HostDraft { nodes, mut expressions, everything } = draft;
        expressions.sort_by_key(|&(_, rule)| self.rank(rule));
        expressions.dedup_by_key(|&mut (_, rule)| rule);
        let run = run(self.forest.expressions.len(), expressions.len())?;
        for (regex, rule) in expressions {
            self.forest.expressions.push((regex, self.candidate(rule)));
        }
        let everything = self.place_candidates(everything)?;
        Ok(Host { branches: self.place_nodes(nodes)?, expressions: run, everything })
    }

    /// Lays the nodes down level by level, the literal children of each side by side.
    fn place_nodes(&mut self, mut drafts: Vec<NodeDraft>) -> Result<Branches, CompileError> {
        let mut root = Branches::NONE;
        // A draft's number and its place in the forest; the root has none.
        let mut waiting = VecDeque::from([(0, None)]);
        while let Some((number, place)) = waiting.pop_front() {
            let Some(draft) = drafts.get_mut(number).map(std::mem::take) else { break };
            let branches = self.place_children(draft.literals, draft.named, &mut waiting)?;
            let closed = self.place_candidates(draft.closed)?;
            let open = self.place_candidates(draft.open)?;
            match place.map(|place: usize| self.forest.nodes.get_mut(place)) {
                Some(Some(node)) => *node = Node { closed, open, branches, ..*node },
                _ => root = branches,
            }
        }
        Ok(root)
    }

    /// Takes the places of a node's children, to be filled later.
    fn place_children(
        &mut self,
        literals: BTreeMap<Vec<u8>, usize>,
        named: Option<usize>,
        waiting: &mut VecDeque<(usize, Option<usize>)>,
    ) -> Result<Branches, CompileError> {
        let run = run(self.forest.nodes.len(), literals.len())?;
        let mut longest = 0;
        for (text, child) in literals {
            let segment = self.place_segment(text)?;
            longest = longest.max(segment.count);
            waiting.push_back((child, Some(self.forest.nodes.len())));
            self.forest.nodes.push(Node { segment, ..Node::EMPTY });
        }
        let mut branches = Branches { literals: run, longest, named: NO_NODE };
        if let Some(child) = named {
            branches.named = place(self.forest.nodes.len())?;
            waiting.push_back((child, Some(self.forest.nodes.len())));
            self.forest.nodes.push(Node::EMPTY);
        }
        Ok(branches)
    }

    fn place_segment(&mut self, text: Vec<u8>) -> Result<Run, CompileError> {
        if let Some(&run) = self.segments.get(&text) {
            return Ok(run);
        }
        let run = run(self.forest.text.len(), text.len())?;
        self.forest.text.extend_from_slice(&text);
        self.segments.insert(text, run);
        Ok(run)
    }

    /// The most conditions first, then the order of the document; each rule once.
    fn place_candidates(&mut self, mut rules: Vec<u32>) -> Result<Candidates, CompileError> {
        rules.sort_by_key(|&rule| self.rank(rule));
        rules.dedup();
        if let [rule] = *rules {
            return Ok(Candidates::alone(self.candidate(rule)));
        }
        let run = run(self.forest.candidates.len(), rules.len())?;
        for rule in rules {
            self.forest.candidates.push(self.candidate(rule));
        }
        Ok(Candidates::run(run))
    }

    fn rank(&self, rule: u32) -> (Reverse<usize>, u32) {
        (Reverse(self.conditions_of(rule)), rule)
    }

    fn candidate(&self, rule: u32) -> Candidate {
        Candidate { rule, conditional: self.conditions_of(rule) > 0 }
    }

    fn conditions_of(&self, rule: u32) -> usize {
        self.conditions.get(rule as usize).copied().unwrap_or(0)
    }

    /// Indexes the literal children of nodes with many of them, once all hosts are planted.
    pub(crate) fn finish<'h>(mut self, hosts: impl Iterator<Item = &'h Host>) -> Forest {
        let forest = &mut self.forest;
        let branches = forest.nodes.iter().map(|node| &node.branches).chain(hosts.map(|host| &host.branches));
        let runs: Vec<Run> =
            branches.map(|branches| branches.literals).filter(|run| run.count > COMPARED_CHILDREN).collect();
        let mut index = HashIndex::for_entries(runs.iter().map(|run| run.count as usize).sum());
        for run in runs {
            for place in run.start..run.start + run.count {
                if let Some(child) = forest.nodes.get(place as usize) {
                    index.insert(index.hash(run.start, forest.segment(child)), place);
                }
            }
        }
        forest.hashed = index;
        self.forest
    }
}

impl Branches {
    const NONE: Self = Self { literals: Run { start: 0, count: 0 }, longest: 0, named: NO_NODE };
}

impl Node {
    const EMPTY: Self = Self {
        segment: Run { start: 0, count: 0 },
        closed: Candidates::NONE,
        open: Candidates::NONE,
        branches: Branches::NONE,
    };
}

/// Places in the tables are 30 bits wide: that keeps them small.
fn place(number: usize) -> Result<u32, CompileError> {
    u32::try_from(number).ok().filter(|&number| number < 1 << 30).ok_or(CompileError::TooLarge)
}

fn run(start: usize, count: usize) -> Result<Run, CompileError> {
    place(start + count)?;
    Ok(Run { start: place(start)?, count: place(count)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_take_the_form_of_paths() {
        let literal = |text: &str| Some(text.as_bytes().to_vec());
        let exact = |path: &str| Shape::of(Some(&PathPattern::Exact(path.into())));
        let prefix = |path: &str| Shape::of(Some(&PathPattern::Prefix(path.into())));
        assert_eq!(exact("/"), Shape::Segments(vec![literal("")], false));
        assert_eq!(exact("/a//b/"), Shape::Segments(vec![literal("a"), literal("b"), literal("")], false));
        assert_eq!(exact("/x/../%7eü"), Shape::Segments(vec![literal("~%C3%BC")], false));
        assert_eq!(prefix("/a"), Shape::Segments(vec![literal("a")], true));
        assert_eq!(prefix(""), Shape::Everything);
        assert_eq!(prefix("/"), Shape::Everything);
        assert_eq!(prefix("/a//"), prefix("/a"));
        let doubled = PathPattern::Template { segments: vec![Ok("".into()), Err("id".into())], open: false };
        assert_eq!(Shape::of(Some(&doubled)), Shape::Segments(vec![None], false));
        let template = PathPattern::Template { segments: vec![Ok("u".into()), Err("id".into())], open: true };
        assert_eq!(Shape::of(Some(&template)), Shape::Segments(vec![literal("u"), None], true));
    }
}
