//! The files of sandboxd's state directory, for tests that change what is recorded.

const MEMBER: &[u8] = b",\"crc32\":\"";
const DIGITS: usize = 8;

/// With the checksum of what it holds now, where it has one: as if the runtime had written it so.
#[must_use]
pub fn resealed(mut record: Vec<u8>) -> Vec<u8> {
    let member = record.len().saturating_sub(MEMBER.len() + DIGITS + 2);
    if record[member..].starts_with(MEMBER) {
        let digits = format!("{:08x}", crc32(&record[..member]));
        record[member + MEMBER.len()..][..DIGITS].copy_from_slice(digits.as_bytes());
    }
    record
}

/// Bit by bit, as the definition has it.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |value, byte| {
        (0..8).fold(value ^ u32::from(*byte), |value, _| (value >> 1) ^ (0xedb8_8320 * (value & 1)))
    })
}
