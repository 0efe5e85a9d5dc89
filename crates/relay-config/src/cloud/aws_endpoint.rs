//! The endpoint of Bedrock: that of the region, with the switches that AWS's own tools read.
//!
//! # Source
//! "Service-specific endpoints" and "Dual-stack and FIPS endpoints" in the AWS SDKs and Tools Reference Guide; botocore,
//! `partitions.json` and the endpoint rules of `bedrock-runtime`.

use super::aws::selected_profile;
use super::aws_file::AwsFiles;
use super::misnamed;
use crate::config::BedrockApi;
use crate::environment::Environment;
use crate::error::Fault;
use crate::names::BaseUrl;

const FIPS: &str = "AWS_USE_FIPS_ENDPOINT";
const DUAL_STACK: &str = "AWS_USE_DUALSTACK_ENDPOINT";
const IGNORE_URLS: &str = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS";
/// The variables of an endpoint: that of the service has precedence.
const URLS: [&str; 2] = ["AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL"];

/// The partitions by the start of their regions: the domain of their hosts, and the one of their dual-stack hosts.
const PARTITIONS: [(&str, &str, &str); 7] = [
    ("cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    ("us-isob-", "sc2s.sgov.gov", "api.aws.scloud"),
    ("us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
    ("us-iso-", "c2s.ic.gov", "api.aws.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
    ("eusc-", "amazonaws.eu", "api.amazonwebservices.eu"),
    ("", "amazonaws.com", "api.aws"),
];

/// The switches of the environment and of the profile that select an endpoint.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct EndpointSwitches {
    /// A URL that replaces the endpoint of the region, with the variable or the key that contains it.
    pub(crate) url: Option<(&'static str, BaseUrl)>,
    /// Use the endpoint whose cryptography is validated (FIPS 140), with the variable or the key that requests it.
    pub(crate) fips: Option<&'static str>,
    /// Use the endpoint that is reachable over IPv6 too, with the variable or the key that requests it.
    pub(crate) dual_stack: Option<&'static str>,
}

impl EndpointSwitches {
    /// Reads the switches. `on_fault` receives each variable, or key of the profile, with an unusable value.
    pub(crate) fn read(
        environment: Environment<'_>,
        profile: Option<&str>,
        on_fault: &mut dyn FnMut(&'static str, Fault),
    ) -> Self {
        let file = AwsFiles::read(environment);
        let profile = &*selected_profile(environment, profile);
        let mut switch = |variable: &'static str, place: &'static str, key: &str| {
            let own = environment.get(variable).map(|value| (variable, value));
            let (place, value) = own.or_else(|| Some((place, file.in_profile(profile, key)?.to_owned())))?;
            match value.to_ascii_lowercase().as_str() {
                "true" => Some(place),
                "false" => None,
                _ => {
                    on_fault(place, misnamed(&value, "true or false", ""));
                    None
                }
            }
        };
        let fips = switch(FIPS, "use_fips_endpoint of the AWS profile", "use_fips_endpoint");
        let dual_stack =
            switch(DUAL_STACK, "use_dualstack_endpoint of the AWS profile", "use_dualstack_endpoint");
        let ignores = switch(
            IGNORE_URLS,
            "ignore_configured_endpoint_urls of the AWS profile",
            "ignore_configured_endpoint_urls",
        );
        let url = if ignores.is_some() { None } else { url(environment, &file, profile) };
        let url = url.and_then(|(place, text)| match BaseUrl::parse(&text) {
            Ok(url) => Some((place, url)),
            Err(source) => {
                on_fault(place, Fault::Url { found: None, source });
                None
            }
        });
        if let (Some((place, _)), Some(switch)) = (&url, fips.or(dual_stack)) {
            let found = format!("{switch} beside {place}");
            let expected = "an endpoint URL, or a switch for the endpoint of the region".to_owned();
            on_fault(switch, Fault::Value { found, expected, hint: "unset one of them".to_owned() });
        }
        Self { url, fips, dual_stack }
    }

    /// Returns the base URL that the switches select, or `None` if they select the usual endpoint of the region.
    pub(crate) fn base_url(&self, region: Option<&str>, api: BedrockApi) -> Option<BaseUrl> {
        if let Some((_, url)) = &self.url {
            let path = path(api);
            return if url.path().ends_with(path) {
                Some(url.clone())
            } else {
                BaseUrl::parse(&format!("{url}{path}")).ok()
            };
        }
        let (fips, dual_stack) = (self.fips.is_some(), self.dual_stack.is_some());
        let is_usual = !fips && !dual_stack;
        region.filter(|_| !is_usual).and_then(|region| regional(region, api, fips, dual_stack))
    }
}

/// Returns the URL of the environment, otherwise of the `services` section of the profile, otherwise of the profile.
fn url(environment: Environment<'_>, file: &AwsFiles, profile: &str) -> Option<(&'static str, String)> {
    if let Some(found) = environment.first(&URLS) {
        return Some(found);
    }
    let services = file.in_profile(profile, "services");
    let of_service = services.and_then(|name| file.in_services(name, "bedrock_runtime.endpoint_url"));
    let of_service = of_service.map(|url| ("endpoint_url of the AWS services section", url));
    let of_profile = || Some(("endpoint_url of the AWS profile", file.in_profile(profile, "endpoint_url")?));
    of_service.or_else(of_profile).map(|(place, url)| (place, url.to_owned()))
}

/// Returns the URL in front of the paths of `api` at the usual endpoint of `region`. `None` if `region` cannot be part of a
/// host name.
#[must_use]
pub fn bedrock_url(region: &str, api: BedrockApi) -> Option<BaseUrl> {
    regional(region, api, false, false)
}

/// Returns the region in one of AWS's own host names: `SERVICE.REGION.DOMAIN`, or that of a VPC endpoint.
pub(crate) fn region_of(url: &BaseUrl) -> Option<String> {
    let host = url.authority().host().to_ascii_lowercase();
    let is_aws = PARTITIONS.iter().any(|(_, domain, dual_stack)| {
        [domain, dual_stack]
            .iter()
            .any(|domain| host.strip_suffix(*domain).is_some_and(|rest| rest.ends_with('.')))
    });
    let mut labels = host.split('.').skip_while(|label| !label.starts_with("bedrock"));
    labels.next().filter(|_| is_aws)?;
    labels.next().filter(|label| label.contains('-')).map(str::to_owned)
}

fn regional(region: &str, api: BedrockApi, fips: bool, dual_stack: bool) -> Option<BaseUrl> {
    let (_, domain, dual_domain) = PARTITIONS.iter().find(|(start, _, _)| region.starts_with(start))?;
    let domain = if dual_stack { dual_domain } else { domain };
    let suffix = if fips { "-fips" } else { "" };
    BaseUrl::parse(&format!("https://bedrock-runtime{suffix}.{region}.{domain}{}", path(api))).ok()
}

/// Returns the path between the host and the paths of `api`.
fn path(api: BedrockApi) -> &'static str {
    match api {
        BedrockApi::Invoke => "",
        BedrockApi::Messages => "/anthropic",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::testing::lookup;

    #[track_caller]
    fn check(
        variables: &[(&str, &str)],
        file: &str,
        region: &str,
        api: BedrockApi,
        expected: Result<&str, &str>,
    ) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("config");
        std::fs::write(&path, file).unwrap();
        let mut variables = variables.to_vec();
        variables.push(("AWS_CONFIG_FILE", path.to_str().unwrap()));
        let variable = lookup(&variables);
        let mut faults = Vec::new();
        let switches = EndpointSwitches::read(Environment::new(&variable), None, &mut |place, fault| {
            faults.push(format!("{place}: {fault}"));
        });
        let url =
            switches.base_url(Some(region), api).or_else(|| bedrock_url(region, api)).unwrap().to_string();
        match expected {
            Ok(expected) => assert_eq!((url.as_str(), faults), (expected, Vec::new())),
            Err(expected) => assert!(faults.iter().any(|fault| fault.contains(expected)), "{faults:?}"),
        }
    }

    #[test]
    fn switches_select_the_endpoint_of_the_partition() {
        use BedrockApi::{Invoke, Messages};
        let (fips, dual) = ((FIPS, "true"), (DUAL_STACK, "True"));
        for (variables, region, api, expected) in [
            (&[][..], "us-east-1", Invoke, "https://bedrock-runtime.us-east-1.amazonaws.com"),
            (&[], "us-east-1", Messages, "https://bedrock-runtime.us-east-1.amazonaws.com/anthropic"),
            (&[fips], "us-gov-west-1", Invoke, "https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com"),
            (&[dual], "eu-west-1", Invoke, "https://bedrock-runtime.eu-west-1.api.aws"),
            (
                &[fips, dual],
                "us-east-2",
                Messages,
                "https://bedrock-runtime-fips.us-east-2.api.aws/anthropic",
            ),
            (&[], "cn-north-1", Invoke, "https://bedrock-runtime.cn-north-1.amazonaws.com.cn"),
            (
                &[dual],
                "cn-north-1",
                Invoke,
                "https://bedrock-runtime.cn-north-1.api.amazonwebservices.com.cn",
            ),
            (&[], "us-iso-east-1", Invoke, "https://bedrock-runtime.us-iso-east-1.c2s.ic.gov"),
            (&[], "us-isob-east-1", Invoke, "https://bedrock-runtime.us-isob-east-1.sc2s.sgov.gov"),
            (&[], "us-isof-south-1", Invoke, "https://bedrock-runtime.us-isof-south-1.csp.hci.ic.gov"),
            (&[], "eu-isoe-west-1", Invoke, "https://bedrock-runtime.eu-isoe-west-1.cloud.adc-e.uk"),
            (&[], "eusc-de-east-1", Invoke, "https://bedrock-runtime.eusc-de-east-1.amazonaws.eu"),
            (&[(FIPS, "false")], "us-east-1", Invoke, "https://bedrock-runtime.us-east-1.amazonaws.com"),
        ] {
            check(variables, "", region, api, Ok(expected));
        }
    }

    #[test]
    fn endpoint_urls_are_taken_in_the_order_of_the_sdks() {
        use BedrockApi::{Invoke, Messages};
        let file = "[default]\nendpoint_url = http://p\nservices = s\n[services s]\nbedrock_runtime =\n  endpoint_url = http://s\n";
        let profile = "[default]\nendpoint_url = http://p\n[profile other]\nendpoint_url = http://o";
        let (service, all, ignore) = ((URLS[0], "http://a/"), (URLS[1], "http://b"), (IGNORE_URLS, "true"));
        let usual = "https://bedrock-runtime.us-east-1.amazonaws.com";
        check(&[service, all], file, "us-east-1", Invoke, Ok("http://a"));
        check(&[all], file, "us-east-1", Messages, Ok("http://b/anthropic"));
        check(&[], file, "us-east-1", Invoke, Ok("http://s"));
        check(&[], profile, "us-east-1", Invoke, Ok("http://p"));
        check(&[("AWS_PROFILE", "other")], profile, "us-east-1", Invoke, Ok("http://o"));
        check(&[ignore, service, all], file, "us-east-1", Invoke, Ok(usual));
        let ignoring = "[default]\nendpoint_url = http://p\nignore_configured_endpoint_urls = true";
        check(&[], ignoring, "us-east-1", Invoke, Ok(usual));
        let fips = "[default]\nuse_fips_endpoint = true\nuse_dualstack_endpoint = true";
        check(&[], fips, "us-east-1", Invoke, Ok("https://bedrock-runtime-fips.us-east-1.api.aws"));
        check(&[(FIPS, "false"), (DUAL_STACK, "false")], fips, "us-east-1", Invoke, Ok(usual));
    }

    #[test]
    fn unusable_switches_are_faults() {
        let api = BedrockApi::Invoke;
        check(
            &[(FIPS, "yes")],
            "",
            "us-east-1",
            api,
            Err("AWS_USE_FIPS_ENDPOINT: found \"yes\", expected true or false"),
        );
        check(&[(URLS[1], "localhost")], "", "us-east-1", api, Err("AWS_ENDPOINT_URL: "));
        check(
            &[(FIPS, "true"), (URLS[0], "http://a")],
            "",
            "us-east-1",
            api,
            Err("AWS_USE_FIPS_ENDPOINT beside"),
        );
        let file = "[default]\nuse_dualstack_endpoint = 1";
        check(&[], file, "us-east-1", api, Err("use_dualstack_endpoint of the AWS profile: found \"1\""));
    }
}
