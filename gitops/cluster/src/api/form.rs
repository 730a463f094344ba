//! In what form objects are answered: as they are, by their metadata alone, or as rows of a table.

use std::time::SystemTime;

use serde_json::{Value, json};

use super::query::Query;
use super::table;
use crate::discovery::Resource;

/// What a client accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Objects,
    Metadata,
    Table,
}

impl Form {
    /// The first of the media types of `Accept` that is known here; none where there is no such.
    pub(super) fn accepted(accept: &str) -> Option<Self> {
        let known = |media_type: &str| {
            let mut parts = media_type.split(';').map(str::trim);
            let is_json =
                matches!(parts.next(), Some("" | "*/*" | "application/*" | "application/json"));
            let parameters: Vec<_> = parts.filter_map(|it| it.split_once('=')).collect();
            let parameter =
                |wanted: &str| parameters.iter().find(|(name, _)| *name == wanted).map(|it| it.1);
            match (parameter("as"), parameter("v")) {
                _ if !is_json => None,
                (None, _) => Some(Self::Objects),
                (Some("Table"), Some("v1")) => Some(Self::Table),
                (Some("PartialObjectMetadata" | "PartialObjectMetadataList"), Some("v1")) => {
                    Some(Self::Metadata)
                }
                _ => None,
            }
        };
        accept.split(',').find_map(known)
    }

    /// One object.
    pub(super) fn one(self, object: Value) -> Value {
        match self {
            Self::Objects | Self::Table => object,
            Self::Metadata => metadata_of(&object),
        }
    }

    /// Objects of a kind; with the version that the list is of.
    pub(super) fn list(
        self,
        resource: &Resource,
        objects: &[Value],
        query: &Query,
        version: Option<u64>,
    ) -> Value {
        let about = match version {
            Some(version) => json!({"resourceVersion": version.to_string()}),
            None => objects.first().map_or(
                json!({}),
                |object| json!({"resourceVersion": object["metadata"]["resourceVersion"]}),
            ),
        };
        match self {
            Self::Objects => json!({
                "kind": format!("{}List", resource.kind), "apiVersion": resource.api_version(),
                "metadata": about, "items": objects,
            }),
            Self::Metadata => json!({
                "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                "metadata": about, "items": objects.iter().map(metadata_of).collect::<Vec<_>>(),
            }),
            Self::Table => self.table(resource, objects, query, &about),
        }
    }

    fn table(self, resource: &Resource, objects: &[Value], query: &Query, about: &Value) -> Value {
        let now = SystemTime::now();
        let row = |object: &Value| {
            let mut row = json!({"cells": table::cells(&resource.kind, object, now)});
            match query.include.as_str() {
                "None" => {}
                "Object" => row["object"] = object.clone(),
                _ => row["object"] = metadata_of(object),
            }
            row
        };
        json!({
            "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": about,
            "columnDefinitions": table::columns(&resource.kind),
            "rows": objects.iter().map(row).collect::<Vec<_>>(),
        })
    }
}

fn metadata_of(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_accepted_first_and_known_is_the_form() {
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        for (accept, form) in [
            ("", Some(Form::Objects)),
            ("*/*", Some(Form::Objects)),
            ("application/json", Some(Form::Objects)),
            ("application/vnd.kubernetes.protobuf,application/json", Some(Form::Objects)),
            (table, Some(Form::Table)),
            ("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1", Some(Form::Metadata)),
            (
                "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json",
                Some(Form::Objects),
            ),
            ("application/json;as=Table;v=v1beta1;g=meta.k8s.io,*/*", Some(Form::Objects)),
            ("application/vnd.kubernetes.protobuf", None),
            ("application/yaml", None),
        ] {
            assert_eq!(Form::accepted(accept), form, "{accept}");
        }
    }
}
