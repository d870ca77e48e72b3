//! Roots and proofs of a memory at moments that are past by the time another thread computes them.
//!
//! What changed until such a moment is copied, and goes to a thread that keeps the tree meanwhile. It
//! answers in the order it was asked in, so each answer is that of its moment.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

use tribunal_keccak::Hash;

use crate::proof::Proof;
use crate::tree::Tree;
use crate::{Changed, PAGE_SIZE, PageData, Storage, page_index};

/// Answers that may be outstanding before whoever wants one more waits.
const OUTSTANDING: usize = 2;

/// More changed pages than these are not copied, but hashed at once where they are.
const MOST_COPIED: usize = (8 << 20) / PAGE_SIZE;

/// What was asked of a memory, in order, and no thread was told of yet.
#[derive(Clone, Default)]
pub(crate) struct Asked(Vec<Question>);

#[derive(Clone)]
enum Question {
    /// What changed, and what is to be known of the memory after it.
    Open(Changes, What),
    Answered(Answer),
}

#[derive(Clone)]
enum What {
    Root,
    /// The proof of an address, whose page this is, if it exists.
    Proof(u64, Option<Box<PageData>>),
}

impl What {
    fn of(&self, tree: &Tree) -> Answer {
        match self {
            Self::Root => Answer::Root(tree.root()),
            Self::Proof(address, page) => Answer::Proof(tree.prove(*address, page.as_deref())),
        }
    }
}

#[derive(Clone)]
enum Answer {
    Root(Hash),
    Proof(Proof),
}

/// Pages that changed, copied.
#[derive(Clone)]
struct Changes {
    changed: Vec<Changed>,
    data: Vec<PageData>,
}

impl Changes {
    fn copy<S: Storage>(changed: Vec<Changed>, storage: &S) -> Self {
        let mut data = Vec::with_capacity(changed.len());
        for page in changed.iter().filter_map(|changed| storage.page(changed.index)) {
            data.extend_from_slice(std::slice::from_ref(&*page));
        }
        debug_assert_eq!(changed.len(), data.len(), "a page that changed exists");
        Self { changed, data }
    }

    fn take_into(&self, tree: &mut Tree) {
        tree.take(self.changed.iter().copied().zip(&self.data));
    }
}

/// What was asked, answered in the same order: roots by themselves, and proofs by themselves.
pub struct Answers {
    roots: VecDeque<Hash>,
    proofs: VecDeque<Proof>,
}

impl Answers {
    /// The next root that was asked for.
    ///
    /// # Panics
    /// If there were fewer.
    pub fn root(&mut self) -> Hash {
        self.roots.pop_front().expect("as many roots as were asked for")
    }

    /// The next proof that was asked for.
    ///
    /// # Panics
    /// If there were fewer.
    pub fn proof(&mut self) -> Proof {
        self.proofs.pop_front().expect("as many proofs as were asked for")
    }
}

impl Asked {
    pub(crate) fn root<S: Storage>(&mut self, storage: &mut S, tree: &mut Keeper) {
        self.ask(What::Root, storage, tree);
    }

    pub(crate) fn proof<S: Storage>(&mut self, address: u64, storage: &mut S, tree: &mut Keeper) {
        let page = storage.page(page_index(address)).map(|page| Box::new(*page));
        self.ask(What::Proof(address, page), storage, tree);
    }

    fn ask<S: Storage>(&mut self, what: What, storage: &mut S, tree: &mut Keeper) {
        let changed = storage.take_changed();
        if changed.len() <= MOST_COPIED {
            self.0.push(Question::Open(Changes::copy(changed, storage), what));
            return;
        }
        let tree = tree.here();
        self.settle(tree);
        tree.take_from(&changed, storage);
        self.0.push(Question::Answered(what.of(tree)));
    }

    /// Answers all that was asked so far.
    pub(crate) fn settle(&mut self, tree: &mut Tree) {
        for question in &mut self.0 {
            if let Question::Open(changes, what) = question {
                changes.take_into(tree);
                *question = Question::Answered(what.of(tree));
            }
        }
    }

    /// Has it all answered by the thread that keeps the tree, which then does `work` with it.
    pub(crate) fn answer<T: Send + 'static>(
        &mut self,
        tree: &mut Keeper,
        work: impl FnOnce(Answers) -> T + Send + 'static,
    ) -> Receiver<T> {
        let mut asked = std::mem::take(self);
        tree.elsewhere(move |tree| work(asked.answers(tree)))
    }

    /// Answers it all.
    pub(crate) fn answers(&mut self, tree: &mut Tree) -> Answers {
        self.settle(tree);
        let mut answers = Answers { roots: VecDeque::new(), proofs: VecDeque::new() };
        for question in self.0.drain(..) {
            match question {
                Question::Answered(Answer::Root(root)) => answers.roots.push_back(root),
                Question::Answered(Answer::Proof(proof)) => answers.proofs.push_back(proof),
                Question::Open(..) => {}
            }
        }
        answers
    }
}

type Work = Box<dyn FnOnce(&mut Tree) + Send>;

/// Who has the tree.
pub(crate) enum Keeper {
    Here(Tree),
    Elsewhere(SyncSender<Work>, JoinHandle<Tree>),
}

impl Keeper {
    /// The tree, after all work with it elsewhere is done.
    pub(crate) fn here(&mut self) -> &mut Tree {
        if let Self::Elsewhere(..) = self
            && let Self::Elsewhere(work, thread) =
                std::mem::replace(self, Self::Here(Tree::default()))
        {
            drop(work);
            *self =
                Self::Here(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        match self {
            Self::Here(tree) => tree,
            Self::Elsewhere(..) => unreachable!("it was brought here just now"),
        }
    }

    /// Has `work` done on another thread.
    fn elsewhere<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Tree) -> T + Send + 'static,
    ) -> Receiver<T> {
        if let Self::Here(tree) = self {
            let mut tree = std::mem::take(tree);
            let (sender, receiver) = sync_channel::<Work>(OUTSTANDING);
            let thread = thread::spawn(move || {
                receiver.into_iter().for_each(|work| work(&mut tree));
                tree
            });
            *self = Self::Elsewhere(sender, thread);
        }
        let (result, receiver) = channel();
        self.send(Box::new(move |tree| {
            // Nobody may want to know any more.
            let _ = result.send(work(tree));
        }));
        receiver
    }

    fn send(&self, work: Work) {
        if let Self::Elsewhere(sender, _) = self {
            sender.send(work).unwrap_or_else(|_| panic!("the thread that hashes has panicked"));
        }
    }
}

impl Default for Keeper {
    fn default() -> Self {
        Self::Here(Tree::default())
    }
}

impl Clone for Keeper {
    fn clone(&self) -> Self {
        match self {
            Self::Here(tree) => Self::Here(tree.clone()),
            Self::Elsewhere(..) => {
                let (sender, receiver) = channel();
                self.send(Box::new(move |tree| drop(sender.send(tree.clone()))));
                Self::Here(receiver.recv().expect("the thread that hashes goes on"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Memory;

    /// Writes to `pages` pages, other leaves in each round.
    fn write(memory: &mut Memory, pages: u64, round: u64) {
        for page in 0..pages {
            memory.set_word(page * 0x2000 + round * 40 % 4096, page ^ round << 32 | 1);
        }
    }

    #[test]
    fn answers_are_those_of_the_moment_they_were_asked_for_in() {
        for pages in [0, 1, 70, 3 * MOST_COPIED as u64 / 2] {
            let (mut memory, mut plain) = (Memory::new(), Memory::new());
            let mut expected = Vec::new();
            let mut coming = Vec::new();
            for round in 0..6 {
                // Now and then in between, somebody asks and waits.
                if round == 4 {
                    assert_eq!(memory.root(), plain.root());
                    assert_eq!(memory.proof(0x2000), plain.proof(0x2000));
                }
                write(&mut memory, pages, round);
                write(&mut plain, pages, round);
                memory.ask_root();
                let before = plain.root();
                memory.ask_proof(0x4008);
                memory.set_word(0x4008, round);
                let proof = plain.proof(0x4008);
                plain.set_word(0x4008, round);
                memory.ask_proof(0x7777_7777_7000);
                memory.ask_root();
                expected.push((before, proof, plain.proof(0x7777_7777_7000), plain.root()));
                coming.push(memory.answer(|mut answers| {
                    let before = answers.root();
                    (before, answers.proof(), answers.proof(), answers.root())
                }));
                if round == 2 {
                    memory = memory.clone();
                }
                if round == 3 {
                    memory = memory.move_to(crate::Pages::default());
                }
            }
            let found: Vec<_> = coming.into_iter().map(|answer| answer.recv().unwrap()).collect();
            assert!(found == expected, "{pages} pages");
            assert_eq!(memory.root(), plain.root());
        }
    }

    #[test]
    fn what_was_asked_and_never_answered_is_hashed_all_the_same() {
        let (mut memory, mut plain) = (Memory::new(), Memory::new());
        write(&mut memory, 20, 1);
        write(&mut plain, 20, 1);
        memory.ask_root();
        let mut copy = memory.clone();
        let mut moved = memory.clone().move_to(crate::Pages::default());
        assert_eq!(memory.root(), plain.root());
        assert_eq!(copy.root(), plain.root());
        assert_eq!(moved.proof(0x2000), plain.proof(0x2000));
        write(&mut memory, 20, 2);
        write(&mut plain, 20, 2);
        assert_eq!(memory.root(), plain.root());
    }
}
