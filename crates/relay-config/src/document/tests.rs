use std::sync::Arc;

use proptest::prelude::*;

use super::*;

#[test]
fn yaml_toml_and_json_are_read_in_their_order() {
    let yaml = "b: 1\na: [x, true, ~]\nc: { d: '${E}' }";
    let json = r#"{ "b": 1, "a": ["x", true, null], "c": { "d": "${E}" } }"#;
    let read = Document::read("a.yaml", Format::Yaml, yaml).unwrap();
    assert_eq!(read, serde_json::from_str(json).unwrap());
    let keys: Vec<_> = read.entries().iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["b", "a", "c"]);
    let toml = Document::read("a.toml", Format::Toml, "b = 1\nc.d = '${E}'").unwrap();
    assert_eq!((toml.get("b"), toml.get("c")), (read.get("b"), read.get("c")));
}

#[test]
fn a_mistake_in_the_text_has_its_place() {
    let error = Document::read("a.yaml", Format::Yaml, "a: [1\nb: 2").unwrap_err();
    assert!(error.to_string().starts_with("a.yaml:"), "{error}");
}

#[test]
fn variables_are_found_unless_they_are_literal_or_have_a_default() {
    let texts = ["${A}-${B:-x}", "$${C}", "${D}${A}", "$$${E}", "${", "${F G}${H}", "$I"];
    let document = Document::List(texts.map(Document::from).to_vec());
    assert_eq!(document.variables().into_iter().collect::<Vec<_>>(), ["A", "D"]);
}

#[test]
fn a_value_that_is_nested_too_deeply_is_refused() {
    let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(serde_json::from_str::<Document>(&nested(32)).is_ok());
    let error = serde_json::from_str::<Document>(&nested(33)).unwrap_err();
    assert!(error.to_string().contains("nesting this deep"), "{error}");
    assert!(Document::read("t", Format::Yaml, &nested(32)).is_ok());
}

#[track_caller]
fn check_written(format: Format, document: &Document, expected: &str) {
    assert_eq!(document.to_text(format), expected);
    assert_eq!(&Document::read("t", format, expected).unwrap(), document, "{expected}");
}

fn table(entries: &[(&str, Document)]) -> Document {
    Document::Table(entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
}

#[test]
fn tables_and_lists_have_their_usual_form() {
    let key = table(&[("key", "${KEY}".into()), ("weight", Document::Number("2".to_owned()))]);
    let empty = table(&[("models", Document::List(vec![])), ("model_mapping", table(&[]))]);
    let lists = Document::List(vec![Document::List(vec!["a".into(), "b".into()]), "c: d".into()]);
    let providers =
        Document::List(vec![table(&[("name", "zai".into()), ("keys", Document::List(vec![key]))]), empty]);
    let document = table(&[("lists", lists), ("providers", providers)]);
    check_written(
        Format::Yaml,
        &document,
        "lists:\n  - - a\n    - b\n  - \"c: d\"\nproviders:\n  - name: zai\n    keys:\n      - key: ${KEY}\n        \
         weight: 2\n  - models: []\n    model_mapping: {}\n",
    );
    check_written(
        Format::Toml,
        &document,
        "lists = [[\"a\", \"b\"], \"c: d\"]\n\n[[providers]]\nname = \"zai\"\n\n[[providers.keys]]\nkey = \"${KEY}\"\n\
         weight = 2\n\n[[providers]]\nmodels = []\n\n[providers.model_mapping]\n",
    );
    assert_eq!(
        document.get("providers").unwrap().items()[0].to_toml_value(),
        "{ name = \"zai\", keys = [{ key = \"${KEY}\", weight = 2 }] }"
    );
}

#[test]
fn a_root_without_entries_stays_what_it_is() {
    for document in [Document::List(vec![]), table(&[]), "text".into(), Document::Bool(true)] {
        let text = document.to_text(Format::Yaml);
        assert_eq!(Document::read("t", Format::Yaml, &text).unwrap(), document, "{text}");
    }
}

#[test]
fn a_number_of_one_format_is_a_number_of_the_other() {
    for (from, yaml, toml) in [
        ("012", "12", "12"),
        (".5", "0.5", "0.5"),
        ("0x1F", "31", "31"),
        ("0b101", "5", "5"),
        ("1_000", "1000", "1000"),
        ("1e3", "1000.0", "1000.0"),
        ("1e300", "1e300", "1e300"),
        ("-.INF", "-.inf", "-inf"),
        ("nan", ".nan", "nan"),
        ("100000000000000000000", "100000000000000000000", "1e20"),
        ("no number", "\"no number\"", "\"no number\""),
    ] {
        let number = Document::Number(from.to_owned());
        assert_eq!(
            (number.to_text(Format::Yaml).trim_end(), &*number.to_toml_value()),
            (yaml, toml),
            "{from}"
        );
    }
}

#[test]
fn an_absent_value_is_dropped_from_a_table_of_toml() {
    let inner = table(&[("b", Document::Null), ("c", Document::Bool(true))]);
    let document = table(&[("a", Document::Null), ("l", Document::List(vec![inner, "x".into()]))]);
    assert_eq!(document.to_text(Format::Toml), "l = [{ c = true }, \"x\"]\n");
}

#[test]
fn a_key_of_any_length_is_read_back() {
    for length in [1023, 1024, 1025, 5000] {
        let document = table(&[("a", table(&[(&"k ".repeat(length), "v".into()), ("b", "c".into())]))]);
        for format in [Format::Yaml, Format::Toml] {
            let text = document.to_text(format);
            assert_eq!(Document::read("t", format, &text).unwrap(), document, "{format:?} {length}");
        }
    }
}

/// Texts that a format could take for something else.
fn texts() -> impl Strategy<Value = String> {
    const WORDS: [&str; 32] = [
        "",
        " ",
        "~",
        "null",
        "Null",
        "true",
        "TRUE",
        "no",
        "Off",
        "y",
        "N",
        "=",
        "<<",
        "---",
        "...",
        "- a",
        "? a",
        "1",
        "012",
        "0x1F",
        "1e3",
        ".5",
        ".inf",
        "nan",
        "1_000",
        "2026-11-27",
        "2026-11-27T08:00:00Z",
        "12:30",
        "!!str x",
        "&a",
        "*a",
        "@a",
    ];
    const PIECES: [&str; 34] = [
        "a", "Z", "0", "-", "_", ".", "/", "~", " ", "  ", "\t", "\n", "\r\n", "#", " #", ":", ": ", "'",
        "\"", "\\", "{", "}", "[", "]", ",", "$", "${", "${A}", "$${", "%", "|", ">", "\u{85}", "\u{2028}",
    ];
    prop_oneof![
        prop::sample::select(&WORDS[..]).prop_map(str::to_owned),
        prop::collection::vec(prop::sample::select(&PIECES[..]), 0..12).prop_map(|pieces| pieces.concat()),
        any::<String>(),
    ]
}

fn documents() -> impl Strategy<Value = Document> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Document::Bool),
        any::<i64>().prop_map(|number| Document::Number(number.to_string())),
        prop::num::f64::NORMAL.prop_map(|number| Document::Number(format!("{number:?}"))),
        texts().prop_map(Document::Text),
    ];
    let tree = leaf.prop_recursive(4, 24, 4, move |inner| {
        let table = prop::collection::btree_map(texts(), inner.clone(), 0..4);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Document::List),
            table.prop_map(|entries| Document::Table(entries.into_iter().collect())),
        ]
    });
    prop::collection::btree_map(texts(), tree, 0..4)
        .prop_map(|entries| Document::Table(entries.into_iter().collect()))
}

/// The same values, with tables in the order of their keys: TOML has its own order.
fn sorted(document: Document) -> Document {
    match document {
        Document::Table(entries) => {
            let mut entries: Vec<_> = entries.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Document::Table(entries)
        }
        Document::List(items) => Document::List(items.into_iter().map(sorted).collect()),
        value => value,
    }
}

/// Returns the value that the loader reads from a text of the file.
fn expanded(text: &str) -> String {
    let document = table(&[("a", Document::literal(text))]);
    let name: Arc<str> = "t".into();
    let mut report = Report::default();
    let mut root = crate::yaml::parse(&name, &document.to_text(Format::Yaml), &mut report).unwrap();
    interpolate::expand(&mut root, &Default::default(), crate::schema::Schema::shared(), &mut report);
    assert!(report.finish().0.is_empty(), "{document:?}");
    match &root.get("a").unwrap().value {
        Value::Text(text) | Value::Loose(text) => text.clone(),
        value => panic!("{value:?} is no text"),
    }
}

proptest! {
    #[test]
    fn a_document_is_the_same_after_it_was_written_and_read(document in documents()) {
        let text = document.to_text(Format::Yaml);
        prop_assert_eq!(&Document::read("t.yaml", Format::Yaml, &text).unwrap(), &document, "{}", text);
        let text = document.to_text(Format::Toml);
        let read = Document::read("t.toml", Format::Toml, &text).unwrap();
        prop_assert_eq!(sorted(read), sorted(document), "{}", text);
    }

    #[test]
    fn a_value_on_one_line_of_toml_is_the_same_value(document in documents()) {
        let text = format!("a = {}\n", document.to_toml_value());
        let read = Document::read("t.toml", Format::Toml, &text).unwrap();
        prop_assert_eq!(sorted(read), sorted(table(&[("a", document)])), "{}", text);
    }

    #[test]
    fn a_literal_text_has_no_reference(text in texts()) {
        prop_assert_eq!(expanded(&text), text);
    }
}
