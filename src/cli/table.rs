//! Results as an aligned table for people, in psql's manner.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

pub use crate::diagnostic::visible as printable;

/// Rows held back to measure column widths; later rows are printed at these widths.
const MEASURED_ROWS: usize = 1_000;
const NULL: &str = "NULL";

/// Writes batches as one table. Widths come from the first rows, so that a result of any size streams.
#[derive(Debug)]
pub struct TableWriter<W: Write> {
    out: W,
    columns: Vec<TableColumn>,
    stage: Stage,
    rows: u64,
}

#[derive(Debug)]
struct TableColumn {
    name: String,
    align: Align,
    width: usize,
}

#[derive(Clone, Copy, Debug)]
enum Align {
    Left,
    Right,
}

#[derive(Debug)]
enum Stage {
    Measuring { held: Vec<Vec<String>> },
    Printing,
}

impl<W: Write> TableWriter<W> {
    pub fn new(out: W, schema: &Schema) -> Self {
        let columns = schema
            .fields()
            .iter()
            .map(|field| {
                let name = printable(field.name());
                let align = if field.data_type().is_numeric() { Align::Right } else { Align::Left };
                TableColumn { width: width(&name), name, align }
            })
            .collect();
        Self { out, columns, stage: Stage::Measuring { held: Vec::new() }, rows: 0 }
    }

    /// Takes one batch, and prints it once the widths are known.
    ///
    /// # Errors
    /// A value that cannot be shown, or a write that failed.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let options = FormatOptions::new().with_null(NULL).with_display_error(false);
        let formatters = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
            .collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            let cells = formatters
                .iter()
                .map(|formatter| Ok(printable(&formatter.value(row).try_to_string()?)))
                .collect::<Result<Vec<_>, ArrowError>>()?;
            self.rows += 1;
            match &mut self.stage {
                Stage::Measuring { held } => {
                    held.push(cells);
                    if held.len() >= MEASURED_ROWS {
                        self.print_held()?;
                    }
                }
                Stage::Printing => self.print_row(&cells)?,
            }
        }
        if matches!(self.stage, Stage::Printing) {
            self.out.flush()?;
        }
        Ok(())
    }

    /// Prints what is still held, and the number of rows.
    ///
    /// # Errors
    /// A write that failed.
    pub fn finish(&mut self) -> Result<(), ArrowError> {
        self.print_held()?;
        let rows = if self.rows == 1 { "row" } else { "rows" };
        writeln!(self.out, "({} {rows})\n", self.rows)?;
        self.out.flush()?;
        Ok(())
    }

    fn print_held(&mut self) -> Result<(), ArrowError> {
        let Stage::Measuring { held } = std::mem::replace(&mut self.stage, Stage::Printing) else { return Ok(()) };
        for row in &held {
            for (column, cell) in self.columns.iter_mut().zip(row) {
                column.width = column.width.max(width(cell));
            }
        }
        let names: Vec<String> = self.columns.iter().map(|column| column.name.clone()).collect();
        self.print_row(&names)?;
        let rule: Vec<String> = self.columns.iter().map(|column| "-".repeat(column.width + 2)).collect();
        writeln!(self.out, "{}", rule.join("+"))?;
        for row in &held {
            self.print_row(row)?;
        }
        Ok(())
    }

    fn print_row(&mut self, cells: &[String]) -> Result<(), ArrowError> {
        let mut line = String::new();
        let last = self.columns.len().saturating_sub(1);
        for (position, (column, cell)) in self.columns.iter().zip(cells).enumerate() {
            let blanks = " ".repeat(column.width.saturating_sub(width(cell)));
            line.push_str(if position == 0 { " " } else { " | " });
            match column.align {
                Align::Right => line.extend([blanks.as_str(), cell.as_str()]),
                Align::Left if position == last => line.push_str(cell),
                Align::Left => line.extend([cell.as_str(), blanks.as_str()]),
            }
        }
        writeln!(self.out, "{line}")?;
        Ok(())
    }
}

/// Terminal cells that a text takes: wide East Asian characters and emoji two, combining marks none (the ranges of
/// Unicode Standard Annex 11 that matter for names and addresses).
pub fn width(text: &str) -> usize {
    text.chars()
        .map(|c| match u32::from(c) {
            0x0300..=0x036f | 0x200b..=0x200f | 0xfe00..=0xfe0f => 0,
            0x1100..=0x115f
            | 0x2e80..=0xa4cf
            | 0xac00..=0xd7a3
            | 0xf900..=0xfaff
            | 0xfe30..=0xfe6f
            | 0xff00..=0xff60
            | 0xffe0..=0xffe6
            | 0x1f300..=0x1faff
            | 0x20000..=0x3fffd => 2,
            _ => 1,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    fn table(batches: &[RecordBatch]) -> String {
        let mut out = Vec::new();
        let mut writer = TableWriter::new(&mut out, &batches[0].schema());
        for batch in batches {
            writer.write(batch).unwrap();
        }
        writer.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    fn batch(names: Vec<Option<&str>>, numbers: Vec<Option<i64>>) -> RecordBatch {
        let columns: [(&str, ArrayRef); 2] =
            [("name", Arc::new(StringArray::from(names))), ("n", Arc::new(Int64Array::from(numbers)))];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    #[test]
    fn columns_line_up_numbers_to_the_right_and_nulls_show() {
        let shown = table(&[batch(vec![Some("alice"), None, Some("")], vec![Some(7), Some(1000), None])]);
        let expected =
            [" name  |    n", "-------+------", " alice |    7", " NULL  | 1000", "       | NULL", "(3 rows)", "", ""]
                .join("\n");
        assert_eq!(shown, expected);
    }

    #[test]
    fn one_row_and_none_are_counted_in_words() {
        assert!(table(&[batch(vec![Some("a")], vec![None])]).ends_with("(1 row)\n\n"));
        assert_eq!(table(&[batch(vec![], vec![])]), " name | n\n------+---\n(0 rows)\n\n");
    }

    #[test]
    fn wide_and_combining_characters_keep_the_columns_straight() {
        let shown = table(&[batch(vec![Some("日本"), Some("e\u{301}")], vec![Some(1), Some(2)])]);
        assert_eq!(shown.lines().nth(2), Some(" 日本 | 1"));
        assert_eq!(shown.lines().nth(3), Some(" e\u{301}    | 2"));
    }

    #[test]
    fn values_cannot_steer_the_terminal() {
        let shown = table(&[batch(vec![Some("\u{1b}[2Jgone\nnext\u{202e}")], vec![None])]);
        assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'));
        assert!(shown.contains(r"\u{1b}[2Jgone\nnext\u{202e}"));
    }

    #[test]
    fn rows_past_the_measured_ones_stream_at_the_same_widths() {
        let many = batch(vec![Some("abc"); MEASURED_ROWS], vec![Some(1); MEASURED_ROWS]);
        let late = batch(vec![Some("a"), Some("longer than the column")], vec![Some(2), Some(3)]);
        let shown = table(&[many, late]);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[MEASURED_ROWS + 2], " a    | 2");
        assert_eq!(lines[MEASURED_ROWS + 3], " longer than the column | 3");
        assert_eq!(lines[MEASURED_ROWS + 4], "(1002 rows)");
    }
}
