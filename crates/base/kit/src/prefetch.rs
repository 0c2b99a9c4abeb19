//! Having memory come nearer before it is used.
//!
//! A turn under load brings something for hundreds of connections that nobody has thought of for a millisecond, and whose memory has gone from the
//! nearest caches meanwhile; checks are due of thousands of endpoints that nobody has thought of for seconds. Each line of memory that is met
//! then costs a tenth of a microsecond of waiting, one after the other. Who is next is known a turn ahead, so that their memory can be
//! on its way while others are served.

use std::task::Waker;

/// Bytes that come at once.
const LINE: usize = 64;

/// Has a value come nearer, what it points to not included.
pub fn prefetch<T: ?Sized>(value: &T) {
    prefetch_bytes(std::ptr::from_ref(value).cast(), size_of_val(value));
}

/// Has the first so many bytes come nearer of the task that the waker wakes, where that is what it points to.
pub fn prefetch_task(waker: &Waker, bytes: usize) {
    prefetch_bytes(waker.data().cast(), bytes);
}

fn prefetch_bytes(start: *const u8, length: usize) {
    for offset in (0..length).step_by(LINE) {
        prefetch_line(start.wrapping_add(offset));
    }
}

#[cfg(target_arch = "x86_64")]
fn prefetch_line(place: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a hint: nothing is read, and places that do not exist are passed over.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(place.cast()) };
}

#[cfg(target_arch = "aarch64")]
fn prefetch_line(place: *const u8) {
    // SAFETY: a hint: nothing is read, and places that do not exist are passed over.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{place}]", place = in(reg) place, options(nostack, preserves_flags, readonly))
    };
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const fn prefetch_line(_: *const u8) {}
