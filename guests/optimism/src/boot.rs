//! What the program begins with: its local inputs. Knows their keys and forms; knows nothing of the
//! chain behind them.

use alloy_primitives::B256;
use tribunal_guest::{Key, Oracle};
use tribunal_optimism::{Item, Preimages};
use tribunal_rollup::{JsonError, L1Config, RollupConfig, registry};

use crate::Error;

/// The local inputs, by their numbers.
pub mod inputs {
    /// The hash of the L1 block at which data ends.
    pub const L1_HEAD: u64 = 1;
    /// The agreed output root.
    pub const AGREED_OUTPUT: u64 = 2;
    /// The claimed output root.
    pub const CLAIM: u64 = 3;
    /// The number of the claimed block.
    pub const CLAIMED_NUMBER: u64 = 4;
    /// The chain.
    pub const CHAIN_ID: u64 = 5;
    /// The configuration of a chain that the program does not know.
    pub const ROLLUP_CONFIG: u64 = 6;
    /// The configuration of an L1 that the program does not know.
    pub const L1_CONFIG: u64 = 7;
}

/// What hosts give as the chain id of a chain whose configuration they give.
const NO_CHAIN_ID: u64 = 0;

/// What is agreed, and what is claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    /// The L1 block at which data ends.
    pub l1_head: B256,
    /// The output root that is agreed on.
    pub agreed_output: B256,
    /// The output root that is claimed.
    pub claim: B256,
    /// The number of the block that it is claimed of.
    pub claimed_number: u64,
    /// The configuration of the chain.
    pub config: RollupConfig,
    /// The configuration of its L1.
    pub l1_config: L1Config,
    /// Both configurations are the program's own.
    pub known_chain: bool,
}

impl Boot {
    /// Reads the local inputs.
    ///
    /// # Errors
    /// If one is missing or malformed.
    pub fn read<O: Oracle>(preimages: &mut Preimages<O>) -> Result<Self, Error> {
        let mut hash = |key, name| input(preimages, key, name).map(B256::new);
        let l1_head = hash(inputs::L1_HEAD, "hash of the L1 head")?;
        let agreed_output = hash(inputs::AGREED_OUTPUT, "agreed output root")?;
        let claim = hash(inputs::CLAIM, "claimed output root")?;
        let mut number = |key, name| input(preimages, key, name).map(u64::from_be_bytes);
        let claimed_number = number(inputs::CLAIMED_NUMBER, "number of the claimed block")?;
        let chain_id = number(inputs::CHAIN_ID, "chain id")?;

        let known = registry::rollup(chain_id);
        let known_rollup = known.is_some();
        let config = match known {
            Some(config) => {
                config.check()?;
                config
            }
            None => {
                let (what, key) = ("rollup configuration", inputs::ROLLUP_CONFIG);
                let config = configuration(preimages, what, key, RollupConfig::from_json)?;
                if chain_id != NO_CHAIN_ID && config.l2_chain_id != chain_id {
                    let (config, expected) = (config.l2_chain_id, chain_id);
                    return Err(Error::ChainId { what, key, config, expected });
                }
                config
            }
        };
        let known = registry::l1(config.l1_chain_id);
        let known_chain = known_rollup && known.is_some();
        let l1_config = match known {
            Some(config) => config,
            None => {
                let (what, key) = ("L1 chain configuration", inputs::L1_CONFIG);
                let l1_config = configuration(preimages, what, key, L1Config::from_json)?;
                if l1_config.chain_id != config.l1_chain_id {
                    let (config, expected) = (l1_config.chain_id, config.l1_chain_id);
                    return Err(Error::ChainId { what, key, config, expected });
                }
                l1_config
            }
        };
        Ok(Self { l1_head, agreed_output, claim, claimed_number, config, l1_config, known_chain })
    }
}

/// A local input of a certain length.
fn input<O: Oracle, const N: usize>(
    preimages: &mut Preimages<O>,
    key: u64,
    name: &'static str,
) -> Result<[u8; N], Error> {
    let bytes = preimages.ask(Key::local(key), Item::Local(name))?;
    let len = bytes.len();
    bytes.try_into().map_err(|_| Error::Input { name, expected: N, len })
}

fn configuration<O: Oracle, T>(
    preimages: &mut Preimages<O>,
    what: &'static str,
    key: u64,
    parse: impl FnOnce(&[u8]) -> Result<T, JsonError>,
) -> Result<T, Error> {
    let json = preimages.ask(Key::local(key), Item::Local(what))?;
    parse(&json).map_err(|source| Error::Config { what, key, source })
}
