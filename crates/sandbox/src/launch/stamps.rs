//! When the steps of init began, as spans for whoever traces the program.
//!
//! Runs in the runtime. Nothing of it is done, and init is not asked for it, unless the program's `tracing` subscriber is
//! enabled for spans of the target `sandbox::init`.

use rustix::time::{ClockId, clock_gettime};

/// The steps of one conversation; told of when it is over.
#[derive(Debug)]
pub(super) struct Stamps {
    names: Vec<&'static str>,
    begun: Vec<(u32, u64)>,
    end_ns: u64,
}

impl Stamps {
    /// Of steps with these names, by index.
    pub(super) const fn new(names: Vec<&'static str>) -> Self {
        Self { names, begun: Vec::new(), end_ns: 0 }
    }

    /// A step has begun: nanoseconds of CLOCK_MONOTONIC.
    pub(super) fn add(&mut self, step: u32, at_ns: u64) {
        self.begun.push((step, at_ns));
    }

    /// What was at work is done.
    pub(super) fn finish(&mut self) {
        if !self.begun.is_empty() {
            self.end_ns = now_ns();
        }
    }
}

impl Drop for Stamps {
    fn drop(&mut self) {
        if self.end_ns == 0 {
            self.finish();
        }
        let ends = self.begun.iter().skip(1).map(|(_, at)| *at).chain([self.end_ns]);
        for ((step, begin_ns), end_ns) in self.begun.iter().zip(ends) {
            let name = self.names.get(*step as usize).copied().unwrap_or("step");
            let _ = tracing::trace_span!(target: "sandbox::init", "step", name, step, begin_ns, end_ns);
        }
    }
}

fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
