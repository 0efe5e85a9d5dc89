//! Content codings for compressed requests and answers.

use async_compression::tokio::write::{BrotliEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder};
use tokio::io::AsyncWriteExt;

/// A content coding (RFC 9110 section 8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// The gzip format (RFC 1952).
    Gzip,
    /// The zlib format (RFC 1950), which HTTP calls `deflate`.
    Deflate,
    /// The Brotli format (RFC 7932).
    Brotli,
    /// The Zstandard format (RFC 8878).
    Zstd,
}

impl Coding {
    /// Every coding that Claude Code offers in `accept-encoding`.
    pub const ALL: [Self; 4] = [Self::Gzip, Self::Deflate, Self::Brotli, Self::Zstd];

    /// Returns the name in `content-encoding`.
    #[must_use]
    pub fn token(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }
}

/// Compresses `plain` with `coding`.
pub async fn compress(coding: Coding, plain: &[u8]) -> Vec<u8> {
    /// Runs one encoder from creation to `into_inner`, for which the four have no common trait.
    macro_rules! encode {
        ($encoder:ident) => {{
            let mut encoder = $encoder::new(Vec::new());
            encoder.write_all(plain).await.expect("a vector takes every write");
            encoder.shutdown().await.expect("a vector takes every write");
            encoder.into_inner()
        }};
    }
    match coding {
        Coding::Gzip => encode!(GzipEncoder),
        Coding::Deflate => encode!(ZlibEncoder),
        Coding::Brotli => encode!(BrotliEncoder),
        Coding::Zstd => encode!(ZstdEncoder),
    }
}
