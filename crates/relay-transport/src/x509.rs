//! The validity and the issuer of a certificate, which the TLS library does not show.

use std::time::SystemTime;

/// The tags of the parts of a certificate that are read or skipped.
///
/// # Source
/// X.690 section 8, RFC 5280 section 4.1.
mod tag {
    pub(super) const INTEGER: u8 = 0x02;
    pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
    pub(super) const UTF8_STRING: u8 = 0x0c;
    pub(super) const PRINTABLE_STRING: u8 = 0x13;
    pub(super) const UTC_TIME: u8 = 0x17;
    pub(super) const GENERALIZED_TIME: u8 = 0x18;
    pub(super) const SEQUENCE: u8 = 0x30;
    pub(super) const SET: u8 = 0x31;
    pub(super) const VERSION: u8 = 0xa0;
}

/// The object identifiers of the attributes `commonName` and `organizationName`.
///
/// # Source
/// X.520, `id-at` 3 and 10.
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const ORGANIZATION: &[u8] = &[0x55, 4, 10];

/// The time in which a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Validity {
    /// The first moment.
    pub from: SystemTime,
    /// The last moment.
    pub until: SystemTime,
}

impl Validity {
    /// Reads the validity of a certificate in DER. Returns `None` for other bytes.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let (_, rest) = issuer_and_rest(certificate)?;
        let (validity, _) = element(rest, tag::SEQUENCE)?;
        let (from, rest) = time(validity)?;
        let (until, _) = time(rest)?;
        Some(Self { from, until })
    }
}

/// Returns the name of the authority that issued a certificate in DER: the common name, or else the organization. `None` if it
/// has neither.
pub(crate) fn issuer(certificate: &[u8]) -> Option<String> {
    let (mut names, _) = issuer_and_rest(certificate)?;
    let mut organization = None;
    while let Some((set, after)) = element(names, tag::SET) {
        names = after;
        let (attribute, _) = element(set, tag::SEQUENCE)?;
        let (kind, value) = element(attribute, tag::OBJECT_IDENTIFIER)?;
        let text =
            || [tag::UTF8_STRING, tag::PRINTABLE_STRING].into_iter().find_map(|tag| element(value, tag));
        let text = || text().map(|(text, _)| String::from_utf8_lossy(text).into_owned());
        match kind {
            COMMON_NAME => return text(),
            ORGANIZATION => organization = text(),
            _ => {}
        }
    }
    organization
}

/// Returns the content of the issuer's name, and the bytes after it.
fn issuer_and_rest(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    let (certificate, _) = element(certificate, tag::SEQUENCE)?;
    let (mut rest, _) = element(certificate, tag::SEQUENCE)?;
    if let Some((_, after)) = element(rest, tag::VERSION) {
        rest = after;
    }
    // Serial number, signature algorithm.
    for skipped in [tag::INTEGER, tag::SEQUENCE] {
        (_, rest) = element(rest, skipped)?;
    }
    element(rest, tag::SEQUENCE)
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

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, IsCa, Issuer, KeyPair};

    use super::*;

    #[track_caller]
    fn check(name: &[(DnType, &str)], expected: Option<&str>) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, text) in name {
            params.distinguished_name.push(kind.clone(), *text);
        }
        let authority = Issuer::new(params, KeyPair::generate().unwrap());
        let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&KeyPair::generate().unwrap(), &authority).unwrap();
        assert_eq!(issuer(leaf.der()).as_deref(), expected);
        assert!(Validity::of(leaf.der()).is_some());
    }

    #[test]
    fn the_issuer_is_its_common_name_or_its_organization() {
        let (name, organization) = (DnType::CommonName, DnType::OrganizationName);
        check(&[(organization.clone(), "Example"), (name, "Example Root")], Some("Example Root"));
        check(&[(organization, "Example")], Some("Example"));
        check(&[], None);
    }

    #[test]
    fn other_bytes_have_no_issuer() {
        for bytes in [&b""[..], b"0", b"\x30\x82\xff\xff", b"\x30\x02\x30\x00"] {
            assert_eq!(issuer(bytes), None);
        }
    }
}
