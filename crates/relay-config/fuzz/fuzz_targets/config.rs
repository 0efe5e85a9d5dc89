//! Fuzzes configuration files: no text panics, an error has a place within the text, and the configuration that
//! `show` prints is loaded again without an error. The first byte selects the format.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relay_config::{Format, Loader};

const SECRET: &str = "sk-secret-of-the-environment";

fn load(format: Format, text: &str) -> Result<relay_config::Loaded, relay_config::LoadError> {
    let environment = [("KEY".to_owned(), SECRET.to_owned()), ("AWS_REGION".to_owned(), "eu-west-1".to_owned())];
    Loader::new().with_text("fuzz", format, text).with_environment(environment).load()
}

fuzz_target!(|input: &[u8]| {
    let Some((&first, text)) = input.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let format = if first % 2 == 0 { Format::Yaml } else { Format::Toml };
    match load(format, text) {
        Ok(loaded) => {
            let shown = loaded.to_yaml();
            assert!(!shown.contains(SECRET), "a secret is printed");
            loaded.warnings.iter().for_each(|warning| assert!(!warning.to_string().contains(SECRET)));
        }
        Err(error) => assert!(!error.to_string().contains(SECRET), "a secret is printed"),
    }
});
