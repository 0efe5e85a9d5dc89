//! The content codings that the relay can decode.

/// A content coding that the relay can decode (RFC 9110, section 8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContentCoding {
    /// RFC 1952, with any number of members.
    Gzip,
    /// RFC 1950, the zlib format, or RFC 1951, raw deflate, which many servers send under this name.
    Deflate,
    /// RFC 7932.
    Brotli,
    /// RFC 8878, with any number of frames.
    Zstd,
}

impl ContentCoding {
    /// The codings that can be decoded.
    pub const ALL: &[Self] = &[Self::Gzip, Self::Deflate, Self::Brotli, Self::Zstd];

    /// Returns the coding with this name in `content-encoding`, in upper or lower case. `x-gzip` is another name of gzip.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        let known: [(&str, Self); 5] = [
            ("gzip", Self::Gzip),
            ("x-gzip", Self::Gzip),
            ("deflate", Self::Deflate),
            ("br", Self::Brotli),
            ("zstd", Self::Zstd),
        ];
        known
            .into_iter()
            .find_map(|(known, coding)| name.eq_ignore_ascii_case(known.as_bytes()).then_some(coding))
    }

    /// Returns the name in `content-encoding`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }
}
