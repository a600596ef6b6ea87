//! Files for rows that do not fit into memory: nameless, encrypted, and gone with the process.
//!
//! A file has no name in its directory from the moment it is made, so that nobody can open it and nothing is left over when
//! the process dies. What is in it is sealed block by block (AES-256-GCM, NIST SP 800-38D) under a key that only this
//! process's memory holds: neither the disk nor a copy of it tells a row, and a changed block is an error, not another row.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rand;
use bytes::Bytes;
use datafusion::common::DataFusionError;
use datafusion::execution::{SpillFile, SpillWriter, TempFileFactory};
use futures::{Stream, stream};

use crate::error::{Error, ExceededLimit};

/// Bytes that a writer gathers before it seals them as a block.
const BLOCK_BYTES: usize = 256 << 10;

/// Makes spill files, and counts what they hold.
pub(super) struct SpillStore {
    directory: PathBuf,
    limit: u64,
    key: LessSafeKey,
    /// Blocks sealed so far: each has a nonce of its own.
    sealed: AtomicU64,
    bytes: AtomicU64,
    written: AtomicU64,
    files: AtomicUsize,
}

/// Where a block is in its file, and under which nonce it was sealed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    offset: u64,
    /// Of the sealed block.
    length: usize,
    nonce: u64,
}

impl SpillStore {
    pub fn new(directory: PathBuf, limit: u64) -> Result<Self, Error> {
        let mut key = [0_u8; 32];
        let without_key = |_| Error::Execution { message: "no key for spill files could be made".to_owned() };
        rand::fill(&mut key).map_err(without_key)?;
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).map_err(without_key)?);
        Ok(Self {
            directory,
            limit,
            key,
            sealed: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            written: AtomicU64::new(0),
            files: AtomicUsize::new(0),
        })
    }

    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Since the process started.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    pub fn files(&self) -> usize {
        self.files.load(Ordering::Relaxed)
    }

    pub fn as_factory(self: Arc<Self>) -> Arc<dyn TempFileFactory> {
        Arc::new(Factory(self))
    }

    pub fn create(self: &Arc<Self>) -> io::Result<SealedFile> {
        // Without a name from the start (O_TMPFILE) or unlinked at once; its mode is 0600 either way.
        let file = tempfile::tempfile_in(&self.directory)?;
        self.files.fetch_add(1, Ordering::Relaxed);
        Ok(SealedFile { file: Mutex::new(Content { file, length: 0 }), store: Arc::clone(self) })
    }

    fn nonce(number: u64) -> Nonce {
        let mut bytes = [0_u8; 12];
        for (to, from) in bytes.iter_mut().zip(number.to_le_bytes()) {
            *to = from;
        }
        Nonce::assume_unique_for_key(bytes)
    }

    fn take(&self, bytes: u64) -> io::Result<()> {
        let taken = |used: u64| used.checked_add(bytes).filter(|used| *used <= self.limit);
        match self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken) {
            Ok(_) => {
                self.written.fetch_add(bytes, Ordering::Relaxed);
                Ok(())
            }
            Err(_) => Err(io::Error::other(Error::LimitExceeded {
                limit: ExceededLimit::SpillDisk,
                bytes: self.limit,
                operator: "an operator".to_owned(),
            })),
        }
    }
}

impl fmt::Debug for SpillStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpillStore").field("directory", &self.directory).field("bytes", &self.bytes()).finish()
    }
}

/// A file of sealed blocks. Dropping it frees its disk space.
#[derive(Debug)]
pub(super) struct SealedFile {
    file: Mutex<Content>,
    store: Arc<SpillStore>,
}

#[derive(Debug)]
struct Content {
    file: File,
    length: u64,
}

impl SealedFile {
    /// Seals a block at the end of the file.
    pub fn append(&self, mut block: Vec<u8>) -> io::Result<Block> {
        let number = self.store.sealed.fetch_add(1, Ordering::Relaxed);
        self.store
            .key
            .seal_in_place_append_tag(SpillStore::nonce(number), Aad::empty(), &mut block)
            .map_err(|_| io::Error::other("a spill file could not be sealed"))?;
        let length = u64::try_from(block.len()).unwrap_or(u64::MAX);
        self.store.take(length)?;
        let mut content = lock(&self.file);
        let offset = content.length;
        // From here on the bytes count as the file's, whether or not the disk takes them all.
        content.length = offset.saturating_add(length);
        content.file.seek(SeekFrom::Start(offset))?;
        content.file.write_all(&block)?;
        Ok(Block { offset, length: block.len(), nonce: number })
    }

    /// Opens a block again.
    pub fn read(&self, block: Block) -> io::Result<Vec<u8>> {
        let mut sealed = vec![0_u8; block.length];
        {
            let mut content = lock(&self.file);
            content.file.seek(SeekFrom::Start(block.offset))?;
            content.file.read_exact(&mut sealed)?;
        }
        let opened = self
            .store
            .key
            .open_in_place(SpillStore::nonce(block.nonce), Aad::empty(), &mut sealed)
            .map_err(|_| io::Error::other("a spill file was changed on the disk"))?
            .len();
        sealed.truncate(opened);
        Ok(sealed)
    }
}

impl Drop for SealedFile {
    fn drop(&mut self) {
        let length = lock(&self.file).length;
        self.store.bytes.fetch_sub(length, Ordering::Relaxed);
        self.store.files.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A counter or a file position that every user sets anew: a panic of another user leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives DataFusion's own operators their spill files.
struct Factory(Arc<SpillStore>);

impl TempFileFactory for Factory {
    fn create_temp_file(&self, _description: &str) -> Result<Arc<dyn SpillFile>, DataFusionError> {
        let file = self.0.create().map_err(DataFusionError::IoError)?;
        Ok(Arc::new(OperatorFile(Arc::new(Sequential { file, blocks: Mutex::new(Vec::new()) }))))
    }
}

/// A file that is written and read from its start to its end.
struct Sequential {
    file: SealedFile,
    blocks: Mutex<Vec<Block>>,
}

/// Spill files of DataFusion's operators and of ours: every one comes through the runtime's disk manager.
pub(super) struct OperatorFile(Arc<Sequential>);

impl SpillFile for OperatorFile {
    fn size(&self) -> Option<u64> {
        Some(lock(&self.0.file.file).length)
    }

    fn read_stream(
        &self,
    ) -> Result<Pin<Box<dyn Stream<Item = Result<Bytes, DataFusionError>> + Send>>, DataFusionError> {
        let read = |(file, next): (Arc<Sequential>, usize)| async move {
            let Some(block) = lock(&file.blocks).get(next).copied() else { return Ok(None) };
            let reader = Arc::clone(&file);
            let bytes = tokio::task::spawn_blocking(move || reader.file.read(block))
                .await
                .map_err(|error| DataFusionError::External(Box::new(error)))?
                .map_err(DataFusionError::IoError)?;
            Ok(Some((Bytes::from(bytes), (file, next + 1))))
        };
        Ok(Box::pin(stream::try_unfold((Arc::clone(&self.0), 0), read)))
    }

    fn open_writer(&self) -> Result<Box<dyn SpillWriter>, DataFusionError> {
        Ok(Box::new(Writer { file: Arc::clone(&self.0), gathered: Vec::new() }))
    }
}

struct Writer {
    file: Arc<Sequential>,
    gathered: Vec<u8>,
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= BLOCK_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    /// A reader may follow while the file is still being written: what is flushed, it finds.
    fn flush(&mut self) -> io::Result<()> {
        if !self.gathered.is_empty() {
            let block = self.file.file.append(std::mem::take(&mut self.gathered))?;
            lock(&self.file.blocks).push(block);
        }
        Ok(())
    }
}

impl SpillWriter for Writer {
    fn finish(&mut self) -> Result<(), DataFusionError> {
        self.flush().map_err(DataFusionError::IoError)
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::*;

    fn store(limit: u64) -> (Arc<SpillStore>, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        (Arc::new(SpillStore::new(directory.path().to_owned(), limit).unwrap()), directory)
    }

    #[test]
    fn what_is_on_the_disk_tells_nothing_and_has_no_name() {
        let (store, directory) = store(1 << 20);
        let file = store.create().unwrap();
        let secret = b"Anne Smith, 9434765919 ".repeat(100);
        let blocks = [file.append(secret.clone()).unwrap(), file.append(secret.clone()).unwrap()];
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        let mut on_disk = Vec::new();
        {
            let mut content = lock(&file.file);
            content.file.rewind().unwrap();
            content.file.read_to_end(&mut on_disk).unwrap();
        }
        assert_eq!(u64::try_from(on_disk.len()).unwrap(), store.bytes());
        assert!(!on_disk.windows(10).any(|window| window == b"Anne Smith"));
        // Equal blocks do not look equal either.
        assert_ne!(on_disk[..secret.len()], on_disk[on_disk.len() / 2..][..secret.len()]);
        assert_eq!(file.read(blocks[1]).unwrap(), secret);
        assert_eq!(file.read(blocks[0]).unwrap(), secret);
        drop(file);
        assert_eq!((store.bytes(), store.files()), (0, 0));
    }

    #[test]
    fn a_changed_block_is_an_error() {
        let (store, _directory) = store(1 << 20);
        let file = store.create().unwrap();
        let block = file.append(b"a row".to_vec()).unwrap();
        {
            let mut content = lock(&file.file);
            content.file.seek(SeekFrom::Start(2)).unwrap();
            content.file.write_all(b"!").unwrap();
        }
        assert_eq!(file.read(block).unwrap_err().to_string(), "a spill file was changed on the disk");
    }

    #[tokio::test]
    async fn a_reader_follows_a_writer_that_flushes() {
        let (store, _directory) = store(1 << 30);
        let file = Arc::clone(&store).as_factory().create_temp_file("a test").unwrap();
        let mut writer = file.open_writer().unwrap();
        writer.write_all(b"first ").unwrap();
        writer.flush().unwrap();
        let mut reader = file.read_stream().unwrap();
        assert_eq!(reader.try_next().await.unwrap().unwrap(), &b"first "[..]);
        writer.write_all(b"second").unwrap();
        writer.finish().unwrap();
        assert_eq!(reader.try_next().await.unwrap().unwrap(), &b"second"[..]);
        assert_eq!(reader.try_next().await.unwrap(), None);
        let again: Vec<Bytes> = file.read_stream().unwrap().try_collect().await.unwrap();
        assert_eq!(again.concat(), b"first second");
        drop((file, writer, reader));
        assert_eq!((store.bytes(), store.files()), (0, 0));
    }

    #[test]
    fn a_disk_limit_holds_for_all_files_together() {
        let (store, _directory) = store(1000);
        let (one, other) = (store.create().unwrap(), store.create().unwrap());
        one.append(vec![0; 600]).unwrap();
        let refused = other.append(vec![0; 600]).unwrap_err();
        let own = refused.get_ref().and_then(|error| error.downcast_ref::<Error>()).unwrap();
        assert_eq!(own.code(), "out-of-disk");
        drop(one);
        other.append(vec![0; 600]).unwrap();
    }
}
