//! The checksum that a record ends with: a byte that is another would else be another container's pid, cgroup or boot.
//!
//! Runs in the runtime. Pure: the bytes of a JSON object in, the same with a last member `"crc32"` out, over all that is
//! before it; and back. A record without one is of an earlier version, and read as it is. It is against accidents (a medium,
//! a file system after a crash, an editor), not against who may write the state root.

/// What follows the object's last member; then the checksum in hexadecimal, then [`END`].
const MEMBER: &[u8] = b",\"crc32\":\"";
const END: &[u8] = b"\"}";
const DIGITS: usize = 8;

/// What a record's checksum says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checked {
    /// It is the one of what is before it.
    Same,
    /// It is another's.
    Differs,
    /// There is none.
    Absent,
}

/// Ends a JSON object that has members with their checksum.
pub(super) fn seal(mut object: Vec<u8>) -> Vec<u8> {
    debug_assert!(object.len() > 2 && object.ends_with(b"}"), "an object with members");
    object.pop();
    let digits = hexadecimal(crc32(&object));
    [MEMBER, &digits, END].iter().for_each(|part| object.extend_from_slice(part));
    object
}

/// Looks at the checksum of what was sealed.
pub(super) fn check(object: &[u8]) -> Checked {
    let Some(at) = object.len().checked_sub(MEMBER.len() + DIGITS + END.len()) else {
        return Checked::Absent;
    };
    let (before, member) = object.split_at(at);
    let Some(rest) = member.strip_prefix(MEMBER) else { return Checked::Absent };
    if rest.strip_suffix(END) == Some(&hexadecimal(crc32(before))) { Checked::Same } else { Checked::Differs }
}

fn hexadecimal(value: u32) -> [u8; DIGITS] {
    std::array::from_fn(|digit| b"0123456789abcdef"[(value >> (28 - 4 * digit)) as usize & 0xf])
}

/// `TABLES[n][byte]`: what a byte does to the checksum that n more bytes follow.
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { value >> 1 ^ 0xedb8_8320 } else { value >> 1 };
            bit += 1;
        }
        tables[0][byte] = value;
        byte += 1;
    }
    let mut distance = 1;
    while distance < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[distance - 1][byte];
            tables[distance][byte] = before >> 8 ^ tables[0][before as usize & 0xff];
            byte += 1;
        }
        distance += 1;
    }
    tables
}

/// CRC-32 as of ISO 3309 (gzip, Ethernet), eight bytes at a time: an intent holds a whole config, and is written at each
/// creation.
fn crc32(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut value = !0_u32;
    for word in words {
        let word = u64::from_le_bytes(*word) ^ u64::from(value);
        let of = |byte: usize| TABLES[7 - byte][(word >> (8 * byte)) as usize & 0xff];
        value = of(0) ^ of(1) ^ of(2) ^ of(3) ^ of(4) ^ of(5) ^ of(6) ^ of(7);
    }
    for byte in rest {
        value = value >> 8 ^ TABLES[0][(value as u8 ^ byte) as usize];
    }
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_are_computed() {
        assert_eq!(crc32(b""), 0);
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b"The quick brown fox jumps over the lazy dog"), 0x414f_a339);
    }

    #[test]
    fn sealed_object_is_json_with_one_more_member() {
        let sealed = seal(br#"{"a":1,"b":"\"crc32\""}"#.to_vec());
        let value: serde_json::Value = serde_json::from_slice(&sealed).unwrap();
        assert_eq!((&value["a"], &value["b"]), (&1.into(), &"\"crc32\"".into()));
        assert_eq!(value["crc32"].as_str().unwrap().len(), DIGITS);
        assert_eq!(check(&sealed), Checked::Same);
    }

    #[test]
    fn object_without_checksum_is_told_apart() {
        for text in ["", "{}", r#"{"a":1}"#, r#"{"crc32":"00000000"}"#, r#"{"a":",\"crc32\":\"00000000\""}"#]
        {
            assert_eq!(check(text.as_bytes()), Checked::Absent, "{text}");
        }
    }

    /// Whatever bit of it is another: it is found, or it was in the checksum's own name or the object's end.
    #[test]
    fn each_bit_that_is_another_is_found() {
        let whole = seal(br#"{"schema":1,"bootId":"3e1c","path":"/sys/fs/cgroup/c1","pid":4711}"#.to_vec());
        let content = whole.len() - MEMBER.len() - DIGITS - END.len();
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[at] ^= 1 << bit;
                let in_name = (content..content + MEMBER.len()).contains(&at);
                let expected = if in_name { Checked::Absent } else { Checked::Differs };
                assert_eq!(check(&damaged), expected, "bit {bit} of byte {at}");
            }
        }
    }
}
