//! A copy of a record in memory of its own.

use std::sync::Arc;

use super::RequestRecord;

impl RequestRecord {
    /// Returns a copy that shares no text with the request, its connection, its session or other records, but the name of the client,
    /// which the configuration keeps. A list that keeps records for long keeps such copies: an allocator frees memory by the page, and
    /// the texts of a record lie among those of the requests that ran at the same time.
    #[must_use]
    pub fn detached(&self) -> Self {
        let mut texts = Texts::default();
        let mut copy = self.clone();
        copy.id = self.id.detached();
        let texts_of_record = [
            &mut copy.upstream_request_id,
            &mut copy.client_subject,
            &mut copy.session,
            &mut copy.model_requested,
            &mut copy.model_served,
            &mut copy.stop_reason,
        ];
        texts_of_record.into_iter().flatten().for_each(|text| texts.detach(text));
        for attempt in &mut copy.attempts {
            texts.detach(&mut attempt.model);
            attempt.upstream_request_id.iter_mut().for_each(|id| texts.detach(id));
            attempt.by_model.iter_mut().for_each(|part| texts.detach(&mut part.model));
        }
        if let Some(trace) = &mut copy.trace {
            *trace = Arc::new((**trace).clone());
        }
        copy
    }
}

/// The texts of a copy. The same text is copied once: the model is usually that of each attempt.
#[derive(Default)]
struct Texts(Vec<Arc<str>>);

impl Texts {
    fn detach(&mut self, text: &mut Arc<str>) {
        if let Some(known) = self.0.iter().find(|known| *known == text) {
            *text = Arc::clone(known);
            return;
        }
        *text = Arc::from(&**text);
        self.0.push(Arc::clone(text));
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::record::{RecordHandle, Subscribers};
    use crate::request_id::RequestId;

    #[test]
    fn a_copy_has_the_same_facts_and_texts_of_its_own() {
        let observers = Subscribers::default().observers();
        let handle =
            RecordHandle::new(RequestId::random(), &Request::get("/path").body(()).unwrap(), observers);
        let mut record = (*handle.snapshot()).clone();
        let model: Arc<str> = "claude-opus".into();
        record.session = Some("session".into());
        record.upstream_request_id = Some("req_011".into());
        record.client_subject = Some("CN=client".into());
        record.stop_reason = Some("end_turn".into());
        (record.model_requested, record.model_served) = (Some(Arc::clone(&model)), Some(Arc::clone(&model)));
        let copy = record.detached();
        assert_eq!(format!("{copy:?}"), format!("{record:?}"));
        let [of_copy, of_record] = [&copy, &record].map(|record| {
            let texts = [
                &record.session,
                &record.model_requested,
                &record.model_served,
                &record.upstream_request_id,
                &record.client_subject,
                &record.stop_reason,
            ];
            let mut texts = texts.map(|text| text.as_ref().unwrap().as_ptr()).to_vec();
            texts.push(record.id.as_str().as_ptr());
            texts
        });
        assert!(of_copy.iter().all(|text| !of_record.contains(text)));
        assert_eq!(of_copy[1], of_copy[2], "the model is copied once");
    }
}
