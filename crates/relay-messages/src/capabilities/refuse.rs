//! Finds fields and content in a request that an upstream does not support.

use relay_config::{FieldPath, FieldRule, PathStep, Pattern, Select};

use super::rules::Rules;
use super::unsupported_parts::{Refused, is_replaceable};
use crate::body::{ContentType, MessagesBody};
use crate::unsupported::Unsupported;

/// Returns the first part of `body` that `rules` refuse; a part in whose place no text can be put comes first. Images by URL
/// are not refused if the relay `fetches` them.
pub(super) fn unsupported(rules: &Rules<'_>, fetches: bool, body: &MessagesBody) -> Option<Unsupported> {
    let fields = rules.fields();
    let mut refused = fields.iter().filter(|(_, rule)| **rule == FieldRule::Refuse).peekable();
    refused.peek()?;
    let mut reasons: Vec<_> = refused.filter_map(|(field, _)| found(field, fetches, body)).collect();
    reasons.sort_by_key(Unsupported::is_replaceable);
    reasons.into_iter().next().or_else(|| server_tool_block(&Refused::new(rules, fetches), body))
}

/// Finds the result of a server tool, in an earlier turn, whose definition is refused.
fn server_tool_block(refused: &Refused<'_>, body: &MessagesBody) -> Option<Unsupported> {
    let mut blocks = body.content_types().iter().filter(|content| content.list == FieldPath::BLOCKS);
    let block = blocks.find(|content| refused.refuses_server_tool(&content.kind, None))?;
    Some(Unsupported::replaceable(format!("takes no `{}` blocks", block.kind)))
}

fn found(field: &FieldPath, fetches: bool, body: &MessagesBody) -> Option<Unsupported> {
    let [first, further @ ..] = field.steps() else { return None };
    let Some(kind) = wanted(first) else {
        let clause = format!("takes no field `{}`", first.name);
        return body.view(&first.name).map(|_| match is_replaceable(&first.name) {
            true => Unsupported::replaceable(clause),
            false => Unsupported::new(clause),
        });
    };
    let source = further.first().and_then(wanted);
    let fits = |content: &&ContentType| {
        let is_source = |wanted: &Pattern| content.source.as_ref().is_some_and(|source| wanted.fits(source));
        let is_fetched = fetches && source.is_some() && content.is_image_by_url();
        !is_fetched && content.list == first.name && kind.fits(&content.kind) && source.is_none_or(is_source)
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

fn wanted(step: &PathStep) -> Option<&Pattern> {
    match &step.select {
        Some(Select::Where { value, .. }) => Some(value),
        _ => None,
    }
}
