//! The ids that the relay accepts.

use http::{Extensions, HeaderMap, HeaderName};

use crate::listener_rules::ListenerRules;
use crate::request_id::{ChooseId, RequestId, SetRequestIdLayer};

/// The header with the id that a program has chosen.
const CHOSEN_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Gives each request an id, and each response a `request-id` header.
pub(crate) fn request_id_layer() -> SetRequestIdLayer {
    SetRequestIdLayer::new().with_ids(chosen_by_program as ChooseId)
}

/// Returns the id that a program chose, if it calls the relay as a service: a [`RequestId`] in the extensions, or else the header
/// `x-request-id`. A client of a listener may not choose: its ids need not be unique, and it could take those of other clients.
fn chosen_by_program(headers: &HeaderMap, extensions: &Extensions) -> Option<RequestId> {
    let is_embedded = extensions.get::<ListenerRules>().is_none();
    let of_header = || headers.get(CHOSEN_ID).filter(|_| is_embedded).and_then(RequestId::from_header);
    extensions.get().cloned().or_else(of_header)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_client_of_a_listener_does_not_choose_the_id() {
        let mut headers = HeaderMap::new();
        headers.insert(CHOSEN_ID, HeaderValue::from_static("chosen"));
        let mut extensions = Extensions::new();
        let chosen = chosen_by_program(&headers, &extensions);
        assert_eq!(chosen.as_ref().map(RequestId::as_str), Some("chosen"));
        extensions.insert(ListenerRules::for_test(true));
        assert_eq!(chosen_by_program(&headers, &extensions), None);
    }

    #[test]
    fn the_id_of_an_outer_layer_is_kept() {
        let (outer, mut extensions) = (RequestId::random(), Extensions::new());
        extensions.insert(outer.clone());
        let headers = HeaderMap::from_iter([(CHOSEN_ID, HeaderValue::from_static("chosen"))]);
        assert_eq!(chosen_by_program(&headers, &extensions), Some(outer));
    }
}
