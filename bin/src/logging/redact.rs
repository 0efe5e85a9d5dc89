//! Removes secrets from lines of the log.
//!
//! Every line passes here, whatever has logged it: this is the last defence, after types that do not print their secrets and
//! texts that are made without them. It runs in the thread that writes the log.
//!
//! The search is that of Wu and Manber: a table of blocks of four bytes states how far the next possible end of a match is, so
//! that most bytes are never read.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use relay_config::Secret;

use super::secret_forms::forms;

/// The least length of a secret that is searched for, in bytes. A shorter one would remove parts of common words.
const SECRET_LENGTH: usize = 4;
/// The length of a block of the search.
const BLOCK: usize = 4;
/// The most bytes of a secret that the table covers.
const WINDOW: usize = 32;
/// The most bytes before the mark of a cut that are searched for the beginning of a secret. A text is cut after 200 bytes, each of
/// which may be an escape of six bytes.
const CUT: usize = 1200;
/// The most entries of the table.
const TABLE: usize = 1 << 20;
/// The mark at the end of a text that was cut.
const MARK: &[u8] = "…".as_bytes();
/// The text in the place of a secret.
const REDACTED: &[u8] = b"***";

/// Prefixes of credentials: keys of Anthropic and other vendors, of AWS, Google, GitHub and Slack, and JSON Web Tokens.
const CREDENTIALS: [&[u8]; 10] =
    [b"sk-", b"AKIA", b"ASIA", b"ABSK", b"AIza", b"ya29.", b"ghp_", b"github_pat_", b"xox", b"eyJ"];
/// The beginning of Anthropic's keys and tokens. No other text contains it, so that it need not begin a word.
const ANTHROPIC: &[u8] = b"sk-ant-";
/// The least length of a credential, in bytes. A shorter word with such a prefix is not redacted.
const CREDENTIAL_LENGTH: usize = 16;

/// A search for secrets, and for words that look like a credential.
#[derive(Debug, Default)]
pub(crate) struct Redactor {
    /// The secrets in each form in which they may be written, sorted.
    patterns: Vec<Secret>,
    /// The length of the shortest pattern, at most [`WINDOW`]. The search moves a window of this length.
    window: usize,
    /// The distance to the next possible end of a window, by the hash of the block at its end.
    shifts: Vec<u8>,
    /// The patterns whose window ends with a block.
    ends: HashMap<[u8; BLOCK], Vec<u32>>,
}

impl Redactor {
    /// Creates a search for `secrets`.
    pub(crate) fn new(secrets: &[Secret]) -> Self {
        let long = secrets.iter().map(Secret::expose).filter(|secret| secret.len() >= SECRET_LENGTH);
        let patterns: BTreeSet<String> = long.flat_map(forms).collect();
        let Some(window) = patterns.iter().map(String::len).min().map(|least| least.min(WINDOW)) else {
            return Self::default();
        };
        let farthest = window - BLOCK + 1;
        let blocks = patterns.len().saturating_mul(farthest);
        let mut shifts =
            vec![farthest as u8; (blocks.saturating_mul(4)).next_power_of_two().clamp(1024, TABLE)];
        let mut ends: HashMap<[u8; BLOCK], Vec<u32>> = HashMap::new();
        for (index, pattern) in (0..).zip(&patterns) {
            for (start, block) in pattern.as_bytes()[..window].windows(BLOCK).enumerate() {
                let place = hash(block, shifts.len());
                shifts[place] = shifts[place].min((farthest - 1 - start) as u8);
            }
            if let Some(end) = pattern.as_bytes()[..window].last_chunk() {
                ends.entry(*end).or_default().push(index);
            }
        }
        Self { patterns: patterns.into_iter().map(Secret::new).collect(), window, shifts, ends }
    }

    /// Returns `text` with `***` in the place of each secret, or `None` if there is none.
    pub(crate) fn redact(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut found = Vec::new();
        self.find_patterns(text, &mut found);
        // Most texts have no mark of a cut, which is seen many bytes at a time. Then short words need no look either.
        let may_be_cut = !text.is_ascii();
        if may_be_cut {
            self.find_cut_patterns(text, &mut found);
        }
        find_credentials(text, if may_be_cut { 1 } else { CREDENTIAL_LENGTH }, &mut found);
        if found.is_empty() {
            return None;
        }
        found.sort_unstable_by_key(|range| range.start);
        let mut redacted = Vec::with_capacity(text.len());
        let mut at = 0;
        for range in found {
            if range.start >= at {
                redacted.extend_from_slice(&text[at..range.start]);
                redacted.extend_from_slice(REDACTED);
            }
            at = at.max(range.end);
        }
        redacted.extend_from_slice(&text[at..]);
        Some(redacted)
    }

    fn find_patterns(&self, text: &[u8], found: &mut Vec<Range<usize>>) {
        let mut end = self.window;
        while !self.shifts.is_empty() && end <= text.len() {
            let Some(block) = text[..end].last_chunk::<BLOCK>() else { return };
            let shift = self.shifts[hash(block, self.shifts.len())];
            if shift > 0 {
                end += usize::from(shift);
                continue;
            }
            let start = end - self.window;
            let matching = self.ends.get(block).into_iter().flatten();
            let lengths = matching.filter_map(|index| {
                let pattern = self.patterns[*index as usize].expose().as_bytes();
                text[start..].starts_with(pattern).then_some(pattern.len())
            });
            found.extend(lengths.max().map(|length| start..start + length));
            end += 1;
        }
    }

    /// Finds the beginnings of patterns before the mark of a text that was cut.
    fn find_cut_patterns(&self, text: &[u8], found: &mut Vec<Range<usize>>) {
        for mark in marks(text) {
            let longest = self.longest_beginning_before(&text[..mark]);
            found.extend(longest.map(|length| mark - length..mark));
        }
    }

    /// Returns the length of the longest end of `text` that is the beginning of a pattern, if it has at least
    /// [`SECRET_LENGTH`] bytes.
    fn longest_beginning_before(&self, text: &[u8]) -> Option<usize> {
        let longest = self.patterns.iter().map(|pattern| pattern.expose().len()).max()?;
        (SECRET_LENGTH..=longest.min(text.len()).min(CUT)).rev().find(|length| {
            let end = &text[text.len() - length..];
            let next = self.patterns.partition_point(|pattern| pattern.expose().as_bytes() < end);
            self.patterns.get(next).is_some_and(|pattern| pattern.expose().as_bytes().starts_with(end))
        })
    }
}

/// Returns the positions of [`MARK`].
fn marks(text: &[u8]) -> impl Iterator<Item = usize> {
    let first = text.iter().enumerate().filter(|(_, byte)| **byte == MARK[0]);
    first.map(|(at, _)| at).filter(|at| text[*at..].starts_with(MARK))
}

/// Finds words of at least `least` bytes that look like a credential. A word that was cut is one from its prefix on.
fn find_credentials(text: &[u8], least: usize, found: &mut Vec<Range<usize>>) {
    let mut at = 0;
    while let Some(Range { start, end }) = next_word(text, at, least) {
        let is_long = |word: usize| end - word >= CREDENTIAL_LENGTH || text[end..].starts_with(MARK);
        let is_credential =
            |word: usize| CREDENTIALS.iter().any(|prefix| text[word..end].starts_with(prefix));
        let within = text[start..end].windows(ANTHROPIC.len()).position(|part| part == ANTHROPIC);
        let words = word_starts(text, start).into_iter().filter(|word| *word < end);
        let mut words = words.chain(within.map(|within| start + within));
        found.extend(words.find(|word| is_long(*word) && is_credential(*word)).map(|word| word..end));
        at = end;
    }
}

/// Returns the first word of at least `least` bytes, at least 1, that begins at `at` or later. No word begins before `at` and ends
/// after it.
///
/// A word of this length has a byte at every place so far apart: between two of these, nothing is read until one is in a word.
fn next_word(text: &[u8], mut at: usize, least: usize) -> Option<Range<usize>> {
    let is_outside = |byte: &u8| !is_credential_byte(byte);
    loop {
        let probe = at + least - 1;
        if is_outside(text.get(probe)?) {
            at = probe + 1;
            continue;
        }
        let start = text[at..probe].iter().rposition(is_outside).map_or(at, |outside| at + outside + 1);
        let end = text[probe..].iter().position(is_outside).map_or(text.len(), |length| probe + length);
        if end - start >= least {
            return Some(start..end);
        }
        at = end;
    }
}

/// Returns the places at which a word that begins at `start` may begin without the escape before it: `\nword`, `\u003dword`,
/// `%3Dword`.
fn word_starts(text: &[u8], start: usize) -> [usize; 3] {
    match start.checked_sub(1).map(|before| text[before]) {
        Some(b'\\') => [start, start + 1, start + 5],
        Some(b'%') => [start, start + 2, start + 2],
        _ => [start; 3],
    }
}

/// Returns `true` for a byte of a word.
fn is_credential_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// Returns the place of a block in a table of `size` entries, a power of two.
fn hash(block: &[u8], size: usize) -> usize {
    let block = block.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    (block.wrapping_mul(0x9e37_79b1) >> 12) as usize & (size - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redacted(secrets: &[&str], text: &str) -> String {
        let secrets: Vec<_> = secrets.iter().map(|secret| Secret::new(*secret)).collect();
        let redacted =
            Redactor::new(&secrets).redact(text.as_bytes()).unwrap_or_else(|| text.as_bytes().to_vec());
        String::from_utf8(redacted).unwrap()
    }

    /// Returns the words of at least `least` bytes.
    fn words(text: &str, least: usize) -> Vec<&str> {
        let mut at = 0;
        let next = || {
            let word = next_word(text.as_bytes(), at, least)?;
            at = word.end;
            Some(&text[word])
        };
        std::iter::from_fn(next).collect()
    }

    #[track_caller]
    fn check(secrets: &[&str], text: &str, expected: &str) {
        assert_eq!(redacted(secrets, text), expected);
    }

    #[test]
    fn each_secret_is_replaced_and_everything_else_stays() {
        check(&[], "nothing is secret", "nothing is secret");
        check(&["abc"], "abc is too short", "abc is too short");
        check(&["client-key"], "", "");
        check(&["client-key"], "client-key", "***");
        check(&["client-key"], "a client-keyclient-key b", "a ****** b");
        check(&["key-one", "key-one-and-two"], "key-one-and-two key-one-and key-on", "*** ***-and key-on");
        check(&["abcdef", "defghi"], "-abcdefghi-", "-***-");
        check(&["größe", "2345"], "Größe: größe 12345", "Größe: *** 1***");
        let long = "x".repeat(10_000);
        check(&[&long, "short-one"], &format!("{long}y short-one"), "***y ***");
    }

    #[test]
    fn the_beginning_of_a_secret_before_a_cut_is_replaced() {
        check(&["client-key", "cliff"], "clien… key… cli… cliff… x", "***… key… cli… ***… x");
        check(&["client-key"], "…client…", "…***…");
    }

    #[test]
    fn words_that_look_like_a_credential_are_replaced() {
        let key = "sk-ant-oat01-abcdefghijklmnop";
        check(&[], &format!("token {key}, {key}"), "token ***, ***");
        for before in [r#"{"a":"\n"#, r#"{"a":"\u003d"#, "a%3D", "a=", "\\"] {
            check(&[], &format!("{before}{key}"), &format!("{before}***"));
        }
        check(&[], &format!("{}… {}", &key[..10], &key[..10]), &format!("***… {}", &key[..10]));
        check(&[], &format!("{}{key}", "m".repeat(20)), &format!("{}***", "m".repeat(20)));
        let harmless = "sk-short eyJust task-force-of-the-whole-team 5sk-of-a-longer-word";
        check(&[], harmless, harmless);
    }

    #[test]
    fn words_are_found_by_their_least_length() {
        assert_eq!(words("a bc  def,ghij", 1), ["a", "bc", "def", "ghij"]);
        assert_eq!(words("a bc  def,ghij", 3), ["def", "ghij"]);
        assert_eq!(words("abcd", 4), ["abcd"]);
        assert_eq!(words("abc", 4), [""; 0]);
        assert_eq!(words("", 1), [""; 0]);
    }

    proptest! {
        #[test]
        fn words_of_a_least_length_are_those_of_any_length_that_have_it(
            text in "[a-b_.\\- ]{0,80}",
            least in 1..20_usize,
        ) {
            let mut all = words(&text, 1);
            all.retain(|word| word.len() >= least);
            prop_assert_eq!(words(&text, least), all);
        }

        #[test]
        fn no_form_of_a_secret_remains(
            secrets in prop::collection::vec("[ -~é模]{4,40}", 1..8),
            texts in prop::collection::vec("[ -~é…\n]{0,60}", 9),
            kept in 4..40_usize,
        ) {
            let mut text = String::new();
            let mut all = Vec::new();
            for secret in &secrets {
                for (form, around) in forms(secret).into_iter().zip(texts.iter().cycle()) {
                    text.push_str(around);
                    text.push_str(&form);
                    all.push(form);
                }
                // A text that was cut within the secret.
                text.push_str(&secret[..secret.floor_char_boundary(kept)]);
                text.push('…');
            }
            let secrets: Vec<_> = secrets.iter().map(|secret| Secret::new(secret.as_str())).collect();
            let found = Redactor::new(&secrets).redact(text.as_bytes()).unwrap();
            let found = String::from_utf8_lossy(&found);
            // A secret of asterisks cannot be told from its replacement.
            for form in all.iter().filter(|form| !form.contains("**")) {
                prop_assert!(!found.contains(form.as_str()), "{form:?} in {found:?}");
            }
            for secret in secrets.iter().map(Secret::expose).filter(|secret| !secret.contains("**")) {
                let cut = format!("{}…", &secret[..secret.floor_char_boundary(kept.max(4))]);
                prop_assert!(secret.len() < 5 || cut.len() < 8 || !found.contains(&cut), "{cut:?} in {found:?}");
            }
        }

        #[test]
        fn any_bytes_are_searched(text in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Redactor::new(&[Secret::new("a\u{2026}bcd"), Secret::new("secret")]).redact(&text);
        }
    }
}
