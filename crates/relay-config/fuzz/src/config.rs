//! Configuration files: no text panics, each problem has a place inside the text, no secret of the environment is printed,
//! and the configuration that `config show` prints is loaded again. The first byte selects the format.

use relay_config::{Format, LoadError, Loaded, Loader, Place};

const SECRET: &str = "sk-secret-of-the-environment";

/// Checks one input of the fuzzer.
///
/// # Panics
/// If a rule above does not hold.
pub fn check(input: &[u8]) {
    let Some((&first, text)) = input.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let format = if first % 2 == 0 { Format::Yaml } else { Format::Toml };
    match load(format, text) {
        Ok(loaded) => {
            loaded.warnings.iter().for_each(|warning| assert_no_secret(&warning.to_string()));
            let shown = loaded.to_yaml();
            assert_no_secret(&shown);
            assert_loads_again(&shown);
        }
        Err(error) => {
            assert_no_secret(&error.to_string());
            error.problems().iter().for_each(|problem| assert_inside(&problem.place, text));
        }
    }
}

fn load(format: Format, text: &str) -> Result<Loaded, LoadError> {
    let variables = [("KEY", SECRET), ("AWS_REGION", "eu-west-1")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Loader::new().with_text("fuzz", format, text).with_environment(variables).load()
}

fn assert_no_secret(printed: &str) {
    assert!(!printed.contains(SECRET), "a secret is printed: {printed}");
}

/// Loads a shown configuration. Each secret in it reads `***`, and two equal ones would be refused.
fn assert_loads_again(shown: &str) {
    let mut distinct = String::with_capacity(shown.len());
    for (index, part) in shown.split("***").enumerate() {
        if index > 0 {
            distinct.push_str(&format!("secret-{index}"));
        }
        distinct.push_str(part);
    }
    if let Err(error) = load(Format::Yaml, &distinct) {
        panic!("{error}\nin\n{distinct}");
    }
}

fn assert_inside(place: &Place, text: &str) {
    if let Place::File { line, column, .. } = place {
        let lines = text.chars().filter(|c| matches!(c, '\n' | '\r')).count() + 1;
        assert!(
            (1..=lines).contains(line) && (1..=text.chars().count() + 1).contains(column),
            "{place} of {text:?}"
        );
    }
}
