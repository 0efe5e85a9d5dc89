//! The validity of a certificate, which the TLS library does not show.

use std::time::SystemTime;

/// The tags of the parts of a certificate that are read or skipped.
///
/// # Source
/// X.690 section 8, RFC 5280 section 4.1.
mod tag {
    pub(super) const INTEGER: u8 = 0x02;
    pub(super) const UTC_TIME: u8 = 0x17;
    pub(super) const GENERALIZED_TIME: u8 = 0x18;
    pub(super) const SEQUENCE: u8 = 0x30;
    pub(super) const VERSION: u8 = 0xa0;
}

/// The time in which a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) from: SystemTime,
    pub(super) until: SystemTime,
}

impl Validity {
    /// Reads the validity of a certificate in DER. Returns `None` for other bytes.
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let (certificate, _) = element(certificate, tag::SEQUENCE)?;
        let (mut rest, _) = element(certificate, tag::SEQUENCE)?;
        if let Some((_, after)) = element(rest, tag::VERSION) {
            rest = after;
        }
        // Serial number, signature algorithm, issuer.
        for skipped in [tag::INTEGER, tag::SEQUENCE, tag::SEQUENCE] {
            (_, rest) = element(rest, skipped)?;
        }
        let (validity, _) = element(rest, tag::SEQUENCE)?;
        let (from, rest) = time(validity)?;
        let (until, _) = time(rest)?;
        Some(Self { from, until })
    }
}

/// Returns the content of the element at the start of `bytes`, and the bytes after it, if its tag is `tag`.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let rest = bytes.strip_prefix(&[tag])?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        // A length of one to four bytes.
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(length - 0x80))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// Returns the time at the start of `bytes`, and the bytes after it.
fn time(bytes: &[u8]) -> Option<(SystemTime, &[u8])> {
    let (text, rest, digits) = match element(bytes, tag::UTC_TIME) {
        Some((text, rest)) => (text, rest, 2),
        None => element(bytes, tag::GENERALIZED_TIME).map(|(text, rest)| (text, rest, 4))?,
    };
    let text = std::str::from_utf8(text).ok().filter(|text| text.is_ascii())?;
    let (year, text) = text.split_at_checked(digits)?;
    let year = match year.parse::<u16>().ok()? {
        // RFC 5280 section 4.1.2.5.1.
        year @ 0..50 if digits == 2 => 2000 + year,
        year if digits == 2 => 1900 + year,
        year => year,
    };
    let text = text.strip_suffix('Z').filter(|text| text.len() == 10)?;
    let part = |at: usize| &text[at..at + 2];
    let [month, day, hour, minute, second] = [0, 2, 4, 6, 8].map(part);
    let time = relay_config::parse_rfc3339(&format!("{year:04}-{month}-{day}T{hour}:{minute}:{second}Z"))?;
    Some((time, rest))
}
