//! Results as CSV (RFC 4180): a header, CRLF after each record, quotes where a field needs them.
//!
//! NULL is an empty field and an empty text is `""`, as PostgreSQL writes them, so that the two stay apart.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

#[derive(Debug)]
pub struct CsvWriter<W: Write> {
    out: W,
    line: String,
}

impl<W: Write> CsvWriter<W> {
    /// Writes the header at once.
    ///
    /// # Errors
    /// A write that failed.
    pub fn new(mut out: W, schema: &Schema) -> Result<Self, ArrowError> {
        let mut line = String::new();
        for (position, field) in schema.fields().iter().enumerate() {
            separate(&mut line, position);
            push_field(&mut line, field.name());
        }
        write!(out, "{line}\r\n")?;
        Ok(Self { out, line })
    }

    /// # Errors
    /// A value that cannot be written as text, or a write that failed.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let options = FormatOptions::new().with_display_error(false);
        let formatters = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).map(|formatter| (column, formatter)))
            .collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            self.line.clear();
            for (position, (column, formatter)) in formatters.iter().enumerate() {
                separate(&mut self.line, position);
                if !column.is_null(row) {
                    push_field(&mut self.line, &formatter.value(row).try_to_string()?);
                }
            }
            self.line.push_str("\r\n");
            self.out.write_all(self.line.as_bytes())?;
        }
        self.out.flush()?;
        Ok(())
    }

    /// # Errors
    /// A write that failed.
    pub fn finish(&mut self) -> Result<(), ArrowError> {
        Ok(self.out.flush()?)
    }
}

fn separate(line: &mut String, position: usize) {
    if position > 0 {
        line.push(',');
    }
}

fn push_field(line: &mut String, text: &str) {
    if text.is_empty() || text.contains([',', '"', '\r', '\n']) {
        line.push('"');
        line.push_str(&text.replace('"', "\"\""));
        line.push('"');
    } else {
        line.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Decimal128Array, ListArray, StringArray, TimestampMicrosecondArray};
    use arrow::datatypes::Int32Type;

    use super::*;

    fn csv(columns: Vec<(&str, ArrayRef)>) -> String {
        let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap();
        let mut out = Vec::new();
        let mut writer = CsvWriter::new(&mut out, &batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fields_are_quoted_where_they_need_it_and_null_is_not_the_empty_text() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![
            Some("plain"),
            Some("a,b"),
            Some("say \"hi\""),
            Some("two\r\nlines"),
            Some(""),
            None,
        ]));
        let expected = "\"x,y\",z\r\nplain,plain\r\n\"a,b\",\"a,b\"\r\n\"say \"\"hi\"\"\",\"say \"\"hi\"\"\"\r\n\
                        \"two\r\nlines\",\"two\r\nlines\"\r\n\"\",\"\"\r\n,\r\n";
        assert_eq!(csv(vec![("x,y", Arc::clone(&texts)), ("z", texts)]), expected);
    }

    #[test]
    fn decimals_times_and_lists_keep_their_values() {
        let decimal = Decimal128Array::from(vec![Some(-1250)]).with_precision_and_scale(10, 2).unwrap();
        let time = TimestampMicrosecondArray::from(vec![Some(1_000_001)]).with_timezone("UTC");
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None])]);
        let shown = csv(vec![("d", Arc::new(decimal)), ("t", Arc::new(time)), ("l", Arc::new(list))]);
        assert_eq!(shown, "d,t,l\r\n-12.50,1970-01-01T00:00:01.000001Z,\"[1, ]\"\r\n");
    }
}
