//! Fields, betas and thinking that an upstream refuses: removed for one retry, and from later requests if that helped.
//!
//! ```text
//! request ─strip_known─▶ request without the fields known to be refused ─▶ upstream
//! refusal (400) ─▶ the whole request once more ─▶ upstream; success ─forget─▶ the fields are no longer removed
//! refusal (400) ─retry_without─▶ Retry: the same request without the fields that the refusal names ─▶ upstream
//! success of a Retry ─remember─▶ the named fields are removed from later requests, for an hour
//! answer ─watch─▶ the owner of each signature
//! ```
//! Every function works on the request in the upstream's own form, so that a path in a refusal matches the
//! bytes that were sent. If a retry is refused too, the client gets the first refusal.
//!
//! One memory serves all clients of a provider, so that a mistake of one must not change the requests of another. Only a part
//! that the upstream has named is remembered: a field with the type of its object, and only for the same operation, model and
//! API version and for the same or fewer betas. The companions of a part are removed with it and are not remembered.

mod companions;
mod conditions;
mod paths;
mod refusal;
mod refused_fields;
mod removal;
#[cfg(test)]
mod seals_tests;
mod thinking;
mod thinking_rules;

use std::sync::Arc;
use std::time::Instant;

use http::Request;
use memchr::memmem;
use relay_config::BaseUrl;
use relay_stream::thinking::{Thinking, ThinkingId};

pub use self::refused_fields::{KnownRefusal, RefusalScope};

use self::companions::BetaCompanions;
use self::conditions::Conditions;
use self::refusal::Refusal;
use self::refused_fields::{RefusedField, RefusedFields};
use self::thinking::{Mode, ThinkingBlock};
use self::thinking_rules::{ThinkingRule, ThinkingRules};
use crate::body::{Node, Payload};
use crate::capabilities::Adapter;
use crate::thinking_provenance::{SignatureOwner, ThinkingProvenance};

/// The host of the reference API that clients are written for. If it refuses a field, the request itself is
/// wrong, and the client gets the error.
const REFERENCE: &str = "api.anthropic.com";

/// The fields, betas and signatures that one provider is known to refuse. Clones share one memory, so that
/// all credentials of a provider use the same one.
///
/// ```
/// use std::time::Instant;
///
/// use http::Request;
/// use relay_messages::{
///     Adapter, Edits, MessagesBody, RefusalMemory, RefusalScope, SignatureOwner, ThinkingProvenance,
/// };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (owner, provenance) = (SignatureOwner::CLAUDE, ThinkingProvenance::default());
/// let memory = RefusalMemory::new(None, &Adapter::default(), owner, provenance);
/// let body = MessagesBody::parse(r#"{"model":"m","new_field":1,"messages":[]}"#.into())?;
/// let request = Request::post("https://example.com/v1/messages").body(Edits::default().apply(&body))?;
///
/// // The upstream answers 400 and names a field. The request is sent once more without it, and succeeds.
/// let messages = ["new_field: Extra inputs are not permitted"];
/// let retry = memory.retry_without(&request, &messages).expect("the request has the field");
/// let (scope, now) = (RefusalScope::new("m", false), Instant::now());
/// assert_eq!(memory.remember(scope, &retry, now), ["field new_field"]);
///
/// // The next request loses the field before it is sent.
/// let mut next = request.clone();
/// assert!(memory.strip_known(scope, &mut next, now).is_some());
/// assert_eq!(next.body().to_bytes(), r#"{"model":"m","messages":[]}"#);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct RefusalMemory(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// `true` if the provider is the reference API, so that requests arrive there as the client wrote them.
    is_reference: bool,
    refused_fields: RefusedFields,
    companions: BetaCompanions,
    thinking_rules: ThinkingRules,
    /// The owner of the thinking that the provider accepts.
    owner: SignatureOwner,
    provenance: ThinkingProvenance,
}

/// A refused request without the parts that the refusal names, to be sent once more.
#[derive(Debug)]
pub struct Retry {
    request: Request<Payload>,
    /// The fields and betas that the refusal names.
    named: Vec<RefusedField>,
    /// The conditions of the refused request; `None` if they are not worth remembering.
    conditions: Option<Conditions>,
    /// The signatures of the removed thinking blocks.
    refused: Vec<ThinkingId>,
    /// The rule for which thinking was disabled.
    rule: Option<ThinkingRule>,
    /// `true` if the refused request did not mention thinking, so that the upstream thinks by default.
    thinks_by_default: bool,
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

/// A request from which known refusals were removed, in its whole form.
#[derive(Debug)]
pub struct WholeRequest {
    request: Request<Payload>,
    removed: Vec<RefusedField>,
    /// `true` if thinking of another owner was removed.
    has_foreign_thinking: bool,
    /// The rules for which thinking was disabled.
    rules: Vec<ThinkingRule>,
}

impl WholeRequest {
    /// The request as it was before the removal.
    #[must_use]
    pub fn request(&self) -> &Request<Payload> {
        &self.request
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
        Self::with_thinking_rules(base_url, adapter, owner, provenance, false)
    }

    /// Creates the memory of [`new`](Self::new). If `is_strict`, the provider is known to refuse tool turns without their
    /// thinking and a `tool_choice` that forces a call, unless thinking is disabled.
    #[must_use]
    pub fn with_thinking_rules(
        base_url: Option<&BaseUrl>,
        adapter: &Adapter,
        owner: SignatureOwner,
        provenance: ThinkingProvenance,
        is_strict: bool,
    ) -> Self {
        let is_reference = base_url.is_some_and(|url| url.authority().host().eq_ignore_ascii_case(REFERENCE));
        let (refused_fields, companions) =
            (RefusedFields::default(), BetaCompanions::new(adapter.companions()));
        let thinking_rules = ThinkingRules::new(is_strict);
        let shared = Shared { is_reference, refused_fields, companions, thinking_rules, owner, provenance };
        Self(Arc::new(shared))
    }

    /// Returns everything that the provider is known to refuse at `now`, sorted by model.
    #[must_use]
    pub fn known(&self, now: Instant) -> Vec<KnownRefusal> {
        let mut known = self.0.refused_fields.known(now);
        known.extend(self.0.thinking_rules.known(now));
        known.sort_by(|a, b| (&a.model, &a.dropped).cmp(&(&b.model, &b.dropped)));
        known
    }

    /// Returns `false` if [`strip_known`](Self::strip_known) does not change `request`, as for nearly all requests.
    #[must_use]
    pub fn may_strip(&self, scope: RefusalScope<'_>, request: &Request<Payload>, now: Instant) -> bool {
        self.has_known(scope, now)
            || self.may_hold_foreign(request, now)
            || self.has_rules(scope, request, now)
    }

    fn has_known(&self, scope: RefusalScope<'_>, now: Instant) -> bool {
        self.0.refused_fields.has_any(scope, now)
    }

    /// Returns `true` if `request` may hold thinking that the provider does not accept.
    fn may_hold_foreign(&self, request: &Request<Payload>, now: Instant) -> bool {
        self.0.provenance.may_contain_foreign(self.0.owner) && self.may_refuse(request.body(), now)
    }

    /// Returns `true` if `request` may break a rule for requests that think.
    fn has_rules(&self, scope: RefusalScope<'_>, request: &Request<Payload>, now: Instant) -> bool {
        self.0.thinking_rules.has_any(scope, now) && holds_tools(request.body())
    }

    /// Removes from `request` the fields and betas that requests of `scope` are known to be refused for, and thinking that
    /// the provider does not accept. Disables thinking if the request would be refused because it thinks. Returns the whole
    /// request if the upstream may accept it after all.
    pub fn strip_known(
        &self,
        scope: RefusalScope<'_>,
        request: &mut Request<Payload>,
        now: Instant,
    ) -> Option<WholeRequest> {
        let has_known = self.has_known(scope, now);
        let may_hold_foreign = self.may_hold_foreign(request, now);
        let has_rules = self.has_rules(scope, request, now);
        if !has_known && !may_hold_foreign && !has_rules {
            return None;
        }
        let whole = request.clone();
        let conditions = has_known.then(|| removal::conditions(request)).flatten();
        let known = conditions.map(|sent| self.0.refused_fields.of(scope, &sent, now)).unwrap_or_default();
        let removed = match known.is_empty() {
            true => Vec::new(),
            false => removal::remove_with_companions(&known, &self.0.companions, request),
        };
        let stripped =
            may_hold_foreign.then(|| self.strip(request, |block| self.takes(block, now))).flatten();
        // Claude checks every signature, so that it never accepts the thinking of another owner.
        let has_foreign_thinking = stripped.is_some() && self.0.owner != SignatureOwner::CLAUDE;
        let rules = if has_rules { self.apply_rules(scope, request, now) } else { Vec::new() };
        let is_changed = !removed.is_empty() || has_foreign_thinking || !rules.is_empty();
        is_changed.then_some(WholeRequest { request: whole, removed, has_foreign_thinking, rules })
    }

    /// Returns `false` if the provider accepts all thinking in `body`.
    fn may_refuse(&self, body: &Payload, now: Instant) -> bool {
        let takes = |seal: &[u8]| self.takes(ThinkingBlock::Signed(ThinkingId::of(seal)), now);
        body.seals().all(takes).map_or_else(|| holds_thinking(body), |takes_all| !takes_all)
    }

    /// Disables thinking in `request` if it breaks rules for requests that think. Returns the broken rules.
    fn apply_rules(
        &self,
        scope: RefusalScope<'_>,
        request: &mut Request<Payload>,
        now: Instant,
    ) -> Vec<ThinkingRule> {
        let mut broken = Vec::new();
        removal::edit(request, |body, edits| {
            broken = self.0.thinking_rules.broken_by(scope, body, now);
            if !broken.is_empty() {
                thinking::disable(body, edits);
            }
        });
        broken
    }

    /// Forgets the refusals by which `whole` was changed, since the upstream has accepted it as a whole. Returns the fields
    /// and betas that are no longer removed.
    pub fn forget(&self, scope: RefusalScope<'_>, whole: &WholeRequest, now: Instant) -> Vec<String> {
        if whole.has_foreign_thinking {
            self.0.provenance.record_acceptance(self.0.owner);
        }
        whole.rules.iter().for_each(|rule| self.0.thinking_rules.remove(scope, *rule, now));
        let known = whole.removed.iter().filter(|field| self.0.refused_fields.remove(scope, field, now));
        known.map(ToString::to_string).chain(whole.rules.iter().map(ToString::to_string)).collect()
    }

    /// Returns `request` without the parts that `texts`, all of one refusal, name. Returns `None` if the
    /// request holds none of these parts, or if they must not be removed.
    #[must_use]
    pub fn retry_without<T: AsRef<str>>(&self, request: &Request<Payload>, texts: &[T]) -> Option<Retry> {
        let refusal = Refusal::among(texts)?;
        let names_fields = matches!(refusal, Refusal::Fields(_) | Refusal::Betas(_));
        if names_fields && self.0.is_reference {
            return None;
        }
        let mut retry = Retry {
            request: request.clone(),
            named: Vec::new(),
            conditions: None,
            refused: Vec::new(),
            rule: None,
            thinks_by_default: false,
        };
        let helps = match refusal {
            Refusal::Fields(paths) => self.remove_named(removal::fields_at(&paths, request), &mut retry),
            Refusal::Betas(names) if names.is_empty() => {
                // The refused beta is one of several. All are removed from this request, and none is remembered.
                let betas = removal::doubtful_betas(request);
                let companions = &self.0.companions;
                !removal::remove_with_companions(&betas, companions, &mut retry.request).is_empty()
            }
            Refusal::Betas(names) => self.remove_named(removal::betas_named(&names, request), &mut retry),
            Refusal::Signature => {
                let ids = self.strip(&mut retry.request, |_| false);
                ids.map(|ids| retry.refused = ids).is_some()
            }
            Refusal::ThinkingMissing => remove_nodes(&mut retry.request, thinking::switched_off),
            Refusal::ThinkingNotPassedBack => disable_thinking(&mut retry, |_| Some(ThinkingRule::ToolTurns)),
            Refusal::ToolChoiceWhileThinking if self.0.is_reference => false,
            Refusal::ToolChoiceWhileThinking => disable_thinking(&mut retry, ThinkingRule::of_tool_choice),
        };
        helps.then_some(retry)
    }

    fn remove_named(&self, named: Vec<RefusedField>, retry: &mut Retry) -> bool {
        retry.conditions = removal::conditions(&retry.request);
        retry.named = removal::remove_with_companions(&named, &self.0.companions, &mut retry.request);
        !retry.named.is_empty()
    }

    /// Remembers that `retry`, a request of `scope`, succeeded. Returns the fields and betas that were not known before, such
    /// as `field context_management` or `beta effort-2025-11-24`.
    pub fn remember(&self, scope: RefusalScope<'_>, retry: &Retry, now: Instant) -> Vec<String> {
        for id in &retry.refused {
            self.0.provenance.record_refusal(*id, self.0.owner, now);
        }
        if let Some(rule) = retry.rule
            && self.0.thinking_rules.add(scope, rule, retry.thinks_by_default, now)
        {
            return vec![rule.to_string()];
        }
        let Some(conditions) = &retry.conditions else { return Vec::new() };
        let is_new = |field: &&RefusedField| self.0.refused_fields.add(scope, field, conditions, now);
        retry.named.iter().filter(is_new).map(ToString::to_string).collect()
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
        let removed = remove_nodes(request, |body| {
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

/// Disables thinking in the request of `retry`, and removes the parts that are refused beside that: an effort, and the edits
/// that clear thinking. `rule` returns the rule that the request breaks. Returns `false` if thinking is disabled already.
fn disable_thinking(retry: &mut Retry, rule: impl FnOnce(Node<'_>) -> Option<ThinkingRule>) -> bool {
    let (mut is_changed, mut broken, mut mode) = (false, None, Mode::Disabled);
    removal::edit(&mut retry.request, |body, edits| {
        (mode, broken) = (thinking::mode(body), rule(body));
        is_changed = thinking::disable(body, edits);
    });
    (retry.rule, retry.thinks_by_default) = (broken, mode == Mode::Default);
    is_changed
}

/// Returns `false` if `body` neither calls a tool nor chooses one. A cheap check before parsing.
fn holds_tools(body: &Payload) -> bool {
    let holds = |piece: &[u8], text: &[u8]| memmem::find(piece, text).is_some();
    body.pieces().any(|piece| holds(piece, b"tool_use\"") || holds(piece, b"tool_choice\""))
}

/// Returns `false` if `body` holds no thinking blocks. A cheap check before parsing, since most requests hold none. The field
/// `thinking`, which most requests have, is not one.
fn holds_thinking(body: &Payload) -> bool {
    body.pieces().any(|piece| memmem::find_iter(piece, b"thinking\"").any(|at| may_be_value(&piece[..at])))
}

/// Returns `false` if the string that goes on after `before` is the key of a member.
fn may_be_value(before: &[u8]) -> bool {
    let before = before.strip_suffix(b"redacted_").unwrap_or(before);
    let before = before.strip_suffix(b"\"").map(<[u8]>::trim_ascii_end);
    before.is_none_or(|before| matches!(before.last(), None | Some(b':')))
}

/// Removes the parts that `find` returns from the body of `request`. Returns `true` if there were any.
fn remove_nodes(request: &mut Request<Payload>, find: impl FnOnce(Node<'_>) -> Vec<Node<'_>>) -> bool {
    let mut is_any = false;
    removal::edit(request, |body, edits| {
        let gone = find(body);
        is_any = !gone.is_empty();
        gone.into_iter().for_each(|node| edits.remove_at(node));
    });
    is_any
}

#[cfg(test)]
mod tests;
