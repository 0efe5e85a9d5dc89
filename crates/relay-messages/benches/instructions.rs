//! The work on one request from its bytes to the payload for the upstream, to be counted in instructions: the count is the
//! same in each run, on a busy machine too.
//!
//! ```sh
//! cargo bench -p relay-messages --bench instructions --no-run
//! valgrind --tool=callgrind target/release/deps/instructions-* STAGE BYTES COUNT
//! ```
//! The work of one request is the difference of two runs, divided by the difference of their counts. The stages are `parse`,
//! `anthropic`, `bedrock`, `vertex`, `fallbacks` (three providers that are not called), `thinking` (of which some may be another
//! owner's), `estimate`, `length` and `prompt` (the hashes of its blocks, of which the
//! turn before had the most). Without arguments, the program does nothing.

mod claude_code;

use std::cell::OnceCell;
use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use http::Request;
use relay_messages::{
    Adapter, Edits, MessagesBody, Payload, PromptDigest, RefusalMemory, RefusalScope, SignatureOwner,
    ThinkingProvenance, estimate_tokens, estimate_tokens_by_length,
};
use relay_stream::thinking::ThinkingId;

/// The betas that Claude Code sends.
const BETAS: [&str; 4] = [
    "claude-code-20250219",
    "interleaved-thinking-2025-05-14",
    "context-management-2025-06-27",
    "effort-2025-11-24",
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [stage, size, count] = args.as_slice() else { return };
    let (size, count): (usize, usize) = (size.parse().expect("a size"), count.parse().expect("a count"));
    let stage = Stage::new(stage);
    let text = Bytes::from(claude_code::request(size));
    for _ in 0..count {
        black_box(stage.run(black_box(text.clone())));
    }
}

/// One way of a request through the relay.
struct Stage<'a> {
    name: &'a str,
    /// The adapter of the provider that is called.
    adapter: Adapter,
    /// The adapters of providers that are not called.
    others: Vec<Adapter>,
    memory: RefusalMemory,
    /// The prompt of the turn before.
    before: OnceCell<PromptDigest>,
}

impl<'a> Stage<'a> {
    fn new(name: &'a str) -> Self {
        let kind = if matches!(name, "bedrock" | "vertex") { name } else { "anthropic" };
        let others = match name {
            "fallbacks" => vec![Adapter::of("ollama"), Adapter::of("bedrock"), Adapter::of("vertex")],
            _ => Vec::new(),
        };
        let (adapter, provenance) = (Adapter::of(kind), ThinkingProvenance::default());
        if name == "thinking" {
            let zai = SignatureOwner::at(&relay_config::BaseUrl::parse("https://api.z.ai").expect("a URL"));
            provenance.record_signature(ThinkingId::of(b"x"), zai, Instant::now());
        }
        let memory = RefusalMemory::new(None, &adapter, SignatureOwner::CLAUDE, provenance);
        Self { name, adapter, others, memory, before: OnceCell::new() }
    }

    fn run(&self, bytes: Bytes) -> (u64, Option<Request<Payload>>) {
        let body = MessagesBody::parse(bytes).expect("a Messages body");
        match self.name {
            "parse" => (0, None),
            "estimate" => (estimate_tokens(&body), None),
            "prompt" => {
                let before = self.before.get_or_init(|| PromptDigest::of(&body));
                black_box(PromptDigest::of_turn(&body, &[before]));
                (0, None)
            }
            "length" => (estimate_tokens_by_length(&body), None),
            _ => (0, Some(self.send(&body))),
        }
    }

    /// Does the work of planning, of the layers around an attempt, and of the upstream before it is called.
    fn send(&self, body: &MessagesBody) -> Request<Payload> {
        let model = if self.name == "bedrock" { "anthropic.claude-opus-4-6-v1" } else { "claude-opus-4-6" };
        for adapter in self.others.iter().chain([&self.adapter]) {
            black_box(adapter.unsupported(model, body));
        }
        let mut edits = Edits::default();
        edits.set_model(body, model);
        black_box(self.adapter.replaced(model, body));
        let betas = BETAS.map(str::to_owned);
        black_box(self.adapter.adapt(model, body, &betas, &mut edits));
        if self.name == "bedrock" {
            edits.retain(body, |name| !["model", "stream", "anthropic_version"].contains(&name));
            edits.insert(body, "anthropic_version", r#""bedrock-2023-05-31""#);
        }
        let mut request = Request::new(edits.apply(body));
        let scope = RefusalScope::new(model, false);
        black_box(self.memory.strip_known(scope, &mut request, Instant::now()));
        request
    }
}
