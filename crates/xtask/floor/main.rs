//! The floor: the least that the kernel can be asked for the container that the benchmark's config describes.
//!
//! `floor ROOTFS v2 CGROUP` or `floor ROOTFS v1 CGROUP…`: all six namespaces, the seven mounts, devices and their filter, masked and
//! read-only paths, pivot_root, rlimit, capabilities, no_new_privs, `/bin/true`, and wait. Nothing is read that need not
//! be, nothing checked beyond the answer of each call, nothing recorded. A program of the benchmark, not of the runtime.
#![no_std]
#![no_main]

mod devices;
mod sys;

use core::ffi::CStr;

const NEWNS: u64 = 0x2_0000;
const NEWCGROUP: u64 = 0x200_0000;
const NEWUTS: u64 = 0x400_0000;
const NEWIPC: u64 = 0x800_0000;
const NEWPID: u64 = 0x2000_0000;
const NEWNET: u64 = 0x4000_0000;
const INTO_CGROUP: u64 = 0x2_0000_0000;

const RDONLY: usize = 1;
const NOSUID: usize = 2;
const NODEV: usize = 4;
const NOEXEC: usize = 8;
const REMOUNT: usize = 32;
const BIND: usize = 4096;
const REC: usize = 16384;
const SLAVE: usize = 1 << 19;
const RELATIME: usize = 1 << 21;
const STRICTATIME: usize = 1 << 24;
const NOTHING: usize = NOSUID | NODEV | NOEXEC;

const O_WRONLY: usize = 1;
const O_DIRECTORY: usize = 0o200_000;
const O_CLOEXEC: usize = 0o2_000_000;

/// A path put together on the stack.
struct Path([u8; 256], usize);

impl Path {
    fn of(parts: &[&[u8]]) -> Self {
        let mut path = Self([0; 256], 0);
        for byte in parts.iter().flat_map(|part| part.iter()) {
            if path.1 < 255 {
                path.0[path.1] = *byte;
                path.1 += 1;
            }
        }
        path
    }

    fn as_c(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or(c"")
    }
}

/// Digits of a number.
fn digits(mut number: usize, buffer: &mut [u8; 20]) -> &[u8] {
    let mut start = buffer.len();
    loop {
        start -= 1;
        buffer[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &buffer[start..];
        }
    }
}

/// The answer of a call that must succeed.
fn must(what: &'static [u8], answer: isize) -> i32 {
    if answer < 0 {
        sys::write(2, what);
        let mut buffer = [0; 20];
        sys::write(2, b": errno ");
        sys::write(2, digits(answer.unsigned_abs(), &mut buffer));
        sys::write(2, b"\n");
        sys::exit(1);
    }
    answer as i32
}

/// Cgroups that were given by their directories: v1 ones, or one of v2.
struct Cgroups {
    directories: [&'static CStr; 16],
    count: usize,
    unified: bool,
}

impl Cgroups {
    fn all(&self) -> &[&'static CStr] {
        &self.directories[..self.count]
    }
}

fn main(arguments: sys::Arguments) -> ! {
    let mut arguments = arguments.skip(1);
    let rootfs = arguments.next().unwrap_or(c".");
    let unified = arguments.next() == Some(c"v2");
    let mut cgroups = Cgroups { directories: [c""; 16], count: 0, unified };
    for (slot, directory) in cgroups.directories.iter_mut().zip(arguments) {
        *slot = directory;
        cgroups.count += 1;
    }
    for directory in cgroups.all() {
        must(b"mkdir cgroup", sys::mkdir(directory));
        if !unified && directory.to_bytes().starts_with(b"/sys/fs/cgroup/cpuset/") {
            copy_cpuset(directory);
        }
        if !unified && directory.to_bytes().starts_with(b"/sys/fs/cgroup/devices/") {
            filter_devices(directory);
        }
    }
    let mut ends = [0; 2];
    must(b"pipe", sys::pipe(&mut ends));
    let mut flags = NEWNS | NEWPID | NEWNET | NEWIPC | NEWUTS;
    let mut cgroup = 0;
    if unified {
        flags |= NEWCGROUP | INTO_CGROUP;
        cgroup = must(b"open cgroup", sys::open(cgroups.directories[0], O_DIRECTORY | O_CLOEXEC));
        let filter = must(b"load filter", sys::bpf_load(&devices::PROGRAM));
        must(b"attach filter", sys::bpf_attach(cgroup, filter));
    }
    let pid = must(b"clone3", sys::clone(flags, cgroup));
    if pid == 0 {
        contain(rootfs, &cgroups, ends);
    }
    if !unified {
        attach(&cgroups, pid);
    }
    must(b"let it go", sys::close(ends[1]));
    let mut status = 0;
    must(b"wait", sys::wait(pid, &mut status));
    for directory in cgroups.all() {
        must(b"rmdir cgroup", sys::rmdir(directory));
    }
    sys::exit(status >> 8 & 0xff)
}

/// Puts the container into its v1 cgroups.
fn attach(cgroups: &Cgroups, pid: i32) {
    let mut buffer = [0; 20];
    let text = digits(pid as usize, &mut buffer);
    for directory in cgroups.all() {
        let path = Path::of(&[directory.to_bytes(), b"/cgroup.procs"]);
        let file = must(b"open cgroup.procs", sys::open(path.as_c(), O_WRONLY | O_CLOEXEC));
        must(b"attach", sys::write(file, text));
        sys::close(file);
    }
}

/// The device filter of v1: one file that denies, one that allows a rule a write.
fn filter_devices(directory: &CStr) {
    let open = |name: &[u8]| {
        let path = Path::of(&[directory.to_bytes(), name]);
        must(b"open devices", sys::open(path.as_c(), O_WRONLY | O_CLOEXEC))
    };
    let deny = open(b"/devices.deny");
    must(b"deny", sys::write(deny, b"a *:* rwm"));
    sys::close(deny);
    let allow = open(b"/devices.allow");
    for rule in devices::RULES {
        must(b"allow", sys::write(allow, rule));
    }
    sys::close(allow);
}

/// A v1 cpuset begins empty: it takes its parent's.
fn copy_cpuset(directory: &CStr) {
    for name in [b"/cpuset.cpus", b"/cpuset.mems"] {
        let mut bytes = [0; 128];
        let above = Path::of(&[directory.to_bytes(), b"/..", name]);
        let file = must(b"open cpuset", sys::open(above.as_c(), O_CLOEXEC));
        let count = must(b"read cpuset", sys::read(file, &mut bytes));
        sys::close(file);
        let own = Path::of(&[directory.to_bytes(), name]);
        let file = must(b"open own cpuset", sys::open(own.as_c(), O_WRONLY | O_CLOEXEC));
        must(b"write cpuset", sys::write(file, &bytes[..count as usize]));
        sys::close(file);
    }
}

/// Runs in the container, to its end.
fn contain(rootfs: &CStr, cgroups: &Cgroups, ends: [i32; 2]) -> ! {
    if !cgroups.unified {
        sys::close(ends[1]);
        sys::read(ends[0], &mut [0]);
        must(b"unshare", sys::unshare(NEWCGROUP as usize));
    }
    must(b"setsid", sys::setsid());
    must(b"propagation", sys::mount(c"", c"/", c"", REC | SLAVE, c""));
    must(b"bind root", sys::mount(rootfs, rootfs, c"", BIND | REC, c""));
    must(b"chdir root", sys::chdir(rootfs));
    sys::umask(0);
    let mount =
        |source, target, kind, flags, data| must(b"mount", sys::mount(source, target, kind, flags, data));
    mount(c"proc", c"proc", c"proc", NOTHING, c"");
    mount(c"tmpfs", c"dev", c"tmpfs", NOSUID | STRICTATIME, c"mode=755,size=65536k");
    for directory in [c"dev/pts", c"dev/shm", c"dev/mqueue"] {
        must(b"mkdir", sys::mkdir(directory));
    }
    let devpts = c"newinstance,ptmxmode=0666,mode=0620,gid=5";
    mount(c"devpts", c"dev/pts", c"devpts", NOSUID | NOEXEC, devpts);
    mount(c"shm", c"dev/shm", c"tmpfs", NOTHING, c"mode=1777,size=65536k");
    mount(c"mqueue", c"dev/mqueue", c"mqueue", NOTHING, c"");
    mount(c"sysfs", c"sys", c"sysfs", NOTHING | RDONLY, c"");
    mount_cgroups(cgroups);
    for (path, major, minor) in [
        (c"dev/null", 1, 3),
        (c"dev/zero", 1, 5),
        (c"dev/full", 1, 7),
        (c"dev/random", 1, 8),
        (c"dev/urandom", 1, 9),
        (c"dev/tty", 5, 0),
    ] {
        must(b"mknod", sys::mknod(path, 0o20_666, major << 8 | minor));
    }
    for (target, path) in [
        (c"pts/ptmx", c"dev/ptmx"),
        (c"/proc/self/fd", c"dev/fd"),
        (c"/proc/self/fd/0", c"dev/stdin"),
        (c"/proc/self/fd/1", c"dev/stdout"),
        (c"/proc/self/fd/2", c"dev/stderr"),
    ] {
        must(b"symlink", sys::symlink(target, path));
    }
    must(b"pivot_root", sys::pivot_root(c".", c"."));
    must(b"detach", sys::umount(c".", 2));
    must(b"chdir /", sys::chdir(c"/"));
    mount(c"", c"/", c"", BIND | REMOUNT | RDONLY, c"");
    must(b"sethostname", sys::sethostname(b"bench"));
    hide();
    confine();
    must(b"execve", sys::execve(c"/bin/true", c"PATH=/bin"));
    sys::exit(1)
}

fn mount_cgroups(cgroups: &Cgroups) {
    let flags = NOTHING | RELATIME | RDONLY;
    if cgroups.unified {
        must(b"mount cgroup2", sys::mount(c"cgroup", c"sys/fs/cgroup", c"cgroup2", flags, c""));
        return;
    }
    must(b"mount tmpfs", sys::mount(c"cgroup", c"sys/fs/cgroup", c"tmpfs", NOTHING, c"mode=755"));
    for directory in cgroups.all() {
        // /sys/fs/cgroup/NAME/…: the name is the controller's, or that of the hierarchy without one.
        let name = directory.to_bytes().split(|&byte| byte == b'/').nth(4).unwrap_or_default();
        let target = Path::of(&[b"sys/fs/cgroup/", name]);
        must(b"mkdir hierarchy", sys::mkdir(target.as_c()));
        let prefix: &[u8] = if name == b"systemd" { b"name=" } else { b"" };
        let data = Path::of(&[prefix, name]);
        must(b"mount cgroup", sys::mount(c"cgroup", target.as_c(), c"cgroup", flags, data.as_c()));
    }
    let remount = BIND | REMOUNT | flags;
    must(b"remount tmpfs", sys::mount(c"", c"sys/fs/cgroup", c"", remount, c""));
}

/// Masked and read-only paths; those that this kernel lacks are passed over, as everywhere.
fn hide() {
    const MASKED: [(&CStr, bool); 10] = [
        (c"/proc/acpi", true),
        (c"/proc/asound", true),
        (c"/proc/kcore", false),
        (c"/proc/keys", false),
        (c"/proc/latency_stats", false),
        (c"/proc/timer_list", false),
        (c"/proc/timer_stats", false),
        (c"/proc/sched_debug", false),
        (c"/sys/firmware", true),
        (c"/proc/scsi", true),
    ];
    for (path, is_directory) in MASKED {
        if is_directory {
            sys::mount(c"tmpfs", path, c"tmpfs", RDONLY, c"");
        } else {
            sys::mount(c"/dev/null", path, c"", BIND, c"");
        }
    }
    for path in [c"/proc/bus", c"/proc/fs", c"/proc/irq", c"/proc/sys", c"/proc/sysrq-trigger"] {
        if sys::mount(path, path, c"", BIND | REC, c"") >= 0 {
            must(b"read-only", sys::mount(path, path, c"", BIND | REMOUNT | RDONLY | NOTHING, c""));
        }
    }
}

/// rlimit, no_new_privs, the bounding set, capabilities.
fn confine() {
    const NOFILE: usize = 7;
    const SET_NO_NEW_PRIVS: usize = 38;
    const CAPBSET_DROP: usize = 24;
    const KEPT: u32 = 1 << 5 | 1 << 10 | 1 << 29;
    must(b"setrlimit", sys::setrlimit(NOFILE, &[1024, 1024]));
    for capability in 0..=40 {
        if capability >= 32 || KEPT >> capability & 1 == 0 {
            must(b"drop", sys::prctl(CAPBSET_DROP, capability));
        }
    }
    must(b"capset", sys::capset(&[KEPT, KEPT, 0, 0, 0, 0]));
    must(b"no_new_privs", sys::prctl(SET_NO_NEW_PRIVS, 1));
}
