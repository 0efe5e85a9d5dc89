//! The headers that the configuration adds to every request of a provider.

use std::sync::Arc;

use http::HeaderMap;
use http::header::{CONNECTION, HeaderName, HeaderValue};
use relay_config::ProviderHeaders;
use relay_messages::trace_context::{TRACEPARENT, TRACESTATE};

use crate::provider::AuthorizeError;

/// Fixed headers, and the names of client headers that are passed on. Cloning shares both. Its debug output does not show
/// the values.
///
/// They are added before the credential, which replaces a header of the same name.
#[derive(Debug, Clone, Default)]
pub struct ExtraHeaders {
    fixed: Arc<[(HeaderName, HeaderValue)]>,
    forwarded: Arc<[HeaderName]>,
}

impl ExtraHeaders {
    /// Creates the headers of the configuration.
    ///
    /// # Errors
    /// [`AuthorizeError::Malformed`] if a header cannot carry a value.
    pub fn new(headers: &ProviderHeaders) -> Result<Self, AuthorizeError> {
        let fixed = headers.fixed.iter().map(|(name, secret)| {
            let mut value = HeaderValue::from_str(secret.expose()).map_err(|_| AuthorizeError::Malformed)?;
            value.set_sensitive(true);
            Ok((name.clone(), value))
        });
        let fixed = fixed.collect::<Result<Vec<_>, AuthorizeError>>()?;
        // Every attempt has the headers of its trace, in which the parent may be a span of the relay.
        let is_of_trace = |name: &HeaderName| *name == TRACEPARENT || *name == TRACESTATE;
        let forwarded = headers.forwarded.iter().filter(|name| !is_of_trace(name)).cloned().collect();
        Ok(Self { fixed: fixed.into(), forwarded })
    }

    /// Adds both kinds of headers to a request for the upstream. Each replaces a header of the same name.
    pub(crate) fn apply(&self, client: &HeaderMap, headers: &mut HeaderMap) {
        for name in self.forwarded.iter().filter(|name| !is_of_connection(name, client)) {
            let mut values = client.get_all(name).iter();
            if let Some(first) = values.next() {
                headers.insert(name, first.clone());
                for value in values {
                    headers.append(name, value.clone());
                }
            }
        }
        self.apply_fixed(headers);
    }

    /// Adds the fixed headers to a request that no client has made.
    pub(crate) fn apply_fixed(&self, headers: &mut HeaderMap) {
        for (name, value) in self.fixed.iter() {
            headers.insert(name, value.clone());
        }
    }
}

/// Returns `true` if the client declares the header as one of its connection (RFC 9110 section 7.6.1).
fn is_of_connection(name: &HeaderName, client: &HeaderMap) -> bool {
    let options = client.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    options.flat_map(|value| value.split(',')).any(|option| option.trim().eq_ignore_ascii_case(name.as_str()))
}

#[cfg(test)]
mod tests {
    use relay_config::Secret;

    use super::*;

    #[test]
    fn fixed_and_forwarded_headers_are_added_and_replace_others() {
        let name = HeaderName::from_static;
        let config = ProviderHeaders::default()
            .with_fixed(name("x-gateway"), Secret::new("secret"))
            .with_fixed(name("user-agent"), Secret::new("relay"));
        let config = ["x-team", "x-hop", "x-absent"]
            .map(name)
            .into_iter()
            .fold(config, ProviderHeaders::with_forwarded);
        let extra = ExtraHeaders::new(&config).unwrap();
        let mut client = HeaderMap::new();
        for (key, value) in [
            ("x-team", "a"),
            ("x-team", "b"),
            ("x-hop", "c"),
            ("connection", "close, X-Hop"),
            ("x-other", "d"),
        ] {
            client.append(name(key), HeaderValue::from_static(value));
        }
        let mut headers =
            HeaderMap::from_iter([(name("user-agent"), HeaderValue::from_static("claude-cli"))]);
        extra.apply(&client, &mut headers);
        assert_eq!(headers.get_all("x-team").iter().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(
            (headers["x-gateway"].to_str().unwrap(), headers["user-agent"].to_str().unwrap()),
            ("secret", "relay")
        );
        assert_eq!(headers.len(), 4, "{headers:?}");
        assert!(!format!("{extra:?}{headers:?}").contains("secret"));
    }
}
