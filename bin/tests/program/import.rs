//! `cc-relay config import`.

use crate::process::User;

const ROUTER: &str = r#"{
    // A comment, and a trailing comma.
    "Providers": [{ "name": "zai", "api_base_url": "https://api.z.ai/api/anthropic/v1/messages", "api_key": "sk-secret", "models": ["glm-5.3"] },],
    "Router": { "default": "zai,glm-5.3", "think": "zai,glm-5.3" },
}"#;

#[test]
fn an_imported_file_is_valid_and_private_and_an_existing_one_is_kept() {
    let user = User::new();
    user.write("router.json", ROUTER);
    let outcome = user.run(&["config", "import", "router.json"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stderr.contains("skipped Router.think"), "{outcome:?}");
    assert!(!format!("{outcome:?}").contains("sk-secret"), "{outcome:?}");
    let path = user.path("xdg/cc-relay/config.yaml");
    assert!(std::fs::read_to_string(&path).unwrap().contains("sk-secret"));
    #[cfg(unix)]
    assert_eq!(crate::process::mode(&path), 0o600);
    assert_eq!(user.run(&["config", "validate"]).code, Some(0));

    let again = user.run(&["config", "import", "router.json"]);
    assert!(again.code == Some(1) && again.stderr.contains("exists; --force replaces it"), "{again:?}");
    let toml = user.run(&["config", "import", "router.json", "--output", "relay.toml"]);
    assert_eq!(
        (toml.code, user.run(&["config", "validate", "relay.toml"]).code),
        (Some(0), Some(0)),
        "{toml:?}"
    );
}

#[test]
fn standard_output_has_no_credential_and_mistakes_have_their_place() {
    let user = User::new();
    user.write("router.json", ROUTER);
    let outcome = user.run(&["config", "import", "router.json", "--output", "-", "--format", "toml"]);
    assert!(outcome.stdout.contains("key = \"${PROVIDERS_ZAI_KEYS_1_KEY}\""), "{outcome:?}");
    assert!(!format!("{outcome:?}").contains("sk-secret"), "{outcome:?}");

    user.write("broken.json", "{ \"Providers\": [ }");
    user.write("broken.yaml", "providers: [");
    user.write("other.json", "{ \"a\": 1 }");
    user.write(
        "openai.json",
        r#"{ "Providers": [{ "name": "o", "api_base_url": "https://api.openai.com/v1/chat/completions" }] }"#,
    );
    for (arguments, code, part) in [
        (&["broken.json"][..], 1, "broken.json: not valid JSON5"),
        (&["broken.yaml"], 1, "broken.yaml:1"),
        (&["other.json"], 1, "name the program with --from"),
        (&["absent.json"], 1, "absent.json: cannot read the file"),
        (&["openai.json"], 1, "`o` does not speak the Messages API"),
        (&["router.json", "--output", "x.json"], 2, "must end in .yaml or .yml for YAML"),
        (&["router.json", "--output", "x.yaml", "--format", "toml"], 2, "agree with --format"),
    ] {
        let outcome = user.run(&[&["config", "import"], arguments].concat());
        assert!(outcome.code == Some(code) && outcome.stderr.contains(part), "{arguments:?}: {outcome:?}");
    }
}
