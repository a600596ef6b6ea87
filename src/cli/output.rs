//! Where results go, and in which format.
//!
//! Text and binary formats are written batch by batch. A file is written beside its name and renamed when the result is
//! complete, so that a query that fails or is cancelled leaves nothing half-written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow::json::LineDelimitedWriter;
use arrow::json::writer::{LineDelimited, WriterBuilder};
use clap::ValueEnum;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::errors::ParquetError;

use super::Failure;
use super::csv::CsvWriter;
use super::table::TableWriter;

/// How a result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned columns for people
    Table,
    /// RFC 4180 with a header; NULL is an empty field, an empty text is ""
    Csv,
    /// One JSON object a line, NULLs written out
    Jsonl,
    /// An Apache Parquet file
    Parquet,
    /// An Apache Arrow IPC stream
    Arrow,
}

impl Format {
    /// The format that a file's name asks for.
    pub fn of_file(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "csv" => Some(Self::Csv),
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            "parquet" => Some(Self::Parquet),
            "arrow" | "arrows" => Some(Self::Arrow),
            _ => None,
        }
    }

    pub fn is_binary(self) -> bool {
        matches!(self, Self::Parquet | Self::Arrow)
    }
}

/// A place for one result, opened before the query runs so that nothing is asked in vain.
#[derive(Debug)]
pub struct Destination {
    format: Format,
    writer: Writer,
    file: Option<PendingFile>,
}

impl Destination {
    /// Standard output, or a file where `output` names one.
    ///
    /// # Errors
    /// A binary format would go to a terminal, or the file cannot be made.
    pub fn open(format: Format, output: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = output else {
            if format.is_binary() && io::stdout().is_terminal() {
                return Err(Failure::usage(
                    "a binary format would garble the terminal",
                    "name a file with --output FILE, or redirect standard output",
                ));
            }
            return Ok(Self { format, writer: Writer::new(io::stdout()), file: None });
        };
        let unwritable = |error: io::Error| Failure::output(&format!("`{}` cannot be written", path.display()), &error);
        // What is there and no plain file (a device, a pipe) is written to, never replaced.
        if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            let file = OpenOptions::new().write(true).open(path).map_err(unwritable)?;
            return Ok(Self { format, writer: Writer::new(file), file: None });
        }
        let pending = PendingFile::create(path).map_err(unwritable)?;
        let writer = Writer::new(pending.file.try_clone().map_err(unwritable)?);
        Ok(Self { format, writer, file: Some(pending) })
    }

    /// Begins the result: headers that need no rows are written now.
    ///
    /// # Errors
    /// The schema has no form in this format, or the write failed.
    pub fn begin(self, schema: &SchemaRef) -> Result<Output, Failure> {
        let Self { format, writer, file } = self;
        let closed = Arc::clone(&writer.closed);
        let failed = |error: ArrowError| failure(&closed, &error);
        let encoder = match format {
            Format::Table => Encoder::Table(TableWriter::new(writer, schema)),
            Format::Csv => Encoder::Csv(CsvWriter::new(writer, schema).map_err(failed)?),
            Format::Jsonl => Encoder::Jsonl(Box::new(
                WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(writer),
            )),
            Format::Parquet => {
                let writer = ArrowWriter::try_new(writer, Arc::clone(schema), None);
                Encoder::Parquet(Box::new(writer.map_err(|error| failed(arrow_error(error)))?))
            }
            Format::Arrow => Encoder::Arrow(Box::new(StreamWriter::try_new(writer, schema).map_err(failed)?)),
        };
        Ok(Output { encoder, file, closed })
    }
}

/// Writes a whole text to standard output, or to a file that appears only when it is complete.
///
/// # Errors
/// The write failed.
pub fn write_text(output: Option<&Path>, text: &str) -> Result<(), Failure> {
    let Some(path) = output else { return super::print(text) };
    let unwritable = |error: io::Error| Failure::output(&format!("`{}` cannot be written", path.display()), &error);
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        let mut file = OpenOptions::new().write(true).open(path).map_err(unwritable)?;
        return file.write_all(text.as_bytes()).map_err(unwritable);
    }
    let mut pending = PendingFile::create(path).map_err(unwritable)?;
    pending.file.write_all(text.as_bytes()).and_then(|()| pending.commit()).map_err(unwritable)
}

/// A result on its way out. Dropped before [`Output::finish`], it leaves no file.
#[derive(Debug)]
pub struct Output {
    encoder: Encoder,
    file: Option<PendingFile>,
    closed: Arc<AtomicBool>,
}

enum Encoder {
    Table(TableWriter<Writer>),
    Csv(CsvWriter<Writer>),
    Jsonl(Box<LineDelimitedWriter<Writer>>),
    Parquet(Box<ArrowWriter<Writer>>),
    Arrow(Box<StreamWriter<Writer>>),
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Table(_) => "Table",
            Self::Csv(_) => "Csv",
            Self::Jsonl(_) => "Jsonl",
            Self::Parquet(_) => "Parquet",
            Self::Arrow(_) => "Arrow",
        })
    }
}

impl Output {
    /// # Errors
    /// [`Failure::PipeClosed`] where the reader has gone; otherwise what kept the batch from being written.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        let written = match &mut self.encoder {
            Encoder::Table(writer) => writer.write(batch),
            Encoder::Csv(writer) => writer.write(batch),
            Encoder::Jsonl(writer) => writer.write(batch).and_then(|()| Ok(writer.get_mut().flush()?)),
            Encoder::Parquet(writer) => writer.write(batch).map_err(arrow_error),
            Encoder::Arrow(writer) => writer.write(batch).and_then(|()| writer.flush()),
        };
        written.map_err(|error| failure(&self.closed, &error))
    }

    /// Writes what the format ends with, and gives a file its name.
    ///
    /// # Errors
    /// As [`Output::write`].
    pub fn finish(self) -> Result<(), Failure> {
        let Self { encoder, file, closed } = self;
        let finished = match encoder {
            Encoder::Table(mut writer) => writer.finish(),
            Encoder::Csv(mut writer) => writer.finish(),
            Encoder::Jsonl(mut writer) => writer.finish().and_then(|()| Ok(writer.get_mut().flush()?)),
            Encoder::Parquet(writer) => {
                writer.into_inner().map_err(arrow_error).and_then(|mut writer| Ok(writer.flush()?))
            }
            Encoder::Arrow(mut writer) => writer.finish().and_then(|()| writer.flush()),
        };
        finished.map_err(|error| failure(&closed, &error))?;
        match file {
            Some(file) => {
                let target = file.target.display().to_string();
                file.commit().map_err(|error| Failure::output(&format!("`{target}` cannot be written"), &error))
            }
            None => Ok(()),
        }
    }
}

fn failure(closed: &AtomicBool, error: &ArrowError) -> Failure {
    if closed.load(Ordering::Relaxed) {
        return Failure::PipeClosed;
    }
    match error {
        ArrowError::IoError(_, source) => Failure::output("the result cannot be written", source),
        other => Failure::output("the result cannot be written in this format", other),
    }
}

fn arrow_error(error: ParquetError) -> ArrowError {
    match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(source) => ArrowError::from(*source),
            Err(source) => ArrowError::from_external_error(source),
        },
        other => ArrowError::ParquetError(other.to_string()),
    }
}

/// A buffered writer that remembers whether the reader of a pipe has gone, whatever the encoder makes of the error.
pub struct Writer {
    inner: BufWriter<Box<dyn Write + Send>>,
    closed: Arc<AtomicBool>,
}

impl Writer {
    fn new(inner: impl Write + Send + 'static) -> Self {
        Self { inner: BufWriter::with_capacity(64 * 1024, Box::new(inner)), closed: Arc::default() }
    }

    fn noting<T>(&self, done: io::Result<T>) -> io::Result<T> {
        if done.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            self.closed.store(true, Ordering::Relaxed);
        }
        done
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("closed", &self.closed).finish_non_exhaustive()
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes);
        self.noting(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.inner.flush();
        self.noting(flushed)
    }
}

/// A file under a temporary name in its own directory, removed unless committed.
#[derive(Debug)]
struct PendingFile {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
}

impl PendingFile {
    fn create(path: &Path) -> io::Result<Self> {
        // A link keeps pointing to its file, which is what gets replaced.
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let name = target.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_string_lossy().into_owned();
        let temporary = target.with_file_name(format!(".{name}.{}.part", uuid::Uuid::new_v4().simple()));
        let file = OpenOptions::new().write(true).create_new(true).open(&temporary)?;
        Ok(Self { file, temporary, target })
    }

    fn commit(self) -> io::Result<()> {
        self.file.sync_all()?;
        // After the rename, Drop finds nothing to remove.
        fs::rename(&self.temporary, &self.target)
    }
}

impl Drop for PendingFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.temporary);
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Decimal128Array, Int64Array, StringArray};
    use arrow::ipc::reader::StreamReader;
    use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    fn batch() -> RecordBatch {
        let amount = Decimal128Array::from(vec![Some(1250), None]).with_precision_and_scale(10, 2).unwrap();
        let columns: [(&str, ArrayRef, bool); 3] = [
            ("name", Arc::new(StringArray::from(vec![Some("alice"), None])), true),
            ("n", Arc::new(Int64Array::from(vec![7, 8])), false),
            ("amount", Arc::new(amount), true),
        ];
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    }

    fn written(format: Format, path: &Path) -> Vec<u8> {
        let batch = batch();
        let mut output = Destination::open(format, Some(path)).unwrap().begin(&batch.schema()).unwrap();
        output.write(&batch).unwrap();
        output.write(&batch).unwrap();
        output.finish().unwrap();
        fs::read(path).unwrap()
    }

    fn files(directory: &Path) -> usize {
        fs::read_dir(directory).unwrap().count()
    }

    #[test]
    fn jsonl_writes_one_object_a_line_with_nulls() {
        let directory = tempfile::tempdir().unwrap();
        let bytes = written(Format::Jsonl, &directory.path().join("x"));
        let lines: Vec<serde_json::Value> = bytes
            .split(|b| *b == b'\n')
            .filter(|l| !l.is_empty())
            .map(|l| serde_json::from_slice(l).unwrap())
            .collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[0]["name"], "alice");
        assert_eq!(lines[0]["n"], 7);
        assert!(lines[1].as_object().unwrap().contains_key("name"));
        assert!(lines[1]["name"].is_null());
    }

    #[test]
    fn parquet_and_arrow_read_back_as_they_were() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.parquet");
        written(Format::Parquet, &path);
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap().build().unwrap();
        let read: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
        assert_eq!(read.iter().map(RecordBatch::num_rows).sum::<usize>(), 4);
        assert_eq!(read[0].slice(0, 2).columns(), batch().columns());

        let bytes = written(Format::Arrow, &directory.path().join("x.arrow"));
        let read: Vec<RecordBatch> =
            StreamReader::try_new(bytes.as_slice(), None).unwrap().map(Result::unwrap).collect();
        assert_eq!(read, [batch(), batch()]);
    }

    #[test]
    fn every_format_writes_an_empty_result() {
        let directory = tempfile::tempdir().unwrap();
        for format in Format::value_variants() {
            let path = directory.path().join("empty");
            let output = Destination::open(*format, Some(&path)).unwrap().begin(&batch().schema()).unwrap();
            output.finish().unwrap();
            assert_eq!(fs::read(&path).unwrap().is_empty(), *format == Format::Jsonl, "{format:?}");
        }
    }

    #[test]
    fn an_unfinished_result_leaves_the_old_file_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.csv");
        fs::write(&path, "old").unwrap();
        let mut output = Destination::open(Format::Csv, Some(&path)).unwrap().begin(&batch().schema()).unwrap();
        output.write(&batch()).unwrap();
        assert_eq!(files(directory.path()), 2);
        drop(output);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(files(directory.path()), 1);
        written(Format::Csv, &path);
        assert!(fs::read(&path).unwrap().starts_with(b"name,n,amount\r\n"));
        assert_eq!(files(directory.path()), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_and_a_device_are_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let (link, target) = (directory.path().join("link"), directory.path().join("target"));
        fs::write(&target, "old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        written(Format::Csv, &link);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(fs::read(&target).unwrap().starts_with(b"name"));
        let output = Destination::open(Format::Csv, Some(Path::new("/dev/null"))).unwrap();
        assert!(output.file.is_none());
    }

    #[test]
    fn a_missing_directory_is_refused_before_anything_runs() {
        let directory = tempfile::tempdir().unwrap();
        let failed = Destination::open(Format::Csv, Some(&directory.path().join("none/x.csv"))).unwrap_err();
        assert!(matches!(failed, Failure::Output { .. }));
    }

    #[test]
    fn a_reader_that_has_gone_is_told_apart_in_every_format() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        for format in Format::value_variants() {
            let destination = Destination { format: *format, writer: Writer::new(Gone), file: None };
            let failed = destination
                .begin(&batch().schema())
                .and_then(|mut output| output.write(&batch()).and_then(|()| output.finish()))
                .unwrap_err();
            assert!(matches!(failed, Failure::PipeClosed), "{format:?}: {failed:?}");
        }
    }

    #[test]
    fn a_file_name_tells_its_format() {
        assert_eq!(Format::of_file(Path::new("a/b.parquet")), Some(Format::Parquet));
        assert_eq!(Format::of_file(Path::new("b.txt")), None);
    }
}
