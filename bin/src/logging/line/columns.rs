//! Columns of a terminal.

use relay_config::is_invisible;

/// The mark at the end of a text that was cut.
const MARK: char = '…';

/// The first character that may take two columns, as those of Chinese and emoji do. Characters before it take at most one.
const WIDE: char = '\u{1100}';

/// Returns the largest number of columns that `text` takes. Some characters that take one column count as two.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

fn columns_of(char: char) -> usize {
    if char < WIDE || char == MARK { 1 } else { 2 }
}

/// Appends `text`, cut to at most `width` columns, and spaces up to `width`. Characters that a terminal would obey, or that would
/// hide others, are replaced.
pub(super) fn push_left(line: &mut String, text: &str, width: usize) {
    let used = push_cut(line, text, width);
    line.extend(std::iter::repeat_n(' ', width - used));
}

/// Appends spaces and then `text`, together `width` columns.
pub(super) fn push_right(line: &mut String, text: &str, width: usize) {
    let mut cut = String::new();
    let used = push_cut(&mut cut, text, width);
    line.extend(std::iter::repeat_n(' ', width - used));
    line.push_str(&cut);
}

/// Appends at most `width` columns of `text`. Returns their number.
fn push_cut(line: &mut String, text: &str, width: usize) -> usize {
    let is_whole = columns(text) <= width;
    let room = if is_whole { width } else { width.saturating_sub(1) };
    let mut used = 0;
    for char in text.chars() {
        let char = if char.is_control() || is_invisible(char) { '?' } else { char };
        if used + columns_of(char) > room {
            break;
        }
        used += columns_of(char);
        line.push(char);
    }
    if !is_whole && width > 0 {
        line.push(MARK);
        used += 1;
    }
    used
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_has_its_width_or_less_if_a_wide_character_does_not_fit() {
        #[track_caller]
        fn check(text: &str, width: usize, expected: &str) {
            let (mut left, mut right) = (String::new(), String::new());
            push_left(&mut left, text, width);
            push_right(&mut right, text, width);
            assert_eq!(left, expected);
            assert_eq!((right.trim_start(), columns(&right)), (left.trim_end(), width));
            assert_eq!(columns(&left), width);
        }
        check("", 3, "   ");
        check("abc", 3, "abc");
        check("abcd", 3, "ab…");
        check("abcd", 1, "…");
        check("abcd", 0, "");
        check("größe", 6, "größe ");
        check("模型模型", 8, "模型模型");
        check("模型模型", 7, "模型模…");
        check("模型模型", 6, "模型… ");
        check("a\x1b[31m\n\u{9b}\u{202e}b", 20, "a?[31m???b          ");
        check("a\u{61c}\u{200d}\u{fe0f}\u{e0041}b", 10, "a????b    ");
    }
}
