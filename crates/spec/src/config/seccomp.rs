//! `linux.seccomp`.

use crate::Text;

/// What happens to a call. Only those that take a number have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// `SCMP_ACT_KILL_PROCESS`
    KillProcess,
    /// `SCMP_ACT_KILL`, `SCMP_ACT_KILL_THREAD`
    KillThread,
    /// `SCMP_ACT_TRAP`
    Trap,
    /// `SCMP_ACT_ERRNO` with `errnoRet` (EPERM where absent).
    Errno(u16),
    /// `SCMP_ACT_TRACE` with `errnoRet` (EPERM where absent).
    Trace(u16),
    /// `SCMP_ACT_LOG`
    Log,
    /// `SCMP_ACT_ALLOW`
    Allow,
    /// `SCMP_ACT_NOTIFY`
    Notify,
}

/// `op` of an argument condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Comparison {
    NotEqual,
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
    /// `(argument & mask) == value`
    MaskedEqual {
        mask: u64,
    },
}

/// One of `args`: all of a rule's must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ArgumentCondition {
    /// 0 to 5.
    pub index: u8,
    /// How the argument is compared.
    pub comparison: Comparison,
    /// With what. (For `SCMP_CMP_MASKED_EQ` the config's `valueTwo`; its `value` is the mask.)
    pub value: u64,
}

/// One of `syscalls`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyscallRule {
    /// `names`: at least one. A name that no architecture knows is ignored by the compiler, with a warning.
    pub names: Vec<Text>,
    /// `action` and `errnoRet`.
    pub action: Action,
    /// `args`.
    pub args: Vec<ArgumentCondition>,
}

/// `architectures`, by the name in the config less `SCMP_ARCH_`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Architecture {
    X86,
    X86_64,
    X32,
    Arm,
    Aarch64,
    Mips,
    Mips64,
    Mips64N32,
    Mipsel,
    Mipsel64,
    Mipsel64N32,
    Ppc,
    Ppc64,
    Ppc64Le,
    S390,
    S390x,
    Parisc,
    Parisc64,
    Riscv64,
    Loongarch64,
    M68k,
    Sh,
    Sheb,
}

/// `flags`: the bits of `seccomp(2)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct FilterFlags {
    pub tsync: bool,
    pub log: bool,
    pub spec_allow: bool,
    pub wait_killable_recv: bool,
}

/// `listenerPath` and `listenerMetadata`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Listener {
    pub path: Text,
    pub metadata: String,
}

/// `seccomp`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seccomp {
    /// `defaultAction` and `defaultErrnoRet`.
    pub default_action: Action,
    /// `architectures`, each once; the native one where the list is empty (and always besides the list).
    pub architectures: Vec<Architecture>,
    /// `flags`; where absent, `spec_allow` alone.
    pub flags: FilterFlags,
    /// Where the notify descriptor goes; set where a rule says `Notify`.
    pub listener: Option<Listener>,
    /// `syscalls`, in order.
    pub syscalls: Vec<SyscallRule>,
}

impl Action {
    /// The names of all actions.
    pub const NAMES: [&'static str; 9] = [
        "SCMP_ACT_KILL",
        "SCMP_ACT_KILL_PROCESS",
        "SCMP_ACT_KILL_THREAD",
        "SCMP_ACT_TRAP",
        "SCMP_ACT_ERRNO",
        "SCMP_ACT_TRACE",
        "SCMP_ACT_ALLOW",
        "SCMP_ACT_LOG",
        "SCMP_ACT_NOTIFY",
    ];

    /// Its name in the document.
    pub const fn name(self) -> &'static str {
        match self {
            Self::KillProcess => "SCMP_ACT_KILL_PROCESS",
            Self::KillThread => "SCMP_ACT_KILL_THREAD",
            Self::Trap => "SCMP_ACT_TRAP",
            Self::Errno(_) => "SCMP_ACT_ERRNO",
            Self::Trace(_) => "SCMP_ACT_TRACE",
            Self::Log => "SCMP_ACT_LOG",
            Self::Allow => "SCMP_ACT_ALLOW",
            Self::Notify => "SCMP_ACT_NOTIFY",
        }
    }

    /// By its name in the document, with EPERM where it takes a number.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "SCMP_ACT_KILL_PROCESS" => Self::KillProcess,
            "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Self::KillThread,
            "SCMP_ACT_TRAP" => Self::Trap,
            "SCMP_ACT_ERRNO" => Self::Errno(1),
            "SCMP_ACT_TRACE" => Self::Trace(1),
            "SCMP_ACT_LOG" => Self::Log,
            "SCMP_ACT_ALLOW" => Self::Allow,
            "SCMP_ACT_NOTIFY" => Self::Notify,
            _ => return None,
        })
    }
}

impl Comparison {
    /// The names of all operators.
    pub const NAMES: [&'static str; 7] = [
        "SCMP_CMP_NE",
        "SCMP_CMP_LT",
        "SCMP_CMP_LE",
        "SCMP_CMP_EQ",
        "SCMP_CMP_GE",
        "SCMP_CMP_GT",
        "SCMP_CMP_MASKED_EQ",
    ];

    /// Its name in the document.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotEqual => "SCMP_CMP_NE",
            Self::Less => "SCMP_CMP_LT",
            Self::LessOrEqual => "SCMP_CMP_LE",
            Self::Equal => "SCMP_CMP_EQ",
            Self::GreaterOrEqual => "SCMP_CMP_GE",
            Self::Greater => "SCMP_CMP_GT",
            Self::MaskedEqual { .. } => "SCMP_CMP_MASKED_EQ",
        }
    }
}

impl FilterFlags {
    /// The names of all flags.
    pub const NAMES: [&'static str; 4] = [
        "SECCOMP_FILTER_FLAG_TSYNC",
        "SECCOMP_FILTER_FLAG_LOG",
        "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
    ];
}
