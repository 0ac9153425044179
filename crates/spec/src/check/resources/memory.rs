//! `linux.resources.memory`.

use super::check_limit;
use crate::config::{Limit, Memory};
use crate::field::Field;
use crate::report::Report;

const CLAUSE: &str = "config-linux.md#memory";

pub(super) fn check_memory(field: Field<'_, '_>, report: &mut Report) -> Memory {
    let known = &[
        "limit",
        "reservation",
        "swap",
        "kernel",
        "kernelTCP",
        "swappiness",
        "disableOOMKiller",
        "useHierarchy",
        "checkBeforeUpdate",
    ];
    let Some(memory) = field.object(report, CLAUSE, known) else { return Memory::default() };
    let [limit, reservation, swap, kernel, kernel_tcp] =
        ["limit", "reservation", "swap", "kernel", "kernelTCP"]
            .map(|name| check_amount(memory.field(name), report));
    if let (Some(Limit::Value(limit)), Some(Limit::Value(swap))) = (limit, swap)
        && swap < limit
    {
        let rule = format!("must be at least the memory limit {limit}: it is of memory and swap together");
        memory.field("swap").violate(report, rule);
    }
    Memory {
        limit,
        reservation,
        swap,
        kernel,
        kernel_tcp,
        swappiness: memory.field("swappiness").within(report, 0, 100).map(|value| value as u8),
        disable_oom_killer: memory.field("disableOOMKiller").bool(report),
        use_hierarchy: memory.field("useHierarchy").bool(report),
        check_before_update: memory.field("checkBeforeUpdate").bool(report),
    }
}

/// Nothing can run in no memory at all: callers that write 0 mean that they don't ask.
fn check_amount(field: Field<'_, '_>, report: &mut Report) -> Option<Limit> {
    let limit = check_limit(field, report)?;
    if limit == Limit::Value(0) {
        report.warn(field.at, "0 bytes is read as no limit asked");
        return None;
    }
    Some(limit)
}
