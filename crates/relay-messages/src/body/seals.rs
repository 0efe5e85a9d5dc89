//! The signatures of the thinking blocks in a body, collected while it is scanned, so that the blocks need not be walked to find
//! out if an upstream accepts them.
//!
//! Every object whose `type` is that of thinking counts, wherever it is. The seals are therefore those of all thinking blocks, and
//! maybe some more. If an object has no seal, or is written in an unusual way, the seals are [`Seals::Unknown`].

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

/// The maximum number of seals. A conversation of 10 MB has about a thousand.
const MAX_SEALS: usize = 4096;
/// The types of thinking blocks.
const SIGNED: &[u8] = b"\"thinking\"";
const REDACTED: &[u8] = b"\"redacted_thinking\"";

/// The seals of all thinking blocks in a text: the signature of each, or the data of a redacted one.
#[derive(Debug, Clone, Default)]
pub(crate) enum Seals {
    /// A thinking block may have no seal, or one that was not collected.
    #[default]
    Unknown,
    /// The text has no thinking blocks.
    Nothing,
    /// Every thinking block has one of these seals.
    All(Arc<Sealed>),
}

/// The places of the seals, in ascending order, in the text that was scanned.
#[derive(Debug)]
pub(crate) struct Sealed {
    text: Bytes,
    places: Vec<Place>,
}

/// The span of a seal without its quotes.
pub(super) type Place = (u32, u32);

impl Seals {
    /// Takes the places of the seals in `text`, or `None` if they are not known.
    pub(super) fn new(text: &Bytes, places: Option<Vec<Place>>) -> Self {
        match places {
            None => Self::Unknown,
            Some(places) if places.is_empty() => Self::Nothing,
            Some(places) => Self::All(Arc::new(Sealed { text: text.clone(), places })),
        }
    }

    /// Returns `true` if `accepts` is true for each seal, and `None` if the seals are not known.
    pub(crate) fn all(&self, accepts: impl Fn(&[u8]) -> bool) -> Option<bool> {
        match self {
            Self::Unknown => None,
            Self::Nothing => Some(true),
            Self::All(sealed) => Some(sealed.places.iter().all(|place| accepts(&sealed.text[span(*place)]))),
        }
    }

    /// Returns the number of bytes of all seals, and `None` if the seals are not known.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Unknown => None,
            Self::Nothing => Some(0),
            Self::All(sealed) => Some(sealed.places.iter().map(|(start, end)| u64::from(end - start)).sum()),
        }
    }

    /// Follows the changes of the text.
    pub(super) fn changes(&self) -> Changes<'_> {
        let places: &[Place] = if let Self::All(sealed) = self { &sealed.places } else { &[] };
        Changes { places, is_known: !matches!(self, Self::Unknown) }
    }
}

fn span((start, end): Place) -> Range<usize> {
    start as usize..end as usize
}

/// Checks if a text, after changes in ascending order, has no thinking blocks but those with the seals from before.
pub(super) struct Changes<'a> {
    /// The seals after the last change.
    places: &'a [Place],
    is_known: bool,
}

impl Changes<'_> {
    /// Takes in that `text` is put in the place of `span`.
    pub(super) fn see(&mut self, span: &Range<usize>, text: &[u8]) {
        if !self.is_known {
            return;
        }
        let before = self.places.partition_point(|(_, end)| (*end as usize) < span.start);
        self.places = &self.places[before..];
        // A block may lose its seal by a change of the text around it.
        let touches_seal = self.places.first().is_some_and(|(start, _)| (*start as usize) <= span.end);
        self.is_known = !touches_seal && memchr::memmem::find(text, b"thinking").is_none();
    }

    /// Returns `true` if the seals are still those of all thinking blocks.
    pub(super) fn are_harmless(&self) -> bool {
        self.is_known
    }
}

/// Collects the seals from the keys and strings that a scanner reads.
#[derive(Debug)]
pub(super) struct Collector<'a> {
    text: &'a [u8],
    places: Vec<Place>,
    is_complete: bool,
    /// The member whose value is next.
    next: Key,
    object: Object,
}

#[derive(Debug, Clone, Copy)]
enum Key {
    Type,
    Signature,
    Data,
    Other,
}

/// The members of the object that was read last and may be a thinking block.
#[derive(Debug, Clone, Copy)]
struct Object {
    /// The number of open objects and arrays.
    level: usize,
    kind: Kind,
    signature: Option<Place>,
    data: Option<Place>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Signed,
    Redacted,
    Other,
}

impl Object {
    /// Returns `true` if the object may have a member before that `key` repeats. The last one counts, and it may be no string.
    fn may_have(&self, kind: Key, key: &[u8]) -> bool {
        match kind {
            Key::Signature => self.signature.is_some(),
            Key::Data => self.data.is_some(),
            Key::Type => false,
            Key::Other => key.contains(&b'\\'),
        }
    }
}

const NO_OBJECT: Object = Object { level: usize::MAX, kind: Kind::Other, signature: None, data: None };

impl<'a> Collector<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        let is_complete = u32::try_from(text.len()).is_ok();
        Self { text, places: Vec::new(), is_complete, next: Key::Other, object: NO_OBJECT }
    }

    /// Returns the places of all seals, or `None` if some may be missing.
    pub(super) fn finish(self) -> Option<Vec<Place>> {
        let is_open = self.object.kind != Kind::Other;
        (self.is_complete && !is_open).then_some(self.places)
    }

    /// Takes a key with its quotes in an object at `level`. `is_type` is true for `type` in any spelling.
    #[inline]
    pub(super) fn key(&mut self, key: &[u8], is_type: bool, level: usize) {
        self.next = match key {
            _ if is_type => Key::Type,
            b"\"data\"" => Key::Data,
            b"\"signature\"" => Key::Signature,
            _ => Key::Other,
        };
        if level == self.object.level && self.object.may_have(self.next, key) {
            self.is_complete = false;
        }
    }

    /// Takes the string at `start..end` with its quotes.
    #[inline]
    pub(super) fn string(&mut self, start: usize, end: usize, level: usize) {
        match std::mem::replace(&mut self.next, Key::Other) {
            Key::Other => {}
            Key::Type => {
                let kind = match &self.text[start..end] {
                    SIGNED => Kind::Signed,
                    REDACTED => Kind::Redacted,
                    _ => Kind::Other,
                };
                let before = if level == self.object.level { self.object.kind } else { Kind::Other };
                if kind != Kind::Other {
                    self.object_at(level).kind = kind;
                }
                if before != Kind::Other && kind != before {
                    // The last type counts, and an edit may remove it.
                    self.is_complete = false;
                }
            }
            Key::Signature => self.seal(start, end, level, |object| &mut object.signature),
            Key::Data => self.seal(start, end, level, |object| &mut object.data),
        }
    }

    /// Takes the end of the object or array at `level`.
    #[inline]
    pub(super) fn close(&mut self, level: usize) {
        if level == self.object.level {
            self.end_of_object();
        }
    }

    /// Takes the seal at `start..end`, with its quotes, of the object at `level`.
    fn seal(
        &mut self,
        start: usize,
        end: usize,
        level: usize,
        member: impl Fn(&mut Object) -> &mut Option<Place>,
    ) {
        let place = (start as u32 + 1, end as u32 - 1);
        *member(self.object_at(level)) = Some(place);
    }

    /// Returns the object at `level`, which becomes the current one.
    fn object_at(&mut self, level: usize) -> &mut Object {
        if self.object.level != level {
            if self.object.kind != Kind::Other {
                // An object inside of a thinking block. Only one of them can be followed.
                self.is_complete = false;
            }
            self.object = Object { level, ..NO_OBJECT };
        }
        &mut self.object
    }

    #[cold]
    fn end_of_object(&mut self) {
        let object = std::mem::replace(&mut self.object, NO_OBJECT);
        let seal = match object.kind {
            Kind::Other => return,
            Kind::Signed => object.signature,
            Kind::Redacted => object.data,
        };
        // A seal with escapes may be no Unicode.
        let is_usual = |place: &Place| {
            let seal = self.text.get(span(*place)).unwrap_or_default();
            !seal.is_empty() && memchr::memchr(b'\\', seal).is_none()
        };
        match seal.filter(is_usual) {
            Some(place) if self.places.len() < MAX_SEALS => self.places.push(place),
            _ => self.is_complete = false,
        }
    }
}
