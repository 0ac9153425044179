//! Random configurations: what both this crate and `oci-spec` accept means the same, and what is written is read back.

use oci_spec::runtime::Spec;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};
use spec::{Config, parse_config};

/// An object of the fields that are there.
fn object(fields: Vec<(&'static str, Option<Value>)>) -> Value {
    let there = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(there.collect::<Map<_, _>>())
}

/// A value of any type as JSON.
fn value<T: Into<Value> + std::fmt::Debug>(
    strategy: impl Strategy<Value = T>,
) -> impl Strategy<Value = Value> {
    strategy.prop_map(Into::into)
}

fn name() -> impl Strategy<Value = String> + Clone {
    "[a-z][a-zA-Z0-9_.-]{0,9}"
}

fn path() -> impl Strategy<Value = String> + Clone {
    "(/[a-z0-9.]{1,5}){1,4}"
}

fn mappings() -> BoxedStrategy<Value> {
    (0..3_u32, 1..5_u32)
        .prop_map(|(count, size)| {
            let mapping = |n| json!({"containerID": n * size, "hostID": 100_000 + n * size, "size": size});
            (0..count).map(mapping).collect()
        })
        .boxed()
}

fn capabilities() -> BoxedStrategy<Value> {
    let names =
        ["CAP_CHOWN", "CAP_KILL", "CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_BPF", "CAP_CHECKPOINT_RESTORE"];
    let set = || of(subsequence(names.to_vec(), 0..=names.len()).prop_map(|names| json!(names)));
    (set(), set(), set(), set(), set())
        .prop_map(|(bounding, effective, inheritable, permitted, ambient)| {
            object(vec![
                ("bounding", bounding),
                ("effective", effective),
                ("inheritable", inheritable),
                ("permitted", permitted),
                ("ambient", ambient),
            ])
        })
        .boxed()
}

fn rlimits() -> BoxedStrategy<Value> {
    let types = ["RLIMIT_NOFILE", "RLIMIT_CORE", "RLIMIT_NPROC", "RLIMIT_RTTIME"];
    subsequence(types.to_vec(), 0..=types.len())
        .prop_flat_map(|types| {
            types.into_iter().map(|it| (Just(it), 0..9_u64, any::<u64>())).collect::<Vec<_>>()
        })
        .prop_map(|limits| {
            let limit = |(resource, soft, hard)| json!({"type": resource, "soft": soft, "hard": hard});
            limits.into_iter().map(limit).collect()
        })
        .boxed()
}

fn scheduler() -> BoxedStrategy<Value> {
    prop_oneof![
        (1..=99_i32).prop_map(|priority| json!({"policy": "SCHED_FIFO", "priority": priority})),
        (-20..=19_i32).prop_map(|nice| json!({"policy": "SCHED_BATCH", "nice": nice})),
        Just(json!({"policy": "SCHED_DEADLINE", "runtime": 5000, "deadline": 6000, "period": 7000})),
        Just(json!({"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM"]})),
    ]
    .boxed()
}

fn process() -> BoxedStrategy<Value> {
    let user = (0..3_u32, 0..3_u32, of(0..0o777_u32), of(vec(0..9_u32, 0..3))).prop_map(
        |(uid, gid, umask, gids)| {
            object(vec![
                ("uid", Some(json!(uid))),
                ("gid", Some(json!(gid))),
                ("umask", umask.map(Into::into)),
                ("additionalGids", gids.map(Into::into)),
            ])
        },
    );
    let io_priority = (select(vec!["IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"]), 0..8_u8)
        .prop_map(|(class, priority)| json!({"class": class, "priority": priority}));
    let first = (
        of(any::<bool>()),
        of((0..500_u16, 0..500_u16).prop_map(|(height, width)| json!({"height": height, "width": width}))),
        user,
        vec(".{0,9}", 1..4),
        of(vec("[A-Z]{1,5}=.{0,5}", 0..4)),
        path(),
    );
    let second = (
        of(capabilities()),
        of(rlimits()),
        of(any::<bool>()),
        of(-1000..=1000_i32),
        of(name()),
        of(name()),
        of(scheduler()),
        of(io_priority),
        of(select(vec!["0", "0-3,7", ""])),
    );
    (first, second)
        .prop_map(
            |(
                (terminal, size, user, args, env, cwd),
                (caps, rlimits, nnp, oom, apparmor, selinux, sched, io, cpus),
            )| {
                let args: Vec<String> = args.into_iter().map(|arg| arg.replace('\0', "0")).collect();
                let env: Option<Vec<String>> =
                    env.map(|env| env.into_iter().map(|entry| entry.replace('\0', "0")).collect());
                object(vec![
                    ("terminal", terminal.map(Into::into)),
                    ("consoleSize", size),
                    ("user", Some(user)),
                    ("args", Some(args.into())),
                    ("env", env.map(Into::into)),
                    ("cwd", Some(cwd.into())),
                    ("capabilities", caps),
                    ("rlimits", rlimits),
                    ("noNewPrivileges", nnp.map(Into::into)),
                    ("oomScoreAdj", oom.map(Into::into)),
                    ("apparmorProfile", apparmor.map(Into::into)),
                    ("selinuxLabel", selinux.map(Into::into)),
                    ("scheduler", sched),
                    ("ioPriority", io),
                    ("execCPUAffinity", cpus.map(|cpus| json!({"initial": cpus}))),
                ])
            },
        )
        .boxed()
}

fn mount() -> BoxedStrategy<Value> {
    let options: Vec<&str> = spec::mount_options()
        .filter(|option| !option.ends_with("idmap") && *option != "tmpcopyup")
        .chain(["mode=755", "size=1m,nr_inodes=5", "newinstance", "context=\"a:b,c\"", "x-a", ""])
        .collect();
    let mappings = of(mappings());
    (
        path(),
        select(vec!["tmpfs", "proc", "cgroup", "bind", "none"]),
        of(path()),
        vec(select(options), 0..8),
        mappings,
    )
        .prop_map(|(destination, fstype, source, options, mappings)| {
            object(vec![
                ("destination", Some(destination.into())),
                ("type", Some(fstype.into())),
                ("source", source.map(Into::into)),
                ("options", Some(options.into())),
                ("uidMappings", mappings.clone()),
                ("gidMappings", mappings),
            ])
        })
        .boxed()
}

fn hooks() -> BoxedStrategy<Value> {
    let hook = (path(), of(vec(name(), 0..3)), of(vec("[A-Z]=[a-z]", 0..2)), of(1..99_i64)).prop_map(
        |(path, args, env, timeout)| {
            object(vec![
                ("path", Some(path.into())),
                ("args", args.map(Into::into)),
                ("env", env.map(Into::into)),
                ("timeout", timeout.map(Into::into)),
            ])
        },
    );
    let point = || of(vec(hook.clone(), 0..2).prop_map(Value::from));
    (point(), point(), point(), point(), point(), point())
        .prop_map(|(a, b, c, d, e, f)| {
            object(vec![
                ("prestart", a),
                ("createRuntime", b),
                ("createContainer", c),
                ("startContainer", d),
                ("poststart", e),
                ("poststop", f),
            ])
        })
        .boxed()
}

fn device_rule() -> BoxedStrategy<Value> {
    let number = || of(-1..200_i64);
    (any::<bool>(), of(select(vec!["a", "b", "c"])), number(), number(), of("r?w?m?"))
        .prop_map(|(allow, kind, major, minor, access)| {
            object(vec![
                ("allow", Some(allow.into())),
                ("type", kind.map(Into::into)),
                ("major", major.map(Into::into)),
                ("minor", minor.map(Into::into)),
                ("access", access.map(Into::into)),
            ])
        })
        .boxed()
}

fn limit() -> impl Strategy<Value = Option<Value>> {
    of(prop_oneof![Just(json!(-1)), Just(json!(0)), value(1..1_i64 << 40)])
}

fn resources() -> BoxedStrategy<Value> {
    let memory = (limit(), limit(), limit(), limit(), of(0..=100_u64), of(any::<bool>()), of(any::<bool>()))
        .prop_map(|(limit, reservation, swap, kernel, swappiness, oom, check)| {
            object(vec![
                ("limit", limit),
                ("reservation", reservation),
                ("swap", swap),
                ("kernelTCP", kernel),
                ("swappiness", swappiness.map(Into::into)),
                ("disableOOMKiller", oom.map(Into::into)),
                ("checkBeforeUpdate", check.map(Into::into)),
            ])
        });
    let cpu = (
        of(0..300_000_u64),
        of(select(vec![-1, 0, 1000, 50_000_i64])),
        of(select(vec![0, 1000, 100_000_u64])),
        of(select(vec!["0-3", "", "1"])),
        of(0..=1_i64),
    )
        .prop_map(|(shares, quota, period, cpus, idle)| {
            object(vec![
                ("shares", shares.map(Into::into)),
                ("quota", quota.map(Into::into)),
                ("period", period.map(Into::into)),
                ("cpus", cpus.map(Into::into)),
                ("idle", idle.map(Into::into)),
            ])
        });
    let block_io = (of(select(vec![0, 10, 500, 1000_u16])), of(any::<u64>())).prop_map(|(weight, rate)| {
        let throttle = rate.map(|rate| json!([{"major": 8, "minor": 16, "rate": rate}]));
        let device = weight.filter(|weight| *weight > 0);
        let device = device.map(|weight| json!([{"major": 8, "minor": 0, "weight": weight}]));
        object(vec![
            ("weight", weight.map(Into::into)),
            ("weightDevice", device),
            ("throttleWriteBpsDevice", throttle.clone()),
            ("throttleReadIOPSDevice", throttle),
        ])
    });
    (
        of(vec(device_rule(), 0..3).prop_map(Value::from)),
        of(memory),
        of(cpu),
        limit(),
        of(block_io),
        of((0..1_i64 << 40).prop_map(|limit| json!([{"pageSize": "2MB", "limit": limit}]))),
        of(any::<u32>()
            .prop_map(|id| json!({"classID": id, "priorities": [{"name": "eth0", "priority": id}]}))),
        of(any::<u32>().prop_map(|handles| json!({"mlx5_1": {"hcaHandles": handles}}))),
        of("[0-9a-z ]{0,9}".prop_map(|text| json!({"memory.high": text}))),
    )
        .prop_map(|(devices, memory, cpu, pids, block_io, hugepages, network, rdma, unified)| {
            object(vec![
                ("devices", devices),
                ("memory", memory),
                ("cpu", cpu),
                // `pids` without a limit is the limit 0 to oci-spec; ours is the spec's: none.
                ("pids", pids.map(|limit| json!({"limit": limit}))),
                ("blockIO", block_io),
                ("hugepageLimits", hugepages),
                ("network", network),
                ("rdma", rdma),
                ("unified", unified),
            ])
        })
        .boxed()
}

fn seccomp() -> BoxedStrategy<Value> {
    let action = || {
        let plain =
            ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"];
        prop_oneof![
            select(plain.to_vec()).prop_map(|action| (action, None)),
            (select(vec!["SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"]), of(0..4096_u32)),
        ]
    };
    let operators = spec::config::Comparison::NAMES.to_vec();
    let condition =
        (0..6_u8, any::<u64>(), of(any::<u64>()), select(operators)).prop_map(|(index, value, two, op)| {
            object(vec![
                ("index", Some(index.into())),
                ("value", Some(value.into())),
                ("valueTwo", two.map(Into::into)),
                ("op", Some(op.into())),
            ])
        });
    let rule =
        (vec(name(), 1..4), action(), of(vec(condition, 0..3))).prop_map(|(names, (action, errno), args)| {
            object(vec![
                ("names", Some(names.into())),
                ("action", Some(action.into())),
                ("errnoRet", errno.map(Into::into)),
                ("args", args.map(Into::into)),
            ])
        });
    let architectures =
        of(subsequence(vec!["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64", "SCMP_ARCH_S390X"], 0..3));
    let flags = of(subsequence(vec!["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"], 0..2));
    (action(), architectures, flags, of(vec(rule, 0..4)))
        .prop_map(|((default, errno), architectures, flags, rules)| {
            object(vec![
                ("defaultAction", Some(default.into())),
                ("defaultErrnoRet", errno.map(Into::into)),
                ("architectures", architectures.map(Into::into)),
                ("flags", flags.map(Into::into)),
                ("syscalls", rules.map(Into::into)),
            ])
        })
        .boxed()
}

fn linux() -> BoxedStrategy<Value> {
    let kinds = ["pid", "network", "mount", "ipc", "uts", "cgroup", "time"];
    let namespaces =
        (subsequence(kinds.to_vec(), 6..=7).prop_shuffle(), of(path())).prop_map(|(kinds, path)| {
            let mut entries: Vec<Value> = kinds.into_iter().map(|kind| json!({"type": kind})).collect();
            if let (Some(entry), Some(path)) = (entries.first_mut(), path) {
                entry["path"] = path.into();
            }
            Value::from(entries)
        });
    let device = (select(vec!["c", "b", "u", "p"]), path(), 0..256_i64, of(0..0o777_u32), of(0..9_u32))
        .prop_map(|(kind, path, number, mode, uid)| {
            object(vec![
                ("type", Some(kind.into())),
                ("path", Some(path.into())),
                ("major", Some(number.into())),
                ("minor", Some(number.into())),
                ("fileMode", mode.map(Into::into)),
                ("uid", uid.map(Into::into)),
            ])
        });
    let sysctl = of(select(vec![
        json!({"net.ipv4.ip_forward": "1"}),
        json!({"net/core/somaxconn": "5", "kernel.shmmax": "1"}),
        json!({"kernel.core_pattern": "x"}),
    ]));
    let rdt = of(select(vec![
        json!({}),
        json!({"closID": "a", "l3CacheSchema": "L3:0=f"}),
        json!({"memBwSchema": "MB:0=5"}),
    ]));
    let personality = of(select(vec![json!({"domain": "LINUX"}), json!({"domain": "LINUX32"})]));
    let propagation = of(select(vec!["private", "rslave", "shared", "runbindable", ""]));
    let paths = || of(vec(path(), 0..3));
    (
        (
            namespaces,
            of(vec(device, 0..3).prop_map(Value::from)),
            of(resources()),
            of(seccomp()),
            sysctl,
            rdt,
        ),
        (personality, propagation, paths(), paths(), of(name()), of("(/[a-z]{1,3}){0,3}")),
    )
        .prop_map(
            |(
                (namespaces, devices, resources, seccomp, sysctl, rdt),
                (personality, propagation, masked, readonly, label, cgroup),
            )| {
                object(vec![
                    ("namespaces", Some(namespaces)),
                    ("devices", devices),
                    ("resources", resources),
                    ("seccomp", seccomp),
                    ("sysctl", sysctl),
                    ("intelRdt", rdt),
                    ("personality", personality),
                    ("rootfsPropagation", propagation.map(Into::into)),
                    ("maskedPaths", masked.map(Into::into)),
                    ("readonlyPaths", readonly.map(Into::into)),
                    ("mountLabel", label.map(Into::into)),
                    ("cgroupsPath", cgroup.map(Into::into)),
                ])
            },
        )
        .boxed()
}

fn config() -> BoxedStrategy<Value> {
    let annotations = of(proptest::collection::btree_map("[a-z.]{1,9}", "[ -~]{0,9}", 0..4));
    let root = (of(any::<bool>()), path()).prop_map(|(readonly, path)| {
        object(vec![("path", Some(path.into())), ("readonly", readonly.map(Into::into))])
    });
    (
        of(process()),
        root,
        of(name()),
        of(vec(mount(), 0..4).prop_map(Value::from)),
        of(hooks()),
        annotations,
        proptest::option::weighted(0.9, linux()),
    )
        .prop_map(|(process, root, hostname, mounts, hooks, annotations, linux)| {
            object(vec![
                ("ociVersion", Some("1.2.0".into())),
                ("process", process),
                ("root", Some(root)),
                ("hostname", hostname.map(Into::into)),
                ("mounts", mounts),
                ("hooks", hooks),
                ("annotations", annotations.map(|annotations| json!(annotations))),
                ("linux", linux),
            ])
        })
        .boxed()
}

/// What can be compared without our parser: the meaning, read off the other crate's values.
fn assert_same(config: &Config, other: &Spec) {
    assert_eq!(config.root.path.as_path(), other.root().as_ref().expect("root").path().as_path());
    assert_eq!(config.hostname.as_deref(), other.hostname().as_deref());
    if let (Some(process), Some(theirs)) = (&config.process, other.process()) {
        let args: Vec<&str> = process.args.iter().map(|arg| &**arg).collect();
        assert_eq!(args, theirs.args().as_deref().unwrap_or_default());
        let env: Vec<&str> = process.env.iter().map(|entry| &**entry).collect();
        assert_eq!(env, theirs.env().as_deref().unwrap_or_default());
        assert_eq!(process.cwd.as_path(), theirs.cwd().as_path());
        assert_eq!(process.user.uid.get(), theirs.user().uid());
        assert_eq!(process.user.umask, theirs.user().umask().unwrap_or(0o022));
        assert_eq!(process.terminal.is_some(), theirs.terminal().unwrap_or(false));
        assert_eq!(process.no_new_privileges, theirs.no_new_privileges().unwrap_or(false));
        assert_eq!(process.oom_score_adj.map(i32::from), theirs.oom_score_adj());
        assert_eq!(process.rlimits.len(), theirs.rlimits().as_ref().map_or(0, Vec::len));
    }
    let mounts = other.mounts().as_deref().unwrap_or_default();
    assert_eq!(config.mounts.len(), mounts.len());
    for (ours, theirs) in config.mounts.iter().zip(mounts) {
        assert_eq!(ours.destination.as_path(), theirs.destination().as_path());
    }
    let Some(linux) = other.linux() else { return };
    let kinds = spec::config::NamespaceKind::ALL.into_iter();
    let namespaces = kinds.filter(|kind| config.linux.namespaces.get(*kind).is_some()).count();
    assert_eq!(namespaces, linux.namespaces().as_ref().map_or(0, Vec::len));
    assert_eq!(config.linux.masked_paths.len(), linux.masked_paths().as_ref().map_or(0, Vec::len));
    assert_eq!(config.linux.seccomp.is_some(), linux.seccomp().is_some());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn config_that_both_accept_means_the_same(document in config()) {
        let text = document.to_string();
        let (ours, theirs) = (parse_config(text.as_bytes()), serde_json::from_str::<Spec>(&text));
        if let (Ok(ours), Ok(theirs)) = (&ours, &theirs) {
            assert_same(&ours.config, theirs);
            let written = serde_json::to_vec(theirs).expect("it can be written");
            let through = parse_config(&written).map_err(|violations| TestCaseError::fail(violations.to_string()))?;
            prop_assert_eq!(&through.config, &ours.config);
        }
    }

    #[test]
    fn config_that_is_written_is_read_back(document in config()) {
        if let Ok(parsed) = parse_config(document.to_string().as_bytes()) {
            let written = parsed.config.to_json();
            let again = parse_config(written.as_bytes()).map_err(|violations| TestCaseError::fail(violations.to_string()))?;
            prop_assert_eq!(&again.config, &parsed.config);
            // And so is what oci-spec makes of it.
            if let Ok(theirs) = serde_json::from_str::<Spec>(&written) {
                let through = parse_config(&serde_json::to_vec(&theirs).expect("it can be written"));
                prop_assert_eq!(through.map(|through| through.config), Ok(parsed.config));
            }
        }
    }

    #[test]
    fn any_text_is_refused_or_read(text in any::<Vec<u8>>()) {
        let _ = parse_config(&text);
    }
}

/// The two properties above would hold for a parser that refuses everything.
#[test]
fn random_configs_are_mostly_accepted() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut ours, mut both) = (0, 0);
    for _ in 0..300 {
        let text = config().new_tree(&mut runner).expect("a value").current().to_string();
        if parse_config(text.as_bytes()).is_ok() {
            ours += 1;
            both += u32::from(serde_json::from_str::<Spec>(&text).is_ok());
        }
    }
    println!("accepted by this crate {ours}, by both {both} of 300");
    assert!(ours >= 100 && both >= 80, "accepted by this crate {ours}, by both {both} of 300");
}
