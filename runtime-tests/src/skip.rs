//! What a test says: that it has passed, or why it can't be run here.

/// Why a test cannot be run here.
#[derive(Debug)]
pub struct Skip(pub(crate) String);

impl Skip {
    /// A skip for a reason.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// What a test returns; a failure is a panic.
pub type Verdict = Result<(), Skip>;
