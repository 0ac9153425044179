//! What init tells the runtime: one record of fixed size.
//!
//! Runs in both. `[kind u32][step u32][call u32][errno u32]`, little-endian: a failure names the step of the plan
//! (the runtime has the same list), the system call and the errno; the runtime makes the sentence.

/// The size of a record in bytes.
pub const REPORT_BYTES: usize = 16;

/// The first byte of the page that init waits for after [`Kind::Filtering`], when its listener was handed over.
pub const HANDED_OVER: u8 = 1;

/// What init gets in a source's stead after [`Kind::Seeking`], where the runtime can't reach it either.
pub const NO_SOURCE: u8 = 2;

/// Init's exit status where it can't read its plan, and so can't say anything either.
pub const NO_PLAN: i32 = 125;

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// The step failed; init has ended.
    Failed = 1,
    /// Init waits at this step for a go.
    Waiting = 2,
    /// All steps before the gate are done; init waits for `start`.
    Ready = 3,
    /// Another process goes on; its pidfd comes with the record, its pid is in `errno`.
    Forked = 4,
    /// A filter with a listener is about to be installed. A userfaultfd comes with the record: a fault on it says that
    /// it was. The listener's descriptor is `errno`. Init waits for the page.
    Filtering = 5,
    /// The step begins now: nanoseconds of CLOCK_MONOTONIC, the lower half in `call`, the upper in `errno`. Sent where the
    /// plan asks for it.
    Stamped = 6,
    /// A mount, or a file system that is being made, comes with the record: the runtime is to work on it. Init waits for a go.
    Offered = 7,
    /// The step's source is out of init's reach: its root comes with the record. Init waits for a descriptor of the source, or
    /// for [`NO_SOURCE`].
    Seeking = 8,
}

/// The call that failed.
macro_rules! calls {
    ($($name:ident = $number:literal $text:literal,)*) => {
        /// A system call that init makes, or a check of its own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        #[allow(missing_docs)]
        pub enum Call { $($name = $number,)* }

        impl Call {
            /// The call's name in the manual, or the check in words.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// By its number.
            pub const fn from_number(number: u32) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }
        }
    };
}

calls! {
    Plan = 1 "decode the plan",
    Mmap = 2 "mmap",
    CloseRange = 3 "close_range",
    RtSigaction = 4 "rt_sigaction",
    RtSigprocmask = 5 "rt_sigprocmask",
    Write = 6 "write",
    Setns = 7 "setns",
    Unshare = 8 "unshare",
    Clone3 = 9 "clone3",
    Setsid = 10 "setsid",
    Recv = 11 "recv",
    Send = 12 "sendmsg",
    OpenTree = 13 "open_tree",
    MoveMount = 14 "move_mount",
    Fsopen = 15 "fsopen",
    Fsconfig = 16 "fsconfig",
    Fsmount = 17 "fsmount",
    Fspick = 18 "fspick",
    MountSetattr = 19 "mount_setattr",
    Mount = 20 "mount",
    Umount = 21 "umount2",
    PivotRoot = 22 "pivot_root",
    Chroot = 23 "chroot",
    Chdir = 24 "chdir",
    Fchdir = 25 "fchdir",
    Getcwd = 26 "getcwd",
    Openat2 = 27 "openat2",
    Openat = 28 "openat",
    Mkdirat = 29 "mkdirat",
    Mknodat = 30 "mknodat",
    Symlinkat = 31 "symlinkat",
    Readlinkat = 32 "readlinkat",
    Fstat = 33 "fstat",
    Fstatfs = 34 "fstatfs",
    Fchownat = 35 "fchownat",
    Fchmod = 36 "fchmodat",
    Getdents = 37 "getdents64",
    CopyFile = 38 "sendfile",
    Ioctl = 39 "ioctl",
    Dup3 = 40 "dup3",
    Sethostname = 41 "sethostname",
    Setdomainname = 42 "setdomainname",
    Keyctl = 43 "keyctl",
    Prlimit = 44 "prlimit64",
    Prctl = 45 "prctl",
    Capset = 46 "capset",
    Setgroups = 47 "setgroups",
    Setresgid = 48 "setresgid",
    Setresuid = 49 "setresuid",
    Seccomp = 50 "seccomp",
    Accept = 51 "accept4",
    Faccessat2 = 52 "faccessat2",
    Execve = 53 "execve",
    Execveat = 54 "execveat",
    SchedSetattr = 55 "sched_setattr",
    IoprioSet = 56 "ioprio_set",
    SetMempolicy = 57 "set_mempolicy",
    Personality = 58 "personality",
    SchedSetaffinity = 59 "sched_setaffinity",
    CheckType = 60 "check of the file's type",
    CheckRoot = 61 "check that the path is inside the root",
    CheckProc = 62 "check that nothing hides the proc file system",
    Linkat = 63 "linkat",
    Socket = 64 "socket",
    CheckMount = 65 "check that a mount is there",
    LandlockCreateRuleset = 66 "landlock_create_ruleset",
    LandlockAddRule = 67 "landlock_add_rule",
    LandlockRestrictSelf = 68 "landlock_restrict_self",
    Userfaultfd = 69 "userfaultfd",
    Fsetxattr = 70 "fsetxattr",
    Eventfd = 71 "eventfd2",
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// What it says.
    pub kind: Kind,
    /// Index into the plan's steps.
    pub step: u32,
    /// Number of a [`Call`]; 0 where none is concerned.
    pub call: u32,
    /// `errno`, or the number that the kind says.
    pub errno: u32,
}

impl Report {
    /// The record's bytes.
    pub fn to_bytes(self) -> [u8; REPORT_BYTES] {
        let mut bytes = [0; REPORT_BYTES];
        let fields = [self.kind as u32, self.step, self.call, self.errno];
        for (place, field) in bytes.chunks_exact_mut(4).zip(fields) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        bytes
    }

    /// Reads a record; `None` where the bytes are none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; REPORT_BYTES] = bytes.try_into().ok()?;
        let field = |index: usize| {
            u32::from_le_bytes([
                bytes[4 * index],
                bytes[4 * index + 1],
                bytes[4 * index + 2],
                bytes[4 * index + 3],
            ])
        };
        let kind = match field(0) {
            1 => Kind::Failed,
            2 => Kind::Waiting,
            3 => Kind::Ready,
            4 => Kind::Forked,
            5 => Kind::Filtering,
            6 => Kind::Stamped,
            7 => Kind::Offered,
            8 => Kind::Seeking,
            _ => return None,
        };
        Some(Self { kind, step: field(1), call: field(2), errno: field(3) })
    }
}
