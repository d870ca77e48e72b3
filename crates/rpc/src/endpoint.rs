//! One node: a URL, one request, one answer.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use ureq::http::Uri;
use ureq::{Agent, Body};

use crate::client::{GLANCE, Question};
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

/// How long a request may take, and who may end it before.
#[derive(Clone, Copy)]
pub(crate) struct Allowance<'a> {
    pub(crate) timeout: Duration,
    pub(crate) cancelled: &'a dyn Fn() -> bool,
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
        self.ask_within(question, Allowance { timeout, cancelled: &|| false })
    }

    /// As [`Endpoint::ask`], unless somebody ends it before.
    pub(crate) fn ask_within(
        &self,
        question: &Question,
        allowance: Allowance<'_>,
    ) -> Result<Value, Trouble> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let asked = question.method.as_str();
        let answer = self.post(asked, question.envelope(id).to_string(), allowance)?;
        let value = answer.json().filter(is_answer);
        match value.filter(|value| !answer.is_turned_away(asked, value)) {
            Some(value) => self.result(question, id, value, &answer),
            None => Err(self.no_answer(asked, answer)),
        }
    }

    /// Asks several questions in one request, once. Returns the results in their order.
    ///
    /// # Errors
    /// For all together if there is no list of answers in time; for each question that is not answered
    /// in it.
    pub(crate) fn ask_batch(
        &self,
        questions: &[Question],
        allowance: Allowance<'_>,
    ) -> Result<Vec<Result<Value, Trouble>>, Trouble> {
        let count = questions.len() as u64;
        let first = self.next_id.fetch_add(count, Ordering::Relaxed);
        let ids = first..first + count;
        let envelopes: Vec<Value> =
            questions.iter().zip(ids.clone()).map(|(question, id)| question.envelope(id)).collect();
        let asked = questions.first().map_or("", |question| &question.method);
        let answer = self.post(asked, Value::Array(envelopes).to_string(), allowance)?;
        let Some(Value::Array(mut values)) =
            answer.json().filter(|value| !answer.is_turned_away(asked, value))
        else {
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
    /// If it is not there in time, or if that takes more than the limit.
    pub(crate) fn get(&self, path: &str, allowance: Allowance<'_>) -> Result<Vec<u8>, Trouble> {
        let url = below(&self.url, path);
        let timeout = Some(allowance.timeout);
        let request = self.agent.get(&url).config().timeout_global(timeout).build();
        let request = request.header("accept", "application/json");
        let answer = self.send(path, allowance, move || request.call())?;
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

    fn post(
        &self,
        asked: &str,
        question: String,
        allowance: Allowance<'_>,
    ) -> Result<Answer, Trouble> {
        let timeout = Some(allowance.timeout);
        let request = self.agent.post(&self.url).config().timeout_global(timeout).build();
        let request = request.header("content-type", "application/json");
        self.send(asked, allowance, move || request.send(question))
    }

    /// Has a request made by another thread, so that whoever waits for it can leave.
    fn send(
        &self,
        asked: &str,
        allowance: Allowance<'_>,
        request: impl FnOnce() -> Result<ureq::http::Response<Body>, ureq::Error> + Send + 'static,
    ) -> Result<Answer, Trouble> {
        let Allowance { timeout, cancelled } = allowance;
        let unreachable =
            |why: String| self.trouble(asked, What::Unreachable { place: self.place.clone(), why });
        let (limit, started) = (self.answer_limit, Instant::now());
        let (sender, receiver) = channel();
        let work = move || {
            // Nobody may wait for it any more.
            let _ = sender.send(request().and_then(|response| Answer::read(response, limit)));
        };
        thread::Builder::new().spawn(work).map_err(|error| unreachable(error.to_string()))?;
        loop {
            match receiver.recv_timeout(GLANCE) {
                Ok(answer) => return answer.map_err(|error| self.failed(asked, &error, timeout)),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(unreachable("the request broke off".into()));
                }
                Err(RecvTimeoutError::Timeout) if cancelled() => {
                    return Err(self.trouble(asked, What::Cancelled));
                }
                // Whatever it waits for.
                Err(RecvTimeoutError::Timeout) if started.elapsed() > timeout + GLANCE => {
                    let place = self.place.clone();
                    return Err(self.trouble(asked, What::Timeout { place, after: timeout }));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
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
    fn read(mut response: ureq::http::Response<Body>, limit: u64) -> Result<Self, ureq::Error> {
        let status = response.status();
        let retry_after = response.headers().get("retry-after");
        // The other form is a date, which rate limits do not use.
        let retry_after = retry_after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        Ok(Self {
            status: status.to_string(),
            code: status.as_u16(),
            retry_after: retry_after.map(Duration::from_secs),
            body: response.body_mut().with_config().limit(limit).read_to_vec()?,
        })
    }

    /// Whether whoever asks is turned away, whatever else the answer says.
    fn is_turned_away(&self, asked: &str, value: &Value) -> bool {
        let error = &value["error"];
        let message = error["message"].as_str().unwrap_or_default();
        match self.code {
            401 | 407 | 429 => true,
            // Some keys are good for some methods.
            403 => !is_lack(asked, error["code"].as_i64(), message),
            _ => false,
        }
    }

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
