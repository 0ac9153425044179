//! A result that may come with warnings: nothing degrades in silence.

/// What the caller should know although the operation went on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// JSON pointer into the config, where one field is concerned.
    pub pointer: Option<String>,
    /// One sentence.
    pub message: String,
}

/// A value, and what was noticed on the way to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome<T> {
    /// The result.
    pub value: T,
    /// In the order in which they were noticed.
    pub warnings: Vec<Warning>,
}

impl<T> Outcome<T> {
    /// A value without warnings.
    pub const fn new(value: T) -> Self {
        Self { value, warnings: Vec::new() }
    }
}
