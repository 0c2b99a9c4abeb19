//! Memory that requests need only for a moment, lent by the worker.
//!
//! A request waits for its endpoint most of its life. What it needs only until it is sent, or only once it is answered, is lent for
//! that time: then hundreds of requests under way share a few pieces that stay in the cache, instead of each going through
//! memory of its own.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

/// Pieces kept for later, as many as a busy worker needs at once; more are given back to the allocator.
const KEPT: usize = 1024;

/// What can be used again.
pub(crate) trait Reuse {
    /// Makes it as new, with its memory kept. False if it has grown so much that it should not be kept.
    fn renew(&mut self) -> bool;
}

/// Pieces of one kind that wait to be used again.
pub(crate) struct Shelf<T>(RefCell<Vec<Box<T>>>);

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<T: Reuse> Shelf<T> {
    /// The piece returned last, if there is any: it is likely to be in the cache still.
    pub(crate) fn take(&self) -> Option<Box<T>> {
        self.0.borrow_mut().pop()
    }

    /// Returns a piece.
    pub(crate) fn give(&self, mut piece: Box<T>) {
        let mut pieces = self.0.borrow_mut();
        if pieces.len() < KEPT && piece.renew() {
            pieces.push(piece);
        }
    }
}

/// Lends pieces of one kind.
pub(crate) struct Lender<T>(Rc<Stock<T>>);

struct Stock<T> {
    shelf: Shelf<T>,
    empty: T,
}

impl<T: Default> Default for Lender<T> {
    fn default() -> Self {
        Self(Rc::new(Stock { shelf: Shelf::default(), empty: T::default() }))
    }
}

impl<T: Reuse> Lender<T> {
    /// A place for a piece, with none in it yet.
    pub(crate) fn lend(&self) -> Lent<T> {
        Lent { piece: None, stock: Rc::clone(&self.0) }
    }
}

/// A place for a piece. The first change borrows one, [`Lent::give_back`] returns it; in between there is nothing to be read but
/// an empty one.
pub(crate) struct Lent<T: Reuse> {
    piece: Option<Box<T>>,
    stock: Rc<Stock<T>>,
}

impl<T: Reuse> Lent<T> {
    /// Returns what was borrowed.
    pub(crate) fn give_back(&mut self) {
        if let Some(piece) = self.piece.take() {
            self.stock.shelf.give(piece);
        }
    }
}

impl<T: Reuse> Deref for Lent<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.piece.as_deref().unwrap_or(&self.stock.empty)
    }
}

impl<T: Reuse + Default> DerefMut for Lent<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.piece.get_or_insert_with(|| self.stock.shelf.take().unwrap_or_default())
    }
}

impl<T: Reuse> Drop for Lent<T> {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Reuse for Vec<u8> {
        fn renew(&mut self) -> bool {
            self.clear();
            self.capacity() <= 100
        }
    }

    #[test]
    fn what_was_returned_last_is_lent_next_and_is_as_new() {
        let lender = Lender::<Vec<u8>>::default();
        let (mut one, mut other) = (lender.lend(), lender.lend());
        one.extend_from_slice(b"one");
        let memory = one.as_ptr();
        one.give_back();
        assert!(one.is_empty(), "nothing is left to be read");
        other.push(b'x');
        assert_eq!((&other[..], other.as_ptr()), (&b"x"[..], memory));
    }

    #[test]
    fn what_has_grown_too_much_is_not_kept() {
        let lender = Lender::<Vec<u8>>::default();
        let mut place = lender.lend();
        place.resize(101, 0);
        drop(place);
        assert!(lender.0.shelf.take().is_none());
    }
}
