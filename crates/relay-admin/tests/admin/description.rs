//! The OpenAPI description, compared with the answers.

use relay_admin::api::Admin;
use relay_tests::Call;
use serde_json::Value;

use crate::fixture::Fixture;

/// Asserts that `value` has the shape that `schema` describes. An object has no member that is not described.
fn check(root: &Value, schema: &Value, value: &Value, path: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = root.pointer(reference.trim_start_matches('#'));
        return check(root, target.unwrap_or_else(|| panic!("{reference} is missing")), value, path);
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(variants) = schema[key].as_array() {
            if value.is_null() {
                assert!(variants.iter().any(|variant| variant["type"] == "null"), "{path} may not be null");
                return;
            }
            let variant = variants.iter().find(|variant| variant["type"] != "null").expect("a variant");
            return check(root, variant, value, path);
        }
    }
    let kinds: Vec<_> = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect(),
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_u64() && !kinds.contains(&"number") => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    assert!(kinds.contains(&kind), "{path}: found {kind}, described as {schema}");
    match value {
        Value::Array(items) => {
            items.iter().for_each(|item| check(root, &schema["items"], item, &format!("{path}[]")));
        }
        Value::Object(members) => {
            for required in schema["required"].as_array().into_iter().flatten() {
                assert!(members.contains_key(required.as_str().unwrap()), "{path}: {required} is missing");
            }
            for (key, member) in members {
                let path = format!("{path}.{key}");
                let described = schema["properties"].get(key).or(schema.get("additionalProperties"));
                check(root, described.unwrap_or_else(|| panic!("{path} is not described")), member, &path);
            }
        }
        _ => {}
    }
}

/// Values for the parameters in paths.
fn with_values(path: &str) -> String {
    path.replace("{name}", "first").replace("{credential}", "team%2Fa%25").replace("{id}", "known")
}

#[tokio::test]
async fn every_path_of_the_description_answers_as_described() {
    let fixture = Fixture::start().await;
    fixture.message("m", "first=500", "known").await;
    let description = fixture.json("/admin/v1/openapi.json").await;
    assert_eq!(description, serde_json::from_str::<Value>(&Admin::description()).unwrap());
    assert_eq!(description["openapi"], "3.1.0");
    let mut operations = 0;
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let method = if method == "get" { "GET" } else { "POST" };
            assert!(operation["summary"].is_string(), "{method} {path} has no summary");
            let responses = &operation["responses"];
            if responses["200"]["content"]["text/event-stream"].is_object() {
                let head = Call::new("HEAD", path.as_str()).send(fixture.address).await;
                assert_eq!(head.headers.get("content-type"), Some("text/event-stream"));
                continue;
            }
            let response = Call::new(method, with_values(path)).send(fixture.address).await;
            let described = &responses[response.status.to_string()]["content"]["application/json"]["schema"];
            assert!(described.is_object(), "{method} {path}: status {} is not described", response.status);
            check(&description, described, &response.json(), &format!("{method} {path}"));
            operations += 1;
        }
    }
    assert!(operations >= 11, "{operations}");
}

#[test]
fn every_member_of_the_description_is_explained() {
    let description: Value = serde_json::from_str(&Admin::description()).unwrap();
    for (name, schema) in description["components"]["schemas"].as_object().unwrap() {
        for (member, described) in schema["properties"].as_object().into_iter().flatten() {
            let variants = described["oneOf"].as_array().into_iter().flatten().chain([described]);
            let is_explained = variants.into_iter().any(|schema| schema["description"].is_string());
            assert!(is_explained, "{name}.{member} has no description: {described}");
        }
    }
}
