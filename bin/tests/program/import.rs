//! `cc-relay config import`.

use std::time::{Duration, Instant};

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

/// The time in which any file is converted or refused, many times longer than any of them needs.
const BOUND: Duration = Duration::from_secs(20);

#[test]
fn hostile_files_end_in_an_error_in_bounded_time() {
    let user = User::new();
    let nested = |open: &str, close: &str| format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
    let lines = |count: usize, line: &dyn Fn(usize) -> String| (0..count).map(line).collect::<String>();
    let laughs = |level: usize| {
        format!("a{level}: &a{level} [{}]\n", format!("*a{}, ", level.saturating_sub(1)).repeat(10))
    };
    let bomb = format!("a0: &a0 [x]\n{}model_list: *a11\n", lines(11, &|level| laughs(level + 1)));
    let model = |index| {
        format!("- {{ model_name: m{index}, litellm_params: {{ model: claude-{index}, api_key: k }} }}\n")
    };
    for (name, text, part) in [
        ("lists.json", format!("{{ \"Providers\": {} }}", nested("[", "]")), "nesting this deep"),
        ("tables.json", format!("{{ \"Providers\": {} }}", nested("{\"a\":", "}")), "nesting this deep"),
        ("lists.yaml", format!("model_list: {}\n", nested("[", "]")), "lists.yaml:1:"),
        ("lists.toml", format!("providers = {}\n", nested("[", "]")), "lists.toml:1:"),
        ("bomb.yaml", bomb, "aliases that repeat more than"),
        (
            "large.json",
            format!("{{ \"Providers\": \"{}\" }}", "a".repeat(10 << 20)),
            "more than 1048576 bytes",
        ),
        ("models.yaml", format!("model_list:\n{}", lines(5000, &model)), "more than 1000 values"),
        (
            "keys.yaml",
            format!("model_list: []\n{}", lines(90_000, &|index| format!("k{index}: 1\n"))),
            "more than 1000 values",
        ),
        ("binary.json", "\0".repeat(1 << 20), "not valid JSON5"),
    ] {
        user.write(name, &text);
        let start = Instant::now();
        let outcome = user.run(&["config", "import", name]);
        assert!(
            outcome.code == Some(1) && outcome.stderr.contains(part),
            "{name}: {:?}",
            &outcome.stderr.get(..500)
        );
        assert!(outcome.stderr.len() < 1000 && start.elapsed() < BOUND, "{name}: {:?}", start.elapsed());
    }
    // The longest list that is taken, of providers that are all refused.
    let refused = |index| format!("- {{ name: p{index}, type: nothing }}\n");
    user.write("refused.yaml", &format!("server: {{}}\nproviders:\n{}", lines(1000, &refused)));
    let start = Instant::now();
    let outcome = user.run(&["config", "import", "refused.yaml"]);
    assert!(outcome.code == Some(1) && outcome.stderr.contains(" more"), "{outcome:?}");
    assert!(outcome.stderr.lines().count() < 100 && start.elapsed() < BOUND, "{:?}", start.elapsed());
}
