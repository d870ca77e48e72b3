//! Several endpoints that serve the same, as one: the next is asked where one fails, all are asked
//! again after a wait where none answered, and none more often than it wants.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::endpoint::{Allowance, Endpoint, UrlError};
use crate::slots::Slots;
use crate::trouble::{Trouble, What};

/// The longest that a node is left alone because it asked for that.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// For how many methods the last trouble is kept.
const KEPT_TROUBLES: usize = 32;

/// How often whoever waits looks whether it is still wanted.
pub(crate) const GLANCE: Duration = Duration::from_millis(20);

/// A method and its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// For instance `eth_chainId`.
    pub method: String,
    /// A list.
    pub params: Value,
}

impl Question {
    /// Asks for `method` with these parameters, a JSON list.
    pub fn new(method: &str, params: Value) -> Self {
        Self { method: method.to_owned(), params }
    }
}

/// How patient a [`Client`] is, and how greedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How long one request may take.
    pub timeout: Duration,
    /// How often all endpoints are gone through while the trouble is a passing one.
    pub rounds: u32,
    /// The wait after the first round; each later one is twice as long.
    pub first_wait: Duration,
    /// The longest such wait.
    pub longest_wait: Duration,
    /// The most requests that are on their way at once.
    pub in_flight: usize,
    /// The most questions in one request.
    pub batch: usize,
    /// The most bytes of an answer.
    pub answer_limit: u64,
}

impl Default for Policy {
    /// 30 s a request, 3 rounds with waits from 250 ms to 8 s, 8 in flight, 50 to a batch, 512 MiB.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            rounds: 3,
            first_wait: Duration::from_millis(250),
            longest_wait: Duration::from_secs(8),
            in_flight: 8,
            batch: 50,
            answer_limit: 512 << 20,
        }
    }
}

/// How long a question may take, and who may end it before.
#[derive(Clone, Copy)]
pub struct Bounds<'a> {
    until: Instant,
    cancelled: &'a dyn Fn() -> bool,
}

impl<'a> Bounds<'a> {
    /// Until then, or until `cancelled` says so.
    pub const fn new(until: Instant, cancelled: &'a dyn Fn() -> bool) -> Self {
        Self { until, cancelled }
    }

    /// For so long from now on.
    pub fn within(time: Duration) -> Bounds<'static> {
        Bounds { until: Instant::now() + time, cancelled: &|| false }
    }

    pub(crate) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    pub(crate) fn are_cancelled(&self) -> bool {
        (self.cancelled)()
    }

    /// Whether there is time to wait so long, after having waited.
    fn wait(&self, time: Duration) -> bool {
        if time >= self.left() {
            return false;
        }
        let end = Instant::now() + time;
        loop {
            if self.are_cancelled() {
                return false;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            thread::sleep(left.min(GLANCE));
        }
    }
}

impl fmt::Debug for Bounds<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bounds").field("until", &self.until).finish_non_exhaustive()
    }
}

/// Something that whoever watches may want to know.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Notice<'a> {
    /// A request goes out.
    Asking {
        /// To whom.
        place: &'a str,
        /// The method or the path.
        asked: &'a str,
    },
    /// It was answered, and the answer passed.
    Answered {
        /// By whom.
        place: &'a str,
        /// The method or the path.
        asked: &'a str,
    },
    /// It was not, or the answer did not pass.
    Failed(&'a Trouble),
    /// Nobody answered, so all are asked again after a wait.
    Waiting {
        /// How long.
        time: Duration,
        /// Why.
        trouble: &'a Trouble,
    },
}

type Watch = Arc<dyn Fn(&Notice<'_>) + Send + Sync>;

/// Endpoints that serve the same.
pub struct Client {
    endpoints: Vec<Endpoint>,
    policy: Policy,
    slots: Slots,
    watch: Option<Watch>,
    /// Who answered last.
    preferred: AtomicUsize,
    /// For a few methods the last trouble that was not for want of time.
    last_troubles: Mutex<Vec<Trouble>>,
}

impl Client {
    /// The nodes at these URLs, in order of preference.
    ///
    /// # Errors
    /// If one is no URL of HTTP, with its place in the list.
    pub fn new<S: AsRef<str>>(urls: &[S], policy: Policy) -> Result<Self, (usize, UrlError)> {
        let endpoint = |(place, url): (usize, &S)| {
            Endpoint::new(url.as_ref(), policy.answer_limit).map_err(|error| (place, error))
        };
        Ok(Self {
            endpoints: urls.iter().enumerate().map(endpoint).collect::<Result<_, _>>()?,
            policy,
            slots: Slots::new(policy.in_flight.max(1)),
            watch: None,
            preferred: AtomicUsize::new(0),
            last_troubles: Mutex::new(Vec::new()),
        })
    }

    /// Tells `watch` what happens, from whichever thread it happens in.
    pub fn watched(mut self, watch: impl Fn(&Notice<'_>) + Send + Sync + 'static) -> Self {
        self.watch = Some(Arc::new(watch));
        self
    }

    /// The endpoints.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Asks until an answer passes `check`, which makes something of it or says what is wrong.
    ///
    /// # Errors
    /// The most telling trouble there was with any endpoint.
    pub fn ask<T>(
        &self,
        question: &Question,
        bounds: Bounds<'_>,
        check: impl Fn(Value) -> Result<T, String>,
    ) -> Result<T, Trouble> {
        let answered = self.rounds(&question.method, bounds, |endpoint, allowance| {
            let answer = endpoint.ask_within(question, allowance)?;
            check(answer).map_err(|why| endpoint.rejected(&question.method, why))
        });
        answered.map(|(_, answer)| answer)
    }

    /// Gets what is at `path` until it passes `check`.
    ///
    /// # Errors
    /// The most telling trouble there was with any endpoint.
    pub fn get<T>(
        &self,
        path: &str,
        bounds: Bounds<'_>,
        check: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<T, Trouble> {
        let answered = self.rounds(path, bounds, |endpoint, allowance| {
            let answer = endpoint.get(path, allowance)?;
            check(&answer).map_err(|why| endpoint.rejected(path, why))
        });
        answered.map(|(_, answer)| answer)
    }

    /// Asks `method` with each of these parameters, several to a request where an endpoint takes that.
    /// `check` gets the place of a question beside its answer; `whole` gets what it made of them, and
    /// says what is wrong with all of them together. Then another endpoint is asked first.
    ///
    /// # Errors
    /// If one question has no answer that passes, or all together do not.
    pub fn ask_many<T, U>(
        &self,
        method: &str,
        params: impl IntoIterator<Item = Value>,
        bounds: Bounds<'_>,
        check: impl Fn(usize, Value) -> Result<T, String>,
        whole: impl Fn(Vec<T>) -> Result<U, String>,
    ) -> Result<U, Trouble> {
        let questions = params.into_iter().map(|params| Question::new(method, params));
        let questions: Vec<Question> = questions.collect();
        let mut rejected = None;
        for _ in 0..self.endpoints.len().max(1) {
            let (answers, places) = match self.gather(method, &questions, bounds, &check) {
                Ok(gathered) => gathered,
                // What was said before tells more.
                Err(trouble) => return Err(rejected.unwrap_or(trouble)),
            };
            let why = match whole(answers) {
                Ok(all) => return Ok(all),
                Err(why) => why,
            };
            let named = places.iter().map(|place| self.endpoints[*place].place());
            let place = named.collect::<Vec<_>>().join(" and ");
            let what = What::Rejected { place: place.clone(), asked: method.to_owned(), why };
            let trouble = Trouble { place, asked: method.to_owned(), what: Box::new(what) };
            self.tell(&Notice::Failed(&trouble));
            rejected = Some(self.remember(method, trouble));
            if let Some(last) = places.last() {
                let next = (last + 1) % self.endpoints.len().max(1);
                self.preferred.store(next, Ordering::Relaxed);
            }
        }
        Err(rejected.unwrap_or_else(|| no_endpoint(method)))
    }

    /// The answers to questions of one method, and who gave them.
    fn gather<T>(
        &self,
        method: &str,
        questions: &[Question],
        bounds: Bounds<'_>,
        check: &impl Fn(usize, Value) -> Result<T, String>,
    ) -> Result<(Vec<T>, Vec<usize>), Trouble> {
        let mut answers = Vec::with_capacity(questions.len());
        let mut places = Vec::new();
        for chunk in questions.chunks(self.policy.batch.max(1)) {
            let before = answers.len();
            let (place, part) = self.rounds(method, bounds, |endpoint, allowance| {
                let passed = |at: usize, value| {
                    check(before + at, value).map_err(|why| endpoint.rejected(method, why))
                };
                if let Some(answers) = self.ask_together(endpoint, chunk, allowance)? {
                    let answers = answers.into_iter().enumerate();
                    return answers.map(|(at, answer)| passed(at, answer?)).collect();
                }
                let mut part = Vec::with_capacity(chunk.len());
                for (at, question) in chunk.iter().enumerate() {
                    let answer = self.ask_next(endpoint, question, bounds).map_err(|trouble| {
                        // Of many, the one that the time was over at says least.
                        let (answered, questions) = (before + at, questions.len());
                        let late = is_cut_off(&trouble, self.policy.timeout);
                        match late && questions > 1 && !bounds.are_cancelled() {
                            true => {
                                let place = endpoint.place().to_owned();
                                let what = What::Unfinished { place, answered, questions };
                                endpoint.trouble(method, what)
                            }
                            false => trouble,
                        }
                    })?;
                    part.push(passed(at, answer)?);
                }
                Ok(part)
            })?;
            answers.extend(part);
            places.retain(|other| *other != place);
            places.push(place);
        }
        if places.is_empty() {
            // Whoever was asked last said that there is nothing to ask for.
            places.extend((!self.endpoints.is_empty()).then(|| self.first()));
        }
        Ok((answers, places))
    }

    /// Asks several questions in one request, if the endpoint takes that.
    fn ask_together(
        &self,
        endpoint: &Endpoint,
        questions: &[Question],
        allowance: Allowance<'_>,
    ) -> Result<Option<Vec<Result<Value, Trouble>>>, Trouble> {
        if questions.len() < 2 || endpoint.refuses_batches.load(Ordering::Relaxed) {
            return Ok(None);
        }
        match endpoint.ask_batch(questions, allowance) {
            Ok(answers) => Ok(Some(answers)),
            Err(trouble) if trouble.is_passing() && !refuses_batches(&trouble) => Err(trouble),
            Err(trouble) if matches!(*trouble.what, What::Cancelled) => Err(trouble),
            // What it does not take together it may take one by one.
            Err(_) => {
                endpoint.refuses_batches.store(true, Ordering::Relaxed);
                Ok(None)
            }
        }
    }

    /// Asks one of several questions, while there is time.
    fn ask_next(
        &self,
        endpoint: &Endpoint,
        question: &Question,
        bounds: Bounds<'_>,
    ) -> Result<Value, Trouble> {
        let allowance = self.allowance(&bounds);
        if bounds.are_cancelled() || allowance.timeout.is_zero() {
            return Err(endpoint.trouble(&question.method, What::Cancelled));
        }
        endpoint.ask_within(question, allowance)
    }

    fn allowance<'a>(&self, bounds: &Bounds<'a>) -> Allowance<'a> {
        let timeout = self.policy.timeout.min(bounds.left());
        Allowance { timeout, cancelled: bounds.cancelled }
    }

    /// Goes through the endpoints, again and again while that may help, until `attempt` succeeds.
    /// Returns with which of them it did.
    fn rounds<T>(
        &self,
        asked: &str,
        bounds: Bounds<'_>,
        attempt: impl Fn(&Endpoint, Allowance<'_>) -> Result<T, Trouble>,
    ) -> Result<(usize, T), Trouble> {
        let mut telling: Option<Trouble> = None;
        let mut wait = self.policy.first_wait;
        for round in 1..=self.policy.rounds.max(1) {
            let mut may_help = false;
            for (place, endpoint) in self.in_turn() {
                if bounds.are_cancelled() {
                    return Err(endpoint.trouble(asked, What::Cancelled));
                }
                let trouble = match self.attempt(endpoint, asked, bounds, &attempt) {
                    Ok(answer) => {
                        self.preferred.store(place, Ordering::Relaxed);
                        return Ok((place, answer));
                    }
                    Err(trouble) => trouble,
                };
                self.tell(&Notice::Failed(&trouble));
                may_help |= trouble.is_passing();
                let weight = |trouble| weight(trouble, self.policy.timeout);
                if telling.as_ref().is_none_or(|other| weight(&trouble) >= weight(other)) {
                    telling = Some(trouble);
                }
            }
            let Some(trouble) = telling.as_ref().filter(|_| may_help) else { break };
            if round == self.policy.rounds.max(1) {
                break;
            }
            let rest = self.endpoints.iter().map(Endpoint::rest).min().unwrap_or_default();
            let time = wait.max(rest);
            self.tell(&Notice::Waiting { time, trouble });
            if !bounds.wait(time) {
                break;
            }
            wait = (wait * 2).min(self.policy.longest_wait);
        }
        Err(match telling {
            Some(trouble) => self.remember(asked, trouble),
            None => no_endpoint(asked),
        })
    }

    /// Keeps a trouble, if it tells anything; else returns the one before it.
    fn remember(&self, asked: &str, trouble: Trouble) -> Trouble {
        let mut last = self.last_troubles.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.iter().position(|before| before.asked == asked);
        if is_cut_off(&trouble, self.policy.timeout) {
            // There was no time left to ask properly: what came before says more.
            return before.map_or(trouble, |before| last[before].clone());
        }
        before.map(|before| last.remove(before));
        last.truncate(KEPT_TROUBLES - 1);
        last.insert(0, trouble.clone());
        trouble
    }

    fn attempt<T>(
        &self,
        endpoint: &Endpoint,
        asked: &str,
        bounds: Bounds<'_>,
        attempt: impl Fn(&Endpoint, Allowance<'_>) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        if endpoint.lacks(asked) {
            return Err(endpoint.lack(asked));
        }
        let Some(_slot) = self.slots.take(&bounds) else {
            return Err(endpoint.trouble(asked, What::Cancelled));
        };
        let rest = endpoint.rest();
        let place = endpoint.place().to_owned();
        if !rest.is_zero() && (self.endpoints.len() > 1 || !bounds.wait(rest)) {
            // Another may be ready, or there is no time.
            return Err(endpoint.trouble(
                asked,
                What::Status {
                    place,
                    status: "429 Too Many Requests, a moment ago".into(),
                    code: 429,
                    retry_after: Some(rest),
                    text: String::new(),
                },
            ));
        }
        let allowance = self.allowance(&bounds);
        if allowance.timeout.is_zero() {
            return Err(endpoint.trouble(asked, What::Cancelled));
        }
        self.tell(&Notice::Asking { place: &place, asked });
        let answer = attempt(endpoint, allowance);
        match &answer {
            Ok(_) => self.tell(&Notice::Answered { place: &place, asked }),
            Err(trouble) if endpoint.lacks(asked) && !trouble.is_lack() => {
                return Err(endpoint.lack(asked));
            }
            Err(trouble) => {
                if let Some(time) = trouble.retry_after() {
                    endpoint.let_rest(time.min(LONGEST_REST));
                }
            }
        }
        answer
    }

    /// The endpoints, beginning with the one that answered last.
    fn in_turn(&self) -> impl Iterator<Item = (usize, &Endpoint)> {
        let (count, first) = (self.endpoints.len(), self.first());
        (0..count).map(move |turn| (first + turn) % count).map(|at| (at, &self.endpoints[at]))
    }

    fn first(&self) -> usize {
        self.preferred.load(Ordering::Relaxed)
    }

    fn tell(&self, notice: &Notice<'_>) {
        if let Some(watch) = &self.watch {
            watch(notice);
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = self.endpoints.iter().map(Endpoint::place).collect::<Vec<_>>();
        f.debug_struct("Client").field("endpoints", &places).finish_non_exhaustive()
    }
}

/// How much a trouble tells of why there is no answer; requests usually have so much time.
fn weight(trouble: &Trouble, timeout: Duration) -> u8 {
    match *trouble.what {
        What::Lacks { .. } => 0,
        _ if is_cut_off(trouble, timeout) => 0,
        // Another may yet answer.
        _ if trouble.is_barred() => 1,
        What::Refused { .. } => 3,
        What::Rejected { .. } => 4,
        _ => 2,
    }
}

/// The trouble where nobody is there to be asked.
fn no_endpoint(asked: &str) -> Trouble {
    let place = "no endpoint".to_owned();
    let why = "none is given".to_owned();
    let what = What::Unreachable { place: place.clone(), why };
    Trouble { place, asked: asked.to_owned(), what: Box::new(what) }
}

/// Whether a request got less time than requests usually have, because whoever asked had no more.
fn is_cut_off(trouble: &Trouble, timeout: Duration) -> bool {
    match *trouble.what {
        What::Cancelled | What::Unfinished { .. } => true,
        What::Timeout { after, .. } => after < timeout,
        _ => false,
    }
}

/// Whether a trouble may be because several questions came at once.
fn refuses_batches(trouble: &Trouble) -> bool {
    matches!(*trouble.what, What::Malformed { .. })
}
