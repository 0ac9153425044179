//! Where the container's cgroup is: `cgroupsPath`, or the container's id.

use spec::Text;

use super::error::PlanError;
use super::hierarchies::OwnPaths;
use crate::ContainerId;

/// The path of a container's cgroup. Holding one proves: at least one component, none of them `.` or `..`, none longer
/// than a file name may be, no line break (the kernel refuses it).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CgroupPath {
    /// Below the mount point of each hierarchy (runtime-spec, config-linux.md, Cgroups Path).
    Absolute(Vec<String>),
    /// On v1 below the runtime's own cgroup, on v2 beside it, as runc has it: a v2 cgroup with processes can't
    /// give controllers to its children.
    Relative(Vec<String>),
}

impl CgroupPath {
    /// Longest path in bytes, so that with the mount point before it and a file name behind it, it is below `PATH_MAX`.
    const MAX_BYTES: usize = 3072;

    /// The path that the config asks for; without one, the container's id, relative.
    ///
    /// # Errors
    /// The path has `..`, or nothing but `/`, or a component that can't be a cgroup's name.
    pub fn new(cgroups_path: Option<&Text>, id: &ContainerId) -> Result<Self, PlanError> {
        match cgroups_path {
            None => Self::parse(id),
            Some(path) => Self::parse(path),
        }
    }

    fn parse(path: &str) -> Result<Self, PlanError> {
        let error = |rule| Err(PlanError::Path { path: path.chars().take(200).collect(), rule });
        if path.len() > Self::MAX_BYTES {
            return error("it is longer than 3072 bytes");
        }
        let components: Vec<String> =
            path.split('/').filter(|part| !matches!(*part, "" | ".")).map(str::to_owned).collect();
        if components.is_empty() {
            return error("it names no cgroup of the container's own");
        }
        for component in &components {
            if component == ".." {
                return error("it contains \"..\"");
            }
            if component.len() > 255 {
                return error("a component is longer than 255 bytes");
            }
            if component.contains(['\n', '\0']) {
                return error("a component contains a line break");
            }
        }
        Ok(if path.starts_with('/') { Self::Absolute(components) } else { Self::Relative(components) })
    }

    /// Whether the runtime's own cgroup has to be known.
    pub const fn own_paths(&self) -> OwnPaths {
        match self {
            Self::Absolute(_) => OwnPaths::Skip,
            Self::Relative(_) => OwnPaths::Read,
        }
    }

    /// Whether it has the form of systemd's manager, `slice:prefix:name`.
    pub(super) fn is_for_systemd(&self) -> bool {
        match self {
            Self::Relative(components) => match components.as_slice() {
                [only] => only.split(':').count() == 3,
                _ => false,
            },
            Self::Absolute(_) => false,
        }
    }

    /// Components below the mount point.
    pub(super) fn below(&self, own: Option<&str>, beside_own: bool) -> Result<Vec<String>, PlanError> {
        let components = match self {
            Self::Absolute(components) => return Ok(components.clone()),
            Self::Relative(components) => components,
        };
        let own = own.ok_or_else(|| PlanError::OwnPath { path: components.join("/") })?;
        let mut all: Vec<String> =
            own.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        if beside_own {
            all.pop();
        }
        all.extend(components.iter().cloned());
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Result<CgroupPath, PlanError> {
        CgroupPath::new(Some(&Text::new(text).unwrap()), &ContainerId::new("web-1").unwrap())
    }

    #[test]
    fn path_absent_is_id() {
        let path = CgroupPath::new(None, &ContainerId::new("web-1").unwrap()).unwrap();
        assert_eq!(path, CgroupPath::Relative(vec!["web-1".into()]));
        assert_eq!(path.below(Some("/a/b"), false).unwrap(), ["a", "b", "web-1"]);
        assert_eq!(path.below(Some("/a/b"), true).unwrap(), ["a", "web-1"]);
        assert_eq!(path.below(Some("/"), true).unwrap(), ["web-1"]);
        assert!(matches!(path.below(None, true), Err(PlanError::OwnPath { .. })));
    }

    #[test]
    fn path_well_formed_taken() {
        let absolute = CgroupPath::Absolute(vec!["a".into(), "b".into()]);
        for text in ["/a/b", "//a/./b/", "/a//b"] {
            assert_eq!(path(text).unwrap(), absolute, "{text}");
        }
        assert_eq!(absolute.below(None, true).unwrap(), ["a", "b"]);
        assert_eq!(path("a:b:c").unwrap(), CgroupPath::Relative(vec!["a:b:c".into()]));
    }

    #[test]
    fn path_that_leaves_refused() {
        let long = format!("/{}", "x".repeat(256));
        let longer = "/a".repeat(2000);
        for text in ["..", "/../x", "a/../../b", "/", "", ".", "/./", "a\nb", &long, &longer] {
            assert!(matches!(path(text), Err(PlanError::Path { .. })), "{text}");
        }
    }
}
