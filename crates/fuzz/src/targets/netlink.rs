//! What the kernel answers over netlink: read to the end or refused, and never beyond it.

/// The reader, which the library doesn't show.
#[path = "../../../sandbox/src/rtnetlink/answers.rs"]
#[allow(dead_code, reason = "its tests are the library's")]
mod answers;

use answers::{address_of, flags_of, read_answers};

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let packet = |kind: u16, payload: &[u8]| {
        let mut bytes = (16 + payload.len() as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(payload);
        bytes
    };
    // struct ifinfomsg, struct ifaddrmsg with IFA_ADDRESS, an acknowledgement, a list's end.
    let link = packet(16, &[0, 0, 4, 3, 1, 0, 0, 0, 0x49, 0, 1, 0, 0, 0, 0, 0]);
    let address = packet(20, &[2, 8, 0x80, 254, 1, 0, 0, 0, 8, 0, 1, 0, 127, 0, 0, 1]);
    let done = packet(3, &[0; 4]);
    let denied = packet(2, &(-1_i32).to_ne_bytes());
    vec![[address.clone(), address, done].concat(), [link, denied].concat()]
}

pub(super) fn run(bytes: &[u8]) {
    let mut read = 0;
    let result = read_answers(bytes, 0, |answer| {
        read += answer.length() as usize;
        let _ = flags_of(&answer);
        let _ = address_of(answer, 1);
        Ok(())
    });
    assert!(read <= bytes.len(), "{read} bytes were read of {}", bytes.len());
    if let Err(error) = result {
        assert!(!error.to_string().is_empty());
    }
}
