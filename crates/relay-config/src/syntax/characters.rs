//! Characters that look like others: blanks, quotes, hyphens and colons of word processors and web pages.

/// A character that only looks like one of the syntax.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OddCharacter {
    /// Its position in characters.
    pub(crate) at: usize,
    /// Its name and its code point.
    pub(crate) name: String,
    /// The fix, as a clause.
    pub(crate) fix: &'static str,
}

impl OddCharacter {
    /// The explanation at the place of the character.
    pub(crate) fn message(&self) -> String {
        format!("this is {}; {}", self.name, self.fix)
    }
}

/// Returns the first odd character of `text`.
pub(crate) fn odd_character(text: &str) -> Option<OddCharacter> {
    text.chars().enumerate().find_map(|(at, char)| describe(at, char))
}

/// Returns the odd character that surrounds a value, or is invisible in it.
pub(crate) fn odd_in_value(text: &str) -> Option<OddCharacter> {
    let last = text.chars().count().saturating_sub(1);
    let is_odd = |at: usize, char: char| at == 0 || at == last || is_blank(char);
    text.chars().enumerate().filter(|&(at, char)| is_odd(at, char)).find_map(|(at, char)| describe(at, char))
}

/// Returns `true` for a space other than the plain blank, and for an invisible character.
fn is_blank(char: char) -> bool {
    char.is_whitespace() || matches!(char, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}')
}

fn describe(at: usize, char: char) -> Option<OddCharacter> {
    let (name, fix) = match char {
        '\u{a0}' => ("a no-break space", "replace it by a plain space"),
        '\u{202f}' => ("a narrow no-break space", "replace it by a plain space"),
        '\u{2000}'..='\u{200a}' | '\u{205f}' | '\u{3000}' => {
            ("a typographic space", "replace it by a plain space")
        }
        '\u{200b}'..='\u{200d}' | '\u{2060}' => ("an invisible character", "remove it"),
        '\u{feff}' => ("a byte order mark", "remove it"),
        '“' | '”' | '„' | '‟' | '«' | '»' => ("a typographic quotation mark", "write a plain `\"`"),
        '‘' | '’' | '‚' | '‛' => ("a typographic quotation mark", "write a plain `'`"),
        '\u{2010}'..='\u{2015}' | '\u{2212}' => ("a typographic dash", "write a plain hyphen `-`"),
        '：' => ("a full-width colon", "write a plain `:`"),
        '，' => ("a full-width comma", "write a plain `,`"),
        '＝' => ("a full-width equals sign", "write a plain `=`"),
        _ => return None,
    };
    Some(OddCharacter { at, name: format!("{name} (U+{:04X})", u32::from(char)), fix })
}
