//! Opened files as DataFusion's readers ask for them.
//!
//! A file is opened once, here, and known to DataFusion by a number: no name of the agency's is ever a path to it, and what is
//! read is what was checked.

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use datafusion::object_store::path::Path;
use datafusion::object_store::{
    Attributes, CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use futures::stream::{self, BoxStream, StreamExt};

/// Bytes of one read.
const PIECE_BYTES: u64 = 1 << 20;

/// A file of a table, as it was when it was opened.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    /// Inside the folder, for messages.
    pub name: String,
    pub file: Arc<File>,
    pub size: u64,
    pub modified: DateTime<Utc>,
}

impl Opened {
    /// Whether it is no longer what was opened. A file that was put in its place changes nothing here.
    pub(crate) fn has_changed(&self) -> bool {
        let now = self.file.metadata().and_then(|now| Ok((now.len(), DateTime::<Utc>::from(now.modified()?))));
        now.ok() != Some((self.size, self.modified))
    }
}

/// The opened files of one table.
#[derive(Debug)]
pub(crate) struct FileStore {
    files: Vec<Opened>,
}

impl FileStore {
    pub(crate) fn new(files: Vec<Opened>) -> Self {
        Self { files }
    }

    pub(crate) fn objects(&self) -> Vec<ObjectMeta> {
        (0..self.files.len()).filter_map(|number| self.meta(number)).collect()
    }

    fn meta(&self, number: usize) -> Option<ObjectMeta> {
        let file = self.files.get(number)?;
        Some(ObjectMeta {
            location: Path::from(number.to_string()),
            last_modified: file.modified,
            size: file.size,
            e_tag: None,
            version: None,
        })
    }

    fn find(&self, location: &Path) -> Result<(Opened, ObjectMeta)> {
        let number = location.as_ref().parse::<usize>().ok();
        let found = number.and_then(|number| Some((self.files.get(number)?.clone(), self.meta(number)?)));
        found.ok_or_else(|| Error::NotFound { path: location.to_string(), source: "no such file".into() })
    }
}

impl fmt::Display for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("files of a folder")
    }
}

/// The bytes of a range, read on a thread that may wait.
async fn read(opened: Opened, range: Range<u64>) -> Result<Bytes> {
    let name = opened.name.clone();
    let failed = move |source: Box<dyn std::error::Error + Send + Sync>| Error::Generic { store: "folder", source };
    let reading = tokio::task::spawn_blocking(move || {
        let length = usize::try_from(range.end.saturating_sub(range.start)).map_err(std::io::Error::other)?;
        let mut buffer = vec![0; length];
        opened.file.read_exact_at(&mut buffer, range.start)?;
        Ok::<_, std::io::Error>(Bytes::from(buffer))
    });
    match reading.await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(failed(format!("`{name}`: {error}").into())),
        Err(error) => Err(failed(Box::new(error))),
    }
}

fn refused<T>() -> Result<T> {
    Err(Error::NotSupported { source: "files are only read".into() })
}

#[async_trait]
impl ObjectStore for FileStore {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let (opened, meta) = self.find(location)?;
        let range = match &options.range {
            Some(range) => range
                .as_range(meta.size)
                .map_err(|error| Error::Generic { store: "folder", source: Box::new(error) })?,
            None => 0..meta.size,
        };
        let payload = if options.head {
            stream::empty().boxed()
        } else {
            let starts = stream::iter((range.start..range.end).step_by(usize::try_from(PIECE_BYTES).unwrap_or(1)));
            let end = range.end;
            starts.then(move |start| read(opened.clone(), start..end.min(start.saturating_add(PIECE_BYTES)))).boxed()
        };
        Ok(GetResult { payload: GetResultPayload::Stream(payload), meta, range, attributes: Attributes::new() })
    }

    fn list(&self, _prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        stream::iter(self.objects().into_iter().map(Ok)).boxed()
    }

    async fn list_with_delimiter(&self, _prefix: Option<&Path>) -> Result<ListResult> {
        Ok(ListResult { common_prefixes: Vec::new(), objects: self.objects() })
    }

    async fn put_opts(&self, _location: &Path, _payload: PutPayload, _options: PutOptions) -> Result<PutResult> {
        refused()
    }

    async fn put_multipart_opts(
        &self,
        _location: &Path,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        refused()
    }

    fn delete_stream(&self, _locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        stream::once(async { refused() }).boxed()
    }

    async fn copy_opts(&self, _from: &Path, _to: &Path, _options: CopyOptions) -> Result<()> {
        refused()
    }
}
