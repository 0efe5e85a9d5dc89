//! The encoder: headers and payload in, a frame out.

use bytes::{BufMut, BytesMut};

use super::{HeaderValue, PRELUDE_LEN};

/// Appends one message with `headers` and `payload` to `out`.
/// ```
/// use relay_stream::frame::{Decoder, HeaderValue, write_message};
///
/// let mut out = bytes::BytesMut::new();
/// write_message([(":message-type", HeaderValue::String("event"))], b"payload", &mut out)?;
/// let message = Decoder::new().decode(&mut out.freeze())?.expect("the frame is complete");
/// assert_eq!(message.header(":message-type").and_then(|value| value.as_str()), Some("event"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
/// # Errors
/// [`EncodeError`] if a name, a value or the frame is longer than the format allows. `out` is then unchanged.
pub fn write_message<'a>(
    headers: impl IntoIterator<Item = (&'a str, HeaderValue<'a>)>,
    payload: &[u8],
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let start = out.len();
    write(headers, payload, out).inspect_err(|_| out.truncate(start))
}

fn write<'a>(
    headers: impl IntoIterator<Item = (&'a str, HeaderValue<'a>)>,
    payload: &[u8],
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let start = out.len();
    out.put_bytes(0, PRELUDE_LEN);
    for (name, value) in headers {
        write_header(name, value, out)?;
    }
    let headers_len = out.len() - start - PRELUDE_LEN;
    let total = out.len() - start + payload.len() + 4;
    let too_large = |_| EncodeError::Frame { len: total };
    let (total_u32, headers_u32) =
        (u32::try_from(total).map_err(too_large)?, u32::try_from(headers_len).map_err(too_large)?);
    out.put_slice(payload);
    out[start..start + 4].copy_from_slice(&total_u32.to_be_bytes());
    out[start + 4..start + 8].copy_from_slice(&headers_u32.to_be_bytes());
    let prelude_checksum = crc32fast::hash(&out[start..start + 8]);
    out[start + 8..start + 12].copy_from_slice(&prelude_checksum.to_be_bytes());
    let checksum = crc32fast::hash(&out[start..]);
    out.put_u32(checksum);
    Ok(())
}

fn write_header(name: &str, value: HeaderValue<'_>, out: &mut BytesMut) -> Result<(), EncodeError> {
    let name_len = u8::try_from(name.len()).ok().filter(|&len| len > 0);
    out.put_u8(name_len.ok_or(EncodeError::HeaderName { len: name.len() })?);
    out.put_slice(name.as_bytes());
    match value {
        HeaderValue::Bool(value) => out.put_u8(if value { 0 } else { 1 }),
        HeaderValue::Byte(value) => put(2, &value.to_be_bytes(), out),
        HeaderValue::Short(value) => put(3, &value.to_be_bytes(), out),
        HeaderValue::Int(value) => put(4, &value.to_be_bytes(), out),
        HeaderValue::Long(value) => put(5, &value.to_be_bytes(), out),
        HeaderValue::Bytes(value) => put_long(6, value, out)?,
        HeaderValue::String(value) => put_long(7, value.as_bytes(), out)?,
        HeaderValue::Timestamp(value) => put(8, &value.to_be_bytes(), out),
        HeaderValue::Uuid(value) => put(9, &value, out),
    }
    Ok(())
}

fn put(kind: u8, value: &[u8], out: &mut BytesMut) {
    out.put_u8(kind);
    out.put_slice(value);
}

fn put_long(kind: u8, value: &[u8], out: &mut BytesMut) -> Result<(), EncodeError> {
    let len = u16::try_from(value.len()).map_err(|_| EncodeError::HeaderValue { len: value.len() })?;
    out.put_u8(kind);
    out.put_u16(len);
    out.put_slice(value);
    Ok(())
}

/// An error in encoding a message: a part of it is too long for the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The name of a header is empty or longer than 255 bytes.
    #[error("a header name has {len} bytes, expected 1 to 255")]
    HeaderName {
        /// The length of the name in bytes.
        len: usize,
    },
    /// The value of a header is longer than 65,535 bytes.
    #[error("a header value has {len} bytes, expected at most 65535")]
    HeaderValue {
        /// The length of the value in bytes.
        len: usize,
    },
    /// The frame is longer than 4 GiB.
    #[error("a frame of {len} bytes is too large for the format")]
    Frame {
        /// The length of the frame in bytes.
        len: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_too_long_for_the_format_is_an_error_and_writes_nothing() {
        let mut out = BytesMut::from("before");
        let long = "x".repeat(65_536);
        let mut check = |name, value, expected| {
            let good = ("good", HeaderValue::Bool(true));
            assert_eq!(write_message([good, (name, value)], b"", &mut out), Err(expected));
            assert_eq!(out, "before");
        };
        check("", HeaderValue::Bool(true), EncodeError::HeaderName { len: 0 });
        check(&long[..256], HeaderValue::Bool(true), EncodeError::HeaderName { len: 256 });
        check("n", HeaderValue::String(&long), EncodeError::HeaderValue { len: 65_536 });
        check("n", HeaderValue::Bytes(long.as_bytes()), EncodeError::HeaderValue { len: 65_536 });
    }

    #[test]
    fn a_frame_equals_the_frame_of_an_independent_encoder() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../testdata/eventstream.json")).unwrap();
        let vector =
            vectors.as_array().unwrap().iter().find(|vector| vector["name"] == "all header kinds").unwrap();
        let headers = [
            ("t", HeaderValue::Bool(true)),
            ("f", HeaderValue::Bool(false)),
            ("i", HeaderValue::Int(-7)),
            ("b", HeaderValue::Bytes(&[0, 255])),
            ("s", HeaderValue::String("x")),
        ];
        let mut out = BytesMut::new();
        write_message(headers, b"p", &mut out).unwrap();
        assert_eq!(base64_simd::STANDARD.encode_to_string(&out), vector["frame"].as_str().unwrap());
    }
}
