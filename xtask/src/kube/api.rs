//! The Kubernetes API as JSON, over plain HTTP on loopback.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

/// A real API, by way of `kubectl proxy`, or that of our own cluster.
#[derive(Clone)]
pub(crate) struct Api {
    url: String,
    agent: ureq::Agent,
}

impl Api {
    /// The API at `HOST:PORT`.
    pub(crate) fn new(address: impl std::fmt::Display) -> Self {
        let config = ureq::Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)));
        Self { url: format!("http://{address}"), agent: config.build().new_agent() }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The document at a path; none where there is none.
    pub(crate) fn find(&self, path: &str) -> anyhow::Result<Option<Value>> {
        let answer = self.agent.get(format!("{}/{path}", self.url)).call()?;
        let status = answer.status();
        let document = read(answer)?;
        match status.as_u16() {
            200 => Ok(Some(document)),
            404 => Ok(None),
            _ => bail!("{path}: {status} {document}"),
        }
    }

    /// The items of a list.
    pub(crate) fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let list = self.find(path)?.with_context(|| format!("there is no {path}"))?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    /// Makes an object; an error when it is not taken.
    pub(crate) fn create(&self, path: &str, object: &Value) -> anyhow::Result<Value> {
        let url = format!("{}/{path}", self.url);
        let answer =
            self.agent.post(url).content_type("application/json").send(object.to_string())?;
        taken(path, answer)
    }

    /// Lays `patch` over an object (a merge patch).
    pub(crate) fn patch(&self, path: &str, patch: &Value) -> anyhow::Result<Value> {
        let url = format!("{}/{path}", self.url);
        let kind = "application/merge-patch+json";
        taken(path, self.agent.patch(url).content_type(kind).send(patch.to_string())?)
    }

    /// Deletes an object, at once where `at_once`.
    pub(crate) fn delete(&self, path: &str, at_once: bool) -> anyhow::Result<()> {
        let grace = if at_once { "?gracePeriodSeconds=0" } else { "" };
        let answer = self.agent.delete(format!("{}/{path}{grace}", self.url)).call()?;
        taken(path, answer).map(drop)
    }

    /// Waits until what is at a path is as `holds` wants it; fails with what is there instead.
    pub(crate) fn wait(
        &self,
        path: &str,
        patience: Duration,
        mut holds: impl FnMut(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        let deadline = Instant::now() + patience;
        loop {
            let found = self.find(path)?;
            if let Some(found) = found.as_ref().filter(|found| holds(found)) {
                return Ok(found.clone());
            }
            ensure!(Instant::now() < deadline, "{path} is not as it should be: {found:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

fn taken(path: &str, answer: ureq::http::Response<ureq::Body>) -> anyhow::Result<Value> {
    let status = answer.status();
    let document = read(answer)?;
    ensure!(status.is_success(), "{path}: {status}: {}", document["message"]);
    Ok(document)
}

fn read(mut answer: ureq::http::Response<ureq::Body>) -> anyhow::Result<Value> {
    let text = answer.body_mut().with_config().limit(64 << 20).read_to_string()?;
    Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
}
