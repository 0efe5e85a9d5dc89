//! The check of each answer. A proxy that loses, repeats or cuts something does less work, so it fails the run.

use bytes::Bytes;
use memchr::memmem;

use crate::Result;
use crate::upstream::events::{ENVELOPE, STAMP, STAMP_DIGITS, now};

/// The share of the request that has to arrive at the upstream. Proxies that adapt a request may make it shorter.
const LEAST_SHARE: f64 = 0.9;

/// Checks a JSON answer to a request of `sent` bytes. The upstream reports the bytes that it has received.
/// # Errors
/// If the answer is not the upstream's, or the upstream has received much less than `sent`.
pub(crate) fn json(answer: &[u8], sent: usize) -> Result<()> {
    const FIELD: &[u8] = b"\"input_tokens\":";
    let excerpt = || String::from_utf8_lossy(&answer[..answer.len().min(200)]).into_owned();
    let complete = answer.ends_with(b"}}") && memmem::find(answer, b"The change is complete.").is_some();
    let field = memmem::rfind(answer, FIELD).filter(|_| complete);
    let digits = &answer[field.ok_or_else(|| format!("unexpected answer: {}", excerpt()))? + FIELD.len()..];
    let received = number(digits);
    if (received as f64) < LEAST_SHARE * sent as f64 {
        return Err(format!("the upstream received {received} of {sent} bytes").into());
    }
    Ok(())
}

/// Returns the number at the start of `text`, or 0.
fn number(text: &[u8]) -> u64 {
    let digits = text.iter().skip_while(|byte| **byte == b' ').take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
}

/// Counts the events of a stream without collecting it.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    events: u64,
    /// The end of what has arrived: an empty line or the last event may be split.
    tail: Vec<u8>,
}

impl Counter {
    const TAIL: usize = 64;

    /// Takes in the next bytes.
    pub(crate) fn push(&mut self, data: &Bytes) {
        let is_split = self.tail.last() == Some(&b'\n') && data.first() == Some(&b'\n');
        self.events += u64::from(is_split);
        self.events += memmem::find_iter(data, b"\n\n").count() as u64;
        self.tail.extend_from_slice(&data[data.len().saturating_sub(Self::TAIL)..]);
        let excess = self.tail.len().saturating_sub(Self::TAIL);
        self.tail.drain(..excess);
    }

    /// Checks the stream at its end, and returns the number of its events.
    /// # Errors
    /// If its last event is not `message_stop`, or if it has fewer than `deltas` deltas.
    pub(crate) fn finish(&self, deltas: u64) -> Result<u64> {
        if memmem::find(&self.tail, b"message_stop").is_none() {
            let tail = String::from_utf8_lossy(&self.tail);
            return Err(format!("the stream has no end; its last bytes are {tail:?}").into());
        }
        let expected = deltas + ENVELOPE;
        if self.events < expected {
            return Err(format!("{} of {expected} events have arrived", self.events).into());
        }
        Ok(self.events)
    }
}

/// Reads the times in the deltas of a paced stream.
#[derive(Debug, Default)]
pub(crate) struct DelayReader {
    rest: Vec<u8>,
}

impl DelayReader {
    /// Takes in the next bytes, and gives the delay of each complete delta to `record`, in nanoseconds. Returns the number
    /// of complete events.
    pub(crate) fn push(&mut self, data: &Bytes, mut record: impl FnMut(u64)) -> u64 {
        let arrived = now();
        self.rest.extend_from_slice(data);
        let (mut events, mut start) = (0, 0);
        while let Some(length) = memmem::find(&self.rest[start..], b"\n\n") {
            let event = &self.rest[start..start + length];
            let stamp = memmem::find(event, STAMP).map(|at| at + STAMP.len());
            if let Some(digits) = stamp.and_then(|at| event.get(at..at + STAMP_DIGITS)) {
                record(arrived.saturating_sub(number(digits)));
            }
            events += 1;
            start += length + 2;
        }
        self.rest.drain(..start);
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::events::Framing;

    #[test]
    fn an_answer_is_accepted_if_the_upstream_has_received_the_request() {
        let answer =
            br#"{"content":"The change is complete.","usage":{"input_tokens":1000,"output_tokens":1}}"#;
        assert!(json(answer, 1000).is_ok());
        assert!(json(answer, 1050).is_ok());
        assert!(json(answer, 2000).is_err());
        assert!(json(&answer[..answer.len() - 2], 1000).is_err());
        assert!(json(b"{}", 0).is_err());
    }

    fn stream() -> Vec<u8> {
        let framing = Framing::Sse;
        let parts = [framing.start(), framing.block_start(), framing.delta(now()), framing.end()];
        parts.into_iter().map(Result::unwrap).collect::<Vec<_>>().concat()
    }

    #[test]
    fn events_are_counted_wherever_the_stream_is_split() {
        let stream = stream();
        for split in 0..stream.len() {
            let mut counter = Counter::default();
            let mut reader = DelayReader::default();
            let (mut events, mut delays) = (0, Vec::new());
            for part in [&stream[..split], &stream[split..]] {
                let part = Bytes::copy_from_slice(part);
                counter.push(&part);
                events += reader.push(&part, |delay| delays.push(delay));
            }
            assert_eq!(counter.finish(1).unwrap(), 6, "split at {split}");
            assert_eq!((events, delays.len()), (6, 1), "split at {split}");
        }
    }

    #[test]
    fn a_stream_without_its_end_or_with_too_few_events_is_refused() {
        let stream = stream();
        let mut counter = Counter::default();
        counter.push(&Bytes::copy_from_slice(&stream[..stream.len() - 80]));
        assert!(counter.finish(0).is_err());
        counter.push(&Bytes::copy_from_slice(&stream[stream.len() - 80..]));
        assert!(counter.finish(1).is_ok());
        assert!(counter.finish(2).is_err());
    }
}
