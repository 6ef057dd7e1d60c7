//! Padding of payloads.

use alloc::vec::Vec;

use super::SphinxError;
use super::params::{PAYLOAD_OVERHEAD_LEN, SECURITY_LEN};

/// Appends the padded plaintext to `packet`: 16 zeros, the plaintext, a byte of one, zeros up to `payload_len` in all.
///
/// The caller has checked that it fits; what does not fit is cut off.
pub fn pad(packet: &mut Vec<u8>, plaintext: &[u8], payload_len: usize) {
    let room = payload_len.saturating_sub(PAYLOAD_OVERHEAD_LEN);
    debug_assert!(plaintext.len() <= room, "the caller checks the length");
    let end = packet.len() + payload_len;
    packet.resize(packet.len() + SECURITY_LEN, 0);
    packet.extend_from_slice(&plaintext[..plaintext.len().min(room)]);
    packet.push(1);
    packet.resize(end, 0);
}

/// Finds the plaintext in a payload without layers.
///
/// # Errors
///
/// [`SphinxError::Payload`] when the payload does not begin with 16 zeros, which an altered one does not, or does not end
/// in a byte of one and zeros.
pub fn unpad(payload: &[u8]) -> Result<&[u8], SphinxError> {
    let (zeros, rest) = payload.split_first_chunk::<SECURITY_LEN>().ok_or(SphinxError::Payload)?;
    let marker = rest.iter().rposition(|&byte| byte != 0).ok_or(SphinxError::Payload)?;
    if *zeros != [0; SECURITY_LEN] || rest[marker] != 1 {
        return Err(SphinxError::Payload);
    }
    Ok(&rest[..marker])
}
