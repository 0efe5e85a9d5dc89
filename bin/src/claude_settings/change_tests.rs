use proptest::prelude::*;

use super::*;

const URL: &str = "ANTHROPIC_BASE_URL";
const TOKEN: &str = "ANTHROPIC_AUTH_TOKEN";
const RELAY: &str = "http://127.0.0.1:8787";

fn wanted(url: &str, token: Option<&str>) -> Vec<Wanted> {
    let token = token.map(|token| Wanted { name: TOKEN, value: token.to_owned() });
    [Wanted { name: URL, value: url.to_owned() }].into_iter().chain(token).collect()
}

/// A settings file and its record.
struct File {
    text: Option<String>,
    record: Option<Record>,
}

impl File {
    fn new(text: &str) -> Self {
        Self { text: Some(text.to_owned()), record: None }
    }

    fn document(&self) -> Document {
        Document::parse(self.text.as_deref().unwrap_or_default().as_bytes()).unwrap()
    }

    fn init(&mut self, wanted: &[Wanted]) -> Vec<ChangeKind> {
        let mut document = self.document();
        let (record, changes) = init(&mut document, self.text.is_some(), self.record.take(), wanted);
        self.text = Some(String::from_utf8(document.to_bytes()).unwrap());
        // The program stores the record as JSON.
        self.record = Some(Record::from_json(&record.to_json()).unwrap());
        changes.into_iter().map(|change| change.kind).collect()
    }

    fn remove(&mut self) -> Vec<ChangeKind> {
        let Some(record) = self.record.take() else { return Vec::new() };
        let (after, changes) = remove(&mut self.document(), &record);
        self.text = match after {
            After::Written(bytes) => Some(String::from_utf8(bytes).unwrap()),
            After::Deleted => None,
        };
        changes.into_iter().map(|change| change.kind).collect()
    }
}

#[test]
fn a_file_that_init_creates_is_deleted_by_remove() {
    let mut file = File { text: None, record: None };
    assert_eq!(file.init(&wanted(RELAY, None)), [ChangeKind::Added]);
    assert_eq!(
        file.text.as_deref(),
        Some("{\n  \"env\": {\n    \"ANTHROPIC_BASE_URL\": \"http://127.0.0.1:8787\"\n  }\n}\n")
    );
    assert_eq!(file.init(&wanted(RELAY, None)), [ChangeKind::Unchanged]);
    assert_eq!(file.remove(), [ChangeKind::Removed]);
    assert_eq!(file.text, None);
    assert!(file.remove().is_empty());
}

#[test]
fn a_created_file_with_settings_of_the_user_is_kept() {
    let mut file = File { text: None, record: None };
    file.init(&wanted(RELAY, None));
    file.text = Some(file.text.unwrap().replace("{\n  \"env\"", "{\n  \"model\": \"opus\",\n  \"env\""));
    file.remove();
    assert_eq!(file.text.as_deref(), Some("{\n  \"model\": \"opus\"\n}\n"));
}

#[test]
fn a_blank_file_is_blank_again() {
    let mut file = File::new(" \n");
    file.init(&wanted(RELAY, Some("key")));
    file.remove();
    assert_eq!(file.text.as_deref(), Some(" \n"));
}

#[test]
fn former_values_of_any_kind_are_restored_as_they_were_written() {
    for former in [r#""http:\/\/old""#, "8080", "null", r#"["a"]"#, r#""""#] {
        let text = format!("{{\"env\":{{\"{URL}\": {former}}}}}");
        let mut file = File::new(&text);
        assert_eq!(file.init(&wanted(RELAY, None)), [ChangeKind::Replaced]);
        assert_eq!(file.remove(), [ChangeKind::Restored]);
        assert_eq!(file.text, Some(text));
    }
}

#[test]
fn a_value_that_the_user_has_changed_is_left_alone() {
    let mut file = File::new("{}");
    file.init(&wanted(RELAY, Some("managed-by-cc-relay")));
    file.text = file.text.map(|text| text.replace(RELAY, "https://theirs"));
    assert_eq!(file.remove(), [ChangeKind::Removed, ChangeKind::LeftAlone]);
    assert_eq!(
        file.text.as_deref(),
        Some("{\n  \"env\": {\n    \"ANTHROPIC_BASE_URL\": \"https://theirs\"\n  }\n}")
    );
}

#[test]
fn a_value_that_the_user_has_removed_stays_removed() {
    let mut file = File::new(r#"{"env":{"ANTHROPIC_BASE_URL":"https://old"}}"#);
    file.init(&wanted(RELAY, None));
    file.text = Some(r#"{"env":{}}"#.to_owned());
    assert_eq!(file.remove(), [ChangeKind::Gone]);
    assert_eq!(file.text.as_deref(), Some(r#"{"env":{}}"#));
}

#[test]
fn a_value_set_by_the_user_to_the_url_of_the_relay_is_not_removed() {
    let text = r#"{"env":{"ANTHROPIC_BASE_URL":"http://127.0.0.1:8787"}}"#;
    let mut file = File::new(text);
    assert_eq!(file.init(&wanted(RELAY, None)), [ChangeKind::AlreadySet]);
    assert!(file.remove().is_empty());
    assert_eq!(file.text.as_deref(), Some(text));
}

#[test]
fn a_second_init_with_another_url_keeps_the_first_former_value() {
    let text = r#"{"env":{"ANTHROPIC_BASE_URL":"https://old"}}"#;
    let mut file = File::new(text);
    file.init(&wanted(RELAY, Some("key")));
    assert_eq!(
        file.init(&wanted("http://127.0.0.1:9999", None)),
        [ChangeKind::Removed, ChangeKind::Replaced]
    );
    assert_eq!(file.text.as_deref(), Some(r#"{"env":{"ANTHROPIC_BASE_URL":"http://127.0.0.1:9999"}}"#));
    file.remove();
    assert_eq!(file.text.as_deref(), Some(text));
}

#[test]
fn an_init_whose_file_was_not_written_is_undone() {
    let mut file = File::new("{}");
    file.init(&wanted(RELAY, None));
    let text = file.text.clone();
    file.init(&wanted("http://127.0.0.1:9999", None));
    // Only the record of the second run was written.
    file.text = text;
    assert_eq!(file.remove(), [ChangeKind::Removed]);
    assert_eq!(file.text.as_deref(), Some("{}"));
}

#[test]
fn an_init_after_a_change_by_the_user_remembers_the_newer_value() {
    let mut file = File::new(r#"{"env":{"ANTHROPIC_BASE_URL":"https://old"}}"#);
    file.init(&wanted(RELAY, None));
    file.text = file.text.map(|text| text.replace(RELAY, "https://newer"));
    file.init(&wanted(RELAY, None));
    file.remove();
    assert_eq!(file.text.as_deref(), Some(r#"{"env":{"ANTHROPIC_BASE_URL":"https://newer"}}"#));
}

/// A step of the user or of the program.
#[derive(Debug, Clone)]
enum Step {
    Init(bool, bool),
    Rewrite,
    SetOther(u8),
    SetUrl,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (any::<bool>(), any::<bool>()).prop_map(|(url, token)| Step::Init(url, token)),
        Just(Step::Rewrite),
        any::<u8>().prop_map(Step::SetOther),
        Just(Step::SetUrl),
    ];
    prop::collection::vec(step, 1..8)
}

proptest! {
    #[test]
    fn nothing_of_the_user_is_lost(exists in any::<bool>(), steps in steps()) {
        let mut file = File { text: exists.then(|| r#"{"env":{"ANTHROPIC_AUTH_TOKEN":"theirs"},"hooks":{}}"#.to_owned()), record: None };
        // The file that the user would have without the program.
        let mut theirs: Value = serde_json::from_str(file.text.as_deref().unwrap_or("{}")).unwrap();
        for step in steps {
            match step {
                Step::Init(url, token) => {
                    let url = if url { RELAY } else { "http://127.0.0.1:9999" };
                    file.init(&wanted(url, token.then_some("managed-by-cc-relay")));
                }
                Step::Rewrite => {
                    // Claude Code writes its settings so.
                    let Some(text) = &file.text else { continue };
                    let value: Value = serde_json::from_str(text).unwrap();
                    file.text = Some(serde_json::to_string_pretty(&value).unwrap());
                }
                Step::SetOther(value) => {
                    let mut document = file.document();
                    document.set("OTHER", &value.to_string());
                    file.text = Some(document.text().to_owned());
                    theirs["env"]["OTHER"] = value.into();
                }
                Step::SetUrl => {
                    let mut document = file.document();
                    document.set(URL, r#""https://theirs""#);
                    file.text = Some(document.text().to_owned());
                    theirs["env"][URL] = "https://theirs".into();
                }
            }
        }
        file.remove();
        let left: Value = serde_json::from_str(file.text.as_deref().unwrap_or("{}")).unwrap();
        prop_assert_eq!(left, theirs);
    }
}
