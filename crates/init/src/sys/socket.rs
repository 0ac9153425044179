//! Sockets, and descriptors that are passed through them.

use super::{Failure, Result, arg, fd, flag, number, refuse};
use crate::report::{Call, NO_SOURCE};

/// `sendto(fd, bytes, MSG_NOSIGNAL)`
pub fn send(fd: i32, bytes: &[u8]) -> Result<usize> {
    const MSG_NOSIGNAL: usize = 0x4000;
    call!(Call::Send, number::SENDTO, arg(fd), bytes.as_ptr() as usize, bytes.len(), MSG_NOSIGNAL)
}

/// `recvfrom(fd, buffer)`, again when interrupted.
pub fn recv(fd: i32, buffer: &mut [u8]) -> Result<usize> {
    loop {
        match call!(Call::Recv, number::RECVFROM, arg(fd), buffer.as_mut_ptr() as usize, buffer.len()) {
            Err(Failure { errno: flag::EINTR, .. }) => {}
            result => return result,
        }
    }
}

#[repr(C)]
struct IoVector {
    base: *mut u8,
    length: usize,
}

#[repr(C)]
struct MessageHeader {
    name: usize,
    name_length: u32,
    vectors: *const IoVector,
    vector_count: usize,
    control: *mut ControlMessage,
    control_length: usize,
    flags: i32,
}

#[repr(C, align(8))]
struct ControlMessage {
    length: usize,
    level: i32,
    kind: i32,
    fd: i32,
    padding: i32,
}

impl MessageHeader {
    /// Of one piece and one descriptor, which both must outlive it.
    fn new(vector: &IoVector, control: &mut ControlMessage) -> Self {
        Self {
            name: 0,
            name_length: 0,
            vectors: vector,
            vector_count: 1,
            control,
            control_length: size_of::<ControlMessage>(),
            flags: 0,
        }
    }
}

/// `sendmsg(socket, bytes, SCM_RIGHTS fd, MSG_NOSIGNAL)`
pub fn send_with_descriptor(socket: i32, bytes: &[u8], descriptor: i32) -> Result<usize> {
    const SOL_SOCKET: i32 = 1;
    const SCM_RIGHTS: i32 = 1;
    const MSG_NOSIGNAL: usize = 0x4000;
    let vector = IoVector { base: bytes.as_ptr().cast_mut(), length: bytes.len() };
    let mut control =
        ControlMessage { length: 20, level: SOL_SOCKET, kind: SCM_RIGHTS, fd: descriptor, padding: 0 };
    let header = MessageHeader::new(&vector, &mut control);
    call!(Call::Send, number::SENDMSG, arg(socket), (&raw const header) as usize, MSG_NOSIGNAL)
}

/// `recvmsg(socket, byte, SCM_RIGHTS, MSG_CMSG_CLOEXEC)`, again when interrupted: a descriptor; none when the other end is
/// closed.
pub fn recv_descriptor(socket: i32) -> Result<Option<i32>> {
    const MSG_CMSG_CLOEXEC: usize = 0x4000_0000;
    let mut byte = [0_u8];
    let vector = IoVector { base: byte.as_mut_ptr(), length: byte.len() };
    let mut control = ControlMessage { length: 0, level: 0, kind: 0, fd: -1, padding: 0 };
    let mut header = MessageHeader::new(&vector, &mut control);
    let received = loop {
        match call!(Call::Recv, number::RECVMSG, arg(socket), (&raw mut header) as usize, MSG_CMSG_CLOEXEC) {
            Err(Failure { errno: flag::EINTR, .. }) => {}
            result => break result?,
        }
    };
    match (received, control.length) {
        (0, _) => Ok(None),
        (_, 0) if byte[0] == NO_SOURCE => Ok(Some(-1)),
        // For want of a number it does not arrive.
        (_, 0) => refuse(Call::Recv, flag::EMFILE),
        _ => Ok(Some(control.fd)),
    }
}

/// `socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC)`
pub fn socketpair() -> Result<[i32; 2]> {
    const AF_UNIX: usize = 1;
    const SOCK_SEQPACKET_CLOEXEC: usize = 5 | 0o2_000_000;
    let mut pair = [-1; 2];
    let place = pair.as_mut_ptr() as usize;
    call!(Call::Socket, number::SOCKETPAIR, AF_UNIX, SOCK_SEQPACKET_CLOEXEC, 0, place)?;
    Ok(pair)
}

/// `accept4(socket, SOCK_CLOEXEC)`, again when interrupted.
pub fn accept(socket: i32) -> Result<i32> {
    const SOCK_CLOEXEC: usize = 0o2_000_000;
    loop {
        match call!(Call::Accept, number::ACCEPT4, arg(socket), 0, 0, SOCK_CLOEXEC) {
            Err(Failure { errno: flag::EINTR, .. }) => {}
            result => return result.map(fd),
        }
    }
}

/// `socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)`
pub fn inet_socket() -> Result<i32> {
    const SOCK_DGRAM_CLOEXEC: usize = 2 | 0o2_000_000;
    call!(Call::Socket, number::SOCKET, 2, SOCK_DGRAM_CLOEXEC, 0).map(fd)
}
