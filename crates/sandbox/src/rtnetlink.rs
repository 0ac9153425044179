//! One conversation with the kernel's `rtnetlink(7)`, about one network namespace.
//!
//! Runs in the runtime. The kernel answers each request at once; nobody else is waited for.

// Each of the two features uses a part.
#![cfg_attr(not(all(feature = "net", feature = "netdevices")), allow(dead_code))]

mod answers;

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader,
    NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::{LinkFlags, LinkMessage};
use netlink_packet_route::route::RouteMessage;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netdevice, recv, send, socket_with,
};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};

use self::answers::{address_of, flags_of, malformed, read_answers};
use crate::launch::wait_readable;

const DEADLINE: Duration = Duration::from_secs(10);
/// The kernel sends no more at a time to who does not ask for it.
const MOST_BYTES: usize = 32 << 10;

/// Does something in a network namespace, a process's where it is a pidfd: in a thread of its own, which ends with it.
pub(crate) fn within<T: Send>(
    namespace: BorrowedFd<'_>,
    act: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    let enter = || {
        move_into_thread_name_spaces(namespace, ThreadNameSpaceType::NETWORK)?;
        act()
    };
    thread::scope(|scope| {
        let entered = thread::Builder::new().spawn_scoped(scope, enter)?.join();
        entered.unwrap_or_else(|_| Err(io::Error::other("the thread that entered it has panicked")))
    })
}

/// A socket in the namespace that its maker's thread was in.
#[derive(Debug)]
pub(crate) struct Rtnetlink {
    socket: OwnedFd,
    /// The number of the last request. Held as long as that is not answered: threads take turns.
    sequence: Mutex<u32>,
}

impl Rtnetlink {
    /// In the network namespace of the calling thread.
    pub(crate) fn open() -> io::Result<Self> {
        // No protocol is number 0, NETLINK_ROUTE.
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        Ok(Self { socket, sequence: Mutex::new(0) })
    }

    /// The index of the device of this name; ENODEV where there is none.
    pub(crate) fn index(&self, name: &str) -> io::Result<u32> {
        Ok(netdevice::name_to_index(&self.socket, name)?)
    }

    /// Whether a device has this index.
    pub(crate) fn has_index(&self, index: u32) -> io::Result<bool> {
        match netdevice::index_to_name(&self.socket, index) {
            Ok(_) => Ok(true),
            Err(Errno::NODEV) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Whether the device is set up (`IFF_UP`).
    pub(crate) fn is_up(&self, index: u32) -> io::Result<bool> {
        let mut link = LinkMessage::default();
        link.header.index = index;
        let mut flags = 0;
        self.request(RouteNetlinkMessage::GetLink(link), NLM_F_ACK, |packet| {
            flags = flags_of(&packet)?;
            Ok(())
        })?;
        Ok(LinkFlags::from_bits_retain(flags).contains(LinkFlags::Up))
    }

    /// `RTM_SETLINK`
    pub(crate) fn set_link(&self, link: LinkMessage) -> io::Result<()> {
        self.request(RouteNetlinkMessage::SetLink(link), NLM_F_ACK, |_| Ok(()))
    }

    /// `RTM_NEWLINK`; EEXIST where the name is taken.
    pub(crate) fn add_link(&self, link: LinkMessage) -> io::Result<()> {
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        self.request(RouteNetlinkMessage::NewLink(link), flags, |_| Ok(()))
    }

    /// `RTM_DELLINK`
    pub(crate) fn remove_link(&self, link: LinkMessage) -> io::Result<()> {
        self.request(RouteNetlinkMessage::DelLink(link), NLM_F_ACK, |_| Ok(()))
    }

    /// `RTM_NEWROUTE`; EEXIST where there is one.
    pub(crate) fn add_route(&self, route: RouteMessage) -> io::Result<()> {
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        self.request(RouteNetlinkMessage::NewRoute(route), flags, |_| Ok(()))
    }

    /// Sets the device up.
    pub(crate) fn set_up(&self, index: u32) -> io::Result<()> {
        let mut link = LinkMessage::default();
        link.header.index = index;
        link.header.flags = LinkFlags::Up;
        link.header.change_mask = LinkFlags::Up;
        self.set_link(link)
    }

    /// The addresses of a device, of every family, in the kernel's order.
    pub(crate) fn addresses(&self, index: u32) -> io::Result<Vec<AddressMessage>> {
        let mut addresses = Vec::new();
        let all = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        self.request(all, NLM_F_DUMP, |packet| {
            addresses.extend(address_of(packet, index)?);
            Ok(())
        })?;
        Ok(addresses)
    }

    /// `RTM_NEWADDR`; EEXIST where the device has it.
    pub(crate) fn add_address(&self, address: AddressMessage) -> io::Result<()> {
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        self.request(RouteNetlinkMessage::NewAddress(address), flags, |_| Ok(()))
    }

    /// Asks, and gives each answer to `each`, until the kernel acknowledges or the list is at its end.
    fn request(
        &self,
        message: RouteNetlinkMessage,
        flags: u16,
        mut each: impl FnMut(NetlinkBuffer<&[u8]>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut sequence = self.sequence.lock().unwrap_or_else(PoisonError::into_inner);
        *sequence = sequence.wrapping_add(1);
        let mut message =
            NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::InnerMessage(message));
        message.header.flags = NLM_F_REQUEST | flags;
        message.header.sequence_number = *sequence;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        send(&self.socket, &bytes, SendFlags::NOSIGNAL)?;

        let mut buffer = vec![0; MOST_BYTES];
        loop {
            wait_readable(&[std::os::fd::AsFd::as_fd(&self.socket)], Instant::now() + DEADLINE)?;
            let (received, length) = match recv(&self.socket, &mut *buffer, RecvFlags::TRUNC) {
                Err(Errno::INTR) => continue,
                result => result?,
            };
            if length > received {
                return Err(malformed("an answer is too long"));
            }
            if read_answers(&buffer[..received], *sequence, &mut each)? {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_index_1_and_is_found() {
        let rtnetlink = Rtnetlink::open().unwrap();
        assert_eq!(rtnetlink.index("lo").unwrap(), 1);
        assert!(rtnetlink.has_index(1).unwrap());
        rtnetlink.is_up(1).unwrap();
        rtnetlink.addresses(1).unwrap();
    }

    #[test]
    fn device_missing_is_enodev() {
        let rtnetlink = Rtnetlink::open().unwrap();
        let nodev = Some(Errno::NODEV.raw_os_error());
        assert_eq!(rtnetlink.index("no-such-device").unwrap_err().raw_os_error(), nodev);
        assert!(!rtnetlink.has_index(0x7fff_fff0).unwrap());
        assert_eq!(rtnetlink.is_up(0x7fff_fff0).unwrap_err().raw_os_error(), nodev);
    }
}
