//! Names for addresses: the symbols of a program, as `meta.json` keeps them.

use serde::{Deserialize, Serialize};

/// The symbols of a program, by ascending address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "SymbolsFile")]
pub struct Symbols {
    symbols: Vec<Symbol>,
}

/// Symbols as they stand in a file, in whatever order.
#[derive(Deserialize)]
struct SymbolsFile {
    symbols: Vec<Symbol>,
}

impl From<SymbolsFile> for Symbols {
    fn from(file: SymbolsFile) -> Self {
        Self::new(file.symbols)
    }
}

/// A function or an object of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Symbol {
    /// Its name, as the linker knows it.
    pub name: String,
    /// The address of its first byte.
    pub start: u64,
    /// Bytes that belong to it; 0 when nobody said.
    pub size: u64,
}

impl Symbols {
    /// Sorts `symbols` by address; those with the same address keep their order.
    pub fn new(mut symbols: Vec<Symbol>) -> Self {
        symbols.sort_by_key(|symbol| symbol.start);
        Self { symbols }
    }

    /// All of them.
    pub fn as_slice(&self) -> &[Symbol] {
        &self.symbols
    }

    /// The symbol that `address` is in.
    pub fn find(&self, address: u64) -> Option<&Symbol> {
        let after = self.symbols.partition_point(|symbol| symbol.start <= address);
        let symbol = &self.symbols[after.checked_sub(1)?];
        (address - symbol.start <= symbol.size).then_some(symbol)
    }

    /// The name for `address`: a symbol's, or `!unknown` without symbols, `!start` before the
    /// first, `!gap` between two.
    pub fn name(&self, address: u64) -> &str {
        match (self.symbols.first(), self.find(address)) {
            (None, _) => "!unknown",
            (Some(_), Some(symbol)) => &symbol.name,
            (Some(first), None) if address < first.start => "!start",
            (Some(_), None) => "!gap",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_named_by_the_symbol_they_are_in() {
        let symbol = |name: &str, start, size| Symbol { name: name.into(), start, size };
        let symbols = Symbols::new(vec![
            symbol("b", 200, 10),
            symbol("a", 100, 50),
            symbol("last", u64::MAX, 9),
        ]);
        for (address, name) in [
            (0, "!start"),
            (100, "a"),
            (150, "a"),
            (151, "!gap"),
            (210, "b"),
            (211, "!gap"),
            (u64::MAX, "last"),
        ] {
            assert_eq!(symbols.name(address), name, "{address}");
        }
        assert_eq!(Symbols::default().name(5), "!unknown");
    }

    #[test]
    fn symbols_that_someone_else_wrote_need_no_order() {
        let symbol =
            |start| format!("{{\"name\": \"at {start}\", \"start\": {start}, \"size\": 4}}");
        let list = [900, 50, 800, 10, 700, 20, 600].map(symbol).join(", ");
        let symbols: Symbols = serde_json::from_str(&format!("{{\"symbols\": [{list}]}}")).unwrap();
        for start in [10, 20, 50, 600, 700, 800, 900] {
            assert_eq!(symbols.name(start + 1), format!("at {start}"));
            assert_eq!(symbols.name(start + 5), "!gap");
        }
        assert_eq!(symbols.name(9), "!start");
    }
}
