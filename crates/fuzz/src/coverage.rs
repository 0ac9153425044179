//! What code was reached, and how often: the measure by which inputs are kept.
//!
//! Built with `-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3
//! -Cllvm-args=-sanitizer-coverage-inline-8bit-counters`; otherwise nothing is ever reached.

use crate::sys;

/// Which features (place and magnitude of its counter) were seen.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    /// For each counter the magnitudes seen, as bits.
    seen: Vec<u8>,
    /// What the last input reached.
    last: Vec<(u32, u8)>,
}

impl Coverage {
    /// Forgets what ran before the input.
    pub(crate) fn begin(&mut self) {
        sys::take_counters(|_| {});
    }

    /// Takes what the input has reached; how much of it is new.
    pub(crate) fn end(&mut self) -> usize {
        let Self { seen, last } = self;
        last.clear();
        sys::take_counters(|counters| {
            seen.resize(counters.len(), 0);
            let (words, rest) = counters.as_chunks::<8>();
            for (index, word) in words.iter().enumerate() {
                if u64::from_ne_bytes(*word) != 0 {
                    let place = |offset: usize| (index * 8 + offset) as u32;
                    let reached = word.iter().enumerate().filter(|(_, count)| **count != 0);
                    last.extend(reached.map(|(offset, count)| (place(offset), magnitude(*count))));
                }
            }
            let first = counters.len() - rest.len();
            let reached = rest.iter().enumerate().filter(|(_, count)| **count != 0);
            last.extend(reached.map(|(offset, count)| ((first + offset) as u32, magnitude(*count))));
        });
        let is_new = |(place, bit): &&(u32, u8)| seen[*place as usize] & bit == 0;
        let new = last.iter().filter(is_new).count();
        last.iter().for_each(|(place, bit)| seen[*place as usize] |= bit);
        new
    }

    /// What the last input reached.
    pub(crate) fn last(&self) -> &[(u32, u8)] {
        &self.last
    }

    /// Counters there are, and those that were ever reached.
    pub(crate) fn places(&self) -> (usize, usize) {
        (self.seen.len(), self.seen.iter().filter(|bits| **bits != 0).count())
    }
}

/// 1, 2, 3, 4–7, 8–15, 16–31, 32–127, more: as one bit.
const fn magnitude(count: u8) -> u8 {
    match count {
        0 => 0,
        1 => 1,
        2 => 2,
        3 => 4,
        4..=7 => 8,
        8..=15 => 16,
        16..=31 => 32,
        32..=127 => 64,
        128.. => 128,
    }
}
