//! What a container is, as the rest of the runtime sees it: the typed meaning of `config.json`.
//!
//! Runs anywhere; pure. Every value here is valid by construction and has one meaning.

mod hooks;
mod linux;
mod mount;
pub(crate) mod names;
mod process;
mod resources;
mod seccomp;

use std::collections::BTreeMap;

pub use hooks::{Hook, HookPoint, Hooks};
pub use linux::{
    Device, DeviceKind, IdMapping, IntelRdt, Linux, MemoryPolicy, MemoryPolicyMode, Namespace, NamespaceKind,
    Namespaces, NetDevice, Personality, Sysctl, TimeOffset, TimeOffsets,
};
pub use mount::{Attributes, IdMap, Mount, MountKind, MountOption, Propagation, PropagationKind, attribute};
pub use process::{
    Capabilities, Capability, CapabilitySet, ConsoleSize, ExecCpuAffinity, Id, IoPriority, IoPriorityClass,
    Process, Rlimit, RlimitResource, Scheduler, SchedulerPolicy, Terminal, User,
};
pub use resources::{
    Access, BlockIo, BlockThrottle, BlockWeight, Cpu, DeviceRule, DeviceRuleKind, HugepageLimit,
    InterfacePriority, Limit, Memory, Network, Rdma, Resources,
};
pub use seccomp::{
    Action, Architecture, ArgumentCondition, Comparison, FilterFlags, Listener, Seccomp, SyscallRule,
};

pub(crate) use names::Named;

use crate::Text;

/// A validated container configuration (runtime-spec, `config.md`).
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `ociVersion` as written.
    pub oci_version: Text,
    /// `root`. The path is relative to the bundle unless absolute.
    pub root: Root,
    /// `process`. Optional at `create`, required at `start`.
    pub process: Option<Process>,
    /// `hostname`. Needs a new or joined UTS namespace (checked).
    pub hostname: Option<Text>,
    /// `domainname`. Needs a new or joined UTS namespace (checked).
    pub domainname: Option<Text>,
    /// `mounts`, in the order listed.
    pub mounts: Vec<Mount>,
    /// `hooks`.
    pub hooks: Hooks,
    /// `annotations`.
    pub annotations: BTreeMap<String, String>,
    /// `linux`; all defaults where the section is absent.
    pub linux: Linux,
}

/// `root`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// `path`: host path, relative to the bundle unless absolute.
    pub path: Text,
    /// `readonly`.
    pub readonly: bool,
}
