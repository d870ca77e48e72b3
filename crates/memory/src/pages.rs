//! Pages on the heap: the portable storage, which knows exactly which leaves changed.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::page_tree::LEAF_BYTES;
use crate::{Changed, PAGE_SIZE, PageData, Storage, is_zero, page_index};

/// What a page holds before anything else was written to it.
static ZERO_PAGE: PageData = [0; PAGE_SIZE];

/// Pages on the heap, each allocated when it is first written to.
#[derive(Clone)]
pub struct Pages {
    /// The slot in `pages` of each page that exists.
    slots: BTreeMap<u64, u32>,
    pages: Vec<Page>,
    /// Recently used pages, by the low bits of the page index. A slot never moves, so an entry is
    /// never wrong.
    recent: Box<[Recent; RECENT_PAGES]>,
    /// The page that instructions came from last: data must not push it out of `recent`.
    code: Recent,
    /// Slots of the pages that changed since they were last asked for.
    changed: Vec<u32>,
    /// Where watched pages were written to since that was last asked for.
    watched_writes: Vec<u64>,
}

/// A page index and its slot.
#[derive(Clone, Copy)]
struct Recent {
    index: u64,
    slot: u32,
}

impl Recent {
    /// No page has this index: an index has 52 bits.
    const NONE: Self = Self { index: u64::MAX, slot: 0 };
}

const RECENT_PAGES: usize = 1024;

#[derive(Clone)]
struct Page {
    index: u64,
    /// `None` while every byte is zero: a page that only exists costs no 4 KiB.
    data: Option<Box<PageData>>,
    /// The leaves that changed since they were last asked for, one bit each.
    dirty: [u64; 2],
    /// Writes to it are noted.
    watched: bool,
    /// A store needs no more than the bytes and the mark of its leaf: there are bytes, the page
    /// counts as changed already, and nobody watches.
    plain: bool,
}

/// For an engine that looks for pages itself.
impl Pages {
    /// The page of `address`, if it is at hand; otherwise [`Storage::word`] has to be asked.
    #[inline]
    pub fn page_for_load(&self, address: u64) -> Option<&PageData> {
        let index = page_index(address);
        let recent = self.recent[recent_place(index)];
        if recent.index != index {
            return None;
        }
        self.pages[recent.slot as usize].data.as_deref()
    }

    /// The page of `address` to change bytes in that lie in the same leaf, which counts as changed.
    ///
    /// None if the page is not at hand or is watched; then [`Storage::set_word`] has to be asked.
    #[inline]
    pub fn page_for_store(&mut self, address: u64) -> Option<&mut PageData> {
        let index = page_index(address);
        let recent = self.recent[recent_place(index)];
        if recent.index != index {
            return None;
        }
        let page = &mut self.pages[recent.slot as usize];
        if !page.plain {
            return None;
        }
        page.mark(address);
        page.data.as_deref_mut()
    }

    /// Begins or ends to note writes to the page `index`. Returns whether there is such a page.
    pub fn watch(&mut self, index: u64, watched: bool) -> bool {
        let Some(&slot) = self.slots.get(&index) else { return false };
        let page = &mut self.pages[slot as usize];
        page.watched = watched;
        page.plain = false;
        true
    }

    /// An address of each write to a watched page since the last call: of the word for a store,
    /// of the first byte for more.
    #[inline]
    pub fn watched_writes(&mut self) -> impl Iterator<Item = u64> {
        self.watched_writes.drain(..)
    }

    /// Whether there are any [`Pages::watched_writes`].
    #[inline]
    pub fn was_watched_written(&self) -> bool {
        !self.watched_writes.is_empty()
    }

    #[inline]
    fn slot_for_reading(&mut self, address: u64) -> Option<u32> {
        let index = page_index(address);
        let recent = self.recent[recent_place(index)];
        if recent.index == index { Some(recent.slot) } else { self.find_slot(index) }
    }

    #[inline]
    fn slot_for_writing(&mut self, index: u64) -> u32 {
        let recent = self.recent[recent_place(index)];
        if recent.index == index { recent.slot } else { self.find_or_create(index) }
    }

    #[cold]
    fn find_slot(&mut self, index: u64) -> Option<u32> {
        let slot = *self.slots.get(&index)?;
        self.recent[recent_place(index)] = Recent { index, slot };
        Some(slot)
    }

    #[cold]
    fn find_or_create(&mut self, index: u64) -> u32 {
        assert!(index < 1 << 52, "a page index has 52 bits");
        let pages = &mut self.pages;
        let slot = *self.slots.entry(index).or_insert_with(|| {
            let slot = u32::try_from(pages.len()).expect("fewer than 2^32 pages fit in any memory");
            pages.push(Page { index, data: None, dirty: [0; 2], watched: false, plain: false });
            slot
        });
        self.recent[recent_place(index)] = Recent { index, slot };
        slot
    }
}

impl Default for Pages {
    fn default() -> Self {
        Self {
            slots: BTreeMap::new(),
            pages: Vec::new(),
            recent: Box::new([Recent::NONE; RECENT_PAGES]),
            code: Recent::NONE,
            changed: Vec::new(),
            watched_writes: Vec::new(),
        }
    }
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages").field("count", &self.pages.len()).finish_non_exhaustive()
    }
}

impl Storage for Pages {
    #[inline]
    fn word(&mut self, address: u64) -> u64 {
        match self.slot_for_reading(address) {
            Some(slot) => self.pages[slot as usize].word(address),
            None => 0,
        }
    }

    #[inline]
    fn instruction(&mut self, address: u64) -> u32 {
        let index = page_index(address);
        if self.code.index != index {
            let Some(slot) = self.slot_for_reading(address) else { return 0 };
            self.code = Recent { index, slot };
        }
        self.pages[self.code.slot as usize].instruction(address)
    }

    #[inline]
    fn set_word(&mut self, address: u64, word: u64) {
        let slot = self.slot_for_writing(page_index(address));
        let page = &mut self.pages[slot as usize];
        if !page.plain {
            if page.dirty == [0; 2] {
                self.changed.push(slot);
            }
            if page.watched {
                self.watched_writes.push(address);
            }
            page.plain = !page.watched;
        }
        page.set_word(address, word);
    }

    fn write_within_page(&mut self, address: u64, bytes: &[u8]) {
        let slot = self.slot_for_writing(page_index(address));
        let page = &mut self.pages[slot as usize];
        let was_clean = page.dirty == [0; 2];
        page.write((address % PAGE_SIZE as u64) as usize, bytes);
        if was_clean && page.dirty != [0; 2] {
            self.changed.push(slot);
        }
        if page.watched {
            self.watched_writes.push(address);
        }
    }

    fn touch(&mut self, index: u64) {
        self.slot_for_writing(index);
    }

    fn peek(&self, address: u64) -> u64 {
        let slot = self.slots.get(&page_index(address));
        slot.map_or(0, |slot| self.pages[*slot as usize].word(address))
    }

    fn page(&self, index: u64) -> Option<Cow<'_, PageData>> {
        let slot = *self.slots.get(&index)?;
        let data = self.pages[slot as usize].data.as_deref();
        Some(Cow::Borrowed(data.unwrap_or(&ZERO_PAGE)))
    }

    fn has_page(&self, index: u64) -> bool {
        self.slots.contains_key(&index)
    }

    fn page_count(&self) -> usize {
        self.pages.len()
    }

    fn indices(&self) -> impl Iterator<Item = u64> {
        self.slots.keys().copied()
    }

    fn take_changed(&mut self) -> Vec<Changed> {
        let pages = &mut self.pages;
        let take = |slot: u32| {
            let page = &mut pages[slot as usize];
            page.plain = false;
            let [low, high] = std::mem::take(&mut page.dirty);
            Changed { index: page.index, leaves: u128::from(high) << 64 | u128::from(low) }
        };
        self.changed.drain(..).map(take).collect()
    }
}

impl Page {
    #[inline]
    fn word(&self, address: u64) -> u64 {
        let offset = address as usize % PAGE_SIZE / 8;
        match &self.data {
            Some(data) => u64::from_be_bytes(data.as_chunks().0[offset]),
            None => 0,
        }
    }

    #[inline]
    fn instruction(&self, address: u64) -> u32 {
        let offset = address as usize % PAGE_SIZE / 4;
        match &self.data {
            Some(data) => u32::from_be_bytes(data.as_chunks().0[offset]),
            None => 0,
        }
    }

    #[inline]
    fn set_word(&mut self, address: u64, word: u64) {
        let offset = address as usize % PAGE_SIZE;
        self.data_mut().as_chunks_mut().0[offset / 8] = word.to_be_bytes();
        self.mark(address);
    }

    /// The leaf of `address` changes.
    #[inline]
    fn mark(&mut self, address: u64) {
        let leaf = address as usize % PAGE_SIZE / LEAF_BYTES;
        self.dirty[leaf / 64] |= 1 << (leaf % 64);
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.data.is_none() && is_zero(bytes) {
            return;
        }
        self.data_mut()[offset..end].copy_from_slice(bytes);
        for leaf in offset / LEAF_BYTES..end.div_ceil(LEAF_BYTES) {
            self.dirty[leaf / 64] |= 1 << (leaf % 64);
        }
    }

    #[inline]
    fn data_mut(&mut self) -> &mut PageData {
        self.data.get_or_insert_with(|| Box::new([0; PAGE_SIZE]))
    }
}

#[inline]
fn recent_place(index: u64) -> usize {
    index as usize % RECENT_PAGES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_share_a_place_in_the_cache_stay_apart() {
        let mut pages = Pages::default();
        let stride = (RECENT_PAGES * PAGE_SIZE) as u64;
        for i in 0..8 {
            pages.set_word(i * stride, i + 1);
        }
        for i in 0..8 {
            assert_eq!(pages.word(i * stride), i + 1);
            assert_eq!(pages.instruction(i * stride + 4), i as u32 + 1);
        }
    }

    #[test]
    fn exactly_the_leaves_that_were_written_are_changed_and_only_once() {
        let mut pages = Pages::default();
        pages.set_word(0x5020, 1);
        pages.set_word(0x5fff, 0);
        pages.write_within_page(0x703f, &[1, 2]);
        pages.write_within_page(0x9000, &[0; 64]);
        pages.touch(3);
        let mut changed = pages.take_changed();
        changed.sort_by_key(|changed| changed.index);
        let expected = [(5, 1 << 1 | 1 << 127), (7, 1 << 1 | 1 << 2)];
        assert_eq!(changed, expected.map(|(index, leaves)| Changed { index, leaves }));
        assert_eq!(pages.take_changed(), []);
        assert_eq!(pages.indices().collect::<Vec<_>>(), [3, 5, 7, 9]);
    }

    #[test]
    fn a_page_for_stores_notes_every_leaf_and_only_what_is_watched_is_told() {
        let mut pages = Pages::default();
        assert!(pages.page_for_store(0x5000).is_none() && !pages.watch(5, true));
        pages.set_word(0x5000, 1);
        pages.page_for_store(0x5fe0).unwrap()[0xfe7] = 7;
        assert_eq!(pages.word(0x5fe0), 7);
        assert_eq!(pages.page_for_load(0x5fe0).unwrap()[0xfe7], 7);
        assert_eq!(pages.take_changed(), [Changed { index: 5, leaves: 1 | 1 << 127 }]);
        // Nothing counts as changed now, so the next store has to say that it does.
        assert!(pages.page_for_store(0x5040).is_none());
        pages.set_word(0x5040, 1);
        assert!(pages.page_for_store(0x5060).is_some());
        assert_eq!(pages.take_changed(), [Changed { index: 5, leaves: 1 << 2 | 1 << 3 }]);
        pages.set_word(0x5000, 2);
        assert!(pages.watch(5, true) && pages.page_for_store(0x5000).is_none());
        pages.set_word(0x5008, 2);
        pages.write_within_page(0x5011, &[1]);
        assert!(pages.page_for_store(0x5000).is_none());
        assert!(pages.watch(5, false));
        pages.set_word(0x5010, 2);
        assert_eq!(pages.watched_writes().collect::<Vec<_>>(), [0x5008, 0x5011]);
        assert_eq!(pages.watched_writes().count(), 0);
    }
}
