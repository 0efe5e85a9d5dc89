//! The cost of a request.

use relay_routing::Pricing;

use super::RequestRecord;

impl RequestRecord {
    /// Adds the billed attempts to the facts of the request: estimates among their tokens, and by `pricing` their costs.
    ///
    /// The answer that the client got belongs to the last attempt. Other attempts are billed if their upstream reported usage.
    /// Answers with a status of failure, and counts of tokens, are not billed.
    pub(super) fn add_billed(&mut self, pricing: Option<&dyn Pricing>) {
        self.is_estimated |= self.attempts.iter().any(|attempt| attempt.is_estimated);
        let Some(pricing) = pricing else { return };
        let mut answered = self.is_billed.then_some(self.usage);
        for attempt in self.attempts.iter_mut().rev() {
            let usage = answered.take().or(attempt.usage);
            attempt.cost = usage.and_then(|usage| pricing.cost(&attempt.provider, &attempt.model, &usage));
        }
        self.cost = self.attempts.iter().filter_map(|attempt| attempt.cost).reduce(|a, b| a + b);
    }
}
