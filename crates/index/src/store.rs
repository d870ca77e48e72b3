//! What is in the directory, for who writes to it: adds pages and snapshots, and thins them out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tribunal_keccak::Hash;
use tribunal_memory::{PageData, page_roots};

use crate::IndexError;
use crate::head::Identity;
use crate::inputs::Inputs;
use crate::pack::{self, PackReader, PackWriter, Place, RECORD_BYTES};
use crate::snapshot::{self, PagesSum, Snapshot, runs};

/// The most snapshots there are. Finding one goes through their names.
const MOST_SNAPSHOTS: usize = 1024;

/// The most bytes of a file of pages.
const PACK_BYTES: u64 = 64 << 20;

/// Such a file is smaller where the whole index is to be, but not smaller than this.
const LEAST_PACK_BYTES: u64 = 256 << 10;

/// What writes to an index.
pub(crate) struct Store {
    directory: PathBuf,
    /// Held as long as this is there.
    _lock: File,
    prestate: Hash,
    packs: PackReader,
    writer: Option<PackWriter>,
    next_pack: u32,
    /// The pages of the last snapshot, and those that were put since.
    known: BTreeMap<u64, (Place, Hash)>,
    /// Where a page is, by its root. Looked up only.
    by_root: HashMap<Hash, Place>,
    steps: BTreeSet<u64>,
    /// Bytes of all files that are closed.
    bytes: u64,
    limit: u64,
    /// How often half of the snapshots had to go since somebody asked.
    halvings: u32,
}

/// Which files of pages are worth writing anew.
#[derive(Clone, Copy)]
enum Sparse {
    /// Those of which a quarter is not needed any more.
    QuarterUnneeded,
    /// Those of which any page is not.
    AnyUnneeded,
}

/// A state without its pages.
pub(crate) struct Shell {
    pub(crate) step: u64,
    pub(crate) exit_code: Option<u8>,
    pub(crate) rest: Vec<u8>,
    pub(crate) inputs: Inputs,
}

/// Pages that changed, with their indices.
pub(crate) type Changed = Vec<(u64, Box<PageData>)>;

impl Store {
    /// The index in `directory`, whose lock is `lock`; `known` are the pages of the snapshot that the
    /// run is taken up from.
    pub(crate) fn new(
        directory: &Path,
        lock: File,
        identity: &Identity,
        known: &[(u64, Place, Hash)],
        limit: u64,
    ) -> Result<Self, IndexError> {
        let mut store = Self {
            directory: directory.to_owned(),
            _lock: lock,
            prestate: identity.prestate,
            packs: PackReader::new(directory),
            writer: None,
            next_pack: 0,
            known: known.iter().map(|&(index, place, root)| (index, (place, root))).collect(),
            by_root: known.iter().map(|&(_, place, root)| (root, place)).collect(),
            steps: BTreeSet::new(),
            bytes: 0,
            limit,
            halvings: 0,
        };
        for file in files(directory)? {
            store.bytes += file.bytes;
            match file.kind {
                FileKind::Snapshot(step) => drop(store.steps.insert(step)),
                FileKind::Pack(pack) => {
                    store.next_pack = store.next_pack.max(pack.saturating_add(1));
                }
                // What a process left that ended while it wrote.
                FileKind::Temporary => {
                    store.bytes -= file.bytes;
                    remove(&directory.join(&file.name))?;
                }
                FileKind::Head | FileKind::Lock => {}
            }
        }
        Ok(store)
    }

    /// The last snapshot.
    pub(crate) fn last_step(&self) -> Option<u64> {
        self.steps.last().copied()
    }

    /// Whether page `index` held exactly `data` when it was last put.
    pub(crate) fn holds(&mut self, index: u64, data: &PageData) -> Result<bool, IndexError> {
        match self.known.get(&index) {
            Some(&(place, _)) => self.packs.holds(place, data),
            None => Ok(false),
        }
    }

    /// Keeps pages: they are what their indices stand for from now on. False if there is no room for
    /// them, whatever else goes: then nothing is in the index any more.
    pub(crate) fn put(&mut self, pages: &Changed) -> Result<bool, IndexError> {
        let data: Vec<&PageData> = pages.iter().map(|(_, data)| &**data).collect();
        let roots = page_roots(&data);
        let new = roots.iter().filter(|root| !self.by_root.contains_key(*root)).count();
        if !self.make_room((new * RECORD_BYTES) as u64)? {
            return Ok(false);
        }
        for ((index, data), root) in pages.iter().zip(roots) {
            let place = match self.by_root.get(&root) {
                Some(place) => *place,
                None => self.append(&root, data)?,
            };
            self.known.insert(*index, (place, root));
        }
        // Whoever compares with these pages reads the file.
        self.writer.as_mut().map_or(Ok(()), PackWriter::flush)?;
        Ok(true)
    }

    fn append(&mut self, root: &Hash, data: &PageData) -> Result<Place, IndexError> {
        let full = (self.limit / 16).clamp(LEAST_PACK_BYTES, PACK_BYTES);
        if self.writer.as_ref().is_some_and(|writer| writer.bytes() >= full) {
            self.close_pack()?;
        }
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => {
                let writer = PackWriter::create(&self.directory, self.next_pack)?;
                self.next_pack += 1;
                none.insert(writer)
            }
        };
        let place = writer.append(root, data)?;
        self.by_root.insert(*root, place);
        Ok(place)
    }

    fn close_pack(&mut self) -> Result<(), IndexError> {
        if let Some(mut writer) = self.writer.take() {
            writer.flush()?;
            self.bytes += writer.bytes();
        }
        Ok(())
    }

    /// Adds a snapshot of the pages that are known and `shell`. False as for [`Store::put`].
    pub(crate) fn add(&mut self, shell: Shell) -> Result<bool, IndexError> {
        let mut sum = PagesSum::default();
        for (index, (_, root)) in &self.known {
            sum.add(*index, root);
        }
        let Shell { step, exit_code, rest, inputs } = shell;
        let snapshot = Snapshot {
            prestate: self.prestate,
            step,
            exit_code,
            rest,
            inputs,
            pages_sum: sum.get(),
            runs: runs(self.known.iter().map(|(index, (place, _))| (*index, *place))),
        };
        self.bytes += snapshot.save(&self.directory)?;
        self.steps.insert(step);
        let fits = self.make_room(0)?;
        if fits && self.steps.is_empty() {
            self.give_up()?;
        }
        Ok(!self.steps.is_empty())
    }

    /// How often half of the snapshots had to go since the last call.
    pub(crate) fn take_halvings(&mut self) -> u32 {
        std::mem::take(&mut self.halvings)
    }

    /// Drops snapshots until there is room for so many bytes more. False if there never is.
    fn make_room(&mut self, bytes: u64) -> Result<bool, IndexError> {
        let lacks = |store: &Self| store.size().saturating_add(bytes) > store.limit;
        while lacks(self) || self.steps.len() > MOST_SNAPSHOTS {
            if self.steps.is_empty() {
                self.give_up()?;
                return Ok(false);
            }
            self.thin()?;
            if lacks(self) {
                self.compact(Sparse::AnyUnneeded)?;
            }
            self.halvings += 1;
        }
        Ok(true)
    }

    /// Deletes the pages that no snapshot needs: there will not be one.
    fn give_up(&mut self) -> Result<(), IndexError> {
        self.known.clear();
        self.by_root.clear();
        self.compact(Sparse::AnyUnneeded)
    }

    fn size(&self) -> u64 {
        self.bytes + self.writer.as_ref().map_or(0, PackWriter::bytes)
    }

    /// Drops every other snapshot, the last one last, and the pages that only those needed.
    fn thin(&mut self) -> Result<(), IndexError> {
        let alone = self.steps.len() == 1;
        let dropped: Vec<u64> = match alone {
            true => self.steps.iter().copied().collect(),
            false => self.steps.iter().rev().skip(1).step_by(2).copied().collect(),
        };
        for step in dropped {
            let path = snapshot::path(&self.directory, step);
            let bytes = fs::metadata(&path).map_err(IndexError::io("read", &path))?.len();
            remove(&path)?;
            self.bytes -= bytes;
            self.steps.remove(&step);
        }
        self.compact(Sparse::QuarterUnneeded)
    }

    /// Moves the pages that are still needed out of files where few are, and deletes those.
    fn compact(&mut self, sparse: Sparse) -> Result<(), IndexError> {
        self.close_pack()?;
        let mut needed: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        // Those of a snapshot that is being made.
        for (place, _) in self.known.values() {
            needed.entry(place.pack).or_default().insert(place.slot);
        }
        for &step in &self.steps {
            for (_, place) in Snapshot::load(&self.directory, &self.prestate, step)?.pages() {
                needed.entry(place.pack).or_default().insert(place.slot);
            }
        }
        let mut moved: HashMap<Place, Place> = HashMap::new();
        let mut emptied = Vec::new();
        for file in files(&self.directory)? {
            let FileKind::Pack(pack) = file.kind else { continue };
            let slots = needed.remove(&pack).unwrap_or_default();
            let all = file.bytes / RECORD_BYTES as u64;
            let most = match sparse {
                Sparse::QuarterUnneeded => all * 3 / 4,
                Sparse::AnyUnneeded => all.saturating_sub(1),
            };
            if slots.len() as u64 > most {
                continue;
            }
            emptied.push((pack, file.bytes));
            for slot in slots {
                let from = Place { pack, slot };
                let mut page = None;
                self.packs.read(from, 1, |_, root, data| page = Some((root, *data)))?;
                if let Some((root, data)) = page {
                    moved.insert(from, self.append(&root, &data)?);
                }
            }
        }
        self.close_pack()?;
        if !moved.is_empty() {
            for step in self.steps.clone() {
                let mut snapshot = Snapshot::load(&self.directory, &self.prestate, step)?;
                let new = |(index, place)| (index, moved.get(&place).copied().unwrap_or(place));
                snapshot.runs = runs(snapshot.pages().map(new));
                let path = snapshot::path(&self.directory, step);
                self.bytes -= fs::metadata(&path).map_err(IndexError::io("read", &path))?.len();
                self.bytes += snapshot.save(&self.directory)?;
            }
        }
        // From here on nothing names the old places.
        self.packs.close();
        for (pack, bytes) in &emptied {
            remove(&pack::path(&self.directory, *pack))?;
            self.bytes -= bytes;
        }
        let gone = |place: &Place| emptied.iter().any(|(pack, _)| *pack == place.pack);
        self.known.retain(|_, (place, _)| {
            *place = moved.get(place).copied().unwrap_or(*place);
            !gone(place)
        });
        self.by_root.clear();
        self.by_root.extend(self.known.values().map(|&(place, root)| (root, place)));
        Ok(())
    }
}

/// A file in the directory of an index.
pub(crate) struct IndexFile {
    pub(crate) name: String,
    pub(crate) kind: FileKind,
    pub(crate) bytes: u64,
}

/// What it is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Head,
    Lock,
    Snapshot(u64),
    Pack(u32),
    Temporary,
}

/// The files of an index in `directory`, by name. Others are not listed.
pub(crate) fn files(directory: &Path) -> Result<Vec<IndexFile>, IndexError> {
    let read = || -> io::Result<Vec<IndexFile>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let Some(kind) = kind_of(&name) else { continue };
            files.push(IndexFile { name, kind, bytes: entry.metadata()?.len() });
        }
        files.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(files)
    };
    read().map_err(IndexError::io("read", directory))
}

fn kind_of(name: &str) -> Option<FileKind> {
    match name {
        "index" => Some(FileKind::Head),
        "lock" => Some(FileKind::Lock),
        _ if name.starts_with(".tribunal-") && name.ends_with(".tmp") => Some(FileKind::Temporary),
        _ => {
            let pack = || pack::number_of(name).map(FileKind::Pack);
            snapshot::step_of(name).map(FileKind::Snapshot).or_else(pack)
        }
    }
}

pub(crate) fn remove(path: &Path) -> Result<(), IndexError> {
    fs::remove_file(path).map_err(IndexError::io("delete", path))
}
