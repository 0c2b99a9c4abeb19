//! Frames of gRPC: a byte of flags, a length of four bytes, and as many bytes.

use traffic_http::Fields;

use super::STATUS;

/// Flags and length.
const HEAD_BYTES: u8 = 5;
/// Tells the frame of what stands behind the body in HTTP.
const TRAILERS: u8 = 0x80;
/// For a client whose call came to no end: `INTERNAL`, as clients of gRPC itself call it.
const NO_STATUS: &[u8] = b"grpc-status: 13\r\ngrpc-message: the endpoint has not said how the call went\r\n";

/// Finds where frames end.
#[derive(Debug, Default)]
pub(super) struct FrameEnds {
    /// Bytes of the frame's head that have come.
    head: u8,
    /// Bytes of the frame that have not.
    left: u32,
}

impl FrameEnds {
    /// How much of the piece belongs to the present frame, and whether that ends it.
    pub(super) fn take(&mut self, piece: &[u8]) -> (usize, bool) {
        let mut taken = 0;
        while self.head < HEAD_BYTES {
            let Some(byte) = piece.get(taken) else { return (taken, false) };
            if self.head > 0 {
                self.left = self.left << 8 | u32::from(*byte);
            }
            self.head += 1;
            taken += 1;
        }
        let rest = u32::try_from(piece.len() - taken).unwrap_or(u32::MAX).min(self.left);
        self.left -= rest;
        let is_end = self.left == 0;
        if is_end {
            *self = Self::default();
        }
        (taken + rest as usize, is_end)
    }
}

/// Appends a frame of what stands behind the body in HTTP: lines, with names in lower case.
pub(super) fn trailer_frame(trailers: &Fields, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[TRAILERS, 0, 0, 0, 0]);
    for (name, value) in trailers.iter() {
        out.extend(name.to_ascii_lowercase());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    if trailers.find(STATUS).is_none() {
        out.extend_from_slice(NO_STATUS);
    }
    let length = out.len() - start - usize::from(HEAD_BYTES);
    // Trailers have a limit far below that.
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    if let Some(place) = out.get_mut(start + 1..start + usize::from(HEAD_BYTES)) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}
