//! Events and acknowledgements with their attachments, as one piece of finished frames.

use bytes::{Bytes, BytesMut};
use router_core::Args;
use wire::{
    socketio::{Nsp, Outgoing},
    ws,
};

/// An event that asks for no acknowledgement.
pub(crate) fn event(nsp: &Nsp, name: &str, args: &Args) -> Bytes {
    packed(Outgoing::event(nsp, None, name, args.json()), args)
}

/// The acknowledgement of the event `id`.
pub(crate) fn ack(nsp: &Nsp, id: u64, args: &Args) -> Bytes {
    packed(Outgoing::ack(nsp, id, args.json()), args)
}

/// The attachments follow their packet, and nothing may come between (Socket.IO protocol,
/// "Packet encoding"): so they are one piece.
fn packed(packet: Outgoing<'_>, args: &Args) -> Bytes {
    if args.attachments().is_empty() {
        return packet.to_frame();
    }
    let mut out = BytesMut::new();
    packet.with_attachments(args.attachments().len()).append_frame(&mut out);
    for attachment in args.attachments() {
        out.extend_from_slice(&ws::encode::binary(attachment));
    }
    out.freeze()
}
