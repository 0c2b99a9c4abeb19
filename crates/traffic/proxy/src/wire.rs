//! What carries an exchange: a connection of its own, or a part of one that carries many.

use std::io;
use std::ops::{Deref, DerefMut};
use std::task::{Context, Poll};

use traffic_http::Fields;
use traffic_http2::Exchange;
use traffic_net::Stream;

/// What carries an exchange. As a [`Stream`], the bytes that go over it.
pub(crate) enum Wire {
    /// HTTP/1: heads, bodies and trailers are bytes, one after the other.
    Http1(Box<dyn Stream>),
    /// HTTP/2: the bytes are those of bodies, all else goes beside them.
    Http2(Box<Exchange>),
}

impl Wire {
    /// The exchange, where heads and trailers go beside the bytes.
    pub(crate) fn exchange(&mut self) -> Option<&mut Exchange> {
        match self {
            Self::Http1(_) => None,
            Self::Http2(exchange) => Some(exchange),
        }
    }

    /// Whether it is one of many over a connection.
    pub(crate) const fn is_shared(&self) -> bool {
        matches!(self, Self::Http2(_))
    }

    /// For bodies to be moved from here, or to here.
    pub(crate) fn carrier(&mut self) -> Carrier<'_> {
        match self {
            Self::Http1(stream) => Carrier::Bytes(&mut **stream),
            Self::Http2(exchange) => Carrier::Exchange(exchange),
        }
    }
}

impl Deref for Wire {
    type Target = dyn Stream;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Http1(stream) => &**stream,
            Self::Http2(exchange) => &**exchange,
        }
    }
}

impl DerefMut for Wire {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match self {
            Self::Http1(stream) => &mut **stream,
            Self::Http2(exchange) => &mut **exchange,
        }
    }
}

/// One end of a body's way.
pub(crate) enum Carrier<'a> {
    /// All is bytes: what frames the body, too.
    Bytes(&'a mut dyn Stream),
    /// The bytes are those of the body.
    Exchange(&'a mut Exchange),
}

impl Carrier<'_> {
    pub(crate) fn stream(&mut self) -> &mut dyn Stream {
        match self {
            Self::Bytes(stream) => &mut **stream,
            Self::Exchange(exchange) => &mut **exchange,
        }
    }

    /// Whether what ends a body is not among its bytes.
    pub(crate) const fn is_exchange(&self) -> bool {
        matches!(self, Self::Exchange(_))
    }

    /// The lines of what the sender has put behind its body, if they are not among its bytes.
    pub(crate) fn take_trailers(&mut self) -> Option<Vec<u8>> {
        match self {
            Self::Bytes(_) => None,
            Self::Exchange(exchange) => exchange.take_trailers(),
        }
    }

    /// Sends a head that is not among the bytes. True if there was one.
    pub(crate) fn poll_send_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        match self {
            Self::Exchange(exchange) if exchange.has_unsent_head() => {
                exchange.poll_send_head(cx).map_ok(|()| true)
            }
            _ => Poll::Ready(Ok(false)),
        }
    }

    /// Says that the body is complete, if its bytes do not.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>, trailers: &Fields) -> Poll<io::Result<()>> {
        match self {
            Self::Bytes(_) => Poll::Ready(Ok(())),
            Self::Exchange(exchange) => exchange.poll_end(cx, trailers),
        }
    }
}
