//! Faults on demand: what a network, a server or a proxy between can do to a client.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What befalls the next response to a statement that holds a given text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection ends in the middle of the row after so many whole ones.
    DisconnectAfterRows(u64),
    /// No more rows come after so many, until an Attention or [`Faults::release`].
    StallAfterRows(u64),
    /// As the stall, and an Attention is not heeded either: only [`Faults::release`] or a disconnect ends it.
    StallDeafAfterRows(u64),
    /// The statement fails with this error: number, class, state, text.
    Error { number: i32, class: u8, state: u8, message: String },
    /// The statement fails with error 50000 after so many rows.
    ErrorAfterRows(u64),
}

/// In which shape an Attention is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledgement {
    /// The response that is running ends with the acknowledgement; where none runs, it is a message of its own.
    InResponse,
    /// The response ends first, as if nothing were; the acknowledgement is a message of its own.
    OwnMessage,
    /// As its own message, and so much later.
    Late(Duration),
}

/// How packets are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketSplit {
    /// Full packets, written whole.
    Whole,
    /// So many bytes behind each header.
    Payload(usize),
    /// Full packets that reach the client in writes of so many bytes.
    Writes(usize),
}

#[derive(Debug)]
struct State {
    ordered: Vec<(String, Fault)>,
    acknowledgement: Acknowledgement,
    split: PacketSplit,
    releases: u64,
}

/// The faults of one server, for all its connections.
#[derive(Debug)]
pub struct Faults {
    state: Mutex<State>,
    changed: Condvar,
}

impl Default for Faults {
    fn default() -> Self {
        let state = State {
            ordered: Vec::new(),
            acknowledgement: Acknowledgement::InResponse,
            split: PacketSplit::Whole,
            releases: 0,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }
}

impl Faults {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Orders a fault for the next statement that contains the text; it happens once.
    pub fn order(&self, containing: &str, fault: Fault) {
        self.state().ordered.push((containing.to_owned(), fault));
    }

    pub fn acknowledge(&self, acknowledgement: Acknowledgement) {
        self.state().acknowledgement = acknowledgement;
    }

    pub fn split_packets(&self, split: PacketSplit) {
        self.state().split = split;
    }

    /// Ends every stall that lasts.
    pub fn release(&self) {
        self.state().releases += 1;
        self.changed.notify_all();
    }

    /// Back to a server without faults.
    pub fn clear(&self) {
        let mut state = self.state();
        state.ordered.clear();
        state.acknowledgement = Acknowledgement::InResponse;
        state.split = PacketSplit::Whole;
        state.releases += 1;
        drop(state);
        self.changed.notify_all();
    }

    pub(crate) fn take(&self, statement: &str) -> Option<Fault> {
        let mut state = self.state();
        let position = state.ordered.iter().position(|(text, _)| statement.contains(text.as_str()))?;
        Some(state.ordered.remove(position).1)
    }

    pub(crate) fn acknowledgement(&self) -> Acknowledgement {
        self.state().acknowledgement
    }

    pub(crate) fn split(&self) -> PacketSplit {
        self.state().split
    }

    /// Wakes those that stall, so that they look at their connection.
    pub(crate) fn wake(&self) {
        self.changed.notify_all();
    }

    /// Waits until a release, or until the connection says that it is over.
    pub(crate) fn stall(&self, is_over: impl Fn() -> bool) {
        let mut state = self.state();
        let before = state.releases;
        while state.releases == before && !is_over() {
            // The time limit is for a wake that came between the look and the wait.
            state =
                self.changed.wait_timeout(state, Duration::from_millis(20)).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for the time, or until the connection says that it is over.
    pub(crate) fn pause(&self, time: Duration, is_over: impl Fn() -> bool) {
        let deadline = std::time::Instant::now() + time;
        let mut state = self.state();
        while !is_over() {
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                return;
            }
            let step = left.min(Duration::from_millis(20));
            state = self.changed.wait_timeout(state, step).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
