//! Upstream providers: the URL, the credentials and the meaning of the answers of each kind.
//!
//! ```text
//! RelayRequest ─▶ Attempt ─ModelMap─▶ Attempt ─Upstream<P>─▶ Answer { outcome, response }
//!  shared          one try   model name         prepare ▸ authorize ▸ send ▸ judge
//! ```
//! Each (provider, key) pair is a tower service from [`Attempt`] to [`Answer`]. The choice and the order of the services are
//! left to `relay-routing`. A body that streams is never collected here.
//!
//! The features `azure`, `bedrock` and `vertex`, all on by default, add `Azure`, `Bedrock` and `Vertex` with the libraries of
//! these clouds. `fetch-images`, also on by default, adds `FetchLayer`.

// The shared modules hold functions and errors that only one of the optional kinds uses.
#![cfg_attr(not(all(feature = "azure", feature = "bedrock", feature = "vertex")), allow(dead_code))]

mod adapt;
mod answer;
mod answer_stats;
mod anthropic;
mod anthropic_format;
mod attempt_future;
#[cfg(feature = "azure")]
mod azure;
#[cfg(feature = "bedrock")]
mod bedrock;
mod billed;
mod client_credential;
mod compatible;
mod count;
mod credential_error;
mod extra_headers;
mod failed_response;
mod failure;
#[cfg(feature = "fetch-images")]
mod fetch;
mod first_content;
mod guardrail;
mod installed;
pub mod kind;
mod listing;
mod mapping;
mod message_body;
mod message_events;
mod mock;
mod ollama;
mod outcome;
mod ping_timer;
mod provider;
mod request;
mod success;
mod time_limit;
mod upstream;
mod upstream_address;
mod vendor_errors;
#[cfg(feature = "vertex")]
mod vertex;
mod zai;

pub use adapt::{Adapt, AdaptFuture, AdaptLayer, adapter_for};
pub use answer::{Answer, AnswerBody, AnswerBodyError, AttemptError};
pub use answer_stats::AnswerStats;
pub use anthropic::{ApiRequest, Forward, PassThrough};
pub use attempt_future::AttemptFuture;
#[cfg(feature = "azure")]
pub use azure::{Azure, azure_deployments};
#[cfg(feature = "bedrock")]
pub use bedrock::Bedrock;
pub use billed::{Billed, ModelUsage};
pub use client_credential::{ClientCredential, is_subscription_token};
pub use compatible::Compatible;
pub use extra_headers::ExtraHeaders;
pub use failure::{Form as ErrorForm, Judgement, UpstreamError};
#[cfg(feature = "fetch-images")]
pub use fetch::{Fetch, FetchImages, FetchLayer};
pub use guardrail::{GuardrailConflict, guardrail_conflict, requests_guardrail};
pub use installed::largest_ollama_model;
pub use listing::{ListedModel, Listing, ListingError};
pub use mapping::{MappedBody, ModelMap, ModelMapLayer, RequestTooLarge, RestoredBody};
pub use mock::Mock;
pub use ollama::Ollama;
pub use outcome::{LimitScope, Outcome};
pub use provider::{AuthorizeError, CredentialFacts, FreeRequest, PrepareError, Provider};
pub use request::{Attempt, Deadline, Endpoint, RelayRequest};
pub use upstream::{CheckAnswer, CheckReport, Upstream};
pub use upstream_address::UpstreamAddress;
#[cfg(feature = "vertex")]
pub use vertex::Vertex;
pub use zai::Zai;

pub use relay_stream::OnBreak;
pub use relay_stream::events::UnknownEvents;
pub use relay_stream::watch::{InferenceGeo, ServiceTier, Speed, StreamEnd, StreamReport, Usage};
pub use relay_transport::{EventGaps, GAP_BOUNDS};

/// Compiles and runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
