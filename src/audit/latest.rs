//! When the log was last written, as far as its end tells.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::store::LOG_FILE;

/// How much of the end is looked at: a record that a clock set back has dated early stands behind others.
const WINDOW: u64 = 256 * 1024;

/// The latest time that a record near the end of a directory's log has; `None` where there is none that can be read.
pub fn latest_time(directory: &Path) -> Option<DateTime<Utc>> {
    #[derive(Deserialize)]
    struct Dated {
        time: String,
    }
    let mut file = File::open(directory.join(LOG_FILE)).ok()?;
    let start = file.metadata().ok()?.len().saturating_sub(WINDOW);
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(start)).ok()?;
    file.take(WINDOW).read_to_end(&mut bytes).ok()?;
    let records = bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Dated>(line).ok());
    records.filter_map(|record| record.time.parse().ok()).max()
}
