//! Fields from YAML as Go's decoder of JSON reads them: their names in any letter case, and null for
//! nothing at all.

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Error as _, IntoDeserializer, Visitor};
use serde::{Deserializer, forward_to_deserialize_any};
use serde_json::{Map, Value};

type Result<T, E = serde_json::Error> = std::result::Result<T, E>;

/// Reads a structure whose fields are all known, at every depth.
pub(super) fn strictly<T: DeserializeOwned>(value: Value) -> Result<T> {
    T::deserialize(Go { value, is_strict: true })
}

/// Reads a structure and leaves out what is not known, as the configurations of plugins are read.
pub(super) fn loosely<T: DeserializeOwned>(value: Value) -> Result<T> {
    T::deserialize(Go { value, is_strict: false })
}

/// A value that is read as Go reads it.
struct Go {
    value: Value,
    is_strict: bool,
}

impl Go {
    fn inner(&self, value: Value) -> Self {
        Self { value, is_strict: self.is_strict }
    }

    fn visit_entries<'de, V: Visitor<'de>>(
        &self,
        entries: Map<String, Value>,
        visitor: V,
    ) -> Result<V::Value> {
        let entries = entries.into_iter().map(|(key, value)| (key, self.inner(value)));
        visitor.visit_map(MapDeserializer::new(entries))
    }
}

impl<'de> IntoDeserializer<'de, serde_json::Error> for Go {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Go {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        match self.value.take() {
            Value::Array(elements) => {
                let elements: Vec<Self> =
                    elements.into_iter().map(|element| self.inner(element)).collect();
                visitor.visit_seq(SeqDeserializer::new(elements.into_iter()))
            }
            Value::Object(map) => self.visit_entries(map, visitor),
            scalar => scalar.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.value {
            Value::Null => visitor.visit_str(""),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.value {
            Value::Null => visitor.visit_bool(false),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.value {
            Value::Null => visitor.visit_seq(SeqDeserializer::new(std::iter::empty::<Self>())),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.value {
            Value::Null => self.visit_entries(Map::new(), visitor),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        let given = match self.value.take() {
            Value::Null => Map::new(),
            Value::Object(map) => map,
            other => return self.inner(other).deserialize_any(visitor),
        };
        let mut known = Map::new();
        for (key, value) in given {
            let field = fields
                .iter()
                .find(|field| **field == key)
                .or_else(|| fields.iter().find(|field| field.eq_ignore_ascii_case(&key)));
            match field {
                Some(_) if value.is_null() => {}
                Some(field) => drop(known.insert((*field).to_owned(), value)),
                None if self.is_strict => {
                    return Err(serde_json::Error::custom(format!("there is no field {key:?}")));
                }
                None => {}
            }
        }
        self.visit_entries(known, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.value.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str bytes byte_buf unit unit_struct
        newtype_struct tuple tuple_struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields, default)]
    struct Outer {
        name_prefix: String,
        list: Vec<Inner>,
        texts: BTreeMap<String, String>,
        n: Option<i64>,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Inner {
        a: bool,
    }

    #[test]
    fn names_have_no_case_and_null_is_nothing() {
        let read: Outer = strictly(json!({
            "nameprefix": "x-", "LIST": [{"A": true}, null], "texts": {"a": null}, "n": null,
        }))
        .unwrap();
        let expected = Outer {
            name_prefix: "x-".to_owned(),
            list: vec![Inner { a: true }, Inner::default()],
            texts: [("a".to_owned(), String::new())].into(),
            n: None,
        };
        assert_eq!(read, expected);
    }

    #[test]
    fn what_is_not_known_is_an_error_or_left_out() {
        let value = json!({"list": [{"b": 1}]});
        let said = strictly::<Outer>(value.clone()).unwrap_err().to_string();
        assert_eq!(said, "there is no field \"b\"");
        assert_eq!(loosely::<Outer>(value).unwrap().list, [Inner::default()]);
        assert!(strictly::<Outer>(json!({"texts": {"a": true}})).is_err());
        assert!(strictly::<Outer>(json!({"namePrefix": 1})).is_err());
    }
}
