//! What an upstream refuses is left out, once it has said so.
//!
//! ```text
//! request ─prevent─▶ what is known to be refused leaves ─▶ upstream
//!                                  ┌──────── 400 ◀────────────┘
//! refusal ─cure─▶ the same request without what it names ─▶ upstream
//!                                  └─ success ─▶ learn: so shall the next ones be
//! ```
//! All of it works on requests in the upstream's own form, so that a path in a refusal fits what was sent. A request has
//! one second try. Where that is refused too, the client gets the first refusal: it speaks of what the client wrote.

mod finding;
mod learned;
mod partners;
mod place;

use std::borrow::Cow;
use std::sync::Arc;

use http::header::HeaderName;
use http::{HeaderMap, Request};
use relay_config::{BaseUrl, ProviderName};

pub use self::learned::Lesson;

use self::finding::Finding;
use self::learned::{Learned, Omission};
use self::place::Place;
use crate::body::{Edits, Node, Payload};
use crate::headers;

const ANTHROPIC_BETA: HeaderName = HeaderName::from_static("anthropic-beta");
/// Where Bedrock takes betas.
const BODY_BETAS: &str = "anthropic_beta";

/// The host whose API a client writes for. What it refuses was never right, and the client's to know.
const REFERENCE: &str = "api.anthropic.com";

/// The one beta that every model with thinking takes, also those that call all others an "invalid beta flag"
/// (anthropics/claude-code#49370).
const TAKEN_EVERYWHERE: &str = "interleaved-thinking-2025-05-14";

/// What one provider refuses. Cloning shares it: there is one for all of a provider's credentials.
#[derive(Debug, Clone)]
pub struct Healing(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Whether requests arrive as the client wrote them, at the API that it wrote them for.
    is_reference: bool,
    learned: Learned,
}

/// A request that is worth a second try.
pub(crate) struct Cure {
    pub(crate) request: Request<Payload>,
    omissions: Vec<Omission>,
}

impl Healing {
    /// For a provider at `base_url`, if that is known.
    #[must_use]
    pub fn new(base_url: Option<&BaseUrl>) -> Self {
        let is_reference = base_url.is_some_and(|url| url.authority().host().eq_ignore_ascii_case(REFERENCE));
        Self(Arc::new(Shared { is_reference, learned: Learned::default() }))
    }

    /// All that the provider has been found to refuse, by model.
    #[must_use]
    pub fn lessons(&self) -> Vec<Lesson> {
        self.0.learned.lessons()
    }

    /// Takes out of `request` what `model` is known to refuse.
    pub(crate) fn prevent(&self, model: &str, request: &mut Request<Payload>) {
        without(&self.0.learned.of(model), request);
    }

    /// `request` without what `refusal`, an error's body, names; `None` where it names nothing that the request holds and
    /// that may leave it.
    pub(crate) fn cure(&self, request: &Request<Payload>, refusal: &[u8]) -> Option<Cure> {
        let omissions = match Finding::read(refusal)? {
            _ if self.0.is_reference => return None,
            Finding::Fields(paths) => {
                let body = request.body().to_bytes();
                let body = Node::parse(&body)?;
                let places = paths.iter().filter_map(|path| Place::resolve(path, body));
                with_partners(places.map(Omission::Field).collect(), &betas(request))
            }
            Finding::Betas(names) => {
                let sent = betas(request);
                let is_named = |beta: &&String| match names.is_empty() {
                    true => *beta != TAKEN_EVERYWHERE,
                    false => names.contains(beta),
                };
                with_partners(sent.iter().filter(is_named).cloned().map(Omission::Beta).collect(), &sent)
            }
            Finding::Signature | Finding::ThinkingMissing => return None,
        };
        let mut request = request.clone();
        without(&omissions, &mut request).then_some(Cure { request, omissions })
    }

    /// Remembers that `cure` helped with `model` of `provider`.
    pub(crate) fn learn(&self, provider: &ProviderName, model: &str, cure: &Cure) {
        for omission in &cure.omissions {
            if self.0.learned.add(model, omission) {
                let provider = provider.as_str();
                tracing::warn!(provider, model, dropped = %omission, "the upstream refuses this; it is left out for an hour");
            }
        }
    }
}

/// `omissions`, and what goes with them: a beta's fields, a field's betas.
fn with_partners(mut omissions: Vec<Omission>, betas: &[String]) -> Vec<Omission> {
    for index in 0..omissions.len() {
        let partners: Vec<Omission> = match &omissions[index] {
            Omission::Beta(beta) => partners::fields_of(beta).map(Omission::Field).collect(),
            Omission::Field(place) => {
                let leaves = |beta: &&String| partners::leaves_with(beta, place);
                betas.iter().filter(leaves).cloned().map(Omission::Beta).collect()
            }
        };
        for partner in partners {
            if !omissions.contains(&partner) {
                omissions.push(partner);
            }
        }
    }
    omissions
}

/// The betas of `request`, wherever it holds them.
fn betas(request: &Request<Payload>) -> Vec<String> {
    let mut betas: Vec<String> = headers::betas(request.headers()).map(str::to_owned).collect();
    let body = request.body().to_bytes();
    let in_body = Node::parse(&body).and_then(|body| body.get(BODY_BETAS));
    betas.extend(in_body.into_iter().flat_map(Node::elements).filter_map(Node::as_str).map(Cow::into_owned));
    betas
}

/// Takes `omissions` out of `request`; says whether any of it was there.
fn without(omissions: &[Omission], request: &mut Request<Payload>) -> bool {
    if omissions.is_empty() {
        return false;
    }
    let is_dropped = |beta: &str| {
        omissions.iter().any(|omission| matches!(omission, Omission::Beta(name) if name == beta))
    };
    let changes_headers = without_betas(request.headers_mut(), is_dropped);
    let body = request.body().to_bytes();
    let Some(root) = Node::parse(&body) else { return changes_headers };
    let places: Vec<&Place> = omissions.iter().filter_map(Omission::field).collect();
    let mut gone = place::find(root, &places);
    gone.extend(betas_in(root, is_dropped));
    if gone.is_empty() {
        return changes_headers;
    }
    let mut edits = Edits::default();
    gone.into_iter().for_each(|node| edits.remove_at(node));
    *request.body_mut() = edits.apply_to(&body);
    true
}

fn without_betas(headers: &mut HeaderMap, is_dropped: impl Fn(&str) -> bool) -> bool {
    let has_any = headers.contains_key(ANTHROPIC_BETA) && headers::betas(headers).any(&is_dropped);
    if has_any {
        headers::map_betas(headers, |beta| (!is_dropped(beta)).then_some(beta));
    }
    has_any
}

/// The betas in the body's list that go; the list itself, if all of them do.
fn betas_in(body: Node<'_>, is_dropped: impl Fn(&str) -> bool) -> Vec<Node<'_>> {
    let Some(list) = body.get(BODY_BETAS) else { return Vec::new() };
    let is_dropped = |beta: &Node<'_>| beta.as_str().is_some_and(|beta| is_dropped(&beta));
    let (gone, kept): (Vec<_>, Vec<_>) = list.elements().partition(is_dropped);
    if kept.is_empty() && !gone.is_empty() { vec![list] } else { gone }
}

#[cfg(test)]
mod tests;
