//! `events`: what a container uses, its moments out of memory, its end; and that `events`, `state`, `list` and `ps` print
//! what runc prints.

use std::fs::File;
use std::io::{PipeReader, Read as _};
use std::os::fd::OwnedFd;

use runtime_tests::command::Running;
use runtime_tests::test::TOKEN_VARIABLE;
use runtime_tests::wait::{DEADLINE, Process, readable};
use runtime_tests::{Bundle, Call, Case, Container, Lane, Test, Verdict, cases};
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Case> {
    let mut all = cases!["events":
        stats_have_what_is_used,
        stats_of_a_paused_container,
        stats_show_the_limits,
        stats_are_what_the_kernels_files_say,
        stream_repeats_and_ends_with_the_container,
        closed_pipe_ends_it,
        signal_ends_it,
        oom_is_told,
        oom_that_ends_the_container_is_told_before_its_end,
        stopped_container_fails,
        missing_container_fails,
        interval_that_is_none_fails,
    ];
    let shape = |name: &str, run: fn(&Test) -> Verdict| Case::new(format!("events::{name}"), run).only_ours();
    all.push(shape("stats_have_runcs_keys_in_runcs_order", stats_as_runc));
    all.push(shape("state_has_runcs_keys_in_runcs_order", state_as_runc));
    all.push(shape("interval_beyond_the_clock_is_none", interval_beyond_the_clock));
    all.push(shape("list_is_laid_out_as_runcs", list_as_runc));
    all.push(shape("ps_is_laid_out_as_runcs", ps_as_runc));
    all
}

fn running<'t>(t: &'t Test, resources: &Value) -> Container<'t> {
    let b = t.bundle();
    b.set("/linux/resources", resources.clone()).stays();
    t.start(&b)
}

fn stats(c: &Container<'_>) -> Value {
    let output = c.call(&["events", "--stats"]).ok();
    assert_eq!(output.stdout.lines().count(), 1, "{output}");
    let event = output.json();
    assert_eq!((&event["type"], &event["id"]), (&json!("stats"), &json!(c.id)));
    event["data"].clone()
}

fn stats_have_what_is_used(t: &Test) -> Verdict {
    let c = running(t, &json!({}));
    let stats = stats(&c);
    assert_eq!(stats["pids"]["current"], 1, "{stats}");
    assert!(stats["cpu"]["usage"]["total"].as_u64().unwrap() > 0, "{stats}");
    if t.cgroups().has("memory") {
        assert!(stats["memory"]["usage"]["usage"].as_u64().unwrap() > 0, "{stats}");
        assert!(stats["memory"]["raw"].as_object().unwrap().len() > 10, "{stats}");
    }
    assert_eq!((&stats["intel_rdt"], &stats["network_interfaces"]), (&json!({}), &Value::Null));
    Ok(())
}

fn stats_of_a_paused_container(t: &Test) -> Verdict {
    let c = running(t, &json!({}));
    c.call(&["pause"]).ok();
    assert_eq!(stats(&c)["pids"]["current"], 1);
    Ok(())
}

fn stats_show_the_limits(t: &Test) -> Verdict {
    for controller in ["memory", "pids", "cpu"] {
        t.needs_controller(controller)?;
    }
    let c = running(
        t,
        &json!({"memory": {"limit": 52_428_800}, "pids": {"limit": 30}, "cpu": {"quota": 20_000, "period": 50_000}}),
    );
    let stats = stats(&c);
    assert_eq!(stats["memory"]["usage"]["limit"], 52_428_800);
    assert_eq!(stats["pids"]["limit"], 30);
    Ok(())
}

/// Of each controller that is there, a number or two that stand still.
fn stats_are_what_the_kernels_files_say(t: &Test) -> Verdict {
    let mut resources = json!({});
    let has = |controller: &str| t.cgroups().has(controller);
    if has("memory") {
        resources["memory"] = json!({"limit": 52_428_800});
    }
    if has("pids") {
        resources["pids"] = json!({"limit": 30});
    }
    if has("cpuset") {
        resources["cpu"] = json!({"cpus": "0", "mems": "0"});
    }
    let c = running(t, &resources);
    c.call(&["pause"]).ok();
    let file = |controller: &str, v1: &str, v2: &str| {
        let directory = t.cgroups().directory_of(c.pid(), controller).unwrap();
        let name = if t.cgroups().uses_v2(controller) { v2 } else { v1 };
        runtime_tests::cgroup::read(&directory, name)
    };
    let number = |text: &str| text.parse::<u64>().unwrap();
    // What is used changes of itself, by what the kernel counts late: it is between before and afterwards.
    let used = || {
        let of =
            |controller: &str, v1: &str, v2: &str| has(controller).then(|| number(&file(controller, v1, v2)));
        let memory = of("memory", "memory.usage_in_bytes", "memory.current");
        (memory, of("cpuacct", "cpuacct.usage", "cpuacct.usage"))
    };
    let before = used();
    let stats = stats(&c);
    let after = used();
    let between = |value: &Value, before: Option<u64>, after: Option<u64>| {
        let (Some(before), Some(after)) = (before, after) else { return };
        let value = value.as_u64().unwrap();
        // A batch of pages for each processor.
        let slack = 4 << 20;
        assert!(
            before.min(after) <= value + slack && value <= before.max(after) + slack,
            "{before} {after}: {stats}"
        );
    };
    between(&stats["memory"]["usage"]["usage"], before.0, after.0);
    between(&stats["cpu"]["usage"]["total"], before.1, after.1);
    if has("pids") {
        assert_eq!(stats["pids"]["limit"], number(&file("pids", "pids.max", "pids.max")));
        assert_eq!(stats["pids"]["current"], number(&file("pids", "pids.current", "pids.current")));
    }
    if has("memory") {
        let usage = &stats["memory"]["usage"];
        assert_eq!(usage["limit"], number(&file("memory", "memory.limit_in_bytes", "memory.max")));
        // Each line of the kernel's is there.
        for line in file("memory", "memory.stat", "memory.stat").lines() {
            let (key, _) = line.split_once(' ').unwrap();
            assert!(stats["memory"]["raw"][key].is_u64(), "{key}: {stats}");
        }
    }
    if has("cpuset") && !t.cgroups().uses_v2("cpuset") {
        assert_eq!((&stats["cpuset"]["cpus"], &stats["cpuset"]["mems"]), (&json!([0]), &json!([0])));
    }
    if has("hugetlb") {
        let usage = file("hugetlb", "hugetlb.2MB.usage_in_bytes", "hugetlb.2MB.current");
        let of_size = &stats["hugetlb"]["2MB"];
        // What is nothing may be left out.
        assert_eq!(of_size["usage"].as_u64().unwrap_or_default(), number(&usage), "{stats}");
    }
    Ok(())
}

/// A call whose output is read line by line while it runs.
struct Stream {
    running: Running,
    reader: Option<PipeReader>,
    seen: Vec<u8>,
}

impl Stream {
    fn start(c: &Container<'_>, interval: &str) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        let call = c.call(&["events", "--interval", interval]).stdout_file(File::from(OwnedFd::from(writer)));
        Self { running: call.start(), reader: Some(reader), seen: Vec::new() }
    }

    /// The next line; `None` at the end.
    fn line(&mut self) -> Option<Value> {
        let reader = self.reader.as_mut().unwrap();
        loop {
            if let Some(end) = self.seen.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.seen.drain(..=end).collect();
                let text = String::from_utf8_lossy(&line);
                return Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")));
            }
            assert!(readable(&*reader, DEADLINE), "no line in {DEADLINE:?}");
            let mut buffer = [0; 4096];
            let count = reader.read(&mut buffer).unwrap();
            if count == 0 {
                assert!(self.seen.is_empty(), "half a line");
                return None;
            }
            self.seen.extend_from_slice(&buffer[..count]);
        }
    }
}

fn stream_repeats_and_ends_with_the_container(t: &Test) -> Verdict {
    let c = running(t, &json!({}));
    let mut stream = Stream::start(&c, "50ms");
    for _ in 0..3 {
        assert_eq!(stream.line().unwrap()["type"], "stats");
    }
    c.stop();
    while let Some(event) = stream.line() {
        assert_eq!(event["type"], "stats");
    }
    let _ = stream.running.wait().exits(0);
    Ok(())
}

fn closed_pipe_ends_it(t: &Test) -> Verdict {
    let c = running(t, &json!({}));
    // Long before anything is to be printed.
    let mut stream = Stream::start(&c, "1h");
    stream.reader = None;
    let _ = stream.running.wait().exits(0);
    let mut stream = Stream::start(&c, "20ms");
    assert!(stream.line().is_some());
    stream.reader = None;
    let _ = stream.running.wait().exits(0);
    assert_eq!(c.status(), "running");
    Ok(())
}

fn signal_ends_it(t: &Test) -> Verdict {
    let c = running(t, &json!({}));
    let mut stream = Stream::start(&c, "20ms");
    assert!(stream.line().is_some());
    stream.running.process.signal(rustix::process::Signal::TERM);
    let _ = stream.running.wait().exits(128 + 15);
    assert_eq!(c.status(), "running");
    Ok(())
}

fn oom_is_told(t: &Test) -> Verdict {
    t.needs_controller("memory")?;
    let b = t.bundle();
    b.set("/linux/resources", json!({"memory": {"limit": 20_971_520, "swap": 20_971_520}}));
    b.sh("read go </fifo; dd if=/dev/zero of=/dev/null bs=64M count=1; while :; do sleep 1000; done");
    let mut fifo = b.fifo("/fifo");
    let c = t.start(&b);
    let mut stream = Stream::start(&c, "50ms");
    // From then on it is watched.
    assert_eq!(stream.line().unwrap()["type"], "stats");
    fifo.send("go");
    let event = loop {
        let event = stream.line().expect("an event before the end");
        if event["type"] != "stats" {
            break event;
        }
    };
    assert_eq!(event, json!({"type": "oom", "id": c.id}));
    c.stop();
    while stream.line().is_some() {}
    let _ = stream.running.wait().exits(0);
    Ok(())
}

fn oom_that_ends_the_container_is_told_before_its_end(t: &Test) -> Verdict {
    t.needs_controller("memory")?;
    let b = t.bundle();
    b.set("/linux/resources", json!({"memory": {"limit": 20_971_520, "swap": 20_971_520}}));
    b.sh("read go </fifo; exec dd if=/dev/zero of=/dev/null bs=64M count=1");
    let mut fifo = b.fifo("/fifo");
    let c = t.start(&b);
    let mut stream = Stream::start(&c, "50ms");
    assert_eq!(stream.line().unwrap()["type"], "stats");
    fifo.send("go");
    let mut kinds = Vec::new();
    while let Some(event) = stream.line() {
        kinds.push(event["type"].as_str().unwrap().to_owned());
    }
    assert!(kinds.iter().any(|kind| kind == "oom"), "{kinds:?}");
    let _ = stream.running.wait().exits(0);
    assert_eq!(c.wait(), Some(137));
    Ok(())
}

fn stopped_container_fails(t: &Test) -> Verdict {
    let c = running(t, &json!({}));
    c.stop();
    c.call(&["events", "--stats"]).fails().says(&format!("container with id {} is not running", c.id));
    Ok(())
}

fn missing_container_fails(t: &Test) -> Verdict {
    t.call(&["events", "--stats", &t.fresh_name()]).fails().says("does not exist");
    Ok(())
}

fn interval_that_is_none_fails(t: &Test) -> Verdict {
    let c = running(t, &json!({}));
    c.call(&["events", "--interval", "0s"]).fails().says("duration interval must be greater than 0");
    c.call(&["events", "--interval", "soon"]).fails();
    Ok(())
}

/// runc, which counts in nanoseconds, knows no interval of 300 years.
fn interval_beyond_the_clock(t: &Test) -> Verdict {
    let c = running(t, &json!({}));
    let mut stream = Stream::start(&c, "9223372036854775807s");
    stream.reader = None;
    let _ = stream.running.wait().exits(0);
    Ok(())
}

/// The same bundle in a container of ours and in one of runc's.
fn beside_runc(t: &Test, compare: impl Fn(&Container<'_>, &dyn Fn(&[&str]) -> String, &str)) -> Verdict {
    t.needs_program("runc")?;
    let b: Bundle = t.bundle();
    b.set("/annotations", json!({"org.example.key": "value"})).stays();
    let c = t.start(&b);
    let root = t.dir.join("runc-root");
    let manager: &[&str] = if t.uses_systemd() { &["--systemd-cgroup"] } else { &[] };
    let call = |words: &[&str]| {
        let runc = Call::new(["runc", "--root", root.to_str().unwrap()]);
        runc.args(manager).args(words).env(TOKEN_VARIABLE, &t.token)
    };
    let id = t.fresh_name();
    call(&["run", "--detach", "--bundle", b.path.to_str().unwrap(), &id]).ok();
    compare(&c, &|words| call(words).ok().stdout, &id);
    // Reaped before it is deleted: runc waits for that.
    let state = call(&["state", &id]).ok().json();
    let init = Process::open(state["pid"].as_i64().unwrap() as i32).unwrap();
    init.signal(rustix::process::Signal::KILL);
    assert!(init.wait_exit(DEADLINE));
    let _ = init.reap();
    call(&["delete", &id]).ok();
    Ok(())
}

/// The keys in the order of the text.
fn keys(text: &str) -> Vec<&str> {
    let words: Vec<&str> = text.split('"').collect();
    (1..words.len().saturating_sub(1))
        .filter(|at| words[at + 1].trim_start().starts_with(':'))
        .map(|at| words[at])
        .collect()
}

fn stats_as_runc(t: &Test) -> Verdict {
    beside_runc(t, |c, runc, id| {
        // Left out where they are 0, or of a newer runc.
        let optional = ["cache", "usage", "max", "limit", "total", "percpu", "percpu_kernel", "percpu_user"];
        let pressure = ["psi", "some", "full", "avg10", "avg60", "avg300"];
        let lists = ["ioServiceBytesRecursive", "ioServicedRecursive", "major", "minor", "op", "value"];
        let fixed = |text: &str| -> Vec<String> {
            let all = keys(text).into_iter();
            all.filter(|key| !optional.contains(key) && !pressure.contains(key) && !lists.contains(key))
                .map(str::to_owned)
                .collect()
        };
        let mut ours = c.call(&["events", "--stats"]).ok().stdout;
        if t.lane == Lane::Hybrid {
            // Counted on v2 there, where runc does not look.
            let (before, rest) = ours.split_once("\"hugetlb\":").unwrap();
            let (_, after) = rest.split_once("\"intel_rdt\"").unwrap();
            ours = format!("{before}\"hugetlb\":{{}},\"intel_rdt\"{after}");
        }
        let theirs = runc(&["events", "--stats", id]);
        assert_eq!(fixed(&ours), fixed(&theirs), "{ours}\n{theirs}");
        for key in ["percpu", "percpu_kernel", "percpu_user", "raw"] {
            assert_eq!(keys(&ours).contains(&key), keys(&theirs).contains(&key), "{key}");
        }
    })
}

fn state_as_runc(t: &Test) -> Verdict {
    beside_runc(t, |c, runc, id| {
        // What differs is the container's own: the rest is the same byte by byte.
        let own = |text: &str, id: &str| {
            let line = |line: &str| {
                // runc 1.1 leaves the owner empty here, and has it in `list`.
                let varies = ["\"pid\"", "\"created\"", "\"ociVersion\"", "\"owner\""]
                    .iter()
                    .any(|key| line.contains(key));
                if varies { line.split(':').next().unwrap().to_owned() } else { line.replace(id, "ID") }
            };
            text.lines().map(line).collect::<Vec<_>>()
        };
        let ours = c.call(&["state"]).ok().stdout;
        assert_eq!(own(&ours, &c.id), own(&runc(&["state", id]), id));
        // RFC 3339 with nanoseconds, in UTC.
        let created = c.state()["created"].as_str().unwrap().to_owned();
        assert!(created.ends_with('Z') && created.contains('T') && created.contains('.'), "{created}");
    })
}

fn list_as_runc(t: &Test) -> Verdict {
    beside_runc(t, |c, runc, id| {
        let ours = |words: &[&str]| t.call(words).ok().stdout;
        let heading = |text: &str| {
            text.lines().next().unwrap().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        let (table, theirs) = (ours(&["list"]), runc(&["list"]));
        assert_eq!(heading(&table), heading(&theirs));
        assert_eq!(table.lines().count(), theirs.lines().count());
        // Each column begins where its heading does.
        let row = table.lines().nth(1).unwrap();
        for (name, start) in
            [("ID", c.id.clone()), ("PID", c.pid().to_string()), ("STATUS", "running".to_owned())]
        {
            let at = table.lines().next().unwrap().split_inclusive(name).next().unwrap().len() - name.len();
            let at = if name == "PID" { table.find("PID").unwrap() } else { at };
            assert!(row[at..].starts_with(&start), "{name}: {table}");
        }
        assert_eq!(keys(&ours(&["list", "--format", "json"])), keys(&runc(&["list", "--format", "json"])));
        assert_eq!(ours(&["list", "--quiet"]), format!("{}\n", c.id));
        assert_eq!(runc(&["list", "--quiet"]), format!("{id}\n"));
        assert_eq!(ours(&["list", "-q"]).lines().count(), 1);
    })
}

fn ps_as_runc(t: &Test) -> Verdict {
    t.needs_program("ps")?;
    beside_runc(t, |c, runc, id| {
        let pid: i32 = runc(&["ps", "--format", "json", id]).trim().trim_matches(['[', ']']).parse().unwrap();
        let ours = c.call(&["ps", "--format", "json"]).ok().stdout;
        assert_eq!(ours, format!("[{}]\n", c.pid()));
        for options in [&[][..], &["-o", "pid,comm"], &["-ef"], &["aux"]] {
            let mine = t.call(&[&["ps", &c.id], options].concat()).ok().stdout;
            let theirs = runc(&[&["ps", id], options].concat());
            assert_eq!(mine.lines().next(), theirs.lines().next(), "{options:?}");
            assert_eq!(mine.lines().count(), 2, "{options:?}: {mine}");
            let columns = |text: &str, pid: i32| {
                let row = text.lines().nth(1).unwrap().to_owned();
                row.split_whitespace().position(|word| word == pid.to_string())
            };
            assert_eq!(columns(&mine, c.pid()), columns(&theirs, pid), "{options:?}");
        }
    })
}
