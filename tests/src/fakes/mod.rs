//! How the upstreams behave that cc-relay knows, as far as a relay can tell.

pub mod anthropic;
pub mod azure;
pub mod bedrock;
pub mod content;
pub mod google;
pub mod oauth;
pub mod ollama;
pub mod vertex;
pub mod zai;

mod reply;
mod signature_owner;

pub use reply::Reply;
pub use signature_owner::SignatureOwner;
