//! Estimates the tokens of images and documents from the first bytes of their base64.

/// The number of pixels per token (platform.claude.com/docs, "Vision").
const PIXELS: u64 = 750;
/// The longest edge in pixels. Larger images are scaled down to it before their tokens are counted (same
/// page).
const LONGEST_EDGE: u64 = 1568;
/// The maximum tokens of an image. An image whose size cannot be read also counts as this many.
const IMAGE: u64 = 1600;

/// The tokens of a page of a PDF, which has 1500 to 3000 (platform.claude.com/docs, "PDF support"). The
/// number of pages is estimated from the length of the document.
const PAGE: u64 = 2000;
const BASE64_OF_PAGE: u64 = 64 * 1024;

/// The maximum length of base64 that is decoded to find the size of an image. In a JPEG, tags come before the
/// size, sometimes with a preview image.
const DECODED: usize = 128 * 1024;

/// Estimates the tokens of the image or document in `base64`. Zero for other data.
pub(super) fn tokens(base64: &[u8]) -> u64 {
    let size = match base64 {
        [b'i', b'V', b'B', b'O', ..] => png(&decode(base64, 32)),
        [b'R', b'0', b'l', b'G', ..] => gif(&decode(base64, 32)),
        [b'U', b'k', b'l', b'G', ..] => webp(&decode(base64, 64)),
        [b'/', b'9', b'j', b'/', ..] => jpeg(&decode(base64, DECODED)),
        [b'J', b'V', b'B', b'E', b'R', ..] => return PAGE * (base64.len() as u64).div_ceil(BASE64_OF_PAGE),
        _ => return 0,
    };
    size.map_or(IMAGE, image)
}

fn image((width, height): (u64, u64)) -> u64 {
    let longest = width.max(height).max(1);
    let scaled = |edge: u64| if longest > LONGEST_EDGE { edge * LONGEST_EDGE / longest } else { edge };
    (scaled(width) * scaled(height)).div_ceil(PIXELS).min(IMAGE)
}

/// Decodes the first `limit` bytes of `base64`. Returns an empty vector if they are not base64.
fn decode(base64: &[u8], limit: usize) -> Vec<u8> {
    let whole = base64.len().min(limit) / 4 * 4;
    base64_simd::STANDARD.decode_to_vec(&base64[..whole]).unwrap_or_default()
}

/// Reads a big-endian number of `length` bytes at `at`.
fn big(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    Some(bytes.get(at..at + length)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// Reads a little-endian number of `length` bytes at `at`.
fn little(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    Some(bytes.get(at..at + length)?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// Reads the size of a PNG from `IHDR`, its first chunk (PNG specification, section 5.6).
fn png(bytes: &[u8]) -> Option<(u64, u64)> {
    Some((big(bytes, 16, 4)?, big(bytes, 20, 4)?))
}

/// Reads the size of a GIF from its logical screen (GIF89a specification, section 18).
fn gif(bytes: &[u8]) -> Option<(u64, u64)> {
    Some((little(bytes, 6, 2)?, little(bytes, 8, 2)?))
}

/// Reads the size of a WebP from its first chunk, which has one of three kinds (RFC 9649, sections 2.5 to
/// 2.7).
fn webp(bytes: &[u8]) -> Option<(u64, u64)> {
    match bytes.get(12..16)? {
        b"VP8 " => Some((little(bytes, 26, 2)? & 0x3FFF, little(bytes, 28, 2)? & 0x3FFF)),
        b"VP8L" => {
            let bits = little(bytes, 21, 4)?;
            Some(((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1))
        }
        b"VP8X" => Some((little(bytes, 24, 3)? + 1, little(bytes, 27, 3)? + 1)),
        _ => None,
    }
}

/// Reads the size of a JPEG from its first frame header, which comes after segments of any length (ITU-T
/// T.81, annex B).
fn jpeg(bytes: &[u8]) -> Option<(u64, u64)> {
    let mut at = 2;
    loop {
        match (bytes.get(at)?, bytes.get(at + 1)?) {
            (0xFF, 0xFF) => at += 1,
            // SOF0 to SOF15, except DHT, JPG and DAC, which are in the same range.
            (0xFF, 0xC0..=0xCF) if !matches!(bytes[at + 1], 0xC4 | 0xC8 | 0xCC) => {
                return Some((big(bytes, at + 7, 2)?, big(bytes, at + 5, 2)?));
            }
            (0xFF, _) => at += 2 + usize::try_from(big(bytes, at + 2, 2)?).ok()?,
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: u64) {
        assert_eq!(tokens(base64_simd::STANDARD.encode_to_string(bytes).as_bytes()), expected);
    }

    #[test]
    fn the_size_of_an_image_is_read_from_its_header() {
        let png = |width: u32, height: u32| {
            [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", &width.to_be_bytes()[..], &height.to_be_bytes()[..], &[0; 90]]
                .concat()
        };
        check(&png(200, 200), 54);
        check(&png(1000, 750), 1000);
        check(&png(4000, 300), 1568 * 117 / 750 + 1);
        check(&png(9000, 9000), 1600);
        check(&png(u32::MAX, u32::MAX), 1600);
        check(&png(0, 0), 0);
        check(b"GIF89a\x2c\x01\xc8\x00 and more of it", (300 * 200) / 750);
        check(b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a\x2c\x01\xc8\x00 and more", 80);
        check(b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0\x2b\x01\x00\xc7\x00\x00 and more", 80);
        let bits = (299u32 | 199 << 14).to_le_bytes();
        check(&[b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f", &bits[..], b" and more"].concat(), 80);
        let tags = [b"\xff\xd8\xff\xe1\x10\x02", &[7; 0x1000][..]].concat();
        let frame = b"\xff\xff\xc2\x00\x11\x08\x00\xc8\x01\x2c and more";
        check(&[&tags, &frame[..]].concat(), 80);
        // A Huffman table is not a frame.
        check(&[&b"\xff\xd8\xff\xc4\x00\x03\x01"[..], frame].concat(), 80);
    }

    #[test]
    fn an_image_that_cannot_be_read_counts_as_one_of_the_largest_size() {
        check(b"\xff\xd8\xff and no more", 1600);
        check(b"RIFF\0\0\0\0WEBPODD ", 1600);
        assert_eq!(tokens(b"iVBOR"), 1600);
    }

    #[test]
    fn the_pages_of_a_document_are_estimated_from_its_length() {
        assert_eq!(tokens(format!("JVBERi0{}", "A".repeat(1000)).as_bytes()), 2000);
        assert_eq!(tokens(format!("JVBERi0{}", "A".repeat(200_000)).as_bytes()), 8000);
        assert_eq!(tokens("ErUB".repeat(100).as_bytes()), 0);
    }

    proptest! {
        #[test]
        fn no_image_is_too_odd(kind in 0..4usize, bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let magic: [&[u8]; 4] = [b"\x89PN", b"GIF", b"RIF", b"\xff\xd8\xff"];
            let base64 = base64_simd::STANDARD.encode_to_string([magic[kind], &bytes].concat());
            prop_assert!(tokens(base64.as_bytes()) <= IMAGE);
        }
    }
}
