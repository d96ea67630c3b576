//! What goes to stdout, and how it looks.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::args::Format;
use crate::exit::{Failure, Result};

/// Where a command's results go. All of one result is written at once: nothing is left half-written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    pub(crate) format: Format,
    pub(crate) paint: Paint,
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        Self { format, paint: Paint { on: colours_wanted() } }
    }

    pub(crate) fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// One object: as JSON on a line of its own, or as the text that `text` makes of it.
    pub(crate) fn show<T: Serialize>(self, result: &T, text: impl FnOnce(&T, Paint) -> String) -> Result {
        match self.format {
            Format::Json => {
                let json = serde_json::to_string(result).map_err(|error| Failure::other(error.to_string()))?;
                self.bytes(format!("{json}\n").as_bytes())
            }
            Format::Text => self.text(&text(result, self.paint)),
        }
    }

    pub(crate) fn text(self, text: &str) -> Result {
        self.bytes(text.as_bytes())
    }

    pub(crate) fn bytes(self, bytes: &[u8]) -> Result {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| Failure::stdout(&error))
    }
}

/// Says something on stderr: progress, warnings.
pub(crate) fn note(message: &str) {
    // Nothing is left to be done about a stderr that can't be written to.
    let _ = io::stderr().write_all(format!("{message}\n").as_bytes());
}

/// Colours, on a terminal that wants them (<https://no-color.org>).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    /// None at all.
    #[cfg(test)]
    pub(crate) const PLAIN: Self = Self { on: false };

    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub(crate) fn bad(self, text: &str) -> String {
        self.wrap("31", text)
    }

    pub(crate) fn accent(self, text: &str) -> String {
        self.wrap("36", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn colours_wanted() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    !refused && !dumb && io::stdout().is_terminal()
}

/// `0.42 ms`, `1.3 s`.
pub(crate) fn duration_us(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..10_000 => format!("{:.2} ms", us as f64 / 1e3),
        10_000..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        _ => format!("{:.2} s", us as f64 / 1e6),
    }
}

/// `512 B`, `1.5 KiB`, `3.0 MiB`.
pub(crate) fn byte_size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1024.0;
    for unit in UNITS {
        if size < 1024.0 {
            return format!("{size:.1} {unit}");
        }
        size /= 1024.0;
    }
    format!("{size:.1} EiB")
}

/// A key as it is, if that can be shown; else what can't be in the form `\x0a`, and backslashes too.
pub(crate) fn key_text(key: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(key)
        && !text.contains(char::is_control)
    {
        return text.to_owned();
    }
    let escaped = |bytes: &[u8]| bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
    let mut text = String::new();
    for chunk in key.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => text.push_str(&escaped(b"\\")),
                _ if character.is_control() => text.push_str(&escaped(character.to_string().as_bytes())),
                _ => text.push(character),
            }
        }
        text.push_str(&escaped(chunk.invalid()));
    }
    text
}

/// `1 record`, `2 records`, `3 copies`, `4 keys`.
pub(crate) fn counted(number: u64, thing: &str) -> String {
    match (number, thing.strip_suffix('y').filter(|stem| !stem.ends_with('e'))) {
        (1, _) => format!("1 {thing}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) => format!("{number} {thing}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_shown_in_units_that_people_read() {
        assert_eq!([417, 1_234, 56_789, 1_234_567].map(duration_us), ["417 µs", "1.23 ms", "56.8 ms", "1.23 s"]);
        assert_eq!([512, 1536, 3 << 20, 5 << 30].map(byte_size), ["512 B", "1.5 KiB", "3.0 MiB", "5.0 GiB"]);
        assert_eq!(byte_size(u64::MAX), "16.0 EiB");
        assert_eq!([counted(1, "copy"), counted(3, "copy"), counted(0, "hop")], ["1 copy", "3 copies", "0 hops"]);
        assert_eq!([counted(1, "key"), counted(2, "key"), counted(2, "entry")], ["1 key", "2 keys", "2 entries"]);
    }

    #[test]
    fn a_key_is_shown_as_it_is_unless_it_can_not_be() {
        assert_eq!([key_text("ключ".as_bytes()), key_text(br"a\b")], ["ключ", r"a\b"]);
        assert_eq!(key_text(b"a\\\n\xff b"), r"a\x5c\x0a\xff b");
        assert_eq!(key_text("\u{9b}2J".as_bytes()), r"\xc2\x9b2J");
    }

    #[test]
    fn colours_leave_the_text_alone_when_they_are_off() {
        assert_eq!(Paint::PLAIN.bad("no"), "no");
        assert_eq!(Paint { on: true }.bad("no"), "\x1b[31mno\x1b[0m");
    }
}
