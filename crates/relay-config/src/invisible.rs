//! Characters that a reader cannot see.

/// Returns `true` for a character that has no form of its own, or that changes the direction or the lines of the text around it. Such a
/// character hides in a secret that was copied, and lets a name look like another one. Control characters and blanks are not among
/// them.
///
/// ```
/// use relay_config::is_invisible;
///
/// assert!(is_invisible('\u{202e}'), "the text after it is shown from right to left");
/// assert!(!is_invisible('ß') && !is_invisible(' ') && !is_invisible('\n'));
/// ```
///
/// # Source
/// Unicode 16, `Default_Ignorable_Code_Point` in DerivedCoreProperties.txt and `Bidi_Control` in PropList.txt; in addition the
/// separators of lines and paragraphs, and the marks of interlinear annotations.
#[must_use]
pub fn is_invisible(c: char) -> bool {
    matches!(c,
            '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_that_hides_or_turns_a_text_is_invisible() {
        // Bidi_Control.
        for c in ['\u{61c}', '\u{200e}', '\u{200f}'].into_iter().chain('\u{202a}'..='\u{202e}') {
            assert!(is_invisible(c), "{c:?}");
        }
        for c in '\u{2066}'..='\u{2069}' {
            assert!(is_invisible(c), "{c:?}");
        }
        // Characters without a width, joiners, fillers, separators, and a byte order mark.
        for c in "\u{ad}\u{34f}\u{115f}\u{1160}\u{17b4}\u{180e}\u{200b}\u{200c}\u{200d}\u{2028}\u{2029}\u{2060}\u{2064}\u{206a}\u{3164}\u{feff}\u{ffa0}\u{fff9}".chars() {
            assert!(is_invisible(c), "{c:?}");
        }
        let variations =
            ('\u{180b}'..='\u{180d}').chain('\u{fe00}'..='\u{fe0f}').chain('\u{e0100}'..='\u{e01ef}');
        let tags = std::iter::once('\u{e0001}').chain('\u{e0020}'..='\u{e007f}');
        for c in variations.chain(tags).chain('\u{1d173}'..='\u{1d17a}') {
            assert!(is_invisible(c), "{c:?}");
        }
    }

    #[test]
    fn characters_with_a_form_and_blanks_are_visible() {
        for c in "aZ~ \t\n\u{a0}\u{ac}\u{ae}ßñЖא模型한ｱ🦀…“”–\u{2027}\u{202f}\u{205f}\u{3000}\u{fffc}\u{fffd}"
            .chars()
        {
            assert!(!is_invisible(c), "{c:?}");
        }
    }
}
