//! What a session sends: tokens, kept until a packet's worth is there, and the DONE that closes each statement.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tokio::sync::mpsc;

use crate::error::SqlError;
use crate::token;

/// What the writer of a connection is told.
#[derive(Debug)]
pub(crate) enum Output {
    Bytes(Vec<u8>),
    /// Sends what there is, though the message goes on.
    Flush,
    EndOfMessage,
    Disconnect,
}

/// What the reader of a connection tells the session while it works.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    attentions: AtomicU32,
    closed: AtomicBool,
}

impl Signals {
    pub fn attend(&self) {
        self.attentions.fetch_add(1, Ordering::SeqCst);
    }

    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    pub fn has_attention(&self) -> bool {
        self.attentions.load(Ordering::SeqCst) > 0
    }

    /// Whether an Attention waits for its acknowledgement; it waits no longer.
    pub fn take_attention(&self) -> bool {
        self.attentions.swap(0, Ordering::SeqCst) > 0
    }
}

/// Why a batch ends before its end.
#[derive(Debug)]
pub(crate) enum Stop {
    Error(SqlError),
    Attention,
    /// There is nobody left to answer.
    Closed,
}

impl From<SqlError> for Stop {
    fn from(error: SqlError) -> Self {
        Self::Error(error)
    }
}

const FLUSH_AT: usize = 16 * 1024;

#[derive(Debug)]
pub(crate) struct Response {
    pub buffer: Vec<u8>,
    sender: Option<mpsc::Sender<Output>>,
    pub signals: Arc<Signals>,
    pending: Option<(u16, u16, u64)>,
    pub done_token: u8,
    /// The errors of this response.
    pub errors: Vec<SqlError>,
}

impl Response {
    /// Without a sender the tokens lead nowhere, and the errors are what is looked at.
    pub fn new(sender: Option<mpsc::Sender<Output>>, signals: Arc<Signals>) -> Self {
        Self { buffer: Vec::new(), sender, signals, pending: None, done_token: token::DONE, errors: Vec::new() }
    }

    pub fn send(&self, output: Output) -> Result<(), Stop> {
        match &self.sender {
            None => Ok(()),
            Some(sender) => sender.blocking_send(output).map_err(|_| Stop::Closed),
        }
    }

    /// Hands on what is buffered once there is enough.
    pub fn flush_if_full(&mut self) -> Result<(), Stop> {
        if self.buffer.len() < FLUSH_AT { Ok(()) } else { self.hand_over() }
    }

    pub fn hand_over(&mut self) -> Result<(), Stop> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.buffer);
        self.send(Output::Bytes(bytes))
    }

    /// A statement's end; it is written once it is known whether another follows.
    pub fn done(&mut self, status: u16, command: u16, rows: u64) {
        self.write_pending(token::STATUS_MORE);
        self.pending = Some((status, command, rows));
    }

    /// Writes a DONE that is held back, before other tokens of a further statement.
    pub fn write_pending(&mut self, more: u16) {
        if let Some((status, command, rows)) = self.pending.take() {
            token::done(&mut self.buffer, self.done_token, status | more, command, rows);
        }
    }

    pub fn error(&mut self, error: &SqlError) {
        self.write_pending(token::STATUS_MORE);
        token::error(&mut self.buffer, error, 1);
        self.errors.push(error.clone());
    }

    /// Ends the message.
    pub fn finish(&mut self, last: u16) -> Result<(), Stop> {
        if self.pending.is_none() {
            self.pending = Some((0, token::COMMAND_OTHER, 0));
        }
        if let Some((status, command, rows)) = self.pending.take() {
            token::done(&mut self.buffer, self.done_token, status | last, command, rows);
        }
        self.end_message()
    }

    pub fn end_message(&mut self) -> Result<(), Stop> {
        self.hand_over()?;
        self.send(Output::EndOfMessage)
    }
}
