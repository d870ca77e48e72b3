//! The blocks there are: how they are found, linked, and thrown away when their code changes.
//!
//! Knows addresses, and nothing of what instructions mean.

use std::collections::{BTreeMap, HashMap, HashSet};

use tribunal_memory::PAGE_SIZE;

use crate::code::{CodeError, CodeMemory};
use crate::frame::{Enter, Near, Pins, Prologue};
use crate::translate::{CAREFUL, Compiled, Shared};
use crate::window::{TABLE_END, Window};

/// The most code a block can have, by a wide margin.
const MAX_BLOCK_CODE: usize = 256 << 10;

/// How often code of a page may change before its instructions are no longer compiled.
const MAX_CHANGES: u32 = 32;

pub(crate) struct Blocks {
    memory: CodeMemory,
    pins: Pins,
    near: Near,
    enter: Enter,
    shared: Shared,
    blocks: HashMap<u64, Block>,
    /// By page index, where the blocks begin that hold an instruction of the page.
    pages: BTreeMap<u64, Vec<u64>>,
    links: Vec<Link>,
    /// Links that lead to stubs, by where they should lead.
    waiting: HashMap<u64, Vec<u32>>,
    /// How often code of a page changed.
    changes: HashMap<u64, u32>,
    /// Pages whose code changes too often to be compiled.
    restless: HashSet<u64>,
}

// SAFETY: all the addresses in here lie in `memory`, which is tied to no thread.
#[expect(unsafe_code, reason = "addresses of code make a type that is not Send by itself")]
unsafe impl Send for Blocks {}

struct Block {
    code: *const u8,
    /// The guest address behind its last instruction.
    end: u64,
    /// Links that lead here.
    incoming: Vec<u32>,
}

struct Link {
    site: *const u8,
    stub: *const u8,
}

impl Blocks {
    pub(crate) fn new(pins: Pins, near: Near) -> Result<Self, CodeError> {
        let mut memory = CodeMemory::new()?;
        let (enter, shared) = Self::begin(&mut memory, &pins);
        Ok(Self {
            memory,
            pins,
            near,
            enter,
            shared,
            blocks: HashMap::new(),
            pages: BTreeMap::new(),
            links: Vec::new(),
            waiting: HashMap::new(),
            changes: HashMap::new(),
            restless: HashSet::new(),
        })
    }

    fn begin(memory: &mut CodeMemory, pins: &Pins) -> (Enter, Shared) {
        let prologue = Prologue::new(pins);
        prologue.at(memory.append(&prologue.code))
    }

    pub(crate) fn enter(&self) -> Enter {
        self.enter
    }

    pub(crate) fn shared(&self) -> Shared {
        self.shared
    }

    pub(crate) fn pins(&self) -> &Pins {
        &self.pins
    }

    pub(crate) fn near(&self) -> Near {
        self.near
    }

    pub(crate) fn links(&self) -> usize {
        self.links.len()
    }

    /// Where the next block will lie. Makes room for it.
    pub(crate) fn next(&mut self, window: &mut Window) -> *const u8 {
        if !self.memory.has_room(MAX_BLOCK_CODE) {
            self.clear(window, self.pins.clone(), self.near);
        }
        self.memory.next()
    }

    /// The code for the block at `pc`, with [`CAREFUL`] for the careful one.
    #[inline]
    pub(crate) fn find(&self, pc: u64) -> Option<*const u8> {
        self.blocks.get(&pc).map(|block| block.code)
    }

    /// How many instructions from `pc` on are compiled: none in pages that are restless.
    pub(crate) fn may_compile(&self, pc: u64) -> usize {
        let is_restless = |page| !self.restless.is_empty() && self.restless.contains(&page);
        if is_restless(pc >> 12) {
            0
        } else if is_restless((pc >> 12) + 1) {
            (PAGE_SIZE - pc as usize % PAGE_SIZE) / 4
        } else {
            usize::MAX
        }
    }

    /// Takes in a block that was compiled for [`Blocks::next`].
    pub(crate) fn insert(&mut self, pc: u64, compiled: Compiled, window: &mut Window) -> *const u8 {
        let code = self.memory.append(&compiled.code);
        let start = pc & !CAREFUL;
        let end = start.wrapping_add(compiled.instructions as u64 * 4);
        for page in pages_of(start, end) {
            let blocks = self.pages.entry(page).or_default();
            if blocks.is_empty() {
                window.watch_code(page, true);
            }
            blocks.push(pc);
        }
        let targets: Vec<u64> = compiled.links.iter().map(|link| link.target).collect();
        for link in compiled.links {
            let number = u32::try_from(self.links.len()).expect("code ends before links do");
            let (site, stub) = (code.wrapping_add(link.site), code.wrapping_add(link.stub));
            self.links.push(Link { site, stub });
            self.waiting.entry(link.target).or_default().push(number);
        }
        if pc == start && pc < TABLE_END {
            window.set_table(pc, code);
        }
        self.blocks.insert(pc, Block { code, end, incoming: Vec::new() });
        // Every jump that was made for this place, and those of the block itself.
        self.link(pc);
        for target in targets {
            self.link(target);
        }
        code
    }

    /// Leads every jump to `pc` to its block, if there is one.
    fn link(&mut self, pc: u64) {
        let Some(block) = self.blocks.get_mut(&pc) else { return };
        for number in self.waiting.remove(&pc).unwrap_or_default() {
            self.memory.link(self.links[number as usize].site, block.code);
            block.incoming.push(number);
        }
    }

    /// Guest memory changed at `address`: throws away what was made from that word.
    ///
    /// Returns whether anything was.
    pub(crate) fn invalidate(&mut self, address: u64, window: &mut Window) -> bool {
        let (word, page) = (address & !7, address >> 12);
        let Some(starts) = self.pages.get(&page) else { return false };
        let holds = |start: &u64| {
            let block = &self.blocks[start];
            let start = start & !CAREFUL;
            let bytes = block.end.wrapping_sub(start);
            // The block holds a byte of the word, or the word holds its first byte.
            word.wrapping_sub(start) < bytes || start.wrapping_sub(word) < 8
        };
        let stale: Vec<u64> = starts.iter().copied().filter(holds).collect();
        for start in &stale {
            self.remove(*start, window);
        }
        if !stale.is_empty() {
            let changes = self.changes.entry(page).or_default();
            *changes += 1;
            if *changes == MAX_CHANGES {
                self.restless.insert(page);
                for start in self.pages.get(&page).cloned().unwrap_or_default() {
                    self.remove(start, window);
                }
            }
        }
        !stale.is_empty()
    }

    fn remove(&mut self, start: u64, window: &mut Window) {
        let Some(block) = self.blocks.remove(&start) else { return };
        let first = start & !CAREFUL;
        if first == start && start < TABLE_END {
            window.set_table(start, std::ptr::null());
        }
        for number in block.incoming {
            let link = &self.links[number as usize];
            self.memory.link(link.site, link.stub);
            self.waiting.entry(start).or_default().push(number);
        }
        for page in pages_of(first, block.end) {
            if let Some(blocks) = self.pages.get_mut(&page) {
                blocks.retain(|other| *other != start);
                if blocks.is_empty() {
                    self.pages.remove(&page);
                    window.watch_code(page, false);
                }
            }
        }
    }

    /// Throws everything away and begins anew, with these registers and segments at hand.
    pub(crate) fn clear(&mut self, window: &mut Window, pins: Pins, near: Near) {
        for page in std::mem::take(&mut self.pages).into_keys() {
            window.watch_code(page, false);
        }
        window.clear_table();
        self.blocks.clear();
        self.links.clear();
        self.waiting.clear();
        self.memory.truncate(0);
        (self.enter, self.shared) = Self::begin(&mut self.memory, &pins);
        (self.pins, self.near) = (pins, near);
    }

    /// Bytes of code.
    pub(crate) fn code_bytes(&self) -> usize {
        self.memory.used()
    }
}

/// The pages that instructions from `start` to before `end` lie in. Blocks are shorter than a page.
fn pages_of(start: u64, end: u64) -> impl Iterator<Item = u64> {
    let first = start >> 12;
    // A block without instructions was made from the one it begins at, or the two of a branch.
    let last = end.wrapping_sub(1).max(start) >> 12;
    [first].into_iter().chain((last != first).then_some(last))
}
