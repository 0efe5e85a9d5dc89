//! Image data and its format.

use bytes::Bytes;

/// The image types that the Messages API accepts, with their first bytes. In a WebP, the length is between two parts of
/// them.
const KINDS: [(&str, &[u8]); 4] = [
    ("image/png", b"\x89PNG\r\n\x1a\n"),
    ("image/jpeg", b"\xff\xd8\xff"),
    ("image/gif", b"GIF8"),
    ("image/webp", b"RIFF"),
];
const WEBP: (usize, &[u8]) = (8, b"WEBP");

/// An image that has been fetched.
#[derive(Debug)]
pub struct Image {
    media_type: &'static str,
    data: Bytes,
}

impl Image {
    /// Recognises the format of an image by its first bytes: PNG, JPEG, GIF or WebP. Returns `None` for other data.
    #[must_use]
    pub fn read(data: Bytes) -> Option<Self> {
        let is_kind = |(media_type, start): &&(&str, &[u8])| {
            let is_webp = data.get(WEBP.0..).is_some_and(|rest| rest.starts_with(WEBP.1));
            data.starts_with(start) && (*media_type != "image/webp" || is_webp)
        };
        let (media_type, _) = KINDS.iter().find(is_kind)?;
        Some(Self { media_type, data })
    }

    /// Returns the media type, such as `image/png`.
    #[must_use]
    pub fn media_type(&self) -> &'static str {
        self.media_type
    }

    /// Returns the size of the image in bytes.
    pub(super) fn len(&self) -> usize {
        self.data.len()
    }

    /// Returns the JSON text of the `source` of an image block: the image in base64.
    #[must_use]
    pub fn base64_source(&self) -> Bytes {
        let mut source = format!(r#"{{"type":"base64","media_type":"{}","data":""#, self.media_type);
        base64_simd::STANDARD.encode_append(&self.data, &mut source);
        source.push_str("\"}");
        source.into()
    }
}

/// Returns `true` if the Messages API accepts images of this media type, written in upper or lower case.
pub(super) fn is_accepted(media_type: &str) -> bool {
    KINDS.iter().any(|(known, _)| media_type.eq_ignore_ascii_case(known))
}
