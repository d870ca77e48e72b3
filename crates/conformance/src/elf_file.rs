//! ELF files made by hand, for tests of what reads them. They may say what no linker would.

/// Bytes in the header of a file.
const HEADER_BYTES: usize = 64;
/// Bytes in a program header, and in a section header.
const PROGRAM_HEADER_BYTES: usize = 56;
const SECTION_HEADER_BYTES: usize = 64;

/// What a segment is: to be loaded.
pub const PT_LOAD: u32 = 1;
/// What a segment is: notes for people.
pub const PT_NOTE: u32 = 4;
/// What a segment is: the template of thread-local variables.
pub const PT_TLS: u32 = 7;
/// What a segment is: the floating point conventions of the program.
pub const PT_MIPS_ABIFLAGS: u32 = 0x7000_0003;

/// An ELF file, part by part.
#[derive(Clone, Debug)]
pub struct ElfFile {
    /// 1 is 32-bit, 2 is 64-bit; the layout is that of 64 bits anyway.
    pub class: u8,
    /// 1 is little-endian, 2 is big-endian; the bytes are big-endian anyway.
    pub endianness: u8,
    /// The processor: 8 is MIPS.
    pub machine: u16,
    /// Where the program begins.
    pub entry: u64,
    /// The program headers, with what they point to.
    pub segments: Vec<Segment>,
    /// Name, address and size of the symbols; `None` leaves out all sections.
    pub symbols: Option<Vec<(String, u64, u64)>>,
}

/// A program header.
#[derive(Clone, Debug)]
pub struct Segment {
    /// What it is.
    pub kind: u32,
    /// Where it goes.
    pub address: u64,
    /// What is in the file for it.
    pub data: Vec<u8>,
    /// Bytes the header says are in the file, when not those of `data`.
    pub file_size: Option<u64>,
    /// Bytes it takes in memory, when not those of `data`.
    pub memory_size: Option<u64>,
    /// Where the header says `data` is, when not where it is.
    pub offset: Option<u64>,
}

impl Segment {
    /// A segment of this kind that is what it says.
    pub fn new(kind: u32, address: u64, data: impl Into<Vec<u8>>) -> Self {
        let data = data.into();
        Self { kind, address, data, file_size: None, memory_size: None, offset: None }
    }

    /// A segment to be loaded.
    pub fn load(address: u64, data: impl Into<Vec<u8>>) -> Self {
        Self::new(PT_LOAD, address, data)
    }

    /// The same, of another size in memory.
    pub fn with_memory_size(mut self, bytes: u64) -> Self {
        self.memory_size = Some(bytes);
        self
    }
}

impl ElfFile {
    /// A program of these segments that begins where the first one does, without symbols.
    pub fn new(segments: Vec<Segment>) -> Self {
        Self {
            class: 2,
            endianness: 2,
            machine: 8,
            entry: segments.first().map_or(0, |segment| segment.address),
            segments,
            symbols: None,
        }
    }

    /// The bytes of the file: header, program headers, segments, then symbols, names and section
    /// headers.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut offset = HEADER_BYTES + self.segments.len() * PROGRAM_HEADER_BYTES;
        let mut headers = Vec::new();
        let mut contents = Vec::new();
        for segment in &self.segments {
            let length = segment.data.len() as u64;
            headers.extend(segment.kind.to_be_bytes());
            headers.extend(7u32.to_be_bytes());
            for word in [
                segment.offset.unwrap_or(offset as u64),
                segment.address,
                segment.address,
                segment.file_size.unwrap_or(length),
                segment.memory_size.unwrap_or(length),
                1,
            ] {
                headers.extend(word.to_be_bytes());
            }
            contents.extend(&segment.data);
            offset += segment.data.len();
        }
        let (sections, section_count) = match &self.symbols {
            None => (Vec::new(), 0),
            Some(symbols) => {
                let (before, table) = sections(symbols, offset);
                contents.extend(&before);
                offset += before.len();
                (table, 3)
            }
        };
        let section_offset = if section_count == 0 { 0 } else { offset };
        let mut file = self.header(section_offset, section_count);
        for part in [headers, contents, sections] {
            file.extend(part);
        }
        file
    }

    fn header(&self, section_offset: usize, section_count: u16) -> Vec<u8> {
        let mut header = b"\x7fELF".to_vec();
        header.extend([self.class, self.endianness, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        // An executable of this machine, version 1.
        header.extend(2u16.to_be_bytes());
        header.extend(self.machine.to_be_bytes());
        header.extend(1u32.to_be_bytes());
        for word in [self.entry, HEADER_BYTES as u64, section_offset as u64] {
            header.extend(word.to_be_bytes());
        }
        header.extend(0u32.to_be_bytes());
        for half in [
            HEADER_BYTES as u16,
            PROGRAM_HEADER_BYTES as u16,
            self.segments.len() as u16,
            SECTION_HEADER_BYTES as u16,
            section_count,
            // The names of sections would be among those of the symbols.
            section_count.saturating_sub(1),
        ] {
            header.extend(half.to_be_bytes());
        }
        header
    }
}

/// The symbol table with its names, which stand at `offset`, and the section headers for them.
fn sections(symbols: &[(String, u64, u64)], offset: usize) -> (Vec<u8>, Vec<u8>) {
    let mut names = vec![0];
    let mut table = vec![0; 24];
    for (name, address, size) in symbols {
        table.extend((names.len() as u32).to_be_bytes());
        // A function that everyone sees, in no section that matters.
        table.extend([0x12, 0, 0xff, 0xf1]);
        table.extend(address.to_be_bytes());
        table.extend(size.to_be_bytes());
        names.extend(name.as_bytes());
        names.push(0);
    }
    let header = |kind: u32, offset: usize, size: usize, link: u32, entry_size: u64| {
        let mut bytes = 0u32.to_be_bytes().to_vec();
        bytes.extend(kind.to_be_bytes());
        for word in [0, 0, offset as u64, size as u64] {
            bytes.extend(word.to_be_bytes());
        }
        bytes.extend(link.to_be_bytes());
        bytes.extend(1u32.to_be_bytes());
        bytes.extend(1u64.to_be_bytes());
        bytes.extend(entry_size.to_be_bytes());
        bytes
    };
    let headers = [
        vec![0; SECTION_HEADER_BYTES],
        header(2, offset, table.len(), 2, 24),
        header(3, offset + table.len(), names.len(), 0, 0),
    ];
    ([table, names].concat(), headers.concat())
}

#[cfg(test)]
mod tests {
    use tribunal_mips64::load_elf;

    use super::*;

    #[test]
    fn a_file_that_tells_the_truth_loads() {
        let mut file = ElfFile::new(vec![Segment::load(0x1000, *b"\0\0\0\x0c")]);
        file.symbols = Some(vec![("start".into(), 0x1000, 4)]);
        let program = load_elf(&file.to_bytes(), 1 << 20).unwrap();
        assert_eq!(program.state.memory.peek(0x1000), 0x0000_000c_0000_0000);
        assert_eq!(program.symbols.unwrap().name(0x1003), "start");
    }
}
