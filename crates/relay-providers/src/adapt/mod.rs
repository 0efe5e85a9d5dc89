//! A request in the form that an upstream takes: which betas, which fields.
//!
//! ```text
//! table.toml ─┐
//!             ├─▶ Adapter ─▶ Attempt { edits, betas }   and, before any attempt, Lack
//! config ─────┘   one for each provider
//! ```
//! There is one table and one mechanism for all upstreams. What upstreams add of their own (a version in the body, the
//! model in the path) is theirs. Where nothing is known of an upstream, nothing is touched.

mod content;
mod fold;
mod place;
mod rules;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use relay_config::{
    BedrockApi, BetaRule, Capabilities, CapabilityTable, Companions, FieldPath, FieldRule, ProviderConfig,
    ProviderKind,
};
use relay_messages::{Edits, Kind, Lack, MessagesBody, Node};
use tower::{Layer, Service};

use crate::answer::{Answer, AttemptError};
use crate::request::{Attempt, RelayRequest};
pub(crate) use content::Contents;
pub(crate) use place::blocks;
use rules::Rules;

const TABLE: &str = include_str!("table.toml");

/// What one provider takes, and how requests are brought into that form.
#[derive(Debug, Clone, Default)]
pub struct Adapter {
    known: Capabilities,
    companions: Companions,
    /// Whether images by URL are fetched before.
    fetches_images: bool,
}

impl Adapter {
    /// What is known of the kind of `provider`, with what its configuration adds.
    #[must_use]
    pub fn new(provider: &ProviderConfig) -> Self {
        let kind = match &provider.kind {
            ProviderKind::Bedrock(config) if config.api == BedrockApi::Messages => "bedrock_messages",
            kind => kind.as_str(),
        };
        let adapter = Self::of(kind);
        let known = adapter.known.with(&provider.capabilities);
        Self { known, fetches_images: provider.fetch_images, ..adapter }
    }

    /// What is known of `kind`.
    pub(crate) fn of(kind: &str) -> Self {
        let table = CapabilityTable::parse("table.toml", TABLE).expect("the table of this crate is tested");
        Self { known: table.of(kind), companions: table.companions().clone(), fetches_images: false }
    }

    /// Which betas fields go with, at every upstream.
    pub(crate) fn companions(&self) -> &Companions {
        &self.companions
    }

    /// Why the upstream cannot serve `request` by its `model`, if there is a reason.
    #[must_use]
    pub fn lack(&self, model: &str, request: &RelayRequest) -> Option<Lack> {
        content::lack(&Rules::new(&self.known, model), self.fetches_images, request)
    }

    /// Changes `attempt` to what the upstream takes. Its model is the upstream's already.
    pub fn adapt(&self, attempt: &mut Attempt) {
        let rules = Rules::new(&self.known, attempt.model());
        if rules.is_empty() {
            return;
        }
        let request = attempt.request().clone();
        let asked = attempt.betas().into_iter().map(str::to_owned).collect::<Vec<_>>();
        let mut betas: Vec<Beta<'_>> = asked.iter().filter_map(|beta| Beta::of(beta, &rules)).collect();
        let alone = self.left_alone(&rules, &asked, &betas);
        let dropped = change(&rules, &alone, request.body(), attempt.edits_mut());
        self.leave_with_fields(&mut betas, &dropped, request.body(), attempt.edits());
        attempt.set_betas(betas.iter().map(|beta| beta.goes_as));
    }

    /// The fields whose betas were asked for, of which none goes upstream.
    fn left_alone(&self, rules: &Rules<'_>, asked: &[String], betas: &[Beta<'_>]) -> Vec<&FieldPath> {
        let companions = self.companions.iter().filter(|(field, needs)| {
            let is_needed = |beta: &str| needs.iter().any(|pattern| pattern.fits(beta));
            let was_asked_for = asked.iter().any(|beta| is_needed(beta));
            was_asked_for
                && !betas.iter().any(|beta| is_needed(beta.asked) || is_needed(beta.goes_as))
                && rules.field(field).is_none()
        });
        companions.map(|(field, _)| field).collect()
    }

    /// Takes out the betas whose fields were there and have been taken out.
    fn leave_with_fields(
        &self,
        betas: &mut Vec<Beta<'_>>,
        dropped: &[String],
        body: &MessagesBody,
        edits: &Edits,
    ) {
        betas.retain(|beta| {
            let brings = |(field, needs): &&(FieldPath, Vec<relay_config::Pattern>)| {
                let is_near = dropped.contains(&field.steps()[0].name);
                is_near && needs.iter().any(|need| need.fits(beta.asked) || need.fits(beta.goes_as))
            };
            let fields = self.companions.iter().filter(brings);
            let mut found = fields.flat_map(|(field, _)| place::find(body, field)).peekable();
            found.peek().is_none() || found.any(|place| !place.is_gone(edits))
        });
    }
}

/// A beta that goes upstream.
struct Beta<'a> {
    asked: &'a str,
    goes_as: &'a str,
}

impl<'a> Beta<'a> {
    fn of<'r: 'a>(asked: &'a str, rules: &Rules<'r>) -> Option<Self> {
        match rules.beta(asked) {
            None | Some(BetaRule::Pass) => Some(Self { asked, goes_as: asked }),
            Some(BetaRule::Rename(name)) => Some(Self { asked, goes_as: name }),
            Some(BetaRule::Drop) => None,
        }
    }
}

/// Makes the changes that `rules` ask for, and takes out the fields that are left `alone`; gives where something was taken
/// out, by the first names of the places.
fn change<'a>(
    rules: &Rules<'a>,
    alone: &[&'a FieldPath],
    body: &MessagesBody,
    edits: &mut Edits,
) -> Vec<String> {
    let mut dropped = Vec::new();
    for member in body.members() {
        let name = member.name().unwrap_or_default();
        match rules.top_level(&name) {
            Some(FieldRule::Drop) => {
                edits.remove_at(member);
                dropped.push(name.into_owned());
            }
            Some(FieldRule::Move { object, name }) => move_into(body, member, object, name, edits),
            _ => {}
        }
    }
    let fields = rules.fields();
    let drops =
        fields.iter().filter(|(field, rule)| **rule == FieldRule::Drop && field.top_level().is_none());
    for field in drops.map(|(field, _)| *field).chain(alone.iter().copied()) {
        let found = place::find(body, field);
        if !found.is_empty() {
            dropped.push(field.steps()[0].name.clone());
        }
        found.iter().for_each(|place| place.remove(edits));
    }
    // Last, since they copy what was changed before.
    for (field, rule) in &fields {
        match rule {
            FieldRule::Hoist => place::find(body, field).iter().for_each(|place| hoist(place, rules, edits)),
            FieldRule::Fold => fold::fold(body, field, edits),
            _ => {}
        }
    }
    dropped
}

/// Puts the value of `member` into the top-level `object`, if it has no `name` yet. What is no object is the upstream's to
/// refuse.
fn move_into(body: &MessagesBody, member: Node<'_>, object: &str, name: &str, edits: &mut Edits) {
    edits.remove_at(member);
    let value = String::from_utf8_lossy(member.text());
    let moved = format!("{}:{value}", serde_json::Value::from(name));
    match body.view(object) {
        None => edits.insert(body, object, &format!("{{{moved}}}")),
        Some(into) if into.kind() == Kind::Object && into.get(name).is_none() => {
            edits.unshift_at(into, Bytes::from(moved));
        }
        Some(_) => {}
    }
}

/// Puts the members of a tool's object into the tool, but for those that it has, or that the upstream does not take.
fn hoist(place: &place::Place<'_>, rules: &Rules<'_>, edits: &mut Edits) {
    let (Some(tool), inner) = (place.parent(), place.node()) else { return };
    for member in inner.members() {
        let Some(name) = member.name() else { continue };
        let is_taken = rules.field_at(&format!("tools[].{name}")) != Some(&FieldRule::Drop);
        if is_taken && tool.get(&name).is_none() {
            edits.push_at(tool, Bytes::copy_from_slice(member.item_text()));
        }
    }
    edits.remove_at(inner);
}

/// Adapts each attempt at one provider.
#[derive(Debug, Clone)]
pub struct AdaptLayer {
    adapter: Arc<Adapter>,
}

impl AdaptLayer {
    /// Adapts as `adapter` says.
    #[must_use]
    pub fn new(adapter: Arc<Adapter>) -> Self {
        Self { adapter }
    }
}

impl<S> Layer<S> for AdaptLayer {
    type Service = Adapt<S>;

    fn layer(&self, inner: S) -> Adapt<S> {
        Adapt { inner, adapter: Arc::clone(&self.adapter) }
    }
}

/// See [`AdaptLayer`].
#[derive(Debug, Clone)]
pub struct Adapt<S> {
    inner: S,
    adapter: Arc<Adapter>,
}

impl<S> Service<Attempt> for Adapt<S>
where
    S: Service<Attempt, Response = Answer, Error = AttemptError>,
{
    type Response = Answer;
    type Error = AttemptError;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut attempt: Attempt) -> S::Future {
        self.adapter.adapt(&mut attempt);
        self.inner.call(attempt)
    }
}
