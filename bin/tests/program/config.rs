//! `cc-relay config`.

use serde_json::Value;

use crate::process::{User, names_in};

#[test]
fn validate_and_serve_accept_the_file_that_init_writes() {
    let user = User::new();
    let outcome = user.run(&["config", "init"]);
    let directory = user.path("xdg/cc-relay");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let mut names = names_in(&directory);
    names.sort();
    assert_eq!(names, ["cc-relay.schema.json", "config.yaml"], "no temporary file remains");
    let outcome = user.run(&["config", "validate"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    assert_eq!(outcome.stdout, "ok: 1 provider, strategy failover, listening on 127.0.0.1:8787\n");
    let (process, _) = user.serve(&[]);
    assert!(process.seen().contains("xdg/cc-relay/config.yaml"), "{}", process.seen());
    assert!(!process.seen().contains("WARN"), "{}", process.seen());
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_the_file_that_init_writes() {
    use crate::process::mode;
    let user = User::new();
    user.run(&["config", "init"]);
    assert_eq!(mode(&user.path("xdg")), 0o700);
    assert_eq!(mode(&user.path("xdg/cc-relay/config.yaml")), 0o600);
}

#[test]
fn init_replaces_an_existing_file_only_with_force() {
    let user = User::new();
    let path = user.write("mine.yaml", "providers: []\n");
    let outcome = user.run(&["config", "init", "--path", "mine.yaml"]);
    assert_eq!(outcome.code, Some(1));
    assert_eq!(outcome.stderr, "error: mine.yaml exists; --force replaces it\n");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "providers: []\n");
    let outcome = user.run(&["config", "init", "--path", "mine.yaml", "--force"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(std::fs::read_to_string(&path).unwrap().contains("- name: anthropic\n"));
}

/// A user with a credential of every kind, in variables and in the files of the clouds' tools.
fn user_with_everything() -> User {
    let user = User::new()
        .with_variable("ANTHROPIC_API_KEY", "secret-of-anthropic")
        .with_variable("ZAI_API_KEY", "secret-of-zai")
        .with_variable("OLLAMA_HOST", "127.0.0.1:1");
    for directory in [".aws", ".config/gcloud/configurations"] {
        std::fs::create_dir_all(user.path(directory)).unwrap();
    }
    user.write(
        ".aws/config",
        "[profile work]\nregion = eu-central-1\nsso_session = corp\n[profile idle]\nregion = us-east-1\n",
    );
    user.write(
        ".aws/credentials",
        "[spare]\naws_access_key_id = AKIDSPARE\naws_secret_access_key = secret-of-aws\n",
    );
    user.write(".config/gcloud/configurations/config_default", "[core]\nproject = my-project\n");
    let credentials = r#"{ "type": "authorized_user", "client_id": "i", "client_secret": "secret-of-gcloud", "refresh_token": "secret-token" }"#;
    user.write(".config/gcloud/application_default_credentials.json", credentials);
    user
}

#[test]
fn init_writes_what_it_finds_without_secrets() {
    let user = user_with_everything().with_variable("AWS_PROFILE", "work");
    for (path, arguments) in [
        ("found.yaml", &["config", "init", "--config", "found.yaml"][..]),
        ("found.toml", &["config", "init", "--path", "found.toml"][..]),
    ] {
        let outcome = user.run(arguments);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
        assert!(outcome.stdout.contains("found zai: ZAI_API_KEY\n"), "{outcome:?}");
        let text = std::fs::read_to_string(user.path(path)).unwrap();
        for secret in
            ["secret-of-anthropic", "secret-of-zai", "secret-of-aws", "secret-of-gcloud", "secret-token"]
        {
            assert!(!text.contains(secret) && !outcome.stdout.contains(secret), "{secret} in {text}");
        }
        assert!(
            text.contains("${ANTHROPIC_API_KEY}")
                && text.contains("Other AWS profiles with credentials: spare."),
            "{text}"
        );
        assert!(text.contains("# Not found: set MINIMAX_API_KEY to add minimax.\n"), "{text}");
        let validated = user.run(&["config", "validate", path]);
        assert_eq!((validated.code, validated.stderr.as_str()), (Some(0), ""), "{text}\n{validated:?}");
        assert!(validated.stdout.starts_with("ok: 4 providers, strategy failover"), "{validated:?}");
        let shown = user.run(&["config", "show", "--config", path]).stdout;
        let place = |text: &str| shown.find(text).unwrap_or_else(|| panic!("no {text} in {shown}"));
        let order = ["name: anthropic", "name: zai", "name: bedrock", "name: vertex"].map(place);
        assert!(order.is_sorted(), "{shown}");
        for setting in [
            "aws_profile: work",
            "aws_region: eu-central-1",
            "gcp_project_id: my-project",
            "eu.anthropic.claude-opus-5-5",
        ] {
            place(setting);
        }
    }
}

#[test]
fn init_finds_a_profile_of_aws_without_any_variable() {
    let user = user_with_everything();
    user.run(&["config", "init", "--config", "found.yaml"]);
    let text = std::fs::read_to_string(user.path("found.yaml")).unwrap();
    assert!(text.contains("    aws_region: eu-central-1\n    aws_profile: work\n"), "{text}");
    assert!(text.contains("# Found: the AWS profile work, and the region eu-central-1"), "{text}");
    assert_eq!(user.run(&["config", "validate", "found.yaml"]).code, Some(0));

    user.write(".aws/config", "");
    user.run(&["config", "init", "--config", "found.yaml", "--force"]);
    let text = std::fs::read_to_string(user.path("found.yaml")).unwrap();
    assert!(text.contains("  # - name: bedrock\n"), "{text}");
    assert!(text.contains("# Not found: set AWS_REGION to add bedrock"), "{text}");
}

#[test]
fn the_format_of_init_is_that_of_the_extension() {
    let user = User::new();
    let outcome = user.run(&["config", "init", "--format", "toml"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let text = std::fs::read_to_string(user.path("xdg/cc-relay/config.toml")).unwrap();
    assert!(text.starts_with("#:schema ./cc-relay.schema.json\n"), "{text}");
    for arguments in
        [&["--config", "a.yaml", "--format", "toml"][..], &["--config", "a.json"], &["--path", "a"]]
    {
        let outcome = user.run(&[&["config", "init"], arguments].concat());
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        assert!(outcome.stderr.contains("the name must end in .yaml or .yml"), "{outcome:?}");
    }
    let both = user.run(&["config", "init", "--config", "a.yaml", "--path", "b.yaml"]);
    assert_eq!(both.code, Some(2), "{both:?}");
}

#[test]
fn init_writes_to_standard_output_without_a_schema() {
    let user = User::new().with_variable("ZAI_API_KEY", "secret-of-zai");
    for (arguments, name) in [
        (&["config", "init", "--path", "-"][..], "printed.yaml"),
        (&["config", "init", "--config", "-", "--format", "toml"], "printed.toml"),
    ] {
        let outcome = user.run(arguments);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(outcome.stderr.contains("found zai: ZAI_API_KEY\n"), "{outcome:?}");
        assert!(!outcome.stdout.contains("schema"), "{outcome:?}");
        user.write(name, &outcome.stdout);
        assert_eq!(user.run(&["config", "validate", name]).stdout.split(',').next(), Some("ok: 2 providers"));
    }
    assert_eq!(names_in(&user.path("")).len(), 2, "only the test has written files");
}

#[test]
fn init_reports_values_that_cannot_be_used() {
    let user = User::new()
        .with_variable("ANTHROPIC_API_KEY", "secret\nof \"anthropic")
        .with_variable("OPENROUTER_API_KEY", "")
        .with_variable("AZURE_API_KEY", "secret-of-azure")
        .with_variable("AZURE_RESOURCE_NAME", "a b: #\"c");
    let outcome = user.run(&["config", "init", "--config", "found.yaml"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let text = std::fs::read_to_string(user.path("found.yaml")).unwrap();
    let anthropic = "correct ANTHROPIC_API_KEY to use it for anthropic: found a secret with a line break";
    for (output, lead) in [(&text, "# Attention: "), (&outcome.stderr, "warning: ")] {
        assert!(output.contains(&format!("{lead}{anthropic}")), "{output}");
    }
    assert!(text.contains("# Not found: correct AZURE_RESOURCE_NAME to add azure: "), "{text}");
    assert!(text.contains("# Not found: set OPENROUTER_API_KEY to add openrouter.\n"), "{text}");
    assert!(!text.contains("secret\n") && !text.contains("secret-of-azure"), "{text}");
    assert_eq!(user.run(&["config", "validate", "found.yaml"]).code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn init_ends_soon_if_ollama_is_silent_or_sends_rubbish() {
    use relay_tests::{Answer, Upstream};
    use serde_json::json;

    let silent = Upstream::builder().allow_incomplete_requests().manual().await;
    let rubbish = Upstream::answering(|_| Answer::json(200, &json!("no list"))).await;
    let odd = json!({ "name": "a: b #\u{1b}[31m\n${HOME} \"c\"", "size": 1, "capabilities": ["tools"] });
    let odd = Upstream::answering(move |_| Answer::json(200, &json!({ "models": [odd.clone()] }))).await;
    for (upstream, part) in [
        (&silent, "Attention: the models of ollama cannot be listed"),
        (&rubbish, "Attention: the models of ollama cannot be listed"),
        (&odd, r#""claude-*": "a: b #\u001b[31m\n$${HOME} \"c\"""#),
    ] {
        let host = upstream.url().replace("http://", "");
        let user = User::new().with_variable("OLLAMA_HOST", host);
        let outcome = user.run(&["config", "init", "--config", "found.yaml"]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let text = std::fs::read_to_string(user.path("found.yaml")).unwrap();
        assert!(text.contains(part), "{text}");
        assert!(!outcome.stdout.contains('\u{1b}'), "{outcome:?}");
        assert_eq!(user.run(&["config", "validate", "found.yaml"]).code, Some(0), "{text}");
    }
}

#[cfg(unix)]
#[test]
fn init_follows_a_symbolic_link() {
    let user = User::new();
    std::fs::create_dir(user.path("dotfiles")).unwrap();
    user.write("dotfiles/relay.yaml", "server: {}\n");
    std::os::unix::fs::symlink("dotfiles/relay.yaml", user.path("link.yaml")).unwrap();
    assert_eq!(user.run(&["config", "init", "--path", "link.yaml"]).code, Some(1));
    assert_eq!(user.run(&["config", "init", "--path", "link.yaml", "--force"]).code, Some(0));
    assert!(user.path("link.yaml").is_symlink());
    let text = std::fs::read_to_string(user.path("dotfiles/relay.yaml")).unwrap();
    assert!(text.contains("- name: anthropic\n"), "{text}");
}

const SIX_MISTAKES: &str = r#"server:
  lissten: 127.0.0.1:8787
  timeout_ms: soon
providers:
  - name: zai
    type: zay
  - name: anthropic
    type: anthropic
    keys:
      - key: ${NOT_SET_ANYWHERE}
    models: [4.5]
routing:
  max_attempts: 0
"#;

#[test]
fn validate_reports_every_mistake_with_its_place() {
    let user = User::new();
    user.write("six.yaml", SIX_MISTAKES);
    let outcome = user.run(&["config", "validate", "six.yaml"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""), "{outcome:?}");
    let places: Vec<_> = outcome.stderr.lines().map(|line| line.splitn(5, ':').collect::<Vec<_>>()).collect();
    let places: Vec<_> = places.iter().map(|part| (part[1].trim(), part[2], part[3], part[4])).collect();
    let expected = [
        ("2", "3", " server.lissten: unknown key; did you mean `listen`?"),
        ("3", "15", " server.timeout_ms: found "),
        ("6", "11", " providers[0].type: found "),
        ("10", "14", " providers[1].keys[0].key: the environment variable NOT_SET_ANYWHERE is not set"),
        ("11", "14", " providers[1].models[0]: found the number 4.5"),
        ("13", "17", " routing.max_attempts: found the number 0"),
    ];
    assert_eq!(places.len(), expected.len(), "{}", outcome.stderr);
    for (found, (line, column, message)) in places.iter().zip(expected) {
        assert_eq!((found.0, found.1, found.2), ("six.yaml", line, column), "{}", outcome.stderr);
        assert!(found.3.starts_with(message), "{message:?} in {}", outcome.stderr);
    }
}

#[test]
fn validate_prints_warnings() {
    let user = User::new();
    user.write("config.yaml", "cache: {}\nproviders: [{ name: local, type: ollama }]\n");
    let outcome = user.run(&["config", "validate"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stderr.starts_with("warning: config.yaml:1:"), "{outcome:?}");
    assert!(outcome.stdout.starts_with("ok: 1 provider, "), "{outcome:?}");
}

#[test]
fn a_key_that_cannot_be_sent_is_refused_with_its_place() {
    let user = User::new().with_variable("KEY", "line\nbreak");
    user.write("config.yaml", "providers: [{ name: zai, type: zai, keys: [{ key: '${KEY}' }] }]\n");
    let validated = user.run(&["config", "validate"]);
    let served = user.run(&["serve", "--listen", "127.0.0.1:0"]);
    for outcome in [validated, served] {
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        assert!(
            outcome
                .stderr
                .contains("config.yaml:1:51: providers[0].keys[0].key: found a secret with a line break"),
            "{outcome:?}"
        );
        assert!(!outcome.stderr.contains("break\n"), "the secret is shown: {outcome:?}");
    }
}

#[test]
fn show_masks_secrets_and_names_the_origin() {
    let user = User::new().with_variable("CC_RELAY_ROUTING__MAX_ATTEMPTS", "3");
    user.write("config.yaml", "providers: [{ name: zai, type: zai, keys: [{ key: sk-visible }] }]\n");
    let outcome = user.run(&["config", "show", "--log-level", "warn"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stdout.starts_with("# from config.yaml\n"), "{outcome:?}");
    for expected in ["key: \"***\"", "max_attempts: 3", "level: warn"] {
        assert!(outcome.stdout.contains(expected), "no {expected} in {}", outcome.stdout);
    }
    assert!(!outcome.stdout.contains("sk-visible"), "{outcome:?}");
}

#[test]
fn the_schema_is_json() {
    let schema: Value = serde_json::from_str(&User::new().run(&["config", "schema"]).stdout).unwrap();
    assert!(schema["properties"]["providers"].is_object());
}
