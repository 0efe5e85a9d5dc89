//! The images of one request after the download.

use std::sync::Arc;

use bytes::Bytes;
use relay_transport::FetchError;

/// The images of one request, or the reason that one of them could not be fetched. Each has the position of its source in
/// the body, and the JSON text of the base64 source that replaces it.
pub(crate) type FetchedImages = Result<Arc<[(usize, Bytes)]>, Arc<FetchError>>;
