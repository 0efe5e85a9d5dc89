//! Brings a request into the form that an upstream accepts: removes, renames and moves betas and fields.
//!
//! ```text
//! table.toml ─┐
//!             ├─▶ Adapter ─▶ Attempt { edits, betas }   and, before any attempt, Unsupported
//! config ─────┘   one for each provider
//! ```
//! There is one table and one mechanism for all upstreams. Additions of one upstream (a version in the body,
//! the model in the path) belong to its provider kind. If no rule is known for an upstream, the request is
//! not changed.

mod field_match;
mod fold;
mod refuse;
mod replace;
mod rules;
#[cfg(test)]
mod tests;
mod unsupported_parts;

use std::sync::Arc;

use bytes::Bytes;
use relay_config::{BetaRule, Capabilities, CapabilityTable, Companions, FieldPath, FieldRule};

use crate::body::{Edits, JsonKind, MessagesBody, Node};
use crate::model_cache::ModelCache;
use crate::unsupported::Unsupported;
pub use replace::Replaced;
use rules::{Matching, Rules};
use unsupported_parts::Refused;

const TABLE: &str = include_str!("table.toml");

/// Brings requests into the form that one provider accepts. Clones share the compiled rules.
///
/// ```
/// use relay_messages::{Adapter, Edits, MessagesBody};
///
/// # fn main() -> Result<(), relay_messages::BodyError> {
/// let adapter = Adapter::of("ollama");
/// let body = MessagesBody::parse(r#"{"model":"qwen","speed":"fast","messages":[]}"#.into())?;
/// assert!(adapter.unsupported("qwen", &body).is_none());
///
/// // Ollama knows no betas, and no field that needs one.
/// let (requested, mut edits) = (["fast-mode-2026-02-01".to_owned()], Edits::default());
/// assert_eq!(adapter.adapt("qwen", &body, &requested, &mut edits), Some(vec![]));
/// assert_eq!(edits.apply(&body).to_bytes(), r#"{"model":"qwen","messages":[]}"#);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Adapter {
    known: Capabilities,
    companions: Companions,
    /// `true` if images by URL are fetched before the upstream is called.
    fetches_images: bool,
    /// The compiled rules. Models that match the same patterns share them.
    rules: ModelCache<Arc<Rules>>,
}

impl Adapter {
    /// Creates an adapter with the rules of the table for the provider kind `kind`.
    #[must_use]
    pub fn of(kind: &str) -> Self {
        let table = CapabilityTable::parse("table.toml", TABLE).expect("the table of this crate is tested");
        Self { known: table.of(kind), companions: table.companions().clone(), ..Self::default() }
    }

    /// Adds `own` rules, which take precedence over the table.
    #[must_use]
    pub fn with_capabilities(mut self, own: &Capabilities) -> Self {
        self.known = self.known.with(own);
        self.rules = ModelCache::default();
        self
    }

    /// Returns `true` if any rule is known for the upstream.
    #[must_use]
    pub fn has_rules(&self) -> bool {
        !self.known.is_empty()
    }

    /// Sets whether images by URL are fetched before the upstream is called.
    #[must_use]
    pub fn with_fetched_images(mut self, fetches_images: bool) -> Self {
        self.fetches_images = fetches_images;
        self.rules = ModelCache::default();
        self
    }

    /// The betas that each field needs, at every upstream.
    pub fn companions(&self) -> &Companions {
        &self.companions
    }

    /// Returns the first part of `body` that the upstream does not support for its `model`, if there is one.
    #[must_use]
    pub fn unsupported(&self, model: &str, body: &MessagesBody) -> Option<Unsupported> {
        refuse::unsupported(self.rules(model)?.refused(), body)
    }

    /// Returns the parts of `body` that the upstream does not support for its `model`, and in whose place [`adapt`](Self::adapt)
    /// puts a text. Returns `None` if it supports all of them.
    #[must_use]
    pub fn replaced(&self, model: &str, body: &MessagesBody) -> Option<Replaced> {
        let rules = self.rules(model)?;
        refuse::unsupported(rules.refused(), body)?;
        Some(Replaced::of(rules.refused(), body))
    }

    /// Adds to `edits` the changes that bring `body` into the form that the upstream accepts for its `model`.
    /// Returns the betas to send upstream, of those in `requested`.
    ///
    /// A part that the upstream does not support is replaced by a text: see [`unsupported`](Self::unsupported).
    ///
    /// Returns `None`, and changes nothing, if no rule is known for the model.
    pub fn adapt<'a>(
        &'a self,
        model: &str,
        body: &MessagesBody,
        requested: &'a [String],
        edits: &mut Edits,
    ) -> Option<Vec<&'a str>> {
        let rules = self.rules(model)?;
        let rule = |beta: &str| rules.beta(&self.known, beta);
        let mut betas: Vec<Beta<'_>> =
            requested.iter().filter_map(|beta| Beta::of(beta, rule(beta))).collect();
        let alone = self.left_alone(&rules, requested, &betas);
        let refused = refuse::unsupported(rules.refused(), body).map(|_| rules.refused());
        let dropped = change(&rules, &alone, refused, body, edits);
        self.leave_with_fields(&mut betas, &dropped, body, edits);
        Some(betas.iter().map(|beta| beta.sent_as).collect())
    }

    /// Returns the rules for `model`, unless there are none.
    fn rules(&self, model: &str) -> Option<Arc<Rules>> {
        // Most upstreams have no rules.
        let rules = self.has_rules().then(|| self.rules.get_or_insert_with(model, || self.compile(model)));
        rules.filter(|rules| !rules.is_empty())
    }

    fn compile(&self, model: &str) -> Arc<Rules> {
        let matching = Matching::of(&self.known, model);
        let same = self.rules.find(|rules| *rules.matching() == matching);
        same.unwrap_or_else(|| Arc::new(Rules::new(&self.known, matching, self.fetches_images)))
    }

    /// Returns the fields for which the client sent betas, none of which is sent upstream.
    fn left_alone(&self, rules: &Rules, requested: &[String], betas: &[Beta<'_>]) -> Vec<&FieldPath> {
        let companions = self.companions.iter().filter(|(field, needs)| {
            let is_needed = |beta: &str| needs.iter().any(|pattern| pattern.fits(beta));
            let was_requested = requested.iter().any(|beta| is_needed(beta));
            was_requested
                && !betas.iter().any(|beta| is_needed(beta.requested) || is_needed(beta.sent_as))
                && rules.field(field).is_none()
        });
        companions.map(|(field, _)| field).collect()
    }

    /// Removes the betas whose fields were in the body and have all been removed.
    fn leave_with_fields(
        &self,
        betas: &mut Vec<Beta<'_>>,
        dropped: &[String],
        body: &MessagesBody,
        edits: &Edits,
    ) {
        let is_near = |field: &FieldPath| dropped.contains(&field.steps()[0].name);
        let needs = self.companions.iter().filter(|(field, _)| is_near(field));
        // Each field is searched once, since the body may be large, and so may be the number of betas.
        let needs: Vec<_> = needs.map(|(field, betas)| (betas, remains(body, field, edits))).collect();
        betas.retain(|beta| {
            let fits = |need: &relay_config::Pattern| need.fits(beta.requested) || need.fits(beta.sent_as);
            let own = || needs.iter().filter(|(patterns, _)| patterns.iter().any(fits));
            let is_any = own().any(|(_, remains)| *remains != Remains::Absent);
            !is_any || own().any(|(_, remains)| *remains == Remains::Some)
        });
    }
}

/// The values of a field after the changes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Remains {
    /// The field was not in the body.
    Absent,
    /// All of its values have been removed.
    None,
    /// Some of its values are left.
    Some,
}

fn remains(body: &MessagesBody, field: &FieldPath, edits: &Edits) -> Remains {
    let mut remains = Remains::Absent;
    field_match::each(body, field, &mut |way| {
        if !way.iter().any(|node| edits.is_removed(*node)) {
            remains = Remains::Some;
        } else if remains == Remains::Absent {
            remains = Remains::None;
        }
    });
    remains
}

/// A beta that is sent upstream.
struct Beta<'a> {
    /// The name in the client's request.
    requested: &'a str,
    /// The name at the upstream.
    sent_as: &'a str,
}

impl<'a> Beta<'a> {
    fn of(requested: &'a str, rule: Option<&'a BetaRule>) -> Option<Self> {
        match rule {
            Some(BetaRule::Rename(name)) => Some(Self { requested, sent_as: name }),
            Some(BetaRule::Drop) => None,
            _ => Some(Self { requested, sent_as: requested }),
        }
    }
}

/// Makes the changes that `rules` define, removes the fields in `alone`, whose betas are not sent, and replaces the
/// parts that are `refused`. Returns the top-level names of the paths at which a value was removed.
fn change(
    rules: &Rules,
    alone: &[&FieldPath],
    refused: Option<&Refused>,
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
    let is_drop =
        |field: &FieldPath, rule: &FieldRule| *rule == FieldRule::Drop && field.top_level().is_none();
    let drops = rules.fields().filter(|(field, rule)| is_drop(field, rule));
    for field in drops.map(|(field, _)| field).chain(alone.iter().copied()) {
        if field_match::remove(body, field, edits) {
            dropped.push(field.steps()[0].name.clone());
        }
    }
    if let Some(refused) = refused {
        replace::replace(refused, body, edits);
    }
    // These rules come last, since they copy values with the changes made before.
    for (field, rule) in rules.fields() {
        match rule {
            FieldRule::Hoist => {
                field_match::each(body, field, &mut |way| hoist(way, rules, edits));
            }
            FieldRule::Fold => fold::fold(body, field, edits),
            _ => {}
        }
    }
    dropped
}

/// Moves the value of `member` into the top-level `object` as `name`, unless `object` already has that name.
/// If `object` is not a JSON object, it stays unchanged, and the upstream refuses it.
fn move_into(body: &MessagesBody, member: Node<'_>, object: &str, name: &str, edits: &mut Edits) {
    edits.remove_at(member);
    let value = String::from_utf8_lossy(member.text());
    let moved = format!("{}:{value}", serde_json::Value::from(name));
    match body.view(object) {
        None => edits.insert(body, object, &format!("{{{moved}}}")),
        Some(into) if into.kind() == JsonKind::Object && into.get(name).is_none() => {
            edits.unshift_at(into, Bytes::from(moved));
        }
        Some(_) => {}
    }
}

/// The maximum number of members of an object whose members move. A tool has about ten. An object with more members stays
/// unchanged, and the upstream refuses it.
const HOISTED: usize = 64;

/// Moves the members of an object in a tool, the last of `way`, into the tool itself. Members that the tool already has, or
/// that the upstream does not accept, are dropped.
fn hoist(way: &[Node<'_>], rules: &Rules, edits: &mut Edits) {
    let [.., tool, inner] = way else { return };
    if inner.members().nth(HOISTED).is_some() {
        return;
    }
    for member in inner.members() {
        let Some(name) = member.name() else { continue };
        let is_taken = rules.field_at(&format!("tools[].{name}")) != Some(&FieldRule::Drop);
        if is_taken && tool.get(&name).is_none() {
            edits.push_at(*tool, Bytes::copy_from_slice(member.item_text()));
        }
    }
    edits.remove_at(*inner);
}
