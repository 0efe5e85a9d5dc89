//! Requests and answers of HTTP/1.1 whose body has a `content-length`.

use std::io::{Error, ErrorKind};

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::Result;

/// Reads until `received` has a whole message, and returns its length in bytes.
/// # Errors
/// If the connection ends before, or the head has no `content-length`.
pub(crate) async fn read_message(
    stream: &mut (impl AsyncRead + Unpin),
    received: &mut Vec<u8>,
) -> Result<usize> {
    loop {
        if let Some(end) = memchr::memmem::find(received, b"\r\n\r\n") {
            let head = std::str::from_utf8(&received[..end])?;
            let length = head.split("\r\n").find_map(|line| line.strip_prefix("content-length: "));
            let length = end + 4 + length.ok_or("a head without content-length")?.parse::<usize>()?;
            if received.len() >= length {
                return Ok(length);
            }
        }
        read(stream, received).await?;
    }
}

/// Reads the bytes that have arrived, or waits for the next ones.
/// # Errors
/// If the connection has ended.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin), received: &mut Vec<u8>) -> Result<()> {
    match stream.read_buf(received).await? {
        0 => Err(Error::from(ErrorKind::UnexpectedEof).into()),
        _ => Ok(()),
    }
}
