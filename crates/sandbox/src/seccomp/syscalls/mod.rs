//! The number of a system call, by name and architecture.
//!
//! One sorted table for all architectures, so that a name costs one search however many a profile lists. It is laid
//! out at compile time without pointers: a position-independent program would have to relocate each at its start.
//! Pure; runs in the runtime.

mod table;

use std::cmp::Ordering;
use table::TABLE;

/// Columns of the table: one for each set of numbers, see [`Column`](super::architecture::Column).
pub(super) const COLUMNS: usize = 18;
/// The architecture does not have the call.
const ABSENT: u16 = u16::MAX;
/// From here on a number in the table is one of ARM's private calls.
const ARM_PRIVATE: u16 = 0xf000;

const NAMES_LENGTH: usize = {
    let (mut length, mut i) = (0, 0);
    while i < TABLE.len() {
        length += TABLE[i].0.len();
        i += 1;
    }
    length
};

/// All names, one after the other.
static NAMES: [u8; NAMES_LENGTH] = {
    let mut names = [0; NAMES_LENGTH];
    let (mut row, mut end) = (0, 0);
    while row < TABLE.len() {
        let name = TABLE[row].0.as_bytes();
        let mut i = 0;
        while i < name.len() {
            names[end + i] = name[i];
            i += 1;
        }
        end += name.len();
        row += 1;
    }
    names
};

/// Where each name begins, and where the last ends.
static BEGINS: [u16; TABLE.len() + 1] = {
    let mut begins = [0; TABLE.len() + 1];
    let mut row = 0;
    while row < TABLE.len() {
        begins[row + 1] = begins[row] + TABLE[row].0.len() as u16;
        row += 1;
    }
    begins
};

static NUMBERS: [[u16; COLUMNS]; TABLE.len()] = {
    let mut numbers = [[ABSENT; COLUMNS]; TABLE.len()];
    let mut row = 0;
    while row < TABLE.len() {
        numbers[row] = TABLE[row].1;
        row += 1;
    }
    numbers
};

/// A system call that at least one architecture has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Syscall {
    row: usize,
}

impl Syscall {
    /// The call of that name, or `None` where no architecture has it.
    pub(super) fn by_name(name: &str) -> Option<Self> {
        let (mut from, mut to) = (0, TABLE.len());
        while from < to {
            let row = (from + to) / 2;
            match name_of(row).cmp(name.as_bytes()) {
                Ordering::Equal => return Some(Self { row }),
                Ordering::Less => from = row + 1,
                Ordering::Greater => to = row,
            }
        }
        None
    }

    /// Its number in a column of the table. The x32 numbers are without their bit 30.
    pub(super) fn number(self, column: usize) -> Option<u32> {
        match NUMBERS[self.row][column] {
            ABSENT => None,
            // `__ARM_NR_BASE`.
            private @ ARM_PRIVATE.. => Some(0x0f_0000 + u32::from(private - ARM_PRIVATE)),
            number => Some(u32::from(number)),
        }
    }
}

fn name_of(row: usize) -> &'static [u8] {
    &NAMES[usize::from(BEGINS[row])..usize::from(BEGINS[row + 1])]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_all_found() {
        assert!(TABLE.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (row, (name, numbers)) in TABLE.iter().enumerate() {
            assert_eq!(Syscall::by_name(name), Some(Syscall { row }));
            assert!(numbers.iter().any(|number| *number != ABSENT));
        }
        for name in ["", "a", "opena", "ope", "zzz", "OPEN", "syscalls"] {
            assert_eq!(Syscall::by_name(name), None, "{name}");
        }
    }
}
