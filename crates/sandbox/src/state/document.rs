//! What the files hold: documents of JSON, each with its checksum.

use serde_json::Value;

use super::checksum::{self, Checked};
use super::record::{Record, SCHEMA};
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
    serde_json::from_slice(bytes).map_err(|error| {
        let document = serde_json::from_slice(bytes).unwrap_or(Value::Null);
        let schema = document.get("schema").or_else(|| document.pointer("/record/schema"));
        match schema.and_then(Value::as_u64).filter(|schema| *schema != u64::from(SCHEMA)) {
            Some(schema) => foreign_schema(name, schema),
            None => Error::State { reason: format!("{name}: {error}") },
        }
    })
}

/// What is said of a record of another version.
pub(super) fn foreign_schema(name: &str, schema: u64) -> Error {
    Error::ForeignState { reason: format!("{name}: its schema is {schema}; this version's is {SCHEMA}") }
}

/// Whether it is a document, but none that a version of ours has written.
pub(super) fn is_foreign(bytes: &[u8]) -> bool {
    let document: Value = serde_json::from_slice(bytes).unwrap_or(Value::Null);
    document.is_object() && document.get("schema").is_none() && document.get("crc32").is_none()
}
