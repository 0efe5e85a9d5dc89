//! Sources of settings as figment providers, and their merge.

use figment::value::{Dict, Empty, Map, Num, Tag, Value as FigmentValue};
use figment::{Error, Figment, Metadata, Profile, Provider};
use serde::de::DeserializeOwned;

use crate::error::Place;
use crate::tree::{KeyPath, Node, Value};

/// A tree that was checked against the schema: numbers and booleans have their types.
#[derive(Debug)]
pub(crate) struct Layer {
    name: &'static str,
    root: Node,
}

impl Layer {
    pub(crate) fn new(name: &'static str, root: Node) -> Self {
        Self { name, root }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(Map::from([(Profile::Default, dict(&self.root))]))
    }
}

fn dict(node: &Node) -> Dict {
    node.entries().iter().map(|entry| (entry.key.clone(), value(&entry.node))).collect()
}

fn value(node: &Node) -> FigmentValue {
    const NONE: Tag = Tag::Default;
    match &node.value {
        Value::Null => FigmentValue::Empty(NONE, Empty::None),
        Value::Bool(value) => FigmentValue::Bool(NONE, *value),
        Value::Number(number) => {
            match (number.whole.and_then(|whole| i64::try_from(whole).ok()), number.float()) {
                (Some(whole), _) => FigmentValue::Num(NONE, Num::I64(whole)),
                (None, Some(float)) => FigmentValue::Num(NONE, Num::F64(float)),
                (None, None) => FigmentValue::String(NONE, number.text.clone()),
            }
        }
        Value::Date(text) | Value::Text(text) | Value::Loose(text) => {
            FigmentValue::String(NONE, text.clone())
        }
        Value::List(items) => FigmentValue::Array(NONE, items.iter().map(value).collect()),
        Value::Map(_) => FigmentValue::Dict(NONE, dict(node)),
    }
}

/// The layers in ascending order of precedence. Tables are merged, other values are replaced.
#[derive(Debug, Default)]
pub(crate) struct Layers(Vec<Layer>);

impl Layers {
    pub(crate) fn push(&mut self, layer: Layer) {
        self.0.push(layer);
    }

    /// Deserializes the merged settings.
    pub(crate) fn extract<T: DeserializeOwned>(&self) -> Result<T, Box<Error>> {
        self.0.iter().fold(Figment::new(), |figment, layer| figment.merge(layer)).extract().map_err(Box::new)
    }

    /// Returns the place of the setting at `path`: in the topmost layer that has it, otherwise in the layer that
    /// has the longest part of the path.
    pub(crate) fn place_of(&self, path: &KeyPath) -> Place {
        let mut best = (0, &Place::Default);
        for (index, layer) in self.0.iter().enumerate() {
            let found = layer.root.place_of(path);
            if index == 0 || found.0 > best.0 || found.0 == path.len() {
                best = found;
            }
        }
        best.1.clone()
    }
}
