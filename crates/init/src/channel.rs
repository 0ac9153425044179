//! What init says to the runtime, and how it waits for it.
//!
//! Runs in init. Messages keep their borders (`SOCK_SEQPACKET`). End-of-file means that the runtime is gone: init
//! ends, so that a container whose creator died never runs.

use crate::report::{Kind, Report};
use crate::state::Init;
use crate::sys;

impl Init {
    /// Sends a record.
    pub fn report(&self, kind: Kind, call: u32, errno: u32) -> sys::Result<()> {
        let report = Report { kind, step: self.step, call, errno };
        sys::send(self.channel, &report.to_bytes()).map(drop)
    }

    /// Sends a record with a descriptor.
    pub fn report_descriptor(&self, kind: Kind, number: u32, descriptor: i32) -> sys::Result<()> {
        let report = Report { kind, step: self.step, call: 0, errno: number };
        sys::send_with_descriptor(self.channel, &report.to_bytes(), descriptor).map(drop)
    }

    /// Says that this step begins, and when.
    pub fn stamp(&self) -> sys::Result<()> {
        let now = sys::monotonic_ns()?;
        self.report(Kind::Stamped, now as u32, (now >> 32) as u32)
    }

    /// Waits for one byte of the runtime.
    pub fn await_go(&self) -> sys::Result<()> {
        let mut byte = [0];
        match sys::recv(self.channel, &mut byte)? {
            0 => sys::exit(1),
            _ => Ok(()),
        }
    }

    /// Says that this step is reached and waits for one byte.
    pub fn report_and_wait(&self) -> sys::Result<()> {
        self.report(Kind::Waiting, 0, 0)?;
        self.await_go()
    }

    /// Closes what the container must not see: all but its own descriptors, the channel, and `kept` (−1 is none).
    pub fn close_others(&mut self, kept: i32) -> sys::Result<()> {
        let channel = self.channel as u32;
        let (low, high) = match u32::try_from(kept) {
            Ok(kept) => (channel.min(kept), channel.max(kept)),
            Err(_) => (channel, channel),
        };
        // What is between the three; a range that begins after its end is empty.
        for (first, last) in [(self.first_own, low - 1), (low + 1, high - 1), (high + 1, u32::MAX)] {
            if first <= last {
                sys::close_between(first, last)?;
            }
        }
        self.forget_descriptors();
        Ok(())
    }

    /// Says that all is ready, then waits for whoever starts the container, who takes the runtime's place.
    ///
    /// What was opened on the way is closed before that is said, and the socket to the runtime when it has answered: a
    /// created container holds its gate and its three streams, and the memory of the few calls that it is in.
    pub fn await_start(&mut self, gate: i32) -> sys::Result<()> {
        /// `SIGHUP`, `SIGINT`, `SIGQUIT`, `SIGABRT`, `SIGTERM`.
        const ENDING: [u32; 5] = [1, 2, 3, 6, 15];
        self.close_others(gate)?;
        // As long as the container is created, `kill` stops it; the command has the defaults again.
        for signal in ENDING {
            sys::exit_at(signal)?;
        }
        // Most of the memory that a created container takes would be what earlier steps have used of the stack.
        sys::release_stack();
        self.report(Kind::Ready, 0, 0)?;
        self.await_go()?;
        sys::close(self.channel);
        self.channel = sys::accept(gate)?;
        sys::close_range(self.first_own, sys::CLOSE_RANGE_CLOEXEC)
    }
}
