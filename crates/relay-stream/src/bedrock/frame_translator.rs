//! The translation of Anthropic's events into Bedrock's frames: bytes in, bytes out.

use bytes::{Bytes, BytesMut};

use super::encode::{write_chunk, write_exception};
use super::error::aws_exception_name;
use super::progress::{Progress, Translate};
use crate::events::{Damage, DamagedEvent, Decision, EventKind, UnknownEvents, decide, write_foreign_error};
use crate::frame::EncodeError;
use crate::json;
use crate::on_break::{BREAK, OnBreak};
use crate::sse::{SseBlock, SseError, SseEvent, SseParser, field_value};

/// Translates the bytes of Anthropic's stream, cut anywhere, into the Event Stream of Bedrock's operation
/// `InvokeModelWithResponseStream`: the inverse of [`Translator`](super::Translator).
///
/// - An event becomes a `chunk` with the base64 of its JSON, which is unchanged. The members
///   `amazon-bedrock-invocationMetrics` and `p` are not added.
/// - An `error` event becomes an exception with the name from [`aws_exception_name`] and the same message. An
///   error in another form is converted, as by [`EventNormalizer`](crate::events::EventNormalizer).
/// - Pings, comments, and events whose data has no `type` are dropped: Bedrock does not send them. Everything
///   after `message_stop` or an error is dropped as well.
/// - A damaged event of the Messages API is an error, see [`DamagedEvent`].
///
/// At most one event is kept between two calls, up to 16 MiB by default. The frame of such an event is within
/// the limits of the SDKs of AWS. The translator does no I/O; [`FrameBody`](super::FrameBody) applies it to a
/// body.
/// ```
/// use bytes::{Bytes, BytesMut};
/// use relay_stream::bedrock::{FrameTranslator, Translator};
///
/// let stop = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
/// let (mut frames, mut events) = (BytesMut::new(), BytesMut::new());
/// let mut translator = FrameTranslator::new();
/// translator.push(Bytes::from(format!(": comment\n\n{stop}")), &mut frames)?;
/// translator.finish(&mut frames)?;
///
/// Translator::new().push(&frames, &mut events)?;
/// assert_eq!(events, stop);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct FrameTranslator {
    parser: SseParser,
    /// True after `message_stop` or an error.
    complete: bool,
    progress: Progress<FrameTranslateError>,
}

impl FrameTranslator {
    /// Creates a translator at the start of a stream, for events of up to 16 MiB.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the largest size of an event in bytes, its blank line included. The default is 16 MiB.
    pub fn with_limit(self, limit: usize) -> Self {
        FrameTranslator { parser: self.parser.with_limit(limit), ..self }
    }

    /// Sets the handling of a broken stream. Default: [`OnBreak::Abort`]. With [`OnBreak::ErrorEvent`] the
    /// stream ends regularly after an `internalServerException`.
    pub fn with_on_break(self, on_break: OnBreak) -> Self {
        FrameTranslator { progress: self.progress.with_on_break(on_break), ..self }
    }

    /// Reads the next bytes and appends a frame for every event that they complete to `out`.
    /// # Errors
    /// [`FrameTranslateError`] if an event is damaged or too large. With [`OnBreak::ErrorEvent`] an exception
    /// is appended instead. The frames before the fault are in `out` and should still be sent. The error is
    /// final.
    pub fn push(&mut self, chunk: Bytes, out: &mut BytesMut) -> Result<(), FrameTranslateError> {
        if let Some(result) = self.progress.over() {
            return result;
        }
        self.translate(chunk, out).or_else(|error| self.end(error, out))
    }

    /// Handles the end of the upstream's stream. An incomplete event is dropped, as the standard requires.
    /// # Errors
    /// [`FrameTranslateError::Incomplete`] if the stream ends without `message_stop` and without an error. With
    /// [`OnBreak::ErrorEvent`] an exception is appended instead.
    pub fn finish(&mut self, out: &mut BytesMut) -> Result<(), FrameTranslateError> {
        if let Some(result) = self.progress.over() {
            return result;
        }
        if !self.complete {
            return self.end(FrameTranslateError::Incomplete, out);
        }
        self.progress.finish();
        Ok(())
    }

    /// Handles a failure of the upstream's connection. Returns `true` if [`OnBreak::ErrorEvent`] has handled
    /// it, and `false` if the caller has to forward the failure.
    pub fn interrupt(&mut self, out: &mut BytesMut) -> bool {
        let open = self.progress.over().is_none();
        let handled = self.progress.interrupt();
        if open && handled {
            self.write_break(out);
        }
        handled
    }

    /// Returns `true` once no further input produces output.
    pub fn is_done(&self) -> bool {
        self.progress.over().is_some()
    }

    /// Returns `true` if the stream may end here.
    pub fn may_end(&self) -> bool {
        self.progress.may_end(self.complete)
    }

    fn translate(&mut self, mut chunk: Bytes, out: &mut BytesMut) -> Result<(), FrameTranslateError> {
        while !self.complete
            && let Some(block) = self.parser.parse(&mut chunk)?
        {
            self.write_block(&block, out)?;
        }
        Ok(())
    }

    fn end(&mut self, error: FrameTranslateError, out: &mut BytesMut) -> Result<(), FrameTranslateError> {
        self.progress.fail(error)?;
        self.write_break(out);
        Ok(())
    }

    fn write_block(&mut self, block: &SseBlock, out: &mut BytesMut) -> Result<(), FrameTranslateError> {
        let Some(event) = block.event() else { return self.write_without_data(block, out) };
        let kind = match decide(&event, true, UnknownEvents::Forward) {
            Decision::Drop => return Ok(()),
            Decision::Damaged(damage) => return Err(DamagedEvent::new(&event.name, damage).into()),
            Decision::ReportError => return self.write_foreign_error(&event.data, out),
            Decision::Forward(kind) => kind,
            Decision::Rename(kind) => Some(kind),
        };
        match kind {
            Some(EventKind::Ping) => return Ok(()),
            Some(EventKind::Error) => return self.write_error(&event.data, out),
            None if json::get_string(&event.data, "type").is_none() => return Ok(()),
            kind => self.complete = kind == Some(EventKind::MessageStop),
        }
        Ok(write_chunk(&event.data, "", out)?)
    }

    /// Handles a block without a `data` field: comments, and names of events that need data.
    fn write_without_data(
        &mut self,
        block: &SseBlock,
        out: &mut BytesMut,
    ) -> Result<(), FrameTranslateError> {
        let name = String::from_utf8_lossy(field_value(block.raw(), b"event").unwrap_or_default());
        match EventKind::of(name.trim()) {
            None | Some(EventKind::Ping) => Ok(()),
            Some(EventKind::Error) => self.write_foreign_error(b"", out),
            Some(_) => Err(DamagedEvent::new(&name, Damage::NotJson).into()),
        }
    }

    /// Appends the exception for `data`, an error in another form than Anthropic's.
    fn write_foreign_error(&mut self, data: &[u8], out: &mut BytesMut) -> Result<(), FrameTranslateError> {
        let mut event = BytesMut::new();
        write_foreign_error(data, &mut event);
        let data = SseEvent::from_block(&event).map(|event| event.data).unwrap_or_default();
        self.write_error(&data, out)
    }

    /// Appends the exception for `data`, the JSON of an `error` event of Anthropic.
    fn write_error(&mut self, data: &[u8], out: &mut BytesMut) -> Result<(), FrameTranslateError> {
        self.complete = true;
        let error = json::get(data, "error").unwrap_or_default();
        let kind = json::get_string(error, "type").unwrap_or_default();
        let message = json::get_string(error, "message").unwrap_or_default();
        Ok(write_exception(aws_exception_name(&kind), &message, out)?)
    }

    /// Appends the exception for a break. A failure to encode these few bytes is impossible.
    fn write_break(&self, out: &mut BytesMut) {
        if !self.complete {
            let _ = write_exception(aws_exception_name("api_error"), BREAK, out);
        }
    }
}

impl Translate for FrameTranslator {
    type Error = FrameTranslateError;

    fn push(&mut self, chunk: Bytes, out: &mut BytesMut) -> Result<(), FrameTranslateError> {
        FrameTranslator::push(self, chunk, out)
    }

    fn finish(&mut self, out: &mut BytesMut) -> Result<(), FrameTranslateError> {
        FrameTranslator::finish(self, out)
    }

    fn interrupt(&mut self, out: &mut BytesMut) -> bool {
        FrameTranslator::interrupt(self, out)
    }

    fn is_done(&self) -> bool {
        FrameTranslator::is_done(self)
    }

    fn may_end(&self) -> bool {
        FrameTranslator::may_end(self)
    }
}

/// An error in translating a stream of Anthropic into frames.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameTranslateError {
    /// An event is larger than the limit.
    #[error(transparent)]
    Sse(#[from] SseError),
    /// An event of the Messages API that no client can use.
    #[error(transparent)]
    Damaged(#[from] DamagedEvent),
    /// An event is too large for a frame.
    #[error("an event cannot be written as a frame")]
    Encode(#[from] EncodeError),
    /// The stream ended without `message_stop` and without an `error` event.
    #[error("the stream ended without message_stop")]
    Incomplete,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bedrock::Translator;

    const START: &str = "event: message_start\ndata: {\"type\":\"message_start\"}\n\n";
    const STOP: &str = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

    /// Translates a stream into frames and these into events again.
    fn round_trip(events: &str, on_break: OnBreak) -> (String, Result<(), FrameTranslateError>) {
        let (mut frames, mut out) = (BytesMut::new(), BytesMut::new());
        let mut translator = FrameTranslator::new().with_on_break(on_break);
        let pushed = translator.push(Bytes::copy_from_slice(events.as_bytes()), &mut frames);
        let result = pushed.and_then(|()| translator.finish(&mut frames));
        Translator::new().push(&frames, &mut out).unwrap();
        (String::from_utf8(out.to_vec()).unwrap(), result)
    }

    #[track_caller]
    fn check(events: &str, expected: &str) {
        assert_eq!(round_trip(events, OnBreak::Abort), (expected.to_owned(), Ok(())), "{events}");
    }

    #[test]
    fn events_become_chunks_and_pings_and_foreign_events_are_dropped() {
        check(&format!("{START}{STOP}"), &format!("{START}{STOP}"));
        check(
            &format!("\u{feff}: c\r\n\r\n{}{STOP}", START.replace('\n', "\r\n")),
            &format!("{START}{STOP}"),
        );
        let ping = "event: ping\ndata: {\"type\": \"ping\"}\n\nevent: ping\n\ndata:\n\n";
        check(&format!("{ping}{START}{ping}{STOP}"), &format!("{START}{STOP}"));
        check(&format!("data: {{\"type\":\"message_stop\"}}\n\n{START}"), STOP);
        check(&format!("event: vertex_event\ndata: {{}}\n\ndata: [DONE]\n\n{STOP}data: {{"), STOP);
        let new = "event: new\ndata: {\"type\":\"new\"}\n\n";
        check(&format!("{new}{STOP}"), &format!("{new}{STOP}"));
    }

    #[test]
    fn every_form_of_an_error_becomes_an_exception() {
        #[track_caller]
        fn check_error(events: &str, kind: &str, message: &str) {
            let json = format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}}}}"#);
            check(events, &format!("event: error\ndata: {json}\n\n"));
        }
        let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"say \"no\""}}"#;
        check_error(&format!("event: error\ndata: {error}\n\n{STOP}"), "overloaded_error", r#"say \"no\""#);
        check_error(&format!("data: {error}\n\n"), "overloaded_error", r#"say \"no\""#);
        check_error("event: error\ndata: busy\n\n", "api_error", "busy");
        let authentication = error.replace("overloaded", "authentication");
        check_error(&format!("data: {authentication}\n\n"), "permission_error", r#"say \"no\""#);
    }

    #[test]
    fn a_damaged_or_incomplete_stream_is_an_error_or_an_exception() {
        for (events, incomplete) in [
            (START.to_owned(), true),
            (format!("{START}{}", &STOP[..STOP.len() - 1]), true),
            (String::new(), true),
            (format!("{START}event: message_delta\ndata: {{\"type\":\"mess\n\n{STOP}"), false),
            (format!("{START}event: message_delta\n\n{STOP}"), false),
        ] {
            let start = if events.is_empty() { "" } else { START };
            let (out, result) = round_trip(&events, OnBreak::Abort);
            assert_eq!(out, start);
            match result.unwrap_err() {
                FrameTranslateError::Incomplete => assert!(incomplete),
                FrameTranslateError::Damaged(_) => assert!(!incomplete),
                error => panic!("{error}"),
            }
            let mut expected = BytesMut::from(start);
            crate::on_break::write_break(&mut expected);
            let (out, result) = round_trip(&events, OnBreak::ErrorEvent);
            assert_eq!((expected, result), (BytesMut::from(&*out), Ok(())));
        }
    }

    #[test]
    fn an_event_larger_than_the_limit_is_a_final_error() {
        let (mut translator, mut out) = (FrameTranslator::new().with_limit(60), BytesMut::new());
        assert_eq!(translator.push(Bytes::from(START), &mut out), Ok(()));
        let large = Bytes::from(vec![b'x'; 61]);
        let error = Err(FrameTranslateError::Sse(SseError::TooLarge { limit: 60 }));
        assert_eq!(translator.push(large, &mut out), error);
        assert_eq!(translator.push(Bytes::from(STOP), &mut out), error);
        assert_eq!(translator.finish(&mut out), error);
        assert!(translator.is_done() && !translator.may_end());
    }
}
