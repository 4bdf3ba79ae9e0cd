//! Counts the heap, for programs that name [`Counting`] as their global allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

static LIVE: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counting the bytes asked for.
#[derive(Debug)]
pub struct Counting;

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The bytes in use now; zero in a program with another allocator.
#[must_use]
pub fn live() -> usize {
    LIVE.load(Ordering::Relaxed)
}

/// The mean heap of `count` values made by `make`, the place in their vector counted.
pub fn mean<T>(count: usize, mut make: impl FnMut(usize) -> T) -> usize {
    let before = live();
    let mut values = Vec::with_capacity(count);
    values.extend((0..count).map(&mut make));
    let used = live() - before;
    drop(values);
    used / count.max(1)
}
