//! The parts of one request that a refusal names, their companions, and the removal of both.

use std::borrow::Cow;

use http::{HeaderMap, Request};
use relay_config::{FieldPath, Pattern};

use super::companions::{BetaCompanions, includes};
use super::conditions::Conditions;
use super::paths;
use super::refused_fields::RefusedField;
use crate::body::{Edits, IndexedText, Node, Payload};
use crate::headers::{self, ANTHROPIC_BETA};

/// The body field in which Bedrock expects betas.
const BODY_BETAS: &str = "anthropic_beta";
/// The header and the body field with the API version.
const VERSION: &str = "anthropic-version";
const BODY_VERSION: &str = "anthropic_version";

/// The maximum number of betas that are read from a body. The relay writes no more into it.
const BETAS: usize = 256;

/// The one beta that every model with thinking accepts, also those that report all others as an "invalid beta
/// flag" (anthropics/claude-code#49370).
const TAKEN_EVERYWHERE: &str = "interleaved-thinking-2025-05-14";

/// Returns the conditions of `request`; `None` if it has more betas than are remembered.
pub(super) fn conditions(request: &Request<Payload>) -> Option<Conditions> {
    let bytes = request.body().to_bytes();
    let text = IndexedText::parse(&bytes)?;
    let body = text.node();
    let in_header = request.headers().get(VERSION).and_then(|value| value.to_str().ok()).map(Cow::Borrowed);
    let version = in_header.or_else(|| body.get(BODY_VERSION).and_then(Node::as_str));
    let thinking = body.get("thinking").and_then(|thinking| thinking.get("type")).and_then(Node::as_str);
    Conditions::of(version.as_deref(), thinking.as_deref(), &betas(request, body))
}

/// Returns the fields at `texts`, paths in the upstream's notation, that `request` contains.
pub(super) fn fields_at(texts: &[String], request: &Request<Payload>) -> Vec<RefusedField> {
    let bytes = request.body().to_bytes();
    let Some(text) = IndexedText::parse(&bytes) else { return Vec::new() };
    let body = text.node();
    let mut fields = Vec::new();
    for field in texts.iter().filter_map(|path| paths::resolve(path, body)).map(RefusedField::Field) {
        if !fields.contains(&field) {
            fields.push(field);
        }
    }
    fields
}

/// Returns the betas of `request` that `names` lists.
pub(super) fn betas_named(names: &[String], request: &Request<Payload>) -> Vec<RefusedField> {
    let named = all_betas(request).into_iter().filter(|beta| names.contains(beta));
    named.map(RefusedField::Beta).collect()
}

/// Returns all betas of `request` that some upstream refuses.
pub(super) fn doubtful_betas(request: &Request<Payload>) -> Vec<RefusedField> {
    let doubtful = all_betas(request).into_iter().filter(|beta| beta != TAKEN_EVERYWHERE);
    doubtful.map(RefusedField::Beta).collect()
}

fn all_betas(request: &Request<Payload>) -> Vec<String> {
    let bytes = request.body().to_bytes();
    IndexedText::parse(&bytes).map(|text| betas(request, text.node())).unwrap_or_default()
}

/// Removes `named` from `request` with their companions: the fields that need a removed beta, and the betas of which no
/// field is left. Returns those of `named` that were in the request.
pub(super) fn remove_with_companions(
    named: &[RefusedField],
    companions: &BetaCompanions,
    request: &mut Request<Payload>,
) -> Vec<RefusedField> {
    let bytes = request.body().to_bytes();
    let Some(text) = IndexedText::parse(&bytes) else { return Vec::new() };
    let body = text.node();
    let sent = betas(request, body);
    let parts = Parts::of(named, companions, body, &sent);
    let found: Vec<RefusedField> = named.iter().filter(|field| parts.contains(field)).cloned().collect();
    if !found.is_empty() {
        remove(&parts.with_companions(found.clone()), request);
    }
    found
}

/// The parts of one request that may be removed.
struct Parts<'a> {
    betas: &'a [String],
    /// The pairs of betas and fields of which the request has the beta.
    pairs: Vec<&'a (Pattern, FieldPath)>,
    /// Fields with the number of their values in the body.
    counts: Vec<(&'a FieldPath, usize)>,
}

impl<'a> Parts<'a> {
    /// Counts the values of the fields that may be removed together with `named`, in one walk through `body`.
    fn of(
        named: &'a [RefusedField],
        companions: &'a BetaCompanions,
        body: Node<'_>,
        betas: &'a [String],
    ) -> Self {
        let is_sent = |(beta, _): &&(Pattern, FieldPath)| betas.iter().any(|sent| beta.fits(sent));
        let pairs: Vec<_> = companions.iter().filter(is_sent).collect();
        let places = named.iter().filter_map(RefusedField::field).chain(pairs.iter().map(|(_, field)| field));
        let places: Vec<&FieldPath> = places.collect();
        let counts = paths::counts(body, &places);
        Self { betas, pairs, counts: places.into_iter().zip(counts).collect() }
    }

    fn contains(&self, field: &RefusedField) -> bool {
        match field {
            RefusedField::Beta(beta) => self.betas.contains(beta),
            RefusedField::Field(place) => self.count(place) > 0,
        }
    }

    fn count(&self, place: &FieldPath) -> usize {
        let known = self.counts.iter().find(|(known, _)| *known == place);
        known.map_or(0, |(_, count)| *count)
    }

    /// Returns `fields` and their companions in the request: the fields of each beta, the betas of each field,
    /// and so on.
    fn with_companions(&self, mut fields: Vec<RefusedField>) -> Vec<RefusedField> {
        let mut next = 0;
        while let Some(field) = fields.get(next) {
            let partners = match field {
                RefusedField::Beta(beta) => self.fields_of(beta),
                RefusedField::Field(place) => self.betas_of(place),
            };
            for partner in partners {
                if !fields.contains(&partner) {
                    fields.push(partner);
                }
            }
            next += 1;
        }
        fields
    }

    fn fields_of(&self, beta: &str) -> Vec<RefusedField> {
        let own = self.pairs.iter().filter(|(pattern, place)| pattern.fits(beta) && self.count(place) > 0);
        own.map(|(_, place)| RefusedField::Field(place.clone())).collect()
    }

    /// Returns the betas for the field at `place`, unless the request has the field in objects of another type too.
    fn betas_of(&self, place: &FieldPath) -> Vec<RefusedField> {
        let count = self.count(place);
        let is_last = |general: &FieldPath| includes(general, place) && self.count(general) == count;
        let own = self.pairs.iter().filter(|(_, general)| is_last(general));
        let betas = own.flat_map(|(beta, _)| self.betas.iter().filter(|sent| beta.fits(sent)));
        betas.cloned().map(RefusedField::Beta).collect()
    }
}

/// Returns the betas of `request`, from its header and from `body`, which is its parsed body.
fn betas(request: &Request<Payload>, body: Node<'_>) -> Vec<String> {
    let in_body = body.get(BODY_BETAS).into_iter().flat_map(Node::elements).filter_map(Node::as_str);
    let in_body = in_body.take(BETAS).map(Cow::into_owned);
    headers::betas(request.headers()).map(str::to_owned).chain(in_body).collect()
}

/// Removes `fields` from `request`.
fn remove(fields: &[RefusedField], request: &mut Request<Payload>) {
    let is_dropped =
        |beta: &str| fields.iter().any(|field| matches!(field, RefusedField::Beta(name) if name == beta));
    without_betas(request.headers_mut(), is_dropped);
    let places: Vec<&FieldPath> = fields.iter().filter_map(RefusedField::field).collect();
    edit(request, |body, edits| {
        paths::find(body, &places, &mut |_, node| edits.remove_at(node));
        betas_in(body, is_dropped).into_iter().for_each(|beta| edits.remove_at(beta));
    });
}

/// Changes the body of `request` by `change`. A body that is not JSON stays as it is.
///
/// A body of several pieces is copied into one to be parsed. The copy is freed at the end: the changed body consists of
/// slices of the former one.
pub(super) fn edit(request: &mut Request<Payload>, change: impl FnOnce(Node<'_>, &mut Edits)) {
    let body = request.body().to_bytes();
    let mut edits = Edits::default();
    if let Some(text) = IndexedText::parse(&body) {
        change(text.node(), &mut edits);
        *request.body_mut() = edits.apply_to_payload(&body, request.body());
    }
}

fn without_betas(headers: &mut HeaderMap, is_dropped: impl Fn(&str) -> bool) {
    if headers.contains_key(ANTHROPIC_BETA) && headers::betas(headers).any(&is_dropped) {
        headers::map_betas(headers, |beta| (!is_dropped(beta)).then_some(beta));
    }
}

/// Returns the dropped betas in the list of `body`, or the list itself if all of its betas are dropped.
fn betas_in(body: Node<'_>, is_dropped: impl Fn(&str) -> bool) -> Vec<Node<'_>> {
    let Some(list) = body.get(BODY_BETAS) else { return Vec::new() };
    let is_dropped = |beta: &Node<'_>| beta.as_str().is_some_and(|beta| is_dropped(&beta));
    let (gone, kept): (Vec<_>, Vec<_>) = list.elements().partition(is_dropped);
    if kept.is_empty() && !gone.is_empty() { vec![list] } else { gone }
}
