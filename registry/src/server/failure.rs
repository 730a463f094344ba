//! What the registry says when it does not do what it was asked (distribution-spec, "Error Codes").

use std::error::Error as _;

use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::limits::MAX_MESSAGE;
use crate::{ContentError, Error, content};

/// An answer other than success: a status, a body in the specification's form, and further headers.
#[derive(Debug)]
pub(super) struct Failure {
    code: Code,
    message: String,
    headers: Vec<(&'static str, String)>,
}

/// The specification's codes, and `UNKNOWN` for the registry's own faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    BlobUnknown,
    /// An upload goes on at the wrong place.
    BlobUploadOutOfOrder,
    BlobUploadUnknown,
    /// Another request has taken the upload over.
    BlobUploadTaken,
    /// A request's body broke off.
    BlobUploadBroken,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestTooLarge,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    /// A `Range` that the blob does not have.
    RangeInvalid,
    SizeInvalid,
    TagInvalid,
    /// No user, or not the right password.
    Unauthorized,
    /// More at once than is borne.
    TooMany,
    /// A request that the registry does not understand.
    BadRequest,
    NoRoute,
    NoSpace,
    Unsupported,
    Unknown,
}

impl Code {
    fn parts(self) -> (StatusCode, &'static str) {
        match self {
            Self::BlobUnknown => (StatusCode::NOT_FOUND, "BLOB_UNKNOWN"),
            Self::BlobUploadOutOfOrder => {
                (StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID")
            }
            Self::BlobUploadUnknown => (StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"),
            Self::BlobUploadTaken => (StatusCode::CONFLICT, "BLOB_UPLOAD_INVALID"),
            Self::BlobUploadBroken => (StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID"),
            Self::DigestInvalid => (StatusCode::BAD_REQUEST, "DIGEST_INVALID"),
            Self::ManifestBlobUnknown => (StatusCode::BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN"),
            Self::ManifestInvalid => (StatusCode::BAD_REQUEST, "MANIFEST_INVALID"),
            Self::ManifestTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID"),
            Self::ManifestUnknown => (StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN"),
            Self::NameInvalid => (StatusCode::BAD_REQUEST, "NAME_INVALID"),
            Self::NameUnknown => (StatusCode::NOT_FOUND, "NAME_UNKNOWN"),
            Self::RangeInvalid => (StatusCode::RANGE_NOT_SATISFIABLE, "SIZE_INVALID"),
            Self::SizeInvalid => (StatusCode::BAD_REQUEST, "SIZE_INVALID"),
            Self::TagInvalid => (StatusCode::BAD_REQUEST, "TAG_INVALID"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "UNAUTHORIZED"),
            Self::TooMany => (StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS"),
            Self::BadRequest => (StatusCode::BAD_REQUEST, "UNSUPPORTED"),
            Self::NoRoute => (StatusCode::NOT_FOUND, "UNSUPPORTED"),
            Self::NoSpace => (StatusCode::INSUFFICIENT_STORAGE, "UNKNOWN"),
            Self::Unsupported => (StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED"),
            Self::Unknown => (StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN"),
        }
    }
}

impl Failure {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), headers: Vec::new() }
    }

    /// More at once than is borne: the client is to come again.
    pub(super) fn too_many(message: impl Into<String>) -> Self {
        Self::new(Code::TooMany, message).with_header("retry-after", "1")
    }

    pub(super) fn is(&self, code: Code) -> bool {
        self.code == code
    }

    pub(super) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Makes an answer of a status, the specification's code and a message, and adds its headers.
    pub(super) fn answer(
        self,
        make: impl FnOnce(StatusCode, &'static str, &str) -> Response,
    ) -> Response {
        let (status, code) = self.code.parts();
        // A message may quote what the client sent, and that may be anything of any length.
        let message = &self.message[..self.message.floor_char_boundary(MAX_MESSAGE)];
        let mut response = make(status, code, message);
        for (name, value) in self.headers {
            let value = HeaderValue::from_str(&value).expect("our headers are printable ASCII");
            response.headers_mut().insert(name, value);
        }
        response
    }

    /// A fault of the registry: the log has the cause, the client learns nothing of the registry's
    /// disk.
    pub(super) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "the registry failed");
        Self::new(Code::Unknown, "the registry failed; its log says why")
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull => {
                Self::new(Code::NoSpace, "the registry's disk is full")
            }
            _ => Self::internal(&error),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::Io(_) => Code::Unknown,
            Error::Content(ContentError::InvalidDigest { .. }) => Code::DigestInvalid,
            Error::Content(
                ContentError::InvalidDocument { .. }
                | ContentError::AmbiguousManifest { .. }
                | ContentError::NotAManifest { .. },
            ) => Code::ManifestInvalid,
            Error::Content(ContentError::TooLarge { .. }) => Code::ManifestTooLarge,
            _ => Code::Unknown,
        };
        match (code, error) {
            (Code::Unknown, Error::Io(error)) => error.into(),
            (Code::Unknown, error) => Self::internal(&error),
            (code, error) => {
                let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
                Self::new(code, format!("{error}{cause}"))
            }
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.answer(|status, code, message| {
            let body = json!({ "errors": [{ "code": code, "message": message }] });
            let headers = [("content-type", "application/json")];
            (status, headers, content::encode(&body)).into_response()
        })
    }
}
