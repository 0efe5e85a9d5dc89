//! Finds fields and content in a request that an upstream does not support.

use relay_config::{FieldPath, Pattern};

use super::unsupported_parts::{Refused, RefusedPart, is_replaceable};
use crate::body::{ContentType, MessagesBody, TypePattern};
use crate::unsupported::Unsupported;

/// Returns the first part of `body` that is `refused`; a part in whose place no text can be put comes first.
///
/// The blocks are only walked if the body may have a type that is refused.
pub(super) fn unsupported(refused: &Refused, body: &MessagesBody) -> Option<Unsupported> {
    if may_be_refused(refused, body) { first_refused(refused, body) } else { None }
}

fn first_refused(refused: &Refused, body: &MessagesBody) -> Option<Unsupported> {
    let mut reasons: Vec<_> = refused.parts().iter().filter_map(|part| found(part, refused, body)).collect();
    reasons.sort_by_key(Unsupported::is_replaceable);
    reasons.into_iter().next().or_else(|| server_tool_block(refused, body))
}

/// Returns `false` if the body has no part that is `refused`, as the names of its types and fields show.
fn may_be_refused(refused: &Refused, body: &MessagesBody) -> bool {
    let types = body.types();
    let may_be_found = |part: &RefusedPart| match part {
        RefusedPart::Field(name) => body.view(name).is_some(),
        RefusedPart::Content { kind, source, .. } => {
            types.may_match(kind) && source.as_ref().is_none_or(|source| types.may_match(source))
        }
    };
    refused.parts().iter().any(may_be_found)
        || refused.has_tools() && types.may_be(|kind| refused.may_refuse_server_tool(kind))
}

/// Finds the result of a server tool, in an earlier turn, whose definition is refused.
fn server_tool_block(refused: &Refused, body: &MessagesBody) -> Option<Unsupported> {
    let mut blocks = body.content_types().iter().filter(|content| content.list == FieldPath::BLOCKS);
    let block = blocks.find(|content| refused.refuses_server_tool(&content.kind, None))?;
    Some(Unsupported::replaceable(format!("takes no `{}` blocks", block.kind)))
}

fn found(part: &RefusedPart, refused: &Refused, body: &MessagesBody) -> Option<Unsupported> {
    let (list, kind, source) = match part {
        RefusedPart::Field(name) => return body.view(name).map(|_| field(name)),
        RefusedPart::Content { list, kind, source } => (list, kind.pattern(), source.as_ref()),
    };
    let source = source.map(TypePattern::pattern);
    let fits = |content: &&ContentType| {
        let is_source = |wanted: &Pattern| content.source.as_ref().is_some_and(|source| wanted.fits(source));
        let is_fetched = refused.fetches_images() && source.is_some() && content.is_image_by_url();
        !is_fetched && content.list == list && kind.fits(&content.kind) && source.is_none_or(is_source)
    };
    let content = body.content_types().iter().find(fits)?;
    Some(Unsupported::replaceable(
        match (content.list, &*content.kind, source.and(content.source.as_deref())) {
            ("tools", kind, _) => format!("takes no tools of the type `{kind}`"),
            (_, "image", Some("url")) => "takes no images by URL".to_owned(),
            (_, "document", Some("url")) => "takes no documents by URL".to_owned(),
            (_, "document", None) => "takes no documents such as PDFs".to_owned(),
            (_, kind, Some(source)) => {
                format!("takes no `{kind}` blocks with a source of the type `{source}`")
            }
            (_, kind, None) => format!("takes no `{kind}` blocks"),
        },
    ))
}

fn field(name: &str) -> Unsupported {
    let clause = format!("takes no field `{name}`");
    match is_replaceable(name) {
        true => Unsupported::replaceable(clause),
        false => Unsupported::new(clause),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// The types of blocks, sources and tools, of which upstreams refuse some.
    const TYPES: &str = "text|image|document|url|file|base64|search_result|container_upload|web_search_tool_result|\
                         mcp_tool_use|server_tool_use|tool_result|custom|web_fetch_1|mcp_toolset|object|[a-z]{0,3}";

    fn block(content: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
        (TYPES, prop::option::of(TYPES), content).prop_map(|(kind, source, content)| match source {
            Some(source) => json!({"type": kind, "source": {"type": source}, "content": content}),
            None => json!({"type": kind, "content": content}),
        })
    }

    fn blocks(content: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
        prop::collection::vec(block(content), 0..4).prop_map(Into::into)
    }

    proptest! {
        #[test]
        fn a_refused_part_is_found_with_and_without_the_names_of_types(
            system in blocks(Just(Value::Null)), tools in blocks(Just(Value::Null)),
            content in blocks(blocks(Just(Value::Null))), fetches: bool,
        ) {
            let body = json!({"model": "m", "system": system, "tools": tools, "messages": [{"content": content}]});
            let body = MessagesBody::parse(body.to_string().into()).unwrap();
            for kind in ["ollama", "bedrock", "vertex"] {
                let adapter = crate::Adapter::of(kind).with_fetched_images(fetches);
                let rules = adapter.rules("m").unwrap();
                prop_assert_eq!(adapter.unsupported("m", &body), first_refused(rules.refused(), &body), "{}", kind);
            }
        }
    }
}
