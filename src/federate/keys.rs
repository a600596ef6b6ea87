//! Distinct join keys, in little more memory than their letters.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::Arc;

use aws_lc_rs::rand;
use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::common::{DataFusionError, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use hashbrown::HashTable;
use wayleave_connector_api::{KeyDisclosure, Pseudonymiser};

/// Keys while they are being found.
#[derive(Debug)]
pub(super) struct KeyCollector {
    texts: Texts,
    /// Numbers of texts, by their hash.
    known: HashTable<u32>,
    hashing: RandomState,
    reservation: MemoryReservation,
}

/// Distinct keys in ascending order.
#[derive(Debug)]
pub(super) struct KeySet {
    texts: Texts,
    order: Vec<u32>,
    /// Held for as long as the keys are.
    _reservation: MemoryReservation,
}

/// Texts one after the other, by number.
#[derive(Debug, Default)]
struct Texts {
    letters: String,
    ends: Vec<u32>,
}

/// Whether keys have the memory that they take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    Yes,
    No,
}

/// Keys on their way to a fragment.
#[derive(Clone, Debug)]
pub(super) struct SentKeys {
    keys: Arc<KeySet>,
    /// Where pseudonyms go in their place.
    pseudonymiser: Option<Pseudonymiser>,
}

/// Keys in one statement, see [`PSEUDONYMS_SENT`] for pseudonyms. The whole set goes in as many statements as it takes.
///
/// Measured with a million keys. PostgreSQL 15, 10 million rows, `= ANY` of one array: 7.4 s in statements of 1,000 keys, 6.5 of
/// 5,000 and of 20,000, 14.8 of 100,000 (no longer by the index), 7.2 at once; `IN (SELECT unnest(…))` 11.9 to 12.9; a
/// temporary table 6.8, which a read-only transaction cannot make. SQLite 3.40, 5.5 million rows, `json_each`: 12.2 s of 500,
/// 10.3 of 5,000, 11.8 of 20,000, 9.7 of 100,000, 12.5 at once; a list 11.7 of 5,000; a temporary table 9.2.
const KEYS_PER_STATEMENT: usize = 20_000;

/// More pseudonyms than these are never sent. No index serves them, so that each statement reads the whole table: they go in
/// one, or not at all.
pub(super) const PSEUDONYMS_SENT: usize = 50_000;

impl SentKeys {
    /// With a new secret where they are not to go as they are, or with that of the statement in which they go along.
    pub fn new(
        keys: KeySet,
        disclosure: KeyDisclosure,
        beside: Option<&Pseudonymiser>,
    ) -> Result<Self, DataFusionError> {
        let pseudonymiser = match (disclosure, beside) {
            (KeyDisclosure::Plain, _) => None,
            (KeyDisclosure::Pseudonymised, Some(beside)) => Some(beside.clone()),
            (KeyDisclosure::Pseudonymised, None) => {
                let mut secret = [0; Pseudonymiser::SECRET_BYTES];
                let without_secret =
                    |_| DataFusionError::Execution("no secret for pseudonyms could be made".to_owned());
                rand::fill(&mut secret).map_err(without_secret)?;
                Some(Pseudonymiser::new(secret))
            }
        };
        Ok(Self { keys: Arc::new(keys), pseudonymiser })
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn pseudonymiser(&self) -> Option<&Pseudonymiser> {
        self.pseudonymiser.as_ref()
    }

    /// The places of each statement's keys.
    pub fn statements(&self) -> Vec<Range<usize>> {
        let most = if self.pseudonymiser.is_some() { PSEUDONYMS_SENT } else { KEYS_PER_STATEMENT };
        let starts = (0..self.len()).step_by(most);
        starts.map(|start| start..self.len().min(start.saturating_add(most))).collect()
    }

    /// What one statement says of its keys.
    pub fn texts(&self, places: Range<usize>) -> Vec<String> {
        let keys = self.keys.some(places);
        match &self.pseudonymiser {
            None => keys,
            Some(pseudonymiser) => {
                let mut pseudonyms: Vec<String> = keys.iter().map(|key| pseudonymiser.of(key)).collect();
                // INVARIANT: the keys' own order would tell of them.
                pseudonyms.sort_unstable();
                pseudonyms
            }
        }
    }
}

impl KeyCollector {
    pub fn new(pool: &Arc<dyn MemoryPool>) -> Self {
        Self {
            texts: Texts::default(),
            known: HashTable::new(),
            hashing: RandomState::new(),
            reservation: MemoryConsumer::new("join keys").register(pool),
        }
    }

    pub fn len(&self) -> usize {
        self.texts.ends.len()
    }

    /// Takes the keys of one column; NULL is no key.
    pub fn add(&mut self, batch: &RecordBatch, column: usize) -> Result<(), DataFusionError> {
        let Some(values) = batch.columns().get(column).and_then(|values| values.as_string_opt::<i32>()) else {
            return internal_err!("a join key that is not text");
        };
        for value in values.iter().flatten() {
            self.insert(value)?;
        }
        Ok(())
    }

    fn insert(&mut self, key: &str) -> Result<(), DataFusionError> {
        let (texts, hashing) = (&mut self.texts, &self.hashing);
        let hash = hashing.hash_one(key);
        if self.known.find(hash, |number| texts.get(*number) == key).is_none() {
            let number = texts.push(key)?;
            self.known.insert_unique(hash, number, |number| hashing.hash_one(texts.get(*number)));
        }
        Ok(())
    }

    /// Asks for the memory that the keys take by now.
    pub fn hold(&self) -> Held {
        // The order is made last, when the table is no longer there.
        let table = self.known.allocation_size().max(self.len() * size_of::<u32>());
        match self.reservation.try_resize(self.texts.size() + table) {
            Ok(()) => Held::Yes,
            Err(_) => Held::No,
        }
    }

    pub fn finish(self) -> Result<KeySet, DataFusionError> {
        let Self { texts, known, reservation, .. } = self;
        drop(known);
        let Ok(count) = u32::try_from(texts.ends.len()) else { return internal_err!("more join keys than numbers") };
        let mut order: Vec<u32> = (0..count).collect();
        order.sort_unstable_by(|one, other| texts.get(*one).cmp(texts.get(*other)));
        Ok(KeySet { texts, order, _reservation: reservation })
    }
}

impl KeySet {
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Some of the keys, by their places in the order.
    pub fn some(&self, places: Range<usize>) -> Vec<String> {
        let numbers = self.order.get(places).unwrap_or_default();
        numbers.iter().map(|number| self.texts.get(*number).to_owned()).collect()
    }
}

impl Texts {
    fn push(&mut self, text: &str) -> Result<u32, DataFusionError> {
        let number = u32::try_from(self.ends.len());
        let end = u32::try_from(self.letters.len() + text.len());
        let (Ok(number), Ok(end)) = (number, end) else {
            return Err(DataFusionError::ResourcesExhausted("more join keys than can be numbered".to_owned()));
        };
        self.letters.push_str(text);
        self.ends.push(end);
        Ok(number)
    }

    fn get(&self, number: u32) -> &str {
        let place = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let end = |number: u32| self.ends.get(place(number)).copied().map(place);
        let start = number.checked_sub(1).map_or(Some(0), end);
        start.zip(end(number)).and_then(|(start, end)| self.letters.get(start..end)).unwrap_or_default()
    }

    fn size(&self) -> usize {
        self.letters.capacity() + self.ends.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{ArrayRef, StringArray};
    use datafusion::execution::memory_pool::GreedyMemoryPool;

    use super::*;

    fn batch(keys: Vec<Option<&str>>) -> RecordBatch {
        RecordBatch::try_from_iter([("key", Arc::new(StringArray::from(keys)) as ArrayRef)]).unwrap()
    }

    fn pool(bytes: usize) -> Arc<dyn MemoryPool> {
        Arc::new(GreedyMemoryPool::new(bytes))
    }

    #[test]
    fn keys_are_distinct_sorted_and_without_null() {
        let pool = pool(1 << 20);
        let mut keys = KeyCollector::new(&pool);
        keys.add(&batch(vec![Some("b"), None, Some(""), Some("é")]), 0).unwrap();
        keys.add(&batch(vec![Some("a"), Some("b"), Some("é"), Some("aa")]), 0).unwrap();
        assert_eq!(keys.hold(), Held::Yes);
        let keys = keys.finish().unwrap();
        assert_eq!(keys.len(), 5);
        assert_eq!(keys.some(0..5), ["", "a", "aa", "b", "é"]);
        assert_eq!(keys.some(1..3), ["a", "aa"]);
        drop(keys);
        assert_eq!(pool.reserved(), 0);
    }

    #[test]
    fn many_keys_take_little_more_than_their_letters() {
        let pool = pool(1 << 30);
        let mut keys = KeyCollector::new(&pool);
        let many: Vec<String> = (0..200_000).map(|number| format!("{:010}", number / 2)).collect();
        for some in many.chunks(8192) {
            keys.add(&batch(some.iter().map(|key| Some(key.as_str())).collect()), 0).unwrap();
        }
        assert_eq!((keys.len(), keys.hold()), (100_000, Held::Yes));
        assert!(pool.reserved() < 100_000 * 32, "{}", pool.reserved());
        assert_eq!(keys.finish().unwrap().some(99_998..100_000), ["0000099998", "0000099999"]);
    }

    #[test]
    fn keys_that_do_not_fit_say_so() {
        let pool = pool(16);
        let mut keys = KeyCollector::new(&pool);
        keys.add(&batch(vec![Some("0123456789"), Some("9876543210")]), 0).unwrap();
        assert_eq!(keys.hold(), Held::No);
    }

    fn collected(count: usize) -> KeySet {
        let mut keys = KeyCollector::new(&pool(1 << 30));
        let many: Vec<String> = (0..count).map(|number| format!("{number:010}")).collect();
        keys.add(&batch(many.iter().map(|key| Some(key.as_str())).collect()), 0).unwrap();
        keys.finish().unwrap()
    }

    #[test]
    fn pseudonyms_are_others_each_time_and_in_no_order_of_their_keys() {
        let sent = |disclosure| {
            let keys = SentKeys::new(collected(30_000), disclosure, None).unwrap();
            let statements: Vec<Vec<String>> = keys.statements().into_iter().map(|places| keys.texts(places)).collect();
            (keys, statements)
        };
        let (_, plain) = sent(KeyDisclosure::Plain);
        assert_eq!((plain.len(), plain[0].len(), plain[1].len()), (2, 20_000, 10_000));
        let (keys, pseudonyms) = sent(KeyDisclosure::Pseudonymised);
        assert_eq!((pseudonyms.len(), pseudonyms[0].len()), (1, 30_000));
        assert!(pseudonyms[0].is_sorted());
        let first = keys.pseudonymiser().unwrap().of("0000000000");
        assert!(pseudonyms[0].contains(&first) && pseudonyms[0][0] != first);
        assert!(!sent(KeyDisclosure::Pseudonymised).1[0].contains(&first));
    }
}
