//! What init does with the bytes that it is given, as far as nothing is asked of the kernel: it reads step by step, and
//! what lists it finds in them; and what the runtime does with the record that comes back.

use init::Report;
use init::step::StepRef;
use init::wire::{Encoder, Field, PropagationsRef, Reader, Str, Strs, StrsRef, Words};
use sandbox::CgroupManager;
use sandbox::cgroup::{CgroupPath, plan_cgroup};
use sandbox::host::HostFacts;
use sandbox::plan::{PlanRequest, Purpose, plan};
use spec::config::CapabilitySet;

use super::config::{id, unified};

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> =
        super::config::seeds().iter().filter_map(|config| encoded(config)).collect();
    seeds.push(Report { kind: init::Kind::Failed, step: 3, call: 14, errno: 2 }.to_bytes().to_vec());
    seeds
}

/// The plan of a config as init gets it.
fn encoded(config: &[u8]) -> Option<Vec<u8>> {
    let config = spec::parse_config(config).ok()?.config;
    let id = id();
    let path = CgroupPath::new(config.linux.cgroups_path.as_ref(), &id).ok()?;
    let hierarchies = unified();
    let cgroup =
        plan_cgroup(CgroupManager::Cgroupfs, &config.linux.resources, &path, &hierarchies).ok()?.value;
    let host = HostFacts {
        cgroups: Some(hierarchies),
        bounding: CapabilitySet::from_bits(u64::MAX),
        ..HostFacts::default()
    };
    let request = PlanRequest { cgroup: Some(cgroup), ..PlanRequest::new(&id, "/bundle", Purpose::Create) };
    let plan = plan(&config, &host, request).ok()?;
    let mut encoder = Encoder::default();
    plan.steps.iter().for_each(|planned| planned.step.encode(&mut encoder));
    Some(encoder.bytes)
}

pub(super) fn run(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        let Some(step) = StepRef::decode(&mut reader) else { break };
        read_lists(&step);
    }
    for record in bytes.chunks(16) {
        if let Some(report) = Report::from_bytes(record) {
            assert_eq!(Report::from_bytes(&report.to_bytes()), Some(report));
        }
    }
    read_fields(bytes);
}

/// Lists end, whatever they say of their length.
fn read_lists(step: &StepRef<'_>) {
    let strings = |list: &StrsRef<'_>| assert!(list.count() >= { *list }.count_read());
    let bits = |list: &PropagationsRef<'_>| assert!({ *list }.count() < 1 << 16);
    match step {
        StepRef::Mount { options, propagation, .. } => {
            strings(options);
            bits(propagation);
        }
        StepRef::Bind { propagation, .. } | StepRef::Attach { propagation, .. } => bits(propagation),
        StepRef::Reconfigure { options, .. } | StepRef::MakeMount { options, .. } => strings(options),
        StepRef::AwaitHooks { points } => strings(points),
        StepRef::MoveRoot { kernel_views } => strings(kernel_views),
        StepRef::Execute { args, env } | StepRef::ExecuteOpened { args, env, .. } => {
            strings(args);
            strings(env);
        }
        _ => {}
    }
}

trait CountRead {
    fn count_read(self) -> usize;
}

impl CountRead for StrsRef<'_> {
    /// How many strings there really are.
    fn count_read(self) -> usize {
        let mut read = 0;
        for _ in self {
            read += 1;
        }
        read
    }
}

/// Each type of a field, wherever it begins.
fn read_fields(bytes: &[u8]) {
    for start in 0..bytes.len().min(64) {
        let from = || Reader::new(&bytes[start..]);
        if let Some(text) = Str::decode(&mut from()) {
            assert!(text.to_bytes().len() < bytes.len());
        }
        if let Some(list) = Strs::decode(&mut from()) {
            assert!(list.count_read() <= bytes.len());
        }
        let _ = Words::decode(&mut from());
        let _ = bool::decode(&mut from());
        let _ = u64::decode(&mut from());
    }
}
