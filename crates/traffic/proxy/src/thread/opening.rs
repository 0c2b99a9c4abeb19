//! What a connection opens with, ahead of what it is for.

use std::future::poll_fn;

use traffic_net::{Buffer, Stream};

/// Receives until this finds what it looks for in the bytes so far, and leaves them there. It has to refuse what is too long. `None` for
/// an error where the connection has ended.
pub(super) async fn receive<T, E>(
    stream: &mut dyn Stream,
    input: &mut Buffer,
    parse: impl Fn(&[u8]) -> Result<Option<T>, E>,
) -> Result<T, Option<E>> {
    loop {
        if let Some(found) = parse(input.filled()).map_err(Some)? {
            return Ok(found);
        }
        if !input.is_empty() && input.spare().is_empty() {
            input.grow();
        }
        match poll_fn(|cx| stream.poll_receive(cx, input)).await {
            Ok(count) if count > 0 => {}
            _ => return Err(None),
        }
    }
}
