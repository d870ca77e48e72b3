//! A little of everything that programs do with the kit, between hints that say what it is: whoever
//! runs the program counts the steps from one to the next.

use alloc::format;
use alloc::vec;
use core::hint::black_box;

use tribunal_guest::{
    Cached, Dialect, Error, Header, Hint, Key, Oracle, Preimages as _, Verdict, keccak256, trie,
};

use crate::allocators::{Buddy, Ours, Talc, churn, grow, large};

const SMALL: u64 = 10;
const LARGE: u64 = 11;

/// Measures the kit. Local inputs 1 and 2 are a block and an account in its state, 10 is a kibibyte,
/// 11 is 64 KiB.
///
/// # Errors
/// If a preimage is missing.
pub fn kit<O: Oracle>(oracle: &mut O) -> Result<Verdict, Error> {
    measured(oracle, "nothing", 1, |_| Ok(()))?;

    for size in [32, 136, 1024, 65_536] {
        let message = vec![7; size];
        measured(oracle, &format!("keccak256 of {size} bytes"), 8, |_| {
            (0..8).for_each(|_| {
                black_box(keccak256(black_box(&message)));
            });
            Ok(())
        })?;
    }

    let ask = |ident| {
        move |oracle: &mut O| {
            for _ in 0..8 {
                black_box(oracle.preimage(Key::local(ident))?);
            }
            Ok(())
        }
    };
    measured(oracle, "preimage of 1 KiB", 8, ask(SMALL))?;
    measured(oracle, "preimage of 64 KiB", 8, ask(LARGE))?;
    measured(oracle, "first 32 bytes of a preimage of 64 KiB", 8, |oracle| {
        let mut buffer = [0; 32];
        for _ in 0..8 {
            black_box(oracle.beginning(Key::local(LARGE), &mut buffer)?);
        }
        Ok(())
    })?;
    let mut cache = Cached::new(&mut *oracle, 1 << 20);
    cache.shared(Key::local(SMALL))?;
    measured(&mut cache, "1 KiB that is remembered", 8, |cache| {
        for _ in 0..8 {
            black_box(cache.shared(Key::local(SMALL))?);
        }
        Ok(())
    })?;

    let (hash, address) = (oracle.local_hash(1)?, oracle.local_array(2)?);
    let encoded = oracle.hashed("block header", &hash)?;
    measured(oracle, "header, decoded", 8, |_| {
        for _ in 0..8 {
            black_box(Header::decode(black_box(&encoded))?);
        }
        Ok(())
    })?;
    let header = Header::decode(&encoded)?;
    let mut nodes = vec![];
    let key = keccak256(&address);
    trie::walk(&header.state_root, &key, |hash| {
        let node = oracle.preimage(Key::keccak256(*hash))?;
        nodes.push(node.clone());
        Ok::<_, Error>(node)
    })?;
    measured(oracle, "trie node, asked for and followed", nodes.len() as u64, |oracle| {
        black_box(oracle.account(&header.state_root, &address)?);
        Ok(())
    })?;
    measured(oracle, "trie node, followed", nodes.len() as u64, |_| {
        let mut nodes = nodes.iter();
        black_box(trie::walk(&header.state_root, &key, |_| {
            Ok::<_, Error>(nodes.next().map(alloc::vec::Vec::as_slice).unwrap_or_default())
        })?);
        Ok(())
    })?;
    measured(oracle, "hint with a hash, encoded", 8, |_| {
        for _ in 0..8 {
            black_box(black_box(Hint::L2StateNode { hash, chain: None }).encode(Dialect::Kona));
        }
        Ok(())
    })?;

    allocated(oracle, "churn, our heap", churn::COUNT, || churn::run(&Ours))?;
    allocated(oracle, "churn, talc", churn::COUNT, || churn::run(&Talc::new()))?;
    allocated(oracle, "churn, buddy", churn::COUNT, || churn::run(&Buddy::new()))?;
    allocated(oracle, "growth, our heap", grow::COUNT, || grow::run(&Ours))?;
    allocated(oracle, "growth, talc", grow::COUNT, || grow::run(&Talc::new()))?;
    allocated(oracle, "growth, buddy", grow::COUNT, || grow::run(&Buddy::new()))?;
    allocated(oracle, "large blocks, our heap", large::COUNT, || large::run(&Ours))?;
    allocated(oracle, "large blocks, talc", large::COUNT, || large::run(&Talc::new()))?;
    allocated(oracle, "large blocks, buddy", large::COUNT, || large::run(&Buddy::new()))?;
    Ok(Verdict::Holds)
}

/// Has an allocator do its work between two hints.
fn allocated<O: Oracle>(
    oracle: &mut O,
    name: &str,
    count: u64,
    work: impl FnOnce(),
) -> Result<(), Error> {
    measured(oracle, name, count, |_| {
        work();
        Ok(())
    })
}

/// Does something `count` times between two hints.
#[inline(never)]
fn measured<O: Oracle>(
    oracle: &mut O,
    name: &str,
    count: u64,
    work: impl FnOnce(&mut O) -> Result<(), Error>,
) -> Result<(), Error> {
    let (begin, end) = (format!("begin {count} {name}"), "end");
    oracle.hint(begin.as_bytes())?;
    work(oracle)?;
    Ok(oracle.hint(end.as_bytes())?)
}
