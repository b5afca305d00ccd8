//! The allocator of the binary: dlmalloc behind a lock that lends its holder the priority of whoever waits for it.
//!
//! Beside the real-time loop of `vrrp` ordinary threads watch gateways and talk to the other box. One of them that loses the processor
//! between lock and unlock would keep the loop from its timers for as long as others compute (priority inversion).

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, Ordering};

use dlmalloc::Dlmalloc;
use nix::libc::{
    PTHREAD_PRIO_INHERIT, pthread_mutex_init, pthread_mutex_lock, pthread_mutex_t, pthread_mutex_unlock,
    pthread_mutexattr_init, pthread_mutexattr_setprotocol, pthread_mutexattr_t,
};
use range::Range;

mod range;

/// After so many frees what is free at the end goes back; dlmalloc by itself keeps 2 MB of it.
const TRIM_AFTER: u32 = 1 << 18;
/// As much of it stays: it will be wanted again at once.
const KEPT: usize = 128 << 10;

/// For `#[global_allocator]`.
pub struct Heap {
    ready: AtomicBool,
    lock: UnsafeCell<MaybeUninit<pthread_mutex_t>>,
    heap: UnsafeCell<Dlmalloc<Range>>,
    /// Since the free end went back.
    frees: UnsafeCell<u32>,
}

// SAFETY: `heap` and `frees` are only touched between lock and unlock of `lock`.
unsafe impl Sync for Heap {}

impl Heap {
    /// An empty one; the lock is made with the first allocation.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "there is one, in a static")]
    pub const fn new() -> Self {
        Self {
            ready: AtomicBool::new(false),
            lock: UnsafeCell::new(MaybeUninit::uninit()),
            heap: UnsafeCell::new(Dlmalloc::new_with_allocator(Range::new())),
            frees: UnsafeCell::new(0),
        }
    }

    fn locked<T>(&self, work: impl FnOnce(&mut Dlmalloc<Range>) -> T) -> T {
        let lock = self.lock.get().cast::<pthread_mutex_t>();
        if !self.ready.load(Ordering::Acquire) {
            // SAFETY: the first allocation of a process is before its second thread: Rust's runtime makes it before `main`.
            unsafe { make(lock) };
            self.ready.store(true, Ordering::Release);
        }
        // SAFETY: `lock` is made; it cannot fail, since nobody who holds it allocates.
        unsafe { pthread_mutex_lock(lock) };
        // SAFETY: nobody else has the lock, and `work` does not come back here.
        let done = work(unsafe { &mut *self.heap.get() });
        // SAFETY: this thread has locked it.
        unsafe { pthread_mutex_unlock(lock) };
        done
    }
}

/// # Safety
/// `frees` is that of `heap`, and nobody else uses it.
unsafe fn trim_now_and_then(heap: &mut Dlmalloc<Range>, frees: *mut u32) {
    // SAFETY: as promised by the caller; what `trim` gives back nobody has.
    unsafe {
        *frees += 1;
        if *frees == TRIM_AFTER {
            *frees = 0;
            heap.trim(KEPT);
        }
    }
}

/// # Safety
/// `lock` is writable and nobody uses it.
unsafe fn make(lock: *mut pthread_mutex_t) {
    let mut how = MaybeUninit::<pthread_mutexattr_t>::uninit();
    // SAFETY: `how` is made before it is used; a kernel that cannot lend priorities (ENOTSUP) leaves an ordinary lock.
    unsafe {
        pthread_mutexattr_init(how.as_mut_ptr());
        pthread_mutexattr_setprotocol(how.as_mut_ptr(), PTHREAD_PRIO_INHERIT);
        pthread_mutex_init(lock, how.as_ptr());
    }
}

// SAFETY: dlmalloc keeps the contract, and one caller at a time is in it.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as promised by the caller.
        self.locked(|heap| unsafe { heap.malloc(layout.size(), layout.align()) })
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as promised by the caller.
        self.locked(|heap| unsafe {
            heap.free(place, layout.size(), layout.align());
            trim_now_and_then(heap, self.frees.get());
        });
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as promised by the caller.
        self.locked(|heap| unsafe { heap.calloc(layout.size(), layout.align()) })
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as promised by the caller.
        self.locked(|heap| unsafe { heap.realloc(place, layout.size(), layout.align(), size) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_have_taken_at_once_goes_back_though_little_stays() {
        let mut heap = Dlmalloc::new_with_allocator(Range::new());
        // SAFETY: what is allocated is freed, once, with its size; `heap` is this function's alone.
        unsafe {
            let few: Vec<_> = (0..1_000).map(|_| heap.malloc(100, 16)).collect();
            let many: Vec<_> = (0..10_000).map(|_| heap.malloc(1_000, 16)).collect();
            let most = heap.allocator().used();
            many.into_iter().for_each(|place| heap.free(place, 1_000, 16));
            let left = heap.allocator().used();
            assert!(most > 10_000_000 && left < 1_000_000, "{most} {left}");
            few.into_iter().for_each(|place| heap.free(place, 100, 16));
        }
    }

    #[test]
    fn a_free_end_goes_back_in_time_however_small_it_is() {
        let heap = Heap::new();
        let (small, large) =
            (Layout::from_size_align(64, 16).unwrap(), Layout::from_size_align(1 << 20, 16).unwrap());
        // SAFETY: what is allocated is freed, once, with its layout; one thread uses this heap.
        unsafe {
            let kept = heap.alloc(small);
            heap.dealloc(heap.alloc(large), large);
            let used = || (*heap.heap.get()).allocator().used();
            let at_first = used();
            (1..TRIM_AFTER).for_each(|_| heap.dealloc(heap.alloc(small), small));
            assert!(at_first > 1 << 20 && used() <= 2 * KEPT, "{at_first} {}", used());
            heap.dealloc(kept, small);
        }
    }

    #[test]
    fn many_threads_at_once() {
        static HEAP: Heap = Heap::new();
        let layout = |size: usize| Layout::from_size_align(size, 16).unwrap();
        // SAFETY: what is allocated is freed, with the same layout.
        unsafe { HEAP.dealloc(HEAP.alloc(layout(1)), layout(1)) };
        let work = |seed: u8| {
            for round in 0..2_000_usize {
                let size = 1 + (round * 37 + usize::from(seed) * 101) % 5_000;
                // SAFETY: written and read within `size`, then within twice of it; freed with the layout that it has then.
                unsafe {
                    let place = HEAP.alloc(layout(size));
                    place.write_bytes(seed, size);
                    let place = HEAP.realloc(place, layout(size), 2 * size);
                    assert!((0..size).all(|at| place.add(at).read() == seed));
                    HEAP.dealloc(place, layout(2 * size));
                }
            }
        };
        std::thread::scope(|scope| (1..5).for_each(|seed| drop(scope.spawn(move || work(seed)))));
    }
}
