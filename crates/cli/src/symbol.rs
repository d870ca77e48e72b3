//! Functions by the names people know them by.

use rustc_demangle::demangle;
use tribunal_machine::Symbols;

/// The function that `pc` is in, if that is known. What the Rust compiler mangled is spelled out.
pub(crate) fn name_at(symbols: &Symbols, pc: u64) -> Option<String> {
    let symbol = symbols.find(pc)?;
    Some(format!("{:#}", demangle(&symbol.name)))
}

/// The same, as the end of a phrase.
pub(crate) fn in_function(symbols: &Symbols, pc: u64) -> String {
    match name_at(symbols, pc) {
        Some(name) => format!(" in `{name}`"),
        None => String::new(),
    }
}
