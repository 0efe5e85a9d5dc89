//! The upstreams of AWS, Azure and Google.

mod aws_clock_and_sessions;
mod aws_endpoints;
mod aws_files;
mod aws_login;
mod azure;
mod bedrock;
mod bedrock_client_headers;
mod google_flows;
mod google_settings;
mod guardrails;
mod vertex;
