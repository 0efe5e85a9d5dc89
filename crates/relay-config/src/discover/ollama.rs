//! The address of Ollama, from the variable that its own client reads.

use crate::environment::Environment;
use crate::error::Fault;
use crate::names::BaseUrl;

/// The variable of Ollama's server and client.
pub(super) const HOST: &str = "OLLAMA_HOST";

/// The port of Ollama.
const PORT: u16 = 11434;

/// Returns the address in `OLLAMA_HOST`, or `None` if it is unset.
///
/// The scheme and the port may be missing, and an address of all interfaces means this machine, as for Ollama's client.
///
/// # Errors
/// The fault of a value that is no address.
pub(super) fn base_url(environment: Environment<'_>) -> Result<Option<BaseUrl>, Fault> {
    let Some(host) = environment.get(HOST) else { return Ok(None) };
    let host = host.trim_matches(['"', '\'', ' ']).trim_end_matches('/');
    let (url, has_port) = match host.split_once("://") {
        // A URL has the default port of its scheme.
        Some((_, _)) => (host.to_owned(), true),
        None => {
            let host = if host.starts_with(':') { format!("localhost{host}") } else { host.to_owned() };
            let after_address = host.rsplit(']').next().unwrap_or_default();
            let has_port = after_address.contains(':');
            (format!("http://{host}"), has_port)
        }
    };
    let url = if has_port { url } else { format!("{url}:{PORT}") };
    let url =
        ["0.0.0.0", "[::]"].iter().fold(url, |url, all| url.replacen(&format!("//{all}"), "//localhost", 1));
    BaseUrl::parse(&url).map(Some).map_err(|source| Fault::Url { found: None, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::testing::lookup;

    #[test]
    fn an_address_may_lack_scheme_and_port() {
        for (value, expected) in [
            ("gpu.example", Some("http://gpu.example:11434")),
            ("gpu.example:8080", Some("http://gpu.example:8080")),
            ("0.0.0.0", Some("http://localhost:11434")),
            ("0.0.0.0:8080", Some("http://localhost:8080")),
            (":8080", Some("http://localhost:8080")),
            ("[::]:8080", Some("http://localhost:8080")),
            ("[::1]", Some("http://[::1]:11434")),
            ("127.0.0.1", Some("http://127.0.0.1:11434")),
            ("https://gpu.example/", Some("https://gpu.example")),
            ("http://0.0.0.0:1", Some("http://localhost:1")),
            ("\"localhost:1\"", Some("http://localhost:1")),
            ("ftp://gpu.example", None),
            ("a b", None),
        ] {
            let variables = [(HOST, value)];
            let variable = lookup(&variables);
            let found = base_url(Environment::new(&variable)).ok().flatten().map(|url| url.to_string());
            assert_eq!(found.as_deref(), expected, "{value}");
        }
    }
}
