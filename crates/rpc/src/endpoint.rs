//! One node: a URL, one request, one answer.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use ureq::http::Uri;
use ureq::{Agent, Body};

use crate::client::Question;
use crate::trouble::{Trouble, What, is_lack};

/// A node that is asked over HTTP.
#[derive(Debug)]
pub struct Endpoint {
    agent: Agent,
    url: String,
    /// The URL without what may be secret.
    place: String,
    /// The most bytes of an answer.
    answer_limit: u64,
    next_id: AtomicU64,
    /// When it wants to be asked again.
    resting_until: Mutex<Option<Instant>>,
    /// Methods that it said it does not have.
    lacking: Mutex<Vec<String>>,
    pub(crate) refuses_batches: AtomicBool,
}

/// Why a text is no URL of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// Not even a URL.
    #[error("is none")]
    None,
    /// Of something else.
    #[error("begins neither with http:// nor with https://")]
    Scheme,
}

impl Endpoint {
    /// The node at a URL; answers may have so many bytes.
    ///
    /// # Errors
    /// If that is no URL of HTTP.
    pub fn new(url: &str, answer_limit: u64) -> Result<Self, UrlError> {
        let place = place(url)?;
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .build()
            .new_agent();
        Ok(Self {
            agent,
            url: url.to_owned(),
            place,
            answer_limit,
            next_id: AtomicU64::new(1),
            resting_until: Mutex::new(None),
            lacking: Mutex::new(Vec::new()),
            refuses_batches: AtomicBool::new(false),
        })
    }

    /// Scheme, host and port.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Asks one question, once. Returns the result, as the node gave it.
    ///
    /// # Errors
    /// If there is none within `timeout`.
    pub fn ask(&self, question: &Question, timeout: Duration) -> Result<Value, Trouble> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let asked = question.method.as_str();
        let answer = self.post(asked, &question.envelope(id).to_string(), timeout)?;
        match answer.json().filter(is_answer) {
            // Whatever else it says, it wants to be left alone.
            Some(value) if answer.code != 429 => self.result(question, id, value, &answer),
            _ => Err(self.no_answer(asked, answer)),
        }
    }

    /// Asks several questions in one request, once. Returns the results in their order.
    ///
    /// # Errors
    /// For all together if there is no list of answers within `timeout`; for each question that is
    /// not answered in it.
    pub fn ask_batch(
        &self,
        questions: &[&Question],
        timeout: Duration,
    ) -> Result<Vec<Result<Value, Trouble>>, Trouble> {
        let count = questions.len() as u64;
        let first = self.next_id.fetch_add(count, Ordering::Relaxed);
        let ids = first..first + count;
        let envelopes: Vec<Value> =
            questions.iter().zip(ids.clone()).map(|(question, id)| question.envelope(id)).collect();
        let asked = questions.first().map_or("", |question| &question.method);
        let answer = self.post(asked, &Value::Array(envelopes).to_string(), timeout)?;
        let Some(Value::Array(mut values)) = answer.json() else {
            return Err(self.no_answer(asked, answer));
        };
        let answers = questions.iter().zip(ids).map(|(question, id)| {
            let found = values.iter_mut().find(|value| value["id"] == id && is_answer(value));
            match found {
                Some(value) => self.result(question, id, value.take(), &answer),
                None => {
                    let why = "an answer is missing from its list";
                    Err(self.malformed(&question.method, why, answer.text()))
                }
            }
        });
        Ok(answers.collect())
    }

    /// Gets what is at a path below the URL, once.
    ///
    /// # Errors
    /// If it is not there within `timeout`, or if that takes more than the limit.
    pub fn get(&self, path: &str, timeout: Duration) -> Result<Vec<u8>, Trouble> {
        let url = below(&self.url, path);
        let request = self.agent.get(&url).config().timeout_global(Some(timeout)).build();
        let response = request.header("accept", "application/json").call();
        let answer = self.read(path, response, timeout)?;
        match answer.code {
            200 => Ok(answer.body),
            _ => Err(self.status(path, answer)),
        }
    }

    /// How long it wants to be left alone from now on.
    pub(crate) fn rest(&self) -> Duration {
        let until = *self.resting_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    /// Leaves it alone for so long.
    pub(crate) fn let_rest(&self, time: Duration) {
        let until = Some(Instant::now() + time);
        let mut resting = self.resting_until.lock().unwrap_or_else(PoisonError::into_inner);
        *resting = (*resting).max(until);
    }

    /// Whether it has said that it does not have a method.
    pub(crate) fn lacks(&self, method: &str) -> bool {
        let lacking = self.lacking.lock().unwrap_or_else(PoisonError::into_inner);
        lacking.iter().any(|lacking| lacking == method)
    }

    pub(crate) fn trouble(&self, asked: &str, what: What) -> Trouble {
        Trouble { place: self.place.clone(), asked: asked.to_owned(), what: Box::new(what) }
    }

    pub(crate) fn lack(&self, method: &str) -> Trouble {
        let (place, method) = (self.place.clone(), method.to_owned());
        self.trouble(&method.clone(), What::Lacks { place, method })
    }

    /// The trouble with an answer that a check did not pass.
    pub(crate) fn rejected(&self, asked: &str, why: String) -> Trouble {
        let (place, asked) = (self.place.clone(), asked.to_owned());
        self.trouble(&asked.clone(), What::Rejected { place, asked, why })
    }

    fn post(&self, asked: &str, question: &str, timeout: Duration) -> Result<Answer, Trouble> {
        let request = self.agent.post(&self.url).config().timeout_global(Some(timeout)).build();
        let response = request.header("content-type", "application/json").send(question);
        self.read(asked, response, timeout)
    }

    fn read(
        &self,
        asked: &str,
        response: Result<ureq::http::Response<Body>, ureq::Error>,
        timeout: Duration,
    ) -> Result<Answer, Trouble> {
        let failed = |error: ureq::Error| self.failed(asked, &error, timeout);
        let mut response = response.map_err(failed)?;
        let status = response.status();
        let retry_after = response.headers().get("retry-after");
        // The other form is a date, which rate limits do not use.
        let retry_after = retry_after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let body = response.body_mut().with_config().limit(self.answer_limit).read_to_vec();
        Ok(Answer {
            status: status.to_string(),
            code: status.as_u16(),
            retry_after: retry_after.map(Duration::from_secs),
            body: body.map_err(failed)?,
        })
    }

    /// The result in an answer to this question.
    fn result(
        &self,
        question: &Question,
        id: u64,
        mut value: Value,
        answer: &Answer,
    ) -> Result<Value, Trouble> {
        let asked = &question.method;
        if let Some(error) = value["error"].as_object() {
            let code = error.get("code").and_then(Value::as_i64);
            let message = error.get("message").and_then(Value::as_str).unwrap_or("").to_owned();
            if is_lack(asked, code, &message) {
                let mut lacking = self.lacking.lock().unwrap_or_else(PoisonError::into_inner);
                lacking.push(asked.clone());
            }
            let data = error.get("data").cloned().unwrap_or_default();
            let place = self.place.clone();
            return Err(self.trouble(asked, What::Refused { place, code, message, data }));
        }
        if value["id"] != id {
            let why = "its answer is to another question";
            return Err(self.malformed(asked, why, answer.text()));
        }
        Ok(value["result"].take())
    }

    /// The trouble with an answer that has no JSON-RPC in it.
    fn no_answer(&self, asked: &str, answer: Answer) -> Trouble {
        match answer.code {
            200..300 => self.malformed(asked, "its answer is no JSON-RPC", answer.text()),
            _ => self.status(asked, answer),
        }
    }

    fn status(&self, asked: &str, answer: Answer) -> Trouble {
        let text = answer.text();
        let Answer { status, code, retry_after, .. } = answer;
        let place = self.place.clone();
        self.trouble(asked, What::Status { place, status, code, retry_after, text })
    }

    fn malformed(&self, asked: &str, why: &'static str, text: String) -> Trouble {
        self.trouble(asked, What::Malformed { place: self.place.clone(), why, text })
    }

    fn failed(&self, asked: &str, error: &ureq::Error, timeout: Duration) -> Trouble {
        let place = self.place.clone();
        self.trouble(
            asked,
            match error {
                ureq::Error::Timeout(_) => What::Timeout { place, after: timeout },
                ureq::Error::HostNotFound => What::HostNotFound { place },
                ureq::Error::Io(error) => What::Unreachable { place, why: error.to_string() },
                error => {
                    let why = error.to_string().replace(&self.url, &place);
                    What::Transport { place, why }
                }
            },
        )
    }
}

/// What came back.
struct Answer {
    status: String,
    code: u16,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    fn text(&self) -> String {
        // As much as anyone is shown.
        let shown = &self.body[..self.body.len().min(4096)];
        String::from_utf8_lossy(shown).into_owned()
    }
}

fn is_answer(value: &Value) -> bool {
    value["error"].is_object() || value.get("result").is_some()
}

impl Question {
    fn envelope(&self, id: u64) -> Value {
        json!({ "jsonrpc": "2.0", "id": id, "method": self.method, "params": self.params })
    }
}

/// A path below a URL, in front of its query.
fn below(url: &str, path: &str) -> String {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let mut whole = format!("{}/{}", base.trim_end_matches('/'), path.trim_start_matches('/'));
    if !query.is_empty() {
        whole.push(if path.contains('?') { '&' } else { '?' });
        whole.push_str(query);
    }
    whole
}

/// Scheme, host and port of a URL: a path, a query or a password may be secret.
fn place(url: &str) -> Result<String, UrlError> {
    let uri: Uri = url.parse().map_err(|_| UrlError::None)?;
    match (uri.scheme_str(), uri.host(), uri.port_u16()) {
        (Some(scheme @ ("http" | "https")), Some(host), port) => {
            let port = port.map_or_else(String::new, |port| format!(":{port}"));
            Ok(format!("{scheme}://{host}{port}"))
        }
        _ => Err(UrlError::Scheme),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_secrets() {
        for (url, shown) in [
            ("http://127.0.0.1:8545", "http://127.0.0.1:8545"),
            ("https://me:secret@node.example/v3/key?token=1", "https://node.example"),
            ("https://[::1]:1/", "https://[::1]:1"),
        ] {
            assert_eq!(place(url).unwrap(), shown);
        }
        for url in ["", "ftp://a", "node.example", "http://", "/path", "ws://a", "http://a b"] {
            assert!(place(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_path_goes_between_a_base_and_its_key() {
        for (url, path, whole) in [
            ("http://a", "/eth/v1", "http://a/eth/v1"),
            ("http://a/key/", "eth/v1?x=1", "http://a/key/eth/v1?x=1"),
            ("http://a/?key=1", "/eth/v1", "http://a/eth/v1?key=1"),
            ("http://a?key=1", "/eth?x=2", "http://a/eth?x=2&key=1"),
        ] {
            assert_eq!(below(url, path), whole);
        }
    }
}
