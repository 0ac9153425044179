//! The program's memory: small pieces from a region of its own, all else from the C library.
//!
//! A command asks for some thousand small pieces and ends soon after. Here a piece is the head of a list, or the next bytes
//! of the region; nothing is merged, and nothing asked of the kernel. What doesn't fit in, or comes from another thread at
//! the same time, is the C library's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};

/// Small pieces are of a multiple of so many bytes, and all are aligned to as many.
const GRAIN: usize = 16;
/// The largest small piece.
const SMALL: usize = 1024;
/// The largest piece of the region: larger ones than the small are of twice the bytes of the one before.
const LARGEST: usize = 64 << 10;
/// How many sizes there are.
const SIZES: usize = SMALL / GRAIN + (LARGEST / SMALL).trailing_zeros() as usize;
/// Size of the region: what a `run` asks for, several times. Only what is used of it is the kernel's to provide.
const REGION: usize = 1 << 20;

/// Memory in which every byte may be written.
#[repr(align(64))]
struct Region(UnsafeCell<[u8; REGION]>);

/// A piece that is free.
struct Free {
    next: Option<NonNull<Free>>,
}

/// What the region has to give.
struct Pieces {
    /// Bytes that were given out at least once.
    used: usize,
    /// Free pieces, by [`class`].
    free: [Option<NonNull<Free>>; SIZES],
}

/// The allocator of the program.
pub(crate) struct Memory {
    region: Region,
    pieces: UnsafeCell<Pieces>,
    /// Somebody is at the pieces.
    busy: AtomicBool,
}

// SAFETY: `pieces` is used by who holds `busy` alone; a part of `region` by who was given it.
unsafe impl Sync for Memory {}

impl Memory {
    /// With nothing given out.
    pub(crate) const fn new() -> Self {
        Self {
            region: Region(UnsafeCell::new([0; REGION])),
            pieces: UnsafeCell::new(Pieces { used: 0, free: [None; SIZES] }),
            busy: AtomicBool::new(false),
        }
    }

    /// Does something with the pieces; `None` where another thread does.
    fn try_with<T>(&self, work: impl FnOnce(&mut Pieces) -> T) -> Option<T> {
        if self.busy.swap(true, Ordering::Acquire) {
            return None;
        }
        // SAFETY: nobody else gets here before `busy` is false again.
        let result = work(unsafe { &mut *self.pieces.get() });
        self.busy.store(false, Ordering::Release);
        Some(result)
    }

    fn start(&self) -> *mut u8 {
        self.region.0.get().cast()
    }

    fn holds(&self, piece: *mut u8) -> bool {
        (piece as usize).wrapping_sub(self.start() as usize) < REGION
    }

    /// A piece of the region, where there is one.
    fn take(&self, class: usize) -> Option<NonNull<u8>> {
        self.try_with(|pieces| {
            if let Some(piece) = pieces.free[class] {
                // SAFETY: a piece on the list holds a `Free`, and is nobody's.
                pieces.free[class] = unsafe { piece.as_ref() }.next;
                return Some(piece.cast());
            }
            let size = size_of_class(class);
            let offset = pieces.used;
            if REGION - offset < size {
                return None;
            }
            pieces.used = offset + size;
            // SAFETY: within the region, which was found to have so many bytes from there on.
            NonNull::new(unsafe { self.start().add(offset) })
        })?
    }
}

/// The number of the size that holds it; `None` for what is not the region's to give.
fn class(layout: Layout) -> Option<usize> {
    if layout.size() > LARGEST || layout.align() > GRAIN {
        return None;
    }
    let last = layout.size().saturating_sub(1);
    Some(if last < SMALL { last / GRAIN } else { SMALL / GRAIN + (last / SMALL).ilog2() as usize })
}

/// Bytes of a piece of this size's number.
const fn size_of_class(class: usize) -> usize {
    if class < SMALL / GRAIN { (class + 1) * GRAIN } else { SMALL << (class + 1 - SMALL / GRAIN) }
}

// SAFETY: a piece is as large and as aligned as its class, which is that of the layout, and is given to one at a time.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match class(layout).and_then(|class| self.take(class)) {
            Some(piece) => piece.as_ptr(),
            // SAFETY: the caller's promise.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        let owned = class(layout).filter(|_| self.holds(piece));
        let (Some(class), Some(piece)) = (owned, NonNull::new(piece)) else {
            // SAFETY: it was the system's.
            return unsafe { System.dealloc(piece, layout) };
        };
        let piece: NonNull<Free> = piece.cast();
        // Beside another thread it is not given out again.
        self.try_with(|pieces| {
            // SAFETY: the caller gives it up; it is large and aligned enough.
            unsafe { piece.write(Free { next: pieces.free[class] }) };
            pieces.free[class] = Some(piece);
        });
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match class(layout).and_then(|class| self.take(class)) {
            Some(piece) => {
                // SAFETY: it has so many bytes.
                unsafe { piece.write_bytes(0, layout.size()) };
                piece.as_ptr()
            }
            // SAFETY: the caller's promise.
            None => unsafe { System.alloc_zeroed(layout) },
        }
    }

    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !self.holds(piece) {
            // SAFETY: it was the system's; the caller's promise.
            return unsafe { System.realloc(piece, layout, size) };
        }
        // SAFETY: the caller's promise.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        if class(wanted).is_some_and(|wanted| Some(wanted) == class(layout)) {
            return piece;
        }
        // SAFETY: the caller's promise: the size is not 0.
        let fresh = unsafe { self.alloc(wanted) };
        if !fresh.is_null() {
            // SAFETY: both are as large, and two pieces.
            unsafe { ptr::copy_nonoverlapping(piece, fresh, layout.size().min(size)) };
            // SAFETY: the caller gives it up.
            unsafe { self.dealloc(piece, layout) };
        }
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    #[test]
    fn every_size_is_held_by_its_class_and_not_by_the_one_before() {
        for size in 1..=LARGEST {
            let class = class(layout(size, 1)).unwrap();
            assert!(size <= size_of_class(class), "{size}");
            assert!(class == 0 || size > size_of_class(class - 1), "{size}");
        }
        assert_eq!(class(layout(LARGEST, 1)), Some(SIZES - 1));
        assert_eq!(class(layout(LARGEST + 1, 1)), None);
        assert_eq!(class(layout(8, 64)), None);
    }

    /// A piece that was written full.
    fn take(memory: &Memory, layout: Layout, byte: u8) -> *mut u8 {
        // SAFETY: sizes in these tests are not 0.
        let piece = unsafe { memory.alloc(layout) };
        fill(piece, layout, byte);
        piece
    }

    fn fill(piece: *mut u8, layout: Layout, byte: u8) {
        // SAFETY: a piece of this layout, which nobody else has.
        unsafe { piece.write_bytes(byte, layout.size()) };
    }

    fn is_full_of(piece: *mut u8, layout: Layout, byte: u8) -> bool {
        // SAFETY: a piece of this layout that was written full.
        unsafe { std::slice::from_raw_parts(piece, layout.size()) }.iter().all(|&it| it == byte)
    }

    fn give_up(memory: &Memory, piece: *mut u8, layout: Layout) {
        // SAFETY: a piece of this memory and layout, given up once.
        unsafe { memory.dealloc(piece, layout) };
    }

    #[test]
    fn pieces_are_aligned_apart_and_given_again() {
        static MEMORY: Memory = Memory::new();
        let layouts = [layout(1, 1), layout(24, 8), layout(1000, 16), layout(5000, 4)];
        let pieces: Vec<_> = layouts
            .into_iter()
            .zip(1..)
            .map(|(layout, byte)| (layout, byte, take(&MEMORY, layout, byte)))
            .collect();
        for &(layout, byte, piece) in &pieces {
            assert!(MEMORY.holds(piece));
            assert_eq!(piece.addr() % GRAIN, 0);
            assert!(is_full_of(piece, layout, byte));
        }
        for (layout, _, piece) in pieces {
            give_up(&MEMORY, piece, layout);
            // SAFETY: the size is not 0.
            assert_eq!(unsafe { MEMORY.alloc_zeroed(layout) }, piece);
            assert!(is_full_of(piece, layout, 0));
        }
    }

    #[test]
    fn growing_keeps_what_was_written_beyond_the_region_too() {
        static MEMORY: Memory = Memory::new();
        let mut now = layout(8, 8);
        let mut piece = take(&MEMORY, now, 7);
        while now.size() < 4 * REGION {
            let twice = layout(now.size() * 2, 8);
            // SAFETY: a piece of this memory and layout.
            piece = unsafe { MEMORY.realloc(piece, now, twice.size()) };
            assert!(is_full_of(piece, now, 7));
            fill(piece, twice, 7);
            now = twice;
        }
        assert!(!MEMORY.holds(piece));
        give_up(&MEMORY, piece, now);
    }

    #[test]
    fn full_region_leaves_the_rest_to_the_system() {
        static MEMORY: Memory = Memory::new();
        let layout = layout(LARGEST, 1);
        let pieces: Vec<_> = (0..REGION / LARGEST + 2).map(|_| take(&MEMORY, layout, 1)).collect();
        assert_eq!(pieces.iter().filter(|piece| !MEMORY.holds(**piece)).count(), 2);
        pieces.into_iter().for_each(|piece| give_up(&MEMORY, piece, layout));
    }

    #[test]
    fn piece_at_the_end_of_the_region_is_the_systems() {
        static MEMORY: Memory = Memory::new();
        assert!(MEMORY.holds(MEMORY.start().wrapping_add(REGION - 1)));
        assert!(!MEMORY.holds(MEMORY.start().wrapping_add(REGION)));
        assert!(!MEMORY.holds(MEMORY.start().wrapping_sub(1)));
    }

    #[test]
    fn while_somebody_is_at_the_pieces_the_system_gives_and_nothing_is_given_back() {
        static MEMORY: Memory = Memory::new();
        let layout = layout(24, 8);
        let own = take(&MEMORY, layout, 1);
        let beside = MEMORY.try_with(|_| {
            let beside = take(&MEMORY, layout, 2);
            give_up(&MEMORY, own, layout);
            beside
        });
        let beside = beside.unwrap();
        assert!(!MEMORY.holds(beside));
        give_up(&MEMORY, beside, layout);
        assert_ne!(take(&MEMORY, layout, 3), own);
    }

    #[test]
    fn threads_beside_one_another_get_pieces_of_their_own() {
        static MEMORY: Memory = Memory::new();
        let work = |byte| {
            for round in 0..20_000_usize {
                let layout = layout(1 + round % 300, 1);
                let piece = take(&MEMORY, layout, byte);
                assert!(is_full_of(piece, layout, byte));
                give_up(&MEMORY, piece, layout);
            }
        };
        std::thread::scope(|scope| (0..4_u8).for_each(|byte| drop(scope.spawn(move || work(byte)))));
    }
}
