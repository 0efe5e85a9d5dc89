//! What an upstream refuses is left out, once it has said so; and the thinking of others before it does.
//!
//! ```text
//! request ─prevent─▶ what is known to be refused leaves ─▶ upstream
//!                                  ┌──────── 400 ◀────────────┘
//! refusal ─cure─▶ the same request without what it names ─▶ upstream
//!                                  └─ success ─▶ learn: so shall the next ones be
//! answer ─watch─▶ whose each signature is
//! ```
//! All of it works on requests in the upstream's own form, so that a path in a refusal fits what was sent. A request has
//! one second try. Where that is refused too, the client gets the first refusal: it speaks of what the client wrote.

mod companions;
mod memory;
mod place;
mod refused_field;
mod thinking;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, Request};
use memchr::memmem;
use relay_config::BaseUrl;
use relay_stream::thinking::{Thinking, ThinkingBody, ThinkingId};

pub use self::memory::Lesson;

use self::companions::Partners;
use self::memory::{Learned, Omission};
use self::place::Place;
use self::refused_field::Finding;
use self::thinking::Block;
use crate::body::{Edits, Node, Payload};
use crate::capabilities::Adapter;
use crate::headers::{self, ANTHROPIC_BETA};
use crate::thinking_provenance::{SignatureOwner, ThinkingProvenance};

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
    partners: Partners,
    /// Whose thinking the provider takes.
    owner: SignatureOwner,
    provenance: ThinkingProvenance,
}

/// A request that is worth a second try.
#[derive(Debug)]
pub struct Cure {
    request: Request<Payload>,
    omissions: Vec<Omission>,
    /// The signatures that have left it.
    refused: Vec<ThinkingId>,
}

impl Cure {
    /// The request without what was refused.
    #[must_use]
    pub fn request(&self) -> &Request<Payload> {
        &self.request
    }

    /// The number of signed blocks of thinking that have left the request.
    #[must_use]
    pub fn signatures(&self) -> usize {
        self.refused.len()
    }
}

impl Healing {
    /// For a provider at `base_url`, if that is known, that takes the thinking of `owner`. `adapter` knows which fields
    /// and betas go together.
    #[must_use]
    pub fn new(
        base_url: Option<&BaseUrl>,
        adapter: &Adapter,
        owner: SignatureOwner,
        provenance: ThinkingProvenance,
    ) -> Self {
        let is_reference = base_url.is_some_and(|url| url.authority().host().eq_ignore_ascii_case(REFERENCE));
        let (learned, partners) = (Learned::default(), Partners::new(adapter.companions()));
        Self(Arc::new(Shared { is_reference, learned, partners, owner, provenance }))
    }

    /// All that the provider has been found to refuse, by model.
    #[must_use]
    pub fn lessons(&self, now: Instant) -> Vec<Lesson> {
        self.0.learned.lessons(now)
    }

    /// Takes out of `request` what `model` is known to refuse, and the thinking of others.
    pub fn prevent(&self, model: &str, request: &mut Request<Payload>, now: Instant) {
        without(&self.0.learned.of(model, now), request);
        if self.0.provenance.may_contain_foreign(self.0.owner) && holds_thinking(request.body()) {
            self.strip(request, |block| self.takes(block, now));
        }
    }

    /// `request` without what `refusal`, an error's body, names; `None` where it names nothing that the request holds and
    /// that may leave it.
    #[must_use]
    pub fn cure(&self, request: &Request<Payload>, refusal: &[u8]) -> Option<Cure> {
        let finding = Finding::read(refusal)?;
        let mut request = request.clone();
        let (mut omissions, mut refused) = (Vec::new(), Vec::new());
        let helps = match finding {
            Finding::Fields(_) | Finding::Betas(_) if self.0.is_reference => false,
            Finding::Fields(paths) => {
                omissions = omissions_at(&self.0.partners, &paths, &request);
                without(&omissions, &mut request)
            }
            Finding::Betas(names) => {
                omissions = omissions_of(&self.0.partners, &names, &request);
                without(&omissions, &mut request)
            }
            Finding::Signature => {
                let ids = self.strip(&mut request, |_| false);
                ids.map(|ids| refused = ids).is_some()
            }
            Finding::ThinkingMissing => remove(&mut request, thinking::switched_off),
        };
        helps.then_some(Cure { request, omissions, refused })
    }

    /// Remembers that `cure` helped with `model`. Returns what had not been known of the model before, such as
    /// `field context_management` or `beta effort-2025-11-24`.
    pub fn learn(&self, model: &str, cure: &Cure, now: Instant) -> Vec<String> {
        for id in &cure.refused {
            self.0.provenance.record_refusal(*id, self.0.owner, now);
        }
        let news = cure.omissions.iter().filter(|omission| self.0.learned.add(model, omission, now));
        news.map(ToString::to_string).collect()
    }

    /// `body`, an answer of the provider's, with its thinking remembered as the provider's.
    /// `clock` returns the time of each block.
    pub fn watch<B, C>(&self, body: B, clock: C) -> ThinkingBody<B, impl FnMut(Thinking) + Send + use<B, C>>
    where
        C: Fn() -> Instant + Send,
    {
        let (provenance, owner) = (self.0.provenance.clone(), self.0.owner);
        ThinkingBody::new(body, move |thinking| match thinking {
            Thinking::Signed(id) => provenance.record_signature(id, owner, clock()),
            Thinking::Unsigned => provenance.record_unsigned(owner),
        })
    }

    fn takes(&self, block: Block, now: Instant) -> bool {
        let Shared { owner, provenance, .. } = &*self.0;
        match block {
            Block::Signed(id) => provenance.may_accept(id, *owner, now),
            Block::Unsigned => *owner != SignatureOwner::CLAUDE && provenance.sends_unsigned(*owner),
        }
    }

    /// Takes the thinking that `takes` refuses out of `request`; gives its signatures, if there was any. Where a turn
    /// cannot go on without it, thinking is switched off as well.
    fn strip(
        &self,
        request: &mut Request<Payload>,
        takes: impl FnMut(Block) -> bool,
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

/// A look that costs little: most requests have none.
fn holds_thinking(body: &Payload) -> bool {
    body.pieces().any(|piece| memmem::find(piece, b"thinking\"").is_some())
}

/// Takes the parts that `find` finds out of the body of `request`; says whether there were any.
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

/// The fields at `paths` of what has been sent, and what goes with them.
fn omissions_at(partners: &Partners, paths: &[String], request: &Request<Payload>) -> Vec<Omission> {
    let body = request.body().to_bytes();
    let Some(body) = Node::parse(&body) else { return Vec::new() };
    let places = paths.iter().filter_map(|path| Place::resolve(path, body));
    with_partners(partners, places.map(Omission::Field).collect(), body, &betas(request, body))
}

/// Those betas of `names` that have been sent, or all that not everyone takes; and what goes with them.
fn omissions_of(partners: &Partners, names: &[String], request: &Request<Payload>) -> Vec<Omission> {
    let body = request.body().to_bytes();
    let Some(body) = Node::parse(&body) else { return Vec::new() };
    let sent = betas(request, body);
    let is_named = |beta: &&String| match names.is_empty() {
        true => *beta != TAKEN_EVERYWHERE,
        false => names.contains(beta),
    };
    let named = sent.iter().filter(is_named).cloned().map(Omission::Beta).collect();
    with_partners(partners, named, body, &sent)
}

/// `omissions`, and what goes with them of what has been sent: a beta's fields, a field's betas, and so on.
fn with_partners(
    partners: &Partners,
    mut omissions: Vec<Omission>,
    body: Node<'_>,
    betas: &[String],
) -> Vec<Omission> {
    let mut next = 0;
    while let Some(omission) = omissions.get(next) {
        let leaving: Vec<Omission> = match omission {
            Omission::Beta(beta) => {
                let fields = partners.fields_of(beta);
                let sent = fields.filter(|field| !place::find(body, &[*field]).is_empty());
                sent.cloned().map(Omission::Field).collect()
            }
            Omission::Field(place) => {
                let leaves = |beta: &&String| partners.leaves_with(beta, place);
                betas.iter().filter(leaves).cloned().map(Omission::Beta).collect()
            }
        };
        for partner in leaving {
            if !omissions.contains(&partner) {
                omissions.push(partner);
            }
        }
        next += 1;
    }
    omissions
}

/// The betas of `request`, whose body is `body`, wherever it holds them.
fn betas(request: &Request<Payload>, body: Node<'_>) -> Vec<String> {
    let in_body = body.get(BODY_BETAS).into_iter().flat_map(Node::elements).filter_map(Node::as_str);
    headers::betas(request.headers()).map(str::to_owned).chain(in_body.map(Cow::into_owned)).collect()
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
    let places: Vec<&Place> = omissions.iter().filter_map(Omission::field).collect();
    let changes_body = remove(request, |body| {
        let mut gone = place::find(body, &places);
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

/// The betas in the body's list that go; the list itself, if all of them do.
fn betas_in(body: Node<'_>, is_dropped: impl Fn(&str) -> bool) -> Vec<Node<'_>> {
    let Some(list) = body.get(BODY_BETAS) else { return Vec::new() };
    let is_dropped = |beta: &Node<'_>| beta.as_str().is_some_and(|beta| is_dropped(&beta));
    let (gone, kept): (Vec<_>, Vec<_>) = list.elements().partition(is_dropped);
    if kept.is_empty() && !gone.is_empty() { vec![list] } else { gone }
}

#[cfg(test)]
mod tests;
