//! Bodies: decoding what a peer sends, encoding what is sent to one.

mod chunk_line;
mod reader;
#[cfg(test)]
mod tests;
mod trailers;
mod writer;

pub use reader::{BodyEvent, BodyReader};
pub use writer::{BodyWriter, ChunkFrame};
