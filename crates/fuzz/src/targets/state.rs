//! `state.json`: a damaged one is refused, a readable one is written as it was read.

use sandbox::state::Record;
use serde_json::json;

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let record = json!({
        "schema": 1, "ociVersion": "1.3.0", "id": "a", "phase": "created", "bootId": "b", "bundle": "/b", "rootfs": "/r",
        "createdNs": 1, "ownerUid": 0, "annotations": { "k": "v" }, "init": null, "executable": null, "cgroup": null,
        "poststop": false, "ownPids": true, "gateStep": 7,
    });
    vec![record.to_string().into_bytes()]
}

pub(super) fn run(bytes: &[u8]) {
    let Ok(record) = serde_json::from_slice::<Record>(bytes) else { return };
    let written = serde_json::to_vec(&record).expect("a record can be written");
    let again: Record = serde_json::from_slice(&written).expect("what was written can be read");
    assert_eq!(again, record);
    let _ = record.created();
}
