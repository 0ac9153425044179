//! What the files hold: documents of JSON, each with its checksum.

use super::checksum::{self, Checked};
use super::record::Record;
use crate::error::{Error, Result};

/// Most records, and most intents, are smaller.
const USUAL_RECORD_BYTES: usize = 8 << 10;

/// `intent.json`, as read.
#[derive(serde::Deserialize)]
pub(super) struct Intent {
    pub(super) record: Record,
    pub(super) config: String,
}

/// `intent.json`, as written.
#[derive(serde::Serialize)]
pub(super) struct IntentRef<'a> {
    pub(super) record: &'a Record,
    pub(super) config: &'a str,
}

/// A record as it is written, with its checksum.
pub(crate) fn encode(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(USUAL_RECORD_BYTES);
    serde_json::to_writer(&mut bytes, value)
        .map_err(|error| Error::State { reason: format!("encode: {error}") })?;
    Ok(checksum::seal(bytes))
}

/// What the file of this name holds.
pub(crate) fn decode<T: serde::de::DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T> {
    if checksum::check(bytes) == Checked::Differs {
        let reason =
            format!("{name}: it was damaged, or changed by hand: its checksum is not that of what it holds");
        return Err(Error::State { reason });
    }
    serde_json::from_slice(bytes).map_err(|error| Error::State { reason: format!("{name}: {error}") })
}
