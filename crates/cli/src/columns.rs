//! Text in aligned columns.

/// A table for people: a header, rows, and which columns lean to the right.
///
/// Cells may hold terminal colours, which take no room.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Columns {
    /// A header; a name that begins with `>` leans its column to the right.
    pub(crate) fn new(header: &[&str]) -> Self {
        let right = header.iter().map(|name| name.starts_with('>')).collect();
        let names = header.iter().map(|name| name.trim_start_matches('>').to_owned()).collect();
        Self { right, rows: vec![names] }
    }

    /// Columns without a header, all leaning to the left.
    pub(crate) fn bare() -> Self {
        Self { right: Vec::new(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The lines, each indented by `indent` and ended by a newline; no line ends in blanks.
    pub(crate) fn render(&self, indent: usize) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column| self.rows.iter().filter_map(|row| row.get(column)).map(|cell: &String| room(cell)).max();
        let widths: Vec<usize> = (0..columns).map(|column: usize| width(column).unwrap_or(0)).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = " ".repeat(indent);
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                if column > 0 {
                    line.push_str("  ");
                }
                let blanks = " ".repeat(width - room(cell));
                let right = self.right.get(column).copied().unwrap_or(false);
                let (before, after) = if right { (blanks.as_str(), "") } else { ("", blanks.as_str()) };
                line.push_str(&format!("{before}{cell}{after}"));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// How many places a cell takes on a terminal: its characters, without colour codes.
fn room(cell: &str) -> usize {
    let mut places = 0;
    let mut in_code = false;
    for character in cell.chars() {
        match character {
            '\x1b' => in_code = true,
            'm' if in_code => in_code = false,
            _ if in_code => {}
            _ => places += 1,
        }
    }
    places
}

/// A bar of up to `width` places for a share from 0 to 1, in eighths of a place.
pub(crate) fn bar(share: f64, width: usize) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (share.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    let mut bar = "█".repeat(eighths / 8);
    if let Some(part) = EIGHTHS.get(eighths % 8).filter(|_| !eighths.is_multiple_of(8)) {
        bar.push(*part);
    }
    if bar.is_empty() && share > 0.0 {
        bar.push('▏');
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_end_without_blanks() {
        let mut columns = Columns::new(&["hop", ">rtt", "via"]);
        columns.row(["0".into(), String::new(), String::new()]);
        columns.row(["10".into(), "\x1b[2m1.25 ms\x1b[0m".into(), "finger".into()]);
        let expected = "  hop      rtt  via\n  0\n  10   \x1b[2m1.25 ms\x1b[0m  finger\n";
        assert_eq!(columns.render(2), expected);
    }

    #[test]
    fn bars_show_eighths_and_never_hide_a_small_share() {
        assert_eq!([0.0, 0.001, 0.5, 1.0].map(|share| bar(share, 4)), ["", "▏", "██", "████"]);
        assert_eq!(bar(0.625, 4), "██▌");
        assert_eq!(bar(7.0, 2), "██");
    }
}
