//! Errors that come compressed, though nothing was offered: Google's front end does that.

use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

/// `body` as it was before its `content-encoding`, up to `limit` bytes of it; `None` where it is not compressed, or not
/// by gzip, or cannot be read.
pub(crate) fn gunzip(headers: &HeaderMap, body: &[u8], limit: usize) -> Option<Bytes> {
    let coding = headers.get(CONTENT_ENCODING)?.as_bytes();
    if !coding.eq_ignore_ascii_case(b"gzip") && !coding.eq_ignore_ascii_case(b"x-gzip") {
        return None;
    }
    let mut plain = Vec::new();
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    MultiGzDecoder::new(body).take(limit).read_to_end(&mut plain).ok()?;
    Some(plain.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_is_compressed_is_read_up_to_a_limit() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&[b'x'; 10_000]).unwrap();
        let packed = encoder.finish().unwrap();
        let headers = |coding| HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(coding))]);
        assert_eq!(gunzip(&headers("gzip"), &packed, 20_000).unwrap().len(), 10_000);
        assert_eq!(gunzip(&headers("GZip"), &packed, 100).unwrap().len(), 100);
        assert_eq!(gunzip(&headers("br"), &packed, 100), None);
        assert_eq!(gunzip(&headers("gzip"), b"plain", 100), None);
        assert_eq!(gunzip(&headers("gzip"), &packed[..packed.len() / 2], 20_000), None);
        assert_eq!(gunzip(&HeaderMap::new(), &packed, 100), None);
    }
}
