//! Counts of what a run did, for `--debug-info`. Nothing of it reaches a state.

use tribunal_machine::Statistics;

/// Threads whose last load-linked is remembered.
const REMEMBERED_THREADS: usize = 5;

#[derive(Clone, Debug, Default)]
pub(crate) struct Tracker {
    totals: Statistics,
    /// Thread and step of load-linkeds that wait for their store-conditional, oldest first.
    load_linked: Vec<(u64, u64)>,
    active_thread: u64,
    thread_0_left_at: u64,
}

impl Tracker {
    pub(crate) fn totals(&self) -> Statistics {
        self.totals.clone()
    }

    pub(crate) fn preimage(&mut self, bytes: usize) {
        self.totals.preimage_requests += 1;
        self.totals.preimage_bytes += bytes as u64;
    }

    pub(crate) fn load_linked(&mut self, thread: u64, step: u64) {
        self.load_linked.retain(|&(other, _)| other != thread);
        if self.load_linked.len() == REMEMBERED_THREADS {
            self.load_linked.remove(0);
        }
        self.load_linked.push((thread, step));
    }

    pub(crate) fn store_conditional(&mut self, thread: u64, step: u64, succeeded: bool) {
        if succeeded {
            self.totals.rmw_successes += 1;
        } else {
            self.totals.rmw_failures += 1;
        }
        if let Some(place) = self.load_linked.iter().position(|&(other, _)| other == thread) {
            let (_, loaded_at) = self.load_linked.remove(place);
            let steps = step.wrapping_sub(loaded_at);
            let most = &mut self.totals.max_steps_between_ll_and_sc;
            *most = steps.max(*most);
        }
    }

    pub(crate) fn reservation_invalidated(&mut self) {
        self.totals.reservation_invalidations += 1;
    }

    pub(crate) fn forced_preemption(&mut self) {
        self.totals.forced_preemptions += 1;
    }

    pub(crate) fn thread_activated(&mut self, thread: u64, step: u64) {
        match (self.active_thread, thread) {
            (0, 1..) => self.thread_0_left_at = step,
            (1.., 0) => {
                self.totals.idle_steps_of_thread_0 += step.wrapping_sub(self.thread_0_left_at);
            }
            _ => {}
        }
        self.active_thread = thread;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_sequence_and_the_idle_steps_are_counted() {
        let mut tracker = Tracker::default();
        tracker.load_linked(1, 10);
        tracker.load_linked(2, 15);
        tracker.store_conditional(1, 40, true);
        tracker.store_conditional(2, 20, false);
        tracker.store_conditional(2, 1000, false);
        tracker.thread_activated(3, 100);
        tracker.thread_activated(4, 150);
        tracker.thread_activated(0, 175);
        tracker.thread_activated(0, 180);
        let totals = tracker.totals();
        assert_eq!((totals.rmw_successes, totals.rmw_failures), (1, 2));
        assert_eq!(totals.max_steps_between_ll_and_sc, 30);
        assert_eq!(totals.idle_steps_of_thread_0, 75);
    }
}
