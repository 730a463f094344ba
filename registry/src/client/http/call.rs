//! A request, as a value.

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::body;

/// A request that can be sent again.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Payload,
    /// How many times longer than usual its answer may take.
    pub(crate) patience: u32,
    /// Whether it is sent only once, whatever comes of it.
    is_once: bool,
}

/// What a request carries.
#[derive(Clone, Debug)]
pub(crate) enum Payload {
    Empty,
    Bytes(Bytes),
    File(body::FileBody),
}

impl Call {
    pub(crate) fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            payload: Payload::Empty,
            patience: 1,
            is_once: false,
        }
    }

    pub(crate) fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    pub(crate) fn with(mut self, name: HeaderName, value: &str) -> Self {
        // A value that no header can hold is left out; ours are media types, ranges and numbers.
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    pub(crate) fn carrying(self, payload: Payload) -> Self {
        Self { payload, ..self }
    }

    pub(crate) fn with_patience(self, patience: u32) -> Self {
        Self { patience, ..self }
    }

    pub(crate) fn once(self) -> Self {
        Self { is_once: true, ..self }
    }

    /// Says whether it may simply be sent again: it carries no part of a file, and the server does
    /// not add it to what it has.
    pub(crate) fn is_repeatable(&self) -> bool {
        !self.is_once && !matches!(self.payload, Payload::File(_)) && self.method != Method::PATCH
    }
}
