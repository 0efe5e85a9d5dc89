//! Fields, betas and thinking that an upstream refuses: removed for one retry, and from later requests if that helped.
//!
//! ```text
//! request ─strip_known─▶ request without the fields known to be refused ─▶ upstream
//! refusal (400) ─retry_without─▶ Retry: the same request without the fields that the refusal names ─▶ upstream
//! success of a Retry ─remember─▶ the same fields are removed from later requests, for an hour
//! answer ─watch─▶ the owner of each signature
//! ```
//! Every function works on the request in the upstream's own form, so that a path in a refusal matches the
//! bytes that were sent. A request is retried once. If the retry is refused too, the client gets the first
//! refusal, which names the fields that the client wrote.

mod companions;
mod paths;
mod refusal;
mod refused_fields;
mod thinking;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, Request};
use memchr::memmem;
use relay_config::{BaseUrl, FieldPath};
use relay_stream::thinking::{Thinking, ThinkingId};

pub use self::refused_fields::KnownRefusal;

use self::companions::BetaCompanions;
use self::refusal::Refusal;
use self::refused_fields::{RefusedField, RefusedFields};
use self::thinking::ThinkingBlock;
use crate::body::{Edits, Node, Payload};
use crate::capabilities::Adapter;
use crate::headers::{self, ANTHROPIC_BETA};
use crate::thinking_provenance::{SignatureOwner, ThinkingProvenance};

/// The body field in which Bedrock expects betas.
const BODY_BETAS: &str = "anthropic_beta";

/// The host of the reference API that clients are written for. If it refuses a field, the request itself is
/// wrong, and the client gets the error.
const REFERENCE: &str = "api.anthropic.com";

/// The one beta that every model with thinking accepts, also those that report all others as an "invalid beta
/// flag" (anthropics/claude-code#49370).
const TAKEN_EVERYWHERE: &str = "interleaved-thinking-2025-05-14";

/// The fields, betas and signatures that one provider is known to refuse. Clones share one memory, so that
/// all credentials of a provider use the same one.
#[derive(Debug, Clone)]
pub struct RefusalMemory(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// `true` if the provider is the reference API, so that requests arrive there as the client wrote them.
    is_reference: bool,
    refused_fields: RefusedFields,
    companions: BetaCompanions,
    /// The owner of the thinking that the provider accepts.
    owner: SignatureOwner,
    provenance: ThinkingProvenance,
}

/// A refused request without the parts that the refusal names, to be sent once more.
#[derive(Debug)]
pub struct Retry {
    request: Request<Payload>,
    fields: Vec<RefusedField>,
    /// The signatures of the removed thinking blocks.
    refused: Vec<ThinkingId>,
}

impl Retry {
    /// The request without the refused parts.
    #[must_use]
    pub fn request(&self) -> &Request<Payload> {
        &self.request
    }

    /// The number of signed thinking blocks that were removed from the request.
    #[must_use]
    pub fn signatures(&self) -> usize {
        self.refused.len()
    }
}

impl RefusalMemory {
    /// Creates an empty memory for a provider at `base_url`, if that is known, that accepts the signatures of `owner`.
    /// `adapter` names the betas that each field needs.
    #[must_use]
    pub fn new(
        base_url: Option<&BaseUrl>,
        adapter: &Adapter,
        owner: SignatureOwner,
        provenance: ThinkingProvenance,
    ) -> Self {
        let is_reference = base_url.is_some_and(|url| url.authority().host().eq_ignore_ascii_case(REFERENCE));
        let (refused_fields, companions) =
            (RefusedFields::default(), BetaCompanions::new(adapter.companions()));
        Self(Arc::new(Shared { is_reference, refused_fields, companions, owner, provenance }))
    }

    /// Returns everything that the provider is known to refuse at `now`, sorted by model.
    #[must_use]
    pub fn known(&self, now: Instant) -> Vec<KnownRefusal> {
        self.0.refused_fields.known(now)
    }

    /// Removes from `request` the fields and betas that `model` is known to refuse, and thinking that the
    /// provider does not accept.
    pub fn strip_known(&self, model: &str, request: &mut Request<Payload>, now: Instant) {
        without(&self.0.refused_fields.of(model, now), request);
        if self.0.provenance.may_contain_foreign(self.0.owner) && holds_thinking(request.body()) {
            self.strip(request, |block| self.takes(block, now));
        }
    }

    /// Returns `request` without the parts that `texts`, all of one refusal, name. Returns `None` if the
    /// request holds none of these parts, or if they must not be removed.
    #[must_use]
    pub fn retry_without<T: AsRef<str>>(&self, request: &Request<Payload>, texts: &[T]) -> Option<Retry> {
        let names = Refusal::among(texts)?;
        let mut request = request.clone();
        let (mut fields, mut refused) = (Vec::new(), Vec::new());
        let helps = match names {
            Refusal::Fields(_) | Refusal::Betas(_) if self.0.is_reference => false,
            Refusal::Fields(paths) => {
                fields = fields_at(&self.0.companions, &paths, &request);
                without(&fields, &mut request)
            }
            Refusal::Betas(names) => {
                fields = fields_of_betas(&self.0.companions, &names, &request);
                without(&fields, &mut request)
            }
            Refusal::Signature => {
                let ids = self.strip(&mut request, |_| false);
                ids.map(|ids| refused = ids).is_some()
            }
            Refusal::ThinkingMissing => remove(&mut request, thinking::switched_off),
        };
        helps.then_some(Retry { request, fields, refused })
    }

    /// Remembers that `retry` succeeded with `model`. Returns the fields and betas that were not known before, such as
    /// `field context_management` or `beta effort-2025-11-24`.
    pub fn remember(&self, model: &str, retry: &Retry, now: Instant) -> Vec<String> {
        for id in &retry.refused {
            self.0.provenance.record_refusal(*id, self.0.owner, now);
        }
        let news = retry.fields.iter().filter(|field| self.0.refused_fields.add(model, field, now));
        news.map(ToString::to_string).collect()
    }

    /// Returns a sink for the thinking in an answer of the provider. It records the provider as the owner of each signature.
    /// `clock` returns the current time.
    pub fn on_thinking<C>(&self, clock: C) -> impl FnMut(Thinking) + Send + use<C>
    where
        C: Fn() -> Instant + Send,
    {
        let (provenance, owner) = (self.0.provenance.clone(), self.0.owner);
        move |thinking| match thinking {
            Thinking::Signed(id) => provenance.record_signature(id, owner, clock()),
            Thinking::Unsigned => provenance.record_unsigned(owner),
        }
    }

    fn takes(&self, block: ThinkingBlock, now: Instant) -> bool {
        let Shared { owner, provenance, .. } = &*self.0;
        match block {
            ThinkingBlock::Signed(id) => provenance.may_accept(id, *owner, now),
            ThinkingBlock::Unsigned => *owner != SignatureOwner::CLAUDE && provenance.sends_unsigned(*owner),
        }
    }

    /// Removes the thinking for which `takes` returns `false` from `request`. Returns its signatures, or
    /// `None` if there was no such thinking. If the last turn cannot be continued without it, thinking is
    /// switched off as well.
    fn strip(
        &self,
        request: &mut Request<Payload>,
        takes: impl FnMut(ThinkingBlock) -> bool,
    ) -> Option<Vec<ThinkingId>> {
        let mut ids = Vec::new();
        let removed = remove(request, |body| {
            let stripped = thinking::strip(body, takes);
            let mut gone = stripped.gone;
            if stripped.breaks_last_turn && self.0.owner == SignatureOwner::CLAUDE {
                gone.extend(thinking::switched_off(body));
            }
            ids = stripped.ids;
            gone
        });
        removed.then_some(ids)
    }
}

/// Returns `false` if `body` holds no thinking. A cheap check before parsing, since most requests hold none.
fn holds_thinking(body: &Payload) -> bool {
    body.pieces().any(|piece| memmem::find(piece, b"thinking\"").is_some())
}

/// Removes the parts that `find` returns from the body of `request`. Returns `true` if there were any.
fn remove(request: &mut Request<Payload>, find: impl FnOnce(Node<'_>) -> Vec<Node<'_>>) -> bool {
    let body = request.body().to_bytes();
    let gone = Node::parse(&body).map(find).unwrap_or_default();
    if gone.is_empty() {
        return false;
    }
    let mut edits = Edits::default();
    gone.into_iter().for_each(|node| edits.remove_at(node));
    *request.body_mut() = edits.apply_to(&body);
    true
}

/// Returns the fields at `paths` that `request` contains, and their companions.
fn fields_at(companions: &BetaCompanions, paths: &[String], request: &Request<Payload>) -> Vec<RefusedField> {
    let body = request.body().to_bytes();
    let Some(body) = Node::parse(&body) else { return Vec::new() };
    let places = paths.iter().filter_map(|path| paths::resolve(path, body));
    with_companions(companions, places.map(RefusedField::Field).collect(), body, &betas(request, body))
}

/// Returns the betas of `request` that `names` lists, and their companions. If `names` is empty, all betas
/// count as named except [`TAKEN_EVERYWHERE`].
fn fields_of_betas(
    companions: &BetaCompanions,
    names: &[String],
    request: &Request<Payload>,
) -> Vec<RefusedField> {
    let body = request.body().to_bytes();
    let Some(body) = Node::parse(&body) else { return Vec::new() };
    let sent = betas(request, body);
    let is_named = |beta: &&String| match names.is_empty() {
        true => *beta != TAKEN_EVERYWHERE,
        false => names.contains(beta),
    };
    let named = sent.iter().filter(is_named).cloned().map(RefusedField::Beta).collect();
    with_companions(companions, named, body, &sent)
}

/// Returns `fields` and their companions in the request: the fields of each beta, the betas of each field,
/// and so on.
fn with_companions(
    companions: &BetaCompanions,
    mut fields: Vec<RefusedField>,
    body: Node<'_>,
    betas: &[String],
) -> Vec<RefusedField> {
    let mut next = 0;
    while let Some(field) = fields.get(next) {
        let leaving: Vec<RefusedField> = match field {
            RefusedField::Beta(beta) => {
                let fields = companions.fields_of(beta);
                let sent = fields.filter(|field| !paths::find(body, &[*field]).is_empty());
                sent.cloned().map(RefusedField::Field).collect()
            }
            RefusedField::Field(place) => {
                let leaves = |beta: &&String| companions.leaves_with(beta, place);
                betas.iter().filter(leaves).cloned().map(RefusedField::Beta).collect()
            }
        };
        for partner in leaving {
            if !fields.contains(&partner) {
                fields.push(partner);
            }
        }
        next += 1;
    }
    fields
}

/// Returns the betas of `request`, from its header and from `body`, which is its parsed body.
fn betas(request: &Request<Payload>, body: Node<'_>) -> Vec<String> {
    let in_body = body.get(BODY_BETAS).into_iter().flat_map(Node::elements).filter_map(Node::as_str);
    headers::betas(request.headers()).map(str::to_owned).chain(in_body.map(Cow::into_owned)).collect()
}

/// Removes `fields` from `request`. Returns `true` if any of them was there.
fn without(fields: &[RefusedField], request: &mut Request<Payload>) -> bool {
    if fields.is_empty() {
        return false;
    }
    let is_dropped =
        |beta: &str| fields.iter().any(|field| matches!(field, RefusedField::Beta(name) if name == beta));
    let changes_headers = without_betas(request.headers_mut(), is_dropped);
    let places: Vec<&FieldPath> = fields.iter().filter_map(RefusedField::field).collect();
    let changes_body = remove(request, |body| {
        let mut gone = paths::find(body, &places);
        gone.extend(betas_in(body, is_dropped));
        gone
    });
    changes_headers || changes_body
}

fn without_betas(headers: &mut HeaderMap, is_dropped: impl Fn(&str) -> bool) -> bool {
    let has_any = headers.contains_key(ANTHROPIC_BETA) && headers::betas(headers).any(&is_dropped);
    if has_any {
        headers::map_betas(headers, |beta| (!is_dropped(beta)).then_some(beta));
    }
    has_any
}

/// Returns the dropped betas in the list of `body`, or the list itself if all of its betas are dropped.
fn betas_in(body: Node<'_>, is_dropped: impl Fn(&str) -> bool) -> Vec<Node<'_>> {
    let Some(list) = body.get(BODY_BETAS) else { return Vec::new() };
    let is_dropped = |beta: &Node<'_>| beta.as_str().is_some_and(|beta| is_dropped(&beta));
    let (gone, kept): (Vec<_>, Vec<_>) = list.elements().partition(is_dropped);
    if kept.is_empty() && !gone.is_empty() { vec![list] } else { gone }
}

#[cfg(test)]
mod tests;
