//! `linux.seccomp` to the program that the kernel runs at every system call of the container.
//!
//! Pure: [`compile`] runs in the runtime before the launch; `init` only installs the bytes. One run of the compiler:
//!
//! 1. `rules`: each name and architecture to a number, and what the rules say of it. Where rules overlap, the meaning
//!    is libseccomp's (`conditions`), because that is what profiles were written and tested with.
//! 2. `ranges`: the numbers of an architecture, 0 to 2³²−1, cut into ranges with one verdict each. Whatever no rule
//!    names gets the default action; beyond the highest number that the profile knows, ENOSYS (see below).
//! 3. `program`: a balanced tree of comparisons over the ranges. The comparisons of arguments, alone, are lowered by
//!    `seccompiler`.
//!
//! # Calls newer than the profile
//!
//! A profile that denies by default was written for the kernels of its day. A C library asks for a new call first and
//! falls back where the kernel answers ENOSYS, but not where the answer is EPERM. So a call with a number above all
//! that the profile names on that architecture fails with ENOSYS, unless the default action lets calls through
//! (allow, log, trace). runc's rule (`libcontainer/seccomp/patchbpf`).

mod architecture;
mod conditions;
mod program;
mod ranges;
mod rules;
mod syscalls;

use spec::config::{Action, Architecture, Seccomp};

use crate::outcome::{Outcome, Warning};
use architecture::Facts;
use program::Program;

/// `BPF_MAXINSNS`: the most instructions that the kernel takes.
pub const MAX_INSTRUCTIONS: usize = 4096;

/// `SECCOMP_FILTER_FLAG_LOG`
pub const FLAG_LOG: u32 = 1 << 1;
/// `SECCOMP_FILTER_FLAG_SPEC_ALLOW`
pub const FLAG_SPEC_ALLOW: u32 = 1 << 2;
/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`
pub const FLAG_NEW_LISTENER: u32 = 1 << 3;
/// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV` (Linux 5.19)
pub const FLAG_WAIT_KILLABLE_RECV: u32 = 1 << 5;

/// `SECCOMP_RET_KILL_THREAD`: what a call of an architecture gets that the filter is not for.
const RETURN_KILL_THREAD: u32 = 0;
/// `SECCOMP_RET_ERRNO`
const RETURN_ERRNO: u32 = 0x0005_0000;
const ENOSYS: u16 = 38;
/// `BPF_LD | BPF_W | BPF_ABS`
const LOAD: u16 = 0x20;
/// `BPF_JMP | BPF_JA`
const JUMP: u16 = 0x05;

/// One instruction, `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Instruction {
    pub code: u16,
    /// How many instructions to skip where the comparison holds …
    pub jt: u8,
    /// … and where it does not.
    pub jf: u8,
    pub k: u32,
}

impl Instruction {
    /// `sizeof(struct sock_filter)`
    pub const SIZE: usize = 8;

    const fn to_bytes(self) -> [u8; Self::SIZE] {
        let ([c0, c1], [k0, k1, k2, k3]) = (self.code.to_ne_bytes(), self.k.to_ne_bytes());
        [c0, c1, self.jt, self.jf, k0, k1, k2, k3]
    }

    const fn from_bytes([c0, c1, jt, jf, k0, k1, k2, k3]: [u8; Self::SIZE]) -> Self {
        Self { code: u16::from_ne_bytes([c0, c1]), jt, jf, k: u32::from_ne_bytes([k0, k1, k2, k3]) }
    }
}

/// A compiled filter: what `seccomp(SECCOMP_SET_MODE_FILTER, flags, program)` takes. It depends on nothing but the
/// configuration and the architecture, so it can be kept and installed any number of times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    program: Box<[u8]>,
    flags: u32,
}

impl Filter {
    /// The program as the kernel's array of `struct sock_filter`, in the byte order of this machine.
    pub fn as_bytes(&self) -> &[u8] {
        &self.program
    }

    /// How many instructions it has: `sock_fprog.len`.
    pub fn instruction_count(&self) -> u16 {
        (self.program.len() / Instruction::SIZE) as u16
    }

    /// The program, instruction by instruction.
    pub fn instructions(&self) -> impl ExactSizeIterator<Item = Instruction> + '_ {
        self.program.as_chunks().0.iter().map(|bytes| Instruction::from_bytes(*bytes))
    }

    /// `flags` of seccomp(2): the `FLAG_` bits of this module.
    pub fn flags(&self) -> u32 {
        self.flags
    }

    /// Whether installing it gives a descriptor that someone must listen on ([`FLAG_NEW_LISTENER`]).
    pub fn needs_listener(&self) -> bool {
        self.flags & FLAG_NEW_LISTENER != 0
    }
}

/// Why a configuration has no filter. All but [`Error::TooLong`] are the config's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Every call would wait for a listener, also those that hand the listener over.
    #[error("SCMP_ACT_NOTIFY cannot be the default action")]
    NotifyByDefault,
    /// A program can be for one byte order only.
    #[error("architecture {architecture:?} has not the byte order of this machine's, {native:?}")]
    ByteOrder {
        /// The one in the list.
        architecture: Architecture,
        /// The machine's.
        native: Architecture,
    },
    /// The same condition (or one that contains it) has two actions.
    #[error("rule for {name} gives another action to arguments that rule {other} decides already")]
    Conflict {
        /// The call.
        name: String,
        /// The index of the rule in `syscalls`.
        rule: usize,
        /// The index of the other.
        other: usize,
    },
    /// There is no argument of that index.
    #[error("a condition is on an argument above 5")]
    NoSuchArgument {
        /// The index of the rule in `syscalls`.
        rule: usize,
    },
    /// The rules need more than the kernel takes.
    #[error("the filter needs {instructions} instructions: the kernel takes {MAX_INSTRUCTIONS}")]
    TooLong {
        /// How many.
        instructions: usize,
    },
}

impl Error {
    /// The part of the config that the error is about, as a JSON pointer.
    pub fn pointer(&self) -> String {
        match self {
            Self::NotifyByDefault => "/linux/seccomp/defaultAction".to_owned(),
            Self::ByteOrder { .. } => "/linux/seccomp/architectures".to_owned(),
            Self::Conflict { rule, .. } | Self::NoSuchArgument { rule, .. } => {
                format!("/linux/seccomp/syscalls/{rule}")
            }
            Self::TooLong { .. } => "/linux/seccomp".to_owned(),
        }
    }
}

/// Compiles `seccomp` for a machine whose kernel is of the architecture `native`, which is always part of the filter.
///
/// The meaning is runc's with libseccomp 2.5 (`rules`, `conditions`). `SECCOMP_FILTER_FLAG_TSYNC` is not set: `init`
/// is a single thread.
///
/// Warnings: names that no architecture knows (the rule is ignored for them); a rule on arguments that an architecture
/// hides behind `socketcall` or `ipc`; a flag without effect.
///
/// # Errors
///
/// See [`Error`].
pub fn compile(seccomp: &Seccomp, native: Architecture) -> Result<Outcome<Filter>, Error> {
    if seccomp.default_action == Action::Notify {
        return Err(Error::NotifyByDefault);
    }
    let architectures = architectures(seccomp, native)?;
    let mut warnings = Vec::new();
    let names = rules::resolve(seccomp, &mut warnings);
    let mut program = Program::new(Facts::of(native).is_little_endian());
    // The native architecture comes last: the program is written from its end.
    for group in architecture::groups(&architectures).iter().rev() {
        program.add(group.token, &ranges::of(seccomp, &names, group, &mut warnings)?)?;
    }
    let instructions = program.finish(RETURN_KILL_THREAD);
    if instructions.len() > MAX_INSTRUCTIONS {
        return Err(Error::TooLong { instructions: instructions.len() });
    }
    let mut program = Vec::with_capacity(instructions.len() * Instruction::SIZE);
    for instruction in instructions {
        program.extend_from_slice(&instruction.to_bytes());
    }
    let value = Filter { program: program.into(), flags: flags(seccomp, &mut warnings) };
    Ok(Outcome { value, warnings })
}

/// The native architecture, then the others of the list.
fn architectures(seccomp: &Seccomp, native: Architecture) -> Result<Vec<Architecture>, Error> {
    let mut all = vec![native];
    for &architecture in &seccomp.architectures {
        if Facts::of(architecture).is_little_endian() != Facts::of(native).is_little_endian() {
            return Err(Error::ByteOrder { architecture, native });
        }
        if !all.contains(&architecture) {
            all.push(architecture);
        }
    }
    Ok(all)
}

fn flags(seccomp: &Seccomp, warnings: &mut Vec<Warning>) -> u32 {
    let mut flags = 0;
    if seccomp.flags.log {
        flags |= FLAG_LOG;
    }
    if seccomp.flags.spec_allow {
        flags |= FLAG_SPEC_ALLOW;
    }
    if seccomp.syscalls.iter().any(|rule| rule.action == Action::Notify) {
        flags |= FLAG_NEW_LISTENER;
    }
    if seccomp.flags.wait_killable_recv {
        if flags & FLAG_NEW_LISTENER != 0 {
            flags |= FLAG_WAIT_KILLABLE_RECV;
        } else {
            // The kernel refuses it without a listener (EINVAL).
            warnings.push(Warning {
                pointer: Some("/linux/seccomp/flags".to_owned()),
                message: "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV is without effect: no rule notifies"
                    .to_owned(),
            });
        }
    }
    flags
}

/// What the filter returns to the kernel for an action: `SECCOMP_RET_*` and 16 bits of data.
const fn return_value(action: Action) -> u32 {
    match action {
        Action::KillProcess => 0x8000_0000,
        Action::KillThread => RETURN_KILL_THREAD,
        Action::Trap => 0x0003_0000,
        Action::Errno(errno) => RETURN_ERRNO | errno as u32,
        Action::Notify => 0x7fc0_0000,
        Action::Trace(message) => 0x7ff0_0000 | message as u32,
        Action::Log => 0x7ffc_0000,
        Action::Allow => 0x7fff_0000,
    }
}

/// What a call gets whose number is above all that the profile names, see the module's text.
const fn newer_than_profile(default: Action) -> u32 {
    match default {
        // A tracer can answer ENOSYS itself, and an emulation would break.
        Action::Allow | Action::Log | Action::Trace(_) => return_value(default),
        _ => RETURN_ERRNO | ENOSYS as u32,
    }
}
