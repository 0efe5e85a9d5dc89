//! The conversations of one session.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use http::StatusCode;
use relay_config::ProviderName;
use relay_messages::PromptDigest;
use relay_routing::CredentialId;
use relay_server::RequestRecord;

use super::report::{PrefixBreak, SessionReport, TurnReport};
use super::verdict::{Before, CacheVerdict, PromptTokens, judge};
use crate::cost::CostSum;

/// The maximum number of conversations that are remembered: the main one, subagents and side requests. The one without a turn for
/// the longest time is dropped first.
const CONVERSATIONS: usize = 4;
/// The number of turns that are reported.
const RECENT: usize = 20;

/// The identity of a session: two clients may name the same one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SessionKey {
    pub(super) client: Option<Arc<str>>,
    pub(super) session: Arc<str>,
}

impl SessionKey {
    pub(super) fn of(record: &RequestRecord) -> Option<Self> {
        Some(Self { client: record.client.clone(), session: record.session.clone()? })
    }
}

/// An answered request.
#[derive(Debug, Clone)]
pub(super) struct Turn<'a> {
    pub(super) request_id: &'a str,
    pub(super) at: SystemTime,
    pub(super) place: Place,
    pub(super) model: &'a str,
    pub(super) tokens: PromptTokens,
    pub(super) output_tokens: u64,
    pub(super) cost: CostSum,
}

/// The owner of a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) provider: ProviderName,
    pub(super) credential: CredentialId,
    /// The provider's name of the model.
    pub(super) model: Arc<str>,
}

impl<'a> Turn<'a> {
    /// Returns `None` for a request that no upstream answered with a message.
    pub(super) fn of(record: &'a RequestRecord) -> Option<Self> {
        record.status.filter(StatusCode::is_success)?;
        record.provider.as_ref()?;
        let attempt = record.attempts.last()?;
        // An advisor has another prompt, which the session does not continue.
        let usage = attempt.by_model.first().map_or(&record.usage, |own| &own.usage);
        usage.total_input_tokens()?;
        Some(Self {
            request_id: record.id.as_str(),
            at: record.started_at,
            place: Place {
                provider: attempt.provider.clone(),
                credential: attempt.credential.clone(),
                model: Arc::clone(&attempt.model),
            },
            model: record.model_served.as_deref().unwrap_or_default(),
            tokens: PromptTokens {
                input: usage.input_tokens.unwrap_or(0),
                read: usage.cache_read_input_tokens.unwrap_or(0),
                written: usage.cache_creation_input_tokens.unwrap_or(0),
            },
            output_tokens: usage.output_tokens.unwrap_or(0),
            cost: CostSum::of(record),
        })
    }
}

/// A conversation: prompts of which each one continues the one before.
#[derive(Debug)]
struct Conversation {
    number: u64,
    digest: Arc<PromptDigest>,
    at: SystemTime,
    place: Place,
    cached_tokens: u64,
    /// True if the last turn did not read its prefix.
    is_lost: bool,
}

/// A session: its sums, and its latest conversations and turns.
#[derive(Debug)]
pub(super) struct Session {
    first: SystemTime,
    last: SystemTime,
    turns: u64,
    model: String,
    tokens: PromptTokens,
    output_tokens: u64,
    cost: CostSum,
    /// The one with the latest turn first.
    conversations: VecDeque<Conversation>,
    /// The number of conversations that have begun.
    begun: u64,
    recent: VecDeque<TurnReport>,
}

/// A loss of the cache that is worth a line in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Alarm {
    verdict: CacheVerdict,
    detail: String,
}

impl Session {
    pub(super) fn new(now: SystemTime) -> Self {
        Self {
            first: now,
            last: now,
            turns: 0,
            model: String::new(),
            tokens: PromptTokens::default(),
            output_tokens: 0,
            cost: CostSum::default(),
            conversations: VecDeque::new(),
            begun: 0,
            recent: VecDeque::new(),
        }
    }

    /// The start of the latest request.
    pub(super) fn last(&self) -> SystemTime {
        self.last
    }

    /// The verdict on one of the latest turns, and the place at which its prefix broke.
    #[cfg(feature = "ledger")]
    pub(super) fn verdict(&self, request_id: &str) -> Option<(CacheVerdict, Option<String>)> {
        let turn = self.recent.iter().rev().find(|turn| turn.request_id == request_id)?;
        Some((turn.verdict, turn.broken.as_ref().map(|broken| broken.detail.clone())))
    }

    /// The digests of the last turns of all conversations.
    pub(super) fn digests(&self) -> Vec<Arc<PromptDigest>> {
        self.conversations.iter().map(|conversation| Arc::clone(&conversation.digest)).collect()
    }

    /// Takes in a turn. Returns an alarm if its conversation stops reading from the cache.
    pub(super) fn turn(&mut self, digest: Arc<PromptDigest>, turn: &Turn<'_>) -> Option<Alarm> {
        let before = self.take_conversation(&digest);
        let (verdict, change) = judge(before.as_ref().map(|before| before.facts(turn)), &digest, turn.tokens);
        let broken = change.map(PrefixBreak::from);
        let detail = detail(verdict, before.as_ref(), broken.as_ref(), turn);
        let was_lost = before.as_ref().is_some_and(|before| before.is_lost);
        let number = before.map_or_else(|| self.next_number(), |before| before.number);
        self.add(turn);
        self.recent.push_back(TurnReport {
            turn: self.turns,
            conversation: number,
            unix_ms: unix_ms(turn.at),
            request_id: turn.request_id.to_owned(),
            verdict,
            cache_read_share: share(turn.tokens),
            broken,
            detail: detail.clone(),
        });
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
        let is_lost = verdict.is_loss();
        let cached_tokens = turn.tokens.cached();
        let (at, place) = (turn.at, turn.place.clone());
        self.conversations.push_front(Conversation { number, digest, at, place, cached_tokens, is_lost });
        self.conversations.truncate(CONVERSATIONS);
        let is_alarm = is_lost && !was_lost;
        is_alarm.then(|| Alarm { verdict, detail: detail.unwrap_or_default() })
    }

    /// Takes the conversation that `digest` continues: the one with the longest common opening. If the first message differs in all
    /// of them, the same tools and system prompt count, and then the other messages.
    fn take_conversation(&mut self, digest: &PromptDigest) -> Option<Conversation> {
        let score = |Conversation { digest: before, .. }: &Conversation| {
            (before.common_opening(digest), before.has_setup_of(digest), before.common_messages(digest))
        };
        let scores = self.conversations.iter().map(score).enumerate();
        let related = scores.filter(|(_, (_, _, common))| *common > 0);
        // Of equal ones the latest, which comes first.
        let (best, _) = related.min_by_key(|(_, score)| std::cmp::Reverse(*score))?;
        self.conversations.remove(best)
    }

    fn next_number(&mut self) -> u64 {
        self.begun += 1;
        self.begun
    }

    fn add(&mut self, turn: &Turn<'_>) {
        self.turns += 1;
        self.last = self.last.max(turn.at);
        turn.model.clone_into(&mut self.model);
        let PromptTokens { input, read, written } = turn.tokens;
        self.tokens.input = self.tokens.input.saturating_add(input);
        self.tokens.read = self.tokens.read.saturating_add(read);
        self.tokens.written = self.tokens.written.saturating_add(written);
        self.output_tokens = self.output_tokens.saturating_add(turn.output_tokens);
        self.cost.merge(turn.cost);
    }

    pub(super) fn report(&self, key: &SessionKey) -> SessionReport {
        SessionReport {
            session: key.session.to_string(),
            client: key.client.as_deref().map(str::to_owned),
            turns: self.turns,
            first_unix_ms: unix_ms(self.first),
            last_unix_ms: unix_ms(self.last),
            model: self.model.clone(),
            input_tokens: self.tokens.input,
            output_tokens: self.output_tokens,
            cache_read_tokens: self.tokens.read,
            cache_write_tokens: self.tokens.written,
            cost_usd: self.cost.usd(),
            is_cost_partial: self.cost.is_partial(),
            unpriced_requests: self.cost.unpriced(),
            is_cache_lost: self.conversations.front().is_some_and(|latest| latest.is_lost),
            recent: self.recent.iter().cloned().collect(),
        }
    }
}

impl Conversation {
    fn facts(&self, turn: &Turn<'_>) -> Before<'_> {
        Before {
            digest: &self.digest,
            cached_tokens: self.cached_tokens,
            gap: turn.at.duration_since(self.at).unwrap_or_default(),
            is_same_place: self.place == turn.place,
        }
    }
}

impl Alarm {
    pub(super) fn log(&self, session: &str, turn: &Turn<'_>) {
        let Self { verdict, detail } = self;
        let (request_id, model) = (turn.request_id, turn.model);
        match verdict {
            // A pause of the person, and a choice of the relay that its log shows.
            CacheVerdict::Expired | CacheVerdict::Moved => {
                tracing::info!(
                    session,
                    request_id,
                    model,
                    "a session does not read its prompt from the cache: {detail}"
                );
            }
            _ => {
                tracing::warn!(
                    session,
                    request_id,
                    model,
                    "a session stops reading its prompt from the cache: {detail}"
                );
            }
        }
    }
}

/// Describes the reason of a verdict.
fn detail(
    verdict: CacheVerdict,
    before: Option<&Conversation>,
    broken: Option<&PrefixBreak>,
    turn: &Turn<'_>,
) -> Option<String> {
    let tokens = turn.tokens.total();
    let text = match verdict {
        CacheVerdict::First | CacheVerdict::Hit => return None,
        CacheVerdict::Broken => format!("{} since the turn before", broken?.detail),
        CacheVerdict::Moved => format!("{} answers instead of {}", turn.place, before?.place),
        CacheVerdict::Expired => {
            let gap = turn.at.duration_since(before?.at).unwrap_or_default().as_secs();
            let ttl = before?.digest.ttl().duration().as_secs();
            format!("the turn before was {gap} s ago, and the cache keeps it for {ttl} s")
        }
        CacheVerdict::Lookback => {
            "more than 20 blocks were added without a cache_control between them".to_owned()
        }
        CacheVerdict::TooShort => format!("{tokens} tokens are fewer than the model caches"),
        CacheVerdict::Uncached => "the client sets no cache_control, or the upstream has no cache".to_owned(),
        CacheVerdict::Unexplained => {
            "the prompt is the same, and neither the provider nor the time explains it".to_owned()
        }
    };
    Some(text)
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (key {}, model {})", self.provider, self.credential, self.model)
    }
}

/// The share of a prompt that was read from a cache, with four decimals.
fn share(tokens: PromptTokens) -> Option<f64> {
    let total = tokens.total();
    #[expect(clippy::cast_precision_loss, reason = "a share needs few digits")]
    (total > 0).then(|| (tokens.read as f64 / total as f64 * 10_000.0).round() / 10_000.0)
}

fn unix_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
