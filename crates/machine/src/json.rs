//! JSON as Cannon writes it: indented by two spaces, two newlines at the end (Go's encoder writes
//! one, Cannon another), and the line separators of Unicode escaped within strings, as Go does.
//!
//! Cannon's files are made that way, and ours are the same bytes.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter, PrettyFormatter, Serializer};

/// Encodes `value`.
///
/// # Errors
/// If `value` cannot be JSON, such as a map whose keys are not strings.
pub fn to_go_json(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let formatter = GoFormatter { pretty: PrettyFormatter::with_indent(b"  ") };
    value.serialize(&mut Serializer::with_formatter(&mut bytes, formatter))?;
    bytes.extend(b"\n\n");
    Ok(bytes)
}

struct GoFormatter {
    pretty: PrettyFormatter<'static>,
}

impl Formatter for GoFormatter {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let escaped = ['\u{2028}', '\u{2029}'];
        let mut rest = fragment;
        while let Some(at) = rest.find(escaped) {
            writer.write_all(&rest.as_bytes()[..at])?;
            let mut chars = rest[at..].chars();
            let code = chars.next().map_or(0, u32::from);
            write!(writer, "\\u{code:04x}")?;
            rest = chars.as_str();
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        self.pretty.write_char_escape(writer, escape)
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.begin_array(writer)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.pretty.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.pretty.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Symbol;

    #[test]
    fn strings_are_escaped_as_go_does() {
        let symbol = Symbol { name: "f<-chan \"é\u{2028}&".into(), start: 1, size: 2 };
        let json = String::from_utf8(to_go_json(&[symbol]).unwrap()).unwrap();
        let expected = "[\n  {\n    \"name\": \"f<-chan \\\"é\\u2028&\",\n    \
                        \"start\": 1,\n    \"size\": 2\n  }\n]\n\n";
        assert_eq!(json, expected);
    }
}
