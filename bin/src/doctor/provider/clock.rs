//! The check of this machine's clock, by the `date` of an answer.

use std::time::{Duration, SystemTime};

use relay_config::{AwsCredentials, ProviderConfig, ProviderKind};
use relay_server::check::{CheckAnswer, ProviderCheck};

use crate::doctor::check::Check;

const NAME: &str = "clock";
/// The difference from which a warning is given. A `date` has whole seconds, and an answer takes time.
const NOTABLE: Duration = Duration::from_secs(60);
/// The difference from which AWS refuses signatures.
///
/// # Source
/// AWS, "Elements of an AWS API request signature": five minutes.
const REFUSED: Duration = Duration::from_secs(5 * 60);
const FIX: &str = "synchronise the clock of this machine, for example with `timedatectl set-ntp true`";

pub(super) fn check(provider: &ProviderConfig, found: &ProviderCheck) -> Check {
    let answers = found.credentials.iter().filter_map(|credential| credential.report.as_ref());
    let answers = answers.filter_map(|report| report.answer.as_ref()?.as_ref().ok());
    let times = |answer: &CheckAnswer| Some((answer.date?, answer.received_at));
    match answers.filter_map(times).next() {
        None => Check::skip(NAME, "no answer with a date"),
        Some((theirs, ours)) => compare(theirs, ours, is_signed(provider)),
    }
}

fn compare(theirs: SystemTime, ours: SystemTime, is_signed: bool) -> Check {
    let (difference, direction) = match ours.duration_since(theirs) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    let seconds = difference.as_secs();
    match difference {
        _ if is_signed && difference > REFUSED => {
            let text =
                format!("{seconds} s {direction} the upstream's: AWS refuses signatures from 5 minutes on");
            Check::fail(NAME, text, FIX)
        }
        _ if difference > NOTABLE => {
            Check::warn(NAME, format!("{seconds} s {direction} the upstream's"), FIX)
        }
        _ => Check::ok(NAME, format!("{seconds} s from the upstream's")),
    }
}

/// Returns `true` if requests carry a signature with a time.
fn is_signed(provider: &ProviderConfig) -> bool {
    matches!(&provider.kind, ProviderKind::Bedrock(config)
        if !matches!(config.credentials, AwsCredentials::BearerToken(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Mark;

    #[test]
    fn a_difference_of_five_minutes_fails_where_requests_are_signed() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        for (seconds, expected, signed) in [
            (0, Mark::Ok, Mark::Ok),
            (60, Mark::Ok, Mark::Ok),
            (61, Mark::Warn, Mark::Warn),
            (300, Mark::Warn, Mark::Warn),
            (301, Mark::Warn, Mark::Fail),
        ] {
            let difference = Duration::from_secs(seconds);
            for theirs in [now - difference, now + difference] {
                assert_eq!(compare(theirs, now, false).mark, expected, "{seconds}");
                assert_eq!(compare(theirs, now, true).mark, signed, "{seconds}");
            }
        }
        assert!(compare(now, now + Duration::from_secs(90), false).text.starts_with("90 s ahead of"));
    }
}
