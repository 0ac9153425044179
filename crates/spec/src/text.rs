//! Strings that the kernel can take: no NUL inside.

use std::ffi::CString;
use std::fmt;
use std::ops::Deref;
use std::path::Path;

/// A string without a NUL byte. Holding one proves that it can become a C string.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Box<str>);

impl Text {
    /// The text, or `None` where it contains a NUL.
    pub fn new(text: impl Into<Box<str>>) -> Option<Self> {
        let text = text.into();
        (!text.as_bytes().contains(&0)).then_some(Self(text))
    }

    /// The text as the kernel takes it.
    pub fn to_c_string(&self) -> CString {
        CString::new(self.0.as_bytes()).unwrap_or_default()
    }

    /// The text as a path.
    pub fn as_path(&self) -> &Path {
        Path::new(&*self.0)
    }
}

impl Deref for Text {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A path that begins with `/` and has no NUL. Which root it is relative to is said by the field that holds it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AbsolutePath(Text);

impl AbsolutePath {
    /// The path, or `None` where it is not absolute.
    pub fn new(path: Text) -> Option<Self> {
        path.starts_with('/').then_some(Self(path))
    }

    /// `/`.
    pub fn root() -> Self {
        Self(Text("/".into()))
    }

    /// The path as text.
    pub fn as_text(&self) -> &Text {
        &self.0
    }
}

impl Deref for AbsolutePath {
    type Target = Text;
    fn deref(&self) -> &Text {
        &self.0
    }
}

impl fmt::Display for AbsolutePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
