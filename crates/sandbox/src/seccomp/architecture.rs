//! What the compiler must know of an architecture: the kernel's token, the word, the numbers, the multiplexers.
//!
//! Pure; runs in the runtime.

use spec::config::Architecture;

use super::syscalls::{COLUMNS, Syscall};

/// Bit 30 of a number says that the call is x32's (`__X32_SYSCALL_BIT`).
pub(super) const X32_BIT: u32 = 0x4000_0000;

/// `AUDIT_ARCH_*` of `linux/audit.h`: the ELF machine and these bits.
const LITTLE: u32 = 0x4000_0000;
const WIDE: u32 = 0x8000_0000;
const MIPS_N32: u32 = 0x2000_0000;

/// A column of the table of numbers, in the order in which `generate.sh` writes them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Column {
    X86,
    X86_64,
    X32,
    Arm,
    Aarch64,
    Loongarch64,
    M68k,
    MipsO32,
    MipsN64,
    MipsN32,
    Parisc,
    Parisc64,
    Ppc,
    Ppc64,
    Riscv64,
    S390,
    S390x,
    Sh,
}

const _: () = assert!(Column::Sh as usize + 1 == COLUMNS);

/// How wide the arguments of a call are to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    Bits32,
    Bits64,
}

/// What the compiler must know of an architecture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    /// `seccomp_data.arch`.
    pub(super) token: u32,
    /// Of the arguments. 32 for x32 and n32 too: their programs have registers of 64 bits, but pass 32.
    pub(super) width: Width,
    /// Where the numbers are.
    pub(super) column: Column,
    /// Whether `socketcall` and `ipc` carry other calls.
    pub(super) multiplexed: bool,
}

impl Facts {
    /// The facts of `architecture`.
    pub(super) const fn of(architecture: Architecture) -> Self {
        use Width::{Bits32, Bits64};
        let (token, width, column, multiplexed) = match architecture {
            Architecture::X86 => (3 | LITTLE, Bits32, Column::X86, true),
            Architecture::X86_64 => (62 | WIDE | LITTLE, Bits64, Column::X86_64, false),
            Architecture::X32 => (62 | WIDE | LITTLE, Bits32, Column::X32, false),
            Architecture::Arm => (40 | LITTLE, Bits32, Column::Arm, false),
            Architecture::Aarch64 => (183 | WIDE | LITTLE, Bits64, Column::Aarch64, false),
            Architecture::Mips => (8, Bits32, Column::MipsO32, true),
            Architecture::Mipsel => (8 | LITTLE, Bits32, Column::MipsO32, true),
            Architecture::Mips64 => (8 | WIDE, Bits64, Column::MipsN64, false),
            Architecture::Mipsel64 => (8 | WIDE | LITTLE, Bits64, Column::MipsN64, false),
            Architecture::Mips64N32 => (8 | WIDE | MIPS_N32, Bits32, Column::MipsN32, false),
            Architecture::Mipsel64N32 => (8 | WIDE | LITTLE | MIPS_N32, Bits32, Column::MipsN32, false),
            Architecture::Ppc => (20, Bits32, Column::Ppc, true),
            Architecture::Ppc64 => (21 | WIDE, Bits64, Column::Ppc64, true),
            Architecture::Ppc64Le => (21 | WIDE | LITTLE, Bits64, Column::Ppc64, true),
            Architecture::S390 => (22, Bits32, Column::S390, true),
            Architecture::S390x => (22 | WIDE, Bits64, Column::S390x, true),
            Architecture::Parisc => (15, Bits32, Column::Parisc, false),
            Architecture::Parisc64 => (15 | WIDE, Bits64, Column::Parisc64, false),
            Architecture::Riscv64 => (243 | WIDE | LITTLE, Bits64, Column::Riscv64, false),
            Architecture::Loongarch64 => (258 | WIDE | LITTLE, Bits64, Column::Loongarch64, false),
            Architecture::M68k => (4, Bits32, Column::M68k, true),
            Architecture::Sheb => (42, Bits32, Column::Sh, true),
            Architecture::Sh => (42 | LITTLE, Bits32, Column::Sh, true),
        };
        Self { token, width, column, multiplexed }
    }

    /// Whether numbers and arguments are little-endian: one program can only be for one order of bytes.
    pub(super) const fn is_little_endian(self) -> bool {
        self.token & LITTLE != 0
    }

    /// The number of `syscall`, as `seccomp_data.nr` has it.
    pub(super) fn number(self, syscall: Syscall) -> Option<u32> {
        let number = syscall.number(self.column as usize)?;
        Some(if matches!(self.column, Column::X32) { number | X32_BIT } else { number })
    }

    /// The multiplexer that carries the call `name` besides or in place of a number of its own, as the name of the
    /// multiplexer and the value of its first argument (`linux/net.h`, `linux/ipc.h`).
    pub(super) fn multiplexer(self, name: &str) -> Option<(&'static str, u32)> {
        if !self.multiplexed {
            return None;
        }
        let first = match name {
            "socket" => 1,
            "bind" => 2,
            "connect" => 3,
            "listen" => 4,
            "accept" => 5,
            "getsockname" => 6,
            "getpeername" => 7,
            "socketpair" => 8,
            "send" => 9,
            "recv" => 10,
            "sendto" => 11,
            "recvfrom" => 12,
            "shutdown" => 13,
            "setsockopt" => 14,
            "getsockopt" => 15,
            "sendmsg" => 16,
            "recvmsg" => 17,
            "accept4" => 18,
            "recvmmsg" => 19,
            "sendmmsg" => 20,
            "semop" => return Some(("ipc", 1)),
            "semget" => return Some(("ipc", 2)),
            "semctl" => return Some(("ipc", 3)),
            "semtimedop" => return Some(("ipc", 4)),
            "msgsnd" => return Some(("ipc", 11)),
            "msgrcv" => return Some(("ipc", 12)),
            "msgget" => return Some(("ipc", 13)),
            "msgctl" => return Some(("ipc", 14)),
            "shmat" => return Some(("ipc", 21)),
            "shmdt" => return Some(("ipc", 22)),
            "shmget" => return Some(("ipc", 23)),
            "shmctl" => return Some(("ipc", 24)),
            _ => return None,
        };
        Some(("socketcall", first))
    }
}

/// The architectures that share a token, each with its part of the numbers: x86_64 and x32, or one alone.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// `seccomp_data.arch`.
    pub(super) token: u32,
    /// Numbers without bit 30 on x86_64, all numbers elsewhere.
    pub(super) plain: Option<Architecture>,
    /// Numbers from bit 30 on.
    pub(super) x32: Option<Architecture>,
}

/// `architectures` by token, in their order.
pub(super) fn groups(architectures: &[Architecture]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::with_capacity(architectures.len());
    for &architecture in architectures {
        let token = Facts::of(architecture).token;
        let index = groups.iter().position(|group| group.token == token).unwrap_or_else(|| {
            groups.push(Group { token, ..Group::default() });
            groups.len() - 1
        });
        let group = &mut groups[index];
        match architecture {
            Architecture::X32 => group.x32 = Some(architecture),
            _ => group.plain = Some(architecture),
        }
    }
    groups
}
