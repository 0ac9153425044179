//! What the config says of the process's scheduling, memory policy and limits, seen from inside or by the kernel's files.

use std::fs;

use runtime_tests::{Bundle, Case, Container, Skip, Test, Verdict};
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Case> {
    let case = |name: &str, run: fn(&Test) -> Verdict| Case::new(format!("fields::{name}"), run);
    // runc 1.1 and crun 1.8 leave these fields out without a word.
    let ours = |name: &str, run: fn(&Test) -> Verdict| case(name, run).only_ours();
    vec![
        ours("scheduler_fifo_and_its_priority", scheduler_fifo_and_its_priority),
        ours("scheduler_round_robin_resets_on_fork", scheduler_round_robin_resets_on_fork),
        ours("scheduler_idle", scheduler_idle),
        ours("scheduler_other_and_nice", scheduler_other_and_nice),
        ours("scheduler_deadline_and_its_times", scheduler_deadline_and_its_times),
        ours("scheduler_flags_of_a_deadline", scheduler_flags_of_a_deadline),
        ours("scheduler_flags_that_keep_what_is", scheduler_flags_that_keep_what_is),
        ours("scheduler_flags_of_clamps_are_the_kernels_to_take", scheduler_flags_of_clamps),
        ours("scheduler_mistakes_are_refused", scheduler_mistakes_are_refused),
        ours("io_priority_of_each_class", io_priority_of_each_class),
        ours("io_priority_mistakes_are_refused", io_priority_mistakes_are_refused),
        ours("memory_policy_of_each_mode", memory_policy_of_each_mode),
        ours("memory_policy_flags", memory_policy_flags),
        ours("memory_policy_of_an_executed_process", memory_policy_of_an_executed_process),
        ours("memory_policy_mistakes_are_refused", memory_policy_mistakes_are_refused),
        ours("personality_linux_over_the_callers", personality_linux_over_the_callers),
        ours("personality_flags_are_refused", personality_flags_are_refused),
        ours("time_offsets_may_be_negative", time_offsets_may_be_negative),
        case("rlimits_of_every_type", rlimits_of_every_type),
    ]
}

/// A container that stays, on a scheduler.
fn scheduled<'t>(t: &'t Test, scheduler: Value) -> Container<'t> {
    let b = t.bundle();
    b.stays().set("/process/scheduler", scheduler);
    t.start(&b)
}

/// Time for real-time tasks, where a v1 cgroup has none unless it is given some.
fn give_real_time(t: &Test, b: &Bundle) -> Result<(), Skip> {
    if t.cgroups().groups_real_time()? {
        b.set("/linux/resources/cpu", json!({"realtimePeriod": 1_000_000, "realtimeRuntime": 10_000}));
    }
    Ok(())
}

/// A field of `/proc/PID/sched`.
fn sched(c: &Container<'_>, name: &str) -> String {
    let text = c.proc("sched");
    let line = text.lines().find(|line| line.split([' ', ':']).next() == Some(name));
    line.and_then(|line| line.rsplit_once(':')).map(|(_, value)| value.trim().to_owned()).expect(name)
}

fn nice(c: &Container<'_>) -> String {
    let stat = c.proc("stat");
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    fields.split(' ').nth(16).unwrap().to_owned()
}

fn scheduler_fifo_and_its_priority(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().set("/process/scheduler", json!({"policy": "SCHED_FIFO", "priority": 7}));
    give_real_time(t, &b)?;
    let c = t.start(&b);
    // The kernel's priorities of real-time tasks: 99 less the one asked for.
    assert_eq!((&*sched(&c, "policy"), &*sched(&c, "prio")), ("1", "92"));
    Ok(())
}

fn scheduler_round_robin_resets_on_fork(t: &Test) -> Verdict {
    let flags = json!(["SCHED_FLAG_RESET_ON_FORK"]);
    let b = t.bundle();
    let mut done = b.writable().fifo("/done");
    b.sh("sleep 1000 & grep -E '^(policy|prio) ' /proc/$!/sched | tr -d ' ' | xargs echo >/done; wait");
    b.set("/process/scheduler", json!({"policy": "SCHED_RR", "priority": 1, "flags": flags}));
    give_real_time(t, &b)?;
    let c = t.start(&b);
    assert_eq!(done.line().trim(), "policy:0 prio:120");
    assert_eq!((&*sched(&c, "policy"), &*sched(&c, "prio")), ("2", "98"));
    Ok(())
}

fn scheduler_idle(t: &Test) -> Verdict {
    let c = scheduled(t, json!({"policy": "SCHED_IDLE"}));
    assert_eq!(sched(&c, "policy"), "5");
    Ok(())
}

fn scheduler_other_and_nice(t: &Test) -> Verdict {
    for value in [-5, 9] {
        let c = scheduled(t, json!({"policy": "SCHED_OTHER", "nice": value}));
        assert_eq!((&*sched(&c, "policy"), nice(&c)), ("0", value.to_string()));
    }
    Ok(())
}

fn scheduler_deadline_and_its_times(t: &Test) -> Verdict {
    let times = json!({"policy": "SCHED_DEADLINE", "runtime": 1_000_000, "deadline": 20_000_000,
        "period": 30_000_000, "flags": ["SCHED_FLAG_RECLAIM", "SCHED_FLAG_DL_OVERRUN"]});
    t.needs_program("chrt")?;
    let c = scheduled(t, times);
    assert_eq!(sched(&c, "policy"), "6");
    let output = std::process::Command::new("chrt").args(["-p", &c.pid().to_string()]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("1000000/20000000/30000000"), "{text}");
    Ok(())
}

fn scheduler_flags_of_a_deadline(t: &Test) -> Verdict {
    // `linux/sched.h`
    const RECLAIM: u64 = 0x02;
    const DL_OVERRUN: u64 = 0x04;
    for (flags, expected) in [
        (json!([]), 0),
        (json!(["SCHED_FLAG_RECLAIM"]), RECLAIM),
        (json!(["SCHED_FLAG_DL_OVERRUN"]), DL_OVERRUN),
        (json!(["SCHED_FLAG_RECLAIM", "SCHED_FLAG_DL_OVERRUN"]), RECLAIM | DL_OVERRUN),
    ] {
        let c = scheduled(
            t,
            json!({"policy": "SCHED_DEADLINE", "runtime": 1_000_000, "deadline": 20_000_000,
                "period": 30_000_000, "flags": flags}),
        );
        let found = runtime_tests::sys::scheduler_flags(c.pid()).unwrap();
        assert_eq!(found & (RECLAIM | DL_OVERRUN), expected, "{flags}");
        // The kernel admits only so much of it at a time.
        c.delete_force().ok();
    }
    Ok(())
}

/// Whatever policy and parameters are given beside them.
fn scheduler_flags_that_keep_what_is(t: &Test) -> Verdict {
    let batch = |flags: Value| {
        let c = scheduled(t, json!({"policy": "SCHED_BATCH", "nice": 5, "flags": flags}));
        (sched(&c, "policy"), nice(&c))
    };
    let own = nice(&scheduled(t, json!({"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_KEEP_PARAMS"]})));
    let found = |policy: &str, nice: &str| (policy.to_owned(), nice.to_owned());
    assert_eq!(batch(json!([])), found("3", "5"));
    assert_eq!(batch(json!(["SCHED_FLAG_KEEP_POLICY"])), found("0", "5"));
    // Linux sets a policy of the same class with the parameters, or not at all.
    let (policy, nice) = batch(json!(["SCHED_FLAG_KEEP_PARAMS"]));
    assert!(["0", "3"].contains(&&*policy) && nice == own, "{policy} {nice}");
    Ok(())
}

/// A kernel without clamps (`CONFIG_UCLAMP_TASK`) refuses them, and that is said.
fn scheduler_flags_of_clamps(t: &Test) -> Verdict {
    for flag in ["SCHED_FLAG_UTIL_CLAMP_MIN", "SCHED_FLAG_UTIL_CLAMP_MAX"] {
        let b = t.bundle();
        b.args(&["true"]).set("/process/scheduler", json!({"policy": "SCHED_OTHER", "flags": [flag]}));
        let output = t.run(&b).output();
        if !output.status.success() {
            let _ = output.fails().says("/process/scheduler").says("sched_setattr");
        }
    }
    Ok(())
}

/// A bundle with one field set, which `create` refuses, naming it.
#[track_caller]
fn refused(t: &Test, pointer: &str, value: Value, named: &str) {
    let b = t.bundle();
    b.set(pointer, value);
    let _ = t.create_fails(&b).says(named);
}

fn scheduler_mistakes_are_refused(t: &Test) -> Verdict {
    for (scheduler, named) in [
        (json!({"policy": "SCHED_NO"}), "/process/scheduler/policy"),
        (json!({"nice": 1}), "/process/scheduler/policy"),
        (json!({"policy": "SCHED_FIFO"}), "/process/scheduler/priority"),
        (json!({"policy": "SCHED_OTHER", "priority": 1}), "/process/scheduler/priority"),
        (json!({"policy": "SCHED_OTHER", "nice": 20}), "/process/scheduler/nice"),
        (json!({"policy": "SCHED_OTHER", "runtime": 5}), "/process/scheduler/runtime"),
        (json!({"policy": "SCHED_DEADLINE", "runtime": 9, "deadline": 8}), "/process/scheduler"),
        (json!({"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_NO"]}), "/process/scheduler/flags/0"),
    ] {
        refused(t, "/process/scheduler", scheduler, named);
    }
    // Only one that the kernel does not have (any more).
    refused(t, "/process/scheduler", json!({"policy": "SCHED_ISO"}), "/process/scheduler");
    Ok(())
}

fn io_priority_of_each_class(t: &Test) -> Verdict {
    for (class, priority, expected) in [
        ("IOPRIO_CLASS_RT", 2, "realtime: prio 2"),
        ("IOPRIO_CLASS_BE", 0, "best-effort: prio 0"),
        ("IOPRIO_CLASS_IDLE", 7, "idle"),
    ] {
        let b = t.bundle();
        b.set("/process/ioPriority", json!({"class": class, "priority": priority}));
        // Also of what it makes.
        let output = t.output_of(&b, "ionice -p 1; sleep 1000 & ionice -p $!; kill $!");
        assert!(output.lines().iter().all(|line| line.starts_with(expected)), "{class}: {output}");
        assert_eq!(output.lines().len(), 2, "{output}");
    }
    Ok(())
}

fn io_priority_mistakes_are_refused(t: &Test) -> Verdict {
    for (priority, named) in [
        (json!({"class": "IOPRIO_CLASS_NO", "priority": 1}), "/process/ioPriority/class"),
        (json!({"class": "IOPRIO_CLASS_BE", "priority": 8}), "/process/ioPriority/priority"),
        (json!({"class": "IOPRIO_CLASS_BE", "priority": -1}), "/process/ioPriority/priority"),
        (json!({"class": "IOPRIO_CLASS_BE"}), "/process/ioPriority/priority"),
    ] {
        refused(t, "/process/ioPriority", priority, named);
    }
    Ok(())
}

/// Goes on only where the kernel has memory policies, and shows them.
fn needs_numa() -> Result<(), Skip> {
    if fs::exists("/proc/self/numa_maps").unwrap_or(false) {
        Ok(())
    } else {
        Err(Skip::new("the kernel has no memory policies (CONFIG_NUMA)"))
    }
}

/// The policy of the first mapping, as the process sees it: that of the process.
const POLICY: &str = "head -n 1 /proc/self/numa_maps | sed 's/^[0-9a-f]* //;s/ \\(file\\|anon\\|mapped\\|kernelpagesize\\).*//'";

fn policy_of(t: &Test, policy: Value) -> String {
    let b = t.bundle();
    b.set("/linux/memoryPolicy", policy);
    t.output_of(&b, POLICY).text().to_owned()
}

fn memory_policy_of_each_mode(t: &Test) -> Verdict {
    needs_numa()?;
    for (policy, expected) in [
        (json!({"mode": "MPOL_DEFAULT"}), "default"),
        (json!({"mode": "MPOL_BIND", "nodes": "0"}), "bind:0"),
        (json!({"mode": "MPOL_INTERLEAVE", "nodes": "0"}), "interleave:0"),
        (json!({"mode": "MPOL_PREFERRED", "nodes": "0"}), "prefer:0"),
        (json!({"mode": "MPOL_LOCAL"}), "local"),
    ] {
        assert_eq!(policy_of(t, policy.clone()), expected, "{policy}");
    }
    // Linux 5.15 and 6.9.
    for (policy, expected) in [
        (json!({"mode": "MPOL_PREFERRED_MANY", "nodes": "0"}), "prefer (many):0"),
        (json!({"mode": "MPOL_WEIGHTED_INTERLEAVE", "nodes": "0"}), "weighted interleave:0"),
    ] {
        let b = t.bundle();
        b.set("/linux/memoryPolicy", policy).sh(POLICY);
        let output = t.run(&b).output();
        if output.status.success() {
            assert_eq!(output.text(), expected);
        } else {
            let _ = output.fails().says("set_mempolicy").says("/linux/memoryPolicy");
        }
    }
    Ok(())
}

fn memory_policy_flags(t: &Test) -> Verdict {
    needs_numa()?;
    for (flag, expected) in
        [("MPOL_F_STATIC_NODES", "bind=static:0"), ("MPOL_F_RELATIVE_NODES", "bind=relative:0")]
    {
        let policy = json!({"mode": "MPOL_BIND", "nodes": "0-0", "flags": [flag]});
        assert_eq!(policy_of(t, policy), expected);
    }
    // Shown since Linux 6.11, done before.
    let policy = json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_NUMA_BALANCING"]});
    let balancing = policy_of(t, policy);
    assert!(["bind:0", "bind=balancing:0"].contains(&&*balancing), "{balancing}");
    Ok(())
}

fn memory_policy_of_an_executed_process(t: &Test) -> Verdict {
    needs_numa()?;
    let b = t.bundle();
    b.stays().set("/linux/memoryPolicy", json!({"mode": "MPOL_INTERLEAVE", "nodes": "0"}));
    let c = t.start(&b);
    assert_eq!(c.call(&["exec"]).args(["sh", "-c", POLICY]).ok().text(), "interleave:0");
    Ok(())
}

fn memory_policy_mistakes_are_refused(t: &Test) -> Verdict {
    for (policy, named) in [
        (json!({"mode": "MPOL_NO"}), "/linux/memoryPolicy/mode"),
        (json!({"nodes": "0"}), "/linux/memoryPolicy/mode"),
        (json!({"mode": "MPOL_BIND"}), "/linux/memoryPolicy/nodes"),
        (json!({"mode": "MPOL_LOCAL", "nodes": "0"}), "/linux/memoryPolicy/nodes"),
        (json!({"mode": "MPOL_BIND", "nodes": "0-"}), "/linux/memoryPolicy/nodes"),
        (json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_NO"]}), "/linux/memoryPolicy/flags/0"),
    ] {
        refused(t, "/linux/memoryPolicy", policy, named);
    }
    let b = t.bundle();
    b.set("/linux/memoryPolicy", json!({}));
    let _ = t.create_fails(&b).says("invalid memory policy mode");
    needs_numa()?;
    // A node that the machine does not have.
    let b = t.bundle();
    b.set("/linux/memoryPolicy", json!({"mode": "MPOL_BIND", "nodes": "1000"}));
    let _ = t.create_fails(&b).says("/linux/memoryPolicy").says("set_mempolicy");
    Ok(())
}

fn personality_linux_over_the_callers(t: &Test) -> Verdict {
    t.needs_program("setarch")?;
    let b = t.sh("uname -m");
    b.set("/linux/personality", json!({"domain": "LINUX"}));
    let text = t.run(&b).through(["setarch", "linux32"]).ok().text().to_owned();
    assert_eq!(text, std::env::consts::ARCH);
    Ok(())
}

fn personality_flags_are_refused(t: &Test) -> Verdict {
    let pointer = "/linux/personality";
    refused(
        t,
        pointer,
        json!({"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"]}),
        "/linux/personality/flags",
    );
    refused(t, pointer, json!({"domain": "SVR4"}), "/linux/personality/domain");
    refused(t, pointer, json!({}), "/linux/personality/domain");
    Ok(())
}

fn time_offsets_may_be_negative(t: &Test) -> Verdict {
    let b = t.bundle();
    b.namespace("time", None).set(
        "/linux/timeOffsets",
        json!({"boottime": {"secs": -1, "nanosecs": 250}, "monotonic": {"secs": -2}}),
    );
    let output = t.output_of(&b, "cat /proc/self/timens_offsets");
    let words: Vec<_> = output.stdout.split_whitespace().collect();
    assert_eq!(words, ["monotonic", "-2", "0", "boottime", "-1", "250"], "{output}");
    // Before the machine was started there was no time.
    let b: Bundle = t.bundle();
    b.namespace("time", None).set("/linux/timeOffsets", json!({"boottime": {"secs": -2_000_000_000}}));
    let _ = t.create_fails(&b).says("/linux/timeOffsets");
    Ok(())
}

/// Each type, what it is called in `/proc/PID/limits`, and a value below what hosts allow.
const LIMITS: [(&str, &str, u64); 16] = [
    ("RLIMIT_AS", "Max address space", 1 << 40),
    ("RLIMIT_CORE", "Max core file size", 0),
    ("RLIMIT_CPU", "Max cpu time", 1000),
    ("RLIMIT_DATA", "Max data size", 1 << 39),
    ("RLIMIT_FSIZE", "Max file size", 1 << 30),
    ("RLIMIT_LOCKS", "Max file locks", 10),
    ("RLIMIT_MEMLOCK", "Max locked memory", 8192),
    ("RLIMIT_MSGQUEUE", "Max msgqueue size", 1000),
    ("RLIMIT_NICE", "Max nice priority", 0),
    ("RLIMIT_NOFILE", "Max open files", 90),
    ("RLIMIT_NPROC", "Max processes", 400),
    ("RLIMIT_RSS", "Max resident set", 1 << 38),
    ("RLIMIT_RTPRIO", "Max realtime priority", 0),
    ("RLIMIT_RTTIME", "Max realtime timeout", 100_000),
    ("RLIMIT_SIGPENDING", "Max pending signals", 77),
    ("RLIMIT_STACK", "Max stack size", 4 << 20),
];

fn rlimits_of_every_type(t: &Test) -> Verdict {
    let b = t.bundle();
    let one = |(name, _, value): &(&str, &str, u64)| json!({"type": name, "soft": value, "hard": value});
    b.set("/process/rlimits", LIMITS.iter().map(one).collect::<Vec<_>>());
    let output = t.output_of(&b, "cat /proc/self/limits");
    for (name, title, value) in LIMITS {
        let line = output.stdout.lines().find(|line| line.starts_with(title)).expect(title);
        let fields: Vec<_> = line[title.len()..].split_whitespace().take(2).collect();
        assert_eq!(fields, [value.to_string(), value.to_string()], "{name}");
    }
    Ok(())
}
