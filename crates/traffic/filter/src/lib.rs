//! What is done to a request and its answer on the way through ([`Filter`]), and who answers without an endpoint ([`Handler`]).
//!
//! Always true here: settings are checked when a kind is built, never while a request is served; a filter cannot touch the
//! fields that frame a message or belong to one connection; nothing waits, and a filter allocates nothing for a request
//! once its thread's buffer has grown (regular expressions, and filters that change bodies ([`Recoding`]), apart). Not here: choosing the route, sending, framing of answers
//! (whoever sends an [`Answer`] sets `content-length` from its body).

mod contract;
mod edits;
mod field;
pub mod kinds;
mod reference;
mod settings;
mod template;
mod uri;

pub use contract::{
    Answer, AnswerRecoding, Filter, FilterKind, Flow, Handler, HandlerKind, RecodeError, Recoder, Recoding,
    RequestContext,
};
pub use reference::reference_markdown;
pub use settings::SettingsError;
