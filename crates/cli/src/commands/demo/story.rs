use crate::exit::Result;
use crate::output::{Output, Paint};

/// Tells what happens, on stdout; silent when stdout is for programs.
#[derive(Debug)]
pub(crate) struct Story {
    out: Output,
    chapter: usize,
}

impl Story {
    pub(crate) fn new(out: Output) -> Self {
        Self { out, chapter: 0 }
    }

    pub(crate) fn paint(&self) -> Paint {
        self.out.paint
    }

    pub(crate) fn heading(&mut self, title: &str) -> Result {
        self.chapter += 1;
        let gap = if self.chapter == 1 { "" } else { "\n" };
        self.print(&format!("{gap}{}\n", self.paint().bold(&format!("{}. {title}", self.chapter))))
    }

    /// What one could type.
    pub(crate) fn command(&self, line: &str) -> Result {
        self.print(&format!("   {} {}\n", self.paint().dim("$"), self.paint().accent(line)))
    }

    pub(crate) fn say(&self, line: &str) -> Result {
        self.print(&format!("   {line}\n"))
    }

    pub(crate) fn block(&self, lines: &str) -> Result {
        let indented: Vec<String> = lines.lines().map(|line| format!("     {line}\n")).collect();
        self.print(&indented.concat())
    }

    pub(crate) fn end(&self, line: &str) -> Result {
        self.print(&format!("\n{}\n", self.paint().good(line)))
    }

    fn print(&self, text: &str) -> Result {
        if self.out.is_json() { Ok(()) } else { self.out.text(text) }
    }
}
