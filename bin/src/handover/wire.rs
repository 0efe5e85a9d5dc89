//! The message with the listening sockets: its length, with the descriptors as ancillary data, then a list in JSON.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use relay_server::SocketFile;
use rustix::cmsg_space;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde_json::{Value, json};

use super::error::ReceiveError;
use crate::sockets::{Duplicate, Inherited, Service};

/// The largest number of sockets. The system allows 253 descriptors in one message.
const SOCKETS: usize = 64;
/// The longest list, in bytes.
const LIST: usize = 64 * 1024;
/// The version of the message. A program that is older or newer may know another one.
const VERSION: u64 = 1;

/// Sends the sockets, except Unix sockets whose file is gone: no client reaches them. The buffer of `stream` holds the message until it is received.
pub(super) fn send(stream: &mut UnixStream, sockets: &[Duplicate]) -> io::Result<()> {
    let is_reached = |socket: &&Duplicate| socket.file.as_ref().is_none_or(SocketFile::is_in_place);
    let sockets: Vec<_> = sockets.iter().filter(is_reached).collect();
    let list: Vec<_> = sockets.iter().copied().map(entry).collect();
    let list = json!({"version": VERSION, "sockets": list}).to_string();
    let descriptors: Vec<_> = sockets.iter().map(|socket| socket.descriptor.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(SOCKETS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if list.len() > LIST || !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::new(ErrorKind::InvalidInput, "too many listeners"));
    }
    let length = u32::try_from(list.len()).map_err(io::Error::other)?.to_be_bytes();
    sendmsg(&*stream, &[IoSlice::new(&length)], &mut control, SendFlags::empty())?;
    stream.write_all(list.as_bytes())
}

fn entry(socket: &Duplicate) -> Value {
    json!({
        "service": socket.service.name(),
        "place": socket.place,
        "given": socket.is_given,
        "file": socket.file.is_some(),
    })
}

/// Receives the sockets.
pub(super) fn receive(stream: &mut UnixStream) -> Result<Vec<Inherited>, ReceiveError> {
    let mut length = [0; 4];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(SOCKETS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(&*stream, &mut [IoSliceMut::new(&mut length)], &mut control, RecvFlags::empty());
    let received = received.map_err(|error| ReceiveError::Receive(error.into()))?;
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    let length = u32::from_be_bytes(length) as usize;
    if received.bytes != 4 || length > LIST {
        return Err(ReceiveError::Form);
    }
    let mut list = vec![0; length];
    stream.read_exact(&mut list).map_err(ReceiveError::Receive)?;
    for descriptor in &descriptors {
        let result = fcntl_setfd(descriptor, FdFlags::CLOEXEC);
        result.map_err(|error| ReceiveError::Receive(error.into()))?;
    }
    assign(&list, descriptors).ok_or(ReceiveError::Form)
}

/// Reads the list, which has one entry for each descriptor.
fn assign(list: &[u8], descriptors: Vec<OwnedFd>) -> Option<Vec<Inherited>> {
    let list: Value = serde_json::from_slice(list).ok()?;
    let entries = list["sockets"].as_array().filter(|_| list["version"] == VERSION)?;
    if entries.len() != descriptors.len() {
        return None;
    }
    let inherited = entries.iter().zip(descriptors).map(|(entry, descriptor)| {
        Some(Inherited {
            service: Service::named(entry["service"].as_str()?)?,
            place: entry["place"].as_str()?.to_owned(),
            is_given: entry["given"].as_bool()?,
            removes_file: entry["file"].as_bool()?,
            descriptor,
        })
    });
    inherited.collect()
}
