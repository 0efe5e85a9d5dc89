//! The validity, the issuer and the subject of a certificate, which the TLS library does not show.

use std::fmt::Write;
use std::iter;
use std::time::SystemTime;

use relay_config::is_invisible;

/// The tags of the parts of a certificate that are read or skipped.
///
/// # Source
/// X.690 section 8, RFC 5280 section 4.1.
mod tag {
    pub(super) const INTEGER: u8 = 0x02;
    pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
    pub(super) const UTF8_STRING: u8 = 0x0c;
    pub(super) const PRINTABLE_STRING: u8 = 0x13;
    pub(super) const IA5_STRING: u8 = 0x16;
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

/// The attributes of a subject that are shown, with their names.
///
/// # Source
/// RFC 4514 section 3, and `emailAddress` of PKCS #9 (RFC 2985 section 5.2.1), as OpenSSL shows it.
const ATTRIBUTES: [(&[u8], &str); 9] = [
    (COMMON_NAME, "CN"),
    (ORGANIZATION, "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 7], "L"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19], "DC"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x01], "UID"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01], "emailAddress"),
];

/// The longest subject, in bytes. A longer one is cut.
const SUBJECT_MAX: usize = 256;

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
    let (names, _) = issuer_and_rest(certificate)?;
    let mut organization = None;
    for set in elements(names, tag::SET) {
        let (attribute, _) = element(set, tag::SEQUENCE)?;
        let (kind, value) = element(attribute, tag::OBJECT_IDENTIFIER)?;
        let text = || text(value, &[tag::UTF8_STRING, tag::PRINTABLE_STRING]);
        match kind {
            COMMON_NAME => return text(),
            ORGANIZATION => organization = text(),
            _ => {}
        }
    }
    organization
}

/// Returns the subject of a certificate in DER, such as `CN=laptop,O=Example`, with the last attribute first. It has at most 256
/// bytes. Characters that could change the look of a log line are escaped, and attributes of rare types are dropped. `None` if
/// there is no other attribute, as in a certificate that has only alternative names.
///
/// # Source
/// RFC 4514 section 2.
#[must_use]
pub fn certificate_subject(certificate: &[u8]) -> Option<String> {
    let (_, names) = issuer_and_subject(certificate)?;
    let mut shown: Vec<String> = Vec::new();
    for set in elements(names, tag::SET) {
        let mut joined = String::new();
        for (name, value) in elements(set, tag::SEQUENCE).filter_map(shown_attribute) {
            let separator = if joined.is_empty() { "" } else { "+" };
            joined.extend([separator, name, "="]);
            push_escaped(&mut joined, &value);
        }
        if !joined.is_empty() {
            shown.push(joined);
        }
    }
    shown.reverse();
    let mut subject = shown.join(",");
    if subject.len() > SUBJECT_MAX {
        subject.truncate(subject.floor_char_boundary(SUBJECT_MAX - '…'.len_utf8()));
        subject.push('…');
    }
    (!subject.is_empty()).then_some(subject)
}

/// Returns the name and the text of an attribute that is shown.
fn shown_attribute(attribute: &[u8]) -> Option<(&'static str, String)> {
    let (kind, value) = element(attribute, tag::OBJECT_IDENTIFIER)?;
    let (_, name) = ATTRIBUTES.iter().find(|(known, _)| *known == kind)?;
    Some((name, text(value, &[tag::UTF8_STRING, tag::PRINTABLE_STRING, tag::IA5_STRING])?))
}

/// Returns the text of the value of an attribute, if it has one of these tags.
fn text(value: &[u8], tags: &[u8]) -> Option<String> {
    let (text, _) = tags.iter().find_map(|tag| element(value, *tag))?;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// Returns the contents of the elements with this tag that stand one after the other at the start of `bytes`.
fn elements(mut bytes: &[u8], tag: u8) -> impl Iterator<Item = &[u8]> {
    iter::from_fn(move || {
        let (content, rest) = element(bytes, tag)?;
        bytes = rest;
        Some(content)
    })
}

/// Appends a value. Separators have a backslash before them, and invisible characters are hexadecimal digits.
fn push_escaped(out: &mut String, value: &str) {
    for (at, c) in value.char_indices() {
        let is_edge = at == 0 || at + c.len_utf8() == value.len();
        match c {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=' => out.extend(['\\', c]),
            ' ' if is_edge => out.push_str("\\ "),
            '#' if at == 0 => out.push_str("\\#"),
            c if c.is_control() || is_invisible(c) => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    // A `String` takes every text.
                    let _ = write!(out, "\\{byte:02x}");
                }
            }
            c => out.push(c),
        }
    }
}

/// Returns `true` if the issuer of a certificate in DER is its subject, as that of a root authority is. The signature is not checked.
#[must_use]
pub fn is_self_issued(certificate: &[u8]) -> bool {
    issuer_and_subject(certificate).is_some_and(|(issuer, subject)| issuer == subject)
}

/// Returns the contents of the names of issuer and subject.
fn issuer_and_subject(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    let (issuer, rest) = issuer_and_rest(certificate)?;
    let (_validity, rest) = element(rest, tag::SEQUENCE)?;
    let (subject, _) = element(rest, tag::SEQUENCE)?;
    Some((issuer, subject))
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
        assert!(!is_self_issued(leaf.der()));
        assert!(Validity::of(leaf.der()).is_some());
    }

    #[test]
    fn the_issuer_is_its_common_name_or_its_organization() {
        let (name, organization) = (DnType::CommonName, DnType::OrganizationName);
        check(&[(organization.clone(), "Example"), (name, "Example Root")], Some("Example Root"));
        check(&[(organization, "Example")], Some("Example"));
        check(&[], None);
    }

    #[track_caller]
    fn check_subject(name: &[(DnType, &str)], expected: Option<&str>) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, text) in name {
            params.distinguished_name.push(kind.clone(), *text);
        }
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(certificate_subject(certificate.der()).as_deref(), expected);
        assert!(is_self_issued(certificate.der()));
        // No part of a certificate makes the reader panic.
        for end in 0..certificate.der().len() {
            let _ = certificate_subject(&certificate.der()[..end]);
        }
    }

    #[test]
    fn the_subject_has_its_last_attribute_first() {
        let [name, unit, organization, country] = [
            DnType::CommonName,
            DnType::OrganizationalUnitName,
            DnType::OrganizationName,
            DnType::CountryName,
        ];
        let all = [(country, "DE"), (organization, "Example"), (unit, "Build"), (name.clone(), "laptop")];
        check_subject(&all, Some("CN=laptop,OU=Build,O=Example,C=DE"));
        let email = DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]);
        check_subject(&[(email, "a@example.com")], Some("emailAddress=a@example.com"));
        let rare = DnType::CustomDnType(vec![2, 5, 4, 65]);
        check_subject(&[(rare.clone(), "x"), (name, "Zoë")], Some("CN=Zoë"));
        check_subject(&[(rare, "x")], None);
        check_subject(&[], None);
    }

    #[test]
    fn a_subject_cannot_forge_a_log_line() {
        let check = |text: &str, expected: &str| check_subject(&[(DnType::CommonName, text)], Some(expected));
        check("a\nERROR b", "CN=a\\0aERROR b");
        check("\u{1b}[31mred", "CN=\\1b[31mred");
        check("a\u{202e}b", "CN=a\\e2\\80\\aeb");
        check("a\u{61c}b", "CN=a\\d8\\9cb");
        check("a\u{e0041}b", "CN=a\\f3\\a0\\81\\81b");
        check("a,O=Other", "CN=a\\,O\\=Other");
        check(" a \\ \"b\" ", "CN=\\ a \\\\ \\\"b\\\"\\ ");
        check("#a", "CN=\\#a");
        let long = "ü".repeat(500);
        let cut = format!("CN={}…", "ü".repeat(125));
        check(&long, &cut);
        assert!(cut.len() <= SUBJECT_MAX);
    }

    #[test]
    fn other_bytes_have_neither_an_issuer_nor_a_subject() {
        for bytes in [&b""[..], b"0", b"\x30\x82\xff\xff", b"\x30\x02\x30\x00"] {
            assert_eq!((issuer(bytes), certificate_subject(bytes)), (None, None));
        }
    }
}
