//! Source NAT by nf_tables, over netlink.
//!
//! Runs in the runtime. A table with one chain and one rule: what comes from the network and does not go there gets the
//! address of the device by which it leaves. The messages are few, so they are written here (linux/netfilter/nf_tables.h);
//! the kernel takes them all or none, as one batch.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};

use crate::launch::wait_readable;

const DEADLINE: Duration = Duration::from_secs(10);

/// A socket in the namespace that its maker's thread was in.
#[derive(Debug)]
pub(super) struct Netfilter(OwnedFd);

impl Netfilter {
    pub(super) fn open() -> io::Result<Self> {
        let protocol = Some(netlink::NETFILTER);
        Ok(Self(socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?))
    }

    /// Sends a batch. The kernel answers with the first failure, or acknowledges the last message of the batch.
    fn submit(&self, batch: &Batch) -> io::Result<()> {
        send(&self.0, &batch.bytes, SendFlags::NOSIGNAL)?;
        let deadline = Instant::now() + DEADLINE;
        let mut buffer = vec![0; 32 << 10];
        loop {
            wait_readable(&[self.0.as_fd()], deadline)?;
            let length = match recv(&self.0, &mut *buffer, RecvFlags::empty()) {
                Err(Errno::INTR) => continue,
                result => result?.0,
            };
            for answer in messages(&buffer[..length]) {
                let number = |at: usize| {
                    answer.get(at..at + 4)?.first_chunk().map(|bytes: &[u8; 4]| i32::from_ne_bytes(*bytes))
                };
                let kind = answer.get(4..6).map(|bytes| u16::from_ne_bytes([bytes[0], bytes[1]]));
                // struct nlmsghdr, then struct nlmsgerr.
                if let (Some(ERROR), Some(sequence), Some(code)) = (kind, number(8), number(16)) {
                    if code != 0 {
                        return Err(io::Error::from_raw_os_error(-code));
                    }
                    if sequence.cast_unsigned() == batch.acknowledged {
                        return Ok(());
                    }
                }
            }
        }
    }
}

fn messages(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
        let message = bytes.get(..length).filter(|_| length >= 16)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

const ERROR: u16 = 2;
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const EXCL: u16 = 0x200;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;
/// The attribute has attributes in it.
const NESTED: u16 = 0x8000;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// Of the messages of nf_tables, in the upper byte of their kind.
const NF_TABLES: u16 = 10;
const NEW_TABLE: u16 = NF_TABLES << 8;
const DELETE_TABLE: u16 = NF_TABLES << 8 | 2;
const NEW_CHAIN: u16 = NF_TABLES << 8 | 3;
const NEW_RULE: u16 = NF_TABLES << 8 | 6;
const FAMILIES: [u8; 2] = [2, 10];

pub(super) fn add(netfilter: &Netfilter, table: &str, network: IpAddr, prefix_length: u8) -> io::Result<()> {
    let family = if network.is_ipv4() { FAMILIES[0] } else { FAMILIES[1] };
    let mut batch = Batch::begin();
    batch.message(NEW_TABLE, CREATE | EXCL, family, |it| it.text(1, table));
    batch.message(NEW_CHAIN, CREATE | EXCL, family, |it| {
        it.text(1, table);
        it.text(3, "postrouting");
        it.nested(4, |hook| {
            hook.number(1, 4); // NF_INET_POST_ROUTING
            hook.number(2, 100); // NF_IP_PRI_NAT_SRC
        });
        it.text(7, "nat");
    });
    batch.message(NEW_RULE, CREATE | APPEND, family, |it| {
        it.text(1, table);
        it.text(2, "postrouting");
        it.nested(4, |expressions| {
            let (source, destination) = if network.is_ipv4() { (12, 16) } else { (8, 24) };
            in_network(expressions, source, network, prefix_length, EQUAL);
            in_network(expressions, destination, network, prefix_length, NOT_EQUAL);
            expressions.nested(1, |element| {
                element.text(1, "masq");
                element.nested(2, |_| {});
            });
        });
    });
    netfilter.submit(&batch.end())
}

pub(super) fn remove(netfilter: &Netfilter, table: &str) -> io::Result<()> {
    for family in FAMILIES {
        let mut batch = Batch::begin();
        batch.message(DELETE_TABLE, 0, family, |it| it.text(1, table));
        match netfilter.submit(&batch.end()) {
            Err(error) if error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => {}
            result => result?,
        }
    }
    Ok(())
}

const EQUAL: u32 = 0;
const NOT_EQUAL: u32 = 1;

/// Goes on where the address at this offset of the network header is in the network, or is not.
fn in_network(
    expressions: &mut Attributes<'_>,
    offset: u32,
    network: IpAddr,
    prefix_length: u8,
    operation: u32,
) {
    const REGISTER: u32 = 1;
    let address = match network {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let mask = mask(address.len(), prefix_length);
    let masked: Vec<u8> = address.iter().zip(&mask).map(|(byte, mask)| byte & mask).collect();
    let length = address.len() as u32;
    expressions.nested(1, |element| {
        element.text(1, "payload");
        element.nested(2, |data| {
            data.number(1, REGISTER);
            data.number(2, 1); // NFT_PAYLOAD_NETWORK_HEADER
            data.number(3, offset);
            data.number(4, length);
        });
    });
    expressions.nested(1, |element| {
        element.text(1, "bitwise");
        element.nested(2, |data| {
            data.number(1, REGISTER);
            data.number(2, REGISTER);
            data.number(3, length);
            data.nested(4, |value| value.bytes(1, &mask));
            data.nested(5, |value| value.bytes(1, &vec![0; mask.len()]));
        });
    });
    expressions.nested(1, |element| {
        element.text(1, "cmp");
        element.nested(2, |data| {
            data.number(1, REGISTER);
            data.number(2, operation);
            data.nested(3, |value| value.bytes(1, &masked));
        });
    });
}

fn mask(bytes: usize, prefix_length: u8) -> Vec<u8> {
    let bits = |index: usize| usize::from(prefix_length).saturating_sub(index * 8).min(8) as u32;
    (0..bytes).map(|index| (0xff_u16 << (8 - bits(index))) as u8).collect()
}

/// Messages that the kernel takes all or none.
struct Batch {
    bytes: Vec<u8>,
    sequence: u32,
    /// The sequence number of the last message that is acknowledged.
    acknowledged: u32,
}

impl Batch {
    fn begin() -> Self {
        let mut batch = Self { bytes: Vec::new(), sequence: 0, acknowledged: 0 };
        batch.border(BATCH_BEGIN);
        batch
    }

    fn end(mut self) -> Self {
        self.border(BATCH_END);
        self
    }

    fn border(&mut self, kind: u16) {
        self.write(kind, 0, 0, NF_TABLES, |_| {});
    }

    fn message(&mut self, kind: u16, flags: u16, family: u8, fill: impl FnOnce(&mut Attributes<'_>)) {
        self.write(kind, flags | ACK, family, 0, fill);
        self.acknowledged = self.sequence;
    }

    /// struct nlmsghdr, struct nfgenmsg, attributes.
    fn write(
        &mut self,
        kind: u16,
        flags: u16,
        family: u8,
        resource: u16,
        fill: impl FnOnce(&mut Attributes<'_>),
    ) {
        self.sequence += 1;
        let start = self.bytes.len();
        self.bytes.extend([0; 4]);
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend((REQUEST | flags).to_ne_bytes());
        self.bytes.extend(self.sequence.to_ne_bytes());
        self.bytes.extend([0; 4]);
        self.bytes.extend([family, 0]);
        self.bytes.extend(resource.to_be_bytes());
        fill(&mut Attributes(&mut self.bytes));
        let length = (self.bytes.len() - start) as u32;
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }
}

/// Where attributes are written to.
struct Attributes<'a>(&'a mut Vec<u8>);

impl Attributes<'_> {
    fn bytes(&mut self, kind: u16, value: &[u8]) {
        self.0.extend((4 + value.len() as u16).to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn text(&mut self, kind: u16, text: &str) {
        let terminated: Vec<u8> = text.bytes().chain([0]).collect();
        self.bytes(kind, &terminated);
    }

    fn number(&mut self, kind: u16, number: u32) {
        self.bytes(kind, &number.to_be_bytes());
    }

    fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Attributes<'_>)) {
        let start = self.0.len();
        self.0.extend([0; 2]);
        self.0.extend((kind | NESTED).to_ne_bytes());
        fill(&mut Attributes(self.0));
        let length = (self.0.len() - start) as u16;
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mask_of_prefix() {
        assert_eq!(mask(4, 0), [0, 0, 0, 0]);
        assert_eq!(mask(4, 20), [255, 255, 240, 0]);
        assert_eq!(mask(4, 32), [255; 4]);
        assert_eq!(mask(16, 65)[7..10], [255, 128, 0]);
    }

    #[test]
    fn attributes_are_padded_and_their_lengths_are_not() {
        let mut bytes = Vec::new();
        Attributes(&mut bytes).nested(4, |it| it.text(1, "nat!"));
        let expected = [
            &16_u16.to_ne_bytes()[..],
            &0x8004_u16.to_ne_bytes(),
            &9_u16.to_ne_bytes(),
            &1_u16.to_ne_bytes(),
            b"nat!\0\0\0\0",
        ];
        assert_eq!(bytes, expected.concat());
    }
}
