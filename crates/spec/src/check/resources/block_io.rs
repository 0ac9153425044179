//! `linux.resources.blockIO`.

use super::{MAJOR_MAX, MINOR_MAX};
use crate::config::{BlockIo, BlockThrottle, BlockWeight};
use crate::field::{Field, Object};
use crate::report::Report;

const CLAUSE: &str = "config-linux.md#block-io";

pub(super) fn check_block_io(field: Field<'_, '_>, report: &mut Report) -> BlockIo {
    let known = &[
        "weight",
        "leafWeight",
        "weightDevice",
        "throttleReadBpsDevice",
        "throttleWriteBpsDevice",
        "throttleReadIOPSDevice",
        "throttleWriteIOPSDevice",
    ];
    let Some(block_io) = field.object(report, CLAUSE, known) else { return BlockIo::default() };
    let weights = block_io.field("weightDevice");
    BlockIo {
        weight: check_weight(block_io.field("weight"), report),
        leaf_weight: check_weight(block_io.field("leafWeight"), report),
        weight_device: weights.items(report).filter_map(|item| check_device(item, report)).collect(),
        read_bps: check_throttles(block_io.field("throttleReadBpsDevice"), report),
        write_bps: check_throttles(block_io.field("throttleWriteBpsDevice"), report),
        read_iops: check_throttles(block_io.field("throttleReadIOPSDevice"), report),
        write_iops: check_throttles(block_io.field("throttleWriteIOPSDevice"), report),
    }
}

/// 0 asks nothing: engines write it for "not set".
fn check_weight(field: Field<'_, '_>, report: &mut Report) -> Option<u16> {
    let weight = field.within(report, 0, u16::MAX.into()).filter(|weight| *weight != 0)?;
    if !(10..=1000).contains(&weight) {
        field.violate(report, "must be 0 (not asked) or from 10 to 1000");
    }
    Some(weight as u16)
}

fn check_numbers(device: &Object<'_, '_>, report: &mut Report) -> Option<(u32, u32)> {
    let major = device.field("major").required(report).within(report, 0, MAJOR_MAX);
    let minor = device.field("minor").required(report).within(report, 0, MINOR_MAX);
    Some((major? as u32, minor? as u32))
}

fn check_device(field: Field<'_, '_>, report: &mut Report) -> Option<BlockWeight> {
    let device = field.object(report, CLAUSE, &["major", "minor", "weight", "leafWeight"])?;
    let numbers = check_numbers(&device, report);
    let weight = check_weight(device.field("weight"), report);
    let leaf_weight = check_weight(device.field("leafWeight"), report);
    if weight.is_none() && leaf_weight.is_none() {
        device.violate(report, "neither", "must have a weight or leafWeight from 10 to 1000");
    }
    let (major, minor) = numbers?;
    Some(BlockWeight { major, minor, weight, leaf_weight })
}

fn check_throttles(field: Field<'_, '_>, report: &mut Report) -> Vec<BlockThrottle> {
    let throttle = |item: Field<'_, '_>, report: &mut Report| {
        let device = item.object(report, CLAUSE, &["major", "minor", "rate"])?;
        let numbers = check_numbers(&device, report);
        let rate = device.field("rate").required(report).u64(report);
        let (major, minor) = numbers?;
        Some(BlockThrottle { major, minor, rate: rate? })
    };
    field.items(report).filter_map(|item| throttle(item, report)).collect()
}
