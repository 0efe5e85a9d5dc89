//! The unified diff of two texts that differ in one place, or in a few places near each other.

use std::fmt::Write;

/// The number of unchanged lines before and after a change.
const CONTEXT: usize = 3;
/// The largest table for the comparison of the lines in the middle. Larger middles are shown as removed and added.
const TABLE_MAX: usize = 1 << 20;

/// A text, and the same lines as they are shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Side<'a> {
    /// The name of the file.
    pub(crate) name: &'a str,
    pub(crate) text: &'a str,
    /// The text with masked secrets. Its lines correspond to those of `text`.
    pub(crate) shown: &'a str,
}

/// Returns the unified diff. Lines are compared by their text and shown as in `shown`. Empty if the texts are equal.
pub(crate) fn unified(before: Side<'_>, after: Side<'_>) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (lines(before.text), lines(after.text));
    let (old_shown, new_shown) = (lines(before.shown), lines(after.shown));
    let start = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    if start == old.len() && start == new.len() {
        return String::new();
    }
    let end =
        old[start..].iter().rev().zip(new[start..].iter().rev()).take_while(|(old, new)| old == new).count();
    let (old_end, new_end) = (old.len() - end, new.len() - end);
    let first = start.saturating_sub(CONTEXT);
    let after_end = end.min(CONTEXT);
    let mut diff = format!("--- {}\n+++ {}\n", before.name, after.name);
    let (old_range, new_range) = (range(first, old_end + after_end), range(first, new_end + after_end));
    // Writing to a string does not fail.
    let _ = writeln!(diff, "@@ -{old_range} +{new_range} @@");
    let mut write = |sign: char, line: &str| {
        let (text, end) = match line.strip_suffix('\n') {
            Some(text) => (text, ""),
            None => (line, "\n\\ No newline at end of file"),
        };
        let _ = writeln!(diff, "{sign}{text}{end}");
    };
    for index in first..start {
        write(' ', line(&old_shown, index));
    }
    for step in steps(&old[start..old_end], &new[start..new_end]) {
        match step {
            Step::Keep(index) => write(' ', line(&old_shown, start + index)),
            Step::Remove(index) => write('-', line(&old_shown, start + index)),
            Step::Add(index) => write('+', line(&new_shown, start + index)),
        }
    }
    for index in old_end..old_end + after_end {
        write(' ', line(&old_shown, index));
    }
    diff
}

fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// Returns a line of a shown text. It has as many lines as the text itself.
fn line<'a>(lines: &[&'a str], index: usize) -> &'a str {
    lines.get(index).copied().unwrap_or_default()
}

/// Returns the lines from `start` to `end`, both counted from 0, in the form of a hunk's head.
fn range(start: usize, end: usize) -> String {
    let first = if start == end { start } else { start + 1 };
    format!("{first},{}", end - start)
}

/// A line of the middle, by its index there.
enum Step {
    Keep(usize),
    Remove(usize),
    Add(usize),
}

/// Returns the shortest way from `old` to `new`, by their longest common subsequence.
fn steps(old: &[&str], new: &[&str]) -> Vec<Step> {
    let width = new.len() + 1;
    if (old.len() + 1).saturating_mul(width) > TABLE_MAX {
        return (0..old.len()).map(Step::Remove).chain((0..new.len()).map(Step::Add)).collect();
    }
    // The length of the longest common subsequence of the rests, by the lines before them.
    let mut common = vec![0_usize; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i * width + j] = match old[i] == new[j] {
                true => common[(i + 1) * width + j + 1] + 1,
                false => common[(i + 1) * width + j].max(common[i * width + j + 1]),
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut steps = Vec::new();
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            steps.push(Step::Keep(i));
            (i, j) = (i + 1, j + 1);
        } else if i < old.len()
            && (j == new.len() || common[(i + 1) * width + j] >= common[i * width + j + 1])
        {
            steps.push(Step::Remove(i));
            i += 1;
        } else {
            steps.push(Step::Add(j));
            j += 1;
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(before: &str, after: &str, expected: &str) {
        let diff = unified(
            Side { name: "a", text: before, shown: before },
            Side { name: "b", text: after, shown: after },
        );
        assert_eq!(diff, expected);
    }

    #[test]
    fn equal_texts_have_no_diff() {
        check("a\n", "a\n", "");
    }

    #[test]
    fn a_change_has_three_lines_around_it() {
        check(
            "1\n2\n3\n4\n5\n6\n7\n8\n9\n",
            "1\n2\n3\n4\n5\nx\n7\n8\n9\n",
            "--- a\n+++ b\n@@ -3,7 +3,7 @@\n 3\n 4\n 5\n-6\n+x\n 7\n 8\n 9\n",
        );
        check(
            "1\n2\n3\n4\n",
            "0\n1\n2\n3\nx\n4\n",
            "--- a\n+++ b\n@@ -1,4 +1,6 @@\n+0\n 1\n 2\n 3\n+x\n 4\n",
        );
    }

    #[test]
    fn a_new_file_is_compared_with_nothing() {
        check("", "{\n}\n", "--- a\n+++ b\n@@ -0,0 +1,2 @@\n+{\n+}\n");
        check("a", "a\n", "--- a\n+++ b\n@@ -1,1 +1,1 @@\n-a\n\\ No newline at end of file\n+a\n");
    }

    #[test]
    fn a_masked_line_that_changes_is_shown_with_its_mask() {
        let before = Side { name: "a", text: "secret-1\n", shown: "***\n" };
        let after = Side { name: "b", text: "secret-2\n", shown: "***\n" };
        assert_eq!(unified(before, after), "--- a\n+++ b\n@@ -1,1 +1,1 @@\n-***\n+***\n");
    }
}
