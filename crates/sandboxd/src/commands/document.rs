//! A document that a command is given: a file, or stdin.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::error::{Context as _, Result};

/// No document is larger.
const MOST_BYTES: u64 = 16 << 20;

/// Its bytes; `-` is stdin.
///
/// # Errors
/// It can't be read.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().take(MOST_BYTES).read_to_end(&mut bytes).context(|| "read stdin".to_owned())?;
    } else {
        let file = File::open(path).context(|| format!("open {}", path.display()))?;
        file.take(MOST_BYTES).read_to_end(&mut bytes).context(|| format!("read {}", path.display()))?;
    }
    Ok(bytes)
}
