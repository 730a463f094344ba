//! Sends requests: through the proxy or not, with patience, repetitions and redirects that leak
//! nothing.

mod answer;
pub(crate) mod body;
mod call;
pub(crate) mod envelope;
pub(crate) mod link;
pub(crate) mod location;
pub(crate) mod resolver;
mod retry;
mod tls;
mod waits;
mod warning;

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, HeaderValue,
    LOCATION, RETRY_AFTER,
};
use reqwest::{Method, Response};
use serde::de::DeserializeOwned;
use url::{Host, Url};

#[cfg(feature = "hub")]
pub(crate) use self::answer::check_plain;
pub(crate) use self::answer::{is_page, wrong_size};
pub(crate) use self::call::{Call, Payload};
use self::waits::Waits;
use crate::client::{ClientOptions, Proxy};
use crate::{ContentError, Error, HttpError, Result};

const MAX_REDIRECTS: usize = 5;
/// The largest error document that is read, in bytes.
const MAX_REASONS: u64 = 64 * 1024;

/// Two sets of connections: loopback is never asked for through a proxy.
#[derive(Debug)]
pub(crate) struct Http {
    outside: reqwest::Client,
    loopback: reqwest::Client,
    stall_timeout: Duration,
    waits: Waits,
    warnings: Mutex<BTreeSet<String>>,
}

impl Http {
    pub(crate) fn new(options: &ClientOptions) -> Result<Self> {
        let tls = tls::config(options)?;
        let outside = match &options.proxy {
            Proxy::Url(url) => base(options, &tls).proxy(reqwest::Proxy::all(url).map_err(setup)?),
            Proxy::System => base(options, &tls),
            Proxy::None => base(options, &tls).no_proxy(),
        };
        #[cfg(not(feature = "hickory-dns"))]
        let outside = outside.dns_resolver(std::sync::Arc::new(resolver::Resolver));
        Ok(Self {
            outside: outside.build().map_err(setup)?,
            loopback: base(options, &tls).no_proxy().build().map_err(setup)?,
            stall_timeout: options.stall_timeout,
            waits: Waits::new(options),
            warnings: Mutex::default(),
        })
    }

    /// Sends a request once. A body from a file is not timed here: whoever sends one watches its
    /// progress.
    pub(crate) async fn send_once(&self, call: &Call) -> Result<Response> {
        let started = Instant::now();
        let sending = self.request(call).send();
        let outcome = match &call.payload {
            Payload::File(_) => sending.await,
            _ => tokio::time::timeout(self.stall_timeout * call.patience, sending)
                .await
                .map_err(|_| self.stalled(&call.url))?,
        };
        let (method, url, took) = (&call.method, location::shown(&call.url), started.elapsed());
        let response = outcome.map_err(|source| request_error(method, &call.url, source)).inspect_err(|error| {
            tracing::debug!(%method, url, ?took, error = error as &dyn StdError, "request failed");
        })?;
        tracing::debug!(%method, url, status = response.status().as_u16(), ?took, "request");
        self.lock_warnings().extend(warning::warnings(response.headers()));
        Ok(response)
    }

    /// Sends a request, again if it fails in a way that may pass. The last answer is returned
    /// whatever it says.
    pub(crate) async fn send(&self, call: &Call) -> Result<Response> {
        let mut attempt = 0;
        loop {
            let outcome = self.send_once(call).await;
            let may_pass = match &outcome {
                Ok(response) => retry::is_transient(response.status()),
                Err(error) => is_passing(error, &call.url),
            };
            attempt += 1;
            let is_too_long = outcome
                .as_ref()
                .is_ok_and(|response| retry_after(response).is_some_and(retry::is_too_long));
            if !may_pass || is_too_long || !self.waits.lasts(attempt) || !call.is_repeatable() {
                return outcome;
            }
            let error = match outcome {
                Ok(response) => self.status_error(response).await,
                Err(error) => error,
            };
            self.waits.wait(attempt, &error).await;
        }
    }

    /// Sends a request and follows redirects of GET and HEAD. Credentials stay behind at the first
    /// other origin.
    pub(crate) async fn follow(&self, mut call: Call) -> Result<Response> {
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send(&call).await?;
            let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
            if !is_redirect || !matches!(call.method, Method::GET | Method::HEAD) {
                return Ok(response);
            }
            let target = target(&response, &call.url)?;
            if !location::is_same_origin(&target, &call.url) {
                call.headers.remove(AUTHORIZATION);
            }
            call.url = target;
        }
        Err(refused(&call.url, "it is one redirect too many"))
    }

    /// Waits as the number of failures says, or as the server has asked with this error; false when
    /// there were too many, or it asks for too much.
    pub(crate) async fn pause(&self, failures: u32, error: &Error) -> bool {
        let goes_on = self.waits.goes_on(failures, error);
        if goes_on {
            self.waits.wait(failures, error).await;
        }
        goes_on
    }

    /// Reads the next piece of a body; the end is `None`.
    pub(crate) async fn chunk(&self, response: &mut Response) -> Result<Option<Bytes>> {
        match tokio::time::timeout(self.stall_timeout, response.chunk()).await {
            Ok(read) => read.map_err(|source| request_error(&Method::GET, response.url(), source)),
            Err(_) => Err(self.stalled(response.url())),
        }
    }

    /// Reads a whole body that has `limit` bytes at most, and undoes a coding that nobody asked
    /// for.
    pub(crate) async fn read(&self, response: Response, limit: u64) -> Result<Vec<u8>> {
        let (coding, url) = (answer::coding(&response), location::shown(response.url()));
        answer::decoded(self.read_raw(response, limit).await?, coding, url, limit)
    }

    async fn read_raw(&self, mut response: Response, limit: u64) -> Result<Vec<u8>> {
        let too_large = |response: &Response, size| {
            Error::from(ContentError::TooLarge {
                what: location::shown(response.url()),
                size,
                limit,
            })
        };
        if let Some(size) = response.content_length().filter(|size| *size > limit) {
            return Err(too_large(&response, size));
        }
        let mut read = Vec::new();
        while let Some(chunk) = self.chunk(&mut response).await? {
            read.extend_from_slice(&chunk);
            if read.len() as u64 > limit {
                return Err(too_large(&response, read.len() as u64));
            }
        }
        Ok(read)
    }

    /// Reads a JSON document that has `limit` bytes at most, as its bytes.
    pub(crate) async fn read_document(&self, response: Response, limit: u64) -> Result<Vec<u8>> {
        let url = location::shown(response.url());
        let body = self.read(response, limit).await?;
        match answer::looks_like_a_page(&body) {
            true => Err(answer::page(url)),
            false => Ok(body),
        }
    }

    /// Reads a JSON document that has `limit` bytes at most.
    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        response: Response,
        limit: u64,
    ) -> Result<T> {
        self.page(response, limit, &mut limit.clone()).await
    }

    /// Reads a page of a list, which has `limit` bytes at most, and takes it from what is `left` to
    /// all pages.
    pub(crate) async fn page<T: DeserializeOwned>(
        &self,
        response: Response,
        limit: u64,
        left: &mut u64,
    ) -> Result<T> {
        let what = location::shown(response.url());
        let body = self.read_document(response, limit).await?;
        let Some(rest) = left.checked_sub(body.len() as u64) else {
            return Err(HttpError::protocol(what, "the list is too long: no more is read").into());
        };
        *left = rest;
        serde_json::from_slice(&body)
            .map_err(|source| ContentError::InvalidDocument { what, source }.into())
    }

    /// Passes a response on whose status is among `statuses`; another one is an error with the
    /// server's reasons.
    pub(crate) async fn expect(&self, response: Response, statuses: &[u16]) -> Result<Response> {
        match statuses.contains(&response.status().as_u16()) {
            true => Ok(response),
            false => Err(self.status_error(response).await),
        }
    }

    async fn status_error(&self, response: Response) -> Error {
        let (url, status) = (location::shown(response.url()), response.status().as_u16());
        let retry_after = retry_after(&response);
        HttpError::Status { url, status, retry_after, reasons: self.reasons(response).await }.into()
    }

    pub(crate) async fn reasons(&self, response: Response) -> String {
        envelope::reasons(&self.read(response, MAX_REASONS).await.unwrap_or_default())
    }

    pub(crate) fn stall_timeout(&self) -> Duration {
        self.stall_timeout
    }

    pub(crate) fn stalled(&self, url: &Url) -> Error {
        HttpError::Stalled { url: location::shown(url), seconds: self.stall_timeout.as_secs_f32() }
            .into()
    }

    pub(crate) fn warn(&self, text: String) {
        self.lock_warnings().insert(text);
    }

    pub(crate) fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut *self.lock_warnings()).into_iter().collect()
    }
}

impl Http {
    fn request(&self, call: &Call) -> reqwest::RequestBuilder {
        let http = if is_loopback(&call.url) { &self.loopback } else { &self.outside };
        let request =
            http.request(call.method.clone(), call.url.clone()).headers(call.headers.clone());
        match &call.payload {
            Payload::Bytes(bytes) => request.body(bytes.clone()),
            Payload::File(file) => {
                request.header(CONTENT_LENGTH, file.remaining()).body(file.body())
            }
            Payload::Empty if call.method == Method::GET || call.method == Method::HEAD => request,
            Payload::Empty => request.body(""),
        }
    }

    fn lock_warnings(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn base(options: &ClientOptions, tls: &rustls::ClientConfig) -> reqwest::ClientBuilder {
    // Without the header a server may choose a coding; content is named by its bytes as they are.
    let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]);
    reqwest::Client::builder()
        .default_headers(headers)
        .tls_backend_preconfigured(tls.clone())
        .user_agent(&options.user_agent)
        .connect_timeout(options.connect_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
}

fn setup(source: reqwest::Error) -> Error {
    HttpError::Setup { source: source.without_url().into() }.into()
}

fn request_error(method: &Method, url: &Url, source: reqwest::Error) -> Error {
    if let Some(reason @ rustls::Error::InvalidCertificate(_)) = tls_error(&source) {
        let (url, source) = (location::shown(url), Box::new(reason.clone()));
        return HttpError::UntrustedCertificate { url, source }.into();
    }
    // The address stands in the error already, without the query, which may be a secret.
    HttpError::Request {
        method: method.to_string(),
        url: location::shown(url),
        source: source.without_url().into(),
    }
    .into()
}

/// Checks that a part of a body begins where it was asked for.
pub(crate) fn check_first_byte(response: &Response, first: u64) -> Result<()> {
    let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    if range.and_then(location::first_byte) == Some(first) {
        return Ok(());
    }
    let url = location::shown(response.url());
    Err(HttpError::protocol(url, "the range is not the one that was asked for").into())
}

/// Resolves the target of a redirect, if it may be followed.
pub(crate) fn target(response: &Response, from: &Url) -> Result<Url> {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let Some(location) = location else { return Err(refused(from, "it names no location")) };
    let Some(target) = location::resolve(location, from) else {
        return Err(refused(from, "its location is not HTTP, or weaker than where it came from"));
    };
    if resolver::is_forbidden_host(&target) && !location::is_same_origin(&target, from) {
        return Err(refused(from, "its location is a link-local address"));
    }
    Ok(target)
}

fn refused(url: &Url, reason: &str) -> Error {
    HttpError::Redirect { url: location::shown(url), reason: reason.to_owned() }.into()
}

pub(crate) fn retry_after(response: &Response) -> Option<Duration> {
    let header = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    retry::retry_after(header, SystemTime::now())
}

/// Says whether a request that got no answer may get one later.
fn is_passing(error: &Error, url: &Url) -> bool {
    match error {
        Error::Http(HttpError::Stalled { .. }) => true,
        Error::Http(HttpError::Request { source, .. }) => {
            match source.downcast_ref::<reqwest::Error>() {
                // Nothing listens on this machine, or the certificate is wrong: that does not pass in
                // seconds.
                Some(error) if error.is_connect() => {
                    !is_loopback(url) && tls_error(error).is_none()
                }
                Some(error) => !error.is_builder(),
                None => false,
            }
        }
        _ => false,
    }
}

/// Finds what went wrong with TLS, if that is why a request failed.
fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.find_map(tls_error_in)
}

/// An error of TLS may lie in an error of input and output, and that in another; neither calls it
/// its source.
fn tls_error_in<'a>(cause: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let inner = || cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    cause.downcast_ref().or_else(|| tls_error_in(inner()?))
}

/// Says whether a URL leads to this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(v4)) => Ipv4Addr::is_loopback(&v4),
        Some(Host::Ipv6(v6)) => Ipv6Addr::is_loopback(&v6),
        None => false,
    }
}
