//! Files of the kernel that parsers read: mountinfo, status, cgroup files. A container names mounts and cgroups in them.

use sandbox::cgroup::{BlockIoEntry, Hierarchies, Pressure, PressureLine};
use sandbox::host::HostFacts;

/// The forms of cgroup files, which the library doesn't show.
#[path = "../../../sandbox/src/cgroup/stats/parse.rs"]
#[allow(dead_code, reason = "its tests are the library's")]
mod parse;

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "24 18 0:21 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
         25 24 0:22 / /sys/fs/cgroup/unified rw,relatime shared:8 - cgroup2 cgroup2 rw\n\
         26 24 0:23 /a\\040b /sys/fs/cgroup/memory rw,relatime master:1 - cgroup cgroup rw,memory\n\
         27 24 0:24 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
         ---\n0::/own\n2:memory:/own\n1:name=systemd:/\n",
        "Name:\tx\nSigIgn:\t0000000000001000\nCapBnd:\t000001ffffffffff\nCapPrm:\t0\n---\n0 0 4294967295\n",
        "some avg10=0.91 avg60=0.56 avg300=0.54 total=103475982\nfull avg10=0 avg60=0 avg300=0 total=5\n---\n0-3,7,65535-0\n",
        "8:0 Read 4096\n8:0 Total 4096\nTotal 4096\ncache 5\nrss max\n---\nmax\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

/// Two files, with a line of dashes between them.
pub(super) fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (first, second) = text.split_once("---\n").unwrap_or((&text, ""));
    for own in [None, Some(second)] {
        let hierarchies = Hierarchies::parse(first, own);
        let _ = hierarchies.mode();
        let paths = hierarchies.v1.iter().filter_map(|hierarchy| hierarchy.own_path.as_ref());
        let paths = paths.chain(hierarchies.v2.iter().filter_map(|hierarchy| hierarchy.own_path.as_ref()));
        paths.for_each(|path| assert!(path.starts_with('/'), "{path:?}"));
    }
    let _ = HostFacts::parse_status(first);
    let _ = parse::number(second);
    let _ = parse::table(first);
    let _ = parse::numbers(first);
    let _ = parse::pressure(first);
    let _ = parse::block_io(first);
    assert!(parse::list(second).len() <= 1 << 14);
}
