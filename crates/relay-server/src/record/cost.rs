//! The cost of a request.

use relay_routing::Pricing;

use super::RequestRecord;

impl RequestRecord {
    /// Adds the billed attempts to the facts of the request: estimates among their tokens, and by `pricing` their costs.
    ///
    /// The answer that the client got belongs to the last attempt. Other attempts are billed if their upstream reported usage.
    /// Answers with a status of failure, and counts of tokens, are not billed.
    ///
    /// The price is that of the model that was sent. If it is unknown, that of the model that the answer names counts: some
    /// upstreams map the names of models.
    pub(super) fn add_billed(&mut self, pricing: Option<&dyn Pricing>) {
        if let Some(answered) = self.attempts.last_mut().filter(|_| self.is_billed) {
            answered.is_estimated = self.is_estimated;
        }
        self.is_estimated |= self.attempts.iter().any(|attempt| attempt.is_estimated);
        let Some(pricing) = pricing else { return };
        let mut answered = self.is_billed.then_some(self.usage);
        let served = self.model_served.as_deref();
        for attempt in self.attempts.iter_mut().rev() {
            let served = served.filter(|_| answered.is_some());
            let usage = answered.take().or(attempt.usage);
            attempt.cost = usage.and_then(|usage| {
                let price = |model: &str| pricing.cost(&attempt.provider, model, &usage);
                price(&attempt.model).or_else(|| price(served?))
            });
        }
        self.cost = self.attempts.iter().filter_map(|attempt| attempt.cost).reduce(|a, b| a + b);
    }
}
