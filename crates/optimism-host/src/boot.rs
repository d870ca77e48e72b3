//! What a run is started with: the local inputs of a program.

use serde_json::{Value, json};
use tribunal_keccak::Hash;
use tribunal_preimage::Key;
use tribunal_rpc::{Bounds, Client, Question, Trouble};

use crate::rebuild::{bytes, number};

/// The inputs of a run of a program over one L2 chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    /// The L1 block where derivation ends.
    pub l1_head: Hash,
    /// The L2 block that is agreed upon. No input of the program, but what the agreed output is of.
    pub agreed_l2_head: Hash,
    /// The output root of that block.
    pub agreed_l2_output: Hash,
    /// The output root that is claimed.
    pub claimed_l2_output: Hash,
    /// The number of the L2 block it is claimed for.
    pub claimed_l2_block: u64,
    /// The id of the L2 chain; without, the program is given 0 and the configurations decide.
    pub l2_chain_id: Option<u64>,
    /// The configuration of the rollup, as JSON.
    pub rollup_config: Option<Vec<u8>>,
    /// The configuration of the L1 chain, as JSON.
    pub l1_config: Option<Vec<u8>>,
}

impl Boot {
    /// The L2 chain: the one with this id, or where that says none, the one that the configuration
    /// is of.
    pub fn chain(&self) -> Option<u64> {
        match self.l2_chain_id {
            // kona-host's number for a chain with a configuration of its own, and op-program's.
            None | Some(0 | u64::MAX) => {
                let config = self.rollup_config.as_deref()?;
                let config: Value = serde_json::from_slice(config).ok()?;
                config["l2_chain_id"].as_u64()
            }
            id => id,
        }
    }

    /// The local preimages, as kona numbers them. On chain only the first five exist.
    pub fn preimages(&self) -> Vec<(Key, Vec<u8>)> {
        let mut inputs = vec![
            (1, self.l1_head.to_vec()),
            (2, self.agreed_l2_output.to_vec()),
            (3, self.claimed_l2_output.to_vec()),
            (4, self.claimed_l2_block.to_be_bytes().to_vec()),
            (5, self.l2_chain_id.unwrap_or(0).to_be_bytes().to_vec()),
        ];
        inputs.extend(self.rollup_config.clone().map(|config| (6, config)));
        inputs.extend(self.l1_config.clone().map(|config| (7, config)));
        inputs.into_iter().map(|(ident, data)| (Key::local(ident), data)).collect()
    }
}

/// The inputs of a program that judges a single L2 block by its parent and its transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockBoot {
    /// The block that is agreed upon.
    pub parent: Hash,
    /// The block that is claimed to follow it.
    pub claim: Hash,
    /// The id of the chain.
    pub l2_chain_id: u64,
    /// The configuration of the rollup, as JSON, for a chain that the program does not know.
    pub rollup_config: Option<Vec<u8>>,
}

impl BlockBoot {
    /// Asks nodes which block of their chain has this number. What they say is a claim like any other.
    ///
    /// # Errors
    /// If they do not say.
    pub fn ask(client: &Client, block: u64, bounds: Bounds<'_>) -> Result<Self, Trouble> {
        let chain = Question::new("eth_chainId", json!([]));
        let l2_chain_id = client.ask(&chain, bounds, |answer| {
            let id = number(&answer).and_then(|id| u64::try_from(id).ok());
            id.ok_or_else(|| "it is no number of a chain".to_owned())
        })?;
        let header = Question::new("eth_getBlockByNumber", json!([format!("{block:#x}"), false]));
        let (parent, claim) = client.ask(&header, bounds, |header| {
            if header.is_null() {
                return Err(format!("it has no block {block}"));
            }
            let hash = |name: &str| bytes(&header[name]).and_then(|hash| Hash::try_from(hash).ok());
            hash("parentHash").zip(hash("hash")).ok_or_else(|| "the block has no hashes".into())
        })?;
        Ok(Self { parent, claim, l2_chain_id, rollup_config: None })
    }

    /// The local preimages, as the program `op-block` takes them.
    pub fn preimages(&self) -> Vec<(Key, Vec<u8>)> {
        let mut inputs = vec![
            (2, self.parent.to_vec()),
            (3, self.claim.to_vec()),
            (5, self.l2_chain_id.to_be_bytes().to_vec()),
        ];
        inputs.extend(self.rollup_config.clone().map(|config| (6, config)));
        inputs.into_iter().map(|(ident, data)| (Key::local(ident), data)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_says_which_chain_it_is_where_no_number_does() {
        let boot = |l2_chain_id, config: Option<&str>| Boot {
            l1_head: [1; 32],
            agreed_l2_head: [9; 32],
            agreed_l2_output: [2; 32],
            claimed_l2_output: [3; 32],
            claimed_l2_block: 258,
            l2_chain_id,
            rollup_config: config.map(|config| config.as_bytes().to_vec()),
            l1_config: None,
        };
        let config = Some(r#"{ "l1_chain_id": 1, "l2_chain_id": 77 }"#);
        for id in [None, Some(0), Some(u64::MAX)] {
            assert_eq!(boot(id, config).chain(), Some(77));
            assert_eq!(boot(id, None).chain(), None);
            assert_eq!(boot(id, Some("[]")).chain(), None);
        }
        assert_eq!(boot(Some(10), config).chain(), Some(10));
        assert_eq!(boot(Some(10), None).chain(), Some(10));
    }

    #[test]
    fn inputs_have_the_numbers_and_widths_that_programs_expect() {
        let boot = Boot {
            l1_head: [1; 32],
            agreed_l2_head: [9; 32],
            agreed_l2_output: [2; 32],
            claimed_l2_output: [3; 32],
            claimed_l2_block: 258,
            l2_chain_id: Some(10),
            rollup_config: None,
            l1_config: None,
        };
        let number = |number: u64| number.to_be_bytes().to_vec();
        assert_eq!(
            boot.preimages(),
            [
                (Key::local(1), vec![1; 32]),
                (Key::local(2), vec![2; 32]),
                (Key::local(3), vec![3; 32]),
                (Key::local(4), number(258)),
                (Key::local(5), number(10)),
            ]
        );
        let rollup_config = Some(b"{}".to_vec());
        let l1_config = Some(b"[]".to_vec());
        let boot = Boot { l2_chain_id: None, rollup_config, l1_config, ..boot };
        let inputs = boot.preimages();
        assert_eq!(inputs[4], (Key::local(5), number(0)));
        assert_eq!(inputs[5], (Key::local(6), b"{}".to_vec()));
        assert_eq!(inputs[6], (Key::local(7), b"[]".to_vec()));
    }
}
