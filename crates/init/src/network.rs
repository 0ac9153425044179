//! A new network namespace: what it gets.
//!
//! Runs in init, or between clone and exit in a child of the runtime: system calls alone.

use crate::sys;

/// Brings `lo` up, by ioctl: no netlink message to build.
pub fn loopback_up() -> sys::Result<()> {
    let socket = sys::inet_socket()?;
    let result = set_loopback_up(socket);
    sys::close(socket);
    result
}

/// Brings `lo` up; a descriptor of the network namespace that this process is in (`SIOCGSKNS`).
pub fn open_with_loopback() -> sys::Result<i32> {
    const SIOCGSKNS: usize = 0x894c;
    let socket = sys::inet_socket()?;
    let namespace = set_loopback_up(socket).and_then(|()| sys::ioctl_number(socket, SIOCGSKNS, 0));
    sys::close(socket);
    namespace
}

fn set_loopback_up(socket: i32) -> sys::Result<()> {
    const SIOCSIFFLAGS: usize = 0x8914;
    const IFF_UP_RUNNING: u32 = 0x41;
    // struct ifreq: the name in 16 bytes, then the flags.
    let mut request = [0_u32; 10];
    request[0] = u32::from_le_bytes([b'l', b'o', 0, 0]);
    request[4] = IFF_UP_RUNNING;
    sys::ioctl_buffer(socket, SIOCSIFFLAGS, &mut request)
}
