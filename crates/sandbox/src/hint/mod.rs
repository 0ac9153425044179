//! What to do about an error: one clause that is added to it, never in its place.
//!
//! Pure, but for [`program`], which looks at the file that could not be executed. Callers tell errors from each other
//! by words (`permission denied`, `no such file or directory`, …): a hint has none of these.

mod error;
pub(crate) mod program;
pub(crate) mod step;
mod suggest;

use std::borrow::Cow;

/// A hint.
pub(crate) type Hint = Cow<'static, str>;
