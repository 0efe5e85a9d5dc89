//! The images of one request after the download.

use std::sync::Arc;

use bytes::Bytes;
use relay_transport::FetchError;

/// The images of one request. Each has the position of its source in the body, and the JSON text of the base64 source that
/// replaces it, or the reason that it could not be fetched.
pub(crate) type FetchedImages = Arc<[(usize, Result<Bytes, Arc<FetchError>>)]>;
