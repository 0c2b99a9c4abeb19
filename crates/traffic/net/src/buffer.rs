//! Byte buffers that are lent by the worker.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Range;
use std::rc::Rc;

/// How large a piece of storage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BufferSize {
    /// 4 KiB: the beginning of a head whose rest is still to come.
    Tiny,
    /// 16 KiB: the same, of a large one.
    Small,
    /// 64 KiB: whatever comes first; most messages come whole.
    Medium,
    /// 256 KiB: the largest head that can be configured, bulk bodies.
    Large,
}

impl BufferSize {
    const ALL: [Self; 4] = [Self::Tiny, Self::Small, Self::Medium, Self::Large];

    /// In bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Tiny => 4 << 10,
            Self::Small => 16 << 10,
            Self::Medium => 64 << 10,
            Self::Large => 256 << 10,
        }
    }

    /// The size of a piece of storage.
    fn of(storage: &Storage) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.bytes() == storage.len())
    }

    /// How many pieces a worker keeps for later; more are given back to the allocator.
    const fn kept(self) -> usize {
        match self {
            Self::Tiny | Self::Small => 64,
            Self::Medium => 32,
            Self::Large => 8,
        }
    }

    /// The next larger size.
    pub const fn larger(self) -> Option<Self> {
        match self {
            Self::Tiny => Some(Self::Small),
            Self::Small => Some(Self::Medium),
            Self::Medium => Some(Self::Large),
            Self::Large => None,
        }
    }
}

/// A piece of memory that a worker lends.
pub(crate) type Storage = Box<[u8]>;

/// The storage of one worker. Clones share it.
#[derive(Clone, Default)]
pub struct BufferPool(Rc<Shelves>);

#[derive(Default)]
struct Shelves {
    idle: [RefCell<Vec<Storage>>; 4],
    /// Bytes of all storage there is, lent or idle.
    made: Cell<usize>,
}

impl BufferPool {
    /// An empty pool; storage is made when it is first needed.
    pub fn new() -> Self {
        Self::default()
    }

    fn shelf(&self, size: BufferSize) -> &RefCell<Vec<Storage>> {
        let [tiny, small, medium, large] = &self.0.idle;
        match size {
            BufferSize::Tiny => tiny,
            BufferSize::Small => small,
            BufferSize::Medium => medium,
            BufferSize::Large => large,
        }
    }

    pub(crate) fn take(&self, size: BufferSize) -> Storage {
        let shelved = self.shelf(size).borrow_mut().pop();
        shelved.unwrap_or_else(|| {
            self.0.made.set(self.0.made.get() + size.bytes());
            vec![0; size.bytes()].into_boxed_slice()
        })
    }

    pub(crate) fn give(&self, storage: Storage) {
        let Some(size) = BufferSize::of(&storage) else { return };
        let mut shelf = self.shelf(size).borrow_mut();
        if shelf.len() < size.kept() {
            shelf.push(storage);
        } else {
            self.0.made.set(self.0.made.get() - size.bytes());
        }
    }

    /// Bytes of storage that are lent.
    pub fn lent_bytes(&self) -> usize {
        self.0.made.get() - self.idle_bytes()
    }

    /// Bytes of storage that lie ready, not lent.
    pub fn idle_bytes(&self) -> usize {
        BufferSize::ALL.iter().map(|&size| self.shelf(size).borrow().len() * size.bytes()).sum()
    }
}

impl fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferPool").field("idle_bytes", &self.idle_bytes()).finish()
    }
}

/// Bytes that were received and not yet used. Holds storage only while it needs it.
pub struct Buffer {
    pool: BufferPool,
    storage: Option<Storage>,
    size: BufferSize,
    start: usize,
    end: usize,
}

impl Buffer {
    /// An empty buffer that will borrow storage of this size.
    pub const fn new(pool: BufferPool, size: BufferSize) -> Self {
        Self { pool, storage: None, size, start: 0, end: 0 }
    }

    /// The bytes that are there.
    pub fn filled(&self) -> &[u8] {
        self.storage.as_deref().and_then(|storage| storage.get(self.start..self.end)).unwrap_or_default()
    }

    /// The bytes that are there, to be worked on in their place.
    pub fn filled_mut(&mut self) -> &mut [u8] {
        self.storage
            .as_deref_mut()
            .and_then(|storage| storage.get_mut(self.start..self.end))
            .unwrap_or_default()
    }

    /// How many bytes are there.
    pub const fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether no byte is there.
    pub const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The size of the storage that it borrows. What it has adopted may be smaller.
    pub const fn size(&self) -> BufferSize {
        self.size
    }

    /// Takes bytes off the front.
    ///
    /// # Panics
    /// In debug builds, when more are taken than there are.
    pub fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.len(), "{count} of {} bytes", self.len());
        self.start = (self.start + count).min(self.end);
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Room for more bytes, behind those that are there; empty when the buffer is full. Borrows storage if it has none.
    pub fn spare(&mut self) -> &mut [u8] {
        self.outgrow();
        let full = self.end == self.size.bytes();
        let (start, end) = (self.start, self.end);
        if full && start > 0 {
            (self.start, self.end) = (0, end - start);
        }
        let storage = self.storage.get_or_insert_with(|| self.pool.take(self.size));
        if full && start > 0 {
            storage.copy_within(start..end, 0);
        }
        storage.get_mut(self.end..).unwrap_or_default()
    }

    /// Moves from storage that was adopted, if it is too small, to what this buffer borrows.
    fn outgrow(&mut self) {
        let adopted = self.storage.as_ref().map_or(self.size.bytes(), |storage| storage.len());
        if adopted < self.size.bytes() && (self.end == adopted || self.is_empty()) {
            self.move_to(self.size);
        }
    }

    /// Counts bytes that were written into [`Buffer::spare`].
    pub fn filled_by(&mut self, count: usize) {
        let most = self.storage.as_ref().map_or(0, |storage| storage.len());
        debug_assert!(self.end + count <= most);
        self.end = (self.end + count).min(most);
    }

    /// Whether [`Buffer::adopt`] may be called: nothing is there, and the storage is not larger than what this buffer borrows.
    pub(crate) fn can_adopt(&self, storage: &Storage) -> bool {
        self.is_empty() && storage.len() <= self.size.bytes()
    }

    /// Takes bytes with the storage that they are in; whatever storage there was, empty, goes back.
    pub(crate) fn adopt(&mut self, storage: Storage, bytes: Range<usize>) {
        debug_assert!(self.can_adopt(&storage) && bytes.end <= storage.len());
        self.release();
        self.storage = Some(storage);
        (self.start, self.end) = (bytes.start, bytes.end);
    }

    /// Appends bytes, in larger storage if need be. What the largest has no room for is left away, so nobody may append as much as that.
    pub fn append(&mut self, bytes: &[u8]) {
        while self.spare().len() < bytes.len() && self.grow() {}
        let room = self.spare();
        debug_assert!(bytes.len() <= room.len(), "{} bytes into {}", bytes.len(), room.len());
        let count = bytes.len().min(room.len());
        if let (Some(to), Some(from)) = (room.get_mut(..count), bytes.get(..count)) {
            to.copy_from_slice(from);
        }
        self.filled_by(count);
    }

    /// Gives the storage back if no byte is in it.
    pub fn release(&mut self) {
        if self.is_empty()
            && let Some(storage) = self.storage.take()
        {
            self.pool.give(storage);
        }
    }

    /// Moves to storage of another size. Bytes that are there stay, so it must hold them; else nothing happens.
    pub fn resize(&mut self, size: BufferSize) {
        if size == self.size || self.len() > size.bytes() {
            return;
        }
        if self.storage.is_some() {
            self.move_to(size);
        }
        (self.start, self.end, self.size) = (0, self.len(), size);
    }

    /// Bytes that are there move to storage of this size; storage without bytes goes back.
    fn move_to(&mut self, size: BufferSize) {
        let Some(old) = self.storage.take() else { return };
        let (start, end) = (self.start, self.end);
        if start < end {
            let mut storage = self.pool.take(size);
            if let (Some(to), Some(from)) = (storage.get_mut(..end - start), old.get(start..end)) {
                to.copy_from_slice(from);
            }
            self.storage = Some(storage);
        }
        self.pool.give(old);
        (self.start, self.end) = (0, end - start);
    }

    /// Moves to the smallest size that has room behind the bytes that are there: whoever waits for the rest may wait long.
    pub fn shrink(&mut self) {
        let fits = |size: &BufferSize| size.bytes() > self.len();
        if let Some(size) = BufferSize::ALL.into_iter().find(fits).filter(|size| *size < self.size) {
            self.resize(size);
        }
    }

    /// Moves to the next larger size. False at the largest.
    pub fn grow(&mut self) -> bool {
        let larger = self.size.larger();
        if let Some(size) = larger {
            self.resize(size);
        }
        larger.is_some()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.consume(self.len());
        self.release();
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer").field("len", &self.len()).field("size", &self.size).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(buffer: &mut Buffer, bytes: &[u8]) {
        buffer.spare()[..bytes.len()].copy_from_slice(bytes);
        buffer.filled_by(bytes.len());
    }

    #[test]
    fn storage_is_lent_while_bytes_are_there_and_goes_back() {
        let pool = BufferPool::new();
        let mut buffer = Buffer::new(pool.clone(), BufferSize::Small);
        put(&mut buffer, b"hello");
        assert_eq!((pool.idle_bytes(), pool.lent_bytes()), (0, BufferSize::Small.bytes()));
        buffer.release();
        assert_eq!(buffer.filled(), b"hello", "bytes that are there stay");
        buffer.consume(5);
        buffer.release();
        assert_eq!(pool.idle_bytes(), BufferSize::Small.bytes());
        put(&mut buffer, b"again");
        drop(buffer);
        assert_eq!(pool.idle_bytes(), BufferSize::Small.bytes(), "a dropped buffer gives its storage back");
        assert_eq!(pool.lent_bytes(), 0);
    }

    #[test]
    fn a_full_buffer_makes_room_by_moving_to_the_front() {
        let mut buffer = Buffer::new(BufferPool::new(), BufferSize::Small);
        let size = BufferSize::Small.bytes();
        put(&mut buffer, &vec![b'a'; size]);
        assert!(buffer.spare().is_empty());
        buffer.consume(size - 3);
        put(&mut buffer, b"bc");
        assert_eq!(buffer.filled(), b"aaabc");
    }

    #[test]
    fn growing_keeps_the_bytes() {
        let pool = BufferPool::new();
        let mut buffer = Buffer::new(pool.clone(), BufferSize::Small);
        put(&mut buffer, b"xxhead");
        buffer.consume(2);
        assert!(buffer.grow() && buffer.grow() && !buffer.grow());
        assert_eq!((buffer.filled(), buffer.size()), (&b"head"[..], BufferSize::Large));
        assert_eq!(pool.idle_bytes(), BufferSize::Small.bytes() + BufferSize::Medium.bytes());
    }

    #[test]
    fn shrinking_keeps_the_bytes_in_the_least_storage() {
        let mut buffer = Buffer::new(BufferPool::new(), BufferSize::Medium);
        put(&mut buffer, b"GET / HT");
        buffer.shrink();
        assert_eq!((buffer.filled(), buffer.size()), (&b"GET / HT"[..], BufferSize::Tiny));
        put(&mut buffer, &[b'x'; 100]);
        assert_eq!(buffer.len(), 108);
        let mut full = Buffer::new(BufferPool::new(), BufferSize::Tiny);
        put(&mut full, &[b'x'; 4096]);
        full.shrink();
        assert_eq!(full.size(), BufferSize::Tiny, "never grows");
    }

    #[test]
    fn a_pool_keeps_a_bounded_number_of_pieces() {
        let pool = BufferPool::new();
        let mut buffers: Vec<_> = (0..100).map(|_| Buffer::new(pool.clone(), BufferSize::Large)).collect();
        buffers.iter_mut().for_each(|buffer| put(buffer, b"x"));
        drop(buffers);
        assert_eq!(pool.idle_bytes(), BufferSize::Large.kept() * BufferSize::Large.bytes());
        assert_eq!(pool.lent_bytes(), 0);
    }
}
