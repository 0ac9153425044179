//! The virtual machine's disk, kernel and initramfs, from distribution packages; made once and kept.
//!
//! Needs root, since a system is installed into a directory. Kept in `$XDG_CACHE_HOME/sandboxd/vm`, by default
//! `~/.cache`; made anew when the recipe here changes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Suite;
use crate::debian::{self, Unavailable, bootstrap, bootstrap_failure, cache, remove_tree};
use crate::error::{Context, Failure, Result};
use crate::process::{find_program, output_of, rendered, run};
use crate::project;

const CUSTOMISE: &str = include_str!("../../vm/customise");
const INITRAMFS_INIT: &str = include_str!("../../vm/initramfs-init");
const JOB: &str = include_str!("../../vm/job");
const JOB_SERVICE: &str = include_str!("../../vm/job.service");

/// Programs that make and run it, and where Debian has them.
const PROGRAMS: [(&str, &str); 6] = [
    ("mmdebstrap", "mmdebstrap"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("mke2fs", "e2fsprogs"),
    ("depmod", "kmod"),
    ("busybox", "busybox-static"),
    ("tar", "tar"),
];

const PACKAGES: [&str; 28] = [
    "systemd",
    "systemd-sysv",
    "dbus",
    "dbus-user-session",
    "libpam-systemd",
    "login",
    "kmod",
    "udev",
    "apparmor",
    "podman",
    "conmon",
    "netavark",
    "aardvark-dns",
    "catatonit",
    "crun",
    "runc",
    "criu",
    "uidmap",
    "slirp4netns",
    "fuse-overlayfs",
    "busybox-static",
    "iproute2",
    "iptables",
    "nftables",
    "procps",
    "util-linux",
    "keyutils",
    "strace",
];

/// SELinux's, without which there are no labels.
const POLICY: &str = "selinux-policy-default";

/// Modules that the initramfs loads.
const BOOT_MODULES: [&str; 4] = ["virtio_pci", "virtio_blk", "ext4", "overlay"];

/// Modules that containers and their networks need.
const MODULES: [&str; 46] = [
    "af_packet_diag",
    "bfq",
    "br_netfilter",
    "bridge",
    "dummy",
    "fuse",
    "inet_diag",
    "ip6_tables",
    "ip6table_filter",
    "ip6table_nat",
    "ip_tables",
    "ipt_REJECT",
    "iptable_filter",
    "iptable_nat",
    "ipvlan",
    "loop",
    "macvlan",
    "netlink_diag",
    "nf_conntrack_netlink",
    "nf_nat",
    "nf_tables",
    "nft_chain_nat",
    "nft_compat",
    "nft_ct",
    "nft_fib_inet",
    "nft_masq",
    "nft_nat",
    "nft_reject",
    "overlay",
    "raw_diag",
    "squashfs",
    "tcp_diag",
    "tun",
    "udp_diag",
    "unix_diag",
    "veth",
    "virtio_net",
    "vxlan",
    "xt_MASQUERADE",
    "xt_addrtype",
    "xt_comment",
    "xt_conntrack",
    "xt_mark",
    "xt_multiport",
    "xt_nat",
    "xt_tcpudp",
];

/// A virtual machine that can be booted.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) suite: Suite,
    /// Version of its C library.
    pub(crate) glibc: String,
    directory: PathBuf,
}

impl Image {
    /// The image of a suite, made where there is none of this recipe.
    pub(crate) fn get(suite: Suite, rebuild: bool) -> Result<Self, Unavailable> {
        check_machine()?;
        let directory = cache("vm")?.join(suite.to_string());
        debian::make_once(&directory, &recipe(suite), rebuild, || make(suite, &directory))?;
        let glibc = directory.join("glibc");
        let glibc = fs::read_to_string(&glibc).context(glibc.display())?;
        Ok(Self { suite, glibc, directory })
    }

    pub(super) fn kernel(&self) -> PathBuf {
        self.directory.join("vmlinuz")
    }

    pub(super) fn initramfs(&self) -> PathBuf {
        self.directory.join("initramfs")
    }

    pub(super) fn disk(&self) -> PathBuf {
        self.directory.join("root.ext4")
    }
}

fn check_machine() -> Result<(), Unavailable> {
    if !cfg!(target_arch = "x86_64") {
        return Err(Unavailable::Here("only of x86_64, on x86_64".into()));
    }
    debian::check_machine(&PROGRAMS)
}

/// All that decides what the image is.
fn recipe(suite: Suite) -> String {
    [
        &packages(suite),
        &BOOT_MODULES.join(" "),
        &MODULES.join(" "),
        CUSTOMISE,
        INITRAMFS_INIT,
        JOB,
        JOB_SERVICE,
    ]
    .join("\n")
}

fn packages(suite: Suite) -> String {
    let others: &[&str] = match suite {
        Suite::Bookworm => &[POLICY],
        Suite::Trixie => &[POLICY, "passt", "libcriu2"],
        // Its policy can't be installed: the package's script fails (2.20261022-1).
        Suite::Sid => &["passt", "libcriu2"],
    };
    [&PACKAGES, others].concat().join(",")
}

fn make(suite: Suite, directory: &Path) -> Result<(), Unavailable> {
    eprintln!("vm: making {suite} in {}", directory.display());
    let (root, kernel, stage) = (directory.join("root"), directory.join("kernel"), directory.join("stage"));
    for tree in [&root, &kernel, &stage] {
        remove_tree(tree)?;
    }
    fs::create_dir_all(directory).context(directory.display())?;
    for (name, text, mode) in [
        ("customise", CUSTOMISE, 0o755),
        ("initramfs-init", INITRAMFS_INIT, 0o755),
        ("job", JOB, 0o755),
        ("job.service", JOB_SERVICE, 0o644),
    ] {
        let path = directory.join(name);
        fs::write(&path, text).context(path.display())?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).context(path.display())?;
    }
    // Side by side: both mostly wait for the mirror.
    let name = suite.to_string();
    let mut kernel_packages =
        bootstrap(&name, "extract", "linux-image-cloud-amd64", &kernel, &directory.join("kernel.log"))?;
    let mut fetching = kernel_packages.spawn().context(rendered(&kernel_packages))?;
    let mut system = bootstrap(&name, "minbase", &packages(suite), &root, &directory.join("root.log"))?;
    let made = system.status().context(rendered(&system))?.success();
    let fetched = fetching.wait().context(rendered(&kernel_packages))?.success();
    for (succeeded, log) in [(made, "root.log"), (fetched, "kernel.log")] {
        if !succeeded {
            return Err(bootstrap_failure(&directory.join(log)));
        }
    }
    run(Command::new(directory.join("customise")).arg(&root).stdout(Stdio::null()))?;
    let modules = Modules::find(&kernel)?;
    modules.install(&root)?;
    make_initramfs(&modules, &stage, directory)?;
    copy(&modules.kernel_file()?, &directory.join("vmlinuz"))?;
    let glibc = output_of(Command::new("chroot").arg(&root).args(["getconf", "GNU_LIBC_VERSION"]))?;
    let glibc_path = directory.join("glibc");
    fs::write(&glibc_path, glibc.trim().trim_start_matches("glibc ")).context(glibc_path.display())?;
    make_disk(&root, &directory.join("root.ext4"))?;
    for tree in [&root, &kernel, &stage] {
        remove_tree(tree)?;
    }
    Ok(())
}

/// The modules of an unpacked kernel package.
struct Modules {
    kernel: PathBuf,
    version: String,
}

impl Modules {
    fn find(kernel: &Path) -> Result<Self> {
        // From trixie on there is no /lib beside /usr/lib in the package.
        if !kernel.join("lib/modules").exists() {
            fs::create_dir_all(kernel.join("lib")).context(kernel.display())?;
            std::os::unix::fs::symlink("../usr/lib/modules", kernel.join("lib/modules"))
                .context("link lib/modules")?;
        }
        let directory = kernel.join("lib/modules");
        let mut entries = fs::read_dir(&directory).context(directory.display())?;
        let entry = entries.next().ok_or_else(|| Failure::new("the kernel package has no modules"))?;
        let version = entry.context(directory.display())?.file_name().to_string_lossy().into_owned();
        run(Command::new("depmod").arg("-b").arg(kernel).arg(&version))?;
        Ok(Self { kernel: kernel.to_owned(), version })
    }

    fn kernel_file(&self) -> Result<PathBuf> {
        let places =
            [self.kernel.join(format!("boot/vmlinuz-{}", self.version)), self.directory().join("vmlinuz")];
        let place = places.into_iter().find(|place| place.is_file());
        place.ok_or_else(|| Failure::new("the kernel package has no kernel"))
    }

    fn directory(&self) -> PathBuf {
        self.kernel.join("lib/modules").join(&self.version)
    }

    /// The files of modules and of what they depend on, in the order of loading. A built-in one has no file.
    fn files(&self, names: &[&str]) -> Result<Vec<PathBuf>> {
        let mut files: Vec<PathBuf> = Vec::new();
        for name in names {
            let mut modprobe = Command::new("modprobe");
            modprobe.arg("-d").arg(&self.kernel).args(["-S", &self.version, "--show-depends", name]);
            // Not every kernel has every module.
            let output = modprobe.stderr(Stdio::null()).output().context("modprobe")?;
            for file in String::from_utf8_lossy(&output.stdout).lines().filter_map(parse_insmod) {
                if !files.contains(&file) {
                    files.push(file);
                }
            }
        }
        Ok(files)
    }

    /// Puts modules into the root file system, from where modprobe loads them.
    fn install(&self, root: &Path) -> Result<()> {
        let target = root.join("lib/modules").join(&self.version);
        for file in self.files(&MODULES)? {
            let below = file.strip_prefix(self.directory()).context("a module's path")?;
            copy(&file, &target.join(below))?;
        }
        for name in ["modules.order", "modules.builtin", "modules.builtin.modinfo"] {
            copy(&self.directory().join(name), &target.join(name))?;
        }
        run(Command::new("depmod").arg("-b").arg(root).arg(&self.version))
    }
}

/// `insmod /PATH/NAME.ko.xz PARAMETER=VALUE`, as `modprobe --show-depends` prints it: the file.
fn parse_insmod(line: &str) -> Option<PathBuf> {
    let line = line.strip_prefix("insmod ")?;
    let suffix = line.rfind(".ko")?;
    let end = line[suffix..].find(' ').map_or(line.len(), |length| suffix + length);
    Some(line[..end].into())
}

fn make_initramfs(modules: &Modules, stage: &Path, directory: &Path) -> Result<()> {
    for name in ["bin", "modules", "proc", "dev", "root"] {
        fs::create_dir_all(stage.join(name)).context(stage.display())?;
    }
    let busybox = find_program("busybox").ok_or_else(|| Failure::new("no busybox"))?;
    copy(&busybox, &stage.join("bin/busybox"))?;
    copy(&directory.join("initramfs-init"), &stage.join("init"))?;
    let mut order = String::new();
    for file in modules.files(&BOOT_MODULES)? {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        copy(&file, &stage.join("modules").join(&name))?;
        order.push_str(&name);
        order.push('\n');
    }
    fs::write(stage.join("modules/order"), order).context("write the order of modules")?;
    let mut archive = Command::new("sh");
    archive
        .args(["-c", "find . | busybox cpio -o -H newc | gzip -1 >\"$0\""])
        .arg(directory.join("initramfs"));
    run(archive.current_dir(stage).stderr(Stdio::null()))
}

/// An ext4 file system of the tree, with room for what is run; no journal, as nothing is kept.
fn make_disk(root: &Path, disk: &Path) -> Result<()> {
    let size = output_of(Command::new("du").arg("-sm").arg(root))?;
    let used: u64 = size.split_whitespace().next().and_then(|size| size.parse().ok()).unwrap_or(1024);
    let _ = fs::remove_file(disk);
    let mut command = Command::new("mke2fs");
    command.args([
        "-q",
        "-t",
        "ext4",
        "-O",
        "^has_journal,^metadata_csum",
        "-E",
        "lazy_itable_init=1",
        "-m",
        "0",
    ]);
    run(command.arg("-d").arg(root).arg(disk).arg(format!("{}M", used + 700)))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).context(parent.display())?;
    }
    fs::copy(from, to).map(drop).context(format_args!("copy {} to {}", from.display(), to.display()))
}

/// Where things of one boot are.
pub(super) fn scratch() -> Result<PathBuf> {
    let directory = project::target().join("vm").join(std::process::id().to_string());
    fs::create_dir_all(&directory).context(directory.display())?;
    Ok(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn insmod_line_parsed() {
        let parsed = parse_insmod("insmod /my cache/dummy.ko.xz numdummies=0 ");
        assert_eq!(parsed, Some("/my cache/dummy.ko.xz".into()));
        assert_eq!(parse_insmod("insmod /a/fuse.ko"), Some("/a/fuse.ko".into()));
        assert_eq!(parse_insmod("builtin ext4"), None);
    }
}
