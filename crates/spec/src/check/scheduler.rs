//! `process.scheduler` and `process.ioPriority`.

use super::check_flags;
use super::process::LINUX;
use crate::config::names::SCHEDULER_FLAGS;
use crate::config::{IoPriority, IoPriorityClass, Scheduler, SchedulerPolicy};
use crate::field::Field;
use crate::report::Report;

/// Absent is `None` too. Combinations that `sched_setattr(2)` refuses are violations.
pub(super) fn check_scheduler(field: Field<'_, '_>, report: &mut Report) -> Option<Scheduler> {
    let known = &["policy", "nice", "priority", "flags", "runtime", "deadline", "period"];
    let scheduler = field.object(report, LINUX, known)?;
    let policy = scheduler.field("policy").required(report).name::<SchedulerPolicy>(report);
    let nice = scheduler.field("nice").within(report, -20, 19).unwrap_or(0) as i32;
    let priority_field = scheduler.field("priority");
    let priority = priority_field.within(report, 0, 99);
    let flags = check_flags(scheduler.field("flags"), report, SCHEDULER_FLAGS);
    let [runtime_ns, deadline_ns, period_ns] =
        ["runtime", "deadline", "period"].map(|name| scheduler.field(name).u64(report).unwrap_or(0));
    let policy = policy?;
    let real_time = matches!(policy, SchedulerPolicy::Fifo | SchedulerPolicy::RoundRobin);
    match priority {
        None if real_time && !priority_field.is_present() => {
            priority_field.violate(report, format!("must be from 1 to 99 with {}", policy.name()));
        }
        Some(0) if real_time => {
            priority_field.violate(report, format!("must be from 1 to 99 with {}", policy.name()));
        }
        Some(1..) if !real_time => {
            priority_field.violate(report, "must be 0 unless the policy is SCHED_FIFO or SCHED_RR");
        }
        _ => {}
    }
    if policy == SchedulerPolicy::Deadline {
        let period = if period_ns == 0 { deadline_ns } else { period_ns };
        if runtime_ns == 0 || runtime_ns > deadline_ns || deadline_ns > period {
            let found = format!("{runtime_ns}, {deadline_ns}, {period_ns}");
            scheduler.violate(
                report,
                &found,
                "must have 0 < runtime <= deadline <= period with SCHED_DEADLINE",
            );
        }
    } else {
        for name in ["runtime", "deadline", "period"] {
            let time = scheduler.field(name);
            if time.u64(&mut Report::default()).is_some_and(|time| time != 0) {
                time.violate(report, "must be 0 unless the policy is SCHED_DEADLINE");
            }
        }
    }
    let priority = priority.unwrap_or(0) as u32;
    Some(Scheduler { policy, nice, priority, flags: flags?, runtime_ns, deadline_ns, period_ns })
}

/// Absent is `None` too.
pub(super) fn check_io_priority(field: Field<'_, '_>, report: &mut Report) -> Option<IoPriority> {
    let priority = field.object(report, LINUX, &["class", "priority"])?;
    let class = priority.field("class").required(report).name::<IoPriorityClass>(report);
    let level_field = priority.field("priority");
    // The kernel has one level of it.
    if class == Some(IoPriorityClass::Idle) && !level_field.is_present() {
        return Some(IoPriority { class: IoPriorityClass::Idle, priority: 0 });
    }
    let level = level_field.required(report).within(report, 0, 7);
    Some(IoPriority { class: class?, priority: level? as u8 })
}
