//! `process`.

use crate::{AbsolutePath, Text};

/// `process`.
#[derive(Clone, Debug, PartialEq)]
pub struct Process {
    /// `terminal` and `consoleSize`: a terminal of this size, or none.
    pub terminal: Option<Terminal>,
    /// `user`.
    pub user: User,
    /// `args`: at least one.
    pub args: Vec<Text>,
    /// `env`, in order. Later duplicates win, as execve's readers see it: kept as written.
    pub env: Vec<Text>,
    /// `cwd`, in the container.
    pub cwd: AbsolutePath,
    /// `capabilities`; all empty where absent.
    pub capabilities: Capabilities,
    /// `rlimits`: no resource twice, soft at most hard.
    pub rlimits: Vec<Rlimit>,
    /// `noNewPrivileges`.
    pub no_new_privileges: bool,
    /// `oomScoreAdj`, −1000 to 1000.
    pub oom_score_adj: Option<i16>,
    /// `apparmorProfile`; an empty string is none.
    pub apparmor_profile: Option<Text>,
    /// `selinuxLabel`; an empty string is none.
    pub selinux_label: Option<Text>,
    /// `scheduler`.
    pub scheduler: Option<Scheduler>,
    /// `ioPriority`.
    pub io_priority: Option<IoPriority>,
    /// `execCPUAffinity`.
    pub exec_cpu_affinity: ExecCpuAffinity,
}

/// A terminal was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terminal {
    /// `consoleSize`.
    pub size: Option<ConsoleSize>,
}

/// `consoleSize`, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsoleSize {
    /// Rows.
    pub height: u16,
    /// Columns.
    pub width: u16,
}

/// A user or group id that the kernel can take: any but 2³²−1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(u32);

impl Id {
    /// Root.
    pub const ROOT: Self = Self(0);

    /// The id, or `None` for `(uid_t)-1`, which means "leave as it is" to the kernel.
    pub const fn new(id: u32) -> Option<Self> {
        if id == u32::MAX { None } else { Some(Self(id)) }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// `user`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// `uid`
    pub uid: Id,
    /// `gid`
    pub gid: Id,
    /// `umask`; 0022 where absent.
    pub umask: u32,
    /// `additionalGids`, as listed. Always set, also when empty.
    pub additional_gids: Vec<Id>,
}

/// One capability, by number (`capabilities(7)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Capability(u8);

/// Names by number: Linux 6.x has 41.
const CAPABILITY_NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

impl Capability {
    /// All that are known, in the order of their numbers.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..CAPABILITY_NAMES.len() as u8).map(Self)
    }

    /// By its name, `CAP_CHOWN`.
    pub fn from_name(name: &str) -> Option<Self> {
        CAPABILITY_NAMES.iter().position(|known| *known == name).map(|number| Self(number as u8))
    }

    /// Its name, `CAP_CHOWN`.
    pub fn name(self) -> &'static str {
        CAPABILITY_NAMES[usize::from(self.0)]
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// A set of capabilities, as the kernel's bit mask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CapabilitySet(u64);

impl CapabilitySet {
    /// The empty set.
    pub const EMPTY: Self = Self(0);

    /// The mask: bit n is capability number n.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The set with this mask, less what is not known.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits & ((1 << CAPABILITY_NAMES.len()) - 1))
    }

    /// Adds one.
    pub fn insert(&mut self, capability: Capability) {
        self.0 |= 1 << capability.0;
    }

    /// Whether it is in the set.
    pub const fn contains(self, capability: Capability) -> bool {
        self.0 & (1 << capability.0) != 0
    }

    /// What is in both.
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The members, by number.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::all().filter(move |capability| self.contains(*capability))
    }
}

/// `capabilities`. Ambient is a subset of permitted and inheritable, effective of permitted (what exceeds is dropped
/// with a warning: the kernel would refuse it).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// `effective`
    pub effective: CapabilitySet,
    /// `bounding`
    pub bounding: CapabilitySet,
    /// `inheritable`
    pub inheritable: CapabilitySet,
    /// `permitted`
    pub permitted: CapabilitySet,
    /// `ambient`
    pub ambient: CapabilitySet,
}

/// A resource of `setrlimit(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RlimitResource(u8);

/// Names by number, as on every architecture that is supported here (asm-generic).
const RLIMIT_NAMES: [&str; 16] = [
    "RLIMIT_CPU",
    "RLIMIT_FSIZE",
    "RLIMIT_DATA",
    "RLIMIT_STACK",
    "RLIMIT_CORE",
    "RLIMIT_RSS",
    "RLIMIT_NPROC",
    "RLIMIT_NOFILE",
    "RLIMIT_MEMLOCK",
    "RLIMIT_AS",
    "RLIMIT_LOCKS",
    "RLIMIT_SIGPENDING",
    "RLIMIT_MSGQUEUE",
    "RLIMIT_NICE",
    "RLIMIT_RTPRIO",
    "RLIMIT_RTTIME",
];

impl RlimitResource {
    /// By its name, `RLIMIT_NOFILE`.
    pub fn from_name(name: &str) -> Option<Self> {
        RLIMIT_NAMES.iter().position(|known| *known == name).map(|number| Self(number as u8))
    }

    /// Its name, `RLIMIT_NOFILE`.
    pub fn name(self) -> &'static str {
        RLIMIT_NAMES[usize::from(self.0)]
    }

    /// By its number for `prlimit64(2)`.
    pub fn from_number(number: u32) -> Option<Self> {
        u8::try_from(number).ok().filter(|number| usize::from(*number) < RLIMIT_NAMES.len()).map(Self)
    }

    /// Its number for `prlimit64(2)`.
    pub const fn number(self) -> u32 {
        self.0 as u32
    }
}

/// One of `rlimits`; `u64::MAX` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rlimit {
    /// `type`
    pub resource: RlimitResource,
    /// `soft`
    pub soft: u64,
    /// `hard`
    pub hard: u64,
}

/// `scheduler.policy`, with the kernel's number as discriminant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[allow(missing_docs)]
pub enum SchedulerPolicy {
    Other = 0,
    Fifo = 1,
    RoundRobin = 2,
    Batch = 3,
    Iso = 4,
    Idle = 5,
    Deadline = 6,
}

/// `scheduler`: the fields of `sched_setattr(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scheduler {
    /// `policy`
    pub policy: SchedulerPolicy,
    /// `nice`
    pub nice: i32,
    /// `priority`
    pub priority: u32,
    /// `flags`: SCHED_FLAG_* bits.
    pub flags: u64,
    /// `runtime`, nanoseconds.
    pub runtime_ns: u64,
    /// `deadline`, nanoseconds.
    pub deadline_ns: u64,
    /// `period`, nanoseconds.
    pub period_ns: u64,
}

/// `ioPriority.class`, with the kernel's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
#[allow(missing_docs)]
pub enum IoPriorityClass {
    Realtime = 1,
    BestEffort = 2,
    Idle = 3,
}

/// `ioPriority`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoPriority {
    /// `class`
    pub class: IoPriorityClass,
    /// `priority`, 0 (highest) to 7.
    pub priority: u8,
}

/// `execCPUAffinity`: processor numbers, sorted, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecCpuAffinity {
    /// `initial`: while still in the runtime's cgroup.
    pub initial: Option<Vec<u32>>,
    /// `final`: once in the container's.
    pub final_: Option<Vec<u32>>,
}
