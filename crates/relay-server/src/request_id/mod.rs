//! Gives each request an id.

mod id;
mod layer;

pub use id::RequestId;
pub(crate) use id::{REQUEST_ID, client_request_id};
pub(crate) use layer::RequestIdLayer;
