//! What a look at the policy files sees without reading them.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::policy::files::PolicySet;

/// Each file's name, size, times and identity: two looks that see the same have seen the same files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint(BTreeMap<PathBuf, Option<Seen>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    bytes: u64,
    modified: Option<SystemTime>,
    /// Inode, and the second and nanosecond of its last change, which no program can set: a file that another takes the
    /// place of with the same size and time still shows.
    inode: (u64, i64, i64),
}

impl Fingerprint {
    /// Names that cannot be read are seen as such, so that their coming and going shows as well.
    pub fn of(directory: &Path) -> Self {
        let mut files = BTreeMap::new();
        for file in PolicySet::files_of(directory) {
            let seen = std::fs::metadata(&file).ok().map(|metadata| seen(&metadata));
            files.insert(file, seen);
        }
        Self(files)
    }

    pub fn files(&self) -> usize {
        self.0.len()
    }

    /// [`Fingerprint::of`] beside what else the runtime does.
    pub async fn read(directory: &Path) -> Self {
        let directory = directory.to_owned();
        tokio::task::spawn_blocking(move || Self::of(&directory)).await.unwrap_or_default()
    }
}

fn seen(metadata: &Metadata) -> Seen {
    #[cfg(unix)]
    let inode = {
        use std::os::unix::fs::MetadataExt;
        (metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
    };
    #[cfg(not(unix))]
    let inode = (0, 0, 0);
    Seen { bytes: metadata.len(), modified: metadata.modified().ok(), inode }
}
