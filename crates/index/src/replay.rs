//! Work that is shared among threads, and whose results come in order all the same.

use std::collections::VecDeque;
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Results of one job that may wait for those of the jobs before.
const WAITING: usize = 256;

/// What a job hands its results to. False: nobody wants more of them.
pub type Hand<'a, T> = &'a mut dyn FnMut(T) -> bool;

/// Does `jobs` on `threads` threads, and hands the results of the first job to `found`, then those of
/// the second, and so on, as soon as they are there. Few results wait in memory at any time.
///
/// # Errors
/// The first one, in the order of the jobs, of `work` or of `found`. What was found before it has been
/// handed over.
pub fn in_order<J, T, E>(
    jobs: &[J],
    threads: usize,
    work: impl Fn(&J, Hand<'_, T>) -> Result<(), E> + Sync,
    mut found: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E>
where
    J: Sync,
    T: Send,
    E: Send,
{
    let mut queue = VecDeque::new();
    let mut receivers = Vec::new();
    for job in jobs {
        let (sender, receiver) = sync_channel(WAITING);
        queue.push_back((job, sender));
        receivers.push(receiver);
    }
    let queue = Mutex::new(queue);
    let queue = || queue.lock().unwrap_or_else(PoisonError::into_inner);
    thread::scope(|scope| {
        for _ in 0..threads.clamp(1, jobs.len().max(1)) {
            scope.spawn(|| {
                // The earliest job that is not done is always somebody's, so nobody waits for ever.
                loop {
                    let Some((job, sender)) = queue().pop_front() else { return };
                    let mut hand = |result| sender.send(Ok(result)).is_ok();
                    if let Err(error) = work(job, &mut hand) {
                        // Nobody may be listening any more.
                        let _ = sender.send(Err(error));
                    }
                }
            });
        }
        let outcome = receivers.into_iter().flatten().try_for_each(|result| found(result?));
        // After a failure the receivers are gone, so a job that has begun ends at its next result.
        queue().clear();
        outcome
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_whoever_is_faster() {
        let jobs: Vec<u64> = (0..20).collect();
        for threads in [1, 2, 5] {
            let mut results = Vec::new();
            let work = |&job: &u64, hand: Hand<'_, u64>| {
                thread::sleep(std::time::Duration::from_millis((20 - job) % 7));
                (0..1000).all(|result| hand(job * 1000 + result));
                Ok::<(), String>(())
            };
            let found = |result| {
                results.push(result);
                Ok(())
            };
            in_order(&jobs, threads, work, found).unwrap();
            assert_eq!(results, (0..20_000).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_first_error_ends_it_after_what_was_found_before() {
        let work = |&job: &u64, hand: Hand<'_, u64>| {
            hand(job);
            if job >= 3 { Err(job) } else { Ok(()) }
        };
        let mut results = Vec::new();
        let found = |result| {
            results.push(result);
            Ok(())
        };
        let jobs: Vec<u64> = (0..9).collect();
        assert_eq!(in_order(&jobs, 3, work, found), Err(3));
        assert_eq!(results, [0, 1, 2, 3]);
        let endless = |_: &u64, hand: Hand<'_, u64>| {
            while hand(1) {}
            Ok(())
        };
        assert_eq!(in_order(&jobs, 2, endless, |_| Err(7)), Err(7), "whoever reads may stop it");
    }
}
