//! What has come and was not asked for yet.

use std::collections::VecDeque;

use crate::buffer::Storage;

/// A piece of what has come.
pub(super) struct Piece {
    pub(super) storage: Storage,
    /// Where it begins and ends in there.
    pub(super) start: u32,
    pub(super) end: u32,
}

/// Pieces in the order in which they came. Mostly there is one at a time, for which no other memory is met than the socket's.
#[derive(Default)]
pub(super) struct Pieces {
    first: Option<Piece>,
    /// None if there is no first. Elsewhere, as there are many sockets and few have it.
    #[expect(clippy::box_collection, reason = "a word for each socket in place of four")]
    more: Option<Box<VecDeque<Piece>>>,
}

impl Pieces {
    pub(super) fn push_back(&mut self, piece: Piece) {
        if self.first.is_none() {
            self.first = Some(piece);
        } else {
            self.more.get_or_insert_default().push_back(piece);
        }
    }

    pub(super) fn push_front(&mut self, piece: Piece) {
        if let Some(second) = self.first.replace(piece) {
            self.more.get_or_insert_default().push_front(second);
        }
    }

    pub(super) fn pop_front(&mut self) -> Option<Piece> {
        let next = self.more.as_mut().and_then(|more| more.pop_front());
        if next.is_none() {
            self.more = None;
        }
        std::mem::replace(&mut self.first, next)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.more.as_ref().map_or(0, |more| more.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(end: u32) -> Piece {
        Piece { storage: Storage::default(), start: 0, end }
    }

    #[test]
    fn they_keep_their_order() {
        let mut pieces = Pieces::default();
        assert!(pieces.is_empty() && pieces.pop_front().is_none());
        (2..5).for_each(|end| pieces.push_back(piece(end)));
        pieces.push_front(piece(1));
        assert_eq!((pieces.len(), pieces.is_empty()), (4, false));
        let ends: Vec<_> = std::iter::from_fn(|| pieces.pop_front()).map(|piece| piece.end).collect();
        assert_eq!((ends, pieces.len()), (vec![1, 2, 3, 4], 0));
        pieces.push_front(piece(7));
        assert_eq!(pieces.pop_front().map(|piece| piece.end), Some(7));
    }
}
