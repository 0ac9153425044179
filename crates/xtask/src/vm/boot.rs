//! Boots an image, runs a job in it, follows its output to its exit status.
//!
//! The job goes in as a tar on a disk of its own; its output comes back over a serial port, to a pipe.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::image::scratch;
use super::{Image, Lsm};
use crate::error::{Context, Failure, Result};
use crate::lane::Lane;
use crate::process::{rendered, run, wait_until};

/// What is run, and with which files.
#[derive(Debug)]
pub(crate) struct Job {
    /// Removed with this.
    directory: PathBuf,
    /// The machine is stopped after so long.
    pub(crate) limit: Duration,
    /// Whether the kernel's and systemd's messages are shown.
    pub(crate) console: bool,
    /// The cgroup hierarchies that systemd mounts.
    pub(crate) cgroup: Lane,
    /// The security module.
    pub(crate) lsm: Lsm,
}

impl Job {
    /// A job that runs a line of shell, as root.
    pub(crate) fn new(line: String) -> Result<Self> {
        let directory = scratch()?;
        fs::create_dir_all(directory.join("job/bin")).context(directory.display())?;
        fs::write(directory.join("job/cmd"), line + "\n").context("write the job")?;
        let (limit, cgroup, lsm) = (Duration::from_secs(600), Lane::V2, Lsm::default());
        Ok(Self { directory, limit, console: false, cgroup, lsm })
    }

    /// Where the files of the job are gathered, in `job`.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Takes a file along; in the virtual machine it is `/job/NAME`.
    pub(crate) fn copy(&self, file: &Path, name: &str) -> Result<()> {
        let mut command = Command::new("cp");
        run(command.args(["-a", "--dereference"]).arg(file).arg(self.directory.join("job").join(name)))
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The line with which the job service ends its output.
const EXIT: &str = "VM-EXIT ";

/// Runs the job; its exit status. Each line of its output goes to `line` as it comes.
pub(crate) fn boot(image: &Image, job: &Job, line: &mut dyn FnMut(&str)) -> Result<u8> {
    let archive = job.directory.join("job.tar");
    run(Command::new("tar").arg("-C").arg(job.directory.join("job")).arg("-cf").arg(&archive).arg("."))?;
    // qemu wants whole sectors.
    let size = archive.metadata().context(archive.display())?.len();
    let file = fs::File::options().write(true).open(&archive).context(archive.display())?;
    file.set_len(size.next_multiple_of(1 << 20)).context(archive.display())?;
    let console = job.directory.join("console");
    for _ in 1..BOOTS {
        match boot_once(image, job, &archive, &console, line)? {
            Boot::Ended(status) => return Ok(status),
            Boot::Crashed => line(ONCE_MORE),
        }
    }
    match boot_once(image, job, &archive, &console, line)? {
        Boot::Ended(status) => Ok(status),
        Boot::Crashed => {
            show(&console);
            Err(Failure::new(format!("the virtual machine crashed {BOOTS} times")))
        }
    }
}

/// What is said when the machine has crashed: what the job has printed until then counts for nothing.
pub(crate) const ONCE_MORE: &str = "== the virtual machine crashed: once more";

/// How often a machine that crashes is booted. With more than one processor the emulation now and
/// then runs an instruction that the kernel is at replacing on another one, and the kernel meets its own breakpoint.
const BOOTS: u32 = 3;

enum Boot {
    /// With this status of the job.
    Ended(u8),
    /// Before the job did.
    Crashed,
}

fn boot_once(
    image: &Image,
    job: &Job,
    archive: &Path,
    console: &Path,
    line: &mut dyn FnMut(&str),
) -> Result<Boot> {
    let mut qemu = command(image, job, archive, console);
    let mut machine = qemu.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0).spawn();
    let machine = machine.as_mut().map_err(|error| Failure::new(format!("{}: {error}", rendered(&qemu))))?;
    let output = machine.stdout.take().ok_or_else(|| Failure::new("no output of qemu"))?;
    // Ends the machine at the limit, and with it the output that is read below.
    let (status, ended) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| wait_until(machine, job.limit));
        let mut status = None;
        let mut empty_lines = 0;
        for read in BufReader::new(output).split(b'\n').map_while(std::result::Result::ok) {
            let read = String::from_utf8_lossy(&read);
            let read = read.trim_end_matches('\r');
            if let Some(number) = read.strip_prefix(EXIT) {
                status = number.trim().parse::<u8>().ok();
            } else if read.is_empty() {
                // The one before the status is the job service's.
                empty_lines += 1;
            } else if status.is_none() {
                (0..std::mem::take(&mut empty_lines)).for_each(|_| line(""));
                line(read);
            }
        }
        (status, watch.join())
    });
    let ended = ended.map_err(|_| Failure::new("the watch over qemu panicked"))??;
    if status.is_none() && ended.is_some() && has_crashed(console) {
        return Ok(Boot::Crashed);
    }
    if job.console || status.is_none() {
        show(console);
    }
    match (status, ended) {
        (Some(status), _) => Ok(Boot::Ended(status)),
        (None, None) => Err(Failure::new(format!("the virtual machine ran for {} s", job.limit.as_secs()))),
        (None, Some(end)) => Err(Failure::new(format!("the virtual machine ended without a result: {end}"))),
    }
}

/// The kernel's words, and systemd's.
const CRASHES: [&str; 2] = ["Kernel panic", "Failed to start up manager"];

fn has_crashed(console: &Path) -> bool {
    fs::read(console).is_ok_and(|text| {
        let text = String::from_utf8_lossy(&text);
        CRASHES.iter().any(|crash| text.contains(crash))
    })
}

fn show(console: &Path) {
    let text = fs::read(console).unwrap_or_default();
    eprintln!("--- console of the virtual machine\n{}", String::from_utf8_lossy(&text).replace('\r', ""));
}

/// The frequency of the time stamp counter, which is the machine's in the emulation too. The kernel would measure it,
/// and be an order of magnitude out where this machine is busy: then every deadline in the virtual machine is missed.
/// Under a hypervisor the CPU's frequency is the counter's; elsewhere it may be any.
fn parse_tsc_khz(cpuinfo: &str) -> Option<u64> {
    let field = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.starts_with(name))?;
        line.split_once(':').map(|(_, value)| value.trim())
    };
    if !field("flags")?.split(' ').any(|flag| flag == "hypervisor") {
        return None;
    }
    let (mhz, thousandths) = field("cpu MHz")?.split_once('.')?;
    Some(mhz.parse::<u64>().ok()? * 1000 + thousandths.get(..3)?.parse::<u64>().ok()?)
}

/// What asks systemd for a cgroup set-up (systemd(1), Kernel Command Line). Releases 256 and 257 mount v1 only where the
/// last word forces them to.
const fn hierarchies(cgroup: Lane) -> &'static str {
    match cgroup {
        Lane::V2 => "systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all",
        Lane::Hybrid => {
            "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=0 \
             SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"
        }
        Lane::V1 => {
            "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1 \
             SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"
        }
    }
}

fn command(image: &Image, job: &Job, archive: &Path, console: &Path) -> Command {
    let mut kernel = String::from(
        "console=ttyS0 panic=-1 mitigations=off nokaslr no_timer_check tsc=reliable \
         random.trust_cpu=on net.ifnames=0 ",
    );
    kernel.push_str(match job.lsm {
        Lsm::AppArmor => "apparmor=1 security=apparmor ",
        Lsm::Selinux => "selinux=1 security=selinux enforcing=0 ",
    });
    kernel.push_str(hierarchies(job.cgroup));
    kernel.push_str(" systemd.crash_reboot=1");
    if let Some(frequency) = fs::read_to_string("/proc/cpuinfo").ok().as_deref().and_then(parse_tsc_khz) {
        kernel.push_str(&format!(" tsc_early_khz={frequency}"));
    }
    kernel.push_str(if job.console {
        " loglevel=6 systemd.show_status=1"
    } else {
        " quiet systemd.show_status=0"
    });
    let drive = |file: &Path, name: &str, options: &str| {
        [
            "-drive".to_owned(),
            format!("file={},format=raw,if=none,id={name},{options}", file.display()),
            "-device".to_owned(),
            format!("virtio-blk-pci,drive={name}"),
        ]
    };
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-accel", "tcg,thread=multi", "-smp", "2", "-cpu", "max", "-m", "1536"]);
    qemu.args(["-nodefaults", "-no-reboot", "-display", "none"]);
    qemu.arg("-kernel").arg(image.kernel()).arg("-initrd").arg(image.initramfs()).args(["-append", &kernel]);
    qemu.arg("-serial").arg(format!("file:{}", console.display()));
    qemu.args(["-chardev", "stdio,id=out,signal=off", "-serial", "chardev:out"]);
    qemu.args(drive(&image.disk(), "root", "snapshot=on,cache=unsafe"));
    qemu.args(drive(archive, "job", "readonly=on"));
    qemu.args(["-object", "rng-random,filename=/dev/urandom,id=rng", "-device", "virtio-rng-pci,rng=rng"]);
    qemu
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tsc_frequency_of_a_virtual_machine_only() {
        let cpuinfo = |flags| format!("processor\t: 0\ncpu MHz\t\t: 2100.250\nflags\t\t: fpu {flags} tsc\n");
        assert_eq!(parse_tsc_khz(&cpuinfo("hypervisor")), Some(2_100_250));
        assert_eq!(parse_tsc_khz(&cpuinfo("vme")), None);
        assert_eq!(parse_tsc_khz(""), None);
    }
}
