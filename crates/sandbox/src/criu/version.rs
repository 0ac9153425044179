//! CRIU's version, and what needs which.
//!
//! Pure.

use std::fmt;

use super::message::VersionAnswer;

/// A version of CRIU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Before the first dot.
    pub major: i32,
    /// After it.
    pub minor: i32,
    /// After the second.
    pub sublevel: i32,
}

impl Version {
    /// External pid namespaces, the v2 freezer, the notification that lazy pages are ready.
    pub const LEAST: Self = Self::new(3, 15);
    /// Another LSM profile or mount context.
    pub const LSM: Self = Self::new(3, 16);
    /// The choice of the network lock.
    pub const NETWORK_LOCK: Self = Self::new(3, 17);

    const fn new(major: i32, minor: i32) -> Self {
        Self { major, minor, sublevel: 0 }
    }

    /// As CRIU says it. Built from its repository it is the release that comes next.
    pub(crate) fn of(answer: &VersionAnswer) -> Self {
        let version =
            Self { sublevel: answer.sublevel.unwrap_or(0), ..Self::new(answer.major, answer.minor) };
        if answer.git.is_some() { Self::new(version.major, version.minor + 1) } else { version }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        if self.sublevel == 0 { Ok(()) } else { write!(f, ".{}", self.sublevel) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_from_a_repository_is_the_next_release() {
        let answer =
            VersionAnswer { major: 3, minor: 14, git: Some("v3.14-2-gabc".into()), sublevel: Some(1) };
        assert!(Version::of(&answer) >= Version::LEAST);
    }
}
