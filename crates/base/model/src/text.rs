//! From text to a tree of values that know where they stand.

mod bytes;
mod environment;
mod node;
mod place;
mod reader;
mod syntax;

pub(crate) use bytes::{read_file, text_of, too_large};
pub(crate) use environment::{Environment, substitute};
pub(crate) use node::{Entry, Node, Scalar, ScalarKind, Value};
pub(crate) use place::Place;
pub(crate) use reader::read;
