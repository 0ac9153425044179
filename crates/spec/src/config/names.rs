//! The closed lists of names of the spec, each in one place.
//!
//! Runs anywhere; pure.

use crate::config::{
    Architecture, HookPoint, IoPriorityClass, MemoryPolicyMode, NamespaceKind, Personality, SchedulerPolicy,
};

/// What has one of a closed list of names in the document.
pub(crate) trait Named: Copy + 'static {
    /// All of them.
    const ALL: &'static [Self];

    /// Its name in the document.
    fn name(self) -> &'static str;

    /// By its name.
    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.name() == name)
    }
}

/// `names! { Type { Variant => "NAME", … } }`: the list, and the way from and to the name.
macro_rules! names {
    ($type:ident { $($variant:ident => $name:literal),* $(,)? }) => {
        impl $type {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name in the document.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// By its name in the document.
            pub fn from_name(name: &str) -> Option<Self> {
                <Self as Named>::from_name(name)
            }
        }

        impl Named for $type {
            const ALL: &'static [Self] = Self::ALL;

            fn name(self) -> &'static str {
                self.name()
            }
        }
    };
}

names! {
    SchedulerPolicy {
        Other => "SCHED_OTHER",
        Fifo => "SCHED_FIFO",
        RoundRobin => "SCHED_RR",
        Batch => "SCHED_BATCH",
        Iso => "SCHED_ISO",
        Idle => "SCHED_IDLE",
        Deadline => "SCHED_DEADLINE",
    }
}

names! {
    IoPriorityClass {
        Realtime => "IOPRIO_CLASS_RT",
        BestEffort => "IOPRIO_CLASS_BE",
        Idle => "IOPRIO_CLASS_IDLE",
    }
}

names! {
    MemoryPolicyMode {
        Default => "MPOL_DEFAULT",
        Bind => "MPOL_BIND",
        Interleave => "MPOL_INTERLEAVE",
        WeightedInterleave => "MPOL_WEIGHTED_INTERLEAVE",
        Preferred => "MPOL_PREFERRED",
        PreferredMany => "MPOL_PREFERRED_MANY",
        Local => "MPOL_LOCAL",
    }
}

names! {
    Personality {
        Linux => "LINUX",
        Linux32 => "LINUX32",
    }
}

names! {
    Architecture {
        X86 => "SCMP_ARCH_X86",
        X86_64 => "SCMP_ARCH_X86_64",
        X32 => "SCMP_ARCH_X32",
        Arm => "SCMP_ARCH_ARM",
        Aarch64 => "SCMP_ARCH_AARCH64",
        Mips => "SCMP_ARCH_MIPS",
        Mips64 => "SCMP_ARCH_MIPS64",
        Mips64N32 => "SCMP_ARCH_MIPS64N32",
        Mipsel => "SCMP_ARCH_MIPSEL",
        Mipsel64 => "SCMP_ARCH_MIPSEL64",
        Mipsel64N32 => "SCMP_ARCH_MIPSEL64N32",
        Ppc => "SCMP_ARCH_PPC",
        Ppc64 => "SCMP_ARCH_PPC64",
        Ppc64Le => "SCMP_ARCH_PPC64LE",
        S390 => "SCMP_ARCH_S390",
        S390x => "SCMP_ARCH_S390X",
        Parisc => "SCMP_ARCH_PARISC",
        Parisc64 => "SCMP_ARCH_PARISC64",
        Riscv64 => "SCMP_ARCH_RISCV64",
        Loongarch64 => "SCMP_ARCH_LOONGARCH64",
        M68k => "SCMP_ARCH_M68K",
        Sh => "SCMP_ARCH_SH",
        Sheb => "SCMP_ARCH_SHEB",
    }
}

impl Named for NamespaceKind {
    const ALL: &'static [Self] = &NamespaceKind::ALL;

    fn name(self) -> &'static str {
        NamespaceKind::name(self)
    }
}

impl HookPoint {
    /// All of them, in the order in which they come in a container's life.
    pub const ALL: [Self; 6] = [
        Self::Prestart,
        Self::CreateRuntime,
        Self::CreateContainer,
        Self::StartContainer,
        Self::Poststart,
        Self::Poststop,
    ];
}

/// Bits that the spec names, and the kernel's values of them.
pub(crate) type Flags = &'static [(&'static str, u64)];

/// `process.scheduler.flags` (`linux/sched.h`).
pub(crate) const SCHEDULER_FLAGS: Flags = &[
    ("SCHED_FLAG_RESET_ON_FORK", 0x01),
    ("SCHED_FLAG_RECLAIM", 0x02),
    ("SCHED_FLAG_DL_OVERRUN", 0x04),
    ("SCHED_FLAG_KEEP_POLICY", 0x08),
    ("SCHED_FLAG_KEEP_PARAMS", 0x10),
    ("SCHED_FLAG_UTIL_CLAMP_MIN", 0x20),
    ("SCHED_FLAG_UTIL_CLAMP_MAX", 0x40),
];

/// `linux.memoryPolicy.flags` (`linux/mempolicy.h`).
pub(crate) const MEMORY_POLICY_FLAGS: Flags = &[
    ("MPOL_F_NUMA_BALANCING", 1 << 13),
    ("MPOL_F_RELATIVE_NODES", 1 << 14),
    ("MPOL_F_STATIC_NODES", 1 << 15),
];

/// The names of the bits that are set.
pub(crate) fn flag_names(flags: Flags, bits: u64) -> Vec<&'static str> {
    flags.iter().filter(|(_, bit)| bits & bit != 0).map(|(name, _)| *name).collect()
}
