//! What has to be written to take a write back: from what the file says before. Pure.
//!
//! Most files hold one value. Some hold a line for each device or resource, of which one is written (kernel,
//! `cgroup-v2.rst`, Interface Files); without a line the kernel's default counts, which has a word in each of them.

/// The value that takes back the writing of `value` into the file `name`, which says `old` now. `None` where nothing can.
pub(super) fn previous_value(name: &str, old: &str, value: &str) -> Option<String> {
    let key = value.split_whitespace().next().unwrap_or_default();
    let line = || old.lines().find(|line| line.split_whitespace().next() == Some(key)).map(str::to_owned);
    let or = |default: String| Some(line().unwrap_or(default));
    match name {
        "io.max" => or(format!("{key} rbps=max wbps=max riops=max wiops=max")),
        "rdma.max" => or(format!("{key} hca_handle=max hca_object=max")),
        "misc.max" => or(format!("{key} max")),
        "io.latency" => or(format!("{key} target=0")),
        "net_prio.ifpriomap" => or(format!("{key} 0")),
        "io.weight" | "io.bfq.weight" if value.contains(' ') => or(format!("{key} default")),
        "io.weight" | "io.bfq.weight" => {
            Some(old.lines().find_map(|line| line.strip_prefix("default ")).unwrap_or(old.trim()).to_owned())
        }
        "blkio.weight_device" | "blkio.bfq.weight_device" | "blkio.leaf_weight_device" => {
            or(format!("{key} default"))
        }
        _ if name.starts_with("blkio.throttle.") => or(format!("{key} 0")),
        // v1: the value is in the first line, after its name.
        "memory.oom_control" => {
            old.lines().next().and_then(|line| line.split_whitespace().nth(1)).map(str::to_owned)
        }
        // An idle cgroup says 0, which can't be written; its weight comes back with cpu.idle.
        "cpu.weight" if old.trim() == "0" => None,
        _ => {
            let old = old.trim_end();
            // Anything else with several lines is nothing that we know how to write.
            (!old.is_empty() && !old.contains('\n')).then(|| old.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn previous_value_table() {
        let of = |name, old, value| previous_value(name, old, value);
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of("memory.max", "max\n", "1048576"), some("max"));
        assert_eq!(of("cpu.max", "max 100000\n", "5000 10000"), some("max 100000"));
        let throttles = "8:0 rbps=max wbps=1024 riops=max wiops=max\n";
        assert_eq!(of("io.max", throttles, "8:0 rbps=5"), some(throttles.trim_end()));
        assert_eq!(
            of("io.max", throttles, "8:16 rbps=5"),
            some("8:16 rbps=max wbps=max riops=max wiops=max")
        );
        assert_eq!(of("io.weight", "default 100\n8:0 50\n", "200"), some("100"));
        assert_eq!(of("io.weight", "default 100\n8:0 50\n", "8:0 200"), some("8:0 50"));
        assert_eq!(of("io.bfq.weight", "default 100\n", "8:0 200"), some("8:0 default"));
        assert_eq!(of("blkio.bfq.weight", "100\n", "200"), some("100"));
        let file = "blkio.throttle.read_bps_device";
        assert_eq!(of(file, "8:0 1024\n", "8:0 5"), some("8:0 1024"));
        assert_eq!(of(file, "", "8:0 5"), some("8:0 0"));
        let oom = "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n";
        assert_eq!(of("memory.oom_control", oom, "1"), some("0"));
        assert_eq!(of("net_prio.ifpriomap", "lo 3\neth0 0\n", "lo 5"), some("lo 3"));
        assert_eq!(of("rdma.max", "", "mlx hca_handle=2"), some("mlx hca_handle=max hca_object=max"));
        assert_eq!(of("cpu.weight", "0\n", "100"), None);
        assert_eq!(of("cpu.idle", "1\n", "0"), some("1"));
        assert_eq!(of("memory.high", "", "5"), None);
    }
}
