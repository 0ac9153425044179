//! `linux.netDevices`: devices of the runtime's network namespace are moved into the container's.
//!
//! Runs in the runtime, while init waits in its namespaces. All that can be known beforehand is checked before the first
//! device is moved. What was moved is moved back when the creation fails, with its name, its addresses and its state: a
//! virtual device would end with the namespace. Afterwards the devices are the namespace's (config-linux.md, Namespace
//! Lifecycle): nothing of them is done at `delete`.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope,
};
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::plan::NetDeviceMove;
use crate::rtnetlink::{Rtnetlink, within};

/// The namespace of the calling thread, which need not be the process's.
const OWN_NAMESPACE: &str = "/proc/thread-self/ns/net";

/// A network namespace: to be named to the kernel, and to be worked in.
#[derive(Debug)]
struct Namespace {
    file: OwnedFd,
    rtnetlink: Rtnetlink,
}

impl Namespace {
    /// The calling thread's.
    fn own() -> io::Result<Self> {
        Ok(Self { file: File::open(OWN_NAMESPACE)?.into(), rtnetlink: Rtnetlink::open()? })
    }

    /// A process's.
    fn of_process(process: BorrowedFd<'_>) -> io::Result<Self> {
        within(process, Self::own)
    }
}

/// A device, as it is where it comes from.
#[derive(Debug)]
struct Device {
    name: String,
    index: u32,
    addresses: Vec<AddressMessage>,
    up: bool,
}

/// Devices that are in the container. They go back when this is dropped, unless it is told to leave them.
#[derive(Debug)]
pub(crate) struct Moved {
    host: Namespace,
    container: Namespace,
    /// With the index that it has in the container.
    devices: Vec<(Device, u32)>,
}

/// Moves devices into the network namespace of a process.
///
/// # Errors
/// [`Error::NetDevice`]: what was moved already is moved back.
pub(crate) fn move_devices(planned: &[NetDeviceMove], process: BorrowedFd<'_>) -> Result<Moved> {
    let enter = "enter the container's network namespace";
    let first = planned.first().ok_or(Error::NotFound)?;
    let host = Namespace::own().map_err(error(first, "open the runtime's network namespace"))?;
    let container = Namespace::of_process(process).map_err(error(first, enter))?;
    let mut moved = Moved { host, container, devices: Vec::new() };
    let found = planned.iter().map(|device| moved.find(device)).collect::<Result<Vec<_>>>()?;
    for (planned, device) in planned.iter().zip(found) {
        moved.move_in(planned, device)?;
    }
    Ok(moved)
}

fn error<'a>(planned: &'a NetDeviceMove, action: &'static str) -> impl Fn(io::Error) -> Error + use<'a> {
    move |source| Error::NetDevice {
        pointer: planned.pointer.clone(),
        device: planned.host_name.clone(),
        action,
        source,
    }
}

impl Moved {
    /// Leaves the devices where they are.
    pub(crate) fn keep(mut self) {
        self.devices.clear();
    }

    /// The device on the host, and whether its name is free in the container.
    fn find(&self, planned: &NetDeviceMove) -> Result<Device> {
        let host = &self.host.rtnetlink;
        let look = || -> io::Result<Device> {
            let index = host.index(&planned.host_name)?;
            let addresses = host.addresses(index)?.into_iter().filter_map(permanent).collect();
            let up = host.is_up(index)?;
            Ok(Device { name: planned.host_name.clone(), index, addresses, up })
        };
        let device = look().map_err(error(planned, "find it on the host"))?;
        // A template is a name that the kernel completes.
        if !planned.name.contains('%') {
            let taken = match self.container.rtnetlink.index(&planned.name) {
                Ok(_) => Err(Errno::EXIST.into()),
                Err(failure) if failure.raw_os_error() == Some(Errno::NODEV.raw_os_error()) => Ok(()),
                Err(failure) => Err(failure),
            };
            taken.map_err(error(planned, "find its name free in the container"))?;
        }
        Ok(device)
    }

    /// Moves one device, with its addresses, and sets it up.
    fn move_in(&mut self, planned: &NetDeviceMove, device: Device) -> Result<()> {
        let inside = &self.container.rtnetlink;
        let index = free_index(inside, device.index).map_err(error(planned, "find an index for it"))?;
        let mut result = self.host.rtnetlink.set_link(transfer(
            device.index,
            &self.container.file,
            index,
            // The name is set in any case: where the host's is taken, the kernel needs this one to move it at all.
            &planned.name,
        ));
        // It is moved first and renamed then: what could not be renamed is there nevertheless.
        let is_there = inside.has_index(index).unwrap_or(false);
        if result.is_ok() && !is_there {
            result = Err(Errno::NODEV.into());
        }
        let addresses = device.addresses.clone();
        if is_there {
            self.devices.push((device, index));
        }
        result.map_err(error(planned, "move it"))?;
        let inside = &self.container.rtnetlink;
        add_addresses(inside, index, addresses).map_err(error(planned, "give it its addresses"))?;
        inside.set_up(index).map_err(error(planned, "set it up"))
    }

    /// Moves one device back.
    fn move_back(&self, device: Device, index: u32) -> io::Result<()> {
        let host = &self.host.rtnetlink;
        let old = free_index(host, device.index)?;
        self.container.rtnetlink.set_link(transfer(index, &self.host.file, old, &device.name))?;
        add_addresses(host, old, device.addresses)?;
        if device.up { host.set_up(old) } else { Ok(()) }
    }
}

impl Drop for Moved {
    fn drop(&mut self) {
        for (device, index) in std::mem::take(&mut self.devices).into_iter().rev() {
            let name = device.name.clone();
            if let Err(error) = self.move_back(device, index) {
                tracing::warn!("the network device {name} could not be moved back to the host: {error}");
            }
        }
    }
}

/// This index, or the next that no device there has: given to the kernel, it is known afterwards, whatever name a template
/// became.
fn free_index(rtnetlink: &Rtnetlink, wanted: u32) -> io::Result<u32> {
    let mut index = wanted;
    while rtnetlink.has_index(index)? {
        index += 1;
    }
    Ok(index)
}

fn transfer(index: u32, namespace: &OwnedFd, new_index: u32, name: &str) -> LinkMessage {
    let mut link = LinkMessage::default();
    link.header.index = index;
    link.attributes = vec![
        LinkAttribute::IfName(name.to_owned()),
        LinkAttribute::NetNsFd(namespace.as_raw_fd()),
        LinkAttribute::NewIfIndex(new_index.cast_signed()),
    ];
    link
}

/// An address that is the device's for good and everywhere (config-linux.md, Network Devices), as it is to be given again;
/// `None` for another. Its label may hold the old name, and its lifetime is none.
fn permanent(mut address: AddressMessage) -> Option<AddressMessage> {
    let attributes = std::mem::take(&mut address.attributes);
    let wide = attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Flags(flags) => Some(*flags),
        _ => None,
    });
    let flags = wide.unwrap_or_else(|| AddressFlags::from_bits_retain(address.header.flags.bits().into()));
    if !flags.contains(AddressFlags::Permanent) || address.header.scope != AddressScope::Universe {
        return None;
    }
    let kept = |attribute: &AddressAttribute| {
        !matches!(
            attribute,
            AddressAttribute::Label(_) | AddressAttribute::CacheInfo(_) | AddressAttribute::Flags(_)
        )
    };
    address.attributes = attributes.into_iter().filter(kept).collect();
    let state = AddressFlags::Permanent
        | AddressFlags::Tentative
        | AddressFlags::Dadfailed
        | AddressFlags::Secondary
        | AddressFlags::Deprecated
        | AddressFlags::Optimistic;
    let mut flags = flags.difference(state);
    // It was found unique on this link; while it is looked for again, the container could not use it.
    if address.attributes.iter().any(|it| matches!(it, AddressAttribute::Address(it) if it.is_ipv6())) {
        flags |= AddressFlags::Nodad;
    }
    address.header.flags = AddressHeaderFlags::from_bits_retain(flags.bits() as u8);
    address.attributes.push(AddressAttribute::Flags(flags));
    Some(address)
}

fn add_addresses(rtnetlink: &Rtnetlink, index: u32, addresses: Vec<AddressMessage>) -> io::Result<()> {
    for mut address in addresses {
        address.header.index = index;
        match rtnetlink.add_address(address) {
            Err(error) if error.raw_os_error() == Some(Errno::EXIST.raw_os_error()) => {}
            result => result?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(flags: AddressFlags, scope: AddressScope, local: [u8; 4]) -> AddressMessage {
        let mut address = AddressMessage::default();
        address.header.scope = scope;
        address.attributes = vec![
            AddressAttribute::Address(local.into()),
            AddressAttribute::Label("eth0:1".to_owned()),
            AddressAttribute::Flags(flags),
        ];
        address
    }

    #[test]
    fn permanent_global_address_is_kept_without_its_state() {
        let flags = AddressFlags::Permanent | AddressFlags::Secondary | AddressFlags::Noprefixroute;
        let kept = permanent(address(flags, AddressScope::Universe, [10, 0, 0, 1])).unwrap();
        let expected = [
            AddressAttribute::Address([10, 0, 0, 1].into()),
            AddressAttribute::Flags(AddressFlags::Noprefixroute),
        ];
        assert_eq!(kept.attributes, expected);
    }

    #[test]
    fn address_of_a_lease_or_of_the_link_is_not_kept() {
        let lease = address(AddressFlags::empty(), AddressScope::Universe, [10, 0, 0, 1]);
        assert_eq!(permanent(lease), None);
        let link = address(AddressFlags::Permanent, AddressScope::Link, [169, 254, 0, 1]);
        assert_eq!(permanent(link), None);
    }
}
