//! What the kernel answers, read packet by packet. Pure.

use std::io;

use netlink_packet_core::{NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessageBuffer;

const RTM_NEWADDR: u16 = 20;

/// Gives each answer to the request of this sequence number to `each`; whether the last one is among what was received: an
/// acknowledgement, or the end of a list. Answers to others, which nobody has waited for to the end, are none.
///
/// # Errors
/// What the acknowledgement says, or `each`; or the bytes are no packets.
pub(crate) fn read_answers(
    received: &[u8],
    sequence: u32,
    mut each: impl FnMut(NetlinkBuffer<&[u8]>) -> io::Result<()>,
) -> io::Result<bool> {
    let mut rest = received;
    while !rest.is_empty() {
        let packet = NetlinkBuffer::new_checked(rest).map_err(malformed)?;
        let length = packet.length() as usize;
        let (this, after) = rest.split_at(length.next_multiple_of(4).min(rest.len()));
        let packet = NetlinkBuffer::new_checked(&this[..length]).map_err(malformed)?;
        match packet.message_type() {
            _ if packet.sequence_number() != sequence => {}
            NLMSG_ERROR | NLMSG_DONE => return result_of(packet.payload()).map(|()| true),
            _ => each(packet)?,
        }
        rest = after;
    }
    Ok(false)
}

/// The flags of the device that an answer is about. The header is enough; attributes that the packet's library does not know
/// are of no concern.
///
/// # Errors
/// It is none about a device.
pub(crate) fn flags_of(answer: &NetlinkBuffer<&[u8]>) -> io::Result<u32> {
    Ok(LinkMessageBuffer::new_checked(answer.payload()).map_err(malformed)?.flags())
}

/// The address of an answer, where it is one of the device of this index.
///
/// # Errors
/// It is malformed.
pub(crate) fn address_of(answer: NetlinkBuffer<&[u8]>, index: u32) -> io::Result<Option<AddressMessage>> {
    // struct ifaddrmsg: the index is in its last four bytes.
    let is_of_device = answer.payload().get(4..8).is_some_and(|bytes| bytes == index.to_ne_bytes());
    if answer.message_type() != RTM_NEWADDR || !is_of_device {
        return Ok(None);
    }
    if !is_cache_info_whole(answer.payload().get(8..).unwrap_or_default()) {
        return Err(malformed("IFA_CACHEINFO is too short"));
    }
    let message =
        NetlinkMessage::<RouteNetlinkMessage>::deserialize(answer.into_inner()).map_err(malformed)?;
    match message.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(address)) => Ok(Some(address)),
        _ => Ok(None),
    }
}

/// Whether IFA_CACHEINFO has its whole structure, which the packet's library reads.
fn is_cache_info_whole(mut attributes: &[u8]) -> bool {
    const IFA_CACHEINFO: u16 = 6;
    /// struct ifa_cacheinfo, behind its header.
    const LENGTH: usize = 4 + 16;
    while let Some([low, high, kind_low, kind_high]) = attributes.first_chunk() {
        let length = usize::from(u16::from_ne_bytes([*low, *high]));
        // Without the bits that say how it is to be read.
        let kind = u16::from_ne_bytes([*kind_low, *kind_high]) & 0x3fff;
        if kind == IFA_CACHEINFO && length < LENGTH {
            return false;
        }
        attributes = attributes.get(length.max(4).next_multiple_of(4)..).unwrap_or_default();
    }
    true
}

/// The number that an acknowledgement begins with: 0, or an errno with a minus.
fn result_of(payload: &[u8]) -> io::Result<()> {
    match payload.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes)) {
        Some(0) | None => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(code.saturating_neg())),
    }
}

pub(crate) fn malformed(error: impl ToString) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("malformed answer of rtnetlink: {}", error.to_string()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(kind: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = (16 + payload.len() as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn acknowledgement_ends_it_with_its_number() {
        let acknowledgement = packet(NLMSG_ERROR, &0_i32.to_ne_bytes());
        assert!(read_answers(&acknowledgement, 0, |_| Ok(())).unwrap());
        assert!(!read_answers(&acknowledgement, 1, |_| Ok(())).unwrap(), "it is another's");
        for (code, errno) in [(-17, 17), (i32::MIN, i32::MAX)] {
            let error =
                read_answers(&packet(NLMSG_ERROR, &i32::to_ne_bytes(code)), 0, |_| Ok(())).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(errno));
        }
    }

    #[test]
    fn answers_are_given_up_to_the_last() {
        let mut received = packet(20, &[1; 5]);
        received.extend([0; 3]);
        received.extend(packet(20, &[2; 4]));
        let mut lengths = Vec::new();
        let mut read = |received: &[u8]| {
            read_answers(received, 0, |answer| {
                lengths.push(answer.payload().len());
                Ok(())
            })
        };
        assert!(!read(&received).unwrap());
        received.extend(packet(NLMSG_DONE, &[]));
        assert!(read(&received).unwrap());
        assert!(read(&received[..30]).is_err());
        assert_eq!(lengths, [5, 4, 5, 4, 5]);
    }
}
