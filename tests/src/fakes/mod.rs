//! Fake upstreams and token services: the rules that each real service enforces, and the answers it gives.

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
