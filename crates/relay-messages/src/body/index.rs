//! The places of the long values of a text, recorded while it is scanned, so that no later walk reads their bytes again.
//!
//! ```text
//! scan ─open, close, string─▶ Recorder ─▶ Index ─Inside─▶ Children: skips a long value by its end
//! ```
//! Short values are not recorded: to scan one again costs less than to keep its place. The index is therefore small
//! beside the text, and an unrecorded value is only slower to read.

use std::ops::Range;

use super::breakpoints::Breakpoints;
use super::seals::{self, Place as Seal};
use super::steps;
use super::type_names::{self, TypeNames};

/// The length from which a value is recorded, in bytes.
const LONG: usize = 64;
/// The number of levels below the top level whose values are recorded. `messages[].content[].content[].source.data`, a deep
/// value of the API, has eight levels.
const LEVELS: usize = 10;
/// The bytes of text per place. An index has no more places than that, so that it takes at most a quarter of the memory of
/// its text, whatever a client nests.
const BYTES_PER_PLACE: usize = 48;
/// The number of places that a text of any size may have.
const MIN_PLACES: usize = 16;
/// The number of unused places that a finished index may keep.
const SPARE: usize = 64;

/// A long value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    start: u32,
    end: u32,
    /// The number of places inside the value, which follow this one.
    inside: u32,
}

/// The long values of one text in the order of their starts, each before the values inside it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Index(Vec<Place>);

impl Index {
    /// The places in `range`, two lengths of the recorder.
    pub(super) fn inside(&self, range: Range<u32>) -> Inside<'_> {
        Inside { all: &self.0, from: range.start, to: range.end }
    }
}

/// The places within one value, of which those before the current position have been taken.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Inside<'a> {
    all: &'a [Place],
    from: u32,
    to: u32,
}

impl Inside<'_> {
    /// The places as a range of the index.
    pub(super) fn range(self) -> Range<u32> {
        self.from..self.to
    }

    /// Takes the value that starts at `start`, if it is recorded: returns its end and the places within it. The starts of
    /// successive calls must be in ascending order.
    pub(super) fn take(&mut self, start: usize) -> Option<(usize, Self)> {
        while self.from < self.to
            && let Some(place) = self.all.get(self.from as usize)
            && place.start as usize <= start
        {
            let inside = Self { from: self.from + 1, to: self.from + 1 + place.inside, ..*self };
            self.from = inside.to;
            if place.start as usize == start {
                steps::add(1);
                return Some((place.end as usize, inside));
            }
        }
        None
    }
}

/// Receives the values of a text in the order in which a scanner reads them.
pub(super) trait Record {
    /// Records that an object or array opens at `at`.
    fn open(&mut self, at: usize);
    /// Records that the innermost object or array ends before `end`.
    fn close(&mut self, end: usize);
    /// Records the key at `start`, quotes included.
    fn key(&mut self, start: usize, key: &[u8]);
    /// Records a string, quotes included.
    fn string(&mut self, start: usize, end: usize);
}

/// Records nothing.
impl Record for () {
    fn open(&mut self, _: usize) {}
    fn close(&mut self, _: usize) {}
    fn key(&mut self, _: usize, _: &[u8]) {}
    fn string(&mut self, _: usize, _: usize) {}
}

/// The facts about a text that a recorder has collected.
pub(super) struct Recorded {
    pub(super) index: Index,
    pub(super) types: TypeNames,
    /// The seals of all thinking blocks, or `None` if some may be missing.
    pub(super) seals: Option<Vec<Seal>>,
    pub(super) breakpoints: Breakpoints,
}

/// Builds an index, and collects the names of types, the seals of thinking blocks and the cache breakpoints.
#[derive(Debug)]
pub(super) struct Recorder<'a> {
    places: Vec<Place>,
    /// The most places that may be kept.
    limit: usize,
    /// The places of the open objects and arrays down to the deepest recorded level. `None` if there was no room.
    open: [Option<u32>; LEVELS],
    depth: usize,
    types: type_names::Collector<'a>,
    seals: seals::Collector<'a>,
    breakpoints: Breakpoints,
}

impl<'a> Recorder<'a> {
    /// Creates a recorder for `text`. A text whose places do not fit into 32 bits is not recorded.
    pub(super) fn new(text: &'a [u8]) -> Self {
        let length = text.len();
        let limit =
            if u32::try_from(length).is_ok() { (length / BYTES_PER_PLACE).max(MIN_PLACES) } else { 0 };
        let (types, seals) = (type_names::Collector::new(text), seals::Collector::new(text));
        let (open, breakpoints) = ([None; LEVELS], Breakpoints::default());
        Self { places: Vec::new(), limit, open, depth: 0, types, seals, breakpoints }
    }

    /// The number of places so far.
    pub(super) fn len(&self) -> u32 {
        self.places.len() as u32
    }

    /// Returns the number of places up to and with that of the value at `start`, the first one from `from` on, if it is
    /// recorded.
    pub(super) fn after(&self, from: u32, start: usize) -> u32 {
        let is_recorded = self.places.get(from as usize).is_some_and(|place| place.start as usize == start);
        from + u32::from(is_recorded)
    }

    pub(super) fn finish(mut self) -> Recorded {
        // To move a few places costs more than the memory is worth for the time of a request.
        if self.places.capacity() - self.places.len() > SPARE {
            self.places.shrink_to_fit();
        }
        let types = self.types.finish();
        // A type that is not known may be that of thinking.
        let seals = self.seals.finish().filter(|_| types.are_complete());
        Recorded { index: Index(self.places), types, seals, breakpoints: self.breakpoints }
    }

    fn push(&mut self, start: usize, end: usize) -> Option<u32> {
        let at = self.len();
        (self.places.len() < self.limit).then(|| {
            self.places.push(Place { start: start as u32, end: end as u32, inside: 0 });
            at
        })
    }
}

impl Record for Recorder<'_> {
    fn open(&mut self, at: usize) {
        if self.depth < LEVELS {
            self.open[self.depth] = self.push(at, at);
        }
        self.depth += 1;
    }

    fn close(&mut self, end: usize) {
        self.seals.close(self.depth);
        self.depth -= 1;
        let Some(Some(at)) = self.open.get(self.depth).copied() else { return };
        let inside = self.len() - at - 1;
        let place = &mut self.places[at as usize];
        if end - (place.start as usize) < LONG {
            // Nor is any value inside it long.
            self.places.truncate(at as usize);
        } else {
            (place.end, place.inside) = (end as u32, inside);
        }
    }

    fn key(&mut self, start: usize, key: &[u8]) {
        self.breakpoints.key(start, key);
        let is_type = self.types.key(key);
        self.seals.key(key, is_type, self.depth);
    }

    fn string(&mut self, start: usize, end: usize) {
        self.types.string(start, end);
        self.seals.string(start, end, self.depth);
        if end - start >= LONG && self.depth <= LEVELS {
            self.push(start, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::node::{IndexedText, Node};
    use super::*;

    /// Checks that walks with and without an index pass the same values.
    #[track_caller]
    fn check_same(indexed: Node<'_>, plain: Node<'_>) {
        assert_eq!((indexed.kind(), indexed.span()), (plain.kind(), plain.span()));
        assert_eq!((indexed.item(), indexed.name()), (plain.item(), plain.name()));
        let (mut found, mut expected) = (children(indexed), children(plain));
        loop {
            match (found.next(), expected.next()) {
                (Some(found), Some(expected)) => check_same(found, expected),
                (found, expected) => return assert!(found.is_none() && expected.is_none()),
            }
        }
    }

    fn children(node: Node<'_>) -> impl Iterator<Item = Node<'_>> {
        node.members().chain(node.elements())
    }

    #[track_caller]
    fn check(text: &str) {
        let indexed = IndexedText::parse(text.as_bytes()).unwrap();
        check_same(indexed.node(), Node::parse(text.as_bytes()).unwrap());
    }

    fn recorded(text: &str) -> Index {
        let mut scanner =
            super::super::grammar::Scanner::new(text.as_bytes(), Recorder::new(text.as_bytes()));
        scanner.value(0).unwrap();
        scanner.recorder.finish().index
    }

    #[test]
    fn only_long_values_are_recorded_with_those_inside_before_those_after() {
        let (long, short) = ("x".repeat(LONG - 2), "x".repeat(LONG - 3));
        let text = format!(r#"[["{short}"],"{long}",{{"a":{{"b":"{long}"}},"c":["{short}"]}}]"#);
        let index = recorded(&text);
        let found: Vec<_> =
            index.0.iter().map(|place| (&text[place.start as usize..][..4], place.inside)).collect();
        let expected = [
            (r#"[["x"#, 6),
            (r#"["xx"#, 0),
            (r#""xxx"#, 0),
            (r#"{"a""#, 3),
            (r#"{"b""#, 1),
            (r#""xxx"#, 0),
            (r#"["xx"#, 0),
        ];
        assert_eq!(found, expected);
        check(&text);
    }

    #[test]
    fn an_index_is_small_and_right_whatever_is_nested() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let texts = [
            nested(300),
            format!("[{}]", vec![nested(64); 100].join(",")),
            format!("[{},\"{}\"]", vec![nested(70); 300].join(","), "x".repeat(1000)),
            format!("[{}]", vec![format!("{{\"a\":\"{}\"}}", "x".repeat(LONG)); 100].join(",")),
        ];
        for text in texts {
            assert!(recorded(&text).0.len() <= (text.len() / BYTES_PER_PLACE).max(MIN_PLACES));
            check(&text);
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Into::into),
            ".{0,9}".prop_map(Into::into),
            (".{1,9}", 1..60usize).prop_map(|(text, count)| text.repeat(count).into()),
        ];
        leaf.prop_recursive(12, 64, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::hash_map(".{0,9}", inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_walk_with_an_index_passes_the_same_values(value in json(), pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
            check(&text.unwrap());
        }
    }
}
