//! How the upstreams behave that cc-relay knows, as far as a relay can tell.

pub mod anthropic;
pub mod bedrock;
pub mod ollama;
pub mod zai;

mod reply;

pub use reply::Reply;
