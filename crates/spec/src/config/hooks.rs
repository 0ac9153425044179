//! `hooks`.

use crate::{AbsolutePath, Text};

/// The six points of the life cycle at which hooks run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HookPoint {
    /// Deprecated; before `createRuntime`, runtime namespace.
    Prestart,
    /// During create, after the namespaces exist and before the root is switched; runtime namespace.
    CreateRuntime,
    /// After `createRuntime`, before the root is switched; container namespace, path of the runtime namespace.
    CreateContainer,
    /// At `start`, before the process is executed; container namespace and path.
    StartContainer,
    /// After the process was started; runtime namespace.
    Poststart,
    /// After the container was deleted; runtime namespace.
    Poststop,
}

impl HookPoint {
    /// The property's name in `config.json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prestart => "prestart",
            Self::CreateRuntime => "createRuntime",
            Self::CreateContainer => "createContainer",
            Self::StartContainer => "startContainer",
            Self::Poststart => "poststart",
            Self::Poststop => "poststop",
        }
    }
}

/// One hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// `path`: executable, absolute.
    pub path: AbsolutePath,
    /// `args`, argv\[0\] included; `[path]` where absent or empty.
    pub args: Vec<Text>,
    /// `env`, exactly; empty where absent: a hook never inherits an environment.
    pub env: Vec<Text>,
    /// `timeout` in seconds, more than 0.
    pub timeout_s: Option<u64>,
}

/// All hooks, in the order listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    /// `prestart`
    pub prestart: Vec<Hook>,
    /// `createRuntime`
    pub create_runtime: Vec<Hook>,
    /// `createContainer`
    pub create_container: Vec<Hook>,
    /// `startContainer`
    pub start_container: Vec<Hook>,
    /// `poststart`
    pub poststart: Vec<Hook>,
    /// `poststop`
    pub poststop: Vec<Hook>,
}

impl Hooks {
    /// The hooks of one point.
    pub fn at(&self, point: HookPoint) -> &[Hook] {
        match point {
            HookPoint::Prestart => &self.prestart,
            HookPoint::CreateRuntime => &self.create_runtime,
            HookPoint::CreateContainer => &self.create_container,
            HookPoint::StartContainer => &self.start_container,
            HookPoint::Poststart => &self.poststart,
            HookPoint::Poststop => &self.poststop,
        }
    }
}
