//! `CC_RELAY_*` variables and overrides.

use relay_config::{Format, LoadError, Loaded, LogLevel};

use crate::check::{loader, problems};

fn load(environment: &[(&str, &str)], overrides: &[(&str, &str)]) -> Result<Loaded, LoadError> {
    let file = "server: { listen: '127.0.0.1:1', timeout_ms: 1 }\nproviders: [{ name: a, type: mock }]";
    let loader = loader(environment).with_text("c", Format::Yaml, file);
    overrides.iter().fold(loader, |loader, (path, value)| loader.with_override(*path, *value)).load()
}

#[test]
fn flags_override_the_environment_and_the_environment_overrides_the_file() {
    let environment = [
        ("CC_RELAY_SERVER__LISTEN", "127.0.0.1:2,[::1]:2"),
        ("CC_RELAY_SERVER__TIMEOUT_MS", "2"),
        ("CC_RELAY_SERVER__AUTH__API_KEY", "12345"),
        ("CC_RELAY_LOGGING__LEVEL", "debug"),
        ("CC_RELAY_LOGGING__DEBUG_OPTIONS__LOG_REQUEST_BODY", "true"),
    ];
    let config =
        load(&environment, &[("server.timeout_ms", "3"), ("logging.level", "error")]).unwrap().config;
    let listen: Vec<_> = config.server.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["127.0.0.1:2", "[::1]:2"]);
    assert_eq!(config.server.timeout.unwrap().as_millis(), 3);
    assert_eq!(config.server.auth.keys[0].key.expose(), "12345");
    assert_eq!(config.logging.level, LogLevel::Error);
    assert!(config.logging.debug.log_request_body);
    assert_eq!(config.providers.len(), 1);
}

#[test]
fn values_of_variables_are_not_expanded() {
    let config = load(&[("CC_RELAY_SERVER__AUTH__API_KEY", "a${NOPE}$${b")], &[]).unwrap().config;
    assert_eq!(config.server.auth.keys[0].key.expose(), "a${NOPE}$${b");
}

#[test]
fn problems_name_the_variable_or_the_command_line() {
    let environment = [
        ("CC_RELAY_SERVER__LISTEN", "nowhere"),
        ("CC_RELAY_SERVER__TIMEOUT_MS", "soon"),
        ("CC_RELAY_SERVER__AUTH__API_KEY", ""),
        ("CC_RELAY_SERVER__LISTN", "x"),
        ("CC_RELAY_SERVER_LISTEN", "x"),
        ("CC_RELAY_CONFG", "x"),
        ("CC_RELAY_WHATEVER", "x"),
        ("CC_RELAY_PROVIDERS__0__NAME", "x"),
        ("CC_RELAY_STATE__BACKEND", "redis"),
    ];
    problems(
        load(&environment, &[("logging.level", "loud"), ("server.lisen", "x")]),
        &[
            "CC_RELAY_CONFG: unknown key; did you mean `CC_RELAY_CONFIG`?",
            "CC_RELAY_PROVIDERS__0__NAME: unknown key; providers are set in the file; a value there may refer to a variable \
         by ${NAME}",
            "CC_RELAY_SERVER_LISTEN: unknown key; did you mean `CC_RELAY_SERVER__LISTEN`?",
            "CC_RELAY_SERVER__AUTH__API_KEY: server.auth.api_key: found an empty string, expected a secret; set it, or remove the line",
            "CC_RELAY_SERVER__LISTEN: server.listen: found \"nowhere\", expected host:port, as in 127.0.0.1:8787; add a port: \
         nowhere:8787",
            "CC_RELAY_SERVER__LISTN: unknown key; did you mean `CC_RELAY_SERVER__LISTEN`?",
            "CC_RELAY_SERVER__TIMEOUT_MS: server.timeout_ms: found \"soon\", expected a whole number from 0 to 86400000",
            "CC_RELAY_STATE__BACKEND: state: this setting is not available in this version; the state is kept in memory",
            "CC_RELAY_WHATEVER: unknown key; no setting has this name; levels are separated by `__`, as in \
         CC_RELAY_SERVER__LISTEN",
            "command line: logging.level: found \"loud\", expected one of `debug`, `info`, `warn`, `error`",
            "command line: server.lisen: unknown key; did you mean `listen`?",
        ],
    );
}

#[test]
fn a_variable_that_the_file_refers_to_need_not_be_a_setting() {
    let file = "server: { auth: { api_key: '${CC_RELAY_CLIENT_KEY}' } }";
    let environment = [("CC_RELAY_CLIENT_KEY", "k")];
    let loaded = loader(&environment).with_text("c", Format::Yaml, file).load();
    assert_eq!(loaded.unwrap().config.server.auth.keys[0].key.expose(), "k");
}

#[test]
fn variables_that_are_not_settings_are_ignored() {
    let environment = [
        ("CC_RELAY_CONFIG", "/etc/cc-relay.yaml"),
        ("CC_RELAY_LOG", "debug"),
        // Variables that Kubernetes sets for services named cc-relay and cc-relay-admin.
        ("CC_RELAY_SERVICE_HOST", "10.0.0.1"),
        ("CC_RELAY_SERVICE_PORT", "8787"),
        ("CC_RELAY_SERVICE_PORT_HTTP", "8787"),
        ("CC_RELAY_PORT", "tcp://10.0.0.1:8787"),
        ("CC_RELAY_PORT_8787_TCP", "tcp://10.0.0.1:8787"),
        ("CC_RELAY_PORT_8787_TCP_ADDR", "10.0.0.1"),
        ("CC_RELAY_ADMIN_SERVICE_HOST", "10.0.0.2"),
        ("CC_RELAY_ADMIN_PORT", "tcp://10.0.0.2:80"),
        ("CC_RELAY_ADMIN_PORT_80_TCP_PROTO", "tcp"),
    ];
    problems(load(&environment, &[]), &[]);
    problems(
        load(&[("CC_RELAY_PORT", "8787")], &[]),
        &["CC_RELAY_PORT: unknown key; no setting has this name; levels are separated by `__`, as in \
         CC_RELAY_SERVER__LISTEN"],
    );
}
