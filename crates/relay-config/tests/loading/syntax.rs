//! Text that is not well-formed: each mistake has its place and its fix, never the words of a parser.

use relay_config::Format;

use crate::check::{load, loader, toml_problems, yaml_problems};

const PROVIDER: &str = "providers:\n  - name: a\n    type: mock\n";
const TABLE: &str = "[[providers]]\nname = 'a'\ntype = 'mock'\n";
const BACKSLASH: &str = "this backslash begins no known escape in a string in double quotes; write a Windows path in single \
                         quotes, as in 'C:\\Users\\me', or double each backslash";
const TAB: &str = "this is a tab, which YAML does not accept here; write spaces";
const NO_BREAK: &str = "this is a no-break space (U+00A0); replace it by a plain space";

#[track_caller]
fn yaml(text: &str, place: &str, message: &str) {
    for text in [text.to_owned(), text.replace('\n', "\r\n"), format!("\u{feff}{text}")] {
        yaml_problems(&text, &[&format!("{place}: not valid YAML: {message}")]);
    }
}

#[track_caller]
fn toml(text: &str, place: &str, message: &str) {
    for text in [text.to_owned(), text.replace('\n', "\r\n")] {
        toml_problems(&text, &[&format!("{place}: not valid TOML: {message}")]);
    }
}

#[test]
fn windows_paths_in_double_quotes_are_explained() {
    for path in ["C:\\Users\\me", "C:\\work", "C:\\xyz", "\\\\server\\share"] {
        let column = if path.starts_with('C') { 17 } else { 17 - 2 + 1 + 7 };
        yaml(&format!("{PROVIDER}    ca_file: \"{path}\"\n"), &format!("4:{column}"), BACKSLASH);
        toml(&format!("{TABLE}ca_file = \"{path}\"\n"), &format!("4:{}", column - 3), BACKSLASH);
    }
    let read_as_escapes = "found a path with a control character, expected a path; in double quotes `\\t`, `\\n` and others are control \
                           characters; write a Windows path in single quotes, as in 'C:\\temp'";
    let expected = |place: &str| format!("{place}: providers[0].ca_file: {read_as_escapes}");
    yaml_problems(&format!("{PROVIDER}    ca_file: \"C:\\temp\\new.pem\"\n"), &[&expected("4:14")]);
    toml_problems(&format!("{TABLE}ca_file = \"C:\\temp\\new.pem\"\n"), &[&expected("4:11")]);
}

#[test]
fn tabs_are_explained() {
    yaml("server:\n\tlisten: 'a:1'\n", "2:1", TAB);
    yaml("providers:\n\t- name: a\n\t  type: mock\n", "2:1", TAB);
    yaml("providers:\n  - name: a\n\ttype: mock\n", "3:1", TAB);
    yaml("providers:\n  -\tname: a\n  \ttype: mock\n", "2:4", TAB);
    yaml("providers:\n  - name:\ta\n    type: mock\n", "2:10", TAB);
}

#[test]
fn characters_of_word_processors_are_explained() {
    yaml("providers:\n\u{a0}\u{a0}- name: a\n\u{a0}\u{a0}\u{a0}\u{a0}type: mock\n", "2:1", NO_BREAK);
    yaml("providers:\n  - name: a\n  \u{a0} type: mock\n", "3:3", NO_BREAK);
    yaml("providers:\n  - name:\u{a0}a\n    type: mock\n", "2:10", NO_BREAK);
    yaml("providers:\n  - name: a\n    type:\u{a0}mock\n", "3:10", NO_BREAK);
    yaml("providers:\u{a0}\n  - name: a\n    type: mock\n", "1:11", NO_BREAK);
    yaml(
        "providers:\n  – name: a\n    type: mock\n",
        "2:3",
        "this is a typographic dash (U+2013); write a plain hyphen `-`",
    );
    yaml(
        "providers:\n  - name： a\n    type: mock\n",
        "2:9",
        "this is a full-width colon (U+FF1A); write a plain `:`",
    );
    toml("[[providers]]\nname =\u{a0}'a'\n", "2:7", NO_BREAK);
    toml(
        "[[providers]]\nname = “a”\n",
        "2:8",
        "this is a typographic quotation mark (U+201C); write a plain `\"`",
    );
    toml("[server]\n\u{feff}timeout_ms = 5\n", "2:1", "this is a byte order mark (U+FEFF); remove it");
    yaml_problems(
        "providers:\n  - name: “a”\n    type: mock\n",
        &[
            "2:11: providers[0].name: found \"“a”\", expected a string; it contains a typographic quotation mark (U+201C); write a plain `\"`",
        ],
    );
    yaml_problems(
        "logging:\n  level: info\u{a0}\n",
        &[
            "2:10: logging.level: found \"info\\u{a0}\", expected one of `debug`, `info`, `warn`, `error`; it contains a \
           no-break space (U+00A0); replace it by a plain space",
        ],
    );
}

#[test]
fn a_missing_space_after_a_colon_is_explained() {
    let missing = |key: &str| format!("a space is missing after the colon; write `{key}: ` before the value");
    yaml("providers:\n  - name:a\n    type: mock\n", "2:10", &missing("name"));
    yaml("providers:\n  - name: a\n    type:mock\n", "3:10", &missing("type"));
    yaml("server:\n  timeout_ms:5\n  max_concurrent: 5\n", "2:14", &missing("timeout_ms"));
    let no_table = |place: &str, key: &str| {
        format!("{place}: found a string, expected a table of keys and values; {}", missing(key))
    };
    yaml_problems("providers:\n  - name:a\n", &[&no_table("2:5: providers[0]", "name")]);
    yaml_problems("server:\n  listen:127.0.0.1:80\n", &[&no_table("2:3: server", "listen")]);
    yaml_problems("listen:5\n", &[&no_table("1:1", "listen")]);
    let error = load(Format::Yaml, "providers: [{ name: a, type: zai, keys: [{key:sk-secret}] }]")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("c:1:47: providers[0].keys[0].key: not valid YAML: a space is missing"),
        "{error}"
    );
    assert!(!error.contains("sk-secret"), "{error}");
}

#[test]
fn quotes_brackets_and_references_are_explained() {
    let reference = "`*` and `&` begin references to other parts of the file, and this one has no target; put a text that begins with \
                     them in quotes, as in '*'";
    let open = "the quote that begins here is not closed; close it in the same line";
    yaml("providers:\n  - name: \"a\n    type: mock\n", "2:11", open);
    yaml("providers:\n  - name: 'a\n    type: mock\n", "2:11", open);
    yaml(
        "server:\n  listen: \"a\" b\n",
        "2:15",
        "text follows the closing quote; put the whole value in one pair of quotes",
    );
    yaml("server:\n  listen: @a\n", "2:11", "a value without quotes cannot begin with `@`; put it in quotes");
    yaml("keys: [{ key: ${KEY} }]\n", "1:15", "inside of { } and [ ], a reference needs quotes: '${NAME}'");
    yaml("server:\n  listen: [a\n", "3:1", "the text ends inside of a bracket; add the closing `]` or `}`");
    yaml(
        "a: [{ b: c } { b: d }]\n",
        "1:14",
        "a comma or a closing bracket is missing before this; a value with `,`, `:`, `{` or `[` needs quotes",
    );
    yaml(&format!("{PROVIDER}    model_mapping:\n      *: b\n"), "5:7", reference);
    yaml(&format!("{PROVIDER}    model_mapping:\n      a-*: b\n      *x: c\n"), "6:7", reference);
    yaml(&format!("{PROVIDER}    models: *nope\n"), "4:13", reference);
    toml("[server]\nlisten = 'a\n", "2:10", open);
    toml("[server]\nlisten = ['a', 'b'\n", "2:19", "a bracket is not closed; add the closing `]` or `}`");
    toml("[server]\nlisten = ['a' 'b']\n", "2:15", "a comma is missing before this");
    toml("key = ${KEY}\n", "1:8", "a reference needs quotes: \"${NAME}\"");
}

#[test]
fn the_shape_of_lines_is_explained() {
    let indentation = "the indentation of this line fits none of the lines above; begin the keys of one table, and the `-` of one \
                       list, in one column";
    yaml("providers:\n  - name: a\n   type: mock\n", "3:4", indentation);
    yaml(
        "providers:\n  - name: a\n     type: mock\n",
        "3:10",
        "this line is indented deeper than the line above it; begin the keys of one table in one column",
    );
    yaml(
        "server: listen: a\n",
        "1:15",
        "a line has one key; put a value that contains `: ` in quotes, or begin a new line",
    );
    yaml(
        "server\n  listen: a\n",
        "1:1",
        "this line has no colon after its key; write `key: value`, or `key:` before a table",
    );
    let value =
        "this is no number, no true or false, and no text in quotes; put text in quotes: key = \"value\"";
    toml("[server]\nlisten = a\n", "2:10", value);
    toml("[server]\ntimeout_ms = 5s\n", "2:14", value);
    toml("[server]\nlisten =\n", "2:9", "a value is missing after `=`");
    toml(
        "[server\nlisten = 'a'\n",
        "1:8",
        "the header of a table is not closed; write [name], or [[name]] for an item of a list",
    );
    toml("enabled = True\n", "1:11", "write true or false in lower case");
    toml("[server]\n[server]\n", "2:2", "this is already set in line 1; keep one of the two");
    toml(
        "[server]\nlisten = 'a'\nlisten = 'b'\n",
        "3:1",
        "this is already set in line 2; keep one of the two",
    );
    toml(
        "claude-* = 'x'\n",
        "1:8",
        "a key with other characters than letters, digits, `-` and `_` needs quotes, as in \"claude-*\" = \"model\"",
    );
}

#[test]
fn a_file_in_another_format_is_recognised() {
    yaml("[[providers]]\nname = \"a\"\n", "1:1", "this is TOML; give the file a name that ends in .toml");
    let yaml_in_toml = "TOML writes `key = value`; for a file in YAML, give it a name that ends in .yaml";
    toml("providers:\n  - name: a\n", "1:11", yaml_in_toml);
    toml(
        "{\"server\": {}}",
        "1:1",
        "this is JSON; give the file a name that ends in .yaml, which includes JSON",
    );
}

#[test]
fn a_file_in_another_encoding_is_recognised() {
    #[track_caller]
    fn check(bytes: &[u8], place: &str, found: &str) {
        for extension in ["yaml", "toml"] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join(format!("c.{extension}"));
            std::fs::write(&path, bytes).unwrap();
            let error = loader(&[]).with_file(&path).load().unwrap_err().to_string();
            let expected = format!(
                "{}:{place}: found {found}, expected a text in UTF-8; save the file as UTF-8",
                path.display()
            );
            assert!(error.starts_with(&expected), "{error}");
        }
    }
    let utf_16 =
        |to_bytes: fn(u16) -> [u8; 2]| "\u{feff}# a\n".encode_utf16().flat_map(to_bytes).collect::<Vec<_>>();
    check(&utf_16(u16::to_le_bytes), "1:1", "UTF-16");
    check(&utf_16(u16::to_be_bytes), "1:1", "UTF-16");
    check(&utf_16(u16::to_le_bytes)[2..], "1:1", "UTF-16");
    check(b"# one\n# caf\xe9\n", "2:6", "the byte 0xe9, which is no UTF-8 here");
}
