//! The portable engine: decodes a guest's code once, block by block, and counts every step.
//!
//! Decides for every moment whether decoded blocks or the reference take the next steps. Blocks take
//! plain steps only: registers, memory, branches. Every syscall, fault, switch of threads,
//! load-linked and store to code or to the reserved word is a step of the reference, on the same
//! state. Knows no processor, and nothing of it is unsafe.
//!
//! A block's steps are charged at its head, those not taken are given back where it is left early,
//! and where fewer are left than it has, the reference takes them: so the count is exact wherever it
//! can be seen. A write to a word that was decoded ends the block before it is done; the reference
//! does it, and what was decoded from that page is thrown away before the next instruction.

mod act;
mod blocks;
mod code;
mod decode;

use std::io::{self, Write};

use tribunal_keccak::Hash;
use tribunal_machine::{
    Fault, Host, Later, Machine, Pause, PreimageRead, Statistics, StepProof, StopOn,
};
use tribunal_memory::{PAGE_SIZE, Pages, Storage as _};
use tribunal_mips64::{Mips64, State};

use self::act::{Cpu, HI, INDIRECT, LO};
use self::blocks::Blocks;
use self::code::Code;
use self::decode::{Source, decode_block};
use crate::turns::{self, Left};

/// Places whose visits are counted. Two may share a count: then they are decoded sooner.
const COUNTED_PLACES: usize = 1 << 14;

/// A machine whose steps are taken from decoded blocks where that is possible.
///
/// Every step is counted, and any can be stopped at and proven: state, hashes and proofs are those
/// of [`Mips64`] at every step.
pub struct Portable {
    machine: Mips64,
    blocks: Blocks,
    cpu: Box<Cpu>,
    visits: Box<[u8; COUNTED_PLACES]>,
    /// The page of the reservation, if it is watched for that.
    reserved_page: Option<u64>,
    /// Pages there were when that was looked for.
    pages: usize,
    options: PortableOptions,
}

/// How to decode. Changes how long a run takes, and nothing else.
#[derive(Clone, Copy, Debug)]
pub struct PortableOptions {
    /// Visits to a place before it is decoded: decoding costs as much as some of them.
    pub warm: u8,
    /// The most steps of one block.
    pub max_block: usize,
}

impl Default for PortableOptions {
    fn default() -> Self {
        Self { warm: 8, max_block: usize::MAX }
    }
}

impl std::fmt::Debug for Portable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Portable").field("machine", &self.machine).finish_non_exhaustive()
    }
}

impl Portable {
    /// The state, for who only looks.
    pub(crate) fn state(&self) -> &State {
        self.machine.state()
    }

    /// Goes on where `machine` stands.
    pub fn new(machine: Mips64, options: PortableOptions) -> Self {
        let cpu = Cpu {
            registers: [0; 256],
            budget: 0,
            target: 0,
            ended: (0, 0),
            reserved: 0,
            code: Code::default(),
        };
        let mut portable = Self {
            machine,
            blocks: Blocks::default(),
            cpu: Box::new(cpu),
            visits: Box::new([0; COUNTED_PLACES]),
            reserved_page: None,
            pages: usize::MAX,
            options,
        };
        portable.settle();
        portable
    }

    /// The block at `pc`, decoded now if it is warm.
    fn block(&mut self, pc: u64) -> Option<u32> {
        if let Some(number) = self.blocks.find(pc)
            && self.blocks.is_decoded(number)
        {
            return Some(number);
        }
        let visits = &mut self.visits[(pc >> 2) as usize % COUNTED_PLACES];
        if *visits < self.options.warm {
            *visits += 1;
            return None;
        }
        if self.blocks.is_full() {
            self.clear();
        }
        let code = &mut self.cpu.code;
        let memory = self.machine.state_mut().memory.storage_mut();
        let fetch = |pc: u64| {
            // Behind the last page, addresses begin again.
            if pc > u64::MAX - PAGE_SIZE as u64 || !code.may_decode(pc) {
                return None;
            }
            let word = memory.has_page(pc / PAGE_SIZE as u64).then(|| memory.peek(pc))?;
            Some((word >> if pc & 4 == 0 { 32 } else { 0 }) as u32)
        };
        fetch(pc)?;
        let blocks = &mut self.blocks;
        let number = blocks.number(pc);
        let decoded = decode_block(Source {
            pc,
            max_steps: self.options.max_block.max(1),
            fetch: &fetch,
            number: &mut |pc| blocks.number(pc),
        });
        code.add(number, &decoded.spans, memory);
        blocks.insert(number, decoded);
        Some(number)
    }

    /// Executes blocks from `block` on, for at most `budget` steps.
    fn enter(&mut self, block: u32, budget: u64) -> Left {
        let cpu = &mut *self.cpu;
        let state = self.machine.state_mut();
        let Some(thread) = state.active_stack().top() else { return Left::ForReference };
        cpu.registers[..32].copy_from_slice(&thread.registers);
        (cpu.registers[HI as usize], cpu.registers[LO as usize]) = (thread.hi, thread.lo);
        cpu.budget = budget;
        let (pc, left) = execute(&mut self.blocks, cpu, state.memory.storage_mut(), block);
        let taken = budget - cpu.budget;
        state.step = state.step.wrapping_add(taken);
        state.steps_since_switch += taken;
        if let Some(thread) = state.active_stack_mut().top_mut() {
            thread.registers.copy_from_slice(&cpu.registers[..32]);
            (thread.hi, thread.lo) = (cpu.registers[HI as usize], cpu.registers[LO as usize]);
            (thread.pc, thread.next_pc) = (pc, pc.wrapping_add(4));
        }
        left
    }

    /// Takes notice of what a step of the reference changed.
    #[inline]
    fn settle(&mut self) {
        if self.machine.state_mut().memory.storage_mut().was_watched_written() {
            self.invalidate();
        }
        let state = self.machine.state();
        let reserved = state.reservation.address;
        if reserved != self.cpu.reserved || state.memory.page_count() != self.pages {
            self.look_for_reservation();
        }
    }

    /// Watches the page of the reservation, which may exist only now, and no other for that.
    fn look_for_reservation(&mut self) {
        let state = self.machine.state_mut();
        self.cpu.reserved = state.reservation.address;
        self.pages = state.memory.page_count();
        let page = self.cpu.reserved / PAGE_SIZE as u64;
        let memory = state.memory.storage_mut();
        if let Some(old) = self.reserved_page.take()
            && old != page
            && !self.cpu.code.is_in(old)
        {
            memory.watch(old, false);
        }
        self.reserved_page = memory.watch(page, true).then_some(page);
    }

    /// Throws away blocks that were decoded from what was written to.
    #[cold]
    fn invalidate(&mut self) {
        let memory = self.machine.state_mut().memory.storage_mut();
        let written: Vec<u64> = memory.watched_writes().collect();
        for address in written {
            for number in self.cpu.code.invalidate(address, memory) {
                self.blocks.remove(number);
            }
        }
        self.look_for_reservation();
    }

    /// Throws all blocks away.
    #[cold]
    fn clear(&mut self) {
        self.blocks.clear();
        self.cpu.code.clear(self.machine.state_mut().memory.storage_mut());
        self.visits.fill(0);
        self.look_for_reservation();
    }
}

/// Executes blocks from `number` on while the budget lasts. Returns where they were left, and why.
fn execute(blocks: &mut Blocks, cpu: &mut Cpu, memory: &mut Pages, mut number: u32) -> (u64, Left) {
    let mut last = number;
    loop {
        let Some(head) = blocks.head(number) else {
            if number == INDIRECT {
                match blocks.find(cpu.target) {
                    Some(found) => number = found,
                    None => return (cpu.target, Left::ForBlock),
                }
                continue;
            }
            let place = blocks.place(last, cpu.ended);
            cpu.budget += u64::from(place.left);
            return (place.pc, Left::ForReference);
        };
        let steps = u64::from(head.steps);
        if steps > cpu.budget {
            return (blocks.pc(number), Left::WithTooFew(cpu.budget));
        }
        let Some((entry, rest)) = head.entries.split_first() else {
            return (blocks.pc(number), Left::ForBlock);
        };
        cpu.budget -= steps;
        last = number;
        number = (entry.run)(cpu, memory, entry, rest);
    }
}

impl turns::Blocks for Portable {
    fn run_blocks(&mut self, until: u64) -> Option<Left> {
        let (pc, budget) = turns::budget(self.machine.state(), until)?;
        let block = self.block(pc)?;
        Some(self.enter(block, budget))
    }

    #[inline]
    fn step_of_reference(&mut self, host: &mut dyn Host) -> Result<(), Fault> {
        let result = self.machine.step_once(host);
        self.settle();
        result
    }
}

impl Machine for Portable {
    const NAME: &'static str = Mips64::<Pages>::NAME;

    fn step(&self) -> u64 {
        self.machine.step()
    }

    fn pc(&self) -> u64 {
        self.machine.pc()
    }

    fn instruction(&self) -> u32 {
        self.machine.instruction()
    }

    fn exit_code(&self) -> Option<u8> {
        self.machine.exit_code()
    }

    fn page_count(&self) -> u64 {
        self.machine.page_count()
    }

    fn state_bytes(&self) -> u64 {
        self.machine.state_bytes()
    }

    fn run(&mut self, until: u64, stop: StopOn, host: &mut dyn Host) -> Result<Pause, Fault> {
        turns::run(self, until, stop, host)
    }

    fn prove_step(&mut self, host: &mut dyn Host) -> Result<StepProof, Fault> {
        let proof = self.machine.prove_step(host);
        self.settle();
        proof
    }

    fn prove_step_later(&mut self, host: &mut dyn Host) -> Result<Later<StepProof>, Fault> {
        let proof = self.machine.prove_step_later(host);
        self.settle();
        proof
    }

    fn witness(&mut self) -> Vec<u8> {
        self.machine.witness()
    }

    fn state_hash(&mut self) -> Hash {
        self.machine.state_hash()
    }

    fn state_hash_later(&mut self) -> Later<Hash> {
        self.machine.state_hash_later()
    }

    fn last_preimage_read(&self) -> Option<PreimageRead> {
        self.machine.last_preimage_read()
    }

    fn write_state(&self, sink: &mut dyn Write) -> io::Result<()> {
        self.machine.write_state(sink)
    }

    fn statistics(&self) -> Statistics {
        self.machine.statistics()
    }
}
