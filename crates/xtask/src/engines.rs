//! `engines`: a root file system with the container engines of Debian's next release, in which the tests of clients run on
//! this machine's kernel, cgroups and devices: what users have on other machines than this one.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use lexopt::prelude::*;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::debian::{self, Unavailable, bootstrap, bootstrap_failure, cache, remove_tree};
use crate::error::{Context, Failure, Result};
use crate::lane::{self, Lane};
use crate::process::{rendered, run};
use crate::project;

/// Debian's testing, by its name: what is in it changes.
const SUITE: &str = "forky";

const PACKAGES: &str = "aardvark-dns,buildah,busybox-static,catatonit,conmon,containerd,containernetworking-plugins,criu,crun,\
    docker-buildx,docker-cli,docker.io,iproute2,iptables,keyutils,kmod,mount,netavark,nftables,podman,procps,runc,\
    slirp4netns,strace,uidmap,util-linux";

/// Whose ids podman gives out by `--userns=auto`.
const USER: &str = "containers";

/// What the tests see of this machine.
const OF_THE_MACHINE: [&str; 4] = ["/dev", "/proc", "/sys", "/tmp"];

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The tree, made where there is none of these packages.
pub(crate) fn tree(again: bool) -> Result<PathBuf, Unavailable> {
    debian::check_machine(&[("mmdebstrap", "mmdebstrap")])?;
    let directory = cache("engines")?.join(SUITE);
    let root = directory.join("root");
    debian::make_once(&directory, &format!("{PACKAGES} {USER}"), again, || make(&directory, &root))?;
    Ok(root)
}

fn make(directory: &Path, root: &Path) -> Result<(), Unavailable> {
    eprintln!("engines: making {SUITE} in {}", directory.display());
    remove_tree(root)?;
    fs::create_dir_all(directory).context(directory.display())?;
    let log = directory.join("log");
    let mut command = bootstrap(SUITE, "minbase", PACKAGES, root, &log)?;
    if !command.status().context(rendered(&command))?.success() {
        // What is in that suite is not this project's to mend.
        return Err(Unavailable::Here(match bootstrap_failure(&log) {
            Unavailable::Here(reason) => reason,
            Unavailable::Failed(failure) => failure.to_string(),
        }));
    }
    Ok(run(Command::new("chroot").arg(root).args(["useradd", "--system", "--no-create-home", USER]))?)
}

/// Makes the tree this process's root, in a mount namespace of its own. The process has one thread.
fn enter(root: &Path) -> Result<()> {
    lane::leave_mount_namespace()?;
    let nothing = None::<&str>;
    let bind = |from: &Path, to: &Path| {
        fs::create_dir_all(to).context(to.display())?;
        mount(Some(from), to, nothing, MsFlags::MS_BIND | MsFlags::MS_REC, nothing).context(to.display())
    };
    mount(Some(root), root, nothing, MsFlags::MS_BIND, nothing).context(root.display())?;
    let (project, target) = (project::root(), project::target());
    let here = OF_THE_MACHINE.iter().map(Path::new).chain([project.as_path(), target.as_path()]);
    for path in here {
        bind(path, &root.join(path.strip_prefix("/").unwrap_or(path)))?;
    }
    let run = root.join("run");
    mount(Some("tmpfs"), &run, Some("tmpfs"), MsFlags::empty(), Some("mode=755")).context(run.display())?;
    std::env::set_current_dir(root).context(root.display())?;
    rustix::process::pivot_root(".", ".").context("pivot_root")?;
    umount2(".", MntFlags::MNT_DETACH).context("unmount the old root")?;
    std::env::set_current_dir(&project).context(project.display())
}

/// Entry of the task: enters the tree and the lane, and becomes the command.
pub(crate) fn main(mut parser: lexopt::Parser) -> Result<ExitCode> {
    let mut again = false;
    let lane: Lane = loop {
        match parser.next()? {
            Some(Long("rebuild")) => again = true,
            Some(Value(lane)) => break lane.parse()?,
            Some(other) => return Err(other.unexpected().into()),
            None => return Err(Failure::new("engines: which lane?")),
        }
    };
    let words: Vec<OsString> = parser.raw_args()?.collect();
    let [program, arguments @ ..] = words.as_slice() else {
        return Err(Failure::new("engines: which command?"));
    };
    let root = tree(again).map_err(Unavailable::into_failure)?;
    enter(&root)?;
    lane::enter(lane)?;
    let mut command = Command::new(program);
    Err(command.args(arguments).env("PATH", PATH).exec()).context(program.to_string_lossy())
}
