//! What compiled code sees of the engine: a frame on the stack, and the code that enters and leaves.
//!
//! Knows how Rust calls compiled code and how that calls back. Knows no guest instruction.

#![expect(unsafe_code, reason = "calls compiled code")]
#![expect(clippy::useless_conversion, reason = "what dynasm! expands to converts its operands")]

use std::mem::offset_of;

use dynasmrt::x64::X64Relocation;
use dynasmrt::{DynasmApi as _, VecAssembler, dynasm};
use tribunal_mips64::HEAP_START;

use crate::translate::Shared;
use crate::window::{SEGMENT_BITS, TABLE_END, Window};

/// What compiled code has at `rsp`.
#[repr(C)]
pub(crate) struct Frame {
    pub(crate) registers: [u64; 32],
    pub(crate) lo: u64,
    pub(crate) hi: u64,
    /// The guest address to go on at.
    pub(crate) pc: u64,
    /// Steps that may be taken; afterwards, those that were not.
    pub(crate) budget: u64,
    /// Why compiled code was left: an [`Exit`] or a link.
    pub(crate) exit: u64,
    /// What `load` and `store` are called with.
    pub(crate) engine: *mut std::ffi::c_void,
    load: CallBack,
    store: CallBack,
    step: StepCall,
    marks: *mut u8,
    /// Where the segments begin that are [`Near`], and what is added to addresses in them.
    starts: [u64; Near::COUNT],
    deltas: [u64; Near::COUNT],
    /// Bits that no offset into a segment has, for each width: 1, 2, 4 and 8 bytes.
    masks: [u64; 4],
    /// What a base has to be at least, as a number to be added to it.
    negated_bounds: [u64; Near::COUNT],
    table_mask: u64,
    // Of no meaning outside of one instruction or of entering and leaving.
    condition: u64,
    target: u64,
    scratch: u64,
    kept: u64,
    saved: [u64; CALLER_SAVED.len()],
    host_gs: u64,
}

/// Called by compiled code: the engine, an address, a value, a size.
pub(crate) type CallBack = unsafe extern "sysv64" fn(*mut std::ffi::c_void, u64, u64, u64) -> u64;

/// Called by compiled code: the engine, the frame, a pc, the steps that may be taken from there.
pub(crate) type StepCall =
    unsafe extern "sysv64" fn(*mut std::ffi::c_void, *mut Frame, u64, u64) -> u64;

/// Where the fields of [`Frame`] are.
pub(crate) struct Offsets {
    pub(crate) lo: i32,
    pub(crate) hi: i32,
    pub(crate) starts: i32,
    pub(crate) deltas: i32,
    pub(crate) masks: i32,
    pub(crate) negated_bounds: i32,
    pub(crate) table_mask: i32,
    pub(crate) condition: i32,
    pub(crate) target: i32,
    pub(crate) scratch: i32,
    pub(crate) kept: i32,
}

pub(crate) const FRAME: Offsets = Offsets {
    lo: offset_of!(Frame, lo) as i32,
    hi: offset_of!(Frame, hi) as i32,
    starts: offset_of!(Frame, starts) as i32,
    deltas: offset_of!(Frame, deltas) as i32,
    masks: offset_of!(Frame, masks) as i32,
    negated_bounds: offset_of!(Frame, negated_bounds) as i32,
    table_mask: offset_of!(Frame, table_mask) as i32,
    condition: offset_of!(Frame, condition) as i32,
    target: offset_of!(Frame, target) as i32,
    scratch: offset_of!(Frame, scratch) as i32,
    kept: offset_of!(Frame, kept) as i32,
};

impl Offsets {
    pub(crate) fn register(&self, register: u8) -> i32 {
        i32::from(register) * 8
    }
}

/// Bytes of stack that a frame takes: what keeps `rsp` aligned to 16.
const FRAME_BYTES: i32 = (size_of::<Frame>() as i32 + 15) & !15;

impl Frame {
    pub(crate) fn new(window: &Window, load: CallBack, store: CallBack, step: StepCall) -> Self {
        Self {
            registers: [0; 32],
            lo: 0,
            hi: 0,
            pc: 0,
            budget: 0,
            exit: 0,
            engine: std::ptr::null_mut(),
            load,
            store,
            step,
            marks: window.marks(),
            starts: [0; Near::COUNT],
            deltas: [0; Near::COUNT],
            masks: [0, 1, 3, 7].map(|low| !((1 << SEGMENT_BITS) - 1) | low),
            negated_bounds: [0; Near::COUNT],
            table_mask: !(TABLE_END - 1) | 3,
            condition: 0,
            target: 0,
            scratch: 0,
            kept: 0,
            saved: [0; CALLER_SAVED.len()],
            host_gs: 0,
        }
    }
}

impl Frame {
    /// Lets code reach these segments, all of which have a piece.
    pub(crate) fn set_near(&mut self, near: Near, window: &Window) {
        for (which, segment) in near.segments.into_iter().enumerate() {
            let start = (segment as u64) << SEGMENT_BITS;
            self.starts[which] = start;
            self.deltas[which] = window.delta(segment);
            self.negated_bounds[which] = start.wrapping_add(1 << 15).wrapping_neg();
        }
    }
}

/// The segments that code has at hand: that of `gs`, that of `r13`, and one whose delta is in the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Near {
    /// The segments.
    pub(crate) segments: [usize; Near::COUNT],
    /// Which of them is accessed most: a pointer of which nothing is known probably leads there.
    pub(crate) usual: usize,
}

impl Near {
    pub(crate) const COUNT: usize = 3;

    /// The program's own segment, that of its first stack, and that of its heap.
    pub(crate) const FIRST_GUESS: Self =
        Self { segments: [0, 63, (HEAP_START >> SEGMENT_BITS) as usize], usual: 0 };
}

/// Why compiled code was left. From [`Exit::FIRST_LINK`] on the number is that of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Exit {
    /// The block at pc has more steps than may be taken.
    Budget = 0,
    /// The instruction at pc is for the reference.
    Interpret = 1,
    /// Someone has to look where pc leads.
    Dispatch = 2,
}

impl Exit {
    pub(crate) const FIRST_LINK: usize = 16;
}

/// Host registers that hold guest registers.
const PINNED: [u8; Pins::COUNT] = [3, 5, 6, 7, 8, 9, 10, 11, 12];
/// Those of them that a call may change.
const CALLER_SAVED: [u8; 6] = [6, 7, 8, 9, 10, 11];

/// Which guest registers are kept in host registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pins {
    hosts: [Option<u8>; 32],
    guests: [u8; Pins::COUNT],
}

/// A host register that holds another guest register within a loop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Swap {
    pub(crate) host: u8,
    /// What it holds outside of the loop.
    pub(crate) out: u8,
    /// What it holds within.
    pub(crate) guest: u8,
}

impl Pins {
    pub(crate) const COUNT: usize = 9;

    /// Pins these guest registers, none of which is 0 and no two of which are the same.
    pub(crate) fn new(guests: [u8; Pins::COUNT]) -> Self {
        let mut hosts = [None; 32];
        for (&guest, host) in guests.iter().zip(PINNED) {
            hosts[usize::from(guest)] = Some(host);
        }
        Self { hosts, guests }
    }

    pub(crate) fn host(&self, guest: u8) -> Option<u8> {
        self.hosts[usize::from(guest)]
    }

    pub(crate) fn guests(&self) -> &[u8; Pins::COUNT] {
        &self.guests
    }

    /// The pins for a loop that uses registers so often, and what has to change place for it.
    pub(crate) fn for_loop(&self, uses: &[u64; 32]) -> (Self, Vec<Swap>) {
        let (mut pins, mut swaps) = (self.clone(), Vec::new());
        let mut wanted: Vec<u8> = (1..32).filter(|guest| self.host(*guest).is_none()).collect();
        wanted.retain(|guest| uses[usize::from(*guest)] > 1);
        wanted.sort_by_key(|guest| std::cmp::Reverse(uses[usize::from(*guest)]));
        for guest in wanted {
            let count = |place: &usize| uses[usize::from(pins.guests[*place])];
            let Some(place) = (0..Self::COUNT).min_by_key(count) else { break };
            if count(&place) + 1 >= uses[usize::from(guest)] {
                break;
            }
            let (host, out) = (PINNED[place], pins.guests[place]);
            swaps.push(Swap { host, out, guest });
            pins.guests[place] = guest;
            pins.hosts[usize::from(out)] = None;
            pins.hosts[usize::from(guest)] = Some(host);
        }
        (pins, swaps)
    }

    fn pairs(&self) -> impl Iterator<Item = (u8, i32)> {
        let home = |(host, guest): (u8, &u8)| (host, FRAME.register(*guest));
        PINNED.into_iter().zip(&self.guests).map(home)
    }
}

/// The code that every block shares.
pub(crate) struct Prologue {
    pub(crate) code: Vec<u8>,
    /// Where in it to enter, leave, load and store.
    enter: usize,
    exit: usize,
    load: usize,
    store: usize,
    step: usize,
}

impl Prologue {
    /// Assembles it.
    pub(crate) fn new(pins: &Pins) -> Self {
        let mut code = VecAssembler::<X64Relocation>::new(0);
        let at = |offset: usize| offset as i32;
        let words = size_of::<Frame>() as i32 / 8;
        let enter = code.offset().0;
        // enter(frame, block)
        dynasm!(code ; .arch x64
            ; push rbx ; push rbp ; push r12 ; push r13 ; push r14 ; push r15 ; push rdi
            ; sub rsp, FRAME_BYTES
            ; mov rdx, rsi
            ; mov rsi, rdi ; mov rdi, rsp ; mov ecx, words ; rep movsq
            ; rdgsbase rax ; mov [rsp + at(offset_of!(Frame, host_gs))], rax
            ; mov rax, [rsp + at(offset_of!(Frame, deltas))] ; wrgsbase rax
            ; mov r13, [rsp + at(offset_of!(Frame, deltas)) + 8]
            ; mov r14, [rsp + at(offset_of!(Frame, marks))]
            ; mov r15, [rsp + at(offset_of!(Frame, budget))]
        );
        for (host, home) in pins.pairs() {
            dynasm!(code ; .arch x64 ; mov Rq(host), [rsp + home]);
        }
        dynasm!(code ; .arch x64 ; jmp rdx);
        let exit = code.offset().0;
        dynasm!(code ; .arch x64
            ; mov [rsp + at(offset_of!(Frame, pc))], rax
            ; mov [rsp + at(offset_of!(Frame, exit))], rcx
            ; mov [rsp + at(offset_of!(Frame, budget))], r15
        );
        for (host, home) in pins.pairs() {
            dynasm!(code ; .arch x64 ; mov [rsp + home], Rq(host));
        }
        dynasm!(code ; .arch x64
            ; mov rax, [rsp + at(offset_of!(Frame, host_gs))] ; wrgsbase rax
            ; mov rdi, [rsp + FRAME_BYTES]
            ; mov rsi, rsp
            // Registers, hi, lo, pc, budget and exit are what changes.
            ; mov ecx, at(offset_of!(Frame, engine)) / 8 ; rep movsq
            ; add rsp, FRAME_BYTES
            ; pop rdi ; pop r15 ; pop r14 ; pop r13 ; pop r12 ; pop rbp ; pop rbx
            ; ret
        );
        let load = Self::call_back(&mut code, offset_of!(Frame, load));
        let store = Self::call_back(&mut code, offset_of!(Frame, store));
        let step = Self::call_step(&mut code, pins);
        let code = code.finalize().expect("the prologue has no labels");
        Self { code, enter, exit, load, store, step }
    }

    /// Calls Rust from within a block: `rax` the address, `rdx` the value, `ecx` the size.
    fn call_back(code: &mut VecAssembler<X64Relocation>, function: usize) -> usize {
        // The return address, and 8 bytes that align the stack.
        const PUSHED: i32 = 16;
        let start = code.offset().0;
        dynasm!(code ; .arch x64 ; sub rsp, 8);
        let saved = || {
            let place = |place: usize| (offset_of!(Frame, saved) + place * 8) as i32 + PUSHED;
            CALLER_SAVED.into_iter().enumerate().map(move |(which, host)| (host, place(which)))
        };
        for (host, at) in saved() {
            dynasm!(code ; .arch x64 ; mov [rsp + at], Rq(host));
        }
        dynasm!(code ; .arch x64
            ; mov rdi, [rsp + offset_of!(Frame, engine) as i32 + PUSHED]
            ; mov rsi, rax
            ; call QWORD [rsp + function as i32 + PUSHED]
        );
        for (host, at) in saved() {
            dynasm!(code ; .arch x64 ; mov Rq(host), [rsp + at]);
        }
        dynasm!(code ; .arch x64 ; add rsp, 8 ; ret);
        start
    }

    /// Takes a step of the reference from within a block: `rax` is pc, `rdx` the steps left.
    fn call_step(code: &mut VecAssembler<X64Relocation>, pins: &Pins) -> usize {
        // As in `call_back`.
        const PUSHED: i32 = 16;
        let start = code.offset().0;
        dynasm!(code ; .arch x64 ; sub rsp, 8);
        for (host, home) in pins.pairs() {
            dynasm!(code ; .arch x64 ; mov [rsp + home + PUSHED], Rq(host));
        }
        dynasm!(code ; .arch x64
            ; mov rcx, rdx
            ; mov rdx, rax
            ; lea rsi, [rsp + PUSHED]
            ; mov rdi, [rsp + offset_of!(Frame, engine) as i32 + PUSHED]
            ; call QWORD [rsp + offset_of!(Frame, step) as i32 + PUSHED]
        );
        for (host, home) in pins.pairs() {
            dynasm!(code ; .arch x64 ; mov Rq(host), [rsp + home + PUSHED]);
        }
        dynasm!(code ; .arch x64 ; add rsp, 8 ; ret);
        start
    }

    /// Where its parts are, once it lies at `start`.
    pub(crate) fn at(&self, start: *const u8) -> (Enter, Shared) {
        let at = |offset| start.wrapping_add(offset);
        let shared = Shared {
            exit: at(self.exit),
            load: at(self.load),
            store: at(self.store),
            step: at(self.step),
        };
        (Enter(at(self.enter)), shared)
    }
}

/// Where compiled code is entered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Enter(*const u8);

// SAFETY: an address of executable memory, which is tied to no thread.
unsafe impl Send for Enter {}

impl Enter {
    /// Runs compiled code until it leaves.
    ///
    /// # Safety
    /// `block` is code of a block that was compiled for this prologue and this window, both of
    /// which are alive; `frame.engine` is what the frame's functions may be called with.
    pub(crate) unsafe fn call(self, frame: &mut Frame, block: *const u8) {
        // SAFETY: `Prologue` assembled a function of this type here; it keeps the registers that
        // this calling convention wants kept.
        unsafe {
            let enter: unsafe extern "sysv64" fn(*mut Frame, *const u8) =
                std::mem::transmute(self.0);
            enter(frame, block);
        }
    }
}
