//! Bedrock's side of the stream, for tests.

use bytes::BytesMut;

use crate::frame::{EncodeError, HeaderValue, write_message};
use crate::json;

/// Appends a chunk with one event, as Bedrock sends it; `padding` goes into `p`.
/// # Errors
/// [`EncodeError::Frame`] if the event is larger than a frame can be.
pub fn write_chunk(event: &[u8], padding: &str, out: &mut BytesMut) -> Result<(), EncodeError> {
    let bytes = base64_simd::STANDARD.encode_to_string(event);
    let payload = format!(r#"{{"bytes":"{bytes}","p":{}}}"#, json::quote(padding));
    let headers = [
        (":event-type", HeaderValue::String("chunk")),
        (":content-type", HeaderValue::String("application/json")),
        (":message-type", HeaderValue::String("event")),
    ];
    write_message(headers, payload.as_bytes(), out)
}

/// Appends an exception, such as `throttlingException`.
/// # Errors
/// [`EncodeError`] if name or message are longer than the format can say.
pub fn write_exception(name: &str, message: &str, out: &mut BytesMut) -> Result<(), EncodeError> {
    let payload = format!(r#"{{"message":{}}}"#, json::quote(message));
    let headers = [
        (":exception-type", HeaderValue::String(name)),
        (":content-type", HeaderValue::String("application/json")),
        (":message-type", HeaderValue::String("exception")),
    ];
    write_message(headers, payload.as_bytes(), out)
}

/// Appends an error outside the service's model, such as `InternalFailure`.
/// # Errors
/// [`EncodeError`] if code or message are longer than the format can say.
pub fn write_error(code: &str, message: &str, out: &mut BytesMut) -> Result<(), EncodeError> {
    let headers = [
        (":message-type", HeaderValue::String("error")),
        (":error-code", HeaderValue::String(code)),
        (":error-message", HeaderValue::String(message)),
    ];
    write_message(headers, b"", out)
}
