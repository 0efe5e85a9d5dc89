//! Prepares the text of an upstream for a message: short, on one line, without addresses and keys.

/// The number of bytes of a body that are searched for a text. The title of a page is within its first few hundred bytes.
pub(super) const LOOKED_AT: usize = 16 * 1024;
/// The number of characters of a text that go into a message.
const SHOWN: usize = 500;

/// Returns the readable part of `text` in one line; `None` if there is none.
pub(super) fn line(text: &str) -> Option<String> {
    if text.chars().take(SHOWN).any(|c| c.is_control() && !c.is_ascii_whitespace()) {
        return None;
    }
    let words = text.split_ascii_whitespace().map(|word| if is_private(word) { "…" } else { word });
    let mut line = String::new();
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if let Some((end, _)) = line.char_indices().nth(SHOWN) {
            line.truncate(end);
            line.push('…');
            break;
        }
    }
    (!line.is_empty()).then_some(line)
}

/// Returns the title of an HTML page, or else its first heading.
pub(super) fn title(page: &str) -> Option<String> {
    let page = page.get(..LOOKED_AT).unwrap_or(page);
    let lower = page.to_ascii_lowercase();
    ["title", "h1", "h2"].iter().find_map(|name| {
        let start = lower.find(&format!("<{name}"))?;
        let start = start + lower[start..].find('>')? + 1;
        let end = start + lower[start..].find(&format!("</{name}"))?;
        line(&entities(&without_tags(&page[start..end])))
    })
}

fn without_tags(text: &str) -> String {
    let parts = text.split('<').enumerate();
    parts
        .map(
            |(index, part)| if index == 0 { part } else { part.split_once('>').map_or("", |(_, text)| text) },
        )
        .collect()
}

/// Returns `true` for an address or a key. An address may contain a credential, or disclose the location of an
/// upstream. An upstream may quote a key that it refuses.
fn is_private(word: &str) -> bool {
    let word = word.trim_start_matches(['"', '\'', '`', '(', '<', '[']);
    word.contains("://") || word.starts_with("sk-") || word.starts_with("AKIA") || word.starts_with("ABSK")
}

fn entities(text: &str) -> String {
    let pairs =
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&nbsp;", " "), ("&amp;", "&")];
    pairs.iter().fold(text.to_owned(), |text, (entity, plain)| text.replace(entity, plain))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_holds_the_readable_part_of_a_text() {
        #[track_caller]
        fn check(text: &str, expected: Option<&str>) {
            assert_eq!(line(text).as_deref(), expected, "{text}");
        }
        check("upstream\r\n  connect\terror\n", Some("upstream connect error"));
        check(
            "Incorrect API key provided: sk-abc. See https://x.y/z?k=1",
            Some("Incorrect API key provided: … See …"),
        );
        check("at \"http://user:pass@10.0.0.1/\" (sk-ant-1)", Some("at … …"));
        check("\u{1f}\u{8b}\u{8}", None);
        check(" ", None);
        check(&"x".repeat(600), Some(&format!("{}…", "x".repeat(500))));
        check(&"é ".repeat(600), Some(&format!("{}…", "é ".repeat(250))));
    }

    #[test]
    fn a_page_is_described_by_its_title() {
        #[track_caller]
        fn check(page: &str, expected: Option<&str>) {
            assert_eq!(title(page).as_deref(), expected, "{page}");
        }
        check("<html><head><TITLE lang=en>\n502 Bad\n Gateway </TITLE>", Some("502 Bad Gateway"));
        check("<title></title><h1>Access <b>denied</b></h1>", Some("Access denied"));
        check(
            "<title>gw.example | 524: A timeout occurred</title>",
            Some("gw.example | 524: A timeout occurred"),
        );
        check("<title>&lt;a &amp; b&gt;</title>", Some("<a & b>"));
        for odd in ["<html>", "<title", "<title>", "<title>x", "<p>text</p>"] {
            check(odd, None);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "(<(title|h1)[ >]?)?.{0,2000}(</)?") {
            let _ = (line(&text), title(&text));
        }
    }
}
