//! The container's init: reads a plan, does its steps in order, and becomes the container's process.
//!
//! Runs after the clone, as the first program of the container. Freestanding: no standard library, no allocator,
//! no lock, no formatting. In: `argv[1..4]` = descriptor, offset and length of the encoded plan (in the sealed file
//! that this program itself lies in). Out: [`report::Report`]s on the channel. A failed step is reported, then the
//! process ends; nothing is ever tried in a weaker way.

#![no_std]
#![no_main]
#![allow(dead_code, unreachable_pub)]

mod report;
mod step;
mod sys;
mod wire;

mod attach;
mod buffer;
mod channel;
mod copy;
mod credentials;
mod descriptor;
mod device;
mod filter;
mod home;
mod interpreter;
mod landlock;
mod mask;
mod mount;
mod namespace;
mod network;
mod program;
mod resolve;
mod rootfs;
mod source;
#[path = "sys/start.rs"]
mod start;
mod state;
mod terminal;

use report::NO_PLAN;
use state::Init;

/// `argv[1..4]` in decimal.
fn arguments(mut texts: impl Iterator<Item = &'static core::ffi::CStr>) -> Option<[usize; 3]> {
    texts.next()?;
    let mut number = || {
        let text = texts.next()?.to_bytes();
        text.iter().try_fold(0_usize, |sum, byte| {
            byte.is_ascii_digit().then(|| sum.wrapping_mul(10).wrapping_add(usize::from(byte - b'0')))
        })
    };
    Some([number()?, number()?, number()?])
}

/// Called by the entry point with the program's arguments.
fn main(texts: impl Iterator<Item = &'static core::ffi::CStr>) -> ! {
    let Some([file, offset, length]) = arguments(texts) else { sys::exit(NO_PLAN) };
    match start::map_plan(file as i32, offset, length) {
        Ok(plan) => Init::new().run(plan),
        Err(_) => sys::exit(NO_PLAN),
    }
}
