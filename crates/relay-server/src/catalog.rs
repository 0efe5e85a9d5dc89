//! Lists the models and providers, from the configuration and, with `discover_models`, from the upstreams.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use relay_config::{ProviderConfig, ProviderName};
use relay_messages::{KnownRefusal, RefusalMemory, cut};
use relay_providers::{ClientCredential, ListedModel};
use relay_routing::{Planner, ProviderPool};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tower::Service;

use crate::auth::Client;
use crate::clock;
use crate::discovery::Discovery;
use crate::error::Error;
use crate::response::{ResponseBody, ResponseFuture, json};

/// The largest page. Source: Anthropic API, List Models.
const PAGE_LIMIT: usize = 1000;
/// The default size of a page. Source: Anthropic API, List Models.
const PAGE_DEFAULT: usize = 20;
/// The path prefix of one model, followed by its id.
pub(crate) const MODEL_PATH: &str = "/v1/models/";
/// The `created_at` of a model without a known date: the epoch, as Anthropic's API uses it.
const CREATED_AT: &str = "1970-01-01T00:00:00Z";

/// Serves `GET /v1/models` or `GET /v1/providers` from lists that are built once.
#[derive(Debug, Clone)]
pub(crate) struct Catalog {
    lists: Arc<Lists>,
    list: List,
}

#[derive(Debug)]
struct Lists {
    /// The models of the configuration, each id once, in the order of the file.
    models: Vec<Model>,
    /// The providers whose upstreams list further models.
    discoveries: Vec<Discovery>,
    /// The configured part of each provider's entry, and the memory of refused fields of those that are enabled.
    providers: Vec<(Value, Option<RefusalMemory>)>,
    planner: Arc<Planner>,
}

#[derive(Debug, Clone, Copy)]
enum List {
    Models,
    Providers,
}

/// An entry of the list of models.
#[derive(Debug, Clone)]
struct Model {
    id: String,
    owner: String,
    /// The entry of the upstream's own list, if there is one.
    listed: Option<ListedModel>,
}

impl Model {
    /// Formats the model as Anthropic's API does, with the members `object` and `owned_by` that OpenAI clients read.
    fn to_json(&self) -> Value {
        let listed = self.listed.as_ref();
        let name = listed.and_then(|listed| listed.display_name.as_deref()).unwrap_or(&self.id);
        let created = listed.and_then(|listed| listed.created_at.as_deref()).unwrap_or(CREATED_AT);
        json!({
            "type": "model", "id": self.id, "display_name": name, "created_at": created,
            "object": "model", "owned_by": self.owner,
        })
    }
}

impl Catalog {
    /// Builds the catalog of models. [`providers`](Self::providers) returns the catalog of providers from the same data.
    pub(crate) fn models(
        providers: &[ProviderConfig],
        refusals: Vec<(ProviderName, RefusalMemory)>,
        planner: Arc<Planner>,
        discoveries: Vec<Discovery>,
    ) -> Self {
        let mut seen = BTreeSet::new();
        let mut models = Vec::new();
        for provider in providers.iter().filter(|provider| provider.enabled) {
            for id in names(provider) {
                if seen.insert(id) {
                    models.push(Model { id: id.to_owned(), owner: provider.name.to_string(), listed: None });
                }
            }
        }
        let providers = providers.iter().map(|provider| {
            let entry = json!({
                "name": provider.name.as_str(),
                "type": provider.kind.as_str(),
                "models": names(provider).collect::<Vec<_>>(),
            });
            let refusals = refusals.iter().find(|(name, _)| *name == provider.name);
            (entry, refusals.map(|(_, refusals)| refusals.clone()))
        });
        Self {
            lists: Arc::new(Lists { models, discoveries, providers: providers.collect(), planner }),
            list: List::Models,
        }
    }

    /// Returns the catalog of providers.
    pub(crate) fn providers(&self) -> Self {
        Self { lists: Arc::clone(&self.lists), list: List::Providers }
    }

    async fn answer(
        self,
        path: String,
        query: Option<String>,
        client: Option<Client>,
    ) -> Result<Response<ResponseBody>, Error> {
        if let List::Providers = self.list {
            return Ok(json(StatusCode::OK, &json!({ "data": self.lists.providers() })));
        }
        let Some(id) = path.strip_prefix(MODEL_PATH) else {
            let page = Page::parse(query.as_deref())?;
            return page.respond(&self.lists.models_of(client.as_ref()).await);
        };
        let id = percent_decode_str(id).decode_utf8_lossy();
        if let Some(client) = &client {
            client.check_model(&id)?;
        }
        let models = self.lists.models_of(client.as_ref()).await;
        let found = models.iter().find(|model| model.id == id);
        let found = found.ok_or_else(|| Error::UnknownModel { id: id.into_owned() })?;
        Ok(json(StatusCode::OK, &found.to_json()))
    }
}

impl Page {
    /// Builds the response with this page of `models`.
    fn respond(&self, models: &[Model]) -> Result<Response<ResponseBody>, Error> {
        let page = self;
        let position = |name: &'static str, id: &str| {
            let found = models.iter().position(|model| model.id == id);
            found.ok_or_else(|| Error::Parameter {
                name,
                problem: format!("there is no model `{}` in this list", cut(id)),
            })
        };
        let (start, end) = match (&page.after, &page.before) {
            (Some(id), _) => {
                let start = position("after_id", id)? + 1;
                (start, models.len().min(start + page.limit))
            }
            (None, Some(id)) => {
                let end = position("before_id", id)?;
                (end.saturating_sub(page.limit), end)
            }
            (None, None) => (0, models.len().min(page.limit)),
        };
        let has_more =
            if page.before.is_some() && page.after.is_none() { start > 0 } else { end < models.len() };
        let data: Vec<Value> = models[start..end].iter().map(Model::to_json).collect();
        let id = |model: Option<&Value>| model.map(|model| model["id"].clone());
        let list = json!({
            "first_id": id(data.first()), "last_id": id(data.last()), "has_more": has_more,
            "object": "list", "data": data,
        });
        Ok(json(StatusCode::OK, &list))
    }
}

impl<B> Service<Request<B>> for Catalog {
    type Response = Response<ResponseBody>;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (path, query) = (request.uri().path().to_owned(), request.uri().query().map(str::to_owned));
        let client = request.extensions().get::<Client>().cloned();
        Box::pin(self.clone().answer(path, query, client))
    }
}

/// Returns every name under which clients can request a provider's models. Patterns are not included.
pub(crate) fn names(provider: &ProviderConfig) -> impl Iterator<Item = &str> {
    provider.models.iter().map(String::as_str).chain(provider.model_mapping.names())
}

impl Lists {
    /// Returns the models that the client may use.
    async fn models_of(&self, client: Option<&Client>) -> Vec<Model> {
        let mut models = self.models(client.and_then(Client::credential).cloned()).await;
        models.retain(|model| client.is_none_or(|client| client.may_use(&model.id)));
        models
    }

    /// Returns the models of the configuration, then the further models that upstreams list, each id once.
    async fn models(&self, client: Option<ClientCredential>) -> Vec<Model> {
        let mut models = self.models.clone();
        let mut fetches = JoinSet::new();
        for (index, discovery) in self.discoveries.iter().enumerate() {
            let (discovery, client) = (discovery.clone(), client.clone());
            fetches.spawn(async move { (index, discovery.models(client.as_ref()).await) });
        }
        let mut lists = Vec::with_capacity(fetches.len());
        while let Some(list) = fetches.join_next().await {
            lists.extend(list);
        }
        lists.sort_unstable_by_key(|(index, _)| *index);
        let mut known: HashMap<String, usize> =
            models.iter().enumerate().map(|(at, model)| (model.id.clone(), at)).collect();
        for (index, list) in lists {
            for listed in list.iter() {
                match known.get(&listed.id) {
                    Some(&at) => {
                        models[at].listed.get_or_insert_with(|| listed.clone());
                    }
                    None => {
                        known.insert(listed.id.clone(), models.len());
                        let owner = self.discoveries[index].provider().to_string();
                        models.push(Model { id: listed.id.clone(), owner, listed: Some(listed.clone()) });
                    }
                }
            }
        }
        models
    }

    /// Returns the state of each provider. `ready` includes providers without an attempt so far; `failing` comes with the
    /// last attempt's failure; `paused` is the decision of an operator. `learned` lists fields that are removed from requests
    /// because the upstream has rejected them. `content_times` are the averages that the strategy compares, if it compares times
    /// to the first content. `in_flight` counts running requests, up to the end of their answers. `unusable` is the reason that
    /// no request can succeed at the provider now.
    fn providers(&self) -> Value {
        let now = clock::now();
        let with_state = |(entry, refusals): &(Value, Option<RefusalMemory>)| {
            let mut entry = entry.clone();
            let mut pools = self.planner.pools().iter();
            let pool = pools.find(|pool| entry["name"] == pool.name().as_str());
            let mut pool = pool.map(ProviderPool::state);
            let error = pool.as_mut().and_then(|pool| pool.last_failure.take());
            entry["state"] = match (&pool, &error) {
                (None, _) => "disabled",
                (Some(pool), _) if pool.is_paused => "paused",
                (Some(_), None) => "ready",
                (Some(_), Some(_)) => "failing",
            }
            .into();
            if let Some(error) = error {
                entry["last_error"] = error.into();
            }
            let refusals = refusals.as_ref().map(|refusals| refusals.known(now)).unwrap_or_default();
            if !refusals.is_empty() {
                entry["learned"] = refusals.into_iter().map(refusal_json).collect();
            }
            if let Some(pool) = pool {
                entry["circuit"] = pool.circuit.as_str().into();
                entry["in_flight"] = pool.in_flight.into();
                if let Some(obstacle) = pool.unusable {
                    entry["unusable"] = obstacle.into();
                }
                if !pool.content_times.is_empty() {
                    entry["content_times"] = json!(pool.content_times);
                }
            }
            entry
        };
        self.providers.iter().map(with_state).collect()
    }
}

fn refusal_json(refusal: KnownRefusal) -> Value {
    let KnownRefusal { model, dropped, remaining, .. } = refusal;
    json!({"model": model, "dropped": dropped, "expires_in_s": remaining.as_secs()})
}

/// The part of the list that a client requests.
struct Page {
    limit: usize,
    after: Option<String>,
    before: Option<String>,
}

impl Page {
    /// Parses the query string of a request.
    fn parse(query: Option<&str>) -> Result<Self, Error> {
        let mut page = Self { limit: PAGE_DEFAULT, after: None, before: None };
        for pair in query.unwrap_or_default().split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(value).decode_utf8_lossy();
            match name {
                "limit" => page.limit = limit(&value)?,
                "after_id" => page.after = Some(value.into_owned()),
                "before_id" => page.before = Some(value.into_owned()),
                _ => {}
            }
        }
        Ok(page)
    }
}

fn limit(value: &str) -> Result<usize, Error> {
    let limit = value.parse().ok().filter(|limit| (1..=PAGE_LIMIT).contains(limit));
    limit.ok_or_else(|| Error::Parameter {
        name: "limit",
        problem: format!("found `{}`, expected a number from 1 to {PAGE_LIMIT}", cut(value)),
    })
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use relay_config::{Format, Loader, Strategy};

    use super::*;

    const CONFIG: &str = "
providers:
  - { name: a, type: ollama, models: [m1, m2], model_mapping: { claude-x: m1, 'claude-*': m2 } }
  - { name: b, type: ollama, models: [m2, m3] }
  - { name: c, type: ollama, models: [m4], enabled: false }
";

    async fn get(query: &str) -> Result<Value, String> {
        let config = Loader::new().with_text("test.yaml", Format::Yaml, CONFIG).load().unwrap().config;
        let planner = Planner::new(Vec::new(), Strategy::Failover, false);
        let catalog = Catalog::models(&config.providers, Vec::new(), Arc::new(planner), Vec::new());
        let response = catalog.answer("/v1/models".to_owned(), Some(query.to_owned()), None).await;
        let response = response.map_err(|error| error.to_string())?;
        Ok(serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap())
    }

    #[track_caller]
    fn check(list: &Value, ids: &[&str], has_more: bool) {
        let found: Vec<_> =
            list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
        assert_eq!((found.as_slice(), &list["has_more"]), (ids, &Value::from(has_more)));
        assert_eq!(list["first_id"].as_str(), ids.first().copied());
        assert_eq!(list["last_id"].as_str(), ids.last().copied());
    }

    #[tokio::test]
    async fn each_model_is_listed_once_across_pages() {
        check(&get("limit=1000").await.unwrap(), &["m1", "m2", "claude-x", "m3"], false);
        check(&get("limit=2").await.unwrap(), &["m1", "m2"], true);
        check(&get("limit=2&after_id=m2").await.unwrap(), &["claude-x", "m3"], false);
        check(&get("after_id=m3").await.unwrap(), &[], false);
        check(&get("limit=1&before_id=m3").await.unwrap(), &["claude-x"], true);
        check(&get("before_id=claude%2Dx").await.unwrap(), &["m1", "m2"], false);
    }

    #[tokio::test]
    async fn an_invalid_parameter_is_named_in_the_error() {
        assert_eq!(get("limit=0").await.unwrap_err(), "limit: found `0`, expected a number from 1 to 1000");
        assert_eq!(get("after_id=zz").await.unwrap_err(), "after_id: there is no model `zz` in this list");
    }
}
