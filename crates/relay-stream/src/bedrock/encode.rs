//! Messages as Bedrock sends them.

use bytes::BytesMut;

use crate::frame::{EncodeError, HeaderValue, write_message};
use crate::json;

/// Appends a chunk with the JSON of one event. `padding` becomes the member `p`, with which Bedrock hides the
/// length of the event; without padding the member is omitted.
/// # Errors
/// [`EncodeError::Frame`] if the event is too large for a frame.
pub fn write_chunk(event: &[u8], padding: &str, out: &mut BytesMut) -> Result<(), EncodeError> {
    let bytes = base64_simd::STANDARD.encode_to_string(event);
    let payload = match padding {
        "" => format!(r#"{{"bytes":"{bytes}"}}"#),
        padding => format!(r#"{{"bytes":"{bytes}","p":{}}}"#, json::quote(padding)),
    };
    let headers = [
        (":event-type", HeaderValue::String("chunk")),
        (":content-type", HeaderValue::String("application/json")),
        (":message-type", HeaderValue::String("event")),
    ];
    write_message(headers, payload.as_bytes(), out)
}

/// Appends an exception of the service model, such as `throttlingException`.
/// # Errors
/// [`EncodeError`] if the name or the message is longer than the format allows.
pub fn write_exception(name: &str, message: &str, out: &mut BytesMut) -> Result<(), EncodeError> {
    let payload = format!(r#"{{"message":{}}}"#, json::quote(message));
    let headers = [
        (":exception-type", HeaderValue::String(name)),
        (":content-type", HeaderValue::String("application/json")),
        (":message-type", HeaderValue::String("exception")),
    ];
    write_message(headers, payload.as_bytes(), out)
}

/// Appends an error outside the service model, such as `InternalFailure`.
/// # Errors
/// [`EncodeError`] if the code or the message is longer than the format allows.
pub fn write_error(code: &str, message: &str, out: &mut BytesMut) -> Result<(), EncodeError> {
    let headers = [
        (":message-type", HeaderValue::String("error")),
        (":error-code", HeaderValue::String(code)),
        (":error-message", HeaderValue::String(message)),
    ];
    write_message(headers, b"", out)
}
