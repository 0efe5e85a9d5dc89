//! The listeners of operators and of metrics, and the ledger.

use relay_config::{Concern, Config};

use crate::check::{loader, toml, toml_problems, warnings, yaml, yaml_problems};

#[test]
fn everything_is_on_by_default_and_for_this_machine_only() {
    let Config { metrics, admin, usage, prices, .. } = yaml("").config;
    assert!(metrics.enabled && admin.enabled && usage.enabled);
    assert_eq!((metrics.listen, metrics.path.as_str()), (None, "/metrics"));
    assert_eq!((admin.listen.to_string().as_str(), admin.is_explicit), ("127.0.0.1:8788", false));
    assert!(admin.token.is_none() && usage.path.is_none() && prices.is_empty());
    assert_eq!(usage.retention_days.map(u32::from), Some(90));
}

#[test]
fn sections_are_loaded_from_both_formats_and_from_variables() {
    let text = "
[metrics]
listen = '0.0.0.0:9090'
path = '/prometheus'
[admin]
listen = '0.0.0.0:9000'
token = 'five'
[usage]
path = 'usage.db'
retention_days = 0
";
    let from_toml = toml(text).config;
    let from_yaml = yaml(
        "metrics: { listen: '0.0.0.0:9090', path: /prometheus }\n\
         admin: { listen: '0.0.0.0:9000', token: five }\nusage: { path: usage.db, retention_days: 0 }",
    );
    assert_eq!(format!("{from_toml:?}"), format!("{:?}", from_yaml.config));
    assert!(from_toml.admin.is_explicit && from_toml.usage.retention_days.is_none());
    assert_eq!(from_toml.admin.token.as_ref().unwrap().expose(), "five");
    assert!(from_toml.secrets().iter().any(|secret| secret.expose() == "five"));
    let variables = [
        ("CC_RELAY_METRICS__LISTEN", "0.0.0.0:9090"),
        ("CC_RELAY_METRICS__PATH", "/prometheus"),
        ("CC_RELAY_ADMIN__LISTEN", "0.0.0.0:9000"),
        ("CC_RELAY_ADMIN__TOKEN", "five"),
        ("CC_RELAY_USAGE__PATH", "usage.db"),
        ("CC_RELAY_USAGE__RETENTION_DAYS", "0"),
    ];
    let from_variables = loader(&variables).load().unwrap().config;
    assert_eq!(format!("{from_variables:?}"), format!("{from_toml:?}"));
    let off = [
        ("CC_RELAY_METRICS__ENABLED", "false"),
        ("CC_RELAY_ADMIN__ENABLED", "false"),
        ("CC_RELAY_USAGE__ENABLED", "false"),
    ];
    let Config { metrics, admin, usage, .. } = loader(&off).load().unwrap().config;
    assert!(!metrics.enabled && !admin.enabled && !usage.enabled);
}

#[test]
fn the_admin_listener_needs_a_token_outside_of_loopback() {
    for host in ["127.0.0.1", "localhost", "'[::1]", "127.3.2.1"] {
        let quote = if host.starts_with('\'') { "'" } else { "" };
        yaml(&format!("admin: {{ listen: {host}:9000{quote} }}"));
    }
    for host in ["0.0.0.0", "10.0.0.1", "relay.example", "[::]"] {
        let problem = format!(
            "1:1: admin.token: missing; {host}:9000 can be reached from other machines: set a token, preferably as ${{NAME}}, \
             or listen on 127.0.0.1:9000"
        );
        yaml_problems(&format!("admin: {{ listen: '{host}:9000' }}"), &[&problem]);
        yaml(&format!("admin: {{ listen: '{host}:9000', token: t }}"));
        yaml(&format!("admin: {{ listen: '{host}:9000', enabled: false }}"));
    }
}

#[test]
fn tokens_that_protect_nothing_are_refused() {
    yaml_problems(
        "admin: { token: '' }",
        &["1:17: admin.token: found an empty string, expected a secret; set it, or remove the line"],
    );
    yaml_problems(
        "admin: { token: 'a,b' }",
        &[
            "1:17: admin.token: found a secret with a comma, expected a secret without a comma, which separates credentials",
        ],
    );
    let shared = "found the key of a client, expected a token of its own; with one token for both, each client could \
                  administer the relay";
    for auth in ["api_key: k", "api_keys: [{ name: a, key: k }]", "bearer_secret: k"] {
        let text = format!("server: {{ auth: {{ {auth} }} }}\nadmin: {{ token: k }}");
        yaml_problems(&text, &[&format!("2:17: admin.token: {shared}")]);
    }
    toml_problems(
        "[admin]\ntoken = 12345\n",
        &["2:9: admin.token: found a value without quotes, expected a string; put it in quotes"],
    );
}

#[test]
fn listeners_must_not_share_an_address() {
    #[track_caller]
    fn check(server: &str, admin: &str, metrics: &str, expected: &[&str]) {
        let text = format!(
            "server: {{ listen: '{server}', auth: {{ api_key: k }} }}\nadmin: {{ {admin} }}\nmetrics: {{ {metrics} }}"
        );
        yaml_problems(&text, expected);
    }
    let own = "127.0.0.1:8787";
    for address in [own, "0.0.0.0:8787", "localhost:8787"] {
        let at = "expected an address of its own";
        let used = format!("found \"{address}\", which server.listen uses ({own}), {at}");
        let admin = format!("token: t, listen: '{address}'");
        check(own, &admin, "", &[&format!("2:28: admin.listen: {used}")]);
        let metrics = format!("listen: '{address}'");
        check(own, "", &metrics, &[&format!("3:20: metrics.listen: {used}")]);
        check(own, "enabled: false, listen: '127.0.0.1:8787'", "", &[]);
        check(own, "", "enabled: false, listen: '127.0.0.1:8787'", &[]);
    }
    check(
        own,
        "",
        "listen: '127.0.0.1:8788'",
        &[
            "3:20: metrics.listen: found \"127.0.0.1:8788\", which the admin listener uses (127.0.0.1:8788), expected an address \
           of its own; remove the line: the admin listener serves the metrics too",
        ],
    );
    // The default address of the admin listener may be in use.
    check("127.0.0.1:8788", "", "", &[]);
    check("127.0.0.1:0", "listen: '127.0.0.1:0'", "listen: '127.0.0.1:0'", &[]);
}

#[test]
fn addresses_of_all_listeners_have_the_same_form() {
    yaml_problems(
        "admin: { listen: '8788' }\nmetrics: { listen: 'http://a:1' }",
        &[
            "1:18: admin.listen: found \"8788\", expected host:port, as in 127.0.0.1:8788; add the host: 127.0.0.1:8788 for \
             this machine only, 0.0.0.0:8788 for all",
            "2:20: metrics.listen: found \"http://a:1\", expected host:port, as in 127.0.0.1:9090; remove the scheme",
        ],
    );
    yaml_problems(
        "admin: { listen: 8788 }\nmetrics: { listen: [] }",
        &[
            "1:18: admin.listen: found the number 8788, expected a string; write 127.0.0.1:8788",
            "2:20: metrics.listen: found a list, expected a string",
        ],
    );
}

#[test]
fn a_provider_at_the_admin_listener_is_refused_if_its_address_was_chosen() {
    let provider = "providers: [{ name: a, type: ollama, base_url: 'http://localhost:8788' }]";
    yaml(provider);
    yaml_problems(
        &format!("admin: {{ listen: '127.0.0.1:8788' }}\n{provider}"),
        &[
            "2:48: providers[0].base_url: found \"http://localhost:8788\", which is the relay's own address (admin.listen: \
           127.0.0.1:8788), expected the URL of an upstream; write the upstream's own URL",
        ],
    );
}

#[test]
fn the_path_of_the_metrics_is_checked() {
    #[track_caller]
    fn check(path: &str, expected: &str) {
        yaml_problems(
            &format!("metrics: {{ path: '{path}' }}"),
            &[&format!("1:18: metrics.path: found {expected}")],
        );
    }
    let form = "expected a path that starts with /, as in /metrics";
    let parts = "a query, blanks, escapes and empty segments do not belong into it";
    check("metrics", &format!("\"metrics\", {form}; write /metrics"));
    check("http://a/metrics", &format!("\"http://a/metrics\", {form}; the address goes into metrics.listen"));
    check("", "an empty string, expected a non-empty string");
    for path in ["/a b", "/a?b", "/a#b", "//a", "/../a", "/%61", "/é"] {
        check(path, &format!("{path:?}, {form}; {parts}"));
    }
    for path in ["/", "/admin", "/admin/v1/state", "/assets/x", "/healthz"] {
        let hint = "the admin listener uses it; choose another path, or set metrics.listen";
        check(path, &format!("{path:?}, expected a path of its own; {hint}"));
        yaml(&format!("metrics: {{ path: {path}, listen: '127.0.0.1:9090' }}"));
    }
    yaml("metrics: { path: /administration }");
}

#[test]
fn metrics_that_no_listener_serves_are_a_warning() {
    let concerns = |text: &str| {
        let text = format!("providers: [{{ name: a, type: mock }}]\n{text}");
        yaml(&text).warnings.into_iter().map(|warning| warning.concern).collect::<Vec<_>>()
    };
    assert_eq!(concerns("admin: { enabled: false }"), []);
    assert_eq!(concerns("admin: { enabled: false }\nmetrics: { enabled: false, path: /m }"), []);
    assert_eq!(concerns("admin: { enabled: false }\nmetrics: { listen: '127.0.0.1:1' }"), []);
    for metrics in ["enabled: true", "path: /m"] {
        let text = format!("admin: {{ enabled: false }}\nmetrics: {{ {metrics} }}");
        assert_eq!(concerns(&text), [Concern::MetricsNowhere]);
    }
}

#[test]
fn the_file_of_the_ledger_is_checked() {
    yaml_problems(
        "usage: { path: ~/usage.db, retention_days: -1 }",
        &[
            "1:16: usage.path: found \"~/usage.db\", expected a path without ~; write ${HOME}/usage.db",
            "1:44: usage.retention_days: found the number -1, expected a whole number from 0 to 36500",
        ],
    );
    yaml_problems(
        "usage: { path: / }",
        &["1:16: usage.path: cannot use /: it is a directory; give the path of a file, as in usage.db"],
    );
}

#[test]
fn budgets_without_a_ledger_are_a_warning() {
    let text =
        "server: { auth: { api_keys: [{ name: a, key: k, budget_usd: 1 }] } }\nusage: { enabled: false }";
    let expected = "2:19: usage.enabled: budgets of server.auth.api_keys begin anew with each start of the relay; set it to true";
    warnings(&yaml(&format!("{text}\nproviders: [{{ name: a, type: mock }}]")), &[expected]);
}

#[test]
fn likely_spellings_are_answered_with_the_right_one() {
    yaml_problems(
        "admin: { port: 1, password: x }\nmetrics: { port: 9 }\nprices: { input: 3 }\nrouting: { strategy: cost }\n",
        &[
            "1:10: admin.port: unknown key; write the address and the port as admin.listen, as in 127.0.0.1:8788",
            "1:19: admin.password: unknown key; write the credential as admin.token",
            "2:12: metrics.port: unknown key; write the address and the port as metrics.listen, as in 127.0.0.1:9090",
            "3:9: prices: found a table, expected a list; write [{ provider: ollama, input: 0, output: 0 }]",
            "4:22: routing.strategy: found \"cost\", expected one of `failover`, `round_robin`, `weighted_round_robin`, `shuffle`, \
             `model_based`, `least_loaded`, `cost_based`, `latency_based`; write `cost_based`",
        ],
    );
    yaml_problems(
        "server: { auth: { api_keys: [{ name: a, key: k, budget: 5, budget_usd: 5, budget_period: daily }] } }",
        &[
            "1:49: server.auth.api_keys[0].budget: unknown key; write the amount in US dollars as budget_usd",
            "1:90: server.auth.api_keys[0].budget_period: found \"daily\", expected one of `day`, `week`, `month`; write `day`",
        ],
    );
}
