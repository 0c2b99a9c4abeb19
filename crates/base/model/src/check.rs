//! From the tree to a [`Model`](crate::Model): first the shape (against the schema), then the meaning. Both stages report all
//! they find; what the first one refuses, the second does not see.

mod checker;
mod formats;
mod listeners;
mod meaning;
mod operation;
mod parse;
mod pools;
mod routes;
mod shape;
mod union;

pub(crate) use checker::Surroundings;
pub(crate) use meaning::{Checked, check};
pub(crate) use union::{branches, described};
