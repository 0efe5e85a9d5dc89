//! The access token that a request carries.

use std::time::Duration;

use http::header::HeaderValue;
use relay_transport::Minted;

/// The scope of every token.
pub(super) const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// The lifetime that is requested from an endpoint that accepts one. The response states the end of the token by Google's
/// clock. Counting from the request does not depend on that clock.
pub(super) const IMPERSONATED_LIFETIME: Duration = Duration::from_secs(3600);

/// A token as `Bearer TOKEN`, with its lifetime.
pub(super) type Bearer = Minted<HeaderValue>;
