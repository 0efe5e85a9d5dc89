//! Reads a whole message in one pass: checks its JSON and collects its facts.

use std::mem::replace;

use super::StreamReport;
use super::json::MEMBER_LIMIT;
use crate::json_valid::read_object;

impl StreamReport {
    /// Reads a message in one piece, in the form that servers of the Messages API write: one object of JSON in UTF-8, between
    /// white space, whose member `type` is `message`. Its report is that of a [`JsonWatch`](super::JsonWatch) of the same bytes.
    ///
    /// `None` means no more than that a parser has to decide. The reading is strict: no key has an escape, none that decides
    /// about a message is repeated, and none is a key of an error in another API (`object`, `success`, `base_resp`).
    /// ```
    /// use relay_stream::watch::StreamReport;
    ///
    /// let message = br#"{"type":"message","content":[],"error":null,"usage":{"output_tokens":7}}"#;
    /// let report = StreamReport::of_message(message).expect("a message");
    /// assert_eq!(report.usage.output_tokens, Some(7));
    /// assert!(report.is_complete());
    ///
    /// let error = br#"{"type":"error","error":{"type":"api_error","message":"busy"}}"#;
    /// assert!(StreamReport::of_message(error).is_none());
    /// assert!(StreamReport::of_message(br#"{"type":"message","content":["#).is_none());
    /// ```
    #[must_use]
    pub fn of_message(json: &[u8]) -> Option<Self> {
        let (mut shape, mut report) = (Shape::default(), Self::default());
        read_object(json, |key, value| {
            let value = &json[value];
            if Self::reads(key) && value.len() <= MEMBER_LIMIT {
                report.add_member(key, value);
            }
            shape.add(key, value)
        })?;
        report.whole = true;
        shape.is_message.then_some(report)
    }
}

/// The members of an object that decide about a message.
#[derive(Default)]
struct Shape {
    is_message: bool,
    has_content: bool,
    has_error: bool,
}

impl Shape {
    /// Adds a member. Returns `None` if a parser has to read the object.
    fn add(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        let is_first = match key {
            b"type" => value == br#""message""# && !replace(&mut self.is_message, true),
            b"content" => !replace(&mut self.has_content, true),
            b"error" => !replace(&mut self.has_error, true),
            b"object" | b"success" | b"base_resp" => false,
            _ => !key.contains(&b'\\'),
        };
        is_first.then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::JsonWatch;
    use super::*;

    #[test]
    fn only_a_whole_message_in_the_usual_form_is_recognised() {
        for (text, expected) in [
            (r#"{"type":"message"}"#, true),
            (" { \"content\" : [ {} ] , \"type\" : \"message\" }\n", true),
            (r#"{"type":"message","error":{"type":"x"}}"#, true),
            (r#"{"a":{"type":"error","type":"error"},"type":"message","type2":1}"#, true),
            ("", false),
            ("{}", false),
            (r#"[{"type":"message"}]"#, false),
            (r#"{"type":"message"} x"#, false),
            (r#"{"type":"message",}"#, false),
            (r#"{"type":"message""#, false),
            (r#"{"type":"message"]"#, false),
            (r#"{"type":"message","a":[1,]}"#, false),
            (r#"{"type":"message","a":[1}}"#, false),
            (r#"{"type":"error"}"#, false),
            (r#"{"type":["message"]}"#, false),
            (r#"{"type":"message","type":"message"}"#, false),
            (r#"{"type":"message","error":1,"error":2}"#, false),
            (r#"{"type":"message","content":[],"content":[]}"#, false),
            (r#"{"type":"message","base_resp":{}}"#, false),
            (r#"{"type":"message","\u0074ype":"error"}"#, false),
            (r#"{"a":{"type":"message"}}"#, false),
        ] {
            assert_eq!(StreamReport::of_message(text.as_bytes()).is_some(), expected, "{text}");
        }
        assert!(StreamReport::of_message(b"{\"type\":\"message\",\"a\":\"\xff\"}").is_none());
    }

    #[test]
    fn a_message_has_the_report_of_a_watch_of_its_bytes() {
        let long = "x".repeat(MEMBER_LIMIT);
        for members in [
            "",
            r#","id":"msg_1","model":"m","stop_reason":"end_turn""#,
            r#","id":"a\u0041","id":null,"model":7,"stop_reason":null"#,
            r#","id":"a","id":"b","model":"","stop_reason":["x"]"#,
            r#" , "usage" : { "input_tokens" : 7 , "output_tokens" : 8 } "#,
            r#","usage":{"input_tokens":1},"usage":{"input_tokens":2,"cache_creation":{"ephemeral_5m_input_tokens":3}}"#,
            r#","usage":null,"content":[{"type":"text","text":"{\"usage\":1}"}]"#,
            r#","content":[{"usage":{"input_tokens":9},"id":"no"}]"#,
            &format!(r#","id":"{long}","model":"m""#),
        ] {
            let text = format!(r#"{{"type":"message"{members}}}"#);
            let mut watch = JsonWatch::new();
            watch.observe(text.as_bytes());
            assert_eq!(StreamReport::of_message(text.as_bytes()).as_ref(), Some(watch.report()), "{text}");
        }
    }
}
