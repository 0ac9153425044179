//! `linux.resources.cpu`.

use super::check_limit;
use crate::Text;
use crate::check::list;
use crate::config::{Cpu, Limit};
use crate::field::Field;
use crate::report::Report;

const CLAUSE: &str = "config-linux.md#cpu";

pub(super) fn check_cpu(field: Field<'_, '_>, report: &mut Report) -> Cpu {
    let known =
        &["shares", "quota", "burst", "period", "realtimeRuntime", "realtimePeriod", "cpus", "mems", "idle"];
    let Some(cpu) = field.object(report, CLAUSE, known) else { return Cpu::default() };
    let quota = check_quota(cpu.field("quota"), report);
    let burst_field = cpu.field("burst");
    let burst = burst_field.u64(report);
    if let (Some(Limit::Value(quota)), Some(burst)) = (quota, burst)
        && burst > quota
    {
        burst_field.violate(report, format!("must be at most the quota {quota}"));
    }
    Cpu {
        shares: check_shares(cpu.field("shares"), report),
        quota,
        burst,
        period: check_period(cpu.field("period"), report),
        realtime_runtime: cpu.field("realtimeRuntime").i64(report),
        realtime_period: cpu.field("realtimePeriod").u64(report),
        cpus: check_set(cpu.field("cpus"), report),
        mems: check_set(cpu.field("mems"), report),
        idle: cpu.field("idle").within(report, 0, 1).map(|idle| idle == 1),
    }
}

/// 0 asks nothing; the kernel's scale is 2 to 262144, and it takes the nearer end for what is outside.
fn check_shares(field: Field<'_, '_>, report: &mut Report) -> Option<u64> {
    let shares = field.u64(report).filter(|shares| *shares != 0)?;
    let clamped = shares.clamp(2, 262_144);
    if clamped != shares {
        report.warn(
            field.at,
            format!("{shares} shares are read as {clamped}: the kernel's scale is 2 to 262144"),
        );
    }
    Some(clamped)
}

/// 0 asks nothing, −1 is no limit; the kernel takes no less than a millisecond.
fn check_quota(field: Field<'_, '_>, report: &mut Report) -> Option<Limit> {
    match check_limit(field, report)? {
        Limit::Value(0) => None,
        Limit::Value(quota) if quota < 1000 => {
            field.violate(report, "must be -1 (no limit), 0 (not asked), or at least 1000 microseconds");
            None
        }
        limit => Some(limit),
    }
}

/// 0 asks nothing.
fn check_period(field: Field<'_, '_>, report: &mut Report) -> Option<u64> {
    let period = field.u64(report).filter(|period| *period != 0)?;
    if !(1000..=1_000_000).contains(&period) {
        field.violate(report, "must be 0 (not asked) or from 1000 to 1000000 microseconds");
    }
    Some(period)
}

/// As written; the empty string asks nothing.
fn check_set(field: Field<'_, '_>, report: &mut Report) -> Option<Text> {
    let set = field.text_if_set(report)?;
    if list::parse_list(&set).is_none() {
        field.violate(report, list::RULE);
    }
    Some(set)
}
