//! The ring of buffers from which the kernel picks one when data has come.

use std::cell::UnsafeCell;
use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::IoUring;
use io_uring::types::BufRingEntry;

use crate::buffer::{BufferPool, BufferSize, Storage};

/// Buffers that lie ready: a power of two. As many pieces of data can come between two turns; beyond that, sockets wait for the next.
const COUNT: u16 = 128;
/// The size of each: most messages are smaller. Larger ones are read directly, into storage that is still in the cache. The kernel fills up to 32
/// before it looks at anything else, so that this is also what a flood brings before it can be held back: 128 KiB.
pub(super) const SIZE: BufferSize = BufferSize::Tiny;
/// The kernel's name for this group of buffers: there is only one.
pub(super) const GROUP: u16 = 0;

/// The memory that is shared with the kernel, which wants it to begin at a page.
#[repr(align(4096))]
struct Page(UnsafeCell<[u8; 4096]>);

/// The buffers that the kernel may write to, and the memory in which it is told where they are.
pub(super) struct Provided {
    page: Box<Page>,
    /// By the number under which the kernel knows it.
    storage: Vec<Option<Storage>>,
    tail: u16,
}

impl Provided {
    /// Lends buffers to the kernel.
    pub(super) fn new(io: &IoUring, pool: &BufferPool) -> io::Result<Self> {
        let page = Box::new(Page(UnsafeCell::new([0; 4096])));
        let mut provided = Self { page, storage: (0..COUNT).map(|_| None).collect(), tail: 0 };
        let place = provided.entries() as u64;
        // SAFETY: the page holds `COUNT` entries, and is freed only after the kernel has let go of it (`Core::drop`), else given up.
        unsafe { io.submitter().register_buf_ring_with_flags(place, COUNT, GROUP, 0)? };
        for number in 0..COUNT {
            provided.lend(number, pool);
        }
        provided.publish();
        Ok(provided)
    }

    /// Takes the buffer that the kernel has filled, and lends another in its place; to be told to the kernel by [`Provided::publish`].
    pub(super) fn take(&mut self, number: u16, pool: &BufferPool) -> Option<Storage> {
        let storage = self.storage.get_mut(usize::from(number))?.take();
        self.lend(number, pool);
        storage
    }

    const fn entries(&self) -> *mut BufRingEntry {
        self.page.0.get().cast()
    }

    fn lend(&mut self, number: u16, pool: &BufferPool) {
        let mut storage = pool.take(SIZE);
        let place = usize::from(self.tail & (COUNT - 1));
        // SAFETY: `place` is below `COUNT`, so that it is in the ring's memory, to which there is no other reference. The kernel reads
        // an entry only after the tail has gone past it; what it may read at any time is the tail, a part of the first entry that none of
        // the calls below writes.
        let entry = unsafe { &mut *self.entries().add(place) };
        entry.set_addr(storage.as_mut_ptr() as u64);
        entry.set_len(u32::try_from(storage.len()).unwrap_or(0));
        entry.set_bid(number);
        if let Some(slot) = self.storage.get_mut(usize::from(number)) {
            *slot = Some(storage);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    /// Leaves everything to the kernel, for good.
    pub(super) fn give_up(&mut self) {
        std::mem::forget(std::mem::take(&mut self.storage));
        let page = Box::new(Page(UnsafeCell::new([0; 4096])));
        std::mem::forget(std::mem::replace(&mut self.page, page));
    }

    /// Tells the kernel of buffers that were lent since.
    pub(super) fn publish(&self) {
        // SAFETY: the tail lies in the ring's memory, is aligned, and the kernel reads it atomically.
        unsafe {
            let tail = BufRingEntry::tail(self.entries()).cast::<AtomicU16>();
            (*tail).store(self.tail, Ordering::Release);
        }
    }
}

const _: () =
    assert!(COUNT.is_power_of_two() && COUNT as usize * size_of::<BufRingEntry>() <= size_of::<Page>());
