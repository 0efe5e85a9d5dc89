//! The encoding of a configuration file.

use std::sync::Arc;

use crate::error::{Fault, Place};

/// Decodes a file, which has to be UTF-8, with or without a byte order mark.
///
/// # Errors
/// The place of the first byte that is not UTF-8, and the fault. UTF-16, which some editors and shells of Windows write, is
/// named at the start of the file.
pub(crate) fn decode(name: &Arc<str>, bytes: Vec<u8>) -> Result<String, (Place, Fault)> {
    let place = |line, column| Place::File { name: name.clone(), line, column };
    if is_utf_16(&bytes) {
        return Err((place(1, 1), Fault::Encoding { found: "UTF-16".to_owned() }));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let (before, rest) = error.as_bytes().split_at(valid);
        let before = String::from_utf8_lossy(before);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
        let byte = rest.first().copied().unwrap_or_default();
        (
            place(line, column),
            Fault::Encoding { found: format!("the byte {byte:#04x}, which is no UTF-8 here") },
        )
    })
}

/// Recognises UTF-16 by its byte order mark, or by the zero bytes of its first characters.
fn is_utf_16(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\xff\xfe")
        || bytes.starts_with(b"\xfe\xff")
        || matches!(bytes, [0, b' '..=b'~', ..] | [b' '..=b'~', 0, ..])
}
