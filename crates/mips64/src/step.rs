//! One step: the scheduler, then fetch, decode and execute (spec: MIPS64 FPVM §1.8, in its order).

use tribunal_machine::{Fault, Host};
use tribunal_memory::{Memory, Storage};

use crate::Mips64;
use crate::execute::{Cpu, Flow, GuestFault};
use crate::instructions::{decode, execute};
use crate::state::{QUANTUM, State, Thread};

/// Is told of every memory access of a step before it happens, so that it can be proven.
pub(crate) trait Recorder {
    /// The word at `address`, aligned down, is about to be read or written.
    fn access<S: Storage>(&mut self, memory: &mut Memory<S>, address: u64);

    /// The second word of a step is about to be written; the first one was.
    fn second_access<S: Storage>(&mut self, memory: &mut Memory<S>, address: u64);
}

/// Records nothing, at no cost.
pub(crate) struct NotProving;

impl Recorder for NotProving {
    #[inline]
    fn access<S: Storage>(&mut self, _memory: &mut Memory<S>, _address: u64) {}

    #[inline]
    fn second_access<S: Storage>(&mut self, _memory: &mut Memory<S>, _address: u64) {}
}

fn no_active_thread() -> GuestFault {
    GuestFault::State("the active thread stack is empty")
}

impl<S: Storage> Mips64<S> {
    /// Takes one step, or leaves everything as it was.
    #[inline]
    pub(crate) fn step_with<R: Recorder>(
        &mut self,
        host: &mut dyn Host,
        recorder: &mut R,
    ) -> Result<(), Fault> {
        match self.state.exited {
            0 => {}
            1 if self.state.active_stack().is_empty() => return Err(self.blame(no_active_thread())),
            1 => return Ok(()),
            _ => return Err(self.blame(GuestFault::State("the exited byte is neither 0 nor 1"))),
        }
        let counters = (self.state.step, self.state.steps_since_switch);
        self.take_step(host, recorder).map_err(|reason| {
            (self.state.step, self.state.steps_since_switch) = counters;
            self.blame(*reason)
        })
    }

    #[inline]
    fn take_step<R: Recorder>(
        &mut self,
        host: &mut dyn Host,
        recorder: &mut R,
    ) -> Result<(), Box<GuestFault>> {
        let State {
            memory,
            reservation,
            step,
            steps_since_switch,
            traverse_right,
            left,
            right,
            ..
        } = &mut self.state;
        let active = if *traverse_right == 0 { left } else { right };
        let Some(thread) = active.top_mut() else {
            return Err(no_active_thread().into());
        };

        *step = step.wrapping_add(1);
        if thread.exited != 0 {
            return self.drop_exited_thread();
        }
        if *steps_since_switch >= QUANTUM {
            self.statistics.forced_preemption();
            self.preempt();
            return Ok(());
        }
        *steps_since_switch += 1;

        if !thread.pc.is_multiple_of(4) {
            return Err(GuestFault::InvalidPc.into());
        }
        let instruction = memory.instruction(thread.pc);
        let Some(op) = decode(instruction) else {
            return Err(GuestFault::InvalidInstruction { instruction }.into());
        };
        let statistics = &mut self.statistics;
        let mut cpu = Cpu { thread, memory, reservation, statistics, recorder, step: *step };
        match execute(&mut cpu, op, instruction)? {
            Flow::Done => Ok(()),
            Flow::Syscall => self.syscall(host, recorder),
        }
    }

    /// The active thread. Exists: a step looks before it does anything.
    pub(crate) fn thread(&mut self) -> &mut Thread {
        self.state.active_stack_mut().top_mut().expect("a step began with an active thread")
    }

    fn drop_exited_thread(&mut self) -> Result<(), Box<GuestFault>> {
        if self.state.thread_count() == 1 {
            return Err(GuestFault::State("the last thread has exited, but not the machine").into());
        }
        self.state.active_stack_mut().pop();
        self.switched();
        Ok(())
    }

    /// Moves the active thread to the other stack.
    pub(crate) fn preempt(&mut self) {
        let State { left, right, traverse_right, .. } = &mut self.state;
        let (from, to) = if *traverse_right == 0 { (left, right) } else { (right, left) };
        if let Some(thread) = from.pop() {
            to.push(thread);
        }
        self.switched();
    }

    /// Makes a new thread the active one.
    pub(crate) fn push_thread(&mut self, thread: Thread) {
        self.state.active_stack_mut().push(thread);
        self.switched();
    }

    /// What follows every change of the active thread: once a stack is used up, the other way.
    fn switched(&mut self) {
        if self.state.active_stack().is_empty() {
            self.state.traverse_right = u8::from(self.state.traverse_right == 0);
        }
        self.state.steps_since_switch = 0;
        let active = self.thread().id;
        self.statistics.thread_activated(active, self.state.step);
    }
}
