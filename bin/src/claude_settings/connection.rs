//! The variables that connect Claude Code to a relay, by its configuration.

use std::time::SystemTime;

use http::Uri;
use relay_config::{Config, PLACEHOLDER, Secret};

use super::error::ClaudeSettingsError as Error;
use crate::client_hint::{self, Hint};
use crate::status;

pub(crate) const BASE_URL: &str = "ANTHROPIC_BASE_URL";
pub(crate) const AUTH_TOKEN: &str = "ANTHROPIC_AUTH_TOKEN";
pub(crate) const MODEL_DISCOVERY: &str = "CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY";

/// The value of `ANTHROPIC_AUTH_TOKEN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// No value: Claude Code sends its own login or key, which passes through. A token beside it would stop that.
    Own,
    /// The placeholder: the relay needs no credential, and has keys of its own.
    Placeholder,
    /// A client key of the relay.
    Key(Secret),
}

impl Token {
    /// Returns the simplest token for a relay with this configuration. If the client's own credential works, it comes first.
    ///
    /// # Errors
    /// The reason that no client can be served.
    pub(crate) fn of(config: &Config) -> Result<Self, &'static str> {
        let hints = client_hint::of(config);
        let own = |hint: &Hint| matches!(hint, Hint::Command { token: None, .. });
        match hints.first() {
            _ if hints.iter().any(own) => Ok(Self::Own),
            Some(Hint::Unusable(reason)) => Err(reason),
            Some(Hint::Command { token: Some(PLACEHOLDER), .. }) => Ok(Self::Placeholder),
            Some(Hint::Command { .. }) => {
                let secret = config.server.auth.secret_at(SystemTime::now());
                secret.cloned().map(Self::Key).ok_or("every client key in server.auth has expired")
            }
            None => Err("no provider is enabled"),
        }
    }

    /// Returns `true` if a client without a credential of its own is served with the placeholder.
    pub(crate) fn placeholder_works(config: &Config) -> bool {
        let placeholder = |hint: &Hint| matches!(hint, Hint::Command { token: Some(PLACEHOLDER), .. });
        client_hint::of(config).iter().any(placeholder)
    }

    /// The value of the variable; `None` if it is not set.
    pub(crate) fn value(&self) -> Option<&str> {
        match self {
            Self::Own => None,
            Self::Placeholder => Some(PLACEHOLDER),
            Self::Key(secret) => Some(secret.expose()),
        }
    }
}

/// Returns the URL at which Claude Code on this machine reaches the relay of the configuration.
///
/// # Errors
/// [`Error::NoPort`] if the system chooses the port, and [`Error::NoAddress`] if the relay listens on Unix sockets only.
pub(crate) fn url_of(config: &Config) -> Result<String, Error> {
    match config.server.listen.first() {
        None => Err(Error::NoAddress),
        Some(address) if address.port == 0 => Err(Error::NoPort),
        Some(_) => Ok(status::url(config)),
    }
}

/// Checks a URL from the command line, and returns it without a slash at the end.
///
/// # Errors
/// [`Error::Url`] if Claude Code cannot use it: it adds `/v1/messages` to the URL.
pub(crate) fn checked_url(text: &str) -> Result<String, Error> {
    let fail = || Error::Url { url: relay_config::shown_url(text).unwrap_or_else(|| "***".to_owned()) };
    let uri: Uri = text.parse().map_err(|_| fail())?;
    let has_user = uri.authority().is_none_or(|authority| authority.as_str().contains('@'));
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    let path = uri.path().trim_end_matches('/');
    if !is_http || has_user || uri.query().is_some() || text.contains('#') || path.ends_with("/v1") {
        return Err(fail());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use relay_config::{ListenAddress, TlsConfig};

    use super::*;

    #[test]
    fn the_url_of_a_listener_with_a_certificate_is_https() {
        let mut config = relay_config::demo();
        config.server.listen = vec![ListenAddress::new("0.0.0.0", 8443), ListenAddress::new("::", 8443)];
        assert_eq!(url_of(&config).unwrap(), "http://127.0.0.1:8443");
        config.server.tls = Some(TlsConfig::new("cert.pem", "key.pem"));
        assert_eq!(url_of(&config).unwrap(), "https://127.0.0.1:8443");
        config.server.listen.clear();
        assert!(matches!(url_of(&config), Err(Error::NoAddress)));
    }

    #[test]
    fn only_a_url_to_which_a_path_can_be_added_is_accepted() {
        for (text, expected) in [
            ("http://127.0.0.1:8787", Some("http://127.0.0.1:8787")),
            ("https://relay.example/prefix/", Some("https://relay.example/prefix")),
            ("http://[::1]:1/", Some("http://[::1]:1")),
            ("127.0.0.1:8787", None),
            ("ftp://relay", None),
            ("http://relay/v1", None),
            ("http://relay/?a=b", None),
            ("http://relay/#a", None),
            ("http://user:password@relay", None),
            ("http://", None),
            ("", None),
        ] {
            assert_eq!(checked_url(text).ok().as_deref(), expected, "{text}");
        }
        let error = checked_url("http://user:password@relay").unwrap_err();
        assert!(!error.to_string().contains("password@"), "{error}");
    }
}
