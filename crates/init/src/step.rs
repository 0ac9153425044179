//! The steps of a plan: one variant for each thing that init does, in the words of the kernel and the spec.
//!
//! Runs in both. [`Step`] is what the planner writes and prints; [`StepRef`] what init reads. A step is encoded as
//! its number, then its fields in the order given here.

use crate::wire::{
    Bytes, CapabilityMask, Descriptor, Descriptors, Field, FileAccess, MountAttributes, NamespaceFlags,
    PropagationFlags, Propagations, Reader, Str, Strs, Words,
};
#[cfg(feature = "std")]
use crate::wire::{Encoder, Value};

macro_rules! steps {
    ($(
        $(#[$doc:meta])*
        $number:literal $text:literal $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }
    )*) => {
        /// One step, as the planner writes it.
        #[cfg(feature = "std")]
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Step {
            $($(#[$doc])* #[allow(missing_docs)] $name { $($(#[$field_doc])* $field: $type,)* },)*
        }

        /// One step, as init reads it.
        pub enum StepRef<'a> {
            $($(#[$doc])* #[allow(missing_docs)] $name { $($(#[$field_doc])* $field: <$type as Field>::Ref<'a>,)* },)*
        }

        impl<'a> StepRef<'a> {
            /// Reads one step.
            pub fn decode(reader: &mut Reader<'a>) -> Option<Self> {
                match u8::decode(reader)? {
                    $($number => Some(Self::$name { $($field: <$type as Field>::decode(reader)?,)* }),)*
                    _ => None,
                }
            }
        }

        #[cfg(feature = "std")]
        impl Step {
            /// Appends the step to an encoded plan.
            pub fn encode(&self, out: &mut Encoder<'_>) {
                match self {
                    $(Self::$name { $($field,)* } => {
                        out.bytes.push($number);
                        $($field.encode(out);)*
                    })*
                }
            }

            /// The step's name, with hyphens.
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$name { .. } => $text,)* }
            }

            /// The step's fields by name, for printing.
            pub fn fields(&self) -> Vec<(&'static str, Value)> {
                match self {
                    $(Self::$name { $($field,)* } => vec![$((stringify!($field), $field.value()),)*],)*
                }
            }
        }
    };
}

#[cfg(not(feature = "std"))]
pub use StepRef as Step;

steps! {
    /// Signals ignored by the caller get their default action, none is blocked: execve would pass both on.
    1 "reset-signals" ResetSignals {
        /// Bit n−1: signal n is ignored.
        ignored: u64,
    }
    /// Writes `0` (the writer) to each `cgroup.procs`.
    2 "join-cgroups" JoinCgroups { procs: Descriptors, }
    /// Becomes the leader of a new session, without a terminal.
    3 "new-session" NewSession {}
    /// `setns(2)` into each: those that our own rights allow, then the user namespace, then the others; the mount
    /// namespace last.
    4 "join-namespaces" JoinNamespaces { namespaces: Descriptors, user: Descriptor, mount: Descriptor, }
    /// `setns(2)` into these namespaces of one process.
    5 "join-process" JoinProcess { process: Descriptor, namespaces: NamespaceFlags, }
    /// Waits for the network namespace that the runtime makes meanwhile, in which `lo` is up, and joins it.
    91 "join-network" JoinNetwork {}
    /// `unshare(2)`.
    6 "unshare" Unshare { namespaces: NamespaceFlags, }
    /// A new process with new namespaces goes on, as a child of the runtime; this one ends.
    7 "fork" Fork { namespaces: NamespaceFlags, }
    /// A new time namespace with these offsets (lines of `timens_offsets`), entered at once.
    8 "new-time-namespace" NewTimeNamespace { offsets: Str, }
    /// Reports and waits for the runtime, which writes the id maps meanwhile.
    9 "await-id-maps" AwaitIdMaps {}
    /// Reports and waits: the runtime has a cgroup made around this process.
    64 "await-cgroup" AwaitCgroup {}
    /// Reports and waits: the runtime moves these network devices into the namespace meanwhile (`HOST=INSIDE`).
    65 "await-net-devices" AwaitNetDevices { devices: Strs, }
    /// Root of the user namespace: it owns what is made from here on.
    10 "become-root" BecomeRoot {}
    /// Clones a host path's mount, detached, before the identity changes or the path is hidden.
    11 "open-source" OpenSource {
        slot: u32, source: Str, recursive: bool,
        /// What is out of this process's reach is looked up by the runtime, root of the host.
        host_rights: bool,
    }
    /// Reports and waits: what the runtime has looked up for this process is here by then.
    92 "await-sources" AwaitSources {}
    /// Propagation of the whole tree of the new mount namespace.
    12 "set-propagation" SetPropagation { propagation: PropagationFlags, }
    /// The root file system, bound onto itself. Slot 0 holds the clone where it was opened beforehand.
    13 "open-root" OpenRoot {
        path: Str, opened: bool,
        /// The mounts of the namespace stay shared with the host: the one below the root must not be.
        shared: bool,
    }
    /// The root as a directory only: no mount namespace of our own.
    14 "open-root-directory" OpenRootDirectory { path: Str, }
    /// A new instance of a file system, attached in the root.
    15 "mount" Mount {
        fstype: Str, source: Str, target: Str, attributes: MountAttributes,
        /// `key`, `value` pairs; an empty value is a flag.
        options: Strs,
        /// What the target holds is copied into the new file system first.
        copy_up: bool,
        /// It gets the permissions of the directory that it hides.
        keep_mode: bool,
        /// Its source is a device: the runtime makes the instance, since the container's cgroup may keep init from the device.
        on_device: bool,
        /// Flags of `MS_SHARED` and so on, to be applied in order.
        propagation: Propagations,
    }
    /// A clone of a host path's mount, attached in the root.
    16 "bind" Bind {
        source: Str, target: Str, recursive: bool, set: MountAttributes, clear: MountAttributes,
        /// What is cleared too, except where a user namespace has locked it: flags of the source that no option names.
        implied_clear: MountAttributes,
        /// The same for the mounts below too.
        all_set: MountAttributes, all_clear: MountAttributes, propagation: Propagations,
        /// Slot that holds the clone already; 0 is none.
        slot: u32,
        /// The target is in `/proc` by the planner's leave.
        in_proc: bool,
    }
    /// Other attributes for the mount at a path of the root.
    17 "set-attributes" SetAttributes {
        target: Str, recursive: bool, set: MountAttributes, clear: MountAttributes,
    }
    /// Propagation of the mount at a path of the root.
    18 "set-mount-propagation" SetMountPropagation { target: Str, propagation: PropagationFlags, }
    /// Other options for the superblock of the mount at a path of the root.
    19 "reconfigure" Reconfigure { target: Str, options: Strs, }
    /// The directory in which the next nodes and links are made.
    20 "enter-directory" EnterDirectory { path: Str, }
    /// A device node or FIFO in the directory entered.
    21 "make-node" MakeNode {
        name: Str,
        /// Type and permissions, as `mknod(2)` takes them.
        mode: u32,
        major: u32, minor: u32, uid: u32, gid: u32,
    }
    /// A device of the host, bound onto a file in the directory entered: where nodes can't be made.
    22 "bind-node" BindNode { name: Str, source: Str, mode: u32, major: u32, minor: u32, }
    /// A symbolic link in the directory entered.
    23 "make-link" MakeLink { name: Str, target: Str, }
    /// A symbolic link at a path of the root; its parent is made.
    24 "make-link-at" MakeLinkAt { path: Str, target: Str, }
    /// The pty of the container: the master goes to the console socket, the other end becomes 0, 1, 2 and
    /// `/dev/console`.
    25 "open-terminal" OpenTerminal {
        console: Descriptor, rows: u32, columns: u32, uid: u32, bind: bool,
        /// `/dev` is the host's: `/dev/console` is bound where it is there, and not made.
        host_dev: bool,
        /// Whether a newline that is written becomes carriage return and newline.
        translate: bool,
    }
    /// Reports and waits: the runtime runs the hooks of these points meanwhile.
    26 "await-hooks" AwaitHooks { points: Strs, }
    /// `pivot_root(2)`; the old root is detached.
    27 "pivot-root" PivotRoot {
        /// The old root is shared with the host: its end must not be.
        shared: bool,
    }
    /// Moves the root onto `/`, then `chroot(2)`.
    28 "move-root" MoveRoot {
        /// Mount points of the host's proc and sysfs, which stay below the new root.
        kernel_views: Strs,
    }
    /// `chroot(2)` alone: no mount namespace of our own.
    29 "change-root" ChangeRoot {}
    /// Propagation of the container's root mount, after the switch.
    30 "set-root-propagation" SetRootPropagation { propagation: PropagationFlags, }
    /// The root's mount becomes read-only.
    31 "readonly-root" ReadonlyRoot {}
    /// A path that exists is covered: a directory by an empty one, a file by the null device.
    32 "mask" Mask {
        path: Str,
        /// Of the file system that covers directories.
        options: Strs,
    }
    /// A path that exists is bound onto itself, read-only.
    33 "readonly" Readonly { path: Str, }
    /// `sethostname(2)`
    34 "set-hostname" SetHostname { name: Str, }
    /// `setdomainname(2)`
    35 "set-domainname" SetDomainname { name: Str, }
    /// Writes a file of a procfs of our own.
    36 "write-proc" WriteProc { path: Str, value: Str, }
    /// A session keyring of this name.
    37 "new-keyring" NewKeyring { name: Str, }
    /// `prlimit64(2)`
    38 "set-rlimit" SetRlimit { resource: u32, soft: u64, hard: u64, }
    /// Raises a hard limit before a user namespace is joined in which that may not be; `SetRlimit` says what is refused.
    93 "raise-limit" RaiseLimit { resource: u32, hard: u64, }
    /// Drops capabilities from the bounding set.
    39 "drop-bounding" DropBounding { dropped: CapabilityMask, }
    /// `setgroups(2)`
    40 "set-groups" SetGroups {
        groups: Words,
        /// Where the user namespace denies the call, the groups stay as they are.
        unless_denied: bool,
    }
    /// `setresgid(2)`
    41 "set-gid" SetGid { gid: u32, }
    /// `setresuid(2)`, capabilities kept.
    42 "set-uid" SetUid { uid: u32, }
    /// `capset(2)`
    43 "set-capabilities" SetCapabilities {
        effective: CapabilityMask, permitted: CapabilityMask, inheritable: CapabilityMask,
    }
    /// Clears the ambient set and raises these.
    44 "set-ambient" SetAmbient { ambient: CapabilityMask, }
    /// `PR_SET_NO_NEW_PRIVS`
    45 "no-new-privileges" NoNewPrivileges {}
    /// `umask(2)`
    46 "set-umask" SetUmask { mask: u32, }
    /// The working directory, which must be reachable from the root; unless `TryDirectory` has entered it.
    47 "change-directory" ChangeDirectory { path: Str, }
    /// Finds the command in `PATH`, or checks that it can be executed.
    48 "find-program" FindProgram { name: Str, path: Str, }
    /// Reports that all is ready, then waits at the gate for `start`.
    49 "await-start" AwaitStart { gate: Descriptor, }
    /// Waits for the runtime's go: it has recorded the process.
    50 "await-go" AwaitGo {}
    /// A Landlock ruleset that denies these uses of files.
    74 "new-ruleset" NewRuleset { handled: FileAccess, }
    /// What the ruleset allows at and below a path.
    75 "allow-path" AllowPath { path: Str, access: FileAccess, }
    /// `landlock_restrict_self(2)`
    76 "restrict-paths" RestrictPaths {}
    /// Installs a seccomp filter.
    51 "install-filter" InstallFilter { flags: u32, program: Bytes, }
    /// `execve(2)` of what was found.
    52 "execute" Execute { args: Strs, env: Strs, }
    /// `execveat(2)` of an executable opened beforehand, or of its path.
    53 "execute-opened" ExecuteOpened { program: Descriptor, path: Str, args: Strs, env: Strs, }
    /// `sched_setattr(2)`
    54 "set-scheduler" SetScheduler {
        policy: u32, flags: u64, nice: i32, priority: u32, runtime_ns: u64, deadline_ns: u64, period_ns: u64,
    }
    /// `ioprio_set(2)`
    55 "set-io-priority" SetIoPriority { class: u32, priority: u32, }
    /// `set_mempolicy(2)`
    56 "set-memory-policy" SetMemoryPolicy {
        mode: u32,
        /// Bit mask of nodes.
        nodes: Words,
    }
    /// `personality(2)`
    57 "set-personality" SetPersonality { domain: u32, }
    /// A directory at a path of the root.
    58 "make-directory" MakeDirectory { path: Str, }
    /// The host's `/proc`, to name mounts by descriptor where a call takes paths alone.
    83 "open-procfs" OpenProcfs {}
    /// A detached mount of a new instance of a file system, into a slot.
    84 "make-mount" MakeMount {
        slot: u32, fstype: Str, source: Str, attributes: MountAttributes,
        /// `key`, `value` pairs; an empty value is a flag.
        options: Strs,
    }
    /// What a slot holds is attached in the root. Undone when a later step fails.
    85 "attach" Attach {
        slot: u32, target: Str, set: MountAttributes, clear: MountAttributes,
        /// What is cleared too, except where a user namespace has locked it.
        implied_clear: MountAttributes,
        /// The same for the mounts below too.
        all_set: MountAttributes, all_clear: MountAttributes, propagation: Propagations,
        /// It gets the permissions of the directory that it hides.
        keep_mode: bool,
        /// The target is in `/proc` by the planner's leave.
        in_proc: bool,
    }
    /// The mount at a path of the root, into a slot; a copy of it, into the next.
    86 "find-mount" FindMount { slot: u32, target: Str, }
    /// The mount that a slot holds is detached. Undone when a later step fails.
    87 "detach" Detach { slot: u32, target: Str, }
    /// Descriptors from this number on are closed by execve, and not before.
    59 "close-on-exec" CloseOnExec { first: u32, }
    /// The home directory of the user, from the root's `/etc/passwd`, for an environment that has none.
    62 "find-home" FindHome { uid: u32, }
    /// A mount that the runtime has cloned comes into a slot.
    63 "take-tree" TakeTree { slot: u32, tree: Descriptor, }
    /// Clones the mount at a path of the root, detached, into a slot.
    88 "open-inside" OpenInside { slot: u32, source: Str, recursive: bool, }
    /// The SELinux label of a directory of the root.
    90 "set-label" SetLabel { target: Str, label: Str, }
    /// The runtime gets the mount that a slot holds, and maps its ids meanwhile.
    89 "offer-tree" OfferTree { slot: u32, tree: u32, }
    /// The instance of a file system, of which another process has made the context.
    95 "make-instance" MakeInstance { context: Descriptor, }
    /// Streams 0 and 1 (and 2, as 1).
    61 "set-streams" SetStreams { input: Descriptor, output: Descriptor, }
    /// `lo` is brought up.
    60 "loopback-up" LoopbackUp {}
    /// A descriptor for the program, at this number.
    80 "set-descriptor" SetDescriptor { descriptor: Descriptor, number: u32, }
    /// Descriptors up to this one that are not open are taken, until execve: nothing else gets their numbers.
    96 "take-descriptors" TakeDescriptors { end: u32, }
    /// Streams that are the host's null device become the root's: a process that holds a file of the host can't be
    /// checkpointed.
    81 "reopen-null" ReopenNull {
        /// Bit n: stream n.
        streams: u32,
    }
    /// Streams that are pipes get this owner, where that may be.
    94 "give-pipes" GivePipes {
        /// Bit n: stream n.
        streams: u32, uid: u32,
    }
    /// The process has done its work, and ends with success.
    82 "end" End {}
    /// `sched_setaffinity(2)`
    70 "set-affinity" SetAffinity {
        /// Bit mask of processors.
        processors: Words,
    }
    /// `sched_setaffinity(2)`: every processor, of which the kernel leaves those of the cgroup's cpuset.
    77 "reset-affinity" ResetAffinity {}
    /// `PR_SET_DUMPABLE`, off: before others can see this process.
    71 "not-dumpable" NotDumpable {}
    /// Every descriptor is closed but the container's, the one to the runtime and the one kept: before others can see
    /// this process.
    72 "close-others" CloseOthers { kept: Descriptor, }
    /// The working directory, entered with the rights that init has before it becomes the user: theirs may not do, as for
    /// another user's home. Where init's don't either (it is root of a user namespace that does not map the owner), it is
    /// left to `ChangeDirectory`.
    73 "try-directory" TryDirectory { path: Str, }
}
