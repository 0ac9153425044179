//! `docs/spec-conformance.md`: every line of the specification that asks something is in it, every field of its schema, and
//! what it names exists.
//!
//! That the named tests have run, and passed somewhere, is seen by who runs all of them: `cargo xtask test`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use runtime_tests::Case;

/// Tests of the opencontainers validation suite.
const SUITE_TESTS: usize = 58;

/// Lines of the files of runtime-spec 1.3.0, outside of its code blocks, with one of the words MUST, SHALL, REQUIRED,
/// SHOULD, RECOMMENDED.
const LINES: [(&str, &str); 7] = [
    ("bundle.md", "14, 19"),
    (
        "runtime.md",
        "5, 12-14, 16, 24-25, 28, 35, 58-67, 69-73, 77-79, 84, 89, 93, 101-103, 109-111, 113-114, 116, \
         126-129, 134-136, 141-144",
    ),
    ("runtime-linux.md", "11"),
    (
        "config.md",
        "17, 30-31, 33, 35-36, 39, 41, 43-44, 66, 70-72, 74-76, 78, 87, 91, 95-105, 107-112, 114-151, \
         153-155, 161, 164, 166, 189-190, 192, 194-195, 197, 240, 245-249, 252, 264, 268-269, 272-275, 278, \
         289-290, 303-304, 310, 341-342, 352, 370-371, 530, 555-556, 560-562, 565-566, 570-572, 575-576, \
         579-580, 583-584, 587-588, 591-592, 596, 598, 602-603, 607, 609-610, 618-619, 621-622, 630, 633-634, \
         638, 641-642, 646, 649-650, 720, 723-725, 727, 731-738, 740-741, 743, 754, 759",
    ),
    (
        "config-linux.md",
        "11, 29, 39-41, 43, 45-46, 88-90, 92, 127, 132, 134-135, 137, 143, 180, 214, 224, 226, 228, 232, 238, \
         244, 251, 303, 315, 317, 320, 322, 343, 347, 352, 361, 363, 368, 372, 380, 405, 409, 452-453, 466, \
         494, 496, 533, 538, 542, 544, 548, 550, 608, 614, 641-642, 671, 692, 717, 719, 721, 734, 739-740, \
         742, 747, 751, 753-754, 757, 759, 761, 763, 765, 767, 770-771, 773, 775, 777, 779-780, 783, 785, \
         826, 885, 888, 927-930, 935, 939, 946-948, 963, 969-970, 972, 1007, 1009, 1013, 1016, 1018, 1068, \
         1081, 1108",
    ),
    ("features.md", "7, 10, 14-15, 17-20, 32, 49-50, 131"),
    ("features-linux.md", "8, 27, 107, 109, 111, 113, 116, 203, 206, 257"),
];

/// Fields of the schema of runtime-spec 1.3.0 that concern Linux: those that have no fields of their own.
const FIELDS: &str = "\
    annotations domainname hooks.POINT hooks.POINT[].args hooks.POINT[].env hooks.POINT[].path \
    hooks.POINT[].timeout hostname linux.cgroupsPath linux.devices[].fileMode linux.devices[].gid \
    linux.devices[].major linux.devices[].minor linux.devices[].path linux.devices[].type \
    linux.devices[].uid linux.gidMappings linux.intelRdt.closID linux.intelRdt.enableMonitoring \
    linux.intelRdt.l3CacheSchema linux.intelRdt.memBwSchema linux.intelRdt.schemata linux.maskedPaths \
    linux.memoryPolicy.flags linux.memoryPolicy.mode linux.memoryPolicy.nodes linux.mountLabel \
    linux.namespaces[].path linux.namespaces[].type linux.netDevices linux.netDevices{}.name \
    linux.personality.domain linux.personality.flags linux.readonlyPaths \
    linux.resources.blockIO.leafWeight linux.resources.blockIO.throttleReadBpsDevice[].rate \
    linux.resources.blockIO.throttleReadIOPSDevice[].rate \
    linux.resources.blockIO.throttleWriteBpsDevice[].rate \
    linux.resources.blockIO.throttleWriteIOPSDevice[].rate linux.resources.blockIO.weight \
    linux.resources.blockIO.weightDevice[].leafWeight linux.resources.blockIO.weightDevice[].weight \
    linux.resources.cpu.burst linux.resources.cpu.cpus linux.resources.cpu.idle linux.resources.cpu.mems \
    linux.resources.cpu.period linux.resources.cpu.quota linux.resources.cpu.realtimePeriod \
    linux.resources.cpu.realtimeRuntime linux.resources.cpu.shares linux.resources.devices[].access \
    linux.resources.devices[].allow linux.resources.devices[].major linux.resources.devices[].minor \
    linux.resources.devices[].type linux.resources.hugepageLimits[].limit \
    linux.resources.hugepageLimits[].pageSize linux.resources.memory.checkBeforeUpdate \
    linux.resources.memory.disableOOMKiller linux.resources.memory.kernel \
    linux.resources.memory.kernelTCP linux.resources.memory.limit linux.resources.memory.reservation \
    linux.resources.memory.swap linux.resources.memory.swappiness linux.resources.memory.useHierarchy \
    linux.resources.network.classID linux.resources.network.priorities[].name \
    linux.resources.network.priorities[].priority linux.resources.pids.limit \
    linux.resources.rdma{}.hcaHandles linux.resources.rdma{}.hcaObjects linux.resources.unified \
    linux.rootfsPropagation linux.seccomp.architectures linux.seccomp.defaultAction \
    linux.seccomp.defaultErrnoRet linux.seccomp.flags linux.seccomp.listenerMetadata \
    linux.seccomp.listenerPath linux.seccomp.syscalls[].action linux.seccomp.syscalls[].args[].index \
    linux.seccomp.syscalls[].args[].op linux.seccomp.syscalls[].args[].value \
    linux.seccomp.syscalls[].args[].valueTwo linux.seccomp.syscalls[].errnoRet \
    linux.seccomp.syscalls[].names linux.sysctl linux.timeOffsets.boottime.nanosecs \
    linux.timeOffsets.boottime.secs linux.timeOffsets.monotonic.nanosecs \
    linux.timeOffsets.monotonic.secs linux.uidMappings mounts[].destination mounts[].gidMappings \
    mounts[].options mounts[].source mounts[].type mounts[].uidMappings ociVersion \
    process.apparmorProfile process.args process.capabilities.ambient process.capabilities.bounding \
    process.capabilities.effective process.capabilities.inheritable process.capabilities.permitted \
    process.consoleSize.height process.consoleSize.width process.cwd process.env \
    process.execCPUAffinity.final process.execCPUAffinity.initial process.ioPriority.class \
    process.ioPriority.priority process.noNewPrivileges process.oomScoreAdj process.rlimits[].hard \
    process.rlimits[].soft process.rlimits[].type process.scheduler.deadline process.scheduler.flags \
    process.scheduler.nice process.scheduler.period process.scheduler.policy process.scheduler.priority \
    process.scheduler.runtime process.selinuxLabel process.terminal process.user.additionalGids \
    process.user.gid process.user.uid process.user.umask root.path root.readonly";

/// A row of a table: the heading above it, and its cells.
struct Row<'a> {
    heading: &'a str,
    cells: Vec<&'a str>,
}

/// Every row but the tables' heads.
fn rows(text: &str) -> Vec<Row<'_>> {
    let mut heading = "";
    let mut rows = Vec::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            heading = title;
        } else if line.starts_with("| ") {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            if !["lines", "test of the suite", "field", ""].contains(&cells[0]) {
                rows.push(Row { heading, cells });
            }
        }
    }
    rows
}

/// `12–13, 16`, or with hyphens.
fn numbers(list: &str) -> BTreeSet<u32> {
    let mut all = BTreeSet::new();
    for item in list.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let (first, last) = item.split_once(['–', '-']).unwrap_or((item, item));
        let number = |text: &str| text.parse::<u32>().unwrap_or_else(|_| panic!("{text} is no line number"));
        all.extend(number(first)..=number(last));
    }
    all
}

/// What is between backquotes.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A module by its short name: `plan/mounts.rs`, `spec:check/mod.rs`.
fn module_exists(name: &str) -> bool {
    let (package, file) = name.split_once(':').unwrap_or(("sandbox", name));
    repository().join("crates").join(package).join("src").join(file).is_file()
}

fn files_below(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        if entry.path().is_dir() {
            files_below(&entry.path(), found);
        } else {
            found.push(entry.path());
        }
    }
}

/// Tests outside of this suite: `process.rules: TITLE` of `crates/spec`, `module::function` of any crate.
struct Elsewhere {
    rules: BTreeMap<String, String>,
    /// Path below `crates` without its ending, and text.
    sources: Vec<(String, String)>,
}

impl Elsewhere {
    fn read() -> Self {
        let crates = repository().join("crates");
        let mut files = Vec::new();
        files_below(&crates, &mut files);
        let read = |path: &PathBuf| fs::read_to_string(path).unwrap_or_default();
        let ending = |path: &PathBuf, ending: &str| path.extension().is_some_and(|it| it == ending);
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        let stem = |path: &PathBuf| {
            path.strip_prefix(&crates).unwrap().with_extension("").to_string_lossy().into_owned()
        };
        Self {
            rules: files.iter().filter(|it| ending(it, "rules")).map(|it| (name(it), read(it))).collect(),
            sources: files.iter().filter(|it| ending(it, "rs")).map(|it| (stem(it), read(it))).collect(),
        }
    }

    fn has(&self, name: &str) -> bool {
        if let Some((file, title)) = name.split_once(": ") {
            let heading = format!("# {title}");
            return self.rules.get(file).is_some_and(|text| text.lines().any(|line| line == heading));
        }
        let Some((module, function)) = name.rsplit_once("::") else { return false };
        let module = format!("/{}", module.replace("::", "/"));
        let function = format!("fn {function}(");
        self.sources.iter().any(|(path, text)| path.ends_with(&module) && text.contains(&function))
    }
}

/// A case that checks the document against the other cases' names.
pub(crate) fn case(others: &[Case]) -> Case {
    let names: BTreeSet<String> = others.iter().map(|case| case.name.clone()).collect();
    Case::new("conformance::every_named_test_exists", move |_| {
        let text = fs::read_to_string(repository().join("docs/spec-conformance.md")).unwrap();
        let elsewhere = Elsewhere::read();
        let mut wrong = Vec::new();
        let mut suite = BTreeSet::new();
        let mut fields = BTreeSet::new();
        let mut lines: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
        for Row { heading, cells } in rows(&text) {
            match heading {
                "Deviations" => continue,
                "Lines that ask nothing here" => {
                    let (file, list) = cells[0].split_once(' ').unwrap();
                    lines.entry(file).or_default().extend(numbers(list));
                    continue;
                }
                "The validation suite" => {
                    suite.insert(cells[0]);
                }
                "Fields" => fields.extend(quoted(cells[0])),
                file => {
                    assert_eq!(cells.len(), 4, "{cells:?}");
                    lines.entry(file).or_default().extend(numbers(cells[0]));
                    let missing = quoted(cells[2]).filter(|module| !module_exists(module));
                    wrong.extend(missing.map(|module| format!("{file} {}: no module {module}", cells[0])));
                }
            }
            let mut named = quoted(cells[cells.len() - 1]).peekable();
            if named.peek().is_none() {
                wrong.push(format!("{heading} {}: no test", cells[0]));
            }
            let missing = named.filter(|name| !names.contains(*name) && !elsewhere.has(name));
            wrong.extend(missing.map(|name| format!("{heading} {}: there is no test {name}", cells[0])));
        }
        let known: BTreeSet<&str> = FIELDS.split_whitespace().collect();
        wrong.extend(known.difference(&fields).map(|field| format!("the field {field} has no row")));
        wrong.extend(fields.difference(&known).map(|field| format!("{field} is no field of the schema")));
        for (file, list) in LINES {
            let (asked, have) = (numbers(list), lines.remove(file).unwrap_or_default());
            wrong.extend(asked.difference(&have).map(|line| format!("{file} {line} is in no table")));
            wrong.extend(have.difference(&asked).map(|line| format!("{file} {line} asks nothing")));
        }
        wrong.extend(lines.keys().map(|file| format!("{file} is no file of the specification")));
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert_eq!(suite.len(), SUITE_TESTS, "tests of the validation suite in the table");
        Ok(())
    })
}
