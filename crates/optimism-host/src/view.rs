//! What nodes say of a chain by number: which block is final, which output root a block has.
//!
//! Nothing binds a number to a block but the word of the node, so this is for whoever asks what to
//! claim or whom to disagree with. No program is told any of it as if it were proven.

use serde_json::{Value, json};
use tribunal_keccak::{Hash, keccak256};
use tribunal_rpc::{Bounds, Client, Question, Trouble};

use crate::chain::{Chain, digits};
use crate::header::Header;
use crate::output::{MESSAGE_PASSER, output_preimage};
use crate::rebuild::{self, bytes, number};

/// A block, and what is claimed of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockOutput {
    /// The block's hash.
    pub block: Hash,
    /// The output root after it.
    pub root: Hash,
}

/// The id of the chain that these nodes are of.
///
/// # Errors
/// If none of them says.
pub fn chain_id(nodes: &Client, bounds: Bounds<'_>) -> Result<u64, Trouble> {
    nodes.ask(&Question::new("eth_chainId", json!([])), bounds, |answer| {
        let id = number(&answer).and_then(|id| u64::try_from(id).ok());
        id.ok_or_else(|| "it is no chain id".into())
    })
}

/// The last final block: its number and its hash.
///
/// # Errors
/// If no node says.
pub fn finalized(nodes: &Client, bounds: Bounds<'_>) -> Result<(u64, Hash), Trouble> {
    block(nodes, json!("finalized"), bounds).map(|(header, _)| (header.number, header.hash))
}

/// The hash of the block with this number.
///
/// # Errors
/// If no node knows one.
pub fn block_hash(nodes: &Client, number: u64, bounds: Bounds<'_>) -> Result<Hash, Trouble> {
    numbered(nodes, number, bounds).map(|(header, _)| header.hash)
}

/// The block of an L2 chain with this number, and the output root after it: computed from the block's
/// header, before Isthmus with a proof of the message passer's storage.
///
/// # Errors
/// If no node knows the block, or can prove that.
pub fn output_at(l2: &Client, number: u64, bounds: Bounds<'_>) -> Result<BlockOutput, Trouble> {
    let (header, since_isthmus) = numbered(l2, number, bounds)?;
    let storage_root = match header.withdrawals_root.filter(|_| since_isthmus) {
        Some(root) => root,
        // Between Canyon and Isthmus that field says nothing.
        None => {
            let (hash, root) = (json!(digits(&header.hash)), Some(&header.state_root));
            Chain::proof_of(l2, &MESSAGE_PASSER, &[], &hash, root, bounds)?.storage_root
        }
    };
    let preimage = output_preimage(&header.state_root, &storage_root, &header.hash);
    Ok(BlockOutput { block: header.hash, root: keccak256(&preimage) })
}

/// What a rollup node (op-node, kona-node) has for the output of the block with this number.
///
/// # Errors
/// If it does not know the block.
pub fn rollup_output_at(
    rollup: &Client,
    number: u64,
    bounds: Bounds<'_>,
) -> Result<BlockOutput, Trouble> {
    let question = Question::new("optimism_outputAtBlock", json!([format!("{number:#x}")]));
    rollup.ask(&question, bounds, |answer| {
        let hash = |value: &Value| bytes(value).and_then(|hash| Hash::try_from(hash).ok());
        let output = hash(&answer["outputRoot"]).zip(hash(&answer["blockRef"]["hash"]));
        let (root, block) = output.ok_or("it has no outputRoot, or no blockRef")?;
        Ok(BlockOutput { block, root })
    })
}

fn numbered(nodes: &Client, wanted: u64, bounds: Bounds<'_>) -> Result<(Header, bool), Trouble> {
    block(nodes, json!(format!("{wanted:#x}")), bounds)
}

/// The header of a block by number or name, which has the hash that the node says; and whether it is
/// one of Isthmus or later, if of an L2 chain.
fn block(nodes: &Client, name: Value, bounds: Bounds<'_>) -> Result<(Header, bool), Trouble> {
    let wanted = number(&name);
    let question = Question::new("eth_getBlockByNumber", json!([name, false]));
    nodes.ask(&question, bounds, |answer| {
        if answer.is_null() {
            return Err("it does not know the block".into());
        }
        let header = Header::read(&rebuild::header(&answer)?)?;
        if bytes(&answer["hash"]).as_deref() != Some(&header.hash) {
            return Err("the header that its fields make has another hash".into());
        }
        match wanted.is_some_and(|wanted| u64::try_from(wanted) != Ok(header.number)) {
            true => Err(format!("it is block {}", header.number)),
            // Since then headers have a hash of requests, which was hashed with the rest.
            false => Ok((header, !answer["requestsHash"].is_null())),
        }
    })
}
