//! `state.json`: a damaged one is refused, a readable one is written as it was read.

use sandbox::state::Record;
use serde_json::json;

/// The checksum, which the library doesn't show.
#[path = "../../../sandbox/src/state/checksum.rs"]
mod checksum;

use checksum::{Checked, check, seal};

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let record = json!({
        "schema": 1, "ociVersion": "1.3.0", "id": "a", "phase": "created", "bootId": "b", "bundle": "/b", "rootfs": "/r",
        "createdNs": 1, "ownerUid": 0, "annotations": { "k": "v" }, "init": null, "executable": null, "cgroup": null,
        "poststop": false, "ownPids": true, "gateStep": 7,
    });
    vec![record.to_string().into_bytes()]
}

pub(super) fn run(bytes: &[u8]) {
    let _ = check(bytes);
    let Ok(record) = serde_json::from_slice::<Record>(bytes) else { return };
    let written = seal(serde_json::to_vec(&record).expect("a record can be written"));
    assert_eq!(check(&written), Checked::Same);
    // A bit that depends on the input.
    let bit =
        bytes.iter().fold(bytes.len(), |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)))
            % (written.len() * 8);
    let mut damaged = written.clone();
    damaged[bit / 8] ^= 1 << (bit % 8);
    assert_ne!(check(&damaged), Checked::Same, "bit {bit}");
    let again: Record = serde_json::from_slice(&written).expect("what was written can be read");
    assert_eq!(again, record);
    let _ = record.created();
}
