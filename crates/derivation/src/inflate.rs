//! Zlib and deflate (RFC 1950, 1951), as Go's standard library reads them: what it takes and what it
//! refuses decides which batches exist, down to the last bit of a stream that breaks off.
//!
//! Knows compressed bytes, the tail of what came out of them, and the portions in which Go's reader
//! hands that out; what an error at the end means for what came before it, its caller knows.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

/// How far back a copy may reach.
pub(crate) const WINDOW: usize = 1 << 15;

/// Codes up to this length are found by one look.
const FAST_BITS: u32 = 10;

const MAX_CODE_LEN: usize = 15;

const LITERALS: usize = 286;

const DISTANCES: usize = 30;

const END_OF_BLOCK: u16 = 256;

/// The order in which the lengths of the codes for lengths are written.
pub(crate) const CODE_ORDER: [usize; 19] =
    [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// A stream being read.
#[derive(Debug)]
pub(crate) struct Inflate {
    bits: Bits,
    state: State,
    is_final: bool,
    codes: Box<Codes>,
    produced: usize,
    /// How much of that was handed out in portions.
    handed: usize,
    /// An empty stored block was read: it ends a portion.
    flushed: bool,
    failed: bool,
    checksum: Adler,
}

/// What [`Inflate::portion`] appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Portion {
    /// How many bytes it has. There may be more in the buffer, which are of the next one.
    pub(crate) len: usize,
    /// Nothing follows it.
    pub(crate) is_last: bool,
    /// Nothing follows it because of an error: the stream is broken, or not what its checksum says.
    pub(crate) failed: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Block,
    Stored { left: usize },
    Codes,
    Ended,
}

#[derive(Debug, Default)]
struct Codes {
    literals: Code,
    distances: Code,
}

impl Inflate {
    /// Starts to read a zlib stream. `None` if its header is wrong.
    pub(crate) fn zlib(input: Vec<u8>) -> Option<Self> {
        let &[cmf, flags, ..] = input.as_slice() else { return None };
        let method_and_window = cmf & 0x0f == 8 && cmf >> 4 <= 7;
        if !method_and_window || u16::from_be_bytes([cmf, flags]) % 31 != 0 {
            return None;
        }
        let mut start = 2;
        if flags & 0x20 != 0 {
            // Go takes a preset dictionary if it is the empty one, whose checksum is 1.
            if input.get(2..6)? != [0, 0, 0, 1] {
                return None;
            }
            start = 6;
        }
        Some(Self {
            bits: Bits { input, next: start, buffer: 0, count: 0 },
            state: State::Block,
            is_final: false,
            codes: Box::default(),
            produced: 0,
            handed: 0,
            flushed: false,
            failed: false,
            checksum: Adler::default(),
        })
    }

    /// Appends the next portion to `out`, which must end with the last [`WINDOW`] bytes that came out,
    /// and may begin to append the one after it. A portion ends where Go's window is full, which is
    /// every [`WINDOW`] bytes; at an empty stored block; and where the stream ends, be it for an error.
    pub(crate) fn portion(&mut self, out: &mut Vec<u8>) -> Portion {
        let start = out.len() - (self.produced - self.handed);
        let end = start + WINDOW - self.handed % WINDOW;
        while out.len() < end && !matches!(self.state, State::Ended) {
            let before = out.len();
            if self.step(out, end).is_none() {
                self.failed = true;
                self.state = State::Ended;
            }
            self.produced += out.len() - before;
            if core::mem::take(&mut self.flushed) && out.len() > start {
                break;
            }
        }
        let portion = &out[start..end.min(out.len())];
        self.handed += portion.len();
        self.checksum.update(portion);
        let is_last = matches!(self.state, State::Ended) && self.handed == self.produced;
        if is_last && !self.failed {
            self.bits.align();
            self.failed = self.bits.take(4) != self.checksum.value().to_be_bytes();
        }
        Portion { len: portion.len(), is_last, failed: is_last && self.failed }
    }

    fn step(&mut self, out: &mut Vec<u8>, target: usize) -> Option<()> {
        self.state = match self.state {
            State::Block => self.block()?,
            State::Stored { left: 0 } | State::Ended => self.after_block(),
            State::Stored { left } => {
                let wanted = left.min(target - out.len());
                let bytes = self.bits.take(wanted);
                out.extend_from_slice(bytes);
                if bytes.len() < wanted {
                    return None;
                }
                State::Stored { left: left - wanted }
            }
            State::Codes => {
                let produced = self.produced;
                let start = out.len();
                let history = |out: &Vec<u8>| produced + (out.len() - start);
                loop {
                    if out.len() >= target {
                        break State::Codes;
                    }
                    let symbol = self.codes.literals.read(&mut self.bits)?;
                    if symbol < END_OF_BLOCK {
                        out.push(symbol as u8);
                        continue;
                    }
                    if symbol == END_OF_BLOCK {
                        break self.after_block();
                    }
                    let len = self.bits.length(symbol)?;
                    let distance = self.codes.distances.read(&mut self.bits)?;
                    let distance = self.bits.distance(distance)?;
                    if distance > history(out).min(WINDOW) {
                        return None;
                    }
                    copy(out, len, distance);
                }
            }
        };
        Some(())
    }

    const fn after_block(&self) -> State {
        if self.is_final { State::Ended } else { State::Block }
    }

    fn block(&mut self) -> Option<State> {
        self.is_final = self.bits.read(1)? == 1;
        match self.bits.read(2)? {
            0 => {
                self.bits.align();
                let head: [u8; 4] = self.bits.take(4).try_into().ok()?;
                let [a, b, c, d] = head;
                let (len, check) = (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
                if len != !check {
                    return None;
                }
                self.flushed = len == 0 && !self.is_final;
                Some(State::Stored { left: len.into() })
            }
            1 => {
                let mut lens = [8; 288];
                lens[144..256].fill(9);
                lens[256..280].fill(7);
                self.codes.literals.build(&lens)?;
                self.codes.distances.build(&[5; 32])?;
                Some(State::Codes)
            }
            2 => {
                self.code_lengths()?;
                Some(State::Codes)
            }
            _ => None,
        }
    }

    /// Reads the codes of a block that brings its own.
    fn code_lengths(&mut self) -> Option<()> {
        let literals = self.bits.read(5)? as usize + 257;
        let distances = self.bits.read(5)? as usize + 1;
        let lengths = self.bits.read(4)? as usize + 4;
        if literals > LITERALS || distances > DISTANCES {
            return None;
        }
        let mut lens = [0; LITERALS + DISTANCES];
        let mut code_lens = [0; 19];
        for place in CODE_ORDER.iter().take(lengths) {
            code_lens[*place] = self.bits.read(3)? as u8;
        }
        self.codes.literals.build(&code_lens)?;
        let all = literals + distances;
        let mut known = 0;
        while known < all {
            let symbol = self.codes.literals.read(&mut self.bits)?;
            let (len, repeat) = match symbol {
                0..16 => (symbol as u8, 1),
                16 => (*lens.get(known.checked_sub(1)?)?, 3 + self.bits.read(2)?),
                17 => (0, 3 + self.bits.read(3)?),
                _ => (0, 11 + self.bits.read(7)?),
            };
            let end = known + repeat as usize;
            if end > all {
                return None;
            }
            lens[known..end].fill(len);
            known = end;
        }
        self.codes.literals.build(&lens[..literals])?;
        self.codes.distances.build(&lens[literals..all])?;
        // A block has to end: Go reads as many bits as its end has before it looks at a literal.
        self.codes.literals.min =
            self.codes.literals.min.max(lens[usize::from(END_OF_BLOCK)].into());
        Some(())
    }
}

fn copy(out: &mut Vec<u8>, len: usize, distance: usize) {
    let start = out.len() - distance;
    if distance >= len {
        out.extend_from_within(start..start + len);
    } else {
        out.reserve(len);
        for place in start..start + len {
            let byte = out[place];
            out.push(byte);
        }
    }
}

/// The checksum of zlib, Adler-32.
#[derive(Debug)]
struct Adler {
    sum: u32,
    sums: u32,
}

impl Default for Adler {
    fn default() -> Self {
        Self { sum: 1, sums: 0 }
    }
}

impl Adler {
    fn update(&mut self, bytes: &[u8]) {
        const MODULUS: u32 = 65_521;
        // After so many bytes the sums still fit.
        for bytes in bytes.chunks(5552) {
            for byte in bytes {
                self.sum += u32::from(*byte);
                self.sums += self.sum;
            }
            self.sum %= MODULUS;
            self.sums %= MODULUS;
        }
    }

    const fn value(&self) -> u32 {
        self.sums << 16 | self.sum
    }
}

/// Bits, the lowest of each byte first.
#[derive(Debug)]
struct Bits {
    input: Vec<u8>,
    next: usize,
    buffer: u64,
    count: u32,
}

impl Bits {
    /// Makes at least 48 bits available, if there are so many left.
    fn refill(&mut self) {
        if self.count >= 48 {
            return;
        }
        if let Some(bytes) = self.input.get(self.next..).and_then(|rest| rest.first_chunk::<8>()) {
            let taken = (63 - self.count) / 8;
            self.buffer |= u64::from_le_bytes(*bytes) << self.count;
            self.next += taken as usize;
            self.count += 8 * taken;
            self.buffer &= u64::MAX >> (64 - self.count);
            return;
        }
        while self.count <= 56 {
            let Some(byte) = self.input.get(self.next) else { return };
            self.buffer |= u64::from(*byte) << self.count;
            self.next += 1;
            self.count += 8;
        }
    }

    fn read(&mut self, count: u32) -> Option<u64> {
        self.refill();
        if self.count < count {
            return None;
        }
        let value = self.buffer & ((1 << count) - 1);
        self.skip(count);
        Some(value)
    }

    const fn skip(&mut self, count: u32) {
        self.buffer >>= count;
        self.count -= count;
    }

    /// Forgets the rest of a byte, and gives back the bytes that were not begun.
    fn align(&mut self) {
        self.skip(self.count % 8);
        self.next -= self.count as usize / 8;
        self.buffer = 0;
        self.count = 0;
    }

    /// Up to `count` whole bytes, after [`align`](Self::align).
    fn take(&mut self, count: usize) -> &[u8] {
        let rest = &self.input[self.next..];
        let bytes = &rest[..count.min(rest.len())];
        self.next += bytes.len();
        bytes
    }

    /// The length that a symbol above the end of a block stands for.
    fn length(&mut self, symbol: u16) -> Option<usize> {
        let symbol = u32::from(symbol);
        Some(match symbol {
            257..265 => symbol as usize - 254,
            265..285 => {
                let extra = (symbol - 261) / 4;
                let base = 3 + ((4 + (symbol - 265) % 4) << extra);
                base as usize + self.read(extra)? as usize
            }
            285 => 258,
            _ => return None,
        })
    }

    fn distance(&mut self, symbol: u16) -> Option<usize> {
        let symbol = u32::from(symbol);
        Some(match symbol {
            0..4 => symbol as usize + 1,
            4..30 => {
                let extra = symbol / 2 - 1;
                let base = 1 + ((2 + symbol % 2) << extra);
                base as usize + self.read(extra)? as usize
            }
            _ => return None,
        })
    }
}

/// A prefix code.
#[derive(Debug)]
struct Code {
    /// By the next bits: symbol and length, 0 where the code is longer or there is none.
    fast: Vec<u16>,
    /// How many codes there are of each length.
    counts: [u16; MAX_CODE_LEN + 1],
    /// The symbols in the order of their codes.
    symbols: Vec<u16>,
    /// How many bits must be there before anything is looked up.
    min: u32,
}

impl Default for Code {
    fn default() -> Self {
        Self {
            fast: vec![0; 1 << FAST_BITS],
            counts: [0; MAX_CODE_LEN + 1],
            symbols: Vec::new(),
            min: 0,
        }
    }
}

impl Code {
    /// Makes the code with these lengths. It must be complete, or empty, or one code of one bit.
    fn build(&mut self, lens: &[u8]) -> Option<()> {
        self.counts = [0; MAX_CODE_LEN + 1];
        for len in lens {
            self.counts[usize::from(*len)] += 1;
        }
        self.counts[0] = 0;
        self.fast.fill(0);
        self.symbols.clear();
        self.min = 0;
        let Some(max) = self.counts.iter().rposition(|count| *count != 0) else {
            return Some(());
        };
        let min = self.counts.iter().position(|count| *count != 0).unwrap_or(max);
        self.min = min as u32;

        let mut code = 0_u32;
        let mut next_code = [0_u32; MAX_CODE_LEN + 1];
        let mut next_symbol = [0_usize; MAX_CODE_LEN + 1];
        let mut symbols = 0;
        for len in min..=max {
            code <<= 1;
            next_code[len] = code;
            next_symbol[len] = symbols;
            code += u32::from(self.counts[len]);
            symbols += usize::from(self.counts[len]);
        }
        if code != 1 << max && !(code == 1 && max == 1) {
            return None;
        }
        self.symbols.resize(symbols, 0);
        for (symbol, len) in lens.iter().enumerate().filter(|(_, len)| **len != 0) {
            let len = usize::from(*len);
            self.symbols[next_symbol[len]] = symbol as u16;
            next_symbol[len] += 1;
            let code = next_code[len];
            next_code[len] += 1;
            let bits = len as u32;
            if bits <= FAST_BITS {
                let mut place = (code.reverse_bits() >> (32 - bits)) as usize;
                while place < 1 << FAST_BITS {
                    self.fast[place] = (symbol as u16) << 4 | len as u16;
                    place += 1 << bits;
                }
            }
        }
        Some(())
    }

    fn read(&self, bits: &mut Bits) -> Option<u16> {
        bits.refill();
        let entry = self.fast[bits.buffer as usize & ((1 << FAST_BITS) - 1)];
        if entry != 0 {
            let len = u32::from(entry & 15);
            if bits.count < len.max(self.min) {
                return None;
            }
            bits.skip(len);
            return Some(entry >> 4);
        }
        let (mut code, mut first, mut index) = (0_i32, 0_i32, 0_i32);
        for len in 1..=MAX_CODE_LEN {
            code |= (bits.buffer >> (len - 1) & 1) as i32;
            let count = i32::from(self.counts[len]);
            if code - count < first {
                if bits.count < (len as u32).max(self.min) {
                    return None;
                }
                bits.skip(len as u32);
                return self.symbols.get((index + code - first) as usize).copied();
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }
}
