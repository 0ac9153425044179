//! Networking for programs that run containers without an engine above: veth pairs, bridges, addresses, routes, NAT.
//!
//! Runs in the runtime; synchronous, over rtnetlink and nf_tables. A [`NetworkNamespace`] is a handle: everything is done in
//! the namespace that it names, whatever namespace the calling thread is in, and no thread of the program changes its own.
//! Nothing here is recorded: devices and rules are their namespace's and end with it, but for those in the host's.
//!
//! The classical walk-through, a pod that reaches the world through the host:
//!
//! ```no_run
//! use sandbox::net::NetworkNamespace;
//! use sandbox::{ContainerId, PodRequest, Runtime};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let runtime = Runtime::open("/run/my-program")?;
//! let pod = runtime.create_pod(&PodRequest::new(ContainerId::new("shop")?))?.value;
//! let host = NetworkNamespace::own()?;
//! let inside = NetworkNamespace::open(pod.network().ok_or("it shares a network")?)?;
//!
//! host.add_veth("shop0", &inside, "eth0")?;
//! host.add_address("shop0", "10.88.0.1".parse()?, 24)?;
//! host.set_up("shop0")?;
//! inside.add_address("eth0", "10.88.0.2".parse()?, 24)?;
//! inside.set_up("eth0")?;
//! inside.add_default_route("10.88.0.1".parse()?)?;
//! host.enable_forwarding()?;
//! host.masquerade("shop", "10.88.0.0".parse()?, 24)?;
//! // At the end, after the pod is deleted:
//! host.remove_masquerade("shop")?;
//! # Ok(())
//! # }
//! ```

mod nat;

use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use init::sys::flag;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkInfo, LinkMessage};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};

use crate::error::{Error, Result};
use crate::rtnetlink::{Rtnetlink, within};

/// Longest name of a device, in bytes (`IFNAMSIZ` with the NUL).
const MOST_NAME_BYTES: usize = 15;

/// A network namespace: to be worked in, and to be named to the kernel.
#[derive(Debug)]
pub struct NetworkNamespace {
    file: OwnedFd,
    rtnetlink: Rtnetlink,
}

impl NetworkNamespace {
    /// The calling thread's own: most often the host's.
    ///
    /// # Errors
    /// Of the calls.
    pub fn own() -> Result<Self> {
        Self::of_this_thread().map_err(failed(|| "open the network namespace".to_owned()))
    }

    /// The one of a file: a [pod's](crate::Pod::network), one of `ip netns`, `/proc/PID/ns/net`.
    ///
    /// # Errors
    /// The file can't be opened, or is no network namespace; only its owner's root may enter it.
    pub fn open(path: &Path) -> Result<Self> {
        let what = || format!("enter the network namespace {}", path.display());
        let file = File::open(path).map_err(failed(what))?;
        match crate::sys::namespace_kind(file.as_fd()) {
            Ok(flag::CLONE_NEWNET) => {}
            _ => return Err(failed(what)(io::Error::other("it is no network namespace"))),
        }
        Self::entered(file.as_fd()).map_err(failed(what))
    }

    /// The one of a process, held by its pidfd: a container's, as `create` returns it.
    ///
    /// # Errors
    /// The process has ended; only its owner's root may enter the namespace.
    pub fn of_process(process: impl AsFd) -> Result<Self> {
        Self::entered(process.as_fd())
            .map_err(failed(|| "enter the network namespace of the process".to_owned()))
    }

    fn of_this_thread() -> io::Result<Self> {
        Ok(Self { file: File::open("/proc/thread-self/ns/net")?.into(), rtnetlink: Rtnetlink::open()? })
    }

    fn entered(namespace: BorrowedFd<'_>) -> io::Result<Self> {
        within(namespace, Self::of_this_thread)
    }

    /// Sets a device up. `lo` is one.
    ///
    /// # Errors
    /// ENODEV
    pub fn set_up(&self, device: &str) -> Result<()> {
        let set = || self.rtnetlink.set_up(self.rtnetlink.index(device)?);
        set().map_err(failed(|| format!("set the network device {device} up")))
    }

    /// Makes a pair of virtual Ethernet devices, one here and one in another namespace (or in the same). Both are down.
    ///
    /// # Errors
    /// EEXIST: one of the names is taken.
    pub fn add_veth(&self, name: &str, other: &Self, other_name: &str) -> Result<()> {
        let what = || format!("make the veth pair {name} and {other_name}");
        check_name(name).and(check_name(other_name)).map_err(failed(what))?;
        let mut peer = LinkMessage::default();
        peer.attributes = vec![
            LinkAttribute::IfName(other_name.to_owned()),
            LinkAttribute::NetNsFd(other.file.as_raw_fd()),
        ];
        let info = vec![LinkInfo::Kind(InfoKind::Veth), LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer)))];
        self.rtnetlink.add_link(link(name, info)).map_err(failed(what))
    }

    /// Makes a bridge, which is down.
    ///
    /// # Errors
    /// EEXIST: the name is taken.
    pub fn add_bridge(&self, name: &str) -> Result<()> {
        let what = || format!("make the bridge {name}");
        check_name(name).map_err(failed(what))?;
        self.rtnetlink.add_link(link(name, vec![LinkInfo::Kind(InfoKind::Bridge)])).map_err(failed(what))
    }

    /// Makes a device a port of a bridge.
    ///
    /// # Errors
    /// ENODEV
    pub fn attach(&self, device: &str, bridge: &str) -> Result<()> {
        let attach = || {
            let mut link = LinkMessage::default();
            link.header.index = self.rtnetlink.index(device)?;
            link.attributes = vec![LinkAttribute::Controller(self.rtnetlink.index(bridge)?)];
            self.rtnetlink.set_link(link)
        };
        attach().map_err(failed(|| format!("attach the network device {device} to {bridge}")))
    }

    /// Removes a device; with a veth its other end.
    ///
    /// # Errors
    /// ENODEV
    pub fn remove_device(&self, device: &str) -> Result<()> {
        let remove = || {
            let mut link = LinkMessage::default();
            link.header.index = self.rtnetlink.index(device)?;
            self.rtnetlink.remove_link(link)
        };
        remove().map_err(failed(|| format!("remove the network device {device}")))
    }

    /// Gives a device an address, and with it the route to the network of this prefix. An IPv6 address can be used at once:
    /// nobody else is looked for who has it.
    ///
    /// # Errors
    /// ENODEV; EEXIST: it has it.
    pub fn add_address(&self, device: &str, address: IpAddr, prefix_length: u8) -> Result<()> {
        let add = || {
            check_prefix(address, prefix_length)?;
            let mut message = AddressMessage::default();
            message.header.index = self.rtnetlink.index(device)?;
            message.header.family = family(address);
            message.header.prefix_len = prefix_length;
            message.attributes = vec![AddressAttribute::Local(address), AddressAttribute::Address(address)];
            if address.is_ipv6() {
                message.header.flags = AddressHeaderFlags::from_bits_retain(AddressFlags::Nodad.bits() as u8);
            }
            self.rtnetlink.add_address(message)
        };
        add().map_err(failed(|| {
            format!("give the network device {device} the address {address}/{prefix_length}")
        }))
    }

    /// Adds a route to a network by way of a gateway.
    ///
    /// # Errors
    /// EEXIST; ENETUNREACH: the gateway itself can't be reached.
    pub fn add_route(&self, network: IpAddr, prefix_length: u8, gateway: IpAddr) -> Result<()> {
        let add = || {
            check_prefix(network, prefix_length)?;
            if network.is_ipv4() != gateway.is_ipv4() {
                return Err(io::Error::other("network and gateway are not of the same family"));
            }
            let mut route = RouteMessage::default();
            route.header.address_family = family(network);
            route.header.destination_prefix_length = prefix_length;
            route.header.table = RouteHeader::RT_TABLE_MAIN;
            route.header.protocol = RouteProtocol::Boot;
            route.header.scope = RouteScope::Universe;
            route.header.kind = RouteType::Unicast;
            route.attributes = vec![RouteAttribute::Gateway(RouteAddress::from(gateway))];
            if prefix_length > 0 {
                route.attributes.push(RouteAttribute::Destination(RouteAddress::from(network)));
            }
            self.rtnetlink.add_route(route)
        };
        add().map_err(failed(|| format!("add the route to {network}/{prefix_length} by {gateway}")))
    }

    /// Adds the route to everything that has no other, by way of a gateway.
    ///
    /// # Errors
    /// As of [`NetworkNamespace::add_route`].
    pub fn add_default_route(&self, gateway: IpAddr) -> Result<()> {
        let everything: IpAddr = match gateway {
            IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        self.add_route(everything, 0, gateway)
    }

    /// Lets packets of others pass through this namespace, of IPv4 and, where the kernel has it, IPv6.
    ///
    /// # Errors
    /// The kernel's parameter can't be written: `/proc/sys` is read-only in most containers.
    pub fn enable_forwarding(&self) -> Result<()> {
        const FILES: [&str; 2] = ["/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"];
        // /proc/sys/net is that of the thread that opens it.
        let write = || {
            FILES.into_iter().try_for_each(|file| match std::fs::write(file, "1") {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                result => result,
            })
        };
        within(self.file.as_fd(), write)
            .map_err(failed(|| "enable forwarding in the network namespace".to_owned()))
    }

    /// Gives packets that come from this network and leave it the address of the device by which they leave (source NAT by
    /// nf_tables, in a table of this name of its own).
    ///
    /// # Errors
    /// EEXIST: there is a table of this name. EOPNOTSUPP, EPROTONOSUPPORT: the kernel has no nf_tables, or no NAT; with
    /// modules they may have to be loaded (`nft_masq`).
    pub fn masquerade(&self, table: &str, network: IpAddr, prefix_length: u8) -> Result<()> {
        let add = || {
            check_prefix(network, prefix_length)?;
            nat::add(&self.netfilter()?, table, network, prefix_length)
        };
        add().map_err(failed(|| {
            format!("masquerade {network}/{prefix_length} in the table {table} of nf_tables")
        }))
    }

    /// Removes the table of a [`NetworkNamespace::masquerade`], of IPv4 and IPv6. It need not be there.
    ///
    /// # Errors
    /// Of nf_tables.
    pub fn remove_masquerade(&self, table: &str) -> Result<()> {
        let remove = || nat::remove(&self.netfilter()?, table);
        remove().map_err(failed(|| format!("remove the table {table} of nf_tables")))
    }

    fn netfilter(&self) -> io::Result<nat::Netfilter> {
        within(self.file.as_fd(), nat::Netfilter::open)
    }
}

impl AsFd for NetworkNamespace {
    /// The namespace's file.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn failed(action: impl FnOnce() -> String) -> impl FnOnce(io::Error) -> Error {
    |source| Error::Network { action: action(), source }
}

fn link(name: &str, info: Vec<LinkInfo>) -> LinkMessage {
    let mut link = LinkMessage::default();
    link.attributes = vec![LinkAttribute::IfName(name.to_owned()), LinkAttribute::LinkInfo(info)];
    link
}

const fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

fn check_prefix(address: IpAddr, length: u8) -> io::Result<()> {
    let most = if address.is_ipv4() { 32 } else { 128 };
    if length > most {
        return Err(io::Error::other(format!("a prefix has at most {most} bits")));
    }
    Ok(())
}

/// The kernel would take `%` for a place to put a number at.
fn check_name(name: &str) -> io::Result<()> {
    let allowed = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':' | b'%');
    let good = (1..=MOST_NAME_BYTES).contains(&name.len())
        && name.bytes().all(allowed)
        && !matches!(name, "." | "..");
    if good { Ok(()) } else { Err(io::Error::other(format!("{name:?} is no name of a network device"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_prefixes_checked() {
        for name in ["eth0", "a", "veth-1.2", "fifteen-bytes-x"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", ".", "..", "a/b", "eth%d", "a b", "sixteen-bytes-xx", "a:1"] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert!(check_prefix("10.0.0.0".parse().unwrap(), 32).is_ok());
        assert!(check_prefix("10.0.0.0".parse().unwrap(), 33).is_err());
        assert!(check_prefix("::".parse().unwrap(), 128).is_ok());
    }
}
