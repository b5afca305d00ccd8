//! The memory under the heap: one range of addresses that is used from its beginning, so that what is free at its end goes back.
//!
//! Linux puts each mapping below the one before. There dlmalloc only ever finds the end of the very first, and what a large file or
//! a thousand probes at once have taken stays taken for years.

use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use dlmalloc::Allocator;
use nix::libc::{
    MAP_ANONYMOUS, MAP_FAILED, MAP_FIXED, MAP_NORESERVE, MAP_PRIVATE, PROT_NONE, PROT_READ, PROT_WRITE, mmap,
    mprotect, munmap,
};

/// Addresses, not memory: more than any of the processes will want.
const SPAN: usize = 16 << 30;
/// What to be content with where addresses are limited (RLIMIT_AS).
const LEAST: usize = 64 << 20;

/// A range of which the first part is in use. Beyond its end, or where no range is to be had, there are mappings of their own.
#[derive(Debug)]
pub(super) struct Range {
    base: AtomicPtr<u8>,
    span: AtomicUsize,
    used: AtomicUsize,
}

impl Range {
    pub(super) const fn new() -> Self {
        Self { base: AtomicPtr::new(ptr::null_mut()), span: AtomicUsize::new(0), used: AtomicUsize::new(0) }
    }

    /// Bytes at the beginning of the range that are memory.
    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// The first address after what is in use.
    fn end(&self) -> *mut u8 {
        self.base.load(Ordering::Relaxed).wrapping_add(self.used.load(Ordering::Relaxed))
    }

    fn holds(&self, place: *mut u8) -> bool {
        let base = self.base.load(Ordering::Relaxed);
        !base.is_null() && (base..base.wrapping_add(self.span.load(Ordering::Relaxed))).contains(&place)
    }

    fn reserve(&self) {
        let mut span = SPAN;
        while span >= LEAST {
            if let Some(base) = map(ptr::null_mut(), span, PROT_NONE, MAP_NORESERVE) {
                self.base.store(base.as_ptr(), Ordering::Relaxed);
                self.span.store(span, Ordering::Relaxed);
                return;
            }
            span /= 2;
        }
    }

    /// `size` bytes behind those in use; `None` if the range ends before, or there is no memory.
    fn grow(&self, size: usize) -> Option<*mut u8> {
        if self.base.load(Ordering::Relaxed).is_null() {
            self.reserve();
        }
        let used = self.used.load(Ordering::Relaxed).checked_add(size)?;
        if used > self.span.load(Ordering::Relaxed) {
            return None;
        }
        let place = self.end();
        // SAFETY: within the range, of which nobody has this part.
        if unsafe { mprotect(place.cast(), size, PROT_READ | PROT_WRITE) } != 0 {
            return None;
        }
        self.used.store(used, Ordering::Relaxed);
        Some(place)
    }
}

// SAFETY: what is handed out is nobody else's until it is given back, and zeroed: it was never written, or mapped anew. dlmalloc calls
// it for one heap only, and holds that heap's lock.
unsafe impl Allocator for Range {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        let own = || map(ptr::null_mut(), size, PROT_READ | PROT_WRITE, 0).map(NonNull::as_ptr);
        self.grow(size).or_else(own).map_or((ptr::null_mut(), 0, 0), |place| (place, size, 0))
    }

    fn remap(&self, _: *mut u8, _: usize, _: usize, _: bool) -> *mut u8 {
        ptr::null_mut()
    }

    fn free_part(&self, place: *mut u8, old: usize, new: usize) -> bool {
        let (from, size) = (place.wrapping_add(new), old - new);
        if !self.holds(place) {
            // SAFETY: the end of a mapping of its own.
            return unsafe { munmap(from.cast(), size) } == 0;
        }
        if place.wrapping_add(old) != self.end() {
            return false;
        }
        // Mapped anew rather than MADV_DONTNEED, which locked memory does not know.
        let gone = map(from, size, PROT_NONE, MAP_NORESERVE | MAP_FIXED).is_some();
        if gone {
            self.used.fetch_sub(size, Ordering::Relaxed);
        }
        gone
    }

    fn free(&self, place: *mut u8, size: usize) -> bool {
        // SAFETY: a whole mapping of its own, of which nothing is in use.
        !self.holds(place) && unsafe { munmap(place.cast(), size) } == 0
    }

    fn can_release_part(&self, _: u32) -> bool {
        true
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        4096
    }
}

fn map(place: *mut u8, size: usize, rights: i32, flags: i32) -> Option<NonNull<u8>> {
    // SAFETY: a new mapping, or (MAP_FIXED) one in the place of a part of the range that its owner has given back.
    let place = unsafe { mmap(place.cast(), size, rights, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0) };
    if place == MAP_FAILED { None } else { NonNull::new(place.cast()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_free_at_the_end_goes_back_and_comes_again_zeroed() {
        const PART: usize = 64 << 10;
        let range = Range::new();
        let (first, size, _) = range.alloc(4 * PART);
        assert_eq!((size, range.used()), (4 * PART, 4 * PART));
        // SAFETY: within what was handed out.
        unsafe { first.write_bytes(7, 4 * PART) };
        assert!(range.free_part(first, 4 * PART, PART));
        assert_eq!(range.used(), PART);
        let (next, ..) = range.alloc(PART);
        assert_eq!(next, first.wrapping_add(PART));
        // SAFETY: both parts are handed out.
        unsafe { assert_eq!((first.read(), next.read()), (7, 0)) };
        assert!(!range.free_part(first, PART, 0), "not the end");
        assert!(!range.free(first, 2 * PART), "not a mapping of its own");
    }

    #[test]
    fn beyond_the_range_there_are_other_mappings() {
        let range = Range::new();
        let (place, ..) = range.alloc(1 << 20);
        range.span.store(1 << 20, Ordering::Relaxed);
        let (other, size, _) = range.alloc(1 << 20);
        assert!(!other.is_null() && !range.holds(other) && range.holds(place));
        assert!(range.free_part(other, size, size / 2) && range.free(other, size / 2));
        assert_eq!(range.alloc(usize::MAX / 2).0, ptr::null_mut());
    }
}
