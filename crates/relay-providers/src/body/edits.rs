//! Changes to a body, kept apart from it until it is sent.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::grammar::Span;
use super::{MessagesBody, Payload};

/// Changes to the top level of one body. Each attempt has its own; the body itself is never touched.
///
/// The members that are left alone, and the order of all, stay byte for byte what the client wrote.
#[derive(Debug, Clone, Default)]
pub struct Edits {
    /// By the index of the member.
    members: BTreeMap<usize, Change>,
    /// Members in front of the client's own, as JSON texts.
    first: Vec<Bytes>,
}

#[derive(Debug, Clone)]
enum Change {
    Remove,
    /// The new value, a JSON text.
    Replace(Bytes),
}

impl Edits {
    /// Puts `model` in the place of the client's model name, wherever the body holds it at its top level.
    pub fn set_model(&mut self, body: &MessagesBody, model: &str) {
        self.replace(body, "model", &Bytes::from(serde_json::Value::from(model).to_string()));
    }

    /// Puts `value`, a JSON text, in the place of every member called `name` that is still there.
    pub fn replace(&mut self, body: &MessagesBody, name: &str, value: &Bytes) {
        for (index, member) in body.fields.members.iter().enumerate() {
            if body.is_called(member, name) && !matches!(self.members.get(&index), Some(Change::Remove)) {
                self.members.insert(index, Change::Replace(value.clone()));
            }
        }
    }

    /// Takes out every member called `name`; says whether there was one.
    pub fn remove(&mut self, body: &MessagesBody, name: &str) -> bool {
        self.retain(body, |other| other != name)
    }

    /// Takes out every member whose name `keep` refuses; says whether there was one.
    pub fn retain(&mut self, body: &MessagesBody, keep: impl Fn(&str) -> bool) -> bool {
        let mut removed = false;
        for (index, member) in body.fields.members.iter().enumerate() {
            if !keep(&body.name(member)) {
                self.members.insert(index, Change::Remove);
                removed = true;
            }
        }
        removed
    }

    /// Puts a member in front of the others. `value` is a JSON text; the name is not looked for among the client's.
    pub fn insert(&mut self, name: &str, value: &str) {
        self.first.push(Bytes::from(format!("{}:{value}", serde_json::Value::from(name))));
    }

    /// The body with the changes made.
    #[must_use]
    pub fn apply(&self, body: &MessagesBody) -> Payload {
        let mut edits: Vec<(Span, Bytes)> = Vec::with_capacity(self.members.len() + 1);
        let members = &body.fields.members;
        let is_removed = |index: usize| matches!(self.members.get(&index), Some(Change::Remove));
        let kept = (0..members.len()).filter(|&index| !is_removed(index)).count();

        if !self.first.is_empty() {
            // Right behind the brace, which is the first byte that is no white space.
            let inside = body.bytes.iter().position(|&byte| byte == b'{').map_or(0, |brace| brace + 1);
            let mut text = self.first.join(&b","[..]);
            if kept > 0 {
                text.push(b',');
            }
            edits.push((inside..inside, text.into()));
        }
        // A member goes with the comma behind it; those at the end go with the comma in front of them.
        let mut left = kept;
        let mut end_of_last_kept = None;
        for (index, member) in members.iter().enumerate() {
            match self.members.get(&index) {
                Some(Change::Remove) if left > 0 => {
                    edits.push((member.key.start..members[index + 1].key.start, Bytes::new()));
                }
                Some(Change::Remove) => {
                    let last = members.len() - 1;
                    let start = end_of_last_kept.unwrap_or(members[index].key.start);
                    edits.push((start..members[last].value.span.end, Bytes::new()));
                    break;
                }
                change => {
                    if let Some(Change::Replace(value)) = change {
                        edits.push((member.value.span.clone(), value.clone()));
                    }
                    left -= 1;
                    end_of_last_kept = Some(member.value.span.end);
                }
            }
        }
        Payload::splice(&body.bytes, &edits)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    fn parse(body: &str) -> MessagesBody {
        MessagesBody::parse(body.to_owned().into()).unwrap()
    }

    fn text(edits: &Edits, body: &MessagesBody) -> String {
        String::from_utf8(edits.apply(body).pieces().flat_map(|piece| piece.to_vec()).collect()).unwrap()
    }

    #[test]
    fn members_go_with_their_commas() {
        #[track_caller]
        fn check(body: &str, remove: &[&str], insert: &[(&str, &str)], expected: &str) {
            let body = parse(body);
            let mut edits = Edits::default();
            edits.retain(&body, |name| !remove.contains(&name));
            for (name, value) in insert {
                edits.insert(name, value);
            }
            assert_eq!(text(&edits, &body), expected);
        }
        let body = r#" { "model" : "m", "a":1 , "b":[2] , "c":{} } "#;
        check(body, &[], &[], body);
        check(body, &["model"], &[], r#" { "a":1 , "b":[2] , "c":{} } "#);
        check(body, &["a"], &[], r#" { "model" : "m", "b":[2] , "c":{} } "#);
        check(body, &["c"], &[], r#" { "model" : "m", "a":1 , "b":[2] } "#);
        check(body, &["b", "c"], &[], r#" { "model" : "m", "a":1 } "#);
        check(body, &["model", "b"], &[], r#" { "a":1 , "c":{} } "#);
        check(body, &["model", "a", "b", "c"], &[], " {  } ");
        check(body, &["model", "a", "b", "c"], &[("v", "\"x\"")], r#" {"v":"x"  } "#);
        check(
            body,
            &["model"],
            &[("v", "1"), ("w", "[2]")],
            r#" {"v":1,"w":[2], "a":1 , "b":[2] , "c":{} } "#,
        );
        check(r#"{"model":"m","x":1,"\u0078":2}"#, &["x"], &[], r#"{"model":"m"}"#);
    }

    #[test]
    fn what_is_removed_is_not_replaced() {
        let body = parse(r#"{"model":"m","a":1}"#);
        let mut edits = Edits::default();
        edits.remove(&body, "model");
        edits.set_model(&body, "n");
        edits.replace(&body, "a", &Bytes::from_static(b"[2]"));
        assert_eq!(text(&edits, &body), r#"{"a":[2]}"#);
    }

    proptest! {
        #[test]
        fn an_edited_body_parses_to_the_edited_object(
            members in prop::collection::btree_map("[a-g]", any::<i32>(), 0..7),
            removed in "[a-g]{0,7}", replaced in "[a-g]{0,3}", inserted in "[x-z]{0,2}", pretty: bool, with_model: bool,
        ) {
            let mut object: Map<String, Value> = members.into_iter().map(|(key, value)| (key, value.into())).collect();
            object.insert("model".to_owned(), "m".into());
            let json = if pretty { serde_json::to_string_pretty(&object) } else { serde_json::to_string(&object) }.unwrap();
            let body = parse(&json);
            let mut edits = Edits::default();
            for name in replaced.chars().map(String::from) {
                edits.replace(&body, &name, &Bytes::from_static(b"{\"new\":true}"));
                if let Some(value) = object.get_mut(&name) {
                    *value = serde_json::json!({ "new": true });
                }
            }
            for name in removed.chars().map(String::from).chain((!with_model).then(|| "model".to_owned())) {
                prop_assert_eq!(edits.remove(&body, &name), body.get(&name).is_some());
                object.remove(&name);
            }
            for name in inserted.chars().map(String::from) {
                edits.insert(&name, "null");
                object.insert(name, Value::Null);
            }
            prop_assert_eq!(serde_json::from_str::<Map<String, Value>>(&text(&edits, &body)).unwrap(), object);
        }
    }
}
