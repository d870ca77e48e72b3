//! What nodes can do of what fetching needs, found out by asking them.

use serde_json::{Value, json};
use tribunal_keccak::Hash;
use tribunal_rpc::{Bounds, Client, Question, Trouble, What};

use crate::beacon::Beacon;
use crate::chain::{Chain, digits};
use crate::output::MESSAGE_PASSER;
use crate::rebuild::{bytes, number};

/// How far back states are looked for, in blocks.
const DEPTHS: [u64; 4] = [100, 10_000, 1_000_000, 10_000_000];

/// How good a [`Finding`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// As it should be.
    Good,
    /// It works, but slower or not for everything.
    Poor,
    /// It does not work.
    Bad,
}

/// Something that was found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How good it is.
    pub grade: Grade,
    /// What was found.
    pub text: String,
    /// What to do about it.
    pub advice: Option<&'static str>,
}

impl Finding {
    fn good(text: impl Into<String>) -> Self {
        Self { grade: Grade::Good, text: text.into(), advice: None }
    }

    fn poor(text: impl Into<String>, advice: &'static str) -> Self {
        Self { grade: Grade::Poor, text: text.into(), advice: Some(advice) }
    }

    fn bad(text: impl Into<String>, advice: &'static str) -> Self {
        Self { grade: Grade::Bad, text: text.into(), advice: Some(advice) }
    }
}

/// What the execution nodes of an L1 chain can do; `head` is a block they should have.
pub fn survey_l1(client: &Client, head: Option<&Hash>, bounds: Bounds<'_>) -> Vec<Finding> {
    let survey = Survey { client, bounds };
    let Some((_, mut findings)) = survey.who(None) else { return survey.nobody() };
    survey.head(head, &mut findings);
    survey.headers(&mut findings);
    match (survey.has("debug_getRawReceipts"), survey.has("eth_getBlockReceipts")) {
        (true, _) => findings.push(Finding::good("receipts by debug_getRawReceipts")),
        (false, true) => findings.push(Finding::good("receipts by eth_getBlockReceipts")),
        (false, false) => findings.push(Finding::poor(
            "receipts only one by one: neither debug_getRawReceipts nor eth_getBlockReceipts",
            "use a node that has one of the two: one request for each transaction takes long",
        )),
    }
    findings
}

/// What the execution nodes of an L2 chain can do.
pub fn survey_l2(
    client: &Client,
    chain: Option<u64>,
    head: Option<&Hash>,
    bounds: Bounds<'_>,
) -> Vec<Finding> {
    let survey = Survey { client, bounds };
    let Some((latest, mut findings)) = survey.who(chain) else { return survey.nobody() };
    survey.head(head, &mut findings);
    survey.headers(&mut findings);
    let by_hash = survey.has_nodes_by_hash();
    let witness = survey.answers("debug_executionWitness", json!([format!("{latest:#x}")]));
    let payload = survey.has("debug_executePayload");
    findings.push(match (by_hash, witness) {
        (true, _) => Finding::good("trie nodes and code by debug_dbGet"),
        (false, true) => Finding::good(
            "trie nodes and code by debug_executionWitness, a block at a time",
        ),
        (false, false) => Finding::bad(
            "no way to trie nodes: debug_dbGet has none by their hashes, and there is no \
             debug_executionWitness",
            "use op-geth with --state.scheme=hash --gcmode=archive, or op-reth, with the debug API on",
        ),
    });
    if payload {
        let text =
            "whole payloads by debug_executePayload (--enable-experimental-witness-endpoint)";
        findings.push(Finding::good(text));
    }
    findings.push(survey.depth(latest));
    findings
}

/// What the beacon nodes of an L1 chain can do.
pub fn survey_beacon(client: Client, bounds: Bounds<'_>) -> Vec<Finding> {
    let beacon = Beacon::new(client);
    let text = |path: &str, field: &str| {
        beacon.client.get(path, bounds, |answer| {
            let answer: Value =
                serde_json::from_slice(answer).map_err(|error| error.to_string())?;
            let text = answer["data"][field].as_str().map(str::to_owned);
            text.ok_or_else(|| format!("it says no {field}"))
        })
    };
    let clock = match beacon.clock(bounds) {
        Ok(clock) => clock,
        Err(trouble) => {
            return vec![Finding::bad(
                trouble.in_full(),
                trouble.advice().unwrap_or("is it a beacon node?"),
            )];
        }
    };
    let version =
        text("/eth/v1/node/version", "version").unwrap_or_else(|_| "a beacon node".into());
    let seconds = clock.slot_duration / 1000;
    let mut findings = vec![Finding::good(format!("{version}, slots of {seconds} s"))];
    let is_there = |path| beacon.client.get(path, bounds, |_| Ok(())).map_err(Box::new);
    let ways = ["/eth/v1/beacon/blobs/head", "/eth/v1/beacon/blob_sidecars/head"].map(is_there);
    findings.push(match &ways {
        [Ok(()), _] => Finding::good("blobs by /eth/v1/beacon/blobs"),
        [_, Ok(())] => Finding::good("blobs by /eth/v1/beacon/blob_sidecars"),
        [Err(trouble), Err(_)] => Finding::bad(
            format!("no blobs: {}", trouble.in_full()),
            "use a beacon node that keeps blobs: a supernode or semi-supernode since Fusaka",
        ),
    });
    findings
}

struct Survey<'a> {
    client: &'a Client,
    bounds: Bounds<'a>,
}

impl Survey<'_> {
    fn ask(&self, method: &str, params: Value) -> Result<Value, Trouble> {
        self.client.ask(&Question::new(method, params), self.bounds, Ok)
    }

    /// The latest block, and who it is that says so.
    fn who(&self, wanted: Option<u64>) -> Option<(u64, Vec<Finding>)> {
        let quantity = |method: &str| {
            let answer = self.ask(method, json!([])).ok()?;
            number(&answer).and_then(|number| u64::try_from(number).ok())
        };
        let (chain, latest) = (quantity("eth_chainId")?, quantity("eth_blockNumber")?);
        let version = self.ask("web3_clientVersion", json!([])).ok();
        let version = version.as_ref().and_then(Value::as_str).unwrap_or("a node").to_owned();
        let mut findings = vec![match wanted {
            Some(wanted) if wanted != chain => Finding::bad(
                format!("chain {chain}, not {wanted}: {version}"),
                "give the URL of a node of the right chain",
            ),
            _ => Finding::good(format!("chain {chain} up to block {latest}: {version}")),
        }];
        if self.ask("eth_syncing", json!([])).is_ok_and(|answer| answer.is_object()) {
            let advice = "wait until it is done, or use another";
            findings.push(Finding::poor("it is still syncing", advice));
        }
        Some((latest, findings))
    }

    /// What is said where nobody says which chain it is.
    fn nobody(&self) -> Vec<Finding> {
        let (text, advice) = match self.ask("eth_chainId", json!([])) {
            Err(trouble) => (trouble.in_full(), trouble.advice()),
            Ok(answer) => (format!("eth_chainId or eth_blockNumber is no number: {answer}"), None),
        };
        vec![Finding::bad(text, advice.unwrap_or("is it an execution node?"))]
    }

    /// Whether it has the block that the run is about.
    fn head(&self, head: Option<&Hash>, findings: &mut Vec<Finding>) {
        let Some(head) = head else { return };
        let block = self.ask("eth_getBlockByHash", json!([digits(head), false]));
        findings.push(match block {
            Ok(block) if block.is_object() => {
                Finding::good(format!("block {} is there", digits(head)))
            }
            Ok(_) => Finding::bad(
                format!("it does not know the block {}", digits(head)),
                "is it a node of the right chain, and does it have blocks that old?",
            ),
            Err(trouble) => {
                let advice = trouble.advice().unwrap_or("is the node in good health?");
                Finding::bad(trouble.in_full(), advice)
            }
        });
    }

    fn headers(&self, findings: &mut Vec<Finding>) {
        findings.push(match self.has("debug_getRawHeader") {
            true => Finding::good("headers by debug_getRawHeader"),
            false => Finding::good("headers rebuilt from eth_getBlockByHash"),
        });
    }

    /// Whether there is such a method, whatever it answers to this.
    fn has(&self, method: &str) -> bool {
        let params = match method {
            "debug_executePayload" => json!([digits(&[0; 32]), {}]),
            _ => json!(["latest"]),
        };
        match self.ask(method, params) {
            Ok(_) => true,
            Err(trouble) => matches!(*trouble.what, What::Refused { .. }),
        }
    }

    /// Whether it has an answer to this.
    fn answers(&self, method: &str, params: Value) -> bool {
        self.ask(method, params).is_ok_and(|answer| !answer.is_null())
    }

    /// Whether `debug_dbGet` finds the root of the latest state.
    fn has_nodes_by_hash(&self) -> bool {
        let Ok(block) = self.ask("eth_getBlockByNumber", json!(["latest", false])) else {
            return false;
        };
        let root = bytes(&block["stateRoot"]).and_then(|root| Hash::try_from(root).ok());
        let Some(root) = root else { return false };
        let client = self.client;
        // Through the same check as when it counts.
        Chain::node_in(client, &root, self.bounds).is_ok()
    }

    /// How far back there are states.
    fn depth(&self, latest: u64) -> Finding {
        let has = |block: u64| {
            let params = json!([digits(&MESSAGE_PASSER), [], format!("{block:#x}")]);
            self.answers("eth_getProof", params)
        };
        if !has(latest) {
            return Finding::poor(
                "no proofs by eth_getProof",
                "outputs from before Isthmus and account proofs need it",
            );
        }
        if has(0) {
            return Finding::good("states of all blocks: an archive");
        }
        let depths = DEPTHS.iter().filter(|depth| **depth <= latest);
        let deepest = depths.take_while(|depth| has(latest - **depth)).last();
        Finding::poor(
            match deepest {
                Some(depth) => format!("states of the last {depth} blocks, not of all"),
                None => "states of the last few blocks only".to_owned(),
            },
            "for older claims use an archive node",
        )
    }
}
