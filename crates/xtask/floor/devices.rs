//! The devices that every container may use: as a program for cgroup v2, as lines for v1.

/// Rules for `devices.allow`, after everything was denied.
pub(crate) const RULES: [&[u8]; 10] = [
    b"c *:* m",
    b"b *:* m",
    b"c 1:3 rwm",
    b"c 1:5 rwm",
    b"c 1:7 rwm",
    b"c 1:8 rwm",
    b"c 1:9 rwm",
    b"c 5:0 rwm",
    b"c 5:2 rwm",
    b"c 136:* rwm",
];

/// An instruction, as `struct bpf_insn` of linux/bpf.h lies in memory on a little-endian machine.
const fn instruction(code: u8, to: u64, from: u64, jump: i16, constant: i32) -> u64 {
    code as u64 | to << 8 | from << 12 | (jump as u16 as u64) << 16 | (constant as u32 as u64) << 32
}

const fn load_word(to: u64, offset: i16) -> u64 {
    instruction(0x61, to, 1, offset, 0)
}

const fn jump_if_equal(register: u64, constant: i32, jump: i16) -> u64 {
    instruction(0x15, register, 0, jump, constant)
}

const fn jump_unless_equal(register: u64, constant: i32, jump: i16) -> u64 {
    instruction(0x55, register, 0, jump, constant)
}

/// Type in r2 (a character device is 2), access in r3 (mknod alone is 1), major in r4, minor in r5.
pub(crate) const PROGRAM: [u64; 24] = [
    load_word(2, 0),
    instruction(0xbf, 3, 2, 0, 0),
    instruction(0x57, 2, 0, 0, 0xffff),
    instruction(0x77, 3, 0, 0, 16),
    load_word(4, 4),
    load_word(5, 8),
    jump_if_equal(3, 1, 15),
    jump_unless_equal(2, 2, 12),
    jump_if_equal(4, 136, 13),
    jump_unless_equal(4, 1, 6),
    jump_if_equal(5, 3, 11),
    jump_if_equal(5, 5, 10),
    jump_if_equal(5, 7, 9),
    jump_if_equal(5, 8, 8),
    jump_if_equal(5, 9, 7),
    instruction(0x05, 0, 0, 4, 0),
    jump_unless_equal(4, 5, 3),
    jump_if_equal(5, 0, 4),
    jump_if_equal(5, 2, 3),
    instruction(0x05, 0, 0, 0, 0),
    // Denied.
    instruction(0xb7, 0, 0, 0, 0),
    instruction(0x95, 0, 0, 0, 0),
    // Allowed.
    instruction(0xb7, 0, 0, 0, 1),
    instruction(0x95, 0, 0, 0, 0),
];
