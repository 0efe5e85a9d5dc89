//! The header block of a message.
//!
//! A header consists of the length of its name (`u8`), the name, the type (`u8`), and a value. The type
//! determines the form of the value. Numbers are big-endian.

use super::{FrameError, HeaderError};

/// One header of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// The name. Names that the format itself defines start with a colon.
    pub name: &'a str,
    /// The value.
    pub value: HeaderValue<'a>,
}

/// The value of a header, in one of the ten types of the format. Two of the types are the two booleans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderValue<'a> {
    /// A boolean: type 0 is true, type 1 is false.
    Bool(bool),
    /// Type 2: an 8-bit integer.
    Byte(i8),
    /// Type 3: a 16-bit integer.
    Short(i16),
    /// Type 4: a 32-bit integer.
    Int(i32),
    /// Type 5: a 64-bit integer.
    Long(i64),
    /// Type 6: a byte array of at most 65,535 bytes.
    Bytes(&'a [u8]),
    /// Type 7: a UTF-8 string of at most 65,535 bytes.
    String(&'a str),
    /// Type 8: a time in milliseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
    /// Type 9: a UUID.
    Uuid([u8; 16]),
}

impl<'a> HeaderValue<'a> {
    /// Returns the text of a value of type string, or `None` for any other type.
    pub fn as_str(&self) -> Option<&'a str> {
        match *self {
            HeaderValue::String(text) => Some(text),
            _ => None,
        }
    }
}

/// Iterates over the headers of a message, in their order in the frame.
#[derive(Debug, Clone)]
pub struct Headers<'a> {
    rest: &'a [u8],
}

impl<'a> Headers<'a> {
    /// Iterates over `block`, which [`check`] has accepted.
    pub(crate) fn new(block: &'a [u8]) -> Self {
        Headers { rest: block }
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        let mut raw = RawHeaders { rest: self.rest };
        let header = raw.next()?.ok().and_then(|header| header.typed().ok());
        self.rest = raw.rest;
        header
    }
}

/// Checks every header of a block, so that later reads cannot fail.
///
/// A block is usually ASCII, its lengths and types included. One ASCII check of the whole block is several
/// times faster than a UTF-8 check of each name and string.
#[inline]
pub(crate) fn check(block: &[u8], limit: usize) -> Result<(), FrameError> {
    let ascii = block.is_ascii();
    for (index, header) in (RawHeaders { rest: block }).enumerate() {
        if index == limit {
            return Err(FrameError::TooManyHeaders { limit });
        }
        let checked = header.and_then(|header| if ascii { Ok(()) } else { header.typed().map(drop) });
        checked.map_err(|source| FrameError::Header { index, source })?;
    }
    Ok(())
}

/// A header whose name and value are not decoded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawHeader<'a> {
    name: &'a [u8],
    kind: u8,
    /// The bytes of the value, without the length that precedes byte arrays and strings.
    value: &'a [u8],
}

impl<'a> RawHeader<'a> {
    /// Returns name and value if the value is a string.
    pub(crate) fn string(self) -> Option<(&'a [u8], &'a [u8])> {
        (self.kind == 7).then_some((self.name, self.value))
    }

    #[inline]
    fn typed(self) -> Result<Header<'a>, HeaderError> {
        let name = str::from_utf8(self.name).map_err(|_| HeaderError::Name)?;
        let value = match self.kind {
            0 => HeaderValue::Bool(true),
            1 => HeaderValue::Bool(false),
            2 => HeaderValue::Byte(i8::from_be_bytes(array(self.value)?)),
            3 => HeaderValue::Short(i16::from_be_bytes(array(self.value)?)),
            4 => HeaderValue::Int(i32::from_be_bytes(array(self.value)?)),
            5 => HeaderValue::Long(i64::from_be_bytes(array(self.value)?)),
            6 => HeaderValue::Bytes(self.value),
            7 => HeaderValue::String(str::from_utf8(self.value).map_err(|_| HeaderError::String)?),
            8 => HeaderValue::Timestamp(i64::from_be_bytes(array(self.value)?)),
            9 => HeaderValue::Uuid(array(self.value)?),
            kind => return Err(HeaderError::Type(kind)),
        };
        Ok(Header { name, value })
    }
}

/// Iterates over the headers of a block without decoding names and values.
#[derive(Debug, Clone)]
pub(crate) struct RawHeaders<'a> {
    rest: &'a [u8],
}

impl<'a> RawHeaders<'a> {
    pub(crate) fn new(block: &'a [u8]) -> Self {
        RawHeaders { rest: block }
    }

    #[inline]
    fn take(&mut self, len: usize) -> Result<&'a [u8], HeaderError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(HeaderError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn header(&mut self) -> Result<RawHeader<'a>, HeaderError> {
        let [name_len] = array(self.take(1)?)?;
        if name_len == 0 {
            return Err(HeaderError::EmptyName);
        }
        let name = self.take(usize::from(name_len))?;
        let [kind] = array(self.take(1)?)?;
        let value_len = match kind {
            0 | 1 => 0,
            2 => 1,
            3 => 2,
            4 => 4,
            5 | 8 => 8,
            6 | 7 => usize::from(u16::from_be_bytes(array(self.take(2)?)?)),
            9 => 16,
            kind => return Err(HeaderError::Type(kind)),
        };
        let value = self.take(value_len)?;
        Ok(RawHeader { name, kind, value })
    }
}

impl<'a> Iterator for RawHeaders<'a> {
    type Item = Result<RawHeader<'a>, HeaderError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        (!self.rest.is_empty()).then(|| self.header().inspect_err(|_| self.rest = &[]))
    }
}

#[inline]
fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], HeaderError> {
    bytes.try_into().map_err(|_| HeaderError::Truncated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_value(bytes: &[u8], expected: HeaderValue<'_>) {
        let block = [b"\x01n", bytes].concat();
        assert_eq!(check(&block, 1), Ok(()));
        assert_eq!(Headers::new(&block).collect::<Vec<_>>(), [Header { name: "n", value: expected }]);
        for len in 1..block.len() {
            let cut = check(&block[..len], 1);
            assert_eq!(
                cut,
                Err(FrameError::Header { index: 0, source: HeaderError::Truncated }),
                "{len} bytes"
            );
        }
    }

    #[test]
    fn all_ten_types_are_read_and_truncated_ones_are_errors() {
        check_value(b"\x00", HeaderValue::Bool(true));
        check_value(b"\x01", HeaderValue::Bool(false));
        check_value(b"\x02\xfe", HeaderValue::Byte(-2));
        check_value(b"\x03\x01\x02", HeaderValue::Short(0x0102));
        check_value(b"\x04\xff\xff\xff\xf9", HeaderValue::Int(-7));
        check_value(b"\x05\0\0\0\x01\0\0\0\0", HeaderValue::Long(1 << 32));
        check_value(b"\x06\0\x02\0\xff", HeaderValue::Bytes(&[0, 255]));
        check_value(b"\x07\0\x02\xc3\xa9", HeaderValue::String("\u{e9}"));
        check_value(b"\x08\0\0\0\0\0\0\x03\xe8", HeaderValue::Timestamp(1000));
        check_value(b"\x090123456789abcdef", HeaderValue::Uuid(*b"0123456789abcdef"));
    }

    #[track_caller]
    fn check_error(block: &[u8], index: usize, source: HeaderError) {
        assert_eq!(check(block, 9), Err(FrameError::Header { index, source }));
    }

    #[test]
    fn a_malformed_header_is_an_error_with_its_position() {
        check_error(b"\0\0", 0, HeaderError::EmptyName);
        check_error(b"\x01\xff\0", 0, HeaderError::Name);
        check_error(b"\x01n\x0a", 0, HeaderError::Type(10));
        check_error(b"\x01n\x00\x01n\x07\0\x01\xff", 1, HeaderError::String);
        check_error(b"\x01n\x07\xff\xffx", 0, HeaderError::Truncated);
        assert_eq!(check(b"\x01n\0\x01n\0", 1), Err(FrameError::TooManyHeaders { limit: 1 }));
    }
}
